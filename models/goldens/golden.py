"""Golden runs: prompts, greedy continuations and logits, by transformers or by ONNX Runtime, and the files they go to."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from transformers import AutoModelForCausalLM

import rewrites

Floats = npt.NDArray[np.float32]
POSITIONS = {1: (0,), 7: (0, 3, 6), 128: (0, 47, 48, 49, 100, 127), 300: (48, 128, 299), 700: (48, 127, 350, 511, 699)}


class Runner(Protocol):
    """Anything that turns token ids into logits: `start` begins a sequence, `feed` appends to it -> logits [len(ids), vocab]."""

    def start(self) -> None: ...
    def feed(self, ids: list[int]) -> Floats: ...


class WholeSequence:
    """A torch model in float32 without a cache: the whole sequence is computed anew at each step."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        self.ids: list[int] = []

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        """ids: [1, rows] -> [1, rows, vocab]."""
        raise NotImplementedError

    def start(self) -> None:
        self.ids = []

    def feed(self, ids: list[int]) -> Floats:
        self.ids += ids
        with torch.no_grad():
            return self.logits(torch.tensor([self.ids]))[0, -len(ids) :].numpy()


class Transformers(WholeSequence):
    """Eager attention."""

    source = "transformers 5.23 float32"

    def __init__(self, folder: Path, weights: torch.dtype = torch.float32) -> None:
        """`weights`: what matrices are rounded to before they are used."""
        super().__init__()
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
        with torch.no_grad():
            for matrix in (p for p in self.model.parameters() if p.dim() == 2):
                matrix.copy_(matrix.to(weights).float())

    def logits(self, ids: torch.Tensor) -> torch.Tensor:
        return self.model(ids, use_cache=False).logits


class OnnxRuntime:
    """One graph on the CPU with growing caches: the prompt whole, then a token a step."""

    def __init__(self, graph: Path, exact: bool = False) -> None:
        """`exact`: float32 arithmetic over the same weights, node by node; else as the runtime itself would have it."""
        self.source = f"onnxruntime {onnxruntime.__version__} {'float32 arithmetic' if exact else 'as it runs by default'}"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "0" if exact else "4")
        if exact:
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = rewrites.exact(graph) if exact else rewrites.as_it_runs(graph)
        self.session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.inputs = {i.name: i for i in self.session.get_inputs()}
        self.outputs = [o.name for o in self.session.get_outputs()]
        config = graph.with_name("genai_config.json")  # its graphs leave the last dimension of a cache open
        heads = [i.shape[3] for i in self.inputs.values() if i.name.startswith("past")]
        self.head_dim = json.loads(config.read_text())["model"]["decoder"]["head_size"] if config.exists() else heads[0]
        self.past: dict[str, npt.NDArray[Any]] = {}
        self.length = 0

    def start(self) -> None:
        self.length = 0
        kinds = {"tensor(float)": np.float32, "tensor(float16)": np.float16}
        caches = [i for i in self.inputs.values() if i.name.startswith("past")]
        self.past = {i.name: np.zeros((1, i.shape[1], 0, self.head_dim), kinds[i.type]) for i in caches}

    def feed(self, ids: list[int]) -> Floats:
        total = self.length + len(ids)
        feed: dict[str, npt.NDArray[Any]] = {
            "input_ids": np.array([ids], np.int64),
            "attention_mask": np.ones((1, total), np.int64),
            "position_ids": np.arange(self.length, total, dtype=np.int64)[None],
            "num_logits_to_keep": np.array(0, np.int64),
        }
        feed = {name: value for name, value in feed.items() if name in self.inputs} | self.past
        out = dict(zip(self.outputs, self.session.run(None, feed), strict=True))
        self.past = {name: out[name.replace("past_key_values", "present")] for name in self.past}
        self.length = total
        return out["logits"][0].astype(np.float32)


