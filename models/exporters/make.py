#!/usr/bin/env python3
"""Holds Kinglet against what exporters make of tiny models, and writes the table docs/exporters.md.

usage: make.py --kinglet PATH [--scratch DIR] [--optimum PYTHON] [--made-only] [--write DOC] [ROW]...   (default: every row)
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import shapes  # noqa: E402, I001 (it puts the goldens' modules on the path)
import checkpoints  # noqa: E402
import table  # noqa: E402
from judge import Command, Reference, Verdict, judge  # noqa: E402
from layouts import Workplace, empty  # noqa: E402
from rows import Row, rows  # noqa: E402

TRACE = Path(__file__).resolve().parents[1] / "goldens" / "trace.py"


class Failed(Exception):
    """Why an exporter makes nothing of a family."""


def of_row(row: Row) -> list[str]:
    return list(row.families or shapes.FAMILIES)


def place(work: Workplace, row: Row, family: str) -> Path:
    return work.scratch / "made" / row.key / family


def noted(folder: Path) -> Path:
    """Where the failure of an exporter is kept."""
    return folder.with_name(folder.name + ".failed")


def write_checkpoints(work: Workplace) -> None:
    for name, checkpoint in shapes.FAMILIES.items():
        if not (work.checkpoint(name) / "config.json").exists():
            checkpoints.write(checkpoint, empty(work.checkpoint(name)))


def trace(work: Workplace, chosen: list[Row]) -> None:
    """Has trace.py make everything that is traced and not there yet: one process for each Python that it needs."""
    jobs: dict[str, list[str]] = {}
    for row in chosen:
        for family in of_row(row) if row.batch else []:
            folder = place(work, row, family)
            if not folder.exists() and not noted(folder).exists():
                python = str(work.optimum) if row.batch["kind"] == "optimum" else sys.executable
                job = row.batch | {"checkpoint": str(work.checkpoint(family)), "folder": str(folder)}
                jobs.setdefault(python, []).append(json.dumps(job) + "\n")
    for number, (python, lines) in enumerate(jobs.items()):
        log = work.scratch / "log" / f"traced-{number}"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
            subprocess.run([python, TRACE], input="".join(lines), stdout=output, stderr=output, text=True, check=True)


def made(work: Workplace, row: Row, family: str) -> Path:
    """The folder of a cell, made if it is not there."""
    folder = place(work, row, family)
    if not folder.exists() and not noted(folder).exists() and row.make:
        part = folder.with_name(folder.name + ".part")
        try:
            row.make(work, family, part)
            part.rename(folder)
        except BaseException as error:  # an exporter may fail with anything, SystemExit too; the table says with what
            if isinstance(error, KeyboardInterrupt):
                raise
            noted(folder).parent.mkdir(parents=True, exist_ok=True)
            noted(folder).write_text(f"{type(error).__name__}: {error}")
    if not folder.exists():
        raise Failed(noted(folder).read_text() if noted(folder).exists() else "not made")
    return folder


def cell(work: Workplace, command: Command, row: Row, family: str) -> Verdict:
    shape = shapes.FAMILIES[family]
    reference = Reference(work.checkpoint(family), shape.shape["vocab_size"], shape.prompts, work.scratch / "reference" / f"{family}.npz")
    try:
        folder = made(work, row, family)
    except Failed as failure:
        return Verdict("none", str(failure))
    return judge(command, folder, reference, row.precision)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scratch = Path.home() / ".cache" / "kinglet-exporters"
    parser.add_argument("--kinglet", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=scratch)
    parser.add_argument("--optimum", type=Path, default=Path.home() / ".cache" / "kinglet-goldens" / "venv-optimum" / "bin" / "python")
    parser.add_argument("--made-only", action="store_true", help="judge the folders that are there and make none")
    parser.add_argument("--write", type=Path, help="the document to write")
    parser.add_argument("rows", nargs="*", metavar="ROW")
    arguments = parser.parse_args()
    work = Workplace(arguments.scratch, arguments.scratch, arguments.optimum)
    everything = rows(arguments.optimum)
    chosen = [row for row in everything if not arguments.rows or row.key in arguments.rows]
    write_checkpoints(work)
    if not arguments.made_only:
        trace(work, chosen)
    command = Command(arguments.kinglet.resolve(), arguments.scratch)
    results = table.Results(arguments.scratch / "results.json")
    for row in chosen:
        for family in of_row(row):
            folder = place(work, row, family)
            if arguments.made_only and not folder.exists() and not noted(folder).exists():
                continue
            verdict = cell(work, command, row, family)
            results.keep(row.key, family, verdict)
            print(f"{row.key} {family}: {verdict.word} {verdict.why}"[:400], flush=True)
    if arguments.write:
        arguments.write.write_text(table.document(everything, list(shapes.FAMILIES), results))
    wrong = results.wrong({row.key for row in chosen})
    print(*wrong, sep="\n", file=sys.stderr)
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
