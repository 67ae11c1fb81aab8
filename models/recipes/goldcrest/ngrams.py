"""Which intents answer a message, by its words alone: `python ngrams.py RUN` learns from messages.txt and writes `RUN/bank.ngrams`, and
how much it counts beside the network of RUN to `RUN/blend.json`.

A bag of hashed n-grams and a linear layer (fastText, Joulin et al. 2016): the mean of the vectors of a message's n-grams, each of which
counts as much as it has learnt to, and one logit for each intent of the bank. It knows phrases that a small network has not learnt yet, and errs elsewhere than the network does: the
logits of both are blended (wide and deep learning, Cheng et al. 2016).

The file, little endian: "KBN1", buckets u32, columns u32, intents u32, bytes of names u32; the names, each with a line feed behind it;
[buckets] f32, how much an n-gram counts; [buckets] f32, the scale of a row; [buckets, columns / 2] bytes, two values of 4 bits in each, the first in the low half, less 8 and times the
scale of the row; [intents, columns] f32; [intents] f32, which is added. `sdk/tasks/src/bank/classifier.rs` reads it.
"""

import argparse
import json
import random
import time
from pathlib import Path

import numpy
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import bank
import data
import objective
import tokens
from model import Decoder, Shape

BUCKETS = 1 << 16
COLUMNS = 128
MESSAGES = 3  # the last ones of a conversation count
LETTERS = (3, 4)  # in an n-gram of letters
EPOCHS = 9
BATCH = 512
RATE = 8e-3
LEFT_OUT = 0.25  # of a message's n-grams, each time it is shown

_known: dict[str, int] = {}


