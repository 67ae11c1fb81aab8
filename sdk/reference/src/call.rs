//! One node being evaluated: its operands, its attributes, and what they are refused for.

use crate::budget::Budget;
use crate::value::Value;
use crate::{Data, ReferenceError};
use kinglet_bundle::onnx::{AttributeValue, Node};
use std::rc::Rc;

/// Outputs of an operator, in order.
pub(crate) type Outputs = Result<Vec<Value>, ReferenceError>;

/// A node with the values that it takes.
pub(crate) struct Call<'a> {
    pub(crate) node: &'a Node,
    pub(crate) inputs: Vec<Option<Rc<Value>>>,
    /// The version of ONNX's own operators.
    pub(crate) opset: i64,
    pub(crate) budget: &'a Budget,
}

impl Call<'_> {
    /// A form of the operator that is not known.
    pub(crate) fn unsupported(&self, reason: impl Into<String>) -> ReferenceError {
        unsupported(self.node, reason)
    }

    /// Operands that do not fit.
    pub(crate) fn refuse(&self, reason: impl Into<String>) -> ReferenceError {
        let Node { op_type, .. } = self.node;
        ReferenceError::Operands { node: self.node.label().into(), op_type: op_type.clone(), reason: reason.into() }
    }

    /// The operand at `index`; `None` where it is absent.
    pub(crate) fn optional(&self, index: usize) -> Option<&Value> {
        self.inputs.get(index)?.as_deref()
    }

    /// The operand at `index`.
    pub(crate) fn input(&self, index: usize) -> Result<&Value, ReferenceError> {
        self.optional(index).ok_or_else(|| self.refuse(format!("input {index} is absent")))
    }

    /// The numbers of the operand at `index`.
    pub(crate) fn floats(&self, index: usize) -> Result<&[f32], ReferenceError> {
        self.as_floats(self.input(index)?)
    }

    /// The integers of the operand at `index`.
    pub(crate) fn ints(&self, index: usize) -> Result<&[i64], ReferenceError> {
        self.as_ints(self.input(index)?)
    }

    /// The numbers of a value.
    pub(crate) fn as_floats<'v>(&self, value: &'v Value) -> Result<&'v [f32], ReferenceError> {
        match &value.data {
            Data::Float(values) => Ok(values),
            _ => Err(self.refuse("an operand holds no numbers where numbers belong")),
        }
    }

    /// The integers of a value.
    pub(crate) fn as_ints<'v>(&self, value: &'v Value) -> Result<&'v [i64], ReferenceError> {
        match &value.data {
            Data::Int(values) => Ok(values),
            _ => Err(self.refuse("an operand holds no integers where integers belong")),
        }
    }

    /// The one integer of the operand at `index`; `None` where the operand is absent.
    pub(crate) fn one_int(&self, index: usize) -> Result<Option<i64>, ReferenceError> {
        let Some(value) = self.optional(index) else { return Ok(None) };
        match self.as_ints(value)? {
            [one] => Ok(Some(*one)),
            several => Err(self.refuse(format!("input {index} has {} elements instead of one", several.len()))),
        }
    }

    /// The integer attribute of that name.
    pub(crate) fn int(&self, name: &str) -> Result<Option<i64>, ReferenceError> {
        match self.node.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Int(value)) => Ok(Some(*value)),
            Some(_) => Err(self.refuse(format!("the attribute `{name}` is no integer"))),
        }
    }

    /// The attribute of that name, 0 or 1.
    pub(crate) fn flag(&self, name: &str, default: bool) -> Result<bool, ReferenceError> {
        match self.int(name)? {
            None => Ok(default),
            Some(value @ (0 | 1)) => Ok(value == 1),
            Some(value) => Err(self.refuse(format!("the attribute `{name}` is {value}, neither 0 nor 1"))),
        }
    }

    /// The number attribute of that name.
    pub(crate) fn float(&self, name: &str) -> Result<Option<f32>, ReferenceError> {
        match self.node.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Float(value)) => Ok(Some(*value)),
            Some(_) => Err(self.refuse(format!("the attribute `{name}` is no number"))),
        }
    }

    /// The list of integers of that name.
    pub(crate) fn int_list(&self, name: &str) -> Result<Option<&[i64]>, ReferenceError> {
        match self.node.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(self.refuse(format!("the attribute `{name}` is no list of integers"))),
        }
    }

    /// The text attribute of that name.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, ReferenceError> {
        match self.node.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::String(_)) => {
                self.node.string(name).map(Some).ok_or_else(|| self.refuse(format!("the attribute `{name}` is no UTF-8")))
            }
            Some(_) => Err(self.refuse(format!("the attribute `{name}` is no text"))),
        }
    }

    /// Refuses another value of an attribute than the one that is computed.
    pub(crate) fn only(&self, name: &str, value: i64) -> Result<(), ReferenceError> {
        match self.int(name)? {
            Some(other) if other != value => Err(self.unsupported(format!("`{name}` is {other}; only {value} is known"))),
            _ => Ok(()),
        }
    }

    /// Integers that are an operand at `index`, or an attribute in older operator sets.
    pub(crate) fn ints_or_attribute(&self, index: usize, name: &str) -> Result<Option<Vec<i64>>, ReferenceError> {
        match (self.optional(index), self.int_list(name)?) {
            (Some(_), Some(_)) => Err(self.refuse(format!("`{name}` is given twice"))),
            (Some(value), None) => Ok(Some(self.as_ints(value)?.to_vec())),
            (None, list) => Ok(list.map(<[i64]>::to_vec)),
        }
    }

    /// An axis of a tensor of that rank, counted from behind where it is negative.
    pub(crate) fn axis(&self, axis: i64, rank: usize) -> Result<usize, ReferenceError> {
        let from = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
        let axis_in = usize::try_from(from).ok().filter(|axis| *axis < rank);
        axis_in.ok_or_else(|| self.refuse(format!("axis {axis} is none of a tensor with {rank} axes")))
    }

    /// Axes of a tensor of that rank, each of them once.
    pub(crate) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<bool>, ReferenceError> {
        let mut chosen = vec![false; rank];
        for axis in axes {
            let at = self.axis(*axis, rank)?;
            if std::mem::replace(&mut chosen[at], true) {
                return Err(self.refuse(format!("axis {axis} is named twice")));
            }
        }
        Ok(chosen)
    }

    /// Makes room for a tensor of that shape and gives its number of elements.
    pub(crate) fn room(&self, dims: &[usize]) -> Result<usize, ReferenceError> {
        let elements = dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
        let elements = elements.ok_or_else(|| self.refuse(format!("the shape {dims:?} is impossible")))?;
        self.budget.take(elements)?;
        Ok(elements)
    }

    /// Counts the work of a product of dimensions before it is done.
    pub(crate) fn work(&self, factors: &[usize]) -> Result<(), ReferenceError> {
        self.budget.work(factors.iter().fold(1, |product, factor| product.saturating_mul(*factor as u64)))
    }

    /// Refuses operands whose shapes disagree.
    pub(crate) fn expect(&self, fits: bool, reason: impl FnOnce() -> String) -> Result<(), ReferenceError> {
        if fits { Ok(()) } else { Err(self.refuse(reason())) }
    }
}

/// A node that is not known, or not in this form.
pub(crate) fn unsupported(node: &Node, reason: impl Into<String>) -> ReferenceError {
    ReferenceError::Unsupported { node: node.label().into(), op_type: node.op_type.clone(), reason: reason.into() }
}
