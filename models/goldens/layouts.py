"""The tools that turn a checkpoint into an ONNX folder, and what is done to their output to keep it small."""

import contextlib
import functools
import hashlib
import importlib
import json
import logging
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnxruntime_genai

EXPORT = Path(__file__).with_name("optimum_export.py")


class Workplace:
    """Where folders are built (`out`), where finished ones lie (`done`), and which Python runs Optimum."""

    def __init__(self, done: Path, scratch: Path, optimum: Path) -> None:
        self.done, self.scratch, self.optimum = done, scratch, optimum
        self.out = scratch / "out"
        self.out.mkdir(parents=True, exist_ok=True)

    def finish(self, group: str) -> None:
        """Puts a group that is whole in the place of the old one."""
        shutil.rmtree(self.done / group, ignore_errors=True)
        shutil.copytree(self.out / group, self.done / group)

    def checkpoint(self, name: str) -> Path:
        return self.scratch / "hf" / name


def run(log: Path, *command: str | Path) -> None:
    """Runs a tool with its output in `log`; a failure shows the end of it."""
    environment = dict(os.environ, HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", PYTHONWARNINGS="ignore")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        code = subprocess.run([str(c) for c in command], stdout=output, stderr=subprocess.STDOUT, env=environment).returncode
    if code:
        raise RuntimeError(f"{' '.join(map(str, command))}\n{log.read_text()[-3000:]}")


def empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


@functools.cache
def builder_tool() -> Any:
    """onnxruntime-genai's builder. It reads Gemma 3's two rotary embeddings where transformers 4 had them: they are put there."""
    models = Path(onnxruntime_genai.__file__).parent / "models"
    sys.path.insert(0, str(models))  # its modules import one another by their bare names
    tool = importlib.import_module("onnxruntime_genai.models.builder")
    original = tool.Gemma3Model

    def with_older_rope(config: Any, *arguments: Any) -> Any:
        if "sliding_attention" in config.rope_parameters:
            config.rope_local_base_freq = config.rope_parameters["sliding_attention"]["rope_theta"]
            config.rope_parameters = config.rope_parameters["full_attention"]
        return original(config, *arguments)

    tool.Gemma3Model = with_older_rope
    return tool


def builder(work: Workplace, checkpoint: str, folder: Path, precision: str, *options: str, provider: str = "cpu") -> Path:
    """A folder by the onnxruntime-genai builder, which runs in this process (its start takes longer than its work)."""
    cache = empty(work.scratch / "cache")
    tool = builder_tool()
    place = (None, str(work.checkpoint(checkpoint)), str(empty(folder)), precision, provider, str(cache))
    log = work.scratch / "log" / f"builder-{folder.parent.name}-{folder.name}"
    log.parent.mkdir(parents=True, exist_ok=True)
    logging.disable(logging.ERROR)
    with log.open("w") as output, contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        extra = tool.parse_extra_options(*place, list(options))
        tool.create_model(*place, **extra)
    return tidy(folder)


def fingerprint(folder: Path) -> str:
    digest = hashlib.sha256()
    for name in ("config.json", "tokenizer_config.json", "model.safetensors"):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


def optimum(work: Workplace, checkpoint: str, folder: Path, together: list[str]) -> Path:
    """A folder by Optimum. Whatever of `together` has no export yet is exported in the same run (its start is slow)."""
    places = {c: work.scratch / "optimum" / fingerprint(work.checkpoint(c)) for c in together}
    missing = [(work.checkpoint(c), p.with_suffix(".part")) for c, p in places.items() if not p.exists()]
    if missing:
        run(work.scratch / "log" / "optimum", work.optimum, EXPORT, *(p for pair in missing for p in pair))
        for _, part in missing:
            part.rename(part.with_suffix(""))
    shutil.copytree(places[checkpoint], folder, dirs_exist_ok=True)
    return tidy(folder)


def tidy(folder: Path) -> Path:
    """Spaceless JSON where it is long, no local paths in the small files, no files that say the same as tokenizer.json."""
    for name in ("vocab.json", "merges.txt", "special_tokens_map.json"):
        (folder / name).unlink(missing_ok=True)
    for path in folder.glob("*.json"):
        value = json.loads(path.read_text())
        value.pop("_name_or_path", None)
        small = path.name == "tokenizer.json"
        path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) if small else json.dumps(value, indent=2))
    return folder


def without_tokenizer(folder: Path) -> Path:
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (folder / name).unlink(missing_ok=True)
    return folder
