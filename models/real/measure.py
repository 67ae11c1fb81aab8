"""What is measured of an engine on a text, and how two engines compare."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from engines import Engine

WINDOW = 1000  # positions that see one another, where perplexity is measured
NEW = 32  # greedy tokens after each prompt
LENGTHS = (4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 200, 256, 320, 400, 512, 700, 900, 1200, 1600, 2000)


@dataclass
class Figures:
    """`loss`: mean negative log-likelihood of a token. `best`: the likeliest token at each position. `greedy`: after each prompt."""

    loss: float = 0.0
    best: list[int] = field(default_factory=list)
    greedy: list[list[int]] = field(default_factory=list)

    @property
    def perplexity(self) -> float:
        return float(np.exp(self.loss))

    def json(self) -> dict[str, Any]:
        return asdict(self)


def windows(ids: list[int], count: int) -> list[list[int]]:
    """Whole windows that come to `count` tokens."""
    return [ids[start : start + WINDOW] for start in range(0, count - WINDOW + 1, WINDOW)]


def prompts(ids: list[int]) -> list[list[int]]:
    """Beginnings at places that are spread over the text."""
    step = max(1, (len(ids) - max(LENGTHS)) // len(LENGTHS))
    return [ids[step * i : step * i + length] for i, length in enumerate(LENGTHS) if step * i + length <= len(ids)]


def losses(logits: np.ndarray, ids: list[int]) -> np.ndarray:
    """Negative log-likelihood of each token but the first. logits: [len(ids), vocabulary]."""
    rows = logits[:-1].astype(np.float64)
    top = rows.max(axis=1)
    spread = np.log(np.exp(rows - top[:, None]).sum(axis=1)) + top
    return spread - rows[np.arange(len(rows)), ids[1:]]


def measure(engine: Engine, ids: list[int], count: int) -> Figures:
    figures, found = Figures(), []
    for window in windows(ids, count):
        logits = engine.logits(window)
        found.append(losses(logits, window))
        figures.best += logits.argmax(axis=1).tolist()
    figures.loss = float(np.concatenate(found).mean())
    figures.greedy = [engine.greedy(prompt, NEW) for prompt in prompts(ids)]
    return figures


def agreement(ours: Figures, theirs: Figures) -> float:
    """The share of positions at which both find the same token likeliest."""
    return float(np.mean(np.array(ours.best) == np.array(theirs.best)))


def equal_answers(ours: Figures, theirs: Figures) -> tuple[int, int]:
    """How many prompts are answered with the same tokens, of how many. An answer that ended counts as far as it goes."""
    pairs = list(zip(ours.greedy, theirs.greedy, strict=True))
    return sum(a == b[: len(a)] for a, b in pairs), len(pairs)


def repeated(answers: list[list[int]]) -> float:
    """The share of runs of four tokens that an answer has had before."""
    seen = total = 0
    for answer in answers:
        runs = [tuple(answer[i : i + 4]) for i in range(len(answer) - 3)]
        seen, total = seen + len(runs) - len(set(runs)), total + len(runs)
    return seen / max(1, total)
