"""The exporters of the table: what makes a folder of a checkpoint, and how exactly it can be held to account."""

import importlib.metadata
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from layouts import Workplace, builder
from treatments import TREATMENTS

TREATED = ("llama", "qwen2", "qwen3", "gemma2", "phi3")  # quantisers look at operators: families with other ones


@dataclass(frozen=True)
class Row:
    """`key`: the folder below the scratch. `make`: writes a folder (work, family, folder). `batch`: a job of trace.py instead.
    `precision`: float32, float16 or quantised."""

    key: str
    exporter: str
    form: str
    precision: str
    make: Callable[[Workplace, str, Path], object] | None = None
    families: tuple[str, ...] = ()
    batch: dict[str, object] | None = None


def version(package: str) -> str:
    return importlib.metadata.version(package).split("+")[0]


def traced() -> list[Row]:
    """Rows that torch_export.py makes."""
    torch, transformers = f"torch {version('torch')}", f"transformers {version('transformers')}"
    rows = [
        Row(f"torch-{opset}", torch, f"dynamo, opset {opset}", "float32", batch=dict(kind="torch", opset=opset, with_past=True))
        for opset in (18, 21, 23, 24)
    ]
    rows.append(Row("torch-23-nopast", torch, "dynamo, opset 23, no past", "float32", families=("llama",),
                    batch=dict(kind="torch", opset=23, with_past=False)))  # fmt: skip
    for fusions in (None, "cpu", "webgpu"):
        key, form = ("transformers", "OnnxExporter") if fusions is None else (f"transformers-{fusions}", f"OnnxExporter, ort_fusions={fusions}")
        rows.append(Row(key, transformers, form, "float32", families=("llama", "qwen3", "gemma2", "glm4"),
                        batch=dict(kind="transformers", fusions=fusions)))  # fmt: skip
    return rows


def by_builder(precision: str, provider: str, *options: str) -> Callable[[Workplace, str, Path], object]:
    return lambda work, family, folder: builder(work, family, folder, precision, *options, provider=provider)


def built() -> list[Row]:
    genai = f"onnxruntime-genai {version('onnxruntime-genai')}"
    return [
        Row("genai-cpu-fp32", genai, "cpu, fp32", "float32", by_builder("fp32", "cpu")),
        Row("genai-cpu-int4", genai, "cpu, int4", "quantised", by_builder("int4", "cpu", "block_size=16")),
        Row("genai-cpu-int8", genai, "cpu, int8", "quantised", by_builder("int8", "cpu", "block_size=16")),
        Row("genai-cuda-fp16", genai, "cuda, fp16", "float16", by_builder("fp16", "cuda")),
        Row("genai-cuda-int4", genai, "cuda, int4", "quantised", by_builder("int4", "cuda", "block_size=16")),
        Row("genai-webgpu-fp16", genai, "webgpu, fp16", "float16", by_builder("fp16", "webgpu")),
        Row("genai-webgpu-int4", genai, "webgpu, int4", "quantised", by_builder("int4", "webgpu", "block_size=16")),
    ]  # fmt: skip


def treated(base: Row) -> list[Row]:
    """What onnxruntime's tools make of the graphs of another row."""

    def make(treat: Callable[[Path, Path], None]) -> Callable[[Workplace, str, Path], object]:
        return lambda work, family, folder: treat(work.scratch / "made" / base.key / family, empty_parent(folder))

    name = f"onnxruntime {version('onnxruntime')}"
    return [
        Row(f"{base.key}+{key}", name, f"{form}, of {base.exporter} {base.form}".strip(), "float16" if "float16" in key else "quantised",
            make(treat), TREATED)
        for key, (form, treat) in TREATMENTS.items()
    ]  # fmt: skip


def empty_parent(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def version_beside(python: Path, package: str) -> str:
    """The version of a package in another environment."""
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def rows(optimum_python: Path) -> list[Row]:
    """Every row; `optimum_python` is the environment that has Optimum."""
    exported = Row("optimum", f"optimum-onnx {version_beside(optimum_python, 'optimum-onnx')}", "", "float32", batch=dict(kind="optimum"))
    of_torch = traced()
    newest = next(row for row in of_torch if row.key == "torch-23")
    return [*of_torch, exported, *built(), *treated(newest), *treated(exported)]
