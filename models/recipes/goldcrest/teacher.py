"""The teacher of intents: `python teacher.py ENCODER DATA OUT`. A sentence encoder (MiniLM-L6, Apache-2.0) learns from messages.txt
which intents of the bank answer a message, and labels these messages and those of the training dialogues: `OUT/labelled.jsonl`, and
with its unit vector of each `OUT/labelled.npy`.

The encoder is a folder that transformers reads. A message and what was said before it go in as a pair. Labels of a message are
probabilities, one for each intent of the bank in its order; a line holds those above 0.02 in hundredths.
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
from transformers import AutoModel, AutoTokenizer

import bank
import data
import objective
import style

SHARES = {"everyday": 60_000, "sgd": 12_000, "coffee": 3_000, "smalltalk": 5_000}  # messages labelled of each corpus
MOST_WORDS = 40


class Teacher(nn.Module):
    """A mean-pooled encoder and one logit for each intent."""

    def __init__(self, folder: Path, intents: int) -> None:
        super().__init__()
        self.narrow = objective.half("cpu")
        self.encoder = AutoModel.from_pretrained(folder)
        self.words = AutoTokenizer.from_pretrained(folder)
        self.head = nn.Linear(self.encoder.config.hidden_size, intents)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -4.0)

    def meaning(self, talks: list[list[str]]) -> Tensor:  # [B, bank.MEANING]
        last = [talk[-1] for talk in talks]
        before = [" / ".join(talk[:-1]) for talk in talks]
        ids = self.words(last, before, truncation=True, max_length=96, padding=True, return_tensors="pt")
        with torch.autocast("cpu", self.narrow, enabled=self.narrow != torch.float32):
            hidden = self.encoder(**ids).last_hidden_state.float()
        mask = ids["attention_mask"][..., None].float()
        return (hidden * mask).sum(1) / mask.sum(1)

    def forward(self, talks: list[list[str]]) -> Tensor:  # [B, intents]
        return self.head(self.meaning(talks))


def batches(rows: list[bank.Message], size: int) -> list[list[bank.Message]]:
    """Batches of rows of similar length, in random order."""
    rows = sorted(rows, key=lambda row: sum(map(len, row.talk)) + random.random())
    cut = [rows[i : i + size] for i in range(0, len(rows), size)]
    random.shuffle(cut)
    return cut


def measure(teacher: Teacher, rows: list[bank.Message]) -> dict[str, float]:
    """Share of messages whose likeliest intent answers them, and of those without an answer that stay below a half everywhere."""
    teacher.eval()
    with torch.no_grad():
        logits = torch.cat([teacher([row.talk for row in rows[i : i + 64]]) for i in range(0, len(rows), 64)])
    teacher.train()
    truth = torch.stack([row.labels for row in rows])
    answered = truth.sum(1) > 0
    top = logits.sigmoid().max(1)
    right = truth.gather(1, top.indices[:, None]).squeeze(1)[answered].mean().item()
    return {"first": round(right, 4), "silent": round((top.values[~answered] < 0.5).float().mean().item(), 4),
            "loss": round(F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1).mean().item(), 4)}


def learn(teacher: Teacher, rows: list[bank.Message], kept: list[bank.Message], epochs: int) -> None:
    groups = [{"params": teacher.encoder.parameters(), "lr": 1.2e-4}, {"params": teacher.head.parameters(), "lr": 4e-3}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    steps = epochs * -(-len(rows) // 48)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: min((i + 1) / 60, max(0.0, (steps - i) / steps)))
    began = time.monotonic()
    for epoch in range(epochs):
        for batch in batches(rows, 48):
            talks = [[style.typed(text, random.randrange(3), random) for text in row.talk] for row in batch]
            truth = torch.stack([row.labels for row in batch])
            loss = F.binary_cross_entropy_with_logits(teacher(talks), truth, reduction="none").sum(1).mean()
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        print(json.dumps({"epoch": epoch + 1, "minutes": round((time.monotonic() - began) / 60, 1), **measure(teacher, kept)}), flush=True)


def messages_of(folder: Path, corpus: str, count: int) -> list[list[str]]:
    """Messages of training dialogues with up to two before each."""
    talks = []
    for dialogue in data.read_train(folder, corpus)[0]:
        for at in range(len(dialogue)):
            talk = [turn.text for turn in dialogue[max(0, at - random.choice((0, 1, 2))) : at + 1]]
            if 0 < len(talk[-1].split()) <= MOST_WORDS:
                talks.append(talk)
    random.shuffle(talks)
    return talks[:count]


def label(teacher: Teacher, talks: list[list[str]], out: Path) -> None:
    teacher.eval()
    talks = sorted(talks, key=lambda talk: sum(map(len, talk)))
    vectors = []
    with open(out, "w", encoding="utf-8") as file, torch.no_grad():
        for i in range(0, len(talks), 64):
            meanings = teacher.meaning(talks[i : i + 64])
            vectors.append(F.normalize(meanings, dim=1).half())
            for talk, row in zip(talks[i : i + 64], teacher.head(meanings).sigmoid()):
                likely = {int(k): round(row[k].item() * 100) for k in (row > 0.02).nonzero().flatten()}
                file.write(json.dumps({"talk": talk, "intents": likely}, ensure_ascii=False) + "\n")
    numpy.save(out.with_suffix(".npy"), torch.cat(vectors).numpy())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the messages to label")
    args = parser.parse_args()
    random.seed(7)
    torch.manual_seed(7)
    intents = list(bank.read_bank())
    rows = bank.read_messages(intents)
    learnt, kept = ([row for row in rows if row.is_held() == held] for held in (False, True))
    args.out.mkdir(parents=True, exist_ok=True)
    teacher = Teacher(args.encoder, len(intents))
    if (args.out / "teacher.pt").exists():
        teacher.load_state_dict(torch.load(args.out / "teacher.pt"))
    else:
        learn(teacher, learnt, kept, args.epochs)
        torch.save(teacher.state_dict(), args.out / "teacher.pt")
    talks = [row.talk for row in rows]
    for corpus, count in SHARES.items():
        talks += messages_of(args.data, corpus, round(count * args.scale))
    label(teacher, talks, args.out / "labelled.jsonl")


if __name__ == "__main__":
    main()
