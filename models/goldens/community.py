"""Folders in the shape of onnx-community: the graphs under `onnx/`, one file per precision, made from the llama checkpoint."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer
from onnxruntime.transformers.float16 import convert_float_to_float16

import checkpoints
import families
from layouts import Workplace, builder, empty
from quantised import measure
from rewrites import save_parts, short_names, shorten, with_head_size, with_kept_logits, with_rotary_nodes

Fail = Callable[[str], None]
LLAMA = next(c for c in checkpoints.CHECKPOINTS if c.name == "llama")
VOCAB, HEAD = LLAMA.shape["vocab_size"], LLAMA.shape["head_dim"]
TEXT_FILES = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
HALF = {"kv_cache_dtype": {"fp16": "float16", "q4f16": "float16"}, "use_external_data_format": {"model.onnx": 1, "model_q4.onnx": 2}}


def configured(source: Path, folder: Path, **settings: Any) -> Path:
    """An empty `onnx` folder below the config files of `source` -> `onnx`."""
    empty(folder)
    for name in TEXT_FILES + ["config.json", "generation_config.json"]:
        shutil.copy(source / name, folder / name)
    config = json.loads((folder / "config.json").read_text()) | {"transformers.js_config": settings}
    (folder / "config.json").write_text(json.dumps(config, indent=2))
    return empty(folder / "onnx")


def four_bits(model: ModelProto) -> ModelProto:
    quantizer = MatMulNBitsQuantizer(model, block_size=32, is_symmetric=True, accuracy_level=4)
    quantizer.process()
    return quantizer.model.model


def dynamic(source: Path, target: Path, kind: Any, per_channel: bool) -> None:
    quantize_dynamic(source, target, weight_type=kind, per_channel=per_channel, extra_options={"MatMulConstBOnly": True})


def decomposed(source: Path, scratch: Path, onnx_folder: Path) -> dict[str, tuple[str, str]]:
    """Every precision of the Optimum graph -> file name: (precision, what the runtime rounds)."""

    def fresh() -> ModelProto:
        return short_names(onnx.load(str(source)))

    whole = scratch / "whole.onnx"
    onnx.save(fresh(), str(whole))
    save_parts(fresh(), onnx_folder / "model.onnx", 1)
    onnx.save(convert_float_to_float16(fresh()), str(onnx_folder / "model_fp16.onnx"))
    dynamic(whole, onnx_folder / "model_quantized.onnx", QuantType.QInt8, per_channel=False)
    dynamic(whole, onnx_folder / "model_int8.onnx", QuantType.QInt8, per_channel=True)
    dynamic(whole, onnx_folder / "model_uint8.onnx", QuantType.QUInt8, per_channel=False)
    save_parts(four_bits(fresh()), onnx_folder / "model_q4.onnx", 2)
    half = convert_float_to_float16(four_bits(fresh()), keep_io_types=["logits"])
    onnx.save(half, str(onnx_folder / "model_q4f16.onnx"))
    for name in ("fp16", "quantized", "int8", "uint8", "q4f16"):
        shorten(onnx_folder / f"model_{name}.onnx")
    return {
        "model_fp16.onnx": ("float16", "float16"),
        "model_quantized.onnx": ("int8", "int8 dynamic"),
        "model_int8.onnx": ("int8", "int8 dynamic"),
        "model_uint8.onnx": ("int8", "int8 dynamic"),
        "model_q4.onnx": ("int4", "int8 blocks"),
        "model_q4f16.onnx": ("int4", "float16 and int8 blocks"),
    }


def fused(source: Path, onnx_folder: Path) -> dict[str, tuple[str, str]]:
    """GroupQueryAttention with separate Q, K, V: rotation by position_ids outside it, and num_logits_to_keep."""

    def fresh() -> ModelProto:
        return with_head_size(onnx.load(str(source)), HEAD)

    save_parts(with_rotary_nodes(fresh()), onnx_folder / "model.onnx", 1)
    onnx.save(four_bits(with_kept_logits(fresh())), str(onnx_folder / "model_q4.onnx"))
    for name in ("model", "model_q4"):
        shorten(onnx_folder / f"{name}.onnx")
    return {"model_q4.onnx": ("int4", "int8 blocks")}


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    llama, out = work.done / "llama", empty(work.out / "community")
    entries = []
    plain = configured(llama / "optimum", out / "decomposed", **HALF)
    gqa = configured(llama / "optimum", out / "gqa")
    checkpoints.write(LLAMA, empty(work.checkpoint("llama")))
    separate = builder(work, "llama", work.scratch / "separate", "fp32", "fuse_qkv=false")
    variants = {
        plain: decomposed(llama / "optimum" / "model.onnx", work.scratch, plain),
        gqa: fused(separate / "model.onnx", gqa),
    }
    for folder, made in variants.items():
        path = f"community/{folder.parent.name}"
        families.check(llama / "golden.json", folder / "model.onnx", fail)
        entries.append(families.entry(path, "community", "llama", "llama/golden.json", file="model.onnx"))
        for file, (precision, rounding) in made.items():
            about = {"path": path, "layout": "community", "precision": precision, "checkpoint": "llama", "file": file}
            name = f"{folder.parent.name}-{Path(file).stem.removeprefix('model_')}"
            entries.append(about | measure(out, name, folder / file, VOCAB, rounding, fail))
    return entries


GROUPS = {"community": make}
