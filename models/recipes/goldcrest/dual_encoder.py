"""Which reply answers a conversation, by their words alone: `python dual_encoder.py RUN DATA` learns from the training dialogues and writes
`RUN/rank.ngrams`, and how much it counts beside the network of RUN to `RUN/rank_blend.json`.

A dual encoder of n-grams (Henderson et al. 2017): the vector of a conversation is the sum of the vectors of its n-grams, one vector for
each place among the last messages; the vector of a reply is the sum of its n-grams' vectors for a reply; the cosine of both counts. To this
comes what the two have in common, as in TF-IDF, each word with a weight that is learnt. How much either counts is told by the conversation.

The file, little endian: "KRN1", n-grams N u32, columns u32, messages M u32, buckets u32; [N] u32, the low halves of the n-grams' keys,
rising; [M + 1, N] f32, the scale of a row; [M + 1, N, columns / 2] bytes, two values of 4 bits in each, the first in the low half, less 8
and times the scale of the row; the first N rows are for the last message, those after them for the one before it, the last N for a reply;
f32, the scale of the weights of shared words; [buckets] bytes, the weights; [M] f32, how much it counts that a message holds the word;
[2, columns] f32 and [2] f32, the gates.
"""

import argparse
import functools
import json
import math
import random
import time
from collections import Counter
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import cases
import data
import ngrams
import style
import tokens
from measure import freeze
from model import load_checkpoint
from ranking import Ranker, place, summary

NGRAMS = 6600
COLUMNS = 96
MESSAGES = 4  # the last ones of a conversation count
BUCKETS = 1 << 16  # of shared words
STEM = 5  # letters
STEPS = 1500
BATCH = 512
RATE = 8e-3
LEFT_OUT = 0.4  # of the n-grams, each time they are shown
SHARES = {"sgd": 0.42, "everyday": 0.35, "smalltalk": 0.13, "coffee": 0.1}  # of the batches
HELD = 300  # cases a corpus

Case = tuple[list[str], str]  # the last messages, and the reply


def typing(text: str) -> list[str]:
    """How many words, and how it is typed: whether it begins with a capital and has one, how it ends, how it says I, signs within."""
    count = len(ngrams.words(text))
    found = [f"*{count if count < 10 else count // 4 * 4}"]
    if text:
        found += ["=A" if text[0].isupper() else "=a", "=lower" if text == text.lower() else "=mixed"]
        found += ["=x" if text[-1].isalnum() else f"={text[-1]}"]
    return found + [f"={word}" for word in ("I", "i") if word in text.split()] + [f"+{sign}" for sign in ",.!?'" if sign in text[:-1]]


@functools.cache
def of_message(text: str) -> list[int]:
    """Keys of the words, of the pairs of words, and of how it is typed."""
    return [ngrams.key(ngram) & 0xFFFFFFFF for ngram in [*ngrams.runs(ngrams.words(text), ""), *typing(text)]]


@functools.cache
def shareable(text: str) -> list[int]:
    """Buckets of the words, of their beginnings, and of the pairs of words: each once."""
    said = ngrams.words(text)
    found = [word for word in said if word[0].isalnum()] + [" ".join(pair) for pair in zip(said, said[1:])]
    found += [f"{word[:STEM]}-" for word in said if len(word) > STEM]
    return sorted({ngrams.key(ngram) % BUCKETS for ngram in found})


def pairs(dialogues: list[data.Dialogue]) -> list[Case]:
    """Every reply with the messages before it."""
    texts = [[turn.text for turn in dialogue] for dialogue in dialogues]
    return [(talk[max(0, i - MESSAGES) : i], talk[i]) for talk in texts for i in range(1, len(talk)) if talk[i]]


def vocabulary(corpora: dict[str, list[Case]]) -> list[int]:
    """The keys that are most frequent, each corpus counting by its share of the batches."""
    frequency: Counter[int] = Counter()
    for corpus, rows in corpora.items():
        counts = Counter(key for text in {reply for _, reply in rows} for key in of_message(text))
        for key, count in counts.items():
            frequency[key] += count * SHARES[corpus] / len(rows)
    return sorted(key for key, _ in frequency.most_common(NGRAMS))


