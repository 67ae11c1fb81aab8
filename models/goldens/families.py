"""float32 folders of each model family, held against transformers."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import onnx
import torch

import checkpoints
import golden
import openelm
import rewrites
from checkpoints import Checkpoint
from layouts import Workplace, builder, empty, optimum, without_tokenizer
from quantised import measure

Fail = Callable[[str], None]
AS_EXPORTED = {"qwen2/genai", "gemma2/genai", "llama/genai", "llama/optimum"}  # these keep the exporters' long names
IN_FOUR_BITS_ELSEWHERE = {"qwen2", "llama"}  # in `quantised`
TOLERANCE = 1e-3  # largest logit difference, relative to the largest logit


def entry(folder: str, layout: str, checkpoint: str, golden_file: str, **more: Any) -> dict[str, Any]:
    about = {"path": folder, "layout": layout, "precision": "float32", "checkpoint": checkpoint, "golden": golden_file}
    return {**about, "greedy_exact": True, "tolerance": {"max_relative": TOLERANCE}, **more}


def check(reference: Path, graph: Path, fail: Fail) -> None:
    """ONNX Runtime on `graph` must give what the golden file says."""
    far = golden.compare(reference, golden.OnnxRuntime(graph))
    where = "/".join(graph.parts[-3:])
    print(f"{where}: {far['max']:.2g} of {far['max_logit']:.3g}, greedy equal {far['greedy_equal']:.3f}", flush=True)
    if far["max"] > TOLERANCE * far["max_logit"] or far["greedy_equal"] < 1:
        fail(f"{where} is {far['max']:.2g} away from transformers, greedy equal {far['greedy_equal']:.3f}")


def by_builder(checkpoint: Checkpoint, work: Workplace, folder: Path, precision: str) -> None:
    """A genai folder, with what the builder leaves out of the graph put in."""
    name = checkpoint.name
    if name != "smollm3":
        builder(work, name, folder, precision)
    else:
        rotated = replace(checkpoint, name="smollm3-rotated", shape=checkpoint.shape | {"no_rope_layers": [1, 1]})
        checkpoints.write(rotated, empty(work.checkpoint(rotated.name)))
        builder(work, rotated.name, folder, precision)
        rewrites.without_rotation(folder / "model.onnx", [i for i, rope in enumerate(checkpoint.shape["no_rope_layers"]) if not rope])
    if name == "mistral":
        rewrites.set_window(folder / "model.onnx", checkpoint.shape["sliding_window"])


def family(checkpoint: Checkpoint, separate: bool, work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    name, vocab = checkpoint.name, checkpoint.shape["vocab_size"]
    for each in checkpoints.CHECKPOINTS:
        checkpoints.write(each, empty(work.checkpoint(each.name)))
    source = work.checkpoint(name)
    out = empty(work.out / name)
    reference = golden.save(out, "golden", golden.Transformers(source), vocab, checkpoint.prompts, 64)
    golden.lively(reference, 8, 2e-4, fail)
    entries = [(layout, layout) for layout in checkpoint.layouts]
    if "genai" in checkpoint.layouts:
        by_builder(checkpoint, work, out / "genai", "fp32")
    if separate:
        builder(work, name, out / "genai-separate", "fp32", "fuse_qkv=false")
        entries.append(("genai-separate", "genai"))
    if "optimum" in checkpoint.layouts:
        optimum(work, name, out / "optimum", [c.name for c in checkpoints.CHECKPOINTS if "optimum" in c.layouts])
    for folder, _ in entries:
        if f"{name}/{folder}" not in AS_EXPORTED:
            rewrites.shorten(out / folder / "model.onnx")
        if name not in ("qwen2", "llama") or folder == "genai-separate":
            without_tokenizer(out / folder)
    for folder, _ in entries:
        check(reference, out / folder / "model.onnx", fail)
    described = [entry(f"{name}/{folder}", layout, name, f"{name}/golden.json") for folder, layout in entries]
    if name not in IN_FOUR_BITS_ELSEWHERE and "genai" in checkpoint.layouts:
        described.append(four_bits(checkpoint, work, out, fail))
    if checkpoint.rope.get("rope_type") == "longrope":
        described = [about | {"longer_angles_after": checkpoint.rope["original_max_position_embeddings"]} for about in described]
    return described


def four_bits(checkpoint: Checkpoint, work: Workplace, out: Path, fail: Fail) -> dict[str, Any]:
    """The builder's folder with int4 weights, held against ONNX Runtime on the same graph."""
    folder = out / "genai-int4"
    by_builder(checkpoint, work, folder, "int4")
    graph = without_tokenizer(folder) / "model.onnx"
    rewrites.shorten(graph)
    about = {"path": f"{checkpoint.name}/genai-int4", "layout": "genai", "precision": "int4", "checkpoint": checkpoint.name}
    return about | measure(out, "int4", graph, checkpoint.shape["vocab_size"], "int8 blocks", fail)


def open_elm(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    """The family that only torch's own exporter knows, as a folder like Optimum's."""
    out = empty(work.out / "openelm")
    model = openelm.random(openelm.Shape(), seed=1)
    reference = golden.save(out, "golden", openelm.Torch(model), openelm.Shape().vocab, (1, 7, 128), 64)
    golden.lively(reference, 8, 2e-4, fail)
    openelm.export(model, out / "torch")
    rewrites.shorten(out / "torch" / "model.onnx")
    check(reference, out / "torch" / "model.onnx", fail)
    return [entry("openelm/torch", "optimum", "openelm", "openelm/golden.json")]


def bfloat16(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    """The llama checkpoint with its matrices in bfloat16, as graphs keep them that were exported from such a checkpoint."""
    out = empty(work.out / "bfloat16")
    llama = next(c for c in checkpoints.CHECKPOINTS if c.name == "llama")
    checkpoints.write(llama, empty(work.checkpoint("llama")))
    rounded = golden.Transformers(work.checkpoint("llama"), torch.bfloat16)
    reference = golden.save(out, "golden", rounded, llama.shape["vocab_size"], llama.prompts, 64)
    golden.lively(reference, 8, 2e-4, fail)
    folder = without_tokenizer(optimum(work, "llama", out / "optimum", ["llama"]))
    model = rewrites.with_bfloat16_weights(rewrites.short_names(onnx.load(str(folder / "model.onnx"))))
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    check(reference, folder / "model.onnx", fail)
    return [entry("bfloat16/optimum", "optimum", "llama", "bfloat16/golden.json", precision="bfloat16")]


GROUPS = {c.name: partial(family, c, c.name == "qwen2") for c in checkpoints.CHECKPOINTS} | {"openelm": open_elm, "bfloat16": bfloat16}
