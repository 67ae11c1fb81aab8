//! From wanted values back to given ones, and forward through the nodes in between.

use crate::budget::Budget;
use crate::scope::Scope;
use crate::value::Value;
use crate::{ReferenceError, Tensor};
use kinglet_bundle::onnx::Graph;
use std::collections::HashMap;
use std::rc::Rc;

/// Limits of an evaluation.
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
/// Values are made on demand, whatever the order of the nodes, and dropped after their last use. Arithmetic is that of the
/// wide types: float16 is computed as float32 and rounded where a `Cast` says so. Integers wrap as their type in the graph
/// does; that of a given value is what the graph declares for an input or a constant of that name, else int64.
///
/// # Errors
/// [`ReferenceError`], with the node where there is one.
pub fn evaluate(
    graph: &Graph,
    given: &HashMap<String, Tensor>,
    wanted: &[&str],
    limits: Limits,
) -> Result<Vec<Tensor>, ReferenceError> {
    evaluate_counting(graph, given, wanted, limits).map(|(values, _)| values)
}

/// [`evaluate`], and the work that was done, in the unit of [`Limits::work`]: for who has a budget for several evaluations.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_counting(
    graph: &Graph,
    given: &HashMap<String, Tensor>,
    wanted: &[&str],
    limits: Limits,
) -> Result<(Vec<Tensor>, u64), ReferenceError> {
    let budget = Budget::new(limits);
    let mut scope = Scope::new(graph, Some(given), None, &budget)?;
    let values = scope.values(wanted)?;
    drop(scope);
    let tensor = |value| Rc::try_unwrap(value).unwrap_or_else(|shared| Value::clone(&shared)).into_tensor();
    Ok((values.into_iter().map(tensor).collect(), budget.done()))
}
