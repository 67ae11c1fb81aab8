"""What is done to an exported graph afterwards: ONNX Runtime's quantisers, its float16 converter, and weights tied again."""

import shutil
from collections.abc import Callable
from pathlib import Path

import onnx
from onnx import ModelProto
from onnxruntime.quantization import QuantFormat, QuantType, quantize_dynamic
from onnxruntime.quantization import matmul_nbits_quantizer as nbits
from onnxruntime.transformers.float16 import convert_float_to_float16

BOTH = ("MatMul", "Gather")


def copied(source: Path, folder: Path) -> Path:
    """`folder` with everything of `source` but its graph -> where the graph goes."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("model.onnx*"))
    return folder / "model.onnx"


def dynamic(kind: QuantType, **settings: bool) -> Callable[[Path, Path], None]:
    """quantize_dynamic as it stands. It takes the Attention of opset 23 for its own operator of that name, and writes a graph that
    no runtime loads: there, what a person would name instead."""

    def treat(source: Path, folder: Path) -> None:
        graph = source / "model.onnx"
        attention = any(node.op_type == "Attention" for node in onnx.load(str(graph)).graph.node)
        ops = ["MatMul", "Gather", "Transpose"] if attention else None
        quantize_dynamic(graph, copied(source, folder), op_types_to_quantize=ops, weight_type=kind, **settings)

    return treat


def half(keep_io: bool) -> Callable[[Path, Path], None]:
    def treat(source: Path, folder: Path) -> None:
        model = convert_float_to_float16(onnx.load(str(source / "model.onnx")), keep_io_types=keep_io)
        onnx.save(model, str(copied(source, folder)))

    return treat


def nbit(make: Callable[[ModelProto], nbits.MatMulNBitsQuantizer]) -> Callable[[Path, Path], None]:
    def treat(source: Path, folder: Path) -> None:
        quantizer = make(onnx.load(str(source / "model.onnx")))
        quantizer.process()
        quantizer.model.save_model_to_file(str(copied(source, folder)))

    return treat


def plain(bits: int, symmetric: bool, form: QuantFormat = QuantFormat.QOperator, ops: tuple[str, ...] = ("MatMul",)) -> Callable[[Path, Path], None]:
    def make(model: ModelProto) -> nbits.MatMulNBitsQuantizer:
        return nbits.MatMulNBitsQuantizer(model, bits=bits, block_size=16, is_symmetric=symmetric, quant_format=form, op_types_to_quantize=ops)

    return nbit(make)


def by(config: Callable[[], nbits.WeightOnlyQuantConfig]) -> Callable[[Path, Path], None]:
    return nbit(lambda model: nbits.MatMulNBitsQuantizer(model, block_size=16, algo_config=config()))


TREATMENTS: dict[str, tuple[str, Callable[[Path, Path], None]]] = {
    "dynamic-int8": ("quantize_dynamic, QInt8", dynamic(QuantType.QInt8)),
    "dynamic-uint8": ("quantize_dynamic, QUInt8", dynamic(QuantType.QUInt8)),
    "dynamic-channel": ("quantize_dynamic, QInt8, per channel", dynamic(QuantType.QInt8, per_channel=True)),
    "float16": ("float16 converter", half(False)),
    "float16-kept": ("float16 converter, keep_io_types", half(True)),
    "nbits2": ("MatMulNBits 2 bits", plain(2, True)),
    "nbits2-zp": ("MatMulNBits 2 bits, zero points", plain(2, False)),
    "nbits4": ("MatMulNBits 4 bits", plain(4, True)),
    "nbits4-zp": ("MatMulNBits 4 bits, zero points", plain(4, False)),
    "nbits4-gather": ("MatMulNBits 4 bits, Gather too", plain(4, True, ops=BOTH)),
    "nbits4-gather-zp": ("MatMulNBits 4 bits, zero points, Gather too", plain(4, False, ops=BOTH)),
    "nbits8": ("MatMulNBits 8 bits", plain(8, True)),
    "nbits8-zp": ("MatMulNBits 8 bits, zero points", plain(8, False)),
    "nbits4-qdq": ("MatMulNBits 4 bits as QDQ", plain(4, True, QuantFormat.QDQ)),
    "nbits4-qdq-zp": ("MatMulNBits 4 bits as QDQ, zero points", plain(4, False, QuantFormat.QDQ)),
    "kquant": ("k-quant 4 bits", by(lambda: nbits.KQuantWeightOnlyQuantConfig())),
    "hqq": ("HQQ 4 bits", by(lambda: nbits.HQQWeightOnlyQuantConfig(block_size=16))),
}
