#!/usr/bin/env python3
"""Makes every_field.onnx with the onnx package (1.23), and every_field.json: the numbers that onnx itself reads from it.

usage: make.py   (needs onnx and numpy)
"""

import json
from pathlib import Path

import numpy as np
from onnx import AttributeProto, ModelProto, TensorProto, checker, helper, numpy_helper

HERE = Path(__file__).resolve().parent
TYPES = TensorProto


def constants() -> list[TensorProto]:
    """One constant for each field of TensorProto that can hold numbers."""
    make = helper.make_tensor
    raw = numpy_helper.from_array
    half = [1.0, -0.5, 65504.0]
    return [
        raw(np.arange(6, dtype=np.float32).reshape(2, 3) / 4, "raw_float"),
        make("typed_float", TYPES.FLOAT, [3], [0.5, -1.25, 65536.25]),
        make("typed_double", TYPES.DOUBLE, [2], [0.1, -1099511627776.5]),
        make("typed_int64", TYPES.INT64, [3], [0, -1, 2**62]),
        make("typed_uint64", TYPES.UINT64, [2], [0, 2**63]),
        make("typed_uint32", TYPES.UINT32, [2], [7, 2**32 - 1]),
        make("typed_int32", TYPES.INT32, [1, 2], [-2, 2**31 - 1]),
        make("typed_int16", TYPES.INT16, [2], [-2, 300]),
        make("typed_int8", TYPES.INT8, [2], [-128, 127]),
        make("typed_uint8", TYPES.UINT8, [2], [0, 255]),
        make("typed_bool", TYPES.BOOL, [2], [True, False]),
        make("typed_half", TYPES.FLOAT16, [3], half),
        make("typed_bfloat", TYPES.BFLOAT16, [2], [1.5, -2.0]),
        make("typed_int4", TYPES.INT4, [3], [-8, 7, 1]),
        make("raw_uint4", TYPES.UINT4, [5], b"\x21\x43\x05", raw=True),
        raw(np.array(half, np.float16), "raw_half"),
        raw(np.array(42, np.int64), "raw_scalar"),
        raw(np.zeros((0, 4), np.float32), "raw_nothing"),
    ]


def model() -> ModelProto:
    then = helper.make_graph(
        [helper.make_node("Identity", ["raw_scalar"], ["inner"], name="inner_node")],
        "then",
        [],
        [helper.make_tensor_value_info("inner", TYPES.INT64, [])],
    )
    attributes = {
        "an_int": -3,
        "a_float": 0.25,
        "a_string": "NHWC",
        "ints": [1, -2, 3],
        "floats": [0.5, 1.5],
        "strings": ["a", "bc"],
        "a_tensor": numpy_helper.from_array(np.array([7, 8], np.int64), "inside"),
        "a_graph": then,
        "zero": 0,
    }
    every = helper.make_node("EveryAttribute", ["x", "", "raw_float"], ["y", ""], domain="com.microsoft", **attributes)
    every.attribute.append(helper.make_attribute("no_ints", [], attr_type=AttributeProto.INTS))
    every.attribute.append(helper.make_attribute("graphs", [then, then]))
    nodes = [every, helper.make_node("Identity", ["y"], ["z"], name="named", domain="ai.onnx", doc_string="text")]
    inputs = [
        helper.make_tensor_value_info("x", TYPES.FLOAT, ["batch", None, 4]),
        helper.make_tensor_value_info("raw_float", TYPES.FLOAT, [2, 3]),
        helper.make_tensor_value_info("no_shape", TYPES.INT64, None),
        helper.make_tensor_value_info("scalar", TYPES.BOOL, []),
        helper.make_tensor_sequence_value_info("sequence", TYPES.FLOAT, None),
    ]
    outputs = [helper.make_tensor_value_info("z", TYPES.FLOAT16, ["batch", 1])]
    graph = helper.make_graph(nodes, "every_field", inputs, outputs, constants(), doc_string="text")
    graph.value_info.append(helper.make_tensor_value_info("y", TYPES.FLOAT, [1]))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    whole = helper.make_model(graph, opset_imports=opsets, producer_name="make.py")
    helper.set_model_props(whole, {"key": "value"})
    return whole


def numbers(tensor: TensorProto) -> list[float | int]:
    """The elements, as onnx itself reads them."""
    array = numpy_helper.to_array(tensor)
    name = array.dtype.name
    wide = "uint64" if name == "uint64" else "int64" if "int" in name or name == "bool" else "float64"
    return array.astype(wide).ravel().tolist()


def main() -> None:
    whole = model()
    for tensor in whole.graph.initializer:
        checker.check_tensor(tensor)
    (HERE / "every_field.onnx").write_bytes(whole.SerializeToString())
    about = [
        {"name": t.name, "data_type": t.data_type, "dims": list(t.dims), "numbers": numbers(t)} for t in whole.graph.initializer
    ]
    lines = ",\n".join("  " + json.dumps(entry) for entry in about)
    (HERE / "every_field.json").write_text('{"constants": [\n' + lines + "\n]}\n")


if __name__ == "__main__":
    main()
