//! Nodes and constants with every float type made float32.

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{AttributeValue, DataType, Node, Tensor as Constant};

/// A node whose floats are all float32: what narrower ones round to is no part of what is proved.
pub(super) fn widened(node: &Node) -> Node {
    let mut node = node.clone();
    for attribute in &mut node.attributes {
        match &mut attribute.value {
            AttributeValue::Int(to)
                if ["to", "dtype"].contains(&attribute.name.as_str())
                    && DataType::from_onnx(*to as i32).is_some_and(is_narrow) =>
            {
                *to = 1;
            }
            AttributeValue::Tensor(tensor) => widen(tensor),
            _ => {}
        }
    }
    node
}

/// A constant under the name of its value, with its floats float32.
pub(super) fn widened_constant(constant: &Constant, name: &str) -> Constant {
    let mut constant = Constant { name: name.to_owned(), ..constant.clone() };
    widen(&mut constant);
    constant
}

fn widen(tensor: &mut Constant) {
    if is_narrow(tensor.data_type)
        && let Ok(values) = tensor.to_f32()
    {
        tensor.data_type = DataType::Float32;
        tensor.bytes = Bytes::copy_of(&values);
    }
}

fn is_narrow(kind: DataType) -> bool {
    matches!(kind, DataType::Float16 | DataType::BFloat16 | DataType::Float64)
}
