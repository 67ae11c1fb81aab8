"""Graphs as ONNX Runtime's CPU runs them by itself: the same arithmetic in operators that it has, and in the graph what the builder
leaves to onnxruntime-genai."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper, numpy_helper

from rewrites import replace_nodes, set_attribute

NORMS = (14, 15)  # the inputs of GroupQueryAttention that hold the weights of its norms on queries and keys


def has_norms(node: NodeProto) -> bool:
    return node.op_type == "GroupQueryAttention" and len(node.input) > NORMS[0] and bool(node.input[NORMS[0]])


def number(node: NodeProto, name: str, usual: float) -> float:
    return next((helper.get_attribute_value(a) for a in node.attribute if a.name == name), usual)


def with_norms_outside(model: ModelProto) -> ModelProto:
    """Puts the norms that GroupQueryAttention takes as inputs, which its CPU kernel refuses, before it as nodes."""
    weights = {t.name: t for t in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in model.graph.node:
        if has_norms(node):
            head = weights[node.input[NORMS[0]]].dims[0]
            counts = [int(number(node, name, 0)) for name in ("num_heads", "kv_num_heads")]
            epsilon = number(node, "qk_norm_epsilon", 1e-6)
            if not node.input[1]:
                nodes.append(split(model, node, head, counts))
            for place, heads in enumerate(counts):
                nodes += norm(model, node, place, heads, head, epsilon)
            del node.input[NORMS[0] :]
            kept = [a for a in node.attribute if a.name != "qk_norm_epsilon"]
            del node.attribute[:]
            node.attribute.extend(kept)
        nodes.append(node)
    replace_nodes(model, nodes)
    return model


def constant(model: ModelProto, name: str, values: list[int]) -> str:
    model.graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
    return name


def split(model: ModelProto, node: NodeProto, head: int, counts: list[int]) -> NodeProto:
    """Queries, keys and values out of one packed input of `node`, which reads them apart from there on."""
    heads, kv_heads = counts
    packed, names = node.input[0], [f"{node.name}_{what}" for what in "qkv"]
    sizes = constant(model, f"{node.name}_sizes", [heads * head, kv_heads * head, kv_heads * head])
    for place, name in enumerate(names):
        node.input[place] = name
    return helper.make_node("Split", [packed, sizes], names, name=f"{node.name}_Split", axis=-1)


def norm(model: ModelProto, node: NodeProto, place: int, heads: int, head: int, epsilon: float) -> list[NodeProto]:
    """The norm of input `place` of `node`, each head by itself."""
    name, source = f"{node.name}_norm{place}", node.input[place]
    apart = constant(model, f"{name}_apart", [0, 0, heads, head])
    together = constant(model, f"{name}_together", [0, 0, heads * head])
    node.input[place] = f"{name}_out"
    weight = node.input[NORMS[place]]
    return [
        helper.make_node("Reshape", [source, apart], [f"{name}_heads"], name=f"{name}_Reshape"),
        helper.make_node("SimplifiedLayerNormalization", [f"{name}_heads", weight], [f"{name}_normal"], name=name, axis=-1, epsilon=epsilon),
        helper.make_node("Reshape", [f"{name}_normal", together], [f"{name}_out"], name=f"{name}_Reshape_1"),
    ]


def configured_window(graph: Path) -> tuple[int, list[int]] | None:
    """The window that genai_config.json alone names, and the layers that have it (none listed: all)."""
    config = graph.with_name("genai_config.json")
    window = json.loads(config.read_text())["model"]["decoder"].get("sliding_window") if config.exists() else None
    if not window or window["window_size"] < 1:
        return None
    nodes = onnx.load(str(graph), load_external_data=False).graph.node
    named = any(number(node, "local_window_size", -1) > 0 for node in nodes)
    return None if named else (window["window_size"], window["layers"])


def set_window(model: ModelProto, size: int, layers: list[int]) -> None:
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention" and (not layers or int(node.input[3].split(".")[1]) in layers):
            set_attribute(node, "local_window_size", size)


def runnable(graph: Path, scratch: Path) -> Path:
    """`graph`, or a rewritten one below `scratch` where the CPU does not run it as it is, or would without its window."""
    norms = any(map(has_norms, onnx.load(str(graph), load_external_data=False).graph.node))
    window = configured_window(graph)
    if not norms and not window:
        return graph
    scratch.mkdir(parents=True, exist_ok=True)
    shutil.copy(graph.with_name("genai_config.json"), scratch / "genai_config.json")
    model = onnx.load(str(graph))
    if window:
        set_window(model, *window)
    onnx.save(with_norms_outside(model) if norms else model, str(scratch / "model.onnx"))
    return scratch / "model.onnx"
