"""Single MatMulNBits products: every block size, 2, 4 and 8 bits, with and without zero points, a last block that is not full."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from layouts import Workplace, empty

Fail = Callable[[str], None]
ROWS, K, N = 3, 300, 5  # A [ROWS, K] x B^T [N, K] -> Y [ROWS, N]
CASES = [(bits, block, zero) for bits in (4, 8) for block in (16, 32, 64, 128, 256) for zero in ("", "packed")] + [(4, 32, "float")]
CASES += [(2, block, zero) for block in (16, 32, 128) for zero in ("", "packed")] + [(2, 32, "float"), (4, 128, "float")]


def packed(values: npt.NDArray[np.uint8], bits: int) -> npt.NDArray[np.uint8]:
    """As many values a byte as it holds along the last axis, the first in the lowest bits."""
    count = 8 // bits
    whole = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % count)])
    parts = [whole[..., i::count] << (i * bits) for i in range(count)]
    return np.bitwise_or.reduce(parts)


def product(inputs: dict[str, npt.NDArray[Any]], bits: int, block: int) -> npt.NDArray[np.float32]:
    """By ONNX Runtime, with float activations."""
    names = [name if name in inputs else "" for name in ("A", "B", "scales", "zero_points", "", "bias")]
    node = helper.make_node("MatMulNBits", names, ["Y"], domain="com.microsoft", K=K, N=N, bits=bits, block_size=block, accuracy_level=0)
    a, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [ROWS, size]) for name, size in (("A", K), ("Y", N)))
    fixed = [numpy_helper.from_array(value, name) for name, value in inputs.items() if name != "A"]
    graph = helper.make_graph([node], "product", [a], [y], fixed)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["Y"], {"A": inputs["A"]})[0])


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    out = empty(work.out / "kernels")
    random = np.random.default_rng(1)
    a = random.standard_normal((ROWS, K)).astype(np.float32)
    data = bytearray(a.tobytes())
    cases = []
    for bits, block, zero in CASES:
        blocks = -(-K // block)
        values = random.integers(0, 2**bits, (N, blocks, block), np.uint8)
        inputs = {"A": a, "B": packed(values, bits), "scales": random.uniform(0.01, 0.1, (N, blocks)).astype(np.float32)}
        points = np.full((N, blocks), 2.0 ** (bits - 1))  # what an absent zero_points stands for
        if zero == "packed":
            whole = random.integers(0, 2**bits, (N, blocks), np.uint8)
            points, inputs["zero_points"] = whole.astype(float), packed(whole, bits)
        elif zero == "float":
            points = inputs["zero_points"] = random.uniform(6, 9, (N, blocks)).astype(np.float32)
        if block == 64:
            inputs["bias"] = random.standard_normal(N).astype(np.float32)
        weights = ((values - points[..., None]) * inputs["scales"][..., None]).reshape(N, -1)[:, :K]
        y = a.astype(float) @ weights.T + inputs.get("bias", 0)
        if np.abs(product(inputs, bits, block) - y).max() > 1e-4 * np.abs(y).max():
            fail(f"MatMulNBits {bits} bits, block {block}, zero points {zero!r}: the runtime gives another product")
        parts = {}
        for name, value in ((inputs | {"Y": y.astype(np.float32)}).items()):
            if name != "A":
                parts[name] = {"type": str(value.dtype), "shape": list(value.shape), "offset": len(data)}
                data += value.tobytes()
        cases.append({"bits": bits, "block_size": block, "K": K, "N": N, **parts})
    lines = ",\n".join("  " + json.dumps(c, separators=(",", ":")) for c in cases)
    head = f'{{"A": {{"type": "float32", "shape": [{ROWS}, {K}], "offset": 0}},\n "cases": [\n'
    (out / "matmul_nbits.json").write_text(head + lines + "\n ]}\n")
    (out / "matmul_nbits.bin").write_bytes(data)
    return []


GROUPS = {"kernels": make}
