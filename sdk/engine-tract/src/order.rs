//! That the nodes of a graph can be put in an order in which every value is made before it is read. ONNX asks for such an order in the
//! file; converters write others, which ONNX Runtime sorts.

use kinglet_bundle::onnx::{Graph, Node};
use kinglet_engine::EngineError;
use std::collections::HashMap;

/// Checks that no node waits for itself: then no search from a value to what it is made from goes in circles. `makers` has the index
/// of the node that makes a value.
///
/// # Errors
/// [`EngineError::BadModel`] with a node of the circle.
pub(crate) fn check_acyclic(graph: &Graph, makers: &HashMap<&str, usize>) -> Result<(), EngineError> {
    let made_by = |node: &Node| -> Vec<usize> { node.inputs.iter().filter_map(|v| makers.get(v.as_str()).copied()).collect() };
    let mut waits_for = Vec::with_capacity(graph.nodes.len());
    let mut readers = vec![vec![]; graph.nodes.len()];
    for (i, node) in graph.nodes.iter().enumerate() {
        let made_by = made_by(node);
        waits_for.push(made_by.len());
        made_by.into_iter().for_each(|maker| readers[maker].push(i));
    }
    let mut ready: Vec<usize> = (0..graph.nodes.len()).filter(|&i| waits_for[i] == 0).collect();
    let mut done = 0;
    while let Some(node) = ready.pop() {
        done += 1;
        for &reader in &readers[node] {
            waits_for[reader] -= 1;
            if waits_for[reader] == 0 {
                ready.push(reader);
            }
        }
    }
    if done == graph.nodes.len() {
        return Ok(());
    }
    // Every node that still waits reads from another one that still waits: following these edges ends in a cycle.
    let mut met = vec![false; graph.nodes.len()];
    let mut at = waits_for.iter().position(|&count| count > 0).unwrap_or(0);
    while !std::mem::replace(&mut met[at], true) {
        at = made_by(&graph.nodes[at]).into_iter().find(|&maker| waits_for[maker] > 0).unwrap_or(at);
    }
    let (label, op_type) = (graph.nodes[at].label(), &graph.nodes[at].op_type);
    Err(EngineError::BadModel(format!("node `{label}` ({op_type}) reads what is made from its own output")))
}
