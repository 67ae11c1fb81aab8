//! Real graphs, changed with their structure kept: attributes, wiring, shapes, contents, operators.
//!
//! Whatever comes of a change must end in an error or in numbers. Numbers must be the same by tract's plan and by the direct
//! executor, and where the reference interpreter computes the graph, they must be its numbers.

mod judge;
mod mutate;
mod write;

use crate::bytes::Choices;
use crate::folder::{Scratch, golden_file};
use kinglet_bundle::onnx::Graph;
use kinglet_bundle::{Bundle, Bytes, OpenOptions};
use std::collections::HashMap;
use std::sync::LazyLock;

/// The graphs to begin with: one of each layout, family and precision that differ in kind.
const GOLDENS: [&str; 12] = [
    "qwen2/genai-separate",
    "qwen2/optimum",
    "llama/genai",
    "llama/optimum",
    "gemma2/optimum",
    "phi3/genai",
    "qwen3/genai",
    "gemma3/genai",
    "olmo2/optimum",
    "granite/optimum",
    "mistral/genai-int4",
    "openelm/torch",
];

struct Base {
    graph: Graph,
    scratch: Scratch,
    layer_names: &'static str,
}

static BASES: LazyLock<Vec<std::sync::Mutex<Base>>> =
    LazyLock::new(|| GOLDENS.iter().map(|name| std::sync::Mutex::new(base(name))).collect());

fn base(name: &'static str) -> Base {
    let scratch = Scratch::of_golden(name);
    let file = Bytes::copy_of(&golden_file(&format!("{name}/model.onnx")));
    let mut parts = HashMap::new();
    for part in ["model.onnx.data", "model.onnx_data"] {
        if let Ok(bytes) = std::fs::read(scratch.path().join(part)) {
            parts.insert(part.to_owned(), Bytes::copy_of(&bytes));
        }
    }
    let graph = Graph::read(&file, &mut parts).unwrap_or_else(|error| panic!("{name}: {error}"));
    Base { graph, scratch, layer_names: name }
}

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let at = choices.below(GOLDENS.len());
    let base = BASES[at].lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut graph = base.graph.clone();
    while !choices.is_empty() {
        mutate::change(&mut graph, &mut choices);
    }
    base.scratch.write("model.onnx", &write::model(&graph));
    let Ok(bundle) = Bundle::open(base.scratch.path(), &OpenOptions::default()) else { return };
    judge::run(&bundle, base.layer_names);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..GOLDENS.len() as u8).map(|at| vec![at, 0]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_that_is_written_again_is_the_graph_that_was_read() {
        for name in GOLDENS {
            let base = base(name);
            let again = Graph::read(&Bytes::copy_of(&write::model(&base.graph)), &mut HashMap::new()).unwrap();
            assert_eq!(format!("{:?}", again.nodes), format!("{:?}", base.graph.nodes), "{name}");
            let contents = |graph: &Graph| -> Vec<(String, Vec<usize>, Vec<u8>)> {
                graph.initializers.iter().map(|t| (t.name.clone(), t.dims.clone(), t.bytes.to_vec())).collect()
            };
            assert_eq!(contents(&again), contents(&base.graph), "{name}");
        }
    }

    #[test]
    fn an_unchanged_graph_runs_and_is_judged() {
        for at in 0..GOLDENS.len() as u8 {
            assert!(judge::compared(&[at, 0]), "{}", GOLDENS[usize::from(at)]);
        }
    }
}
