"""The forms in which the model is held against the references, and what makes each."""

import importlib.metadata
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parents[1] / folder) for folder in ("goldens", "exporters")]

import treatments  # noqa: E402
from layouts import Workplace, builder, empty, run  # noqa: E402

EXPORT = Path(__file__).resolve().parents[1] / "goldens" / "optimum_export.py"
CHECKPOINT = "smollm2"


@dataclass(frozen=True)
class Form:
    """`exact`: the same float32 weights as the checkpoint, so that tokens must be those of transformers. `coarser`: ONNX Runtime rounds
    more than Kinglet does, so that Kinglet's perplexity may be below its."""

    key: str
    title: str
    make: Callable[[Workplace, Path], object]
    exact: bool = False
    coarser: bool = False


def by_builder(precision: str, *options: str) -> Callable[[Workplace, Path], object]:
    return lambda work, folder: builder(work, CHECKPOINT, folder, precision, *options)


def by_optimum(work: Workplace, folder: Path) -> None:
    run(work.scratch / "log" / "optimum", work.optimum, EXPORT, work.checkpoint(CHECKPOINT), empty(folder))


def treated(key: str) -> Callable[[Workplace, Path], object]:
    """What onnxruntime's tools make of Optimum's folder."""
    return lambda work, folder: treatments.TREATMENTS[key][1](work.scratch / "forms" / "optimum", folder)


def forms() -> list[Form]:
    genai = f"onnxruntime-genai {importlib.metadata.version('onnxruntime-genai')}"
    tools = f"onnxruntime {importlib.metadata.version('onnxruntime')}"
    return [
        Form("genai-fp32", f"{genai}: fp32", by_builder("fp32"), exact=True),
        Form("genai-int4", f"{genai}: int4", by_builder("int4", "block_size=32", "accuracy_level=4")),
        Form("genai-int8", f"{genai}: int8", by_builder("int8", "block_size=32", "accuracy_level=4")),
        Form("genai-kquant", f"{genai}: int4 by k-quant, mixed with 8 bits", by_builder("int4", "block_size=32", "accuracy_level=4", "algo_config=k_quant_mixed")),
        Form("optimum", "Optimum: float32", by_optimum, exact=True),
        Form("optimum-float16", f"{tools}: float16 converter on Optimum's", treated("float16")),
        Form("optimum-dynamic", f"{tools}: quantize_dynamic on Optimum's", treated("dynamic-int8"), coarser=True),
    ]  # fmt: skip