def key(ngram: str) -> int:
    """FNV-1a of 64 bits."""
    if ngram not in _known:
        number = 0xCBF29CE484222325
        for byte in ngram.encode():
            number = (number ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
        _known[ngram] = number
    return _known[ngram]


def words(text: str) -> list[str]:
    """Runs of letters, digits and apostrophes, in small letters and every digit a 0; each other sign alone."""
    found: list[str] = []
    is_open = False
    for sign in text.replace("\u2019", "'").lower():
        belongs = sign.isalnum() or sign == "'"
        sign = "0" if sign in "0123456789" else sign
        if belongs and is_open:
            found[-1] += sign
        elif not sign.isspace():
            found.append(sign)
        is_open = belongs
    return found


def runs(said: list[str], mark: str, most: int = 2) -> list[str]:
    """The words of a message and its runs of two to `most` words, each behind a mark."""
    framed = ["^", *said, "$"]
    found = [mark + word for word in said]
    for length in range(2, most + 1):
        found += [mark + " ".join(run) for run in zip(*(framed[i:] for i in range(length)))]
    return found


def ngrams(talk: list[str]) -> list[str]:
    """Of each of the last messages the words and the pairs of words; of the last one threes of words, and letters, too."""
    found: list[str] = ["alone"] if len(talk) == 1 else []
    for back, text in enumerate(reversed(talk[-MESSAGES:])):
        said = words(text)
        found += runs(said, f"{back}|", 2 if back else 3)
        for word in said if back == 0 else []:
            letters = f"<{word}>"
            found += [f"#{letters[i : i + n]}" for n in LETTERS for i in range(len(letters) - n + 1)]
    return found


def buckets(talk: list[str]) -> list[int]:
    return [key(ngram) % BUCKETS for ngram in ngrams(talk)]


class Bag(nn.Module):
    """The mean of n-grams' vectors, weighted by their mass."""

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(rows, columns, mode="sum")
        nn.init.normal_(self.table.weight, std=0.1)
        self.log_mass = nn.Embedding(rows, 1)
        nn.init.zeros_(self.log_mass.weight)

    def mean(self, bags: list[list[int]]) -> Tensor:  # [B, columns]
        sizes = torch.tensor([len(bag) for bag in bags])
        found = torch.tensor([b for bag in bags for b in bag], dtype=torch.long)
        mass = self.mass(found)
        of_bag = torch.zeros(len(bags)).index_add(0, torch.arange(len(bags)).repeat_interleave(sizes), mass)
        return self.table(found, sizes.cumsum(0) - sizes, per_sample_weights=mass) / of_bag[:, None].clamp(min=1e-9)

    def mass(self, found: Tensor) -> Tensor:
        """How much n-grams count: above 0."""
        return self.log_mass(found).squeeze(1).clamp(-6, 6).exp()


class Classifier(Bag):
    """A logit for each intent from the mean of the n-grams."""

    def __init__(self, intents: int) -> None:
        super().__init__(BUCKETS, COLUMNS)
        self.out = nn.Linear(COLUMNS, intents)
        nn.init.constant_(self.out.bias, -4.0)

    def forward(self, bags: list[list[int]]) -> Tensor:  # [B, intents]
        return self.out(self.mean(bags))


def learn(rows: list[bank.Message], intents: int, epochs: int) -> Classifier:
    classifier = Classifier(intents)
    optimiser = torch.optim.Adam(classifier.parameters(), lr=RATE, fused=True)
    bags = [buckets(talk) for talk, _ in rows]
    labels = torch.stack([truth for _, truth in rows])
    steps = epochs * (len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: max(0.02, 1 - step / steps))
    began = time.monotonic()
    for epoch in range(epochs):
        order = torch.randperm(len(rows))
        for part in order.split(BATCH)[: len(rows) // BATCH]:
            shown = [[b for b in bags[i] if random.random() > LEFT_OUT] or bags[i] for i in part.tolist()]
            loss = objective.known_loss(classifier(shown), labels[part])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
        print(json.dumps({"epoch": epoch + 1, "seconds": round(time.monotonic() - began), "loss": round(loss.item(), 3)}), flush=True)
    return classifier


def floats(tensor: Tensor) -> bytes:
    return tensor.detach().float().numpy().astype("<f4").tobytes()


def rounded(bag: Bag) -> bytes:
    """Mass, scales and levels of a table as they stand in a file; the table becomes what they say."""
    table = bag.table.weight.data
    scales = table.abs().amax(1).clamp(min=1e-8) / 7
    levels = (table / scales[:, None]).round().clamp(-8, 7)
    bag.table.weight.data = levels * scales[:, None]
    halves = (levels + 8).to(torch.uint8).view(len(table), -1, 2)
    packed = halves[:, :, 0] | halves[:, :, 1] << 4
    return floats(bag.mass(torch.arange(len(table)))) + floats(scales) + packed.numpy().tobytes()


def write(classifier: Classifier, intents: list[str], path: Path) -> None:
    """Round the table and write the file."""
    names = "".join(f"{intent}\n" for intent in intents).encode()
    head = b"KBN1" + numpy.array([BUCKETS, COLUMNS, len(intents), len(names)], dtype="<u4").tobytes() + names
    path.write_bytes(head + rounded(classifier) + floats(classifier.out.weight) + floats(classifier.out.bias))


def of_network(run: Path, replies: dict[str, list[str]], rows: list[bank.Message]) -> Tensor:
    """What the network says of each message: the logits of the intents' means, through the weights as they are rounded. [rows, intents]"""
    content = torch.load(run / "checkpoint.pt", weights_only=True)
    network = Decoder(Shape.fitting(content["model"]))
    network.load_state_dict(content["model"])
    network.eval().quantise(4, 8)
    tokenizer = tokens.load(run / "tokenizer")
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids[: data.MOST_TOKENS]

    def vectors(sequences: list[list[int]]) -> Tensor:
        padded, at = data.pad(sequences)
        hidden = objective.encode(lambda ids: network(ids)[0], padded)
        return network.rank_vector(hidden[torch.tensor([start + len(s) - 1 for start, s in zip(at, sequences)])])

    windows = [bank.window(talk, False, encode) for talk, _ in rows]
    with torch.no_grad(), objective.mixed("cpu"):
        means = [vectors([[tokens.REPLY, *encode(line), tokens.END] for line in lines]).mean(0) for lines in replies.values()]
        contexts = torch.cat([vectors(windows[i : i + 256]) for i in range(0, len(windows), 256)])
    return (content["gain"] * contexts @ F.normalize(torch.stack(means), dim=-1).T + content["offset"]).float()


def blend(network: Tensor, words: Tensor, labels: Tensor) -> Tensor:
    """Weights of both logits, and what is added, by the likelihood of the labels: [3]."""
    weights = torch.tensor([0.5, 0.5, 0.0], requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=60)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = objective.known_loss(weights[0] * network + weights[1] * words + weights[2], labels)
        loss.backward()
        return loss

    optimiser.step(closure)
    return weights.detach()


def shares(logits: Tensor, labels: Tensor) -> dict[str, float]:
    """Share of the answerable messages whose likeliest intent answers them, and of the surest half and two thirds of all messages."""
    likeliest = logits.max(1)
    right = labels.gather(1, likeliest.indices[:, None]).squeeze(1) > 0.5
    order = likeliest.values.argsort(descending=True)
    part = lambda share: round(right[order[: int(share * len(order))]].float().mean().item(), 4)
    return {"first": round(right[labels.amax(1) > 0.5].float().mean().item(), 4), "surest half": part(1 / 2), "surest two thirds": part(2 / 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path, help="folder that train.py wrote")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    args = parser.parse_args()
    random.seed(7)
    torch.manual_seed(7)
    replies = bank.read_bank()
    intents = list(replies)
    rows = bank.read_messages(intents)
    learnt, kept = ([row for row in rows if bank.is_held(row[0]) == held] for held in (False, True))
    labels = torch.stack([truth for _, truth in kept])
    classifier = learn(learnt, len(intents), args.epochs)
    with torch.no_grad():
        exact = classifier([buckets(talk) for talk, _ in kept])
        write(classifier, intents, args.run / "bank.ngrams")
        by_words = classifier([buckets(talk) for talk, _ in kept])
    by_network = of_network(args.run, replies, kept)
    weights = blend(by_network, by_words, labels)
    both = weights[0] * by_network + weights[1] * by_words + weights[2]
    for name, logits in (("words, not rounded", exact), ("words", by_words), ("network", by_network), ("both", both)):
        print(json.dumps({"of": name, **shares(logits, labels), "loss": round(objective.known_loss(logits, labels).item(), 3)}))
    told = dict(zip(("network", "words", "offset"), (round(weight, 4) for weight in weights.tolist())))
    (args.run / "blend.json").write_text(json.dumps(told) + "\n")
    print(json.dumps(told))


if __name__ == "__main__":
    main()
