//! Where rows can be picked before the vocabulary is multiplied.
//!
//! Graphs compute the logits of every position that they are given. Of a prompt's only the last are wanted, and they are a
//! quarter of the work and most of the memory. So the head, the product that gives the logits, is made to see the wanted rows
//! alone: [`PickRows`] puts a `Gather` before it.

use kinglet_bundle::onnx::{Dim, Graph, Node, PickRows};

/// The name of the input that says which rows; no exporter's names have a colon.
const INDICES: &str = "kinglet:rows";

/// The edit that makes the logits those of picked rows; `None` where the graph's end is not understood well enough.
pub(crate) fn pick_rows(graph: &Graph, logits: &str) -> Option<PickRows> {
    let output = graph.outputs.iter().find(|value| value.name == logits)?;
    let dims = output.dims.as_ref()?;
    // Some exports keep the last position by themselves.
    if dims.len() != 3 || matches!(dims[1], Dim::Known(_)) || graph.inputs.iter().any(|input| input.name == INDICES) {
        return None;
    }
    let mut value = logits;
    for _ in 0..16 {
        let node = graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == value))?;
        // Any other reader of the value would depend on all rows, not on the picked ones.
        let users = graph.nodes.iter().filter(|user| user.inputs.iter().any(|input| input == value)).count();
        if node.outputs.len() != 1 || users + usize::from(value == logits) != 1 {
            return None;
        }
        match node.op_type.as_str() {
            "MatMul" | "MatMulNBits" if keeps_rows(graph, node) => {
                return Some(PickRows { node_output: node.outputs[0].clone(), input: 0, indices: INDICES.into() });
            }
            "Cast" | "Tanh" | "Identity" => value = node.input(0)?,
            "Mul" | "Div" | "Add" => value = the_one_that_varies(graph, node)?,
            _ => return None,
        }
    }
    None
}

/// Whether a product's second factor is a constant, or computed from constants alone: then each row of the product is that row
/// of the first factor, multiplied.
fn keeps_rows(graph: &Graph, node: &Node) -> bool {
    node.inputs.iter().skip(1).filter(|input| !input.is_empty()).all(|input| is_constant(graph, input, 8))
}

/// The input of an operator with two that is no scalar constant or constant row.
fn the_one_that_varies<'a>(graph: &Graph, node: &'a Node) -> Option<&'a str> {
    let (one, other) = (node.input(0)?, node.input(1)?);
    match (is_constant(graph, one, 8), is_constant(graph, other, 8)) {
        (false, true) => Some(one),
        (true, false) => Some(other),
        _ => None,
    }
}

fn is_constant(graph: &Graph, value: &str, depth: usize) -> bool {
    if graph.initializers.iter().any(|tensor| tensor.name == value) {
        return true;
    }
    let maker = graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == value));
    let Some(node) = maker.filter(|_| depth > 0) else { return false };
    node.op_type == "Constant"
        || !node.inputs.is_empty()
            && node.inputs.iter().filter(|input| !input.is_empty()).all(|input| is_constant(graph, input, depth - 1))
}
