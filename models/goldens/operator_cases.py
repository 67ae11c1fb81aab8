"""The forms of operators that `operators.py` has judged."""

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MS = "com.microsoft"
RANDOM = np.random.default_rng(13)


@dataclass
class Case:
    """One operator with its operands; `outputs` says which are wanted, `tolerance` is relative to the largest element."""

    op: str
    inputs: list[Array | None]
    attributes: dict[str, Any] = field(default_factory=dict)
    domain: str = ""
    opset: int = 21
    outputs: list[bool] = field(default_factory=lambda: [True])
    judge: str = "onnxruntime"
    tolerance: float = 2e-6


def floats(*shape: int, low: float = -2.0, high: float = 2.0) -> Array:
    return RANDOM.uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, low: int = -9, high: int = 10, kind: Any = np.int64) -> Array:
    return RANDOM.integers(low, high, shape).astype(kind)


def flags(*shape: int) -> Array:
    return RANDOM.integers(0, 2, shape).astype(bool)


def ints(*values: int) -> Array:
    return np.array(values, np.int64)


def scalar(value: Any, kind: Any = np.int64) -> Array:
    return np.array(value, kind)


SPECIAL = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -2.5, 3.5, 1e30, -1e-30], np.float32)


def elementwise() -> list[Case]:
    cases = [Case(op, [floats(2, 1, 3), floats(4, 1)]) for op in ("Add", "Sub", "Mul", "Div")]
    cases += [Case(op, [whole(2, 1, 3), whole(4, 1, low=1)]) for op in ("Add", "Sub", "Mul", "Div", "Mod")]
    cases += [
        Case("Add", [whole(8, low=200, high=256, kind=np.uint8), whole(8, low=100, high=200, kind=np.uint8)], judge="onnx"),
        Case("Mul", [whole(8, low=2**20, high=2**24, kind=np.int32), whole(8, low=2**20, high=2**24, kind=np.int32)]),
        Case("Mod", [floats(9), floats(9, low=0.1)], {"fmod": 1}),
        Case("Mod", [whole(12), whole(12, low=1)], {"fmod": 1}),
        Case("Mod", [whole(12), whole(12, low=-5, high=0)]),
        Case("Pow", [floats(2, 3, low=0.1), floats(3)]),
        Case("Pow", [whole(6, low=-4, high=5), whole(6, low=0, high=5)]),
        Case("Pow", [floats(5, low=0.1), whole(5, low=-3, high=4)]),
        Case("Max", [floats(2, 3), floats(3), floats(1)]),
        Case("Min", [floats(2, 3), floats(3), np.array([np.nan], np.float32)]),
        Case("Max", [whole(4), whole(4)]),
        Case("Sum", [floats(2, 3), floats(3), floats(1)]),
        Case("Mean", [floats(2, 3), floats(3)]),
        Case("Clip", [floats(8), scalar(-0.5, np.float32), scalar(0.75, np.float32)]),
        Case("Clip", [whole(8), None, scalar(3)]),
        Case("Clip", [floats(8)], {"min": -1.0, "max": 1.0}, opset=6),
        Case("PRelu", [floats(2, 3), floats(3)]),
        Case("BitShift", [whole(6, low=0, high=200, kind=np.uint8), whole(6, low=0, high=9, kind=np.uint8)], {"direction": "LEFT"}),
        Case("BitShift", [whole(6, low=0, kind=np.uint64), whole(6, low=0, high=3, kind=np.uint64)], {"direction": "RIGHT"}),
        Case("BitwiseNot", [whole(6, low=0, high=256, kind=np.uint8)]),
        Case("IsInf", [SPECIAL]),
        Case("IsInf", [SPECIAL], {"detect_negative": 0}),
        Case("IsNaN", [SPECIAL]),
        Case("Not", [flags(5)]),
        Case("Where", [flags(3, 1), floats(2, 1, 4), floats(4)]),
        Case("Where", [flags(3, 1), whole(3, 4), scalar(7)]),
        Case("Equal", [flags(6), flags(6)]),
    ]
    cases += [Case(op, [whole(6), whole(6)]) for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")]
    cases += [Case(op, [flags(3, 1), flags(4)]) for op in ("And", "Or", "Xor")]
    for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual"):
        cases += [Case(op, [SPECIAL, SPECIAL[::-1].copy()]), Case(op, [whole(2, 1, high=-5), whole(3, high=-5)])]
    return cases


def unary() -> list[Case]:
    cases = []
    for op in ("Abs", "Neg", "Sign", "Floor", "Ceil", "Round", "Sin", "Cos", "Exp", "Erf", "Tanh", "Sigmoid", "Softplus", "Softsign",
               "Relu", "LeakyRelu", "Elu", "HardSigmoid", "HardSwish", "Mish", "Atan", "Sinh", "Cosh", "Tan", "Identity"):
        cases.append(Case(op, [np.concatenate([floats(6, low=-5, high=5), np.array([0.5, 1.5, -0.5, 2.5, 0], np.float32)])], opset=22))
    cases += [Case(op, [floats(8, low=0.1)]) for op in ("Sqrt", "Log", "Reciprocal")]
    cases += [Case(op, [floats(8, low=-1, high=1)]) for op in ("Asin", "Acos")]
    cases += [Case(op, [whole(8)]) for op in ("Abs", "Neg", "Sign")]
    cases += [
        Case("Relu", [whole(8, kind=np.int32)]),
        Case("LeakyRelu", [floats(6)], {"alpha": 0.3}),
        Case("HardSigmoid", [floats(6)], {"alpha": 0.3, "beta": 0.1}),
        Case("Gelu", [floats(9, low=-4, high=4)]),
        Case("Gelu", [floats(9, low=-4, high=4)], {"approximate": "tanh"}),
        Case("Swish", [floats(9)], {"alpha": 1.3}, opset=24, judge="onnx"),
        Case("Gelu", [floats(9)], domain=MS),
        Case("QuickGelu", [floats(9)], domain=MS),
        Case("QuickGelu", [floats(9)], {"alpha": 1.0}, domain=MS),
        Case("FastGelu", [floats(2, 5)], domain=MS),
        Case("FastGelu", [floats(2, 5), floats(5)], domain=MS),
        Case("BiasGelu", [floats(2, 5), floats(5)], domain=MS),
        Case("Dropout", [floats(4)], outputs=[True, True]),
    ]
    return cases


def casts() -> list[Case]:
    from onnx import TensorProto as T

    wide = np.array([0.1, 1 / 3, 65519.0, 65520.0, 1e-8, -7.00001, 3.4e38], np.float32)
    tame = np.array([2.7, -2.7, 0.5, -0.5, 100.9], np.float32)
    return [
        *[Case("CastLike", [wide, np.zeros(1, kind)], judge="onnx") for kind in (np.float16, ml_dtypes.bfloat16)],
        *[Case("Cast", [tame], {"to": to}) for to in (T.INT64, T.INT32, T.INT8, T.BOOL, T.FLOAT16)],
        Case("Cast", [tame], {"to": T.BFLOAT16}, judge="onnx"),
        Case("Cast", [whole(6, low=-300, high=300)], {"to": T.INT8}),
        Case("Cast", [whole(6, low=-300, high=300)], {"to": T.UINT8}),
        Case("Cast", [whole(6, low=2**31, high=2**33)], {"to": T.INT32}),
        Case("Cast", [whole(6, low=2**24, high=2**26)], {"to": T.FLOAT}),
        Case("Cast", [whole(6)], {"to": T.BOOL}),
        Case("Cast", [flags(6)], {"to": T.FLOAT}),
        Case("Cast", [flags(6)], {"to": T.INT64}),
        Case("Cast", [floats(6).astype(np.float16)], {"to": T.FLOAT}),
        Case("Cast", [floats(6).astype(ml_dtypes.bfloat16)], {"to": T.FLOAT}),
        Case("Cast", [whole(7, low=-8, high=8).astype(ml_dtypes.int4)], {"to": T.INT32}),
        Case("Cast", [whole(7, low=0, high=16).astype(ml_dtypes.uint4)], {"to": T.INT32}),
        Case("Cast", [whole(4, low=-128, high=128, kind=np.int8)], {"to": T.INT32}),
        Case("ConstantOfShape", [ints(2, 3)]),
        Case("Range", [scalar(3), scalar(20), scalar(4)]),
        Case("Range", [scalar(9), scalar(-3), scalar(-2)]),
        Case("Range", [scalar(0.5, np.float32), scalar(2.0, np.float32), scalar(0.25, np.float32)]),
        Case("Range", [scalar(5), scalar(5), scalar(1)]),
        Case("EyeLike", [floats(3, 4)], {"k": 1}),
    ]


def shapes() -> list[Case]:
    x = floats(2, 3, 4)
    return [
        Case("Shape", [x]),
        Case("Shape", [x], {"start": 1, "end": -1}),
        Case("Shape", [x], {"start": -2}),
        Case("Size", [x]),
        Case("Reshape", [x, ints(0, -1)]),
        Case("Reshape", [x, ints(4, -1, 2)]),
        Case("Reshape", [np.zeros((0, 3), np.float32), ints(3, 0)], {"allowzero": 1}),
        Case("Flatten", [x], {"axis": 2}),
        Case("Flatten", [x], {"axis": -3}),
        Case("Squeeze", [floats(1, 3, 1, 2)]),
        Case("Squeeze", [floats(1, 3, 1, 2), ints(-2)]),
        Case("Unsqueeze", [x, ints(0, -1)]),
        Case("Transpose", [x]),
        Case("Transpose", [x], {"perm": [1, 2, 0]}),
        Case("Expand", [floats(3, 1), ints(2, 1, 4)]),
        Case("Expand", [floats(3, 4), ints(1)]),
        Case("Tile", [whole(2, 3), ints(2, 2)]),
        Case("Concat", [floats(2, 1, 3), floats(2, 2, 3), floats(2, 0, 3)], {"axis": 1}),
        Case("Concat", [flags(2), flags(3)], {"axis": -1}),
        Case("Split", [x, ints(1, 3)], {"axis": 2}, outputs=[True, True]),
        Case("Split", [floats(7, 2)], {"axis": 0, "num_outputs": 3}, outputs=[True, True, True]),
        Case("Split", [floats(6)], {}, opset=13, outputs=[True, True]),
        Case("Slice", [x, ints(1, 0), ints(2, 3), ints(1, 2)]),
        Case("Slice", [x, ints(-1), ints(-100), ints(2), ints(-2)]),
        Case("Slice", [x, ints(3), ints(0), ints(-1), ints(-1)]),
        Case("Slice", [x, ints(0, 0, 1), ints(2**62, 2, 100)]),
        Case("Slice", [x, ints(5), ints(9), ints(1)]),
        Case("Slice", [whole(9), ints(1), ints(8), ints(0), ints(3)]),
        Case("Pad", [x, ints(0, 1, 2, 1, 0, 1), scalar(1.5, np.float32)]),
        Case("Pad", [x, ints(1, 2), None, ints(-1)], {"mode": "edge"}),
        Case("Pad", [x, ints(2, 1), None, ints(1)], {"mode": "reflect"}),
        Case("Pad", [x, ints(3, 1), None, ints(2)], {"mode": "wrap"}),
        Case("Pad", [x, ints(0, -1, -1, 0, 1, 0)]),
        Case("Trilu", [floats(2, 3, 4)]),
        Case("Trilu", [floats(3, 4), scalar(1)], {"upper": 0}),
        Case("Trilu", [floats(4, 3), scalar(-1)], {"upper": 1}),
        Case("Trilu", [whole(3, 3), scalar(-2)], {"upper": 0}),
    ]


def by_index() -> list[Case]:
    x = floats(3, 4, 5)
    return [
        Case("Gather", [x, ints(2, -1, 0)]),
        Case("Gather", [x, np.array([[1, -4], [3, 0]], np.int64)], {"axis": 1}),
        Case("Gather", [x, scalar(1)], {"axis": -1}),
        Case("GatherElements", [floats(3, 4), whole(2, 4, low=-3, high=3)], {"axis": 0}),
        Case("GatherElements", [floats(3, 4), whole(3, 2, low=0, high=4)], {"axis": 1}),
        Case("GatherND", [x, np.array([[0, 1], [2, -1]], np.int64)]),
        Case("GatherND", [x, np.array([[[0], [1]], [[2], [0]], [[3], [3]]], np.int64)], {"batch_dims": 1}),
        Case("GatherND", [x, np.array([[[0, 1, 2]], [[2, 3, 4]]], np.int64)]),
        Case("ScatterND", [x, np.array([[0, 1], [2, 3]], np.int64), floats(2, 5)]),
        Case("ScatterND", [x, np.array([[1], [1]], np.int64), floats(2, 4, 5)], {"reduction": "add"}),
        Case("ScatterND", [floats(6), np.array([[1], [4]], np.int64), floats(2)], {"reduction": "mul"}),
        Case("ScatterElements", [floats(3, 4), whole(2, 4, low=0, high=3), floats(2, 4)], {"axis": 0, "reduction": "add"}),
        Case("ScatterElements", [floats(3, 4), np.array([[0, -1], [2, 1]], np.int64), floats(2, 2)], {"axis": 1}),
        Case("TensorScatter", [floats(2, 1, 4, 3), floats(2, 1, 2, 3), ints(0, 2)], opset=24, judge="onnx"),
        Case("TensorScatter", [floats(2, 1, 4, 3), floats(2, 1, 2, 3), ints(3, 2)], {"mode": "circular"}, opset=24, judge="onnx"),
        Case("OneHot", [whole(2, 3, low=-4, high=4), scalar(4), np.array([0.5, 2.0], np.float32)], {"axis": 1}),
        Case("OneHot", [whole(3, low=0, high=6), scalar(4), ints(0, 1)]),
        Case("NonZero", [whole(3, 4, low=-1, high=2)]),
        Case("NonZero", [flags(2, 2, 2)]),
    ]


def reductions() -> list[Case]:
    x = floats(2, 3, 4)
    cases = []
    for op in ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"):
        cases += [Case(op, [x, ints(-1)]), Case(op, [x, ints(0, 2)], {"keepdims": 0})]
    cases += [
        Case("ReduceSum", [x]),
        Case("ReduceSum", [x, ints()], {"noop_with_empty_axes": 1}),
        Case("ReduceMean", [x], {"axes": [1]}, opset=13),
        Case("ReduceSum", [whole(2, 5), ints(1)]),
        Case("ReduceMax", [whole(2, 5), ints(1)]),
        Case("ReduceMean", [whole(2, 5), ints(1)]),
        Case("ReduceProd", [whole(2, 3, kind=np.int32), ints(1)]),
        Case("ReduceMax", [flags(2, 5), ints(1)]),
        Case("ReduceLogSum", [floats(2, 3, low=0.1), ints(1)]),
        Case("Softmax", [x]),
        Case("Softmax", [x], {"axis": 1}),
        Case("Softmax", [x], {"axis": 1}, opset=11),
        Case("Softmax", [np.array([[0, -np.inf, 1]], np.float32)]),
        Case("LogSoftmax", [x]),
        Case("CumSum", [x, scalar(1)]),
        Case("CumSum", [whole(2, 5), scalar(-1)], {"exclusive": 1, "reverse": 1}),
        Case("CumSum", [floats(5), scalar(0)], {"reverse": 1}),
        Case("ArgMax", [whole(3, 6, low=0, high=3)], {"axis": 1}),
        Case("ArgMax", [whole(3, 6, low=0, high=3)], {"axis": -1, "select_last_index": 1, "keepdims": 0}),
        Case("ArgMin", [x], {"axis": 1}),
        Case("TopK", [x, ints(3)], outputs=[True, True]),
        Case("TopK", [whole(3, 6, low=0, high=4), ints(2)], {"axis": 0, "largest": 0}, outputs=[True, True]),
    ]
    return cases


def norms() -> list[Case]:
    x, w, b = floats(2, 3, 8), floats(8), floats(8)
    wide = [True, False, False, True]
    return [
        Case("LayerNormalization", [x, w, b], outputs=[True, True, True]),
        Case("LayerNormalization", [x, floats(3, 8)], {"axis": 1, "epsilon": 0.01}),
        Case("RMSNormalization", [x, w], {"epsilon": 1e-3}, opset=23),
        Case("RMSNormalization", [x, w], {"axis": 2}, opset=23),
        Case("RMSNormalization", [x, floats(3, 8)], {"axis": -2}, opset=23, judge="onnx"),
        Case("SimplifiedLayerNormalization", [x, w], {"epsilon": 1e-3, "axis": -1, "stash_type": 1}),
        Case("SkipSimplifiedLayerNormalization", [x, floats(2, 3, 8), w], {"epsilon": 1e-3}, MS, outputs=wide),
        Case("SkipSimplifiedLayerNormalization", [x, floats(2, 3, 8), w, b], {"epsilon": 1e-3}, MS, outputs=wide),
        Case("SkipLayerNormalization", [x, floats(2, 3, 8), w, b, floats(8)], {"epsilon": 1e-3}, MS, outputs=wide),
        Case("LpNormalization", [x], {"axis": 1, "p": 1}),
        Case("LpNormalization", [x], {"p": 2}),
    ]


def products() -> list[Case]:
    small = lambda *shape, kind: whole(*shape, low=-100 if kind == np.int8 else 0, high=100, kind=kind)  # noqa: E731
    return [
        Case("MatMul", [floats(2, 1, 3, 5), floats(4, 5, 2)]),
        Case("MatMul", [floats(5), floats(2, 5, 3)]),
        Case("MatMul", [floats(2, 3, 5), floats(5)]),
        Case("MatMul", [floats(5), floats(5)]),
        Case("MatMul", [whole(2, 3), whole(3, 2)]),
        Case("MatMul", [floats(2, 0), floats(0, 3)]),
        Case("Gemm", [floats(3, 4), floats(5, 4), floats(5)], {"transB": 1, "alpha": 0.5, "beta": 2.0}),
        Case("Gemm", [floats(4, 3), floats(4, 5), floats(3, 1)], {"transA": 1}),
        Case("Gemm", [floats(4, 3), floats(3, 5)]),
        Case("FusedMatMul", [floats(2, 3, 4), floats(2, 5, 4)], {"transB": 1, "alpha": 0.25}, MS),
        Case("FusedMatMul", [floats(2, 4, 3), floats(4, 5)], {"transA": 1}, MS),
        Case("MatMulInteger", [small(3, 4, kind=np.uint8), small(4, 5, kind=np.int8)]),
        Case("MatMulInteger", [small(3, 4, kind=np.uint8), small(4, 5, kind=np.uint8), scalar(7, np.uint8), scalar(9, np.uint8)]),
        Case("MatMulInteger", [small(3, 4, kind=np.uint8), small(4, 5, kind=np.int8), scalar(7, np.uint8), small(5, kind=np.int8)]),
        Case("Einsum", [floats(2, 3, 4), floats(2, 4, 5)], {"equation": "bij,bjk->bik"}),
        Case("Einsum", [floats(3), floats(4)], {"equation": "i , j->i j"}),
        Case("Einsum", [floats(3, 3)], {"equation": "ii->i"}),
        Case("Einsum", [floats(2, 3, 4, 5), floats(2, 6, 4, 5)], {"equation": "bqhd,bkhd->bhqk"}),
        Case("Einsum", [floats(2, 3), floats(3, 4)], {"equation": "ij,jk"}),
    ]


def plain() -> list[Case]:
    groups = (elementwise, unary, casts, shapes, by_index, reductions, norms, products)
    return [case for group in groups for case in group()]
