//! Nodes and constants with every float type made float32.

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{AttributeValue, DataType, Node, Tensor as Constant};
use kinglet_reference::Tensor;

/// A node whose floats are all float32: what narrower ones round to is no part of what is proved.
pub(super) fn widened(node: &Node) -> Node {
    let mut node = node.clone();
    let is_narrow = |t: DataType| matches!(t, DataType::Float16 | DataType::BFloat16 | DataType::Float64);
    for attribute in &mut node.attributes {
        match &mut attribute.value {
            AttributeValue::Int(to)
                if ["to", "dtype"].contains(&attribute.name.as_str())
                    && DataType::from_onnx(*to as i32).is_some_and(is_narrow) =>
            {
                *to = 1;
            }
            AttributeValue::Tensor(tensor) if is_narrow(tensor.data_type) => {
                if let Ok(values) = tensor.to_f32() {
                    tensor.data_type = DataType::Float32;
                    tensor.bytes = Bytes::copy_of(&values);
                }
            }
            _ => {}
        }
    }
    node
}

/// A constant as the interpreter takes it; none for a type that it does not know.
pub(super) fn tensor_of_constant(constant: &Constant) -> Option<Tensor> {
    let dims = constant.dims.clone();
    if let Ok(values) = constant.to_f32() {
        return Some(Tensor::floats(dims, values));
    }
    let values = constant.to_i64().ok()?;
    Some(if constant.data_type == DataType::Bool {
        Tensor::bools(dims, values.into_iter().map(|v| v != 0).collect())
    } else {
        Tensor::ints(dims, values)
    })
}
