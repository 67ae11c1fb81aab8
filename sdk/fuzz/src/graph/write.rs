//! A graph as the bytes of a `.onnx` file, its constants inside.

use kinglet_bundle::onnx::{Attribute, AttributeValue, Dim, Graph, Node, Tensor, ValueInfo};
use kinglet_testing::onnx::{self, Message};

/// `ModelProto`.
pub(super) fn model(graph: &Graph) -> Vec<u8> {
    let opsets = graph.opsets.iter().map(|set| onnx::opset(&set.domain, set.version));
    Message::default().int(1, 8).bytes(7, graph_message(graph)).each(8, opsets).0
}

fn graph_message(graph: &Graph) -> Message {
    Message::default()
        .each(1, graph.nodes.iter().map(node))
        .bytes(2, "graph")
        .each(5, graph.initializers.iter().map(tensor))
        .each(11, graph.inputs.iter().map(value))
        .each(12, graph.outputs.iter().map(value))
}

fn node(node: &Node) -> Message {
    let inputs: Vec<&str> = node.inputs.iter().map(String::as_str).collect();
    let outputs: Vec<&str> = node.outputs.iter().map(String::as_str).collect();
    let message = onnx::node(&node.op_type, &inputs, &outputs).bytes(3, &node.name);
    message.each(5, node.attributes.iter().map(attribute)).bytes(7, &node.domain)
}

/// `AttributeProto`, whose field 20 is the kind.
fn attribute(attribute: &Attribute) -> Message {
    let message = Message::default().bytes(1, &attribute.name);
    match &attribute.value {
        AttributeValue::Float(value) => message.float(2, *value).int(20, 1),
        AttributeValue::Int(value) => message.int(3, *value).int(20, 2),
        AttributeValue::String(value) => message.bytes(4, value).int(20, 3),
        AttributeValue::Tensor(value) => message.bytes(5, tensor(value)).int(20, 4),
        AttributeValue::Graph(value) => message.bytes(6, graph_message(value)).int(20, 5),
        AttributeValue::Floats(values) => values.iter().fold(message, |m, v| m.float(7, *v)).int(20, 6),
        AttributeValue::Ints(values) => values.iter().fold(message, |m, v| m.int(8, *v)).int(20, 7),
        AttributeValue::Strings(values) => message.each(9, values).int(20, 8),
        AttributeValue::Other(kind) => message.int(20, i64::from(*kind)),
    }
}

fn tensor(tensor: &Tensor) -> Message {
    let dims: Vec<i64> = tensor.dims.iter().map(|&dim| dim as i64).collect();
    onnx::tensor(&tensor.name, i64::from(tensor.data_type.to_onnx()), &dims).bytes(9, &tensor.bytes[..])
}

fn value(info: &ValueInfo) -> Message {
    let dims: Vec<onnx::Dim<'_>> = info.dims.iter().flatten().map(dimension).collect();
    onnx::value(&info.name, info.data_type.map_or(onnx::FLOAT, |kind| i64::from(kind.to_onnx())), &dims)
}

fn dimension(dim: &Dim) -> onnx::Dim<'_> {
    match dim {
        Dim::Known(size) => onnx::Dim::Size(*size as i64),
        Dim::Symbol(name) => onnx::Dim::Name(name),
        Dim::Unknown => onnx::Dim::Unknown,
    }
}