def prompt(length: int, vocab: int) -> list[int]:
    """Fixed pseudo-random ids, never one of the first three (the special tokens)."""
    state, ids = 12345 + length, []
    for _ in range(length):
        state = (state * 1103515245 + 12345) % 2**31
        ids.append(3 + (state >> 8) % (vocab - 3))
    return ids


def record(runner: Runner, vocab: int, lengths: tuple[int, ...], steps: int) -> tuple[list[dict[str, Any]], Floats]:
    """Runs every prompt and its greedy continuation; `min_gap` is the least distance between the best two logits."""
    prompts: list[dict[str, Any]] = []
    rows: list[Floats] = []
    for length in lengths:
        ids = prompt(length, vocab)
        runner.start()
        logits = runner.feed(ids)
        kept = list(POSITIONS[length]) if len(logits) == length else [length - 1]
        prompts.append({"name": f"p{length}", "ids": ids, "positions": kept, "logits_offset": vocab * sum(map(len, rows))})
        rows.append(logits[np.array(kept) - length])
        greedy, gaps = [], []
        for _ in range(steps):
            best, next_best = np.sort(logits[-1])[[-1, -2]]
            gaps.append(float(best - next_best))
            greedy.append(int(logits[-1].argmax()))
            logits = runner.feed(greedy[-1:])
        prompts[-1] |= {"greedy": greedy, "min_gap": round(min(gaps), 5)}
    return prompts, np.concatenate(rows)


def save(folder: Path, name: str, runner: Any, vocab: int, lengths: tuple[int, ...], steps: int) -> Path:
    """Writes `name`.json and `name`.f32 into `folder`."""
    prompts, logits = record(runner, vocab, lengths, steps)
    folder.mkdir(parents=True, exist_ok=True)
    about = {"source": runner.source, "logits_file": f"{name}.f32", "vocab": vocab, "max_logit": round(float(np.abs(logits).max()), 4)}
    about["rms_logit"] = round(float(np.sqrt((logits**2).mean())), 4)
    lines = ",\n".join("  " + json.dumps(p, separators=(",", ":")) for p in prompts)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(about)[:-1] + ',\n "prompts": [\n' + lines + "\n ]}\n")
    (folder / f"{name}.f32").write_bytes(logits.astype("<f4").tobytes())
    return path


def compare(path: Path, runner: Any, steps: int = 64) -> dict[str, float]:
    """The distance of `runner` from a golden file: largest and rms logit difference, share of equal greedy tokens."""
    golden = json.loads(path.read_text())
    want = np.fromfile(path.with_name(golden["logits_file"]), "<f4").reshape(-1, golden["vocab"])
    lengths = tuple(len(p["ids"]) for p in golden["prompts"])
    prompts, got = record(runner, golden["vocab"], lengths, steps)
    if len(got) > len(want):  # a graph that gives the last row only
        got = np.stack([got[sum(len(POSITIONS[n]) for n in lengths[: i + 1]) - 1] for i in range(len(lengths))])
    pairs = [(a, b) for p, q in zip(golden["prompts"], prompts, strict=True) for a, b in zip(p["greedy"], q["greedy"], strict=False)]
    difference = got - want
    return {
        "max": float(np.abs(difference).max()),
        "rms": float(np.sqrt((difference**2).mean())),
        "max_logit": float(np.abs(want).max()),
        "rms_logit": float(np.sqrt((want**2).mean())),
        "greedy_equal": sum(a == b for a, b in pairs) / len(pairs),
    }


def lively(path: Path, distinct: int, gap: float, fail: Callable[[str], None]) -> None:
    """A golden run that repeats one token, or that hangs on rounding, would show little."""
    for p in json.loads(path.read_text())["prompts"]:
        if len(set(p["greedy"])) < distinct or p["min_gap"] < gap:
            fail(f"{path.parent.name}/{path.stem} {p['name']}: {len(set(p['greedy']))} distinct tokens, least gap {p['min_gap']}")