class DualEncoder(ngrams.Bag):
    """A score for each of some replies after each of some conversations."""

    def __init__(self, keys: list[int]) -> None:
        super().__init__(len(keys) * (MESSAGES + 1), COLUMNS)
        self.keys = keys
        self.row = {key: row for row, key in enumerate(keys)}
        self.log_weight = nn.Parameter(torch.zeros(BUCKETS))
        self.near = nn.Parameter(torch.tensor([1.0, 0.7, 0.5, 0.5]))
        self.gates = nn.Linear(COLUMNS, 2)
        nn.init.zeros_(self.gates.weight)
        self.gates.bias.data = torch.tensor([15.0, 4.0]).log()

    def rows(self, text: str, back: int) -> list[int]:
        """The rows of a message, `back` messages before the last one; of a reply if that is `MESSAGES`."""
        return [self.row[key] + back * len(self.keys) for key in of_message(text) if key in self.row]

    def of_talk(self, talk: list[str]) -> list[int]:
        """The rows of a conversation."""
        return [row for back, text in enumerate(reversed(talk[-MESSAGES:])) for row in self.rows(text, back)]

    def weights(self) -> Tensor:
        """Of shared words: above 0. [BUCKETS]"""
        return self.log_weight.clamp(-4, 4).exp()

    def shared(self, talks: list[list[str]], replies: list[str]) -> Tensor:  # [talks, replies]
        """The weights of the words that each reply has in common with each conversation, by the length of the reply: below 1."""
        found = sorted({bucket for text in replies for bucket in shareable(text)})
        column = {bucket: at for at, bucket in enumerate(found)}
        holds = torch.zeros(len(found), len(replies))
        for at, text in enumerate(replies):
            holds[[column[bucket] for bucket in shareable(text)], at] = 1
        said = [[(back, b) for back, text in enumerate(talk[: -MESSAGES - 1 : -1]) for b in shareable(text)] for talk in talks]
        near = [[(back, column[b]) for back, b in bag if b in column] for bag in said]
        sizes = torch.tensor([len(bag) for bag in near])
        back, common = torch.tensor([pair for bag in near for pair in bag], dtype=torch.long).reshape(-1, 2).T
        weights = self.weights()[found]
        values = self.near[back] * weights[common]
        sums = F.embedding_bag(common, holds, sizes.cumsum(0) - sizes, mode="sum", per_sample_weights=values)
        return (sums / (1 + weights @ holds).sqrt()).tanh()

    def forward(self, talks: list[list[str]], replies: list[str], left_out: float = 0.0) -> Tensor:
        """By the vectors and by what is shared: [2, talks, replies]."""
        vectors = lambda bags: F.normalize(self.mean(thinned(bags, left_out)), dim=-1)
        context, reply = vectors([self.of_talk(talk) for talk in talks]), vectors([self.rows(text, MESSAGES) for text in replies])
        gates = self.gates(context).clamp(-5, 5).exp()
        return gates.T[:, :, None] * torch.stack((context @ reply.T, self.shared(talks, replies)))


def thinned(bags: list[list[int]], left_out: float) -> list[list[int]]:
    """Without the given share of the rows."""
    return [[row for row in bag if random.random() > left_out] for bag in bags] if left_out else bags


def rarity(corpora: dict[str, list[Case]]) -> Tensor:
    """Where the weights of shared words begin: the logarithm of the square of the inverse document frequency. [BUCKETS]"""
    texts = [reply for rows in corpora.values() for _, reply in rows]
    counts = torch.bincount(torch.tensor([bucket for text in texts for bucket in shareable(text)]), minlength=BUCKETS)
    return 2 * (((1 + len(texts)) / (1 + counts)).log() + 1).log() - 3


def loss(scores: Tensor, replies: list[str]) -> Tensor:
    """Cross-entropy of the reply at the place of its conversation; others with the same text do not count."""
    numbers: dict[str, int] = {}
    text = torch.tensor([numbers.setdefault(style.identity(reply), len(numbers)) for reply in replies])
    same = (text[:, None] == text[None]) & ~torch.eye(len(text), dtype=torch.bool)
    return F.cross_entropy(scores.masked_fill(same, -1e4), torch.arange(len(text)))


def learn(corpora: dict[str, list[Case]], steps: int) -> DualEncoder:
    encoder = DualEncoder(vocabulary(corpora))
    encoder.log_weight.data = rarity(corpora)
    tables = [encoder.table.weight, encoder.log_mass.weight]
    others = [encoder.log_weight, encoder.near, *encoder.gates.parameters()]
    optimiser = torch.optim.Adam([{"params": tables}, {"params": others, "lr": RATE / 4}], lr=RATE, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.01, min((step + 1) / 20, 1 - step / steps)))
    pending: dict[str, list[Case]] = {corpus: [] for corpus in corpora}
    began = time.monotonic()
    for step, corpus in zip(range(1, steps + 1), data.mixture(SHARES, 7)):
        if len(pending[corpus]) < BATCH:
            pending[corpus] = random.sample(corpora[corpus], len(corpora[corpus]))
        batch, pending[corpus] = pending[corpus][:BATCH], pending[corpus][BATCH:]
        replies = [reply for _, reply in batch]
        value = loss(encoder([talk for talk, _ in batch], replies, LEFT_OUT).sum(0), replies)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            seconds = round(time.monotonic() - began)
            print(json.dumps({"step": step, "seconds": seconds, "corpus": corpus, "loss": round(value.item(), 3)}), flush=True)
    return encoder


