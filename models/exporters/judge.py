"""What Kinglet makes of a folder, beside transformers on the checkpoint and ONNX Runtime on the very graph."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import golden
from runnable import runnable

Floats = npt.NDArray[np.float32]
EXACT, HALF = 1e-3, 1e-2  # largest logit difference, relative to the largest logit: float32, and where float16 rounds
STEPS = 64
END = 0  # the token that ends a text in every checkpoint


@dataclass(frozen=True)
class Verdict:
    """`word`: equal, as ORT, refused, WRONG or none; `why`: the refusal, or the figures."""

    word: str
    why: str = ""


class Reference:
    """Transformers on a checkpoint: each prompt, 64 greedy tokens after it, and the logits of both together."""

    def __init__(self, checkpoint: Path, vocab: int, lengths: tuple[int, ...], kept: Path) -> None:
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            np.savez(kept, **self.compute(checkpoint, vocab, lengths))
        stored = np.load(kept)
        self.prompts: list[list[int]] = [stored[f"ids{n}"].tolist() for n in lengths]
        self.greedy: list[list[int]] = [stored[f"greedy{n}"].tolist() for n in lengths]
        self.logits: list[Floats] = [stored[f"logits{n}"] for n in lengths]

    @staticmethod
    def compute(checkpoint: Path, vocab: int, lengths: tuple[int, ...]) -> dict[str, npt.NDArray[Any]]:
        runner, found = golden.Transformers(checkpoint), {}
        for length in lengths:
            ids, greedy = golden.prompt(length, vocab), []
            runner.start()
            rows = [runner.feed(ids)]
            for _ in range(STEPS):
                greedy.append(int(rows[-1][-1].argmax()))
                rows.append(runner.feed(greedy[-1:]))
            found |= {f"ids{length}": np.array(ids), f"greedy{length}": np.array(greedy), f"logits{length}": np.concatenate(rows)}
        return found

    def sequences(self) -> list[list[int]]:
        return [ids + greedy for ids, greedy in zip(self.prompts, self.greedy, strict=True)]


def relative(got: list[Floats], want: list[Floats]) -> float:
    """The largest difference, as a part of the largest logit wanted."""
    if any(not np.isfinite(a).all() for a in got):
        return float("inf")
    return float(max(np.abs(a - b).max() for a, b in zip(got, want, strict=True)) / max(np.abs(b).max() for b in want))


def chosen(prompts: list[list[int]], logits: list[Floats]) -> list[list[int]]:
    """The likeliest token behind the prompt and behind each token after it."""
    return [rows[len(ids) - 1 : -1].argmax(axis=-1).tolist() for ids, rows in zip(prompts, logits, strict=True)]


class Refused(Exception):
    """The sentence that the command ended with."""


class Command:
    """The kinglet command."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self.path, self.scratch, self.file = path, scratch, scratch / "got.npy"

    def run(self, *arguments: str | Path) -> str:
        done = subprocess.run([str(a) for a in (self.path, *arguments)], capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["it said nothing"]
            raise Refused(f"{'' if done.returncode == 1 else f'exit code {done.returncode}: '}{lines[-1]}")
        return done.stdout

    def logits(self, folder: Path, ids: list[int], *options: str) -> Floats:
        listed = ",".join(map(str, ids))
        self.run("logits", "-m", folder, "--engine", "tract", "--ids", listed, "--positions", "all", "--out", self.file, *options)
        return np.load(self.file)

    def greedy(self, folder: Path, ids: list[int], *options: str) -> list[int]:
        """The likeliest tokens one after the other, with a cache, up to the end of the text."""
        listed = ",".join(map(str, ids))
        return json.loads(self.run("run", "-m", folder, "--engine", "tract", "--ids", listed, "-n", str(STEPS), "--json", *options))["tokens"]


def until_end(tokens: list[int]) -> list[int]:
    return tokens[: tokens.index(END)] if END in tokens else tokens


class OnnxRuntime:
    """The graph itself, node by node in float32 arithmetic, each sequence whole."""

    def __init__(self, graph: Path) -> None:
        self.runner = golden.OnnxRuntime(graph, exact=True)

    def logits(self, sequences: list[list[int]]) -> list[Floats]:
        found = []
        for ids in sequences:
            self.runner.start()
            found.append(self.runner.feed(ids))
        return found


def by_onnxruntime(graph: Path, scratch: Path, sequences: list[list[int]]) -> tuple[list[Floats] | None, str]:
    """Logits, or why ONNX Runtime gives none."""
    try:
        return OnnxRuntime(runnable(graph, scratch / "runnable")).logits(sequences), ""
    except Exception as error:  # whatever the runtime or a rewrite of the graph fails with
        return None, f"ONNX Runtime: {str(error).splitlines()[0]}"


def as_transformers(command: Command, folder: Path, reference: Reference, bound: float) -> tuple[bool, float]:
    """Whether logits and greedy tokens, read whole and step by step, are those of transformers; and the distance."""
    ours = [command.logits(folder, ids, "--exact") for ids in reference.sequences()]
    far = relative(ours, reference.logits)
    if far > bound or (bound == EXACT and chosen(reference.prompts, ours) != reference.greedy):
        return False, far
    stepwise = [until_end(command.greedy(folder, ids, "--exact")) for ids in reference.prompts]
    return bound != EXACT or stepwise == [until_end(g) for g in reference.greedy], far


def judge(command: Command, folder: Path, reference: Reference, precision: str) -> Verdict:
    """`precision`: float32, float16 or quantised."""
    bound = EXACT if precision == "float32" else HALF
    try:
        alike, far = as_transformers(command, folder, reference, bound)
        if alike and precision != "quantised":
            return Verdict("equal", f"{far:.1e}")
        own = [until_end(command.greedy(folder, ids, "--exact")) for ids in reference.prompts]
        sequences = [ids + tokens for ids, tokens in zip(reference.prompts, own, strict=True)]
        ours = [command.logits(folder, ids, "--exact") for ids in sequences]
    except Refused as refusal:
        return Verdict("refused", str(refusal))
    theirs, why = by_onnxruntime(folder / "model.onnx", command.scratch, sequences)
    if theirs is None:
        return Verdict("unjudged", f"{far:.1e} from transformers; {why}")
    apart = relative(ours, theirs)
    figures = f"{apart:.1e} from ONNX Runtime, {far:.1e} from transformers"
    bound = HALF if precision == "float16" else EXACT
    return Verdict("as ORT" if apart <= bound and followed(reference.prompts, own, theirs, bound) else "WRONG", figures)


def followed(prompts: list[list[int]], tokens: list[list[int]], logits: list[Floats], bound: float) -> bool:
    """Whether each token is the likeliest by `logits`, or so close to it that the bound cannot tell."""
    for ids, taken, rows in zip(prompts, tokens, logits, strict=True):
        for row, token in zip(rows[len(ids) - 1 :], taken, strict=False):
            if row.max() - row[token] > 2 * bound * np.abs(rows).max():
                return False
    return True
