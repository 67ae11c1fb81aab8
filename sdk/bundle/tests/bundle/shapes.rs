//! Folders that are written with random weights, beside those of the model builder whose form they have.

use kinglet_bundle::onnx::{Graph, Node};
use kinglet_bundle::{Bundle, Layout, OpenOptions, Precision};
use kinglet_testing::{Shape, repository};
use std::path::Path;

fn open(folder: &Path) -> Bundle {
    Bundle::open(folder, &OpenOptions::default()).unwrap()
}

/// A node in one line: operator, name, inputs, outputs and attributes, as in a float32 graph: products have one weight instead of
/// codes and scales. Values that depend on sizes are left out.
fn told(node: &Node) -> String {
    let is_product = node.op_type == "MatMulNBits";
    let value = |value: &String| {
        let value = value.strip_suffix("_Q4").unwrap_or(value).replace("GatherBlockQuantized", "Gather");
        if value.starts_with("/model/constants/FLOAT/") { "a number".to_owned() } else { value }
    };
    let inputs: Vec<String> = node.inputs.iter().filter(|input| !input.ends_with("_scales")).map(value).collect();
    let outputs: Vec<String> = node.outputs.iter().map(value).collect();
    let attributes = node.attributes.iter().filter(|_| !is_product).map(|attribute| attribute.name.as_str());
    let attributes = attributes.collect::<Vec<_>>().join(" ");
    let op_type = if is_product { "MatMul" } else { &node.op_type };
    let name = node.name.strip_suffix("_Q4").unwrap_or(&node.name);
    format!("{op_type} {name} {inputs:?} -> {outputs:?} {attributes}")
}

/// All nodes but constants and those that read the table of the embedding, which float32 has for itself.
fn nodes(graph: &Graph) -> Vec<String> {
    let is_table = |node: &Node| node.name.starts_with("/model/embed_tokens/") && node.op_type != "Mul";
    graph.nodes.iter().filter(|node| node.op_type != "Constant" && !is_table(node)).map(told).collect()
}

#[test]
fn nodes_are_those_of_the_builder() {
    struct Case(&'static str, &'static str);
    for Case(name, golden) in [
        Case("qwen2-1.5b", "models/goldens/qwen2/genai"),
        Case("llama3-8b", "models/goldens/llama/genai"),
        Case("gemma2-9b", "models/goldens/gemma2/genai"),
    ] {
        let golden = open(&repository().join(golden));
        let mut shape = Shape::published(name).unwrap().narrowed();
        shape.layers.truncate(golden.architecture().layers.unwrap());
        let folder = tempfile::tempdir().unwrap();
        shape.write(folder.path(), 1).unwrap();
        let (got, want) = (nodes(&open(folder.path()).graph().unwrap()), nodes(&golden.graph().unwrap()));
        for (got, want) in got.iter().zip(&want) {
            assert_eq!(got, want, "{name}");
        }
        assert_eq!(got.len(), want.len(), "{name}");
    }
}

#[test]
fn a_folder_says_what_its_shape_is() {
    for shape in Shape::all_published() {
        let shape = shape.narrowed();
        let folder = tempfile::tempdir().unwrap();
        shape.write(folder.path(), 1).unwrap();
        let bundle = open(folder.path());
        let about = bundle.architecture();
        assert_eq!((bundle.layout(), bundle.variant().precision), (Layout::Genai, Some(Precision::Int4)), "{}", shape.name);
        assert_eq!(about.model_type, shape.family.model_type());
        assert_eq!((about.hidden_size, about.layers), (Some(shape.hidden), Some(shape.layers.len())));
        assert_eq!((about.head_dim, about.vocab_size), (Some(shape.head_dim), Some(shape.vocabulary)));
        assert_eq!((about.max_context, &about.eos_ids[..]), (Some(shape.context), &[0][..]));
        let alike = shape.layers.iter().all(|layer| *layer == shape.layers[0]);
        assert_eq!(about.attention_heads, alike.then_some(shape.layers[0].heads), "{}", shape.name);
        assert_eq!(about.sliding_window.as_ref().map(|window| window.positions), shape.window);
        assert!(bundle.text_files().tokenizer().is_ok());
    }
}
