"""Graph rewrites: to float32 arithmetic over the same weights (the exact reference), and to the forms found in the wild."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import onnx
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper


def replace_nodes(model: ModelProto, nodes: Iterable[NodeProto]) -> None:
    """Sets the nodes and drops the initializers that none of them reads."""
    kept = list(nodes)
    used = {name for node in kept for name in node.input}
    tensors = [t for t in model.graph.initializer if t.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(kept)
    model.graph.initializer.extend(tensors)


def set_attribute(node: NodeProto, name: str, value: int) -> None:
    kept = [a for a in node.attribute if a.name != name]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(name, value)])


def with_accuracy_level(model: ModelProto, level: int) -> ModelProto:
    for node in model.graph.node:
        if node.op_type == "MatMulNBits":
            set_attribute(node, "accuracy_level", level)
    return model


def with_float_activations(model: ModelProto) -> ModelProto:
    """Undoes dynamic quantisation: activations stay as they are, the int8 weights become the floats they stand for less the scale."""
    tensors = {t.name: t for t in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            value, scale, _ = node.output
            model.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), scale))
            node = helper.make_node("Identity", [node.input[0]], [value], name=node.name)
        elif node.op_type == "MatMulInteger":
            weight, zero = (numpy_helper.to_array(tensors[node.input[i]]).astype(np.float32) for i in (1, 3))
            name = f"{node.input[1]}_float"
            model.graph.initializer.append(numpy_helper.from_array(weight - zero, name))
            node = helper.make_node("MatMul", [node.input[0], name], node.output, name=node.name)
        nodes.append(node)
    replace_nodes(model, nodes)
    return model


def widened(tensor: TensorProto) -> TensorProto:
    return numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name)


def as_float32(model: ModelProto) -> ModelProto:
    """float32 arithmetic over the same float16 weights."""
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(widened(tensor))
    for info in (*model.graph.input, *model.graph.output, *model.graph.value_info):
        if info.type.tensor_type.elem_type == TensorProto.FLOAT16:
            info.type.tensor_type.elem_type = TensorProto.FLOAT
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.TENSOR and attribute.t.data_type == TensorProto.FLOAT16:
                attribute.t.CopyFrom(widened(attribute.t))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.FLOAT16:
                attribute.i = TensorProto.FLOAT
    return model


def exact(graph: Path) -> bytes:
    """The graph, weights inside, as float32 arithmetic would have it."""
    model = with_whole_caches(onnx.load(str(graph)))
    return with_accuracy_level(with_float_activations(as_float32(model)), 0).SerializeToString()


def as_it_runs(graph: Path) -> bytes:
    """The graph, weights inside, with caches that grow from nothing."""
    return with_whole_caches(onnx.load(str(graph))).SerializeToString()


def with_whole_caches(model: ModelProto) -> ModelProto:
    """No layer's cache is a ring of the window's size."""
    for node in model.graph.node:
        kept = [a for a in node.attribute if a.name != "sliding_window_cache"]
        del node.attribute[:]
        node.attribute.extend(kept)
    return model


def with_bfloat16_weights(model: ModelProto) -> ModelProto:
    """Stores every matrix in bfloat16, put back to float32 by Cast."""
    for tensor in [t for t in model.graph.initializer if t.data_type == TensorProto.FLOAT and len(t.dims) == 2]:
        name = tensor.name
        bits = numpy_helper.to_array(tensor).view(np.uint32)
        halves = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)  # to the nearest, ties to even
        stored = helper.make_tensor(f"{name}_bfloat16", TensorProto.BFLOAT16, tensor.dims, halves.tobytes(), raw=True)
        tensor.CopyFrom(stored)
        cast = helper.make_node("Cast", [tensor.name], [name], name=f"{name}_Cast", to=TensorProto.FLOAT)
        model.graph.node.insert(0, cast)
    return model


def qdq_per_channel(model: ModelProto) -> ModelProto:
    """Stores every product's weight as int8 with a scale a column, put back to float by DequantizeLinear."""
    weights = {t.name: t for t in model.graph.initializer}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and node.input[1] in weights:
            name = node.input[1]
            values = numpy_helper.to_array(weights[name])  # [K, N]
            scales = (np.abs(values).max(axis=0) / 127).astype(np.float32)  # [N]
            rounded = np.clip(np.rint(values / scales), -127, 127).astype(np.int8)
            for tensor, suffix in ((rounded, "quantized"), (scales, "scale"), (np.zeros(len(scales), np.int8), "zero_point")):
                model.graph.initializer.append(numpy_helper.from_array(tensor, f"{name}_{suffix}"))
            parts = [f"{name}_quantized", f"{name}_scale", f"{name}_zero_point"]
            nodes.append(helper.make_node("DequantizeLinear", parts, [f"{name}_dequantized"], name=f"{name}_DequantizeLinear", axis=1))
            node.input[1] = f"{name}_dequantized"
        nodes.append(node)
    replace_nodes(model, nodes)
    return model


