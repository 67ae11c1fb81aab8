//! Operators that tract runs for us: those that work on each element, so that rows stay rows.

use super::{Found, Recogniser, Want};
use crate::program::{Foreign, Op};
use crate::source::unsupported;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;

/// ONNX operators whose output has the shape of their first activation.
const ELEMENTWISE: &[&str] = &[
    "Abs",
    "Add",
    "Ceil",
    "Clip",
    "Cos",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "FastGelu",
    "Floor",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LayerNormalization",
    "LeakyRelu",
    "Log",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "QuickGelu",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "Sin",
    "Softplus",
    "Sqrt",
    "Sub",
    "Tanh",
];

/// Constants above this size are weights, which must not go to tract: it would copy them.
const MAX_CONSTANT_ELEMENTS: usize = 1 << 16;

impl<'g> Recogniser<'_, 'g> {
    /// # Errors
    /// [`EngineError::UnsupportedNode`] if the node is not elementwise or holds a large constant.
    pub(super) fn foreign(&self, node: &'g Node) -> Result<Found<'g>, EngineError> {
        if !ELEMENTWISE.contains(&node.op_type.as_str()) {
            return Err(unsupported(node, "no pattern that Kinglet knows contains this operator here"));
        }
        let (mut inputs, mut constants) = (vec![], vec![]);
        for (i, name) in node.inputs.iter().enumerate().filter(|(_, n)| !n.is_empty()) {
            match self.source.constant(name) {
                Some(tensor) if tensor.elements() <= MAX_CONSTANT_ELEMENTS => constants.push((i, tensor.clone())),
                Some(tensor) => return Err(unsupported(node, format!("a constant of shape {:?}", tensor.dims))),
                None => inputs.push(Want::Value(name)),
            }
        }
        if inputs.is_empty() {
            return Err(unsupported(node, "all its inputs are constants"));
        }
        Ok(Found {
            op: Op::Foreign(Box::new(Foreign { node: node.clone(), constants })),
            inputs,
            width: None,
            label: node.label(),
        })
    }
}
