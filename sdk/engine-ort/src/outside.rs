//! Refusal of graphs that would have the library run code that came with them, or open files that the bundle has not checked.

use kinglet_bundle::onnx::{AttributeValue, Graph, Node, Tensor};
use kinglet_engine::EngineError;
use std::path::Path;

/// The operator that holds a program for a device, in itself or in a file that it names (ONNX Runtime, EP context design).
const PROGRAM: &str = "EPContext";

/// Refuses a graph, whose own file is `file`, with a node that holds a program or a constant that lies in another file: of weights
/// the library is given the bytes, and a file that it would open by itself is unchecked.
///
/// # Errors
/// [`EngineError::UnsupportedNode`] names the node.
pub(crate) fn refuse_outside(graph: &Graph, file: &Path) -> Result<(), EngineError> {
    graph.nodes.iter().try_for_each(|node| check(node, file))
}

fn check(node: &Node, file: &Path) -> Result<(), EngineError> {
    let refused = |reason: &str| EngineError::UnsupportedNode {
        node: node.label().to_owned(),
        op_type: node.op_type.clone(),
        reason: reason.to_owned(),
    };
    if node.op_type == PROGRAM {
        return Err(refused("it holds a program for a device, and programs that come with a model are not run"));
    }
    let lies_elsewhere = |tensor: &Tensor| tensor.bytes.place().is_some_and(|(at, _)| at != file);
    for attribute in &node.attributes {
        match &attribute.value {
            AttributeValue::Tensor(tensor) if lies_elsewhere(tensor) => {
                return Err(refused("it holds a constant that lies in another file; export it with constants in the graph"));
            }
            AttributeValue::Graph(graph) => {
                if graph.initializers.iter().any(lies_elsewhere) {
                    return Err(refused(
                        "a graph in it has a constant that lies in another file; export it with constants in the graph",
                    ));
                }
                refuse_outside(graph, file)?;
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_bundle::Bytes;
    use kinglet_bundle::onnx::{Attribute, DataType};

    fn node(op_type: &str, value: Option<AttributeValue>) -> Node {
        let attributes = value.map(|value| Attribute { name: "a".into(), value }).into_iter().collect();
        Node { name: format!("the {op_type}"), op_type: op_type.into(), attributes, ..Node::default() }
    }

    fn graph(node: Node) -> Graph {
        Graph { nodes: vec![node], ..Graph::default() }
    }

    /// A constant in the file at `path`, or in memory.
    fn constant(path: Option<&Path>) -> Tensor {
        let bytes = path.map_or_else(|| Bytes::copy_of(&[1_u8; 4]), |path| Bytes::map(path).unwrap());
        Tensor { name: "c".into(), data_type: DataType::UInt8, dims: vec![4], bytes }
    }

    #[test]
    fn programs_and_constants_of_other_files_are_refused_by_the_nodes_name() {
        let folder = tempfile::tempdir().unwrap();
        let [own, other] = ["model.onnx", "other"].map(|name| folder.path().join(name));
        [&own, &other].iter().for_each(|path| std::fs::write(path, "four").unwrap());
        let with = |path: Option<&Path>| Graph { initializers: vec![constant(path)], ..Graph::default() };
        let inner = |graph: Graph| Some(AttributeValue::Graph(Box::new(graph)));
        struct Case(Node, Option<&'static str>);
        for Case(node, refused) in [
            Case(node("MatMul", None), None),
            Case(node("Constant", Some(AttributeValue::Tensor(constant(None)))), None),
            Case(node("Constant", Some(AttributeValue::Tensor(constant(Some(&own))))), None),
            Case(node("Constant", Some(AttributeValue::Tensor(constant(Some(&other))))), Some("the Constant")),
            Case(node("If", inner(with(Some(&own)))), None),
            Case(node("If", inner(with(Some(&other)))), Some("the If")),
            Case(node("EPContext", None), Some("the EPContext")),
            Case(node("If", inner(graph(node("EPContext", None)))), Some("the EPContext")),
        ] {
            let label = node.name.clone();
            match (refuse_outside(&graph(node), &own), refused) {
                (Ok(()), None) => {}
                (Err(EngineError::UnsupportedNode { node, .. }), Some(named)) => assert_eq!(node, named),
                (outcome, _) => panic!("{label}: {outcome:?}"),
            }
        }
    }
}