def short_names(model: ModelProto) -> ModelProto:
    """Numbers the nodes and the values between them: the exporters' long paths would be most of a small file."""
    graph = model.graph
    named = {"", *(i.name for i in (*graph.input, *graph.output)), *(t.name for t in graph.initializer)}
    new: dict[str, str] = {}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}"
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name not in named:
                    names[i] = new.setdefault(name, f"v{len(new)}")
    del graph.value_info[:]
    return model


def shorten(graph: Path) -> None:
    """The same for a file, whose external data stay as they are."""
    graph.write_bytes(short_names(onnx.load(str(graph), load_external_data=False)).SerializeToString())


def with_head_size(model: ModelProto, size: int) -> ModelProto:
    """Says in the caches' shapes what the builder leaves open."""
    for info in (*model.graph.input, *model.graph.output):
        for dimension in info.type.tensor_type.shape.dim:
            if dimension.dim_param == "kv_cache_dim":
                dimension.dim_value = size
    return model


def with_rotary_nodes(model: ModelProto) -> ModelProto:
    """Takes the rotation out of GroupQueryAttention: RotaryEmbedding nodes that read a `position_ids` input."""
    shape = ["batch_size", "sequence_length"]
    model.graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, shape))
    nodes = []
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            caches = list(node.input[7:9])
            for i, heads in ((0, "num_heads"), (1, "kv_num_heads")):
                out = f"{node.input[i]}_rotated"
                count = next(a.i for a in node.attribute if a.name == heads)
                inputs = [node.input[i], "position_ids", *caches]
                nodes.append(helper.make_node("RotaryEmbedding", inputs, [out], name=out, domain="com.microsoft", num_heads=count))
                node.input[i] = out
            del node.input[7:]
            set_attribute(node, "do_rotary", 0)
        nodes.append(node)
    replace_nodes(model, nodes)
    return model


def with_kept_logits(model: ModelProto) -> ModelProto:
    """Declares `position_ids` (unread) and `num_logits_to_keep`, 0 for all: the rows that reach the head are sliced by it."""
    graph = model.graph
    graph.input.append(helper.make_tensor_value_info("position_ids", TensorProto.INT64, ["batch_size", "sequence_length"]))
    graph.input.append(helper.make_tensor_value_info("num_logits_to_keep", TensorProto.INT64, []))
    head = next(n for n in graph.node if n.output[0] == "logits")
    constants = {"keep_axis": np.array([1]), "keep_end": np.array([np.iinfo(np.int64).max]), "keep_shape": np.array([1])}
    graph.initializer.extend(numpy_helper.from_array(value.astype(np.int64), name) for name, value in constants.items())
    added = [
        helper.make_node("Neg", ["num_logits_to_keep"], ["keep_negative"], name="keep_Neg"),
        helper.make_node("Reshape", ["keep_negative", "keep_shape"], ["keep_start"], name="keep_Reshape"),
        helper.make_node("Slice", [head.input[0], "keep_start", "keep_end", "keep_axis"], ["kept"], name="keep_Slice"),
    ]
    head.input[0] = "kept"
    replace_nodes(model, [*(n for n in graph.node if n is not head), *added, head])
    return model


def set_window(graph: Path, window: int) -> None:
    """Puts a sliding window on every layer; the builder leaves it out where the checkpoint has one for all layers alike."""
    model = onnx.load(str(graph), load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention":
            set_attribute(node, "local_window_size", window)
    graph.write_bytes(model.SerializeToString())


def without_rotation(graph: Path, layers: list[int]) -> None:
    """Leaves the keys and queries of these layers as they are; the builder fails where some layers rotate and some do not."""
    model = onnx.load(str(graph), load_external_data=False)
    for node in model.graph.node:
        if node.op_type == "GroupQueryAttention" and int(node.input[3].split(".")[1]) in layers:
            set_attribute(node, "do_rotary", 0)
            del node.input[7:]
    graph.write_bytes(model.SerializeToString())


def save_parts(model: ModelProto, path: Path, parts: int) -> None:
    """Writes the graph and its tensors of 1 KiB and more beside it, in `parts` files called _data, _data_1, ..."""
    large = [t for t in model.graph.initializer if len(numpy_helper.to_array(t).tobytes()) >= 1024]
    share = -(-len(large) // parts)
    for part in range(parts):
        file = path.with_name(path.name + "_data" + (f"_{part}" if part else ""))
        with file.open("wb") as data:
            for tensor in large[part * share : (part + 1) * share]:
                data.write(b"\0" * (-data.tell() % 64))
                raw = numpy_helper.from_array(numpy_helper.to_array(tensor)).raw_data
                for key, value in (("location", file.name), ("offset", data.tell()), ("length", len(raw))):
                    tensor.external_data.add(key=key, value=str(value))
                data.write(raw)
                tensor.ClearField("raw_data")
                tensor.data_location = TensorProto.EXTERNAL
    path.write_bytes(model.SerializeToString())
