"""Forms of quantised operators, rotations and attention that `operators.py` has judged."""

import ml_dtypes
import numpy as np

from operator_cases import MS, Array, Case, flags, floats, ints, scalar, whole


def packed(values: Array, bits: int) -> Array:
    """Small integers along the last axis as a stream of bits, the first in the low bits, whole bytes a row."""
    stream = (values[..., None] >> np.arange(bits)) & 1
    return np.packbits(stream.reshape(*values.shape[:-1], -1).astype(np.uint8), axis=-1, bitorder="little")


def by_scale() -> list[Case]:
    x = floats(3, 8)
    u8, i8 = (lambda *shape: whole(*shape, low=0, high=256, kind=np.uint8)), (lambda *shape: whole(*shape, low=-128, high=128, kind=np.int8))
    size = lambda *shape: floats(*shape, low=0.01, high=0.1)  # noqa: E731
    return [
        Case("QuantizeLinear", [x, scalar(0.02, np.float32), scalar(100, np.uint8)]),
        Case("QuantizeLinear", [x, size(8), i8(8)], {"axis": 1}),
        Case("QuantizeLinear", [x, size(3), None], {"axis": 0}),
        Case("QuantizeLinear", [x, size(3, 2), whole(3, 2, low=-3, high=3, kind=np.int8)], {"axis": 1, "block_size": 4}),
        Case("QuantizeLinear", [np.array([0.5, 1.5, 2.5, -0.5, 1e9], np.float32), scalar(1, np.float32), scalar(0, np.int8)]),
        Case("DequantizeLinear", [i8(3, 8), scalar(0.02, np.float32)]),
        Case("DequantizeLinear", [u8(3, 8), size(3), u8(3)], {"axis": 0}),
        Case("DequantizeLinear", [u8(3, 8), size(3, 2), u8(3, 2)], {"axis": 1, "block_size": 4}),
        Case("DequantizeLinear", [i8(8, 3), size(2, 3)], {"axis": 0, "block_size": 4}),
        Case("DequantizeLinear", [i8(7, 3), size(2, 3)], {"axis": 0, "block_size": 4}),
        Case("DequantizeLinear", [whole(3, 8, low=-8, high=8).astype(ml_dtypes.int4), size(3, 2)], {"axis": 1, "block_size": 4}),
        Case("DequantizeLinear", [whole(3, 7, low=0, high=16).astype(ml_dtypes.uint4), size(3)], {"axis": 0}),
        Case("DequantizeLinear", [whole(4, low=-1000, high=1000, kind=np.int32), scalar(0.02, np.float32)]),
        Case("DequantizeLinear", [u8(3, 8), size(8), u8(8)], {"axis": 1}, MS),
        Case("DynamicQuantizeLinear", [x], outputs=[True, True, True]),
        Case("DynamicQuantizeLinear", [floats(9, low=1, high=3)], outputs=[True, True, True]),
        Case("DynamicQuantizeLinear", [np.zeros(3, np.float32)], outputs=[True, True, True]),
    ]


