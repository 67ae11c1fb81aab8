"""The teacher of intents: `python teacher.py ENCODER DATA OUT`. A sentence encoder (MiniLM-L6, Apache-2.0) learns from messages.txt
which intents of the bank answer a message, and labels messages of the training dialogues: `OUT/labelled.jsonl`.

The encoder is a folder that transformers reads. A message and what was said before it go in as a pair. Labels of a message are
probabilities, one for each intent of the bank in its order; a line holds those above 0.02 in hundredths.
"""

import argparse
import json
import random
import time
from pathlib import Path

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
BATCH = 64  # messages


class Teacher(nn.Module):
    """A mean-pooled encoder and one logit for each intent."""

    def __init__(self, folder: Path, intents: int) -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, attn_implementation="eager")  # quicker than the fused one on short texts
        self.words = AutoTokenizer.from_pretrained(folder)
        self.head = nn.Linear(self.encoder.config.hidden_size, intents)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, -4.0)

    def forward(self, talks: list[list[str]]) -> Tensor:  # [B, intents]
        last = [talk[-1] for talk in talks]
        before = [" / ".join(talk[:-1]) for talk in talks]
        ids = self.words(last, before, truncation=True, max_length=96, padding=True, return_tensors="pt")
        with objective.mixed("cpu"):
            hidden = self.encoder(**ids).last_hidden_state.float()
        mask = ids["attention_mask"][..., None].float()
        return self.head((hidden * mask).sum(1) / mask.sum(1))


def batches(rows: list, size: int) -> list[list]:
    """Batches of rows of similar length, in random order."""
    rows = sorted(rows, key=lambda row: sum(map(len, row[0])) + random.random())
    cut = [rows[i : i + size] for i in range(0, len(rows), size)]
    random.shuffle(cut)
    return cut


def measure(teacher: Teacher, rows: list[tuple[list[str], Tensor]]) -> dict[str, float]:
    """Share of messages whose likeliest intent answers them, and of those without an answer that stay below a half everywhere."""
    teacher.eval()
    with torch.no_grad():
        logits = torch.cat([teacher([talk for talk, _ in rows[i : i + 64]]) for i in range(0, len(rows), 64)])
    teacher.train()
    truth = torch.stack([labels for _, labels in rows]).clamp(min=0.0)
    answered = truth.sum(1) > 0
    top = logits.sigmoid().max(1)
    right = truth.gather(1, top.indices[:, None]).squeeze(1)[answered].mean().item()
    return {"first": round(right, 4), "silent": round((top.values[~answered] < 0.5).float().mean().item(), 4),
            "loss": round(F.binary_cross_entropy_with_logits(logits, truth, reduction="none").sum(1).mean().item(), 4)}


def learn(teacher: Teacher, rows: list[tuple[list[str], Tensor]], kept: list, epochs: int) -> None:
    teacher.encoder.embeddings.requires_grad_(False)  # half of the weights, and each message moves only a few of them
    learning = [weight for weight in teacher.encoder.parameters() if weight.requires_grad]
    groups = [{"params": learning, "lr": 1.2e-4}, {"params": teacher.head.parameters(), "lr": 4e-3}]
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01, fused=True)
    steps = epochs * -(-len(rows) // BATCH)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda i: min((i + 1) / 60, max(0.0, (steps - i) / steps)))
    began = time.monotonic()
    for epoch in range(epochs):
        for batch in batches(rows, BATCH):
            talks = [[style.typed(text, random.randrange(3), random) for text in talk] for talk, _ in batch]
            truth = torch.stack([labels for _, labels in batch])
            loss = objective.known_loss(teacher(talks), truth)
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


def label(teacher: Teacher, folder: Path, out: Path, scale: float) -> None:
    teacher.eval()
    with open(out, "w", encoding="utf-8") as file, torch.no_grad():
        for corpus, count in SHARES.items():
            talks = sorted(messages_of(folder, corpus, round(count * scale)), key=lambda talk: sum(map(len, talk)))
            for i in range(0, len(talks), 64):
                chances = teacher(talks[i : i + 64]).sigmoid()
                for talk, row in zip(talks[i : i + 64], chances):
                    likely = {int(k): round(row[k].item() * 100) for k in (row > 0.02).nonzero().flatten()}
                    file.write(json.dumps({"talk": talk, "intents": likely}, ensure_ascii=False) + "\n")


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
    learnt, kept = [row for row in rows if not bank.is_held(row[0])], [row for row in rows if bank.is_held(row[0])]
    args.out.mkdir(parents=True, exist_ok=True)
    teacher = Teacher(args.encoder, len(intents))
    if (args.out / "teacher.pt").exists():
        teacher.load_state_dict(torch.load(args.out / "teacher.pt"))
    else:
        learn(teacher, learnt, kept, args.epochs)
        torch.save(teacher.state_dict(), args.out / "teacher.pt")
    label(teacher, args.data, args.out / "labelled.jsonl", args.scale)


if __name__ == "__main__":
    main()
