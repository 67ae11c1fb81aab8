"""Every form in which a weight may be written: one decoder of one layer whose embedding, one product and head take turns.

ONNX Runtime on the very graph says what the logits are. Where it would round activations itself (dynamic quantisation, float16),
the same weights are given to it in a plain form instead. Needs onnx, onnxruntime and numpy alone.
"""

import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16

Array = npt.NDArray[Any]
HIDDEN, HEADS, KV_HEADS, HEAD, FFN, VOCAB, POSITIONS = 64, 4, 2, 16, 80, 72, 64
IDS = [3, 17, 42, 5, 60, 9, 33, 21]
DATA = "weights.onnx_data"


class Graph:
    """A graph as it grows. Tensors that are given by `shared` lie in the file that all graphs share."""

    def __init__(self, opset: int = 21) -> None:
        self.nodes: list[NodeProto] = []
        self.tensors: dict[str, TensorProto] = {}
        self.opset = opset
        self.random = np.random.default_rng(7)

    def tensor(self, value: Array, name: str | None = None) -> str:
        name = name or f"t{len(self.tensors)}"
        self.tensors[name] = numpy_helper.from_array(np.array(value, order="C"), name)
        return name

    def packed(self, kind: str, values: Array, name: str | None = None) -> str:
        """Integers of 2, 4 or 8 bits, flattened and packed."""
        name, bits = name or f"t{len(self.tensors)}", int(kind.lstrip("uint"))
        raw = in_bytes(values.flatten() & (2**bits - 1), bits).tobytes()
        self.tensors[name] = helper.make_tensor(name, getattr(TensorProto, kind.upper()), values.shape, raw, raw=True)
        return name

    def node(self, op_type: str, inputs: list[str], domain: str = "", outputs: int = 1, **attributes: Any) -> str:
        made = [f"v{len(self.nodes)}" + (f"_{i}" if i else "") for i in range(outputs)]
        self.nodes.append(helper.make_node(op_type, inputs, made, name=f"/{op_type}_{len(self.nodes)}", domain=domain, **attributes))
        return made[0]

    def microsoft(self, op_type: str, inputs: list[str], **attributes: Any) -> str:
        return self.node(op_type, inputs, "com.microsoft", **attributes)

    def ints(self, *values: int) -> str:
        return self.tensor(np.array(values, np.int64))


WEIGHTS: dict[str, Array] = {}


