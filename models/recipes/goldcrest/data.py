"""Dialogues, and the batches that training draws from them."""

import json
import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

import style
import tokens

CORPORA = ["sgd", "coffee", "smalltalk", "everyday"]
DISTILLED = "distilled"  # the name of what distil.py wrote
PEERS = {"smalltalk", "everyday", DISTILLED}  # corpora whose two sides are alike: either may take either role
ROLES = {"customer": "customer", "agent": "agent", "a": "customer", "b": "agent"}  # by the speakers of the files
MOST_TOKENS = 200  # of one message
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

    def to(self, device: str) -> "Sequences":
        """The same on a device."""
        return Sequences(self.ids.to(device), self.lengths.to(device))


@dataclass
class Group:
    """Dialogue windows of one corpus with every reply in them; pair p is (context p, reply p)."""

    windows: list[Sequences]
    replies: list[Sequences]
    context_at: Tensor  # [P] index into the concatenated, flattened windows
    reply_at: Tensor  # [P] index into the concatenated, flattened replies
    same: Tensor  # [P, P] whether reply q must not count as wrong for context p

    def to(self, device: str) -> "Group":
        """The same on a device."""
        windows, replies = ([batch.to(device) for batch in batches] for batches in (self.windows, self.replies))
        return Group(windows, replies, *(t.to(device) for t in (self.context_at, self.reply_at, self.same)))


def read(path: Path) -> list[tuple[str, Dialogue]]:
    """Read a JSONL file of dialogues: id and turns."""
    with open(path, encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [(row["id"], [Turn(ROLES[t["speaker"]], t["text"].strip()) for t in row["turns"]]) for row in rows]


def read_train(data: Path, corpus: str) -> tuple[list[Dialogue], list[Dialogue]]:
    """The training dialogues of a corpus: those to learn from, and those held out."""
    learn: list[Dialogue] = []
    held: list[Dialogue] = []
    for name, dialogue in read(data / f"{corpus}_train.jsonl"):
        (held if zlib.crc32(name.encode()) % HELD_OUT == 0 else learn).append(dialogue)
    return learn, held


def read_distilled(path: Path) -> tuple[list[Dialogue], list[Dialogue]]:
    """The dialogues that distil.py kept: those to learn from, and those held out."""
    rows = [row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines()) if "turns" in row]
    split: tuple[list[Dialogue], list[Dialogue]] = ([], [])
    for row in rows:
        held = zlib.crc32(row["id"].encode()) % HELD_OUT == 0
        split[held].append([Turn(t["speaker"], t["text"]) for t in row["turns"]])
    return split


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


@dataclass(frozen=True)
class Pair:
    """A reply in its window."""

    window: int
    position: int  # of the token of the speaker who replies
    dialogue: int
    reply: str


def assemble(windows: list[list[int]], pairs: list[Pair], encode: Callable[[str], list[int]]) -> Group:
    """A group of the windows and of each different reply. Pairs of one dialogue or with one text are not told apart."""
    numbers: dict[str, int] = {}
    replies: list[list[int]] = []
    for pair in pairs:
        if numbers.setdefault(style.identity(pair.reply), len(numbers)) == len(replies):
            replies.append([tokens.REPLY, *encode(pair.reply), tokens.END])
    padded_windows, window_at = pad(windows)
    padded_replies, reply_at = pad(replies)
    text = torch.tensor([numbers[style.identity(pair.reply)] for pair in pairs])
    dialogue = torch.tensor([pair.dialogue for pair in pairs])
    return Group(
        padded_windows,
        padded_replies,
        torch.tensor([window_at[pair.window] + pair.position for pair in pairs]),
        torch.tensor([reply_at[i] + len(replies[i]) - 1 for i in text.tolist()]),
        (dialogue[:, None] == dialogue[None]) | (text[:, None] == text[None]),
    )


@dataclass
class Corpus:
    """An endless, shuffled supply of windows from the dialogues of one corpus, typed in varying styles."""

    dialogues: list[Dialogue]
    tokenizer: Tokenizer
    random: random.Random
    context: int
    peers: bool  # the sides may be swapped
    pending: list[tuple[int, int, int]] = field(default_factory=list)  # dialogue, first turn, one past the last

    def _encode(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False).ids[:MOST_TOKENS]

    def _styles(self) -> dict[str, int]:
        """How each side types in a window: half of the windows as they came."""
        if self.random.random() < 0.5:
            return dict.fromkeys(tokens.SPEAKERS, style.AS_TYPED)
        return {speaker: self.random.randrange(3) for speaker in tokens.SPEAKERS}

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
        pairs: list[Pair] = []
        total = 0
        while total < budget:
            if not self.pending:
                self._refill()
            number, first, stop = self.pending.pop()
            styles = self._styles()
            swapped = self.peers and self.random.random() < 0.5
            window = [tokens.BEGIN]
            for index in range(first, stop):
                turn = self.dialogues[number][index]
                text = self._encode(style.typed(turn.text, styles[turn.speaker], self.random))
                if len(window) + len(text) + 2 > self.context:
                    break
                if index > first and text:
                    pairs.append(Pair(len(windows), len(window), number, turn.text))
                window += [tokens.side(turn.speaker, swapped), *text, tokens.END]
            windows.append(window)
            total += len(window)
        return assemble(windows, pairs, lambda reply: self._encode(style.typed(reply, self.random.randrange(3), self.random)))


def mixture(sizes: dict[str, float], seed: int) -> Iterator[str]:
    """Corpus names drawn with the given weights, endlessly."""
    draw = random.Random(seed)
    while True:
        yield draw.choices(list(sizes), weights=list(sizes.values()))[0]
