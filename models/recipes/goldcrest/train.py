"""Train goldcrest: `python train.py DATA OUT --steps 6000`. A run that was stopped goes on from its last checkpoint.

The learning rate rises, stays, and falls over the last `--decay` steps, in which the weights are rounded as for int4. The
state before the fall is kept as `stable.pt`: the same command with more steps goes on from there.
"""

import argparse
import json
import math
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

import bank
import data
import shipped
import objective
import tokens
from model import Decoder, Matrix, Shape

SHARES = {"sgd": 0.32, "smalltalk": 0.18, "coffee": 0.07, "everyday": 0.43}  # how often a group is drawn from each corpus
DISTILLED_SHARE = 0.15  # of the groups, where there is distilled text; the others give way evenly, as they do for the bank
MESSAGES_BUDGET = {bank.NAME: 3.0, bank.LABELLED: 3.0}  # of --budget: such a group also holds replies of every intent
WARM_UP = 50  # steps
HEAD_BITS = 8  # of the embedding and output matrix in the int4 export
CHECKPOINT = "checkpoint.pt"
STABLE = "stable.pt"  # the state before the learning rate falls


@dataclass
class State:
    """All that a checkpoint holds."""

    model: Decoder
    scale: nn.Parameter  # logarithm of 1 / temperature
    gain: nn.Parameter  # of the cosine, for how surely a reply answers
    offset: nn.Parameter  # added to it
    optimisers: list[torch.optim.Optimizer]
    step: int = 0
    minutes: float = 0.0
    falling_from: int = 0  # the step from which the learning rate falls, once it does

    @property
    def device(self) -> str:
        """Where the network is."""
        return self.scale.device.type

    def save(self, path: Path) -> None:
        """Write beside the old checkpoint, then rename over it."""
        beside = path.with_suffix(".part")
        content = {
            "model": self.model.state_dict(),
            "scale": self.scale.detach(),
            "gain": self.gain.detach(),
            "offset": self.offset.detach(),
            "optimisers": [o.state_dict() for o in self.optimisers],
            "step": self.step,
            "minutes": self.minutes,
            "falling_from": self.falling_from,
        }
        torch.save(content, beside)
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        """Take over a checkpoint."""
        content = torch.load(path, weights_only=True, map_location=self.device)
        self.model.load_state_dict(content["model"])
        for name in ("scale", "gain", "offset"):
            getattr(self, name).data.copy_(content[name])
        for optimiser, saved in zip(self.optimisers, content["optimisers"], strict=True):
            optimiser.load_state_dict(saved)
        self.step, self.minutes, self.falling_from = content["step"], content["minutes"], content["falling_from"]

    def resume(self, out: Path, falls_from: int) -> bool:
        """Take over the last checkpoint, or the state before its learning rate fell if the plan has more steps than it had."""
        if not (out / CHECKPOINT).exists():
            return False
        self.load(out / CHECKPOINT)
        if self.falling_from and self.falling_from < falls_from:
            self.load(out / STABLE)
        return True


