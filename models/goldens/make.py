#!/usr/bin/env python3
"""Makes the golden models and their reference outputs anew; README.md says what each folder is.

usage: make.py [--scratch DIR] [--optimum PYTHON] [GROUP]...   (default: every group)
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import community  # noqa: E402 (the libraries read the environment when they start)
import families  # noqa: E402
import kernels  # noqa: E402
import operators  # noqa: E402
import quantised  # noqa: E402
import text  # noqa: E402
import weight_forms  # noqa: E402
from layouts import Workplace  # noqa: E402

HERE = Path(__file__).resolve().parent
LIMIT = 8 * 1000 * 1000
GROUPS = {**families.GROUPS, **quantised.GROUPS, **community.GROUPS, **text.GROUPS, **kernels.GROUPS, **operators.GROUPS}
GROUPS |= weight_forms.GROUPS


def write_index(out: Path, groups: dict[str, list[dict[str, Any]]]) -> None:
    """Replaces the entries of the groups that were made; an entry belongs to the group that its path begins with."""
    path = out / "index.json"
    old = json.loads(path.read_text())["models"] if path.exists() else []
    kept = [e for e in old if e["path"].split("/")[0] not in groups and (out / e["path"]).is_dir()]
    order = list(GROUPS)
    entries = sorted(kept + sum(groups.values(), []), key=lambda e: order.index(e["path"].split("/")[0]))
    lines = ",\n".join("  " + json.dumps(e) for e in entries)
    path.write_text('{\n "models": [\n' + lines + "\n ]\n}\n")


def check_output(out: Path, scratch: Path) -> list[str]:
    """What may not be committed: too much of it, or a path of this machine."""
    files = [f for f in out.rglob("*") if f.is_file() and f.parent != out]
    size = sum(f.stat().st_size for f in files)
    print(f"{size / 1e6:.2f} MB in {len(files)} files")
    places = [str(p).encode() for p in (scratch, out, Path.home())]
    found = [f"{f.relative_to(out)} holds a path of this machine" for f in files if any(p in f.read_bytes() for p in places)]
    return found + ([f"{size} bytes are more than {LIMIT}"] if size > LIMIT else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    scratch = Path.home() / ".cache" / "kinglet-goldens"
    parser.add_argument("--scratch", type=Path, default=scratch)
    parser.add_argument("--optimum", type=Path, default=scratch / "venv-optimum" / "bin" / "python")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=", ".join(GROUPS))
    arguments = parser.parse_args()
    work = Workplace(HERE, arguments.scratch, arguments.optimum)
    problems: list[str] = []
    for name in arguments.groups or GROUPS:
        print(f"== {name}", flush=True)
        entries = GROUPS[name](work, problems.append)
        work.finish(name)
        write_index(HERE, {name: entries})
    problems += check_output(HERE, arguments.scratch)
    print(*problems, sep="\n", file=sys.stderr)
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
