"""The bank of replies, and messages with the intents that answer them, as a corpus.

Intents are those of the bank, in its order. A message's labels are one number from 0 to 1 for each: whether, or how surely, any reply
of that intent answers it. Who wrote a message named the intents that came to mind: of one that goes along with these elsewhere and
is not named here, nothing is known.
"""

import json
import random
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor

import data
import style
import tokens

NAME = "bank"
LABELLED = "labelled"
MESSAGES = Path(__file__).with_name("messages.txt")
BANK = Path(__file__).parents[2] / "goldcrest" / "bank.txt"
BEFORE = " > "  # between the messages of a conversation
NO_INTENT = "none"
REPLIES = 2  # of each intent in a group
UNKNOWN = -1.0  # the label of an intent of which nothing is known
GOES_ALONG = 0.25  # in this share of the messages of one intent another is named too: unknown, where it is not named

Message = tuple[list[str], Tensor]  # a conversation, of which the last is to be answered, and its labels [intents]


def read_groups(path: Path) -> list[tuple[list[str], list[str]]]:
    """Groups of lines, each with the words of its heading `# ..`. A line with a slot is left out."""
    groups: list[tuple[list[str], list[str]]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            groups.append((line[2:].split(), []))
        elif line and "{" not in line:
            groups[-1][1].append(line)
    return groups


def read_bank(path: Path = BANK) -> dict[str, list[str]]:
    """The replies of each intent."""
    bank: dict[str, list[str]] = {}
    for (intent, _tone), replies in read_groups(path):
        bank.setdefault(intent, []).extend(replies)
    return {intent: replies for intent, replies in bank.items() if replies}


def read_messages(intents: list[str]) -> list[Message]:
    """The messages written for the recipe."""
    places = {intent: place for place, intent in enumerate(intents)}
    rows = []
    for named, messages in read_groups(MESSAGES):
        unknown = [intent for intent in named if intent not in places and intent != NO_INTENT]
        if unknown:
            raise SystemExit(f"{MESSAGES.name} names intents that the bank lacks: {unknown}")
        labels = torch.zeros(len(intents))
        labels[[places[intent] for intent in named if intent != NO_INTENT]] = 1.0
        rows += [(message.split(BEFORE), labels) for message in messages]
    together = torch.stack([labels for _, labels in rows])
    along = together.T @ together / together.sum(0).clamp(min=1.0)[:, None]  # [intents, intents]: how often the second is named with the first
    return [(talk, labels.masked_fill((labels == 0) & (labels @ (along > GOES_ALONG).float() > 0), UNKNOWN)) for talk, labels in rows]


def read_labelled(path: Path, intents: int) -> list[Message]:
    """What teacher.py labelled. Intents that joined the bank's end since have `UNKNOWN` as their label."""
    read = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = 1 + max(int(intent) for row in read for intent in row["intents"])
    rows = []
    for row in read:
        labels = torch.zeros(intents)
        labels[known:] = UNKNOWN
        for intent, hundredths in row["intents"].items():
            labels[int(intent)] = hundredths / 100
        rows.append((row["talk"], labels))
    return rows


def is_held(talk: list[str]) -> bool:
    """Whether a message is set aside to choose settings with."""
    return zlib.crc32(talk[-1].encode()) % 12 == 0


def window(talk: list[str], swapped: bool, encode: Callable[[str], list[int]]) -> list[int]:
    """A conversation up to the token of the side that replies."""
    ids = [tokens.BEGIN]
    for at, text in enumerate(talk):
        speaker = "customer" if (len(talk) - at) % 2 else "agent"
        ids += [tokens.side(speaker, swapped), *encode(text), tokens.END]
    return [*ids, tokens.side("agent", swapped)]


@dataclass
class Group:
    """Messages, replies of every intent, and which of these answer which messages."""

    windows: list[data.Sequences]
    replies: list[data.Sequences]
    context_at: Tensor  # [P] index into the concatenated, flattened windows
    reply_at: Tensor  # [intents, REPLIES] index into the concatenated, flattened replies
    labels: Tensor  # [P, intents]

    def to(self, device: str) -> "Group":
        """The same on a device."""
        windows, replies = ([batch.to(device) for batch in batches] for batches in (self.windows, self.replies))
        return Group(windows, replies, *(t.to(device) for t in (self.context_at, self.reply_at, self.labels)))


@dataclass
class Answers:
    """An endless supply of messages with their labels, and of replies drawn anew each time."""

    messages: list[Message]
    bank: dict[str, list[str]]
    tokenizer: Tokenizer
    random: random.Random

    def _encode(self, text: str) -> list[int]:
        typed = style.typed(text, self.random.randrange(3), self.random)
        return self.tokenizer.encode(typed, add_special_tokens=False).ids[: data.MOST_TOKENS]

    def group(self, budget: int) -> Group:
        """Messages of about `budget` tokens together."""
        windows: list[list[int]] = []
        labels: list[Tensor] = []
        while sum(map(len, windows)) < budget:
            talk, truth = self.random.choice(self.messages)
            windows.append(window(talk, self.random.random() < 0.5, self._encode))
            labels.append(truth)
        replies = [
            [tokens.REPLY, *self._encode(reply), tokens.END]
            for lines in self.bank.values()
            for reply in self.random.sample(lines, REPLIES)
        ]
        padded, at = data.pad(windows)
        padded_replies, reply_at = data.pad(replies)
        return Group(
            padded,
            padded_replies,
            torch.tensor([start + len(window) - 1 for start, window in zip(at, windows)]),
            torch.tensor([start + len(reply) - 1 for start, reply in zip(reply_at, replies)]).view(-1, REPLIES),
            torch.stack(labels),
        )
