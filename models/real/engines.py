"""The engines that are held against one another: each gives logits of tokens, and the likeliest tokens one after the other."""

import importlib.util
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

import golden

Floats = npt.NDArray[np.float32]


class Engine(Protocol):
    def logits(self, ids: list[int]) -> Floats:
        """[len(ids), vocabulary], from an empty cache."""
        ...

    def greedy(self, ids: list[int], count: int) -> list[int]:
        """The likeliest tokens after a prompt, with a cache, past the end of a text too."""
        ...


class Transformers:
    """The checkpoint in float32."""

    def __init__(self, checkpoint: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM

        self.torch = torch
        self.model = AutoModelForCausalLM.from_pretrained(checkpoint, dtype=torch.float32).eval()

    def logits(self, ids: list[int]) -> Floats:
        with self.torch.no_grad():
            return self.model(self.torch.tensor([ids]), use_cache=False).logits[0].numpy()

    def greedy(self, ids: list[int], count: int) -> list[int]:
        cache, rows, found = None, ids, []
        with self.torch.no_grad():
            for _ in range(count):
                out = self.model(self.torch.tensor([rows]), past_key_values=cache, use_cache=True, logits_to_keep=1)
                cache, rows = out.past_key_values, [int(out.logits[0, -1].argmax())]
                found += rows
        return found


class OnnxRuntime:
    """A graph as ONNX Runtime runs it by default."""

    def __init__(self, folder: Path) -> None:
        self.runner = golden.OnnxRuntime(folder / "model.onnx")

    def logits(self, ids: list[int]) -> Floats:
        self.runner.start()
        return self.runner.feed(ids)

    def greedy(self, ids: list[int], count: int) -> list[int]:
        self.runner.start()
        rows, found = ids, []
        for _ in range(count):
            rows = [int(self.runner.feed(rows)[-1].argmax())]
            found += rows
        return found


class Kinglet:
    """The command, on the embedded engine. Its own end of a text is left out, so that tokens can be compared beyond it."""

    def __init__(self, command: Path, folder: Path, exact: bool) -> None:
        self.command, self.folder, self.options = command, folder, ["--exact"] if exact else []

    def run(self, verb: str, *arguments: str, given: str = "") -> str:
        line = [str(self.command), verb, "-m", str(self.folder), "--engine", "tract", *arguments]
        done = subprocess.run(line, input=given, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["it said nothing"])[-1])
        return done.stdout

    def logits(self, ids: list[int]) -> Floats:
        with tempfile.TemporaryDirectory() as scratch:
            file = str(Path(scratch) / "logits.npy")
            self.run("logits", "--ids", ",".join(map(str, ids)), "--positions", "all", "--out", file, *self.options)
            return np.load(file)

    def greedy(self, ids: list[int], count: int) -> list[int]:
        return json.loads(self.run("run", "--ids", ",".join(map(str, ids)), "-n", str(count), "--json", *self.options))["tokens"]

    def tokens(self, text: str) -> list[int]:
        return json.loads(self.run("tokenize", "--json", given=text))["ids"]

    def prompt(self, request: dict[str, Any]) -> str:
        return json.loads(self.run("template", "--json", given=json.dumps(request)))["prompt"]


class LlamaCpp:
    """The GGUF that the checkpoint was made of, by llama.cpp, where the package llama-cpp-python is installed."""

    def __init__(self, file: Path, context: int) -> None:
        from llama_cpp import Llama

        self.model = Llama(str(file), n_ctx=context, n_batch=context, logits_all=True, verbose=False)

    @staticmethod
    def is_there() -> bool:
        return importlib.util.find_spec("llama_cpp") is not None

    def logits(self, ids: list[int]) -> Floats:
        self.model.reset()
        self.model.eval(ids)
        return np.array(self.model.scores[: len(ids)], np.float32)

    def greedy(self, ids: list[int], count: int) -> list[int]:
        rows, found = self.logits(ids), []
        for _ in range(count):
            found.append(int(rows[-1].argmax()))
            self.model.eval(found[-1:])
            rows = np.array(self.model.scores[self.model.n_tokens - 1 : self.model.n_tokens])
        return found
