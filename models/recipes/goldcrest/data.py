"""Dialogues, and the batches that training draws from them."""

import json
import random
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

import tokens

CORPORA = ["sgd", "coffee", "smalltalk"]
HELD_OUT = 40  # one training dialogue in 40 is set aside to choose settings with


@dataclass(frozen=True)
class Turn:
    """One message: who speaks, and what."""

    speaker: str
    text: str


Dialogue = list[Turn]


@dataclass
class Sequences:
    """Token sequences of similar length, padded on the right."""

    ids: Tensor  # [B, T]
    lengths: Tensor  # [B]


@dataclass
class Group:
    """Dialogue windows of one corpus with every reply in them; pair p is (context p, reply p)."""

    windows: list[Sequences]
    replies: list[Sequences]
    context_at: Tensor  # [P] index into the concatenated, flattened windows
    reply_at: Tensor  # [P] index into the concatenated, flattened replies
    dialogue: Tensor  # [P] number of the window's dialogue
    text: Tensor  # [P] number of the reply's text


def read(path: Path) -> list[tuple[str, Dialogue]]:
    """Read a JSONL file of dialogues: id and turns."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["id"], [Turn(t["speaker"], t["text"].strip()) for t in row["turns"]]) for row in rows]


def read_train(data: Path, corpus: str) -> tuple[list[Dialogue], list[Dialogue]]:
    """The training dialogues of a corpus: those to learn from, and those held out."""
    learn: list[Dialogue] = []
    held: list[Dialogue] = []
    for name, dialogue in read(data / f"{corpus}_train.jsonl"):
        (held if zlib.crc32(name.encode()) % HELD_OUT == 0 else learn).append(dialogue)
    return learn, held


def read_dev(data: Path, corpus: str) -> list[Dialogue]:
    """The development dialogues of a corpus; for measuring only."""
    return [dialogue for _, dialogue in read(data / f"{corpus}_dev.jsonl")]


def pad(sequences: list[list[int]], waste: float = 0.2, most: int = 4096) -> tuple[list[Sequences], list[int]]:
    """Sort by length and cut into batches with little padding. Also gives each sequence's offset in the flattened whole."""
    order = sorted(range(len(sequences)), key=lambda i: len(sequences[i]))
    batches: list[list[int]] = [[]]
    filled = 0
    for i in order:
        size = len(sequences[i])
        area = size * (len(batches[-1]) + 1)
        if batches[-1] and (area > most or (area - filled - size > waste * area and area > most // 4)):
            batches.append([])
            filled = 0
        batches[-1].append(i)
        filled += size
    offsets = [0] * len(sequences)
    padded: list[Sequences] = []
    start = 0
    for batch in batches:
        width = max(len(sequences[i]) for i in batch)
        ids = torch.full((len(batch), width), tokens.PAD, dtype=torch.long)
        for row, i in enumerate(batch):
            ids[row, : len(sequences[i])] = torch.tensor(sequences[i])
            offsets[i] = start + row * width
        padded.append(Sequences(ids, torch.tensor([len(sequences[i]) for i in batch])))
        start += len(batch) * width
    return padded, offsets


@dataclass
class Corpus:
    """An endless, shuffled supply of windows from the encoded dialogues of one corpus."""

    dialogues: list[list[tuple[int, list[int]]]]  # per turn: speaker token, text tokens
    random: random.Random
    context: int
    pending: list[tuple[int, int, int]] = field(default_factory=list)  # dialogue, first turn, one past the last

    @staticmethod
    def encode(dialogues: list[Dialogue], tokenizer: Tokenizer, seed: int, context: int) -> "Corpus":
        """Encode every turn once."""
        encoded = [
            [(tokens.SPEAKERS[turn.speaker], tokenizer.encode(turn.text, add_special_tokens=False).ids[:200]) for turn in dialogue]
            for dialogue in dialogues
        ]
        return Corpus(encoded, random.Random(seed), context)

    def _refill(self) -> None:
        """Cut every dialogue into consecutive windows: mostly 3 to 10 turns, one dialogue in ten whole."""
        for number, dialogue in enumerate(self.dialogues):
            first = 0
            whole = self.random.random() < 0.1
            while first < len(dialogue):
                size = len(dialogue) if whole else self.random.randint(3, 10)
                if first == 0 and not whole and len(dialogue) > 4:
                    size = self.random.randint(2, 8)
                stop = min(first + size, len(dialogue))
                if stop - first >= 2 or first == 0:
                    self.pending.append((number, first, stop))
                first = stop
        self.random.shuffle(self.pending)

    def group(self, budget: int) -> Group:
        """Windows with about `budget` tokens together, and every reply in them."""
        windows: list[list[int]] = []
        pairs: list[tuple[int, int, int, tuple[int, ...]]] = []  # window, position, dialogue, reply
        total = 0
        while total < budget:
            if not self.pending:
                self._refill()
            number, first, stop = self.pending.pop()
            window = [tokens.BEGIN]
            for index in range(first, stop):
                speaker, text = self.dialogues[number][index]
                if len(window) + len(text) + 2 > self.context:
                    break
                if index > first and text:
                    pairs.append((len(windows), len(window), number, tuple(text)))
                window += [speaker, *text, tokens.END]
            windows.append(window)
            total += len(window)
        return self._assemble(windows, pairs)

    def _assemble(self, windows: list[list[int]], pairs: list[tuple[int, int, int, tuple[int, ...]]]) -> Group:
        numbers = {text: i for i, text in enumerate(dict.fromkeys(text for *_, text in pairs))}
        replies = [[tokens.REPLY, *text, tokens.END] for text in numbers]
        padded_windows, window_at = pad(windows)
        padded_replies, reply_at = pad(replies)
        text = [numbers[t] for *_, t in pairs]
        return Group(
            padded_windows,
            padded_replies,
            torch.tensor([window_at[w] + position for w, position, _, _ in pairs]),
            torch.tensor([reply_at[i] + len(replies[i]) - 1 for i in text]),
            torch.tensor([number for _, _, number, _ in pairs]),
            torch.tensor(text),
        )


def mixture(sizes: dict[str, float], seed: int) -> Iterator[str]:
    """Corpus names drawn with the given weights, endlessly."""
    draw = random.Random(seed)
    while True:
        yield draw.choices(list(sizes), weights=list(sizes.values()))[0]
