//! A graph's file with changes: what was asked for changes, nothing else does, and damage is an error.

use std::collections::HashMap;
use std::path::Path;

use kinglet_bundle::onnx::{Edits, Graph, Node, PickRows, Place, SetInt};
use kinglet_bundle::{Bundle, Bytes, OpenOptions};

/// A graph that keeps its weights in another file.
fn open() -> (Bundle, Graph) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldens/quantised/int4-b32");
    let bundle = Bundle::open(&folder, &OpenOptions::default()).unwrap();
    let graph = bundle.graph().unwrap();
    (bundle, graph)
}

/// The edited file, read without the files that it names.
fn read(edits: &Edits, file: &[u8], mut parts: HashMap<String, Bytes>) -> Graph {
    Graph::read(&Bytes::copy_of(&edits.apply(file).unwrap()), &mut parts).unwrap()
}

/// All weights brought into the file.
fn whole(graph: &Graph) -> Edits {
    let brought_in = graph.initializers.iter().map(|tensor| (tensor.name.clone(), tensor.bytes.clone())).collect();
    Edits { brought_in, ..Edits::default() }
}

fn weights(graph: &Graph) -> Vec<(&str, &[usize], &[u8])> {
    graph.initializers.iter().map(|tensor| (tensor.name.as_str(), &tensor.dims[..], &tensor.bytes[..])).collect()
}

/// A node, wherever its constants are.
fn text(node: &Node) -> String {
    format!("{node:?}").replace("mapped", "on the heap")
}

fn nodes(graph: &Graph) -> Vec<String> {
    graph.nodes.iter().map(text).collect()
}

#[test]
fn without_edits_a_file_is_itself() {
    let (bundle, _) = open();
    let file = bundle.graph_file().unwrap();
    assert!(Edits::default().apply(&file).unwrap() == file[..]);
}

#[test]
fn weights_are_brought_into_the_file() {
    let (bundle, graph) = open();
    let alone = read(&whole(&graph), &bundle.graph_file().unwrap(), HashMap::new());
    assert!(weights(&alone) == weights(&graph));
    assert_eq!(nodes(&alone), nodes(&graph));
}

#[test]
fn a_weight_that_is_left_out_is_looked_for_elsewhere() {
    let (bundle, graph) = open();
    let largest = graph.initializers.iter().max_by_key(|tensor| tensor.bytes.len()).unwrap();
    let length = largest.bytes.len();
    let place = Place { location: "other".into(), offset: 12, length };
    let edits = Edits { left_out: HashMap::from([(largest.name.clone(), place)]), ..whole(&graph) };
    let file = Bytes::copy_of(&(0..length + 20).map(|i| i as u8).collect::<Vec<_>>());
    let other = file.slice(12..12 + length).unwrap();
    let read = read(&edits, &bundle.graph_file().unwrap(), HashMap::from([("other".to_owned(), file.clone())]));
    for (got, want) in weights(&read).into_iter().zip(weights(&graph)) {
        assert!(if got.0 == largest.name { got == (want.0, want.1, &other[..]) } else { got == want }, "{}", got.0);
    }
}

#[test]
fn bytes_say_where_in_which_file_they_are() {
    let (bundle, graph) = open();
    let files: Vec<_> = bundle.weight_files().iter().map(|file| file.path.as_path()).collect();
    for tensor in &graph.initializers {
        let Some((path, start)) = tensor.bytes.place() else { continue };
        assert!(files.contains(&path));
        assert!(std::fs::read(path).unwrap()[start..start + tensor.bytes.len()] == tensor.bytes[..], "{}", tensor.name);
    }
    assert!(graph.initializers.iter().any(|tensor| tensor.bytes.place().is_some()));
    assert!(Bytes::copy_of(&[1u8]).place().is_none());
}

#[test]
fn attributes_are_set_in_every_node_of_a_type() {
    let (bundle, graph) = open();
    for (attribute, value) in [("accuracy_level", 0), ("bits", -7), ("new", i64::MAX)] {
        let set = SetInt { op_type: "MatMulNBits".into(), attribute: attribute.into(), value };
        let edited = read(&Edits { attributes: vec![set], ..whole(&graph) }, &bundle.graph_file().unwrap(), HashMap::new());
        for (got, was) in edited.nodes.iter().zip(&graph.nodes) {
            if got.op_type != "MatMulNBits" {
                assert_eq!(text(got), text(was));
                continue;
            }
            assert_eq!(got.int(attribute), Some(value));
            let others = |node: &Node| -> Vec<String> {
                node.attributes.iter().filter(|a| a.name != attribute).map(|a| format!("{a:?}")).collect()
            };
            assert_eq!((others(got), &got.inputs, &got.outputs), (others(was), &was.inputs, &was.outputs));
        }
    }
}

#[test]
fn a_node_sees_picked_rows() {
    let (bundle, graph) = open();
    let head = graph.nodes.iter().position(|node| node.outputs[0] == "logits").unwrap();
    let picks = PickRows { node_output: "logits".into(), input: 0, indices: "which".into() };
    let edited = read(&Edits { picks: Some(picks), ..whole(&graph) }, &bundle.graph_file().unwrap(), HashMap::new());
    assert_eq!(edited.nodes.len(), graph.nodes.len() + 1);
    let [gather, after] = &edited.nodes[head..head + 2] else { panic!("no two nodes") };
    assert_eq!((gather.op_type.as_str(), gather.int("axis")), ("Gather", Some(1)));
    assert_eq!(gather.inputs, [graph.nodes[head].inputs[0].as_str(), "which"]);
    assert_eq!(after.inputs[0], gather.outputs[0]);
    assert_eq!(after.inputs[1..], graph.nodes[head].inputs[1..]);
    assert!(edited.inputs.iter().any(|input| input.name == "which"));
}

#[test]
fn damage_is_an_error() {
    let (bundle, graph) = open();
    let file = bundle.graph_file().unwrap();
    let set = SetInt { op_type: "MatMulNBits".into(), attribute: "bits".into(), value: 4 };
    let edits = Edits { attributes: vec![set], ..whole(&graph) };
    for cut in (1..file.len()).step_by(101) {
        // A cut between two fields of the model leaves a smaller model; everywhere else something is missing.
        let outcome = edits.apply(&file[..cut]);
        assert!(outcome.is_err() || Graph::read(&Bytes::copy_of(&file[..cut]), &mut HashMap::new()).is_err(), "cut at {cut}");
    }
}