def draw() -> None:
    random = np.random.default_rng(11)
    kv = KV_HEADS * HEAD
    shapes = {"q": (HIDDEN, HIDDEN), "k": (HIDDEN, kv), "v": (HIDDEN, kv), "o": (HIDDEN, HIDDEN)}
    shapes |= {"gate": (HIDDEN, FFN), "up": (HIDDEN, FFN), "down": (FFN, HIDDEN), "embed": (VOCAB, HIDDEN), "lm_head": (HIDDEN, VOCAB)}
    for name, shape in shapes.items():
        WEIGHTS[name] = (random.standard_normal(shape) / np.sqrt(shape[-1 if name == "embed" else 0])).astype(np.float32)
    WEIGHTS["embed"] *= 6
    for name in ("norm1", "norm2", "norm3"):
        WEIGHTS[name] = random.uniform(0.8, 1.2, HIDDEN).astype(np.float32)
    angles = np.arange(POSITIONS)[:, None] / 10000 ** (np.arange(HEAD // 2) * 2 / HEAD)
    WEIGHTS["cos_cache"], WEIGHTS["sin_cache"] = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


Product = Callable[[Graph, str], str]


def shared(g: Graph, name: str) -> str:
    return g.tensor(WEIGHTS[name], name)


def plain(name: str) -> Product:
    return lambda g, x: g.node("MatMul", [x, shared(g, name)])


def plain_embedding(g: Graph, ids: str) -> str:
    return g.node("Gather", [shared(g, "embed"), ids])


def decoder(embed: Product = plain_embedding, down: Product = plain("down"), head: Product = plain("lm_head"), opset: int = 21) -> Graph:
    g = Graph(opset)
    norm = {"epsilon": 1e-5, "axis": -1}
    x = embed(g, "input_ids")
    total = g.node("ReduceSum", ["attention_mask", g.ints(1)], keepdims=0)
    seqlens = g.node("Cast", [g.node("Sub", [total, g.ints(1)])], to=TensorProto.INT32)
    length = g.node("Gather", [g.node("Shape", ["attention_mask"]), g.tensor(np.array(1, np.int64))])
    length = g.node("Cast", [length], to=TensorProto.INT32)
    n = g.node("SimplifiedLayerNormalization", [x, shared(g, "norm1")], **norm)
    qkv = [plain(name)(g, n) for name in ("q", "k", "v")]
    past = ["past_key_values.0.key", "past_key_values.0.value"]
    inputs = [*qkv, *past, seqlens, length, shared(g, "cos_cache"), shared(g, "sin_cache")]
    attention = g.microsoft("GroupQueryAttention", inputs, outputs=3, num_heads=HEADS, kv_num_heads=KV_HEADS, do_rotary=1)
    g.nodes[-1].output[1:] = ["present.0.key", "present.0.value"]
    x = g.node("Add", [x, plain("o")(g, attention)])
    n = g.node("SimplifiedLayerNormalization", [x, shared(g, "norm2")], **norm)
    gate, up = plain("gate")(g, n), plain("up")(g, n)
    silu = g.node("Mul", [gate, g.node("Sigmoid", [gate])])
    x = g.node("Add", [x, down(g, g.node("Mul", [silu, up]))])
    n = g.node("SimplifiedLayerNormalization", [x, shared(g, "norm3")], **norm)
    head(g, n)
    g.nodes[-1].output[0] = "logits"
    return g


def model_of(g: Graph) -> ModelProto:
    caches = ["batch", KV_HEADS, "past", HEAD], ["batch", KV_HEADS, "total", HEAD]
    ids = [helper.make_tensor_value_info(n, TensorProto.INT64, ["batch", s]) for n, s in (("input_ids", "rows"), ("attention_mask", "total"))]
    past = [helper.make_tensor_value_info(f"past_key_values.0.{n}", TensorProto.FLOAT, caches[0]) for n in ("key", "value")]
    present = [helper.make_tensor_value_info(f"present.0.{n}", TensorProto.FLOAT, caches[1]) for n in ("key", "value")]
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", "rows", VOCAB])
    graph = helper.make_graph(g.nodes, "decoder", [*ids, *past], [logits, *present], list(g.tensors.values()))
    opsets = [helper.make_opsetid("", g.opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10 if g.opset < 25 else 13)


def logits_of(model: ModelProto) -> npt.NDArray[np.float32]:
    """By ONNX Runtime, node by node, with float activations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    empty = np.zeros((1, KV_HEADS, 0, HEAD), np.float32)
    feed = {"input_ids": np.array([IDS]), "attention_mask": np.ones((1, len(IDS)), np.int64)}
    feed |= {f"past_key_values.0.{name}": empty for name in ("key", "value")}
    return np.asarray(session.run(["logits"], feed)[0])[0]


# Quantisation: to integers of some bits with scales and zero points over a grid, and the integers in bytes.


def rounded(values: Array, bits: int, block: tuple[int, int], signed: bool, zero: bool) -> tuple[Array, Array, Array | None]:
    """`values` [rows, columns] in blocks -> integers, scales [grid], zero points [grid]."""
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    grid = tuple(-(-size // b) for size, b in zip(values.shape, block, strict=True))
    scales, points = np.zeros(grid, np.float32), np.zeros(grid, int)
    whole = np.zeros(values.shape, int)
    for i, j in np.ndindex(*grid):
        here = np.s_[i * block[0] : (i + 1) * block[0], j * block[1] : (j + 1) * block[1]]
        part = values[here]
        if zero:
            scale = max(float(part.max() - part.min()), 1e-6) / (high - low)
            point = int(np.clip(np.rint(low - part.min() / scale), low, high))
        else:
            scale, point = float(np.abs(part).max()) / max(-low, high), 0 if signed else (high + 1) // 2
        scales[i, j], points[i, j] = scale, point
        whole[here] = np.clip(np.rint(part / scale) + point, low, high)
    return whole, scales, points if zero or not signed else None


def in_bytes(values: Array, bits: int) -> npt.NDArray[np.uint8]:
    """Fields along the last axis, filled up to whole bytes, the first in the lowest bits."""
    per = 8 // bits
    filled = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % per)]).reshape(*values.shape[:-1], -1, per)
    return (filled << (np.arange(per) * bits)).sum(-1).astype(np.uint8)


class Blocks(NamedTuple):
    """A weight [n, k] as MatMulNBits and GatherBlockQuantized have it."""

    packed: npt.NDArray[np.uint8]  # [n, blocks, block * bits / 8]
    scales: npt.NDArray[np.float32]  # [n, blocks]
    points: Array  # [n, blocks]


def blocks_of(values: Array, bits: int, block: int, zero: bool) -> Blocks:
    n, k = values.shape
    whole, scales, points = rounded(np.pad(values, [(0, 0), (0, -k % block)]), bits, (1, block), False, zero)
    assert points is not None
    return Blocks(in_bytes(whole.reshape(n, -1, block), bits), scales, points)


def nbits(name: str, bits: int, block: int, zero: str = "", **more: Any) -> Product:
    """`zero`: "" for none, "packed", or the numpy type of zero points that are floats."""

    def product(g: Graph, x: str) -> str:
        weight = WEIGHTS[name].T
        b = blocks_of(weight, bits, block, zero == "packed")
        inputs = [x, g.tensor(b.packed), g.tensor(b.scales)]
        if zero == "packed":
            inputs.append(g.tensor(in_bytes(b.points, bits)))
        elif zero:
            points = b.points + g.random.uniform(-0.4, 0.4, b.points.shape)
            inputs.append(g.tensor(points.astype(zero)))
        return g.microsoft("MatMulNBits", inputs, N=weight.shape[0], K=weight.shape[1], bits=bits, block_size=block, **more)

    return product


def gathered(bits: int, block: int, zero: bool) -> Product:
    def embed(g: Graph, ids: str) -> str:
        whole, scales, points = rounded(WEIGHTS["embed"], bits, (1, block), False, zero)
        inputs = [g.tensor(in_bytes(whole, bits)), ids, g.tensor(scales)]
        if zero:
            assert points is not None
            inputs.append(g.tensor(in_bytes(points, bits)))
        return g.microsoft("GatherBlockQuantized", inputs, bits=bits, block_size=block, gather_axis=0, quantize_axis=1)

    return embed


def gathered_integers(kind: str, axis: int, block: int, zero: bool) -> Product:
    def embed(g: Graph, ids: str) -> str:
        grid = (block, 1) if axis == 0 else (1, block)
        whole, scales, points = rounded(WEIGHTS["embed"], 4, grid, kind == "int4", zero)
        inputs = [g.packed(kind, whole), ids, g.tensor(scales)]
        if points is not None:
            inputs.append(g.packed(kind, points))
        return g.microsoft("GatherBlockQuantized", inputs, block_size=block, gather_axis=-2, quantize_axis=axis)

    return embed


def dequantised(name: str, kind: str, axis: int | None, block: int = 0, zero: bool = False, half: str = "", rows: bool = False) -> Callable[[Graph], str]:
    """DequantizeLinear over the weight as it is, or (`rows`) transposed; `block` 0: a scale for each index of the axis, or one for all.
    `half`: scales of float16 ("stored"), or the same numbers in float32 ("widened")."""

    def value(g: Graph) -> str:
        values = WEIGHTS[name].T if rows else WEIGHTS[name]
        grid = [1, 1] if block else list(values.shape)
        if axis is not None:
            grid[axis] = block or 1
        bits, signed = int(kind.lstrip("uint")), kind.startswith("int")
        whole, scales, points = rounded(values, bits, (grid[0], grid[1]), signed, zero)
        shape = scales.shape if block else (() if axis is None else (-1,))
        scales = scales.reshape(shape).astype(np.float16 if half else np.float32)
        inputs = [g.packed(kind, whole), g.tensor(scales.astype(np.float32) if half == "widened" else scales)]
        if points is not None:
            inputs.append(g.packed(kind, points.reshape(shape)))
        attributes = {} if axis is None else {"axis": axis}
        out = g.node("DequantizeLinear", inputs, **attributes, **({"block_size": block} if block else {}))
        return g.node("Cast", [out], to=TensorProto.FLOAT) if half == "stored" else out

    return value


def over(weight: Callable[[Graph], str], transposed: bool = False) -> Product:
    def product(g: Graph, x: str) -> str:
        w = weight(g)
        return g.node("MatMul", [x, g.node("Transpose", [w], perm=[1, 0]) if transposed else w])

    return product


def rows_of(weight: Callable[[Graph], str]) -> Product:
    return lambda g, ids: g.node("Gather", [weight(g), ids])


def flattened(gemm: Product, width: int) -> Product:
    """A product of two dimensions between two reshapes, as Olive and torch write it."""

    def product(g: Graph, x: str) -> str:
        y = gemm(g, g.node("Reshape", [x, g.ints(-1, width[0] if isinstance(width, tuple) else width)]))
        n = width[1] if isinstance(width, tuple) else VOCAB
        return g.node("Reshape", [y, g.node("Concat", [g.node("Shape", ["input_ids"]), g.ints(n)], axis=0)])

    return product


def gemm(weight: Callable[[Graph], str], bias: Callable[[Graph], str] | None = None, **attributes: Any) -> Product:
    return lambda g, x: g.node("Gemm", [x, weight(g)] + ([bias(g)] if bias else []), **attributes)


def fused(weight: Callable[[Graph], str], **attributes: Any) -> Product:
    return lambda g, x: g.microsoft("FusedMatMul", [x, weight(g)], **attributes)


def tensor(name: str) -> Callable[[Graph], str]:
    return lambda g: shared(g, name)


def number(value: float, *shape: int) -> Callable[[Graph], str]:
    return lambda g: g.tensor((value * g.random.standard_normal(shape)).astype(np.float32))


def shared_blocks(bits: int, block: int) -> tuple[Product, Product]:
    """A table of packed bytes that the head reads through a Reshape."""
    b = blocks_of(WEIGHTS["embed"], bits, block, True)
    points = in_bytes(b.points, bits)

    def embed(g: Graph, ids: str) -> str:
        table = g.tensor(b.packed.reshape(VOCAB, -1), "table")
        inputs = [table, ids, g.tensor(b.scales, "scales"), g.tensor(points, "points")]
        return g.microsoft("GatherBlockQuantized", inputs, bits=bits, block_size=block, quantize_axis=1)

    def head(g: Graph, x: str) -> str:
        packed = g.node("Reshape", ["table", g.ints(VOCAB, -1, block * bits // 8)])
        inputs = [x, packed, g.node("Reshape", ["scales", g.ints(-1)]), g.node("Reshape", ["points", g.ints(-1)])]
        return g.microsoft("MatMulNBits", inputs, N=VOCAB, K=HIDDEN, bits=bits, block_size=block)

    return embed, head


def eighths(name: str, per_column: bool) -> tuple[Array, Array, Array]:
    """int8 [k, n], scales and zero points of a column or of all."""
    values = WEIGHTS[name]
    whole, scales, points = rounded(values, 8, (values.shape[0], 1 if per_column else values.shape[1]), True, True)
    assert points is not None
    shape = (-1,) if per_column else ()
    return whole.astype(np.int8), scales.reshape(shape), points.astype(np.int8).reshape(shape)


def dynamic(name: str, op_type: str, per_column: bool, bias: bool) -> Product:
    def product(g: Graph, x: str) -> str:
        whole, scales, points = (g.tensor(a) for a in eighths(name, per_column))
        extra = [number(0.5, WEIGHTS[name].shape[1])(g)] if bias else []
        if op_type == "DynamicQuantizeMatMul":
            return g.microsoft(op_type, [x, whole, scales, points, *extra])
        q = g.node("DynamicQuantizeLinear", [x], outputs=3)
        return g.microsoft(op_type, [q, whole, f"{q}_1", scales, f"{q}_2", points, *extra])

    return product


def dynamic_twin(name: str, per_column: bool, bias: bool) -> Product:
    def product(g: Graph, x: str) -> str:
        whole, scales, points = eighths(name, per_column)
        # The same names, so that the same random bias is drawn.
        y = g.node("MatMul", [x, g.tensor(((whole.astype(np.float32) - points) * scales).astype(np.float32))])
        return g.node("Add", [y, number(0.5, WEIGHTS[name].shape[1])(g)]) if bias else y

    return product


class Form(NamedTuple):
    name: str
    model: ModelProto
    expected: ModelProto


def form(name: str, graph: Graph, twin: Graph | None = None) -> Form:
    model = model_of(graph)
    return Form(name, model, model_of(twin) if twin else model)


def tied() -> Graph:
    """As exporters write a model whose head is its embedding."""
    return decoder(head=lambda g, x: g.node("MatMul", [x, g.node("Transpose", ["embed"], perm=[1, 0])]))


def quantised_by_tool(name: str, scratch: Path, **options: Any) -> Form:
    """onnxruntime's `quantize_dynamic` of the tied model, and the same graph with float activations."""
    source, made = scratch / "float.onnx", scratch / "quantised.onnx"
    onnx.save(model_of(tied()), str(source))
    extra = {"DefaultTensorType": TensorProto.FLOAT, **options.pop("extra_options", {})}
    quantize_dynamic(source, made, extra_options=extra, **options)
    model = onnx.load(str(made))
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    twin = onnx.ModelProto()
    twin.CopyFrom(model)
    transposed = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "Transpose"}
    del twin.graph.node[:]
    for node in model.graph.node:
        if node.op_type == "DynamicQuantizeLinear":
            twin.graph.initializer.append(numpy_helper.from_array(np.array(1, np.float32), node.output[1]))
            node = helper.make_node("Identity", [node.input[0]], [node.output[0]])
        elif node.op_type == "MatMulInteger":
            weight = tensors[node.input[1]] if node.input[1] in tensors else tensors[transposed[node.input[1]]].T
            floats = weight.astype(np.float32) - tensors[node.input[3]].astype(np.float32)
            twin.graph.initializer.append(numpy_helper.from_array(floats, f"{node.output[0]}_floats"))
            node = helper.make_node("MatMul", [node.input[0], f"{node.output[0]}_floats"], node.output)
        twin.graph.node.append(node)
    return Form(name, model, twin)


def half_by_tool(name: str) -> Form:
    """onnxruntime's float16 converter, which keeps the inputs' and outputs' types and leaves the nodes out of order."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = convert_float_to_float16(model_of(tied()), keep_io_types=True, disable_shape_infer=True)
    twin = model_of(tied())
    for tensor in twin.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            halves = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(halves.astype(np.float32), tensor.name))
    return Form(name, model, twin)


def forms(scratch: Path) -> list[Form]:
    square = lambda name: (WEIGHTS[name].shape[0], WEIGHTS[name].shape[1])  # noqa: E731
    olive_embed, olive_head = shared_blocks(4, 32)
    all_forms = [
        form("nbits2", decoder(gathered(2, 16, True), nbits("down", 2, 16), nbits("lm_head", 2, 32, "packed"))),
        form("nbits2-float-zero", decoder(gathered(2, 32, False), nbits("down", 2, 16, "float32"), nbits("lm_head", 2, 64))),
        form("nbits4-float-zero", decoder(down=nbits("down", 4, 16, "float32"), head=nbits("lm_head", 4, 32, "float32"))),
        form("nbits4-half-zero", decoder(down=nbits("down", 4, 32, "float16"), head=nbits("lm_head", 4, 64, "float16", accuracy_level=4))),
        form("nbits-large-blocks", decoder(down=nbits("down", 4, 512, "packed"), head=nbits("lm_head", 2, 128))),
        form("gather4-partial", decoder(gathered(4, 128, False))),
        form("gather4-partial-zero", decoder(gathered(4, 128, True))),
        form("gather8-zero", decoder(gathered(8, 32, True))),
        form("gather-uint4-axis0", decoder(gathered_integers("uint4", 0, 16, True))),
        form("gather-int4-axis0", decoder(gathered_integers("int4", 0, 32, False))),
        form("gather-int4-axis1", decoder(gathered_integers("int4", -1, 16, True))),
        form("gemm-tied", decoder(head=flattened(gemm(tensor("embed"), transB=1), HIDDEN))),
        form(
            "gemm-bias",
            decoder(
                down=flattened(gemm(tensor("down"), number(0.5, HIDDEN), alpha=0.75, beta=0.5), square("down")),
                head=flattened(gemm(tensor("embed"), number(0.5, 1, VOCAB), transB=1, beta=2.0), HIDDEN),
            ),
        ),
        form("fused-tied", decoder(down=fused(tensor("down"), alpha=0.5), head=fused(tensor("embed"), transB=1, alpha=0.125))),
        form("transposed-tied", tied()),
        form("shared-blocks", decoder(olive_embed, head=olive_head)),
        form("dq-int8", decoder(down=over(dequantised("down", "int8", 0, 16)), head=over(dequantised("lm_head", "int8", -2, 32)))),
        form("dq-uint8", decoder(down=over(dequantised("down", "uint8", 0, 16, True)), head=over(dequantised("lm_head", "uint8", 0, 24, True)))),
        form(
            "dq-int4",
            *(
                decoder(down=over(dequantised("down", "int4", 0, 16)), head=over(dequantised("lm_head", "uint4", 0, 32, True, half)))
                for half in ("stored", "widened")
            ),
        ),
        form("dq-int2", decoder(down=over(dequantised("down", "int2", 0, 16)), head=over(dequantised("lm_head", "uint2", 0, 16, True)), opset=25)),
        form("dq-columns", decoder(down=over(dequantised("down", "int8", 1, 16)), head=over(dequantised("lm_head", "uint4", -1, 24, True)))),
        form("dq-axis", decoder(down=over(dequantised("down", "int8", -2, zero=True)), head=over(dequantised("lm_head", "int4", -1)))),
        form("dq-tensor", decoder(down=over(dequantised("down", "uint8", None, zero=True)), head=over(dequantised("lm_head", "int4", None)))),
        form(
            "dq-rows",
            decoder(
                rows_of(dequantised("embed", "int8", 1, 16)),
                over(dequantised("down", "int8", 1, 16, rows=True), transposed=True),
                over(dequantised("lm_head", "int8", 0, rows=True), transposed=True),
            ),
        ),
        form(
            "dynamic-one-node",
            decoder(down=dynamic("down", "DynamicQuantizeMatMul", True, True), head=dynamic("lm_head", "MatMulIntegerToFloat", False, False)),
            decoder(down=dynamic_twin("down", True, True), head=dynamic_twin("lm_head", False, False)),
        ),
        form(
            "dynamic-one-node-bias",
            decoder(down=dynamic("down", "MatMulIntegerToFloat", True, True), head=dynamic("lm_head", "DynamicQuantizeMatMul", False, False)),
            decoder(down=dynamic_twin("down", True, True), head=dynamic_twin("lm_head", False, False)),
        ),
        quantised_by_tool("tool-dynamic", scratch),
        quantised_by_tool("tool-dynamic-column", scratch, per_channel=True, weight_type=QuantType.QInt8),
        quantised_by_tool("tool-dynamic-all", scratch, extra_options={"MatMulConstBOnly": False}),
        quantised_by_tool("tool-dynamic-no-transpose", scratch, op_types_to_quantize=["Gather", "MatMul"], weight_type=QuantType.QUInt8),
        half_by_tool("tool-float16"),
    ]
    return all_forms


def save(model: ModelProto, path: Path, places: dict[str, tuple[int, int]]) -> None:
    """Tensors that the graph has from `WEIGHTS` as they are lie in the shared file."""
    for tensor in model.graph.initializer:
        given = WEIGHTS.get(tensor.name)
        if given is None or tensor.data_type != TensorProto.FLOAT or not np.array_equal(numpy_helper.to_array(tensor), given):
            continue
        offset, length = places[tensor.name]
        for key, value in (("location", DATA), ("offset", offset), ("length", length)):
            tensor.external_data.add(key=key, value=str(value))
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
    model.producer_name = model.producer_version = ""
    path.write_bytes(model.SerializeToString())


def write(out: Path, scratch: Path, fail: Callable[[str], None]) -> None:
    draw()
    data, places = bytearray(), {}
    for name, value in WEIGHTS.items():
        data += b"\0" * (-len(data) % 64)
        places[name] = (len(data), value.nbytes)
        data += value.tobytes()
    (out / "onnx").mkdir(parents=True, exist_ok=True)
    (out / "onnx" / DATA).write_bytes(data)
    config = {"model_type": "llama", "hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": HEADS}
    config |= {"num_key_value_heads": KV_HEADS, "head_dim": HEAD, "intermediate_size": FFN, "vocab_size": VOCAB}
    config |= {"max_position_embeddings": POSITIONS, "bos_token_id": 2, "eos_token_id": 1}
    (out / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    plain_logits = logits_of(model_of(decoder()))
    entries, expected = [], bytearray()
    for name, model, exact in forms(scratch):
        logits = logits_of(exact)
        if exact is not model:
            far = np.abs(logits_of(model) - logits).max() / np.abs(logits).max()
            if far > 0.2:  # without VNNI, its 8-bit products saturate
                fail(f"{name}: the graph gives logits {far:.2g} away from those of its weights")
        if np.abs(logits - plain_logits).max() == 0 and name != "transposed-tied":
            fail(f"{name} is the plain decoder")
        save(model, out / "onnx" / f"model_{name}.onnx", places)
        entries.append({"name": name, "offset": len(expected)})
        expected += logits.astype("<f4").tobytes()
        print(f"{name}: {(out / 'onnx' / f'model_{name}.onnx').stat().st_size} bytes, largest logit {np.abs(logits).max():.3g}")
    (out / "logits.bin").write_bytes(expected)
    lines = ",\n".join("  " + json.dumps(e) for e in entries)
    (out / "forms.json").write_text(f'{{"ids": {IDS}, "vocab": {VOCAB}, "forms": [\n{lines}\n ]}}\n')


def make(work: Any, fail: Callable[[str], None]) -> list[dict[str, Any]]:
    out = work.out / "weights"
    for file in out.rglob("*.onnx"):
        file.unlink()
    write(out, work.scratch, fail)
    return []


GROUPS = {"weights": make}
