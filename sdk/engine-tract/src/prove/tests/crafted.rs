//! Graphs crafted to do harm.

use super::bends::set;
use super::decoder::{Decoder, int, node};
use super::{Other, refuses};
use crate::model::{GraphFacts, OpenOptions, TractModel};

/// Numbers in a file that would make a proof take unbounded memory or time, or index beyond a tensor.
#[test]
fn what_was_crafted_is_refused() {
    let cases = [
        Other {
            name: "more heads than a number holds",
            from: Decoder::grouped,
            bend: |d| set(d, "attended", "num_heads", int(i64::MAX)),
            says: &["/attended"],
        },
        Other {
            name: "heads beyond the projections",
            from: Decoder::grouped,
            bend: |d| set(d, "attended", "num_heads", int(1 << 20)),
            says: &["/attended"],
        },
        Other {
            name: "tables wider than heads",
            from: Decoder::grouped,
            bend: |d| {
                for name in ["wide_cos", "wide_sin"] {
                    d.weight(name, &[64, 9]);
                }
                let inputs = &mut d.maker("attended").inputs;
                (inputs[7], inputs[8]) = ("wide_cos".into(), "wide_sin".into());
            },
            says: &["/attended", "9 pairs"],
        },
        Other {
            name: "tables without columns",
            from: Decoder::grouped,
            bend: |d| {
                for name in ["no_cos", "no_sin"] {
                    d.floats(name, &[64, 0], &[]);
                }
                let inputs = &mut d.maker("attended").inputs;
                (inputs[7], inputs[8]) = ("no_cos".into(), "no_sin".into());
            },
            says: &["/attended"],
        },
        Other {
            name: "a mask that is stretched without end",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("endless", &[1 << 20, 1 << 20, 1, 1]);
                d.after("mask", "Expand", &["endless"], &[]);
            },
            says: &["/weights", "would be needed"],
        },
        Other {
            name: "a mask of nothing",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("none", &[0, 1, 1, 1]);
                d.after("mask", "Expand", &["none"], &[]);
            },
            says: &["/weights", "empty"],
        },
        Other {
            name: "a range without end",
            from: Decoder::written_out,
            bend: |d| {
                d.int("far", i64::MAX);
                d.maker("range").inputs[1] = "far".into();
            },
            says: &["/weights"],
        },
        Other {
            name: "norms of nothing",
            from: Decoder::written_out,
            bend: |d| {
                d.floats("nothing_", &[0], &[]);
                *d.maker("n1") = node("RMSNormalization", &["x0", "nothing_"], "n1", &[("axis", int(2))]);
            },
            says: &["/n1"],
        },
    ];
    refuses(&cases);
}

/// Proofs evaluate a bounded number of lengths, however long the declared context is.
#[test]
fn a_context_without_end_ends() {
    let decoder = Decoder::written_out();
    let facts = GraphFacts { max_context: Some(usize::MAX), ..GraphFacts::default() };
    let model = TractModel::of_graph(&decoder.graph, &facts, &OpenOptions { direct: true });
    assert!(model.is_ok(), "{:?}", model.err());
}
