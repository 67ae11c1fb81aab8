"""The results, kept between runs, and the document that they become."""

import json
import re
from pathlib import Path

from judge import Verdict
from rows import Row

LINES = {"equal": "equal", "as ORT": "as ORT", "refused": "refused", "WRONG": "**WRONG**", "unjudged": "unjudged", "none": "–"}
INTRODUCTION = """# What today's exporters write

<!-- written by `cargo xtask exporters` -->

Tiny models with random weights, one for each family, as each exporter writes them, opened by Kinglet's embedded engine with
`--exact`. Every cell stands for a folder, three prompts (1, 7 and 128 tokens) and 64 greedy tokens after each, read whole and
step by step.

| cell | means |
|---|---|
| equal | tokens equal to those of transformers on the checkpoint, logits within 0.1 % of the largest (float16: within 1 %) |
| as ORT | logits within 0.1 % (float16: 1 %) of ONNX Runtime's on the same graph, node by node in float32 arithmetic, and its tokens: what quantised weights can be held to, and graphs in which the exporter itself departs from transformers |
| refused | Kinglet ends with a sentence that names the node, below |
| – | the exporter makes no graph of this family, below |
| unjudged | it runs, and ONNX Runtime does not run the graph on a CPU |
| not run | no verdict: the exporter was not asked for this family yet; rows of which nothing was run are named at the end |
"""


class Results:
    """Verdicts by row and family, in a JSON file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.of: dict[str, dict[str, list[str]]] = json.loads(path.read_text()) if path.exists() else {}

    def keep(self, row: str, family: str, verdict: Verdict) -> None:
        self.of.setdefault(row, {})[family] = [verdict.word, verdict.why]
        self.path.write_text(json.dumps(self.of, indent=1))

    def get(self, row: str, family: str) -> Verdict | None:
        found = self.of.get(row, {}).get(family)
        return Verdict(*found) if found else None

    def wrong(self, keys: set[str]) -> list[str]:
        return [
            f"{row} {family}: {why}"
            for row, cells in self.of.items()
            if row in keys
            for family, (word, why) in cells.items()
            if word == "WRONG"
        ]


def sentence(text: str) -> str:
    """One line without what differs from machine to machine."""
    line = " ".join(text.split()).removeprefix("error: ")
    line = re.sub(r"(?<![`\w:/])(/[\w.+-]+){2,}/", "", line)  # but for the names of nodes, which stand in backticks
    line = re.sub(r" Known types: .*", "", line)
    return (line[:220] + "...") if len(line) > 220 else line


def in_cell(row: Row, family: str, cell: Verdict | None) -> str:
    """What stands in a cell: nothing where the row is not about the family."""
    if cell:
        return LINES[cell.word]
    return "not run" if not row.families or family in row.families else ""


def grid(rows: list[Row], families: list[str], results: Results) -> list[str]:
    lines = ["| exporter | form | " + " | ".join(families) + " |", "|---" * (len(families) + 2) + "|"]
    for row in rows:
        cells = [results.get(row.key, family) for family in families]
        if any(cells):
            words = [in_cell(row, family, cell) for family, cell in zip(families, cells, strict=True)]
            lines.append(f"| {row.exporter} | {row.form} | " + " | ".join(words) + " |")
    return lines


def reasons(rows: list[Row], families: list[str], results: Results, word: str) -> list[str]:
    """Each sentence once, with the cells that it stands for."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for family in families:
            verdict = results.get(row.key, family)
            if verdict and verdict.word == word:
                found.setdefault(sentence(verdict.why), []).append(f"{row.exporter} {row.form} {family}".replace("  ", " "))
    return [f"- {why} — {'; '.join(cells)}" for why, cells in found.items()]


def document(rows: list[Row], families: list[str], results: Results) -> str:
    plain = [row for row in rows if "+" not in row.key]
    treated = [row for row in rows if "+" in row.key]
    of_treated = [family for family in families if any(results.get(row.key, family) for row in treated)]
    counts: dict[str, int] = {}
    for cells in results.of.values():
        for word, _ in cells.values():
            counts[word] = counts.get(word, 0) + 1
    parts = [INTRODUCTION, "## Exporters\n", *grid(plain, families, results)]
    if of_treated:
        parts += ["\n## Quantisers and converters\n", *grid(treated, of_treated, results)]
    parts += ["\n" + ", ".join(f"{n} {word}" for word, n in sorted(counts.items())) + "."]
    headings = {"refused": "Refused by Kinglet", "none": "Not made by the exporter", "unjudged": "Not judged", "WRONG": "Wrong"}
    for word, heading in headings.items():
        lines = reasons(rows, families, results, word)
        if lines:
            parts += [f"\n## {heading}\n", *lines]
    unrun = [f"- {row.exporter} {row.form}".rstrip() for row in rows if not results.of.get(row.key)]
    if unrun:
        parts += ["\n## Not run\n", "Nothing is said of these here: `cargo xtask exporters` was not run for them.\n", *unrun]
    return "\n".join(parts) + "\n"