def write(encoder: DualEncoder, path: Path) -> None:
    """Round the table and the weights and write the file."""
    encoder.table.weight.data *= encoder.mass(torch.arange(len(encoder.table.weight)))[:, None]
    nn.init.zeros_(encoder.log_mass.weight)
    table = ngrams.rounded(encoder)[4 * len(encoder.table.weight) :]  # the masses are in the scales
    weights = encoder.weights().detach()
    scale = weights.max().item() / 255
    levels = (weights / scale).round().clamp(1, 255)
    encoder.log_weight.data = (levels * scale).log()
    head = b"KRN1" + numpy.array([len(encoder.keys), COLUMNS, MESSAGES, BUCKETS, *encoder.keys], dtype="<u4").tobytes()
    shared = numpy.array([scale], dtype="<f4").tobytes() + levels.to(torch.uint8).numpy().tobytes()
    path.write_bytes(head + table + shared + b"".join(map(ngrams.floats, (encoder.near, encoder.gates.weight, encoder.gates.bias))))


def read(path: Path) -> DualEncoder:
    """What `write` wrote."""
    content = path.read_bytes()
    count, columns, messages, buckets = numpy.frombuffer(content, "<u4", 4, 4).tolist()
    at = 20

    def part(kind: str, *sizes: int) -> Tensor:
        nonlocal at
        found = numpy.frombuffer(content, kind, math.prod(sizes), at)
        at += found.nbytes
        return torch.from_numpy(found.astype("i8" if kind == "<u4" else "f4" if kind == "<f4" else "u1")).reshape(sizes)

    encoder = DualEncoder(part("<u4", count).tolist())
    scales, levels = part("<f4", (messages + 1) * count, 1), part("u1", (messages + 1) * count, columns // 2)
    encoder.table.weight.data = scales * (torch.stack((levels & 15, levels >> 4), dim=-1).flatten(1).float() - 8)
    encoder.log_weight.data = (part("<f4", 1) * part("u1", buckets)).log()
    encoder.near.data, encoder.gates.weight.data, encoder.gates.bias.data = part("<f4", messages), part("<f4", 2, columns), part("<f4", 2)
    return encoder.eval()


@torch.no_grad()
def of_words(encoder: DualEncoder, asked: list[cases.Case]) -> Tensor:
    """Both parts of the score. [2, cases, candidates]"""
    return torch.cat([encoder([[turn.text for turn in case.turns]], case.candidates) for case in asked], dim=1)


def of_network(run: Path, asked: list[cases.Case]) -> Tensor:
    """The cosines by the temperature, through the weights as they are rounded. [cases, candidates]"""
    network, temperature = load_checkpoint(run)
    network.quantise(4, 8)
    freeze(network)
    ranker = Ranker(network, tokens.load(run / "tokenizer"))
    return torch.stack([ranker.terms(case, False).cosine for case in asked]) / temperature


def blend(parts: Tensor, corpora: list[str], answers: Tensor) -> Tensor:
    """Weights of parts of a score [parts, cases, candidates], by the likelihood of the answers, each corpus counting the same: [parts]."""
    weights = torch.full((len(parts),), 0.5, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")
    share = torch.tensor([1 / corpora.count(corpus) for corpus in corpora])

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = share @ F.cross_entropy(torch.einsum("p,pnc->nc", weights, parts), answers, reduction="none")
        value.backward()
        return value

    optimiser.step(closure)
    return weights.detach()


def report(scores: dict[str, Tensor], corpora: list[str], answers: Tensor) -> None:
    """Print R@1 and the mean reciprocal rank, by corpus."""
    for corpus in dict.fromkeys(corpora):
        here = [i for i, name in enumerate(corpora) if name == corpus]
        rows = {name: summary([place(given[i], int(answers[i])) for i in here]) for name, given in scores.items()}
        print(json.dumps({"corpus": corpus, **rows}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder that train.py wrote")
    parser.add_argument("data", type=Path, help="folder with the *_train.jsonl files")
    parser.add_argument("--steps", type=int, default=STEPS)
    args = parser.parse_args()
    random.seed(7)
    torch.manual_seed(7)
    split = {corpus: data.read_train(args.data, corpus) for corpus in data.CORPORA}
    encoder = learn({corpus: pairs(learnt) for corpus, (learnt, _) in split.items()}, args.steps)
    write(encoder, args.run / "rank.ngrams")
    held = {corpus: cases.make(kept, 5, HELD) for corpus, (_, kept) in split.items()}
    corpora, asked = [corpus for corpus, made in held.items() for _ in made], [case for made in held.values() for case in made]
    answers = torch.tensor([case.answer for case in asked])
    network, words = of_network(args.run, asked), of_words(encoder, asked)
    parts = torch.stack((network, *words))
    weights = blend(parts, corpora, answers)
    report({"network": network, "words": words.sum(0), "both": torch.einsum("p,pnc->nc", weights, parts)}, corpora, answers)
    told = dict(zip(("network", "words", "shared"), (round(weight, 4) for weight in weights.tolist())))
    (args.run / "rank_blend.json").write_text(json.dumps(told) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
