"""Writes schemas.json: what ONNX and ONNX Runtime say of the operators that the embedded engine knows.

    python3 models/goldens/schemas.py

Of each operator: for every version in which they change, the names of its inputs and outputs, and its attributes with their types
and defaults. A test of sdk/engine-tract holds its table of operators against these; an operator that joins the table joins the
lists below. Needs onnx and onnxruntime as in requirements.txt.
"""

import json
import os

import onnx
import onnxruntime
from onnxruntime.capi import _pybind_state

ONNX = """
Abs Add Attention Cast Ceil Clip Concat Constant Cos DequantizeLinear Div Dropout DynamicQuantizeLinear Einsum Elu Erf Exp Expand
Flatten Floor Gather GatherND Gelu Gemm HardSigmoid HardSwish Identity IsNaN LayerNormalization LeakyRelu Log MatMul MatMulInteger Max Min Mul
Neg Pow RMSNormalization Reciprocal ReduceMean Relu Reshape RotaryEmbedding Sigmoid SimplifiedLayerNormalization Sin Slice
Softmax Split Sqrt Squeeze Sub Swish Tanh Tile Transpose Unsqueeze Where
""".split()
CONTRIB = """
DynamicQuantizeMatMul FastGelu FusedMatMul GatherBlockQuantized Gelu GroupQueryAttention MatMulIntegerToFloat MatMulNBits QuickGelu
RotaryEmbedding SkipSimplifiedLayerNormalization
""".split()


def default(attribute):
    """The default as JSON, null where there is none."""
    raw = getattr(attribute, "default_value", None)
    if raw is None:
        raw = onnx.AttributeProto.FromString(attribute._default_value)
    if raw.type == onnx.AttributeProto.UNDEFINED:
        return None
    value = onnx.helper.get_attribute_value(raw)
    return value.decode() if isinstance(value, bytes) else value


def signature(schema):
    attributes = {
        name: {"type": str(a.type).split(".")[-1], "default": default(a), "required": a.required}
        for name, a in sorted(schema.attributes.items())
    }
    inputs, outputs = ([v.name for v in values] for values in (schema.inputs, schema.outputs))
    return {"inputs": inputs, "outputs": outputs, "attributes": attributes}


def signatures(schemas):
    """Each signature with the version since which it holds, oldest first."""
    found = []
    for schema in sorted(schemas, key=lambda schema: schema.since_version):
        here = signature(schema)
        if not found or {**here, "since": 0} != {**found[-1], "since": 0}:
            found.append({"since": schema.since_version, **here})
    return found


def main():
    sources = {
        "onnx": onnx.defs.get_all_schemas_with_history(),
        "onnxruntime": _pybind_state.get_all_operator_schema(),
    }
    operators = []
    for source, schemas in sources.items():
        for domain, names in (("", ONNX), ("com.microsoft", CONTRIB)):
            for name in names:
                history = [s for s in schemas if s.domain == domain and s.name == name]
                if history:
                    operators.append(
                        {"source": source, "domain": domain, "name": name, "signatures": signatures(history)}
                    )
    named = {(o["domain"], o["name"]) for o in operators}
    missing = ({("", n) for n in ONNX} | {("com.microsoft", n) for n in CONTRIB}) - named
    assert not missing, missing
    facts = {
        "onnx": onnx.__version__,
        "onnxruntime": onnxruntime.__version__,
        "opset": onnx.defs.onnx_opset_version(),
        "operators": operators,
    }
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "schemas.json")
    with open(path, "w") as file:
        # A line an operator: small, and a change can be read.
        head = {key: value for key, value in facts.items() if key != "operators"}
        file.write(json.dumps(head)[:-1] + ', "operators": [\n')
        file.write(",\n".join(json.dumps(o, separators=(",", ":")) for o in operators))
        file.write("\n]}\n")


main()
