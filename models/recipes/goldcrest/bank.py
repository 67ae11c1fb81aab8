"""The bank of replies and the messages written for it, as a corpus: a message, and a reply of an intent that answers it."""

import random
import zlib
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

import data
import style
import tokens

NAME = "bank"
MESSAGES = Path(__file__).with_name("messages.txt")
BANK = Path(__file__).parents[2] / "goldcrest" / "bank.txt"


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


@dataclass
class Answers:
    """An endless supply of messages with a reply each, drawn anew each time."""

    messages: list[tuple[str, list[str]]]  # a message, and the intents that answer it
    bank: dict[str, list[str]]
    tokenizer: Tokenizer
    random: random.Random

    @staticmethod
    def load(tokenizer: Tokenizer, seed: int) -> tuple["Answers", "Answers"]:
        """The messages to learn from, and those held out."""
        bank = read_bank()
        split: tuple[list, list] = ([], [])
        for intents, messages in read_groups(MESSAGES):
            unknown = [intent for intent in intents if intent not in bank]
            if unknown:
                raise SystemExit(f"{MESSAGES.name} names intents that the bank lacks: {unknown}")
            for message in messages:
                split[zlib.crc32(message.encode()) % data.HELD_OUT == 0].append((message, intents))
        learn, held = (Answers(messages, bank, tokenizer, random.Random(seed)) for messages in split)
        return learn, held

    def _encode(self, text: str) -> list[int]:
        typed = style.typed(text, self.random.randrange(3), self.random)
        return self.tokenizer.encode(typed, add_special_tokens=False).ids

    def group(self, budget: int) -> data.Group:
        """Messages with a reply each. A reply of an intent that answers a message as well does not count as wrong for it."""
        windows: list[list[int]] = []
        pairs: list[data.Pair] = []
        drawn: list[tuple[str, list[str]]] = []  # the intent of each reply, and those that answer its message
        total = 0
        while total < budget:
            message, intents = self.random.choice(self.messages)
            intent = self.random.choice(intents)
            reply = self.random.choice(self.bank[intent])
            swapped = self.random.random() < 0.5
            said = [tokens.side("customer", swapped), *self._encode(message), tokens.END]
            answered = [tokens.side("agent", swapped), *self._encode(reply), tokens.END]
            pairs.append(data.Pair(len(windows), 1 + len(said), len(windows), reply))
            windows.append([tokens.BEGIN, *said, *answered])
            drawn.append((intent, intents))
            total += len(windows[-1])
        group = data.assemble(windows, pairs, self._encode)
        group.same |= torch.tensor([[intent in intents for intent, _ in drawn] for _, intents in drawn])
        return group
