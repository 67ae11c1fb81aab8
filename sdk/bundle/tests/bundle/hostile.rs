//! Bytes that nobody meant as a model: whatever they are, reading ends with an answer, soon and in little memory.

use std::collections::HashMap;

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Graph, OnnxError};
use proptest::prelude::*;

use crate::writer::{Message, decoder, external, model, node, raw_floats, tensor, whole_model};

fn read(model: &[u8]) -> Result<Graph, OnnxError> {
    let mut parts = HashMap::from([("p".to_owned(), Bytes::copy_of(&[0_u8; 64]))]);
    Graph::read(&Bytes::copy_of(model), &mut parts)
}

/// A model with each kind of message in it.
fn rich_model() -> Vec<u8> {
    let inner = Message::default().bytes(1, node("Identity", &["x"], &["y"]));
    let attributes = Message::default().bytes(1, "a").bytes(6, inner).bytes(8, [1, 2]).float(7, 1.0).int(20, 5);
    let constants = [
        raw_floats("w", &[1.0, 2.0]),
        external("e", &[4], &[("location", "p"), ("offset", "16"), ("length", "16")]),
        tensor("ints", 7, &[3]).bytes(7, [1, 2, 3]),
    ];
    model(&decoder(&constants).bytes(1, node("If", &["c"], &["y"]).bytes(5, attributes))).0
}

#[test]
fn a_model_cut_off_anywhere_is_no_model() {
    for whole in [whole_model(), rich_model(), include_bytes!("../data/every_field.onnx").to_vec()] {
        assert!(read(&whole).is_ok());
        let mut refused = 0;
        for length in 0..whole.len() {
            // The opsets come behind the graph, and a model without them is still a protobuf.
            refused += usize::from(read(&whole[..length]).is_err());
        }
        assert!(refused >= whole.len() - 40, "{refused} of {} cuts were seen", whole.len());
    }
}

#[test]
fn nesting_ends_at_a_limit_and_not_at_the_end_of_the_stack() {
    let nested = |depth: usize| {
        let mut graph = Message::default();
        for _ in 1..depth {
            let attribute = Message::default().bytes(1, "body").bytes(6, &graph).int(20, 5);
            graph = Message::default().bytes(1, node("Loop", &[], &[]).bytes(5, attribute));
        }
        read(&model(&graph).0)
    };
    assert!(nested(8).is_ok());
    assert!(matches!(nested(9), Err(OnnxError::TooDeep { limit: 8 })));
    assert!(matches!(nested(3000), Err(OnnxError::TooDeep { .. })));
}

#[test]
fn numbers_and_parts_without_end_are_refused() {
    // Two bytes a node: a megabyte of file asks for a hundred megabytes of nodes.
    let nodes = Message((0..(1 << 20) + 1).flat_map(|_| [0x0a, 0]).collect());
    assert!(matches!(read(&model(&nodes).0), Err(OnnxError::TooMany { what: "parts", .. })));

    let numbers = tensor("t", 7, &[(1 << 24) + 1]).bytes(7, vec![0; (1 << 24) + 1]);
    let error = read(&model(&Message::default().bytes(5, numbers)).0).unwrap_err();
    assert!(matches!(error, OnnxError::TooMany { what: "single numbers", .. }), "{error}");

    // Raw data has no such limit.
    let raw = tensor("t", 2, &[(1 << 24) + 100]).bytes(9, vec![0; (1 << 24) + 100]);
    assert!(read(&model(&Message::default().bytes(5, raw)).0).is_ok());
}

/// Whatever was read must keep its promise about lengths.
fn check(graph: &Graph) {
    for tensor in &graph.initializers {
        assert_eq!(Some(tensor.bytes.len()), tensor.data_type.bytes_for(tensor.elements()), "{tensor:?}");
    }
}

#[test]
#[should_panic(expected = "bytes")]
fn the_check_of_lengths_can_fail() {
    let mut graph = read(&whole_model()).unwrap();
    graph.initializers[0].dims = vec![7];
    check(&graph);
}

proptest! {
    #[test]
    fn random_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(graph) = read(&bytes) {
            check(&graph);
        }
    }

    #[test]
    fn random_graphs_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(graph) = read(&model(&Message(bytes)).0) {
            check(&graph);
        }
    }

    #[test]
    fn changed_bytes_end_in_an_answer(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = rich_model();
        for (place, byte) in changes {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        if let Ok(graph) = read(&bytes) {
            check(&graph);
        }
    }

    #[test]
    fn huge_lengths_end_in_an_answer(place in any::<prop::sample::Index>(), length in any::<u64>()) {
        let mut bytes = rich_model();
        let place = place.index(bytes.len());
        let mut number = Message::default();
        number.varint(length);
        bytes.splice(place..place + 1, number.0);
        if let Ok(graph) = read(&bytes) {
            check(&graph);
        }
    }
}
