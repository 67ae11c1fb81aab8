#!/usr/bin/env python3
"""Makes a trained model in every form, holds Kinglet against transformers, ONNX Runtime and llama.cpp on real text, and writes the
table docs/real-models.md.

usage: make.py --kinglet PATH [--scratch DIR] [--optimum PYTHON] [--text FILE] [--tokens N] [--write DOC] [FORM]...
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false")

import forms  # noqa: E402, I001 (it puts the modules of the goldens and the exporters on the path)
import hard  # noqa: E402
import smollm2  # noqa: E402
import table  # noqa: E402
from engines import Engine, Kinglet, LlamaCpp, OnnxRuntime, Transformers  # noqa: E402
from layouts import Workplace  # noqa: E402
from measure import LENGTHS, NEW, Figures, measure  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
OWN_TEXT = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "docs/android.md", "docs/ios.md"]


def text(given: Path | None) -> str:
    """The text to measure on: a person's, or the documentation of this repository."""
    return given.read_text(encoding="utf-8") if given else "\n".join((ROOT / name).read_text(encoding="utf-8") for name in OWN_TEXT)


def checkpoint(work: Workplace) -> Path:
    folder = work.checkpoint(forms.CHECKPOINT)
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        smollm2.write(smollm2.fetch(work.scratch), part)
        part.rename(folder)
    return folder


def made(work: Workplace, form: forms.Form) -> Path:
    folder = work.scratch / "forms" / form.key
    if not folder.exists():
        part = folder.with_name(folder.name + ".part")
        shutil.rmtree(part, ignore_errors=True)
        part.parent.mkdir(parents=True, exist_ok=True)
        form.make(work, part)
        part.rename(folder)
    return folder


class Kept:
    """What was measured of an engine on this text, kept between runs."""

    def __init__(self, folder: Path, ids: list[int], tokens: int) -> None:
        asked = hashlib.sha256(json.dumps([ids, tokens]).encode()).hexdigest()[:16]
        self.folder, self.ids, self.tokens = folder / asked, ids, tokens
        self.folder.mkdir(parents=True, exist_ok=True)

    def figures(self, name: str, engine: Callable[[], Engine]) -> Figures:
        path = self.folder / f"{name}.json"
        if not path.exists():
            print(f"measuring {name}", flush=True)
            path.write_text(json.dumps(measure(engine(), self.ids, self.tokens).json()))
        return Figures(**json.loads(path.read_text()))


def text_differences(kinglet: Kinglet, folder: Path) -> list[str]:
    """Where tokens or prompts are others than those of transformers."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = [f"tokens of {line[:30]!r}" for line in hard.TEXTS if kinglet.tokens(line) != tokenizer(line)["input_ids"]]
    for number, talk in enumerate(hard.TALKS):
        begin = talk.get("add_generation_prompt", False)
        if kinglet.prompt(talk) != tokenizer.apply_chat_template(talk["messages"], tokenize=False, add_generation_prompt=begin):
            found.append(f"prompt of conversation {number}")
    return found


def row(kept: Kept, form: forms.Form, folder: Path, command: Path, reference: Figures) -> dict[str, Any]:
    """The figures of one form: Kinglet beside ONNX Runtime on the same folder, and both beside transformers."""
    try:
        ours = kept.figures(f"{form.key}-kinglet", lambda: Kinglet(command, folder, form.exact))
    except RuntimeError as refusal:
        return {"title": form.title, "refused": str(refusal)}
    theirs = kept.figures(f"{form.key}-onnxruntime", lambda: OnnxRuntime(folder))
    return {"title": form.title, "exact": form.exact, "coarser": form.coarser} | table.figures(ours, theirs, reference)


def failures(rows: list[dict[str, Any]]) -> list[str]:
    """What may not be: other tokens than transformers where weights are the same, a perplexity far from ONNX Runtime's, unless it is
    lower where ONNX Runtime rounds more."""
    found = [f"{r['title']}: {r['refused']}" for r in rows if "refused" in r]
    for r in (r for r in rows if "refused" not in r):
        if r["exact"] and r["as_transformers"] != r["prompts"]:
            found.append(f"{r['title']}: {r['as_transformers']} of {r['prompts']} answers equal those of transformers")
        beside = r["perplexity"] / r["their_perplexity"] - 1
        if beside > 0.02 or (beside < -0.02 and not r["coarser"]):
            found.append(f"{r['title']}: perplexity {r['perplexity']:.3f}, ONNX Runtime {r['their_perplexity']:.3f}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    cache = Path.home() / ".cache"
    parser.add_argument("--kinglet", type=Path, required=True)
    parser.add_argument("--scratch", type=Path, default=cache / "kinglet-real")
    parser.add_argument("--optimum", type=Path, default=cache / "kinglet-goldens" / "venv-optimum" / "bin" / "python")
    parser.add_argument("--text", type=Path)
    parser.add_argument("--tokens", type=int, default=10_000)
    parser.add_argument("--write", type=Path, help="the document to write")
    parser.add_argument("forms", nargs="*", metavar="FORM")
    arguments = parser.parse_args()
    work = Workplace(arguments.scratch, arguments.scratch, arguments.optimum)
    command = arguments.kinglet.resolve()
    source = checkpoint(work)
    ids = AutoTokenizer.from_pretrained(source)(text(arguments.text))["input_ids"]
    needed = max(arguments.tokens, max(LENGTHS) + len(LENGTHS) * NEW)
    if len(ids) < needed:
        sys.exit(f"the text has {len(ids)} tokens, {needed} are needed")
    kept = Kept(arguments.scratch / "measured", ids, arguments.tokens)
    reference = kept.figures("transformers", lambda: Transformers(source))
    rows, unmeasured = [], []
    for form in forms.forms():
        if arguments.forms and form.key not in arguments.forms:
            unmeasured.append(form.title)
        else:
            rows.append(row(kept, form, made(work, form), command, reference))
            print(json.dumps(rows[-1]), flush=True)
    llama = None
    if LlamaCpp.is_there():
        llama = kept.figures("llama.cpp", lambda: LlamaCpp(smollm2.fetch(work.scratch), max(LENGTHS) + NEW))
    differences = text_differences(Kinglet(command, made(work, forms.forms()[0]), True), source)
    if arguments.write:
        own = arguments.text is None
        arguments.write.write_text(table.document(rows, reference, llama, differences, arguments.tokens, own, unmeasured))
    problems = failures(rows) + differences
    print(*problems, sep="\n", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