def start_state(args: argparse.Namespace) -> State:
    """A model with random weights and its optimisers: Muon for the layers' matrices, AdamW for the rest."""
    torch.manual_seed(args.seed)
    model = Decoder(Shape(dropout=args.dropout)).to(args.device)
    scale, gain, offset = (nn.Parameter(torch.tensor(value, device=args.device)) for value in (math.log(1 / 0.07), 10.0, -7.0))
    matrices = [m.weight for m in model.layers.modules() if isinstance(m, Matrix)]
    norms = [p for p in model.parameters() if p.dim() == 1]
    muon = torch.optim.Muon(matrices, lr=args.matrix_rate, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adam = torch.optim.AdamW(
        [
            {"params": [model.embed_tokens.weight], "weight_decay": 0.01},
            {"params": [*norms, scale, gain, offset], "weight_decay": 0.0},
        ],
        lr=args.rate,
        betas=(0.9, 0.97),
        fused=True,
    )
    return State(model, scale, gain, offset, [muon, adam])


def rate_factor(step: int, steps: int, decay: int) -> float:
    """Linear warm-up, a plateau, and a linear fall to a fiftieth over the last `decay` steps."""
    rise = (step + 1) / WARM_UP
    fall = (steps - step) / max(decay, 1)
    return min(rise, 1.0, max(0.02, fall))


def prepare_tokenizer(data_dir: Path, out: Path, start: Path | None) -> Tokenizer:
    """Learn the tokenizer unless an earlier run did, or take that of the weights that the training begins from."""
    folder = out / "tokenizer"
    if start and not folder.exists():
        folder.mkdir(parents=True)
        for name in tokens.FILES:
            shutil.copy(start / name, folder / name)
    if not (folder / "tokenizer.json").exists():
        texts = [turn.text for name in data.CORPORA for d in data.read_train(data_dir, name)[0] for turn in d]
        tokens.save(tokens.learn(texts), folder, Shape().context)
    return tokens.load(folder)


def held_out_losses(state: State, held: dict[str, list[data.Group]]) -> dict[str, list[float]]:
    """Next-token loss, ranking loss and share ranked first of each corpus's held-out groups."""
    state.model.eval()
    result = {}
    with torch.no_grad(), objective.mixed(state.device):
        encoder = lambda ids: state.model(ids)[0]
        for name, groups in held.items():
            sums = torch.stack([torch.stack(losses(state, encoder, g.to(state.device), 1.0)[1:]) for g in groups])
            result[name] = [round(value, 4) for value in sums.mean(0).tolist()]
    state.model.train()
    return result


def losses(state: State, encoder: objective.Encoder, group: data.Group | bank.Group, weight: float) -> tuple[Tensor, ...]:
    """The loss to go down, and for the log: next-token loss or that of intents, ranking loss, share ranked first."""
    if isinstance(group, bank.Group):
        cross, first = objective.intent_losses(state.model, encoder, state.gain, state.offset, group)
        return cross * weight, cross, torch.zeros(()), first
    nats, ranking, first = objective.losses(state.model, encoder, state.scale, group)
    return nats + weight * ranking, nats, ranking, first


def train_step(state: State, encoder: objective.Encoder, groups: list[data.Group], factor: float, weight: float) -> Tensor:
    """One optimiser step over the groups. Returns the mean losses and share ranked first: [3]."""
    totals = torch.zeros(3)
    for group in groups:
        with objective.mixed(state.device):
            loss, *shown = losses(state, encoder, group.to(state.device), weight)
        (loss / len(groups)).backward()
        totals += torch.stack([value.detach() for value in shown]).cpu() / len(groups)
    nn.utils.clip_grad_norm_(state.model.parameters(), 1.0)
    for optimiser in state.optimisers:
        for parameters in optimiser.param_groups:
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


def shares(args: argparse.Namespace) -> dict[str, float]:
    """How often a group is drawn from each corpus."""
    others = {bank.NAME: args.bank_share}
    if args.labelled:
        others[bank.LABELLED] = args.labelled_share
    if args.distilled:
        others[data.DISTILLED] = DISTILLED_SHARE
    left = 1 - sum(others.values())
    return {**{name: share * left for name, share in SHARES.items()}, **others}


def batches(supplies: "Supplies", args: argparse.Namespace, seed: int) -> Iterator[list[data.Group]]:
    """The groups of each step, every group of one corpus."""
    names = data.mixture(shares(args), seed)
    while True:
        drawn = [next(names) for _ in range(args.groups)]
        yield [supplies.corpora[name].group(round(args.budget * MESSAGES_BUDGET.get(name, 1.0))) for name in drawn]


@dataclass
class Supplies:
    """What the training reads: endless windows of each corpus, and fixed groups that are held out."""

    corpora: dict[str, data.Corpus | bank.Answers]
    held: dict[str, list[data.Group]]

    @staticmethod
    def load(args: argparse.Namespace, tokenizer: Tokenizer, seed: int) -> "Supplies":
        """Read and encode the training dialogues."""
        corpora, held = {}, {}
        read = {name: data.read_train(args.data, name) for name in data.CORPORA}
        if args.distilled:
            read[data.DISTILLED] = data.read_distilled(args.distilled)
        for name, (learn, kept) in read.items():
            supply = lambda dialogues, seed: data.Corpus(dialogues, tokenizer, random.Random(seed), Shape().context, name in data.PEERS)
            corpora[name], aside = supply(learn, seed), supply(kept, 1)
            if kept:
                held[name] = [aside.group(5000) for _ in range(2)]
        replies = bank.read_bank()
        written = bank.read_messages(list(replies))
        answers = lambda messages, seed: bank.Answers(messages, replies, tokenizer, random.Random(seed))
        corpora[bank.NAME] = answers([row for row in written if not bank.is_held(row[0])], seed)
        held[bank.NAME] = [answers([row for row in written if bank.is_held(row[0])], 1).group(16000)]
        if args.labelled:
            corpora[bank.LABELLED] = answers(bank.read_labelled(args.labelled, len(replies)), seed)
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
    """Train until the steps are done or a signal to end comes."""
    tokenizer = prepare_tokenizer(args.data, args.out, args.start)
    state = start_state(args)
    falls_from = args.steps - args.decay
    if not state.resume(args.out, falls_from) and args.start:
        smaller, beside = shipped.load(args.start)
        state.model.load_state_dict(smaller.state_dict())
        for name, value in beside.items():
            getattr(state, name).data.copy_(value)
    for optimiser, rate in zip(state.optimisers, (args.matrix_rate, args.rate), strict=True):
        for parameters in optimiser.param_groups:
            parameters["base_lr"] = rate
    supplies = Supplies.load(args, tokenizer, args.seed + state.step)
    if args.compile:
        torch._dynamo.config.recompile_limit = 32  # each combination of training, gradients and rounding is a graph of its own
    forward = torch.compile(state.model, dynamic=True) if args.compile else state.model
    encoder = lambda ids: forward(ids)[0]
    reporter = Reporter(args, state, supplies.held)
    asked_to_stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: asked_to_stop.append(number))
    began, before = time.monotonic(), state.minutes
    state.model.train()
    for groups in batches(supplies, args, args.seed + state.step):
        if asked_to_stop or state.step >= args.steps:
            break
        if state.step >= falls_from and state.model.embed_tokens.bits is None:
            if not state.falling_from:
                state.save(args.out / STABLE)
                state.falling_from = falls_from
            state.model.quantise(4, HEAD_BITS)
        factor = rate_factor(state.step, args.steps, args.decay)
        losses = train_step(state, encoder, groups, factor, args.ranking_weight)
        state.step += 1
        state.minutes = before + (time.monotonic() - began) / 60
        reporter.after_step(losses)
    reporter.save()
    if not asked_to_stop:
        reporter.write_held_out()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with the *_train.jsonl files")
    parser.add_argument("out", type=Path, help="folder for the tokenizer, checkpoint and log")
    parser.add_argument("--steps", type=int, default=6000, help="length of the training")
    parser.add_argument("--decay", type=int, default=800, help="last steps, in which the learning rate falls and weights are rounded")
    parser.add_argument("--start", type=Path, metavar="FOLDER", help="begin from the weights of an int4 folder")
    parser.add_argument("--bank-share", type=float, default=0.2, help="share of groups from messages.txt and the bank")
    parser.add_argument("--labelled", type=Path, metavar="FILE", help="what teacher.py labelled, to train on as well")
    parser.add_argument("--labelled-share", type=float, default=0.3, help="share of groups from those")
    parser.add_argument("--distilled", type=Path, metavar="FILE", help="what distil.py wrote, to train on as well")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--groups", type=int, default=2, help="groups in a step, each of one corpus")
    parser.add_argument("--budget", type=int, default=5000, help="tokens of dialogue in a group")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="learning rate of AdamW")
    parser.add_argument("--matrix-rate", type=float, default=3e-3, help="learning rate of Muon")
    parser.add_argument("--ranking-weight", type=float, default=1.0)
    parser.add_argument("--dropout", type=float, default=0.0)
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
