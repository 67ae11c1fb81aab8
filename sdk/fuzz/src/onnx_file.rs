//! The bytes of a `.onnx` file: any bytes, and changes of a valid one.

use crate::bytes::{Choices, changed};
use crate::folder::golden_file;
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Edits, Graph};
use std::collections::HashMap;
use std::sync::LazyLock;

static VALID: LazyLock<Vec<u8>> = LazyLock::new(|| golden_file("llama/optimum/model.onnx"));

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let file = match choices.byte() % 2 {
        0 => choices.rest().to_vec(),
        _ => changed(&VALID, &mut choices),
    };
    let read = Graph::read(&Bytes::copy_of(&file), &mut HashMap::new());
    let edited = Edits::default().apply(&file);
    if let Ok(graph) = read {
        assert!(edited.is_ok(), "a file that is read cannot be given again: {:?}", edited.err());
        for tensor in &graph.initializers {
            assert_eq!(Some(tensor.bytes.len()), tensor.data_type.bytes_for(tensor.elements()), "{}", tensor.name);
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![1], vec![1, 0, 7, 0, 9, 200], vec![0, 0x3a, 0x02, 0x0a, 0x00]]
}
