//! The interpreter against ONNX Runtime and ONNX's own reference, operator by operator, and against the golden models.

mod evaluation;
mod goldens;
mod hostile;
mod operators;

use kinglet_bundle::onnx::{Attribute, AttributeValue, Graph, Node};
use kinglet_reference::{Limits, ReferenceError, Tensor, evaluate};
use std::collections::HashMap;

/// A node of ONNX's own operators that makes `output`.
fn node(op_type: &str, inputs: &[&str], output: &str) -> Node {
    let inputs = inputs.iter().map(|name| (*name).to_owned()).collect();
    Node { op_type: op_type.into(), inputs, outputs: vec![output.into()], ..Node::default() }
}

/// A node with one attribute more.
fn with(mut node: Node, name: &str, value: AttributeValue) -> Node {
    node.attributes.push(Attribute { name: name.into(), value });
    node
}

/// One value of the nodes, from given ones.
fn made(nodes: Vec<Node>, given: &[(&str, Tensor)], wanted: &str) -> Result<Tensor, ReferenceError> {
    let given: HashMap<String, Tensor> = given.iter().map(|(name, tensor)| ((*name).into(), tensor.clone())).collect();
    let graph = Graph { nodes, ..Graph::default() };
    evaluate(&graph, &given, &[wanted], Limits::default()).map(|mut values| values.remove(0))
}
