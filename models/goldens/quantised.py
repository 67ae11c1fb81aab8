"""Folders with 4 and 8 bit weights and with float16, held against ONNX Runtime on the same graph."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import onnx

import checkpoints
import golden
import rewrites
from layouts import Workplace, builder, empty, without_tokenizer

Fail = Callable[[str], None]
STEPS = 32


class Recipe(NamedTuple):
    folder: str
    checkpoint: str
    precision: str
    options: tuple[str, ...] = ()
    provider: str = "cpu"


GATHER = "op_types_to_quantize=MatMul/Gather"
RECIPES = [
    Recipe("int4-b16", "tied", "int4", ("block_size=16",)),
    Recipe("int4-b32", "tied", "int4", ("block_size=32",)),
    Recipe("int4-b128", "wide", "int4", ("block_size=128",)),
    Recipe("int4-b256", "tied", "int4", ("block_size=256",)),
    Recipe("int4-b16-zp", "untied", "int4", ("block_size=16", "is_symmetric=false", GATHER)),
    Recipe("int4-b32-zp", "untied", "int4", ("block_size=32", "is_symmetric=false", GATHER)),
    Recipe("int4-b64-untied", "untied", "int4", ("block_size=64", "fuse_qkv=false", GATHER)),
    Recipe("int4-fp16", "tied", "int4", ("block_size=32",), provider="cuda"),
    Recipe("int8-b32", "tied", "int8", ("block_size=32",)),
    Recipe("int8-b128-zp", "untied", "int8", ("block_size=128", "is_symmetric=false")),
    Recipe("int4-head8", "tied", "int4", ("block_size=32", "algo_config=rtn_last", "prune_lm_head=true")),
    Recipe("int4-kquant-head8", "tied", "int4", ("block_size=16", "algo_config=k_quant_last")),
    Recipe("qdq-int4", "tied", "int4", ("block_size=32", "use_qdq=true", "shared_embeddings=false")),
    Recipe("qdq-int4-zp", "untied", "int4", ("block_size=64", "use_qdq=true", "is_symmetric=false")),
    Recipe("qdq-int8", "tied", "fp32"),
    Recipe("fp16", "tied", "fp16", provider="cuda"),
]  # fmt: skip


def two_digits(value: float) -> float:
    return float(f"{value:.2g}")


def measure(out: Path, name: str, graph: Path, vocab: int, rounding: str, fail: Fail) -> dict[str, Any]:
    """Golden files for one graph: float32 arithmetic over its weights, and the runtime's own; the noise between the two.

    `rounding` says what the runtime rounds: activations to int8 in blocks or whole (dynamic), or everything to float16.
    """
    lengths = (1, 7, 128)
    reference = golden.save(out, name, golden.OnnxRuntime(graph, exact=True), vocab, lengths, STEPS)
    golden.lively(reference, 4, 0, fail)
    golden.save(out, f"{name}-rounded", golden.OnnxRuntime(graph), vocab, lengths, STEPS)
    far = golden.compare(reference, golden.OnnxRuntime(graph), STEPS)
    least = min(p["min_gap"] for p in json.loads(reference.read_text())["prompts"])
    figures = f"max {far['max']:.2g} of {far['max_logit']:.3g}, rms {far['rms']:.2g} of {far['rms_logit']:.3g}"
    print(f"{out.name}/{name}: {rounding}: {figures}, greedy equal {far['greedy_equal']:.2f}, least gap {least}", flush=True)
    half = "float16" in rounding  # room for caches of float16
    return {
        "golden": f"{out.name}/{name}.json",
        "greedy_exact": least >= (1e-2 if half else 1e-3),
        "tolerance": {"max_relative": 5e-3 if half else 1e-3},
        "rounding": rounding,
        "golden_rounded": f"{out.name}/{name}-rounded.json",
        "noise": {"max_relative": two_digits(far["max"] / far["max_logit"]), "rms_relative": two_digits(far["rms"] / far["rms_logit"])},
    }


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    shapes = {c.name: c for c in checkpoints.QUANTISED}
    for checkpoint in shapes.values():
        checkpoints.write(checkpoint, empty(work.checkpoint(checkpoint.name)))
    original = {name: golden.Transformers(work.checkpoint(name)) for name in shapes}
    out = empty(work.out / "quantised")
    entries = []
    for recipe in RECIPES:
        name, vocab = recipe.folder, shapes[recipe.checkpoint].shape["vocab_size"]
        folder = builder(work, recipe.checkpoint, out / name, recipe.precision, *recipe.options, provider=recipe.provider)
        graph = without_tokenizer(folder) / "model.onnx"
        if name == "qdq-int8":
            model = rewrites.qdq_per_channel(onnx.load(str(graph)))
            (folder / "model.onnx.data").unlink()
            onnx.save(model, str(graph), save_as_external_data=True, location="model.onnx.data", size_threshold=0)
        rewrites.shorten(graph)
        rounding = {"fp16": "float16", "int4-fp16": "float16"}.get(name, "int8 blocks")
        precision = {"qdq-int8": "int8", "fp16": "float16"}.get(name, recipe.precision)
        about = {"path": f"quantised/{name}", "layout": "genai", "precision": precision, "checkpoint": recipe.checkpoint}
        entries.append(about | measure(out, name, graph, vocab, rounding, fail))
        bound = 0.5 if precision == "int4" else 0.05
        far = golden.compare(work.out / entries[-1]["golden"], original[recipe.checkpoint], STEPS)
        if far["rms"] > bound * far["rms_logit"]:
            fail(f"{name}: rms difference from float32 {far['rms']:.2g} of {far['rms_logit']:.3g}")
    return entries


GROUPS = {"quantised": make}
