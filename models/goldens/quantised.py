"""Folders with 4 and 8 bit weights and with float16, held against ONNX Runtime on the same graph."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper

import checkpoints
import golden
from layouts import Workplace, builder, empty, without_tokenizer

Fail = Callable[[str], None]
STEPS = 32


class Recipe(NamedTuple):
    """`int8_path`: there are MatMulNBits in it (or QDQ that ONNX Runtime turns into them), so accuracy_level 4 differs."""

    folder: str
    checkpoint: str
    precision: str
    options: tuple[str, ...] = ()
    provider: str = "cpu"
    int8_path: bool = True


GATHER = "op_types_to_quantize=MatMul/Gather"
RECIPES = [
    Recipe("int4-b16", "tied", "int4", ("block_size=16",)),
    Recipe("int4-b32", "tied", "int4", ("block_size=32",)),
    Recipe("int4-b64", "tied", "int4", ("block_size=64",)),
    Recipe("int4-b128", "wide", "int4", ("block_size=128",)),
    Recipe("int4-b256", "tied", "int4", ("block_size=256",)),
    Recipe("int4-b16-zp", "untied", "int4", ("block_size=16", "is_symmetric=false", GATHER)),
    Recipe("int4-b32-zp", "untied", "int4", ("block_size=32", "is_symmetric=false", GATHER)),
    Recipe("int4-b64-untied", "untied", "int4", ("block_size=64", "fuse_qkv=false", GATHER)),
    Recipe("int4-fp16", "tied", "int4", ("block_size=32",), provider="cuda"),
    Recipe("int8-b32", "tied", "int8", ("block_size=32",)),
    Recipe("int8-b128-zp", "untied", "int8", ("block_size=128", "is_symmetric=false")),
    Recipe("int4-head8", "tied", "int4", ("block_size=32", "algo_config=rtn_last", "prune_lm_head=true")),
    Recipe("int4-kquant-head8", "tied", "int4", ("block_size=32", "algo_config=k_quant_last")),
    Recipe("qdq-int4", "tied", "int4", ("block_size=32", "use_qdq=true", "shared_embeddings=false")),
    Recipe("qdq-int4-zp", "untied", "int4", ("block_size=64", "use_qdq=true", "is_symmetric=false")),
    Recipe("qdq-int8", "tied", "fp32", int8_path=False),
    Recipe("fp16", "tied", "fp16", provider="cuda", int8_path=False),
]  # fmt: skip


def qdq_per_channel(graph: Path) -> None:
    """Stores every product's weight as int8 with a scale a column, put back to float by DequantizeLinear."""
    model = onnx.load(str(graph))
    weights = {t.name: t for t in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            name = node.input[1]
            values = numpy_helper.to_array(weights[name])  # [K, N]
            scales = (np.abs(values).max(axis=0) / 127).astype(np.float32)  # [N]
            rounded = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
            for tensor, suffix in ((rounded, "quantized"), (scales, "scale"), (np.zeros(len(scales), np.int8), "zero_point")):
                model.graph.initializer.append(numpy_helper.from_array(tensor, f"{name}_{suffix}"))
            parts = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
            nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_dequantized"], name=f"{name}_DequantizeLinear", axis=1))
            node.input[1] = f"{name}_dequantized"
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    graph.with_name("model.onnx.data").unlink()
    onnx.save(model, str(graph), save_as_external_data=True, location="model.onnx.data", size_threshold=0)


def rounded(value: float) -> float:
    return float(f"{value:.2g}")


def measure(out: Path, name: str, graph: Path, vocab: int, lengths: tuple[int, ...], int8_path: bool) -> dict[str, Any]:
    """Golden files for one graph: exact, and with int8 activations where the graph has them; the noise between the two."""
    exact = golden.save(out, name, golden.OnnxRuntime(graph, 0), vocab, lengths, STEPS)
    group = out.name
    least = min(p["min_gap"] for p in json.loads(exact.read_text())["prompts"])
    about: dict[str, Any] = {"golden": f"{group}/{name}.json", "greedy_exact": least >= 1e-3, "tolerance": {"max_relative": 1e-3}}
    if int8_path:
        golden.save(out, f"{name}-int8", golden.OnnxRuntime(graph, 4), vocab, lengths, STEPS)
    far = golden.compare(exact, golden.OnnxRuntime(graph, 4 if int8_path else None), STEPS)
    if int8_path:
        noise = {"max_relative": rounded(far["max"] / far["max_logit"]), "rms_relative": rounded(far["rms"] / far["rms_logit"])}
        about |= {"golden_int8": f"{group}/{name}-int8.json", "noise": noise}
    label = "accuracy_level 4 - 0" if int8_path else "optimised - as written"
    figures = f"max {far['max']:.2g} of {far['max_logit']:.3g}, rms {far['rms']:.2g} of {far['rms_logit']:.3g}"
    print(f"{group}/{name}: {label}: {figures}, greedy equal {far['greedy_equal']:.2f}, least gap {least}", flush=True)
    return about


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    shapes = {c.name: c for c in checkpoints.QUANTISED}
    for checkpoint in shapes.values():
        checkpoints.write(checkpoint, empty(work.checkpoint(checkpoint.name)))
    original = {name: golden.Transformers(work.checkpoint(name)) for name in shapes}
    out = empty(work.out / "quantised")
    entries = []
    for recipe in RECIPES:
        folder = without_tokenizer(builder(work, recipe.checkpoint, out / recipe.folder, recipe.precision, *recipe.options, provider=recipe.provider))
        if recipe.folder == "qdq-int8":
            qdq_per_channel(folder / "model.onnx")
        shape = shapes[recipe.checkpoint]
        about = measure(out, recipe.folder, folder / "model.onnx", shape.shape["vocab_size"], shape.prompts, recipe.int8_path)
        precision = {"qdq-int8": "int8"}.get(recipe.folder, recipe.precision.replace("fp16", "float16"))
        first = {"path": f"quantised/{recipe.folder}", "layout": "genai", "precision": precision, "checkpoint": recipe.checkpoint}
        entries.append(first | about)
        bound = 0.5 if precision == "int4" else 0.05
        far = golden.compare(work.out / about["golden"], original[recipe.checkpoint], STEPS)
        if far["rms"] > bound * far["rms_logit"]:
            fail(f"{recipe.folder}: rms difference from float32 {far['rms']:.2g} of {far['rms_logit']:.3g}")
    return entries


GROUPS = {"quantised": make}
