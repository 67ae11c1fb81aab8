//! How many parameters a graph has, whatever they are packed into.

use kinglet_bundle::onnx::{DataType, Graph, Node, Tensor};
use std::collections::HashMap;

/// The number of a graph's parameters: elements of its weights as they were before they were packed, each weight once.
/// Scales, zero points, tables of angles and integers that steer the graph are not parameters.
pub(crate) fn parameters(graph: &Graph) -> u64 {
    let tensors: HashMap<&str, &Tensor> = graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut counts: HashMap<&str, u64> = HashMap::new();
    for node in &graph.nodes {
        for (place, name) in node.inputs.iter().enumerate() {
            let Some(tensor) = tensors.get(name.as_str()) else { continue };
            let count = counts.entry(name.as_str()).or_default();
            *count = (*count).max(elements(node, place, tensor));
        }
    }
    counts.values().sum()
}

/// How many parameters `tensor` stands for as input `place` of `node`.
fn elements(node: &Node, place: usize, tensor: &Tensor) -> u64 {
    let stored = tensor.elements() as u64;
    let attribute = |name: &str| node.int(name).and_then(|value| u64::try_from(value).ok());
    match (node.op_type.as_str(), place) {
        ("MatMulNBits", 1) => attribute("N").unwrap_or(0).saturating_mul(attribute("K").unwrap_or(0)),
        ("MatMulNBits", 2..=4) => 0,
        ("GatherBlockQuantized", 0) if tensor.data_type == DataType::UInt8 => stored * 8 / attribute("bits").unwrap_or(4).max(1),
        ("GatherBlockQuantized", 2..) | ("DequantizeLinear" | "QuantizeLinear", 1..) => 0,
        ("GroupQueryAttention", 7..=8) | ("RotaryEmbedding", 2..=3) => 0,
        ("MatMulInteger", 2..) => 0,
        _ => match tensor.data_type {
            DataType::Float32 | DataType::Float16 | DataType::BFloat16 if !tensor.dims.is_empty() => stored,
            DataType::Int8 | DataType::UInt8 | DataType::Int4 | DataType::UInt4 if tensor.dims.len() > 1 => stored,
            _ => 0,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_bundle::Bytes;
    use kinglet_bundle::onnx::{Attribute, AttributeValue};

    fn tensor(name: &str, data_type: DataType, dims: &[usize]) -> Tensor {
        let bytes = Bytes::copy_of(&vec![0; data_type.bytes_for(dims.iter().product()).unwrap()]);
        Tensor { name: name.into(), data_type, dims: dims.to_vec(), bytes }
    }

    fn node(op_type: &str, inputs: &[&str], ints: &[(&str, i64)]) -> Node {
        let attributes = ints.iter().map(|(name, value)| Attribute { name: (*name).into(), value: AttributeValue::Int(*value) });
        Node {
            op_type: op_type.into(),
            inputs: inputs.iter().map(|name| (*name).into()).collect(),
            attributes: attributes.collect(),
            ..Node::default()
        }
    }

    #[test]
    fn packed_weights_count_as_what_they_were() {
        use DataType::{Float16, Float32, Int8, Int64, UInt4, UInt8};
        struct Case(&'static str, Vec<Tensor>, Vec<Node>, u64);
        let packed = vec![tensor("w", UInt8, &[64, 2, 16]), tensor("s", Float16, &[128]), tensor("b", Float32, &[64])];
        for Case(what, initializers, nodes, expected) in [
            Case("a float product", vec![tensor("w", Float32, &[64, 64])], vec![node("MatMul", &["x", "w"], &[])], 4096),
            Case("an unused constant", vec![tensor("w", Float32, &[64, 64])], vec![], 0),
            Case(
                "packed nibbles",
                packed,
                vec![node("MatMulNBits", &["x", "w", "s", "", "", "b"], &[("N", 64), ("K", 64)])],
                4096 + 64,
            ),
            Case(
                "an embedding of nibbles that is also the head",
                vec![tensor("w", UInt8, &[64, 2, 16]), tensor("s", Float32, &[64, 2])],
                vec![
                    node("GatherBlockQuantized", &["w", "ids", "s"], &[("bits", 4)]),
                    node("MatMulNBits", &["x", "w", "s"], &[("N", 64), ("K", 64)]),
                ],
                4096,
            ),
            Case(
                "quantise and dequantise",
                vec![tensor("w", Int8, &[64, 64]), tensor("s", Float32, &[64]), tensor("z", Int8, &[64])],
                vec![node("DequantizeLinear", &["w", "s", "z"], &[])],
                4096,
            ),
            Case("4-bit constants", vec![tensor("w", UInt4, &[8, 8])], vec![node("DequantizeLinear", &["w", "s"], &[])], 64),
            Case(
                "angles and shapes",
                vec![tensor("cos", Float32, &[100, 32]), tensor("shape", Int64, &[4]), tensor("eps", Float32, &[])],
                vec![
                    node("RotaryEmbedding", &["x", "p", "cos", "cos"], &[]),
                    node("Reshape", &["x", "shape"], &[]),
                    node("Add", &["x", "eps"], &[]),
                ],
                0,
            ),
        ] {
            let graph = Graph { nodes, initializers, ..Graph::default() };
            assert_eq!(parameters(&graph), expected, "{what}");
        }
    }
}