def in_blocks() -> list[Case]:
    cases = []
    forms = [(bits, zero) for bits in (2, 4, 8) for zero in (None, "packed", "float") if (bits, zero) != (8, "float")]
    for bits, zero in forms:
        n, k, block = 5, 40, 16
        blocks = -(-k // block)
        points: Array | None = None
        if zero == "packed":
            points = packed(whole(n, blocks, low=0, high=2**bits), bits)
        elif zero:
            points = floats(n, blocks, low=0, high=2**bits - 1)
        weights = packed(whole(n, blocks, block, low=0, high=2**bits), bits)
        inputs = [floats(2, 3, k), weights, floats(n, blocks, low=0.01, high=0.1), points]
        attributes = {"K": k, "N": n, "bits": bits, "block_size": block, "accuracy_level": 1}
        cases.append(Case("MatMulNBits", inputs, attributes, MS, tolerance=2e-5))
    one = cases[3]
    group = np.repeat(np.arange(3), 16)[:40][::-1].astype(np.int32).copy()
    cases.append(Case("MatMulNBits", [*one.inputs, group], one.attributes, MS, tolerance=2e-5))
    cases.append(Case("MatMulNBits", [*one.inputs, None, floats(5)], one.attributes, MS, tolerance=2e-5))
    return cases


def gathered() -> list[Case]:
    cases = []
    where = np.array([[3, 0], [-1, 2]], np.int64)
    for bits in (2, 4, 8):
        for zero in (False, True):
            table = packed(whole(4, 48, low=0, high=2**bits), bits)
            points = packed(whole(4, 3, low=0, high=2**bits), bits) if zero else None
            attributes = {"bits": bits, "block_size": 16, "gather_axis": 0, "quantize_axis": 1}
            cases.append(Case("GatherBlockQuantized", [table, where, floats(4, 3), points], attributes, MS))
    four = {"block_size": 16, "bits": 4}
    cases += [
        Case("GatherBlockQuantized", [whole(4, 40, low=-8, high=8).astype(ml_dtypes.int4), where, floats(4, 3)], four, MS),
        Case("GatherBlockQuantized", [whole(40, 4, low=0, high=16).astype(ml_dtypes.uint4), ints(1, 2), floats(3, 4),
                                      whole(3, 4, low=0, high=16).astype(ml_dtypes.uint4)],
             {**four, "gather_axis": 1, "quantize_axis": 0}, MS),
        Case("GatherBlockQuantized", [whole(3, 4, 20, low=-8, high=8).astype(ml_dtypes.int4), ints(1, 1), floats(3, 4, 2)],
             {**four, "gather_axis": 1, "quantize_axis": 2}, MS),
    ]
    return cases


def rotations() -> list[Case]:
    cases = []
    for interleaved in (0, 1):
        turned = {"interleaved": interleaved}
        angles, where = [floats(9, 4), floats(9, 4)], whole(2, 3, low=0, high=9)
        wide = {**turned, "num_heads": 2}
        cases += [
            Case("RotaryEmbedding", [floats(2, 2, 3, 8), *angles, where], turned, opset=23),
            Case("RotaryEmbedding", [floats(2, 3, 16), *angles, where], wide, opset=23),
            Case("RotaryEmbedding", [floats(2, 3, 16), floats(2, 3, 4), floats(2, 3, 4)], wide, opset=23),
            Case("RotaryEmbedding", [floats(2, 3, 24), *angles, where], {**wide, "rotary_embedding_dim": 8}, opset=23),
            Case("RotaryEmbedding", [floats(2, 3, 16), where, *angles], turned, MS),
            Case("RotaryEmbedding", [floats(2, 3, 16), ints(4), *angles], turned, MS),
            Case("RotaryEmbedding", [floats(2, 2, 3, 8), where, *angles], turned, MS),
            Case("RotaryEmbedding", [floats(2, 3, 24), where, *angles], {**wide, "rotary_embedding_dim": 8}, MS),
        ]
    return cases


def attentions() -> list[Case]:
    all_three = [True, True, True]
    q, k, v = floats(2, 4, 3, 8), floats(2, 2, 3, 8), floats(2, 2, 3, 8)
    flat = [floats(2, 3, 32), floats(2, 3, 16), floats(2, 3, 16)]
    heads = {"q_num_heads": 4, "kv_num_heads": 2}
    past = [floats(2, 2, 5, 8), floats(2, 2, 5, 8)]
    hidden = np.where(flags(3, 8), 0.0, -np.inf).astype(np.float32)
    hidden[:, 0] = 0.0
    cases = []
    for opset in (23, 24):
        cases += [
            Case("Attention", [q, k, v], opset=opset),
            Case("Attention", [q, k, v], {"is_causal": 1, "scale": 0.3}, opset=opset),
            Case("Attention", flat, {**heads, "is_causal": 1}, opset=opset),
            Case("Attention", [*flat, None, *past], {**heads, "is_causal": 1}, opset=opset, outputs=all_three),
            Case("Attention", [*flat, hidden, *past], heads, opset=opset, outputs=all_three),
            Case("Attention", [*flat, floats(2, 1, 3, 8), *past], heads, opset=opset, judge="onnx"),
            Case("Attention", [q, k, v, flags(2, 1, 3, 3) | np.eye(3, dtype=bool)], opset=opset),
            Case("Attention", [q, k, v, flags(3, 3) | np.eye(3, dtype=bool)], {"is_causal": 1}, opset=opset),
            Case("Attention", [q, k, v], {"softcap": 1.5, "is_causal": 1}, opset=opset),
            Case("Attention", [q, k, v, floats(3, 3)], {"softcap": 1.5}, opset=opset),
            Case("Attention", [q, k, v, np.where(np.tri(3, dtype=bool), 0, -np.inf).astype(np.float32)], {"softcap": 1.5}, opset=opset),
            Case("Attention", [q, k, v], {"softmax_precision": 1}, opset=opset),
            Case("Attention", [q, k, floats(2, 2, 3, 6)], opset=opset),
            Case("Attention", [floats(2, 4, 3, 8), floats(2, 4, 5, 8), floats(2, 4, 5, 8)], {"is_causal": 1}, opset=opset),
        ]
    cases += [
        Case("Attention", [q, floats(2, 2, 6, 8), floats(2, 2, 6, 8), None, None, None, ints(4, 6)], {"is_causal": 1}, opset=24, judge="onnx"),
        Case("Attention", [q, floats(2, 2, 6, 8), floats(2, 2, 6, 8), None, None, None, ints(2, 5)], opset=24, judge="onnx"),
        Case("Attention", [q, floats(2, 2, 6, 8), floats(2, 2, 6, 8), flags(3, 4) | np.eye(3, 4, dtype=bool)], opset=24, judge="onnx"),
    ]
    bias = floats(48)
    cases += [
        Case("MultiHeadAttention", [floats(2, 3, 16)] * 3, {"num_heads": 2}, MS),
        Case("MultiHeadAttention", [floats(2, 3, 16), floats(2, 3, 16), floats(2, 3, 16), bias], {"num_heads": 2, "unidirectional": 1}, MS),
        Case("MultiHeadAttention", [floats(2, 3, 16), floats(2, 3, 16), floats(2, 3, 16), None, None, floats(2, 1, 3, 8),
                                    floats(2, 2, 5, 8), floats(2, 2, 5, 8)], {"num_heads": 2, "scale": 0.4}, MS, outputs=all_three),
    ]
    return cases


def group_queries() -> list[Case]:
    all_three = [True, True, True]
    base = {"num_heads": 2, "kv_num_heads": 1}
    seven = lambda total, *lengths: [np.array([n - 1 for n in lengths], np.int32), scalar(total, np.int32)]  # noqa: E731
    empty = [np.zeros((2, 1, 0, 16), np.float32)] * 2
    angles = [floats(16, 8), floats(16, 8)]
    separate = lambda rows: [floats(2, rows, 32), floats(2, rows, 16), floats(2, rows, 16)]  # noqa: E731
    past = lambda length: [floats(2, 1, length, 16), floats(2, 1, length, 16)]  # noqa: E731
    case = lambda inputs, attributes={}, **more: Case("GroupQueryAttention", inputs, {**base, **attributes}, MS, outputs=all_three, **more)  # noqa: E731, B006
    prompt = [*separate(5), *empty, *seven(5, 5, 5)]
    next_one = [*separate(1), *past(6), *seven(7, 7, 7)]
    both = [prompt, next_one]
    cases = [case(inputs) for inputs in both]
    cases += [case([floats(2, 5, 64), None, None, *empty, *seven(5, 5, 5)])]
    cases += [case([*inputs, *angles], {"do_rotary": 1}) for inputs in both]
    cases += [case([*inputs, *angles], {"do_rotary": 1, "rotary_interleaved": 1}) for inputs in both]
    cases += [case([floats(2, 1, 64), None, None, *past(6), *seven(7, 7, 7), *angles], {"do_rotary": 1})]
    wide = [floats(2, 5, 64), floats(2, 5, 32), floats(2, 5, 32), *[np.zeros((2, 1, 0, 32), np.float32)] * 2, *seven(5, 5, 5)]
    cases += [case([*wide, *angles], {"do_rotary": 1, "rotary_interleaved": interleaved}) for interleaved in (0, 1)]
    cases += [case([*next_one, *angles, np.array([[3], [6]], np.int64)], {"do_rotary": 1})]
    for window in (1, 3, 4, 6, 7):
        cases += [case(inputs, {"local_window_size": window}) for inputs in both]
    cases += [case(inputs, {"softcap": 1.5}) for inputs in both]
    cases += [case(inputs, {"smooth_softmax": 1}) for inputs in both]
    cases += [case(inputs, {"scale": 0.7}) for inputs in both]
    for inputs, rows, total in ((prompt, 5, 5), (next_one, 1, 7)):
        cases += [case([*inputs, None, None, None, floats(1, 1, rows, total)])]
        cases += [case([*inputs, None, None, None, floats(2, 2, rows, total)], {"softcap": 1.5})]
        cases += [case([*inputs, None, None, None, None, floats(2)])]
        cases += [case([*inputs, None, None, None, None, floats(2)], {"local_window_size": 3, "softcap": 2.0})]
    one = [floats(1, 3, 32), floats(1, 3, 16), floats(1, 3, 16), floats(1, 1, 4, 16), floats(1, 1, 4, 16), *seven(7, 7)]
    cases += [case([*one, *angles], {"do_rotary": 1}), case(one, {"local_window_size": 2})]
    cases += [case([*separate(1), *past(6), *seven(7, 7, 4), *angles], {"do_rotary": 1})]
    return cases


def fused() -> list[Case]:
    groups = (by_scale, in_blocks, gathered, rotations, attentions, group_queries)
    return [case for group in groups for case in group()]
