"""Train goldcrest: `python train.py DATA OUT --minutes 90`. A run that was stopped goes on from its last checkpoint."""

import argparse
import json
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

import data
import objective
import tokens
from model import Decoder, Matrix, Shape

SHARES = {"sgd": 0.62, "smalltalk": 0.27, "coffee": 0.11}  # how often a group is drawn from each corpus
GROUPS = 2  # per step
HEAD_BITS = 8  # of the embedding and output matrix in the int4 export
CHECKPOINT = "checkpoint.pt"


@dataclass
class State:
    """All that a checkpoint holds."""

    model: Decoder
    scale: nn.Parameter  # logarithm of 1 / temperature
    optimisers: list[torch.optim.Optimizer]
    step: int = 0
    minutes: float = 0.0

    def save(self, path: Path) -> None:
        """Write beside the old checkpoint, then rename over it."""
        beside = path.with_suffix(".part")
        content = {
            "model": self.model.state_dict(),
            "scale": self.scale.detach(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
            "minutes": self.minutes,
        }
        torch.save(content, beside)
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        """Take over a checkpoint."""
        content = torch.load(path, weights_only=True)
        self.model.load_state_dict(content["model"])
        self.scale.data.copy_(content["scale"])
        for optimiser, saved in zip(self.optimisers, content["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.minutes = content["step"], content["minutes"]


def start_state(args: argparse.Namespace) -> State:
    """A model with random weights and its optimisers: Muon for the layers' matrices, AdamW for the rest."""
    torch.manual_seed(args.seed)
    model = Decoder(Shape(dropout=args.dropout))
    scale = nn.Parameter(torch.tensor(1 / 0.07).log())
    matrices = [m.weight for m in model.layers.modules() if isinstance(m, Matrix)]
    norms = [p for p in model.parameters() if p.dim() == 1]
    muon = torch.optim.Muon(matrices, lr=args.matrix_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(
        [
            {"params": [model.embed_tokens.weight], "weight_decay": 0.01},
            {"params": [*norms, scale], "weight_decay": 0.0},
        ],
        lr=args.rate,
        betas=(0.9, 0.97),
        fused=True,
    )
    return State(model, scale, [muon, adam])


def rate_factor(progress: float) -> float:
    """Linear warm-up over the first hundredth, then linear decay to a fiftieth."""
    return min(progress / 0.01 + 0.01, 1.0, max(0.02, 1.01 - progress))


def prepare_tokenizer(data_dir: Path, out: Path) -> Tokenizer:
    """Learn the tokenizer unless an earlier run did."""
    folder = out / "tokenizer"
    if not (folder / "tokenizer.json").exists():
        texts = [turn.text for name in data.CORPORA for d in data.read_train(data_dir, name)[0] for turn in d]
        tokens.save(tokens.learn(texts), folder, Shape().context)
    return tokens.load(folder)


def held_out_losses(state: State, held: dict[str, list[data.Group]]) -> dict[str, list[float]]:
    """Next-token loss, ranking loss and share ranked first of each corpus's held-out groups."""
    state.model.eval()
    result = {}
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        encoder = lambda ids: state.model(ids)[0]
        for name, groups in held.items():
            sums = torch.stack([torch.stack(objective.losses(state.model, encoder, state.scale, g)) for g in groups])
            result[name] = [round(value, 4) for value in sums.mean(0).tolist()]
    state.model.train()
    return result


def train_step(state: State, encoder: objective.Encoder, groups: list[data.Group], factor: float, weight: float) -> Tensor:
    """One optimiser step over the groups. Returns the mean losses and share ranked first: [3]."""
    totals = torch.zeros(3)
    for group in groups:
        with torch.autocast("cpu", torch.bfloat16):
            nats, ranking, first = objective.losses(state.model, encoder, state.scale, group)
        ((nats + weight * ranking) / len(groups)).backward()
        totals += torch.stack((nats.detach(), ranking.detach(), first)) / len(groups)
    nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    for optimiser in state.optimisers:
        for parameters in optimiser.param_groups:
            parameters.setdefault("base_lr", parameters["lr"])
            parameters["lr"] = parameters["base_lr"] * factor
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return totals


def log(out: Path, row: dict) -> None:
    """Add a line to the log and show it."""
    line = json.dumps(row)
    print(line, flush=True)
    with open(out / "train.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")


def batches(corpora: dict[str, data.Corpus], seed: int, budget: int) -> Iterator[list[data.Group]]:
    """The groups of each step, every group of one corpus."""
    names = data.mixture(SHARES, seed)
    while True:
        yield [corpora[next(names)].group(budget) for _ in range(GROUPS)]


@dataclass
class Supplies:
    """What the training reads: endless windows of each corpus, and fixed groups that are held out."""

    corpora: dict[str, data.Corpus]
    held: dict[str, list[data.Group]]

    @staticmethod
    def load(args: argparse.Namespace, tokenizer: Tokenizer, seed: int) -> "Supplies":
        """Read and encode the training dialogues."""
        corpora, held = {}, {}
        for name in data.CORPORA:
            learn, kept = data.read_train(args.data, name)
            corpora[name] = data.Corpus.encode(learn, tokenizer, seed, Shape().context)
            aside = data.Corpus.encode(kept, tokenizer, 1, Shape().context)
            held[name] = [aside.group(5000) for _ in range(2)]
        return Supplies(corpora, held)


class Reporter:
    """Writes means of the losses, held-out losses and checkpoints at their intervals."""

    def __init__(self, args: argparse.Namespace, state: State, held: dict[str, list[data.Group]]) -> None:
        self.args, self.state, self.held = args, state, held
        self.sums, self.count = torch.zeros(3), 0
        self.saved = self.reported = time.monotonic()

    def after_step(self, losses: Tensor) -> None:
        """Take in the losses of a step, and write whatever is due."""
        self.sums += losses
        self.count += 1
        now = time.monotonic()
        if self.state.step % 25 == 0:
            self._write_means()
        if now - self.reported > 60 * self.args.report_minutes:
            self.write_held_out()
            self.reported = time.monotonic()
        if now - self.saved > 60 * self.args.save_minutes:
            self.save()
            self.saved = now

    def _write_means(self) -> None:
        nats, ranking, first = (round(value, 4) for value in (self.sums / self.count).tolist())
        row = {"step": self.state.step, "minutes": round(self.state.minutes, 2), "nats": nats, "ranking": ranking, "first": first}
        log(self.args.out, {**row, "scale": round(self.state.scale.exp().item(), 2)})
        self.sums, self.count = torch.zeros(3), 0

    def write_held_out(self) -> None:
        """Measure the held-out groups."""
        log(self.args.out, {"step": self.state.step, "held_out": held_out_losses(self.state, self.held)})

    def save(self) -> None:
        """Write the checkpoint."""
        self.state.save(self.args.out / CHECKPOINT)


def train(args: argparse.Namespace) -> None:
    """Train until the minutes are used up; time that the run was stopped does not count."""
    tokenizer = prepare_tokenizer(args.data, args.out)
    state = start_state(args)
    if (args.out / CHECKPOINT).exists():
        state.load(args.out / CHECKPOINT)
    supplies = Supplies.load(args, tokenizer, args.seed + state.step)
    forward = torch.compile(state.model, dynamic=True) if args.compile else state.model
    encoder = lambda ids: forward(ids)[0]
    reporter = Reporter(args, state, supplies.held)
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_stop.append(number))
    began, before = time.monotonic(), state.minutes
    state.model.train()
    for groups in batches(supplies.corpora, args.seed + state.step, args.budget):
        progress = state.minutes / args.minutes
        if asked_to_stop or progress >= 1 or (args.steps and state.step >= args.steps):
            break
        if progress >= args.quantise_from and state.model.embed_tokens.bits is None:
            state.model.quantise(4, HEAD_BITS)
        losses = train_step(state, encoder, groups, rate_factor(progress), args.ranking_weight)
        state.step += 1
        state.minutes = before + (time.monotonic() - began) / 60
        reporter.after_step(losses)
    reporter.save()
    if not asked_to_stop:
        reporter.write_held_out()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with sgd_train.jsonl, coffee_train.jsonl, smalltalk_train.jsonl")
    parser.add_argument("out", type=Path, help="folder for the tokenizer, checkpoint and log")
    parser.add_argument("--minutes", type=float, default=100.0, help="length of the training in minutes")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps, for trials")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--budget", type=int, default=4500, help="tokens of dialogue in a group")
    parser.add_argument("--rate", type=float, default=2e-3, help="learning rate of AdamW")
    parser.add_argument("--matrix-rate", type=float, default=4e-3, help="learning rate of Muon")
    parser.add_argument("--ranking-weight", type=float, default=1.0)
    parser.add_argument("--dropout", type=float, default=0.0)
    parser.add_argument("--quantise-from", type=float, default=0.8, help="share of the training after which weights are quantised")
    parser.add_argument("--save-minutes", type=float, default=3.0)
    parser.add_argument("--report-minutes", type=float, default=6.0)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--compile", action="store_true", help="with torch.compile; needs a C++ compiler, and minutes to start")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    train(args)


if __name__ == "__main__":
    main()
