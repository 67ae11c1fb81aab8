//! Tensors that say they lie in another file: where, from which byte, how many.

use crate::bytes::Choices;
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::Graph;
use kinglet_testing::onnx::{Message, external};
use std::collections::HashMap;

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let locations = ["data.bin", "../data.bin", "/etc/passwd", "", "data.bin\0", "./data.bin", "a/../data.bin", "nothing"];
    let mut graph = Message::default();
    for i in 0..1 + choices.below(4) {
        let dims: Vec<i64> = (0..choices.below(5)).map(|_| choices.int()).collect();
        let location = choices.pick(&locations).unwrap_or_default();
        let number = |choices: &mut Choices<'_>| match choices.byte() % 3 {
            0 => String::from_utf8_lossy(&choices.int().to_le_bytes()).into_owned(),
            _ => choices.int().to_string(),
        };
        let (offset, length) = (number(&mut choices), number(&mut choices));
        let mut entries = vec![("location", location)];
        if !choices.one_in(4) {
            entries.push(("offset", &offset));
        }
        if !choices.one_in(4) {
            entries.push(("length", &length));
        }
        graph = graph.bytes(5, external(&format!("t{i}"), i64::from(choices.byte() % 30), &dims, &entries));
    }
    let file = Message::default().int(1, 8).bytes(7, graph);
    let mut parts = HashMap::from([("data.bin".to_owned(), Bytes::copy_of(&[7_u8; 4096]))]);
    if let Ok(graph) = Graph::read(&Bytes::copy_of(&file.0), &mut parts) {
        for tensor in graph.initializers {
            assert_eq!(Some(tensor.bytes.len()), tensor.data_type.bytes_for(tensor.elements()), "{}", tensor.name);
            let _ = (tensor.to_f32(), tensor.to_i64());
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0, 0, 1, 0, 1, 16, 0, 0, 1, 1, 0, 1, 1, 64, 1, 1, 1]]
}
