//! Operators that tract runs for us: those that work on each element, so that rows stay rows.
//!
//! tract is given what it types as the program does, and nothing else: activations are `[1, rows, width]`, and a constant is one
//! number or a row, in the rank that its place asks for. A constant of another shape would make a value of another shape.

use super::admit::{role, unknown, version};
use super::operators::{Role, operator};
use super::{Found, Recogniser, Want};
use crate::program::{Constant, Foreign, Form, Op};
use crate::source::{ELSEWHERE, unsupported};
use kinglet_bundle::onnx::{DataType, Node, Tensor};
use kinglet_engine::EngineError;

/// Constants above this size are weights, which must not go to tract: it would copy them.
const MAX_CONSTANT_ELEMENTS: usize = 1 << 16;

/// Inputs of a node that is left to tract, which takes more than twice the time for twice of them.
const MAX_INPUTS: usize = 64;

/// Axes of an activation, `[batch, rows, width]`.
const RANK: usize = 3;

impl<'g> Recogniser<'_, 'g> {
    /// # Errors
    /// [`EngineError::UnsupportedNode`] if the node is not elementwise, lacks an operand, has too many of them, or has a
    /// constant that is neither a number nor a row.
    pub(super) fn foreign(&self, node: &'g Node) -> Result<Found<'g>, EngineError> {
        let entry = operator(&node.domain, &node.op_type, version(self.source.graph(), &node.domain));
        let entry = entry.filter(|entry| entry.left_to_tract).ok_or_else(|| unknown(node))?;
        if node.inputs.len() > MAX_INPUTS {
            let count = node.inputs.len();
            return Err(unsupported(node, format!("it has {count} inputs; up to {MAX_INPUTS} are left to tract; {ELSEWHERE}")));
        }
        let (mut inputs, mut constants) = (vec![], vec![]);
        for i in 0..node.inputs.len().max(entry.inputs.len()) {
            let role = role(entry, i);
            let Some(name) = node.input(i) else {
                // The bounds of Clip, the addends of LayerNormalization and FastGelu may be left out.
                let is_optional = role == Some(Role::Scalar) || (role == Some(Role::Row) && i + 1 == entry.inputs.len());
                if is_optional {
                    continue;
                }
                return Err(unsupported(node, format!("it has no input {i}")));
            };
            let form = match role {
                Some(Role::Scalar) => Some(Form::Scalar),
                Some(Role::Row) => Some(Form::Row),
                _ => None,
            };
            match self.source.constant(name) {
                Some(tensor) => constants.push((i, constant(node, tensor, form)?)),
                None if form.is_some() => return Err(unsupported(node, format!("its input `{name}` is not a constant"))),
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

/// A constant operand: a number where it is to be one, a row, or either, which is repeated for all rows.
fn constant(node: &Node, tensor: &Tensor, form: Option<Form>) -> Result<Constant, EngineError> {
    let of_shape = || format!("a constant of shape {:?}", tensor.dims);
    let is_row = tensor.dims.iter().rev().skip(1).all(|dim| *dim == 1) && tensor.dims.len() <= RANK;
    let elements = tensor.elements();
    if !is_row || elements == 0 || elements > MAX_CONSTANT_ELEMENTS || (form == Some(Form::Scalar) && elements != 1) {
        return Err(unsupported(node, of_shape()));
    }
    // Exponents may be integers, which float32 holds; all other operators have operands of one type.
    let integers = || tensor.to_i64().ok().filter(|_| node.op_type == "Pow" && tensor.data_type != DataType::Bool);
    let values = match tensor.to_f32() {
        Ok(values) => values,
        Err(error) => integers().ok_or_else(|| unsupported(node, error.to_string()))?.iter().map(|&i| i as f32).collect(),
    };
    let form = form.unwrap_or(Form::Repeated);
    Ok(Constant { values, form })
}
