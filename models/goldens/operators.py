"""Single ONNX operators with random operands: what ONNX Runtime makes of them and, where it lacks the form, ONNX's own reference."""

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from layouts import Workplace, empty
from operator_cases import Case, plain
from operator_fused import fused

Fail = Callable[[str], None]
Array = npt.NDArray[Any]


def model(case: Case) -> onnx.ModelProto:
    """A graph of one node, with its operands as constants."""
    names = [f"i{index}" if value is not None else "" for index, value in enumerate(case.inputs)]
    outputs = [f"o{index}" if wanted else "" for index, wanted in enumerate(case.outputs)]
    node = helper.make_node(case.op, names, outputs, domain=case.domain, **case.attributes)
    fixed = [numpy_helper.from_array(value, name) for name, value in zip(names, case.inputs) if value is not None]
    wanted = [onnx.ValueInfoProto(name=name) for name in outputs if name]
    opsets = [helper.make_opsetid("", case.opset), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "operator", [], wanted, fixed)
    return helper.make_model(graph, opset_imports=opsets, ir_version=11)


def by_runtime(proto: onnx.ModelProto) -> list[Array]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return list(session.run(None, {}))


def judged(case: Case) -> list[Array]:
    """The outputs by ONNX Runtime, unless the case names ONNX's reference."""
    proto = model(case)
    return list(ReferenceEvaluator(proto).run(None, {})) if case.judge == "onnx" else by_runtime(proto)


def attribute(value: Any) -> dict[str, Any]:
    """An attribute as JSON, by its kind in AttributeProto."""
    proto = helper.make_attribute("x", value)
    kind = onnx.AttributeProto.AttributeType.Name(proto.type).lower()
    return {kind: value.decode() if isinstance(value, bytes) else value}


class Store:
    """Elements behind one another, equal ones once."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.known: dict[bytes, int] = {}

    def place(self, value: Array | None) -> dict[str, Any] | None:
        """Type (as in TensorProto), shape, and offset of the elements in bytes."""
        if value is None:
            return None
        proto = numpy_helper.from_array(np.asarray(value))
        offset = self.known.setdefault(proto.raw_data, len(self.data))
        if offset == len(self.data):
            self.data += proto.raw_data
        return {"type": proto.data_type, "shape": list(proto.dims), "offset": offset}


def entry(name: str, case: Case, outputs: list[Array], store: Store) -> dict[str, Any]:
    wanted = iter(outputs)
    usual = Case("", [])
    rare = {key: getattr(case, key) for key in ("domain", "opset", "judge", "tolerance")}
    return {
        "name": name,
        **{key: value for key, value in rare.items() if value != getattr(usual, key)},
        **({"attributes": {key: attribute(value) for key, value in case.attributes.items()}} if case.attributes else {}),
        "inputs": [store.place(value) for value in case.inputs],
        "outputs": [store.place(next(wanted) if here else None) for here in case.outputs],
    }


def make(work: Workplace, fail: Fail) -> list[dict[str, Any]]:
    out = empty(work.out / "operators")
    store = Store()
    entries: list[dict[str, Any]] = []
    counts: Counter[str] = Counter()
    for case in plain() + fused():
        name = f"{case.op} {counts[case.op]}"
        counts[case.op] += 1
        try:
            outputs = judged(case)
        except Exception as error:  # whatever a runtime raises: it cannot judge this form
            fail(f"{name}: {str(error)[:600]}")
            continue
        entries.append(entry(name, case, outputs, store))
    versions = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}"
    lines = ",\n".join("  " + json.dumps(one, separators=(",", ":")) for one in entries)
    (out / "operators.json").write_text(f'{{"versions": "{versions}",\n "cases": [\n{lines}\n ]}}\n')
    (out / "operators.bin").write_bytes(store.data)
    return []


GROUPS = {"operators": make}
