//! Decoders that compute the same for short contexts and small numbers only, and differ farther out.

use super::bends::*;
use super::decoder::{Decoder, int, node};
use super::{Other, refuses};

/// Makes whole numbers of `from` larger by three where they lie between two others, under the name `to`.
fn warp(d: &mut Decoder, before: &str, [from, to]: [&str; 2], [low, high]: [i64; 2]) {
    for (name, value) in [("low", low), ("high", high), ("three", 3)] {
        d.int(name, value);
    }
    let nodes = vec![
        node("Greater", &[from, "low"], "above", &[]),
        node("Less", &[from, "high"], "below", &[]),
        node("And", &["above", "below"], "between", &[]),
        node("Add", &[from, "three"], "moved_on", &[]),
        node("Where", &["between", "moved_on", from], to, &[]),
    ];
    d.before(before, nodes);
}

#[test]
fn what_differs_far_out_is_refused() {
    let cases = [
        Other {
            name: "blocks whose size is a product",
            from: Decoder::written_out,
            bend: |d| {
                d.int("eight", 8);
                d.int("two", 2);
                let mut nodes = vec![];
                for (from, to) in [("rows", "row_block"), ("columns", "column_block")] {
                    let [a, b] = ["a", "b"].map(|part| format!("{to}/{part}"));
                    nodes.push(node("Div", &[from, "eight"], &a, &[]));
                    nodes.push(node("Div", &[&a, "eight"], &b, &[]));
                    nodes.push(node("Div", &[&b, "two"], to, &[]));
                }
                nodes.push(node("Equal", &["row_block", "column_block"], "same_block", &[]));
                nodes.push(node("And", &["seen", "same_block"], "seen_block", &[]));
                d.before("mask", nodes);
                d.maker("mask").inputs[0] = "seen_block".into();
            },
            says: &["/weights", "no window"],
        },
        Other {
            name: "a part of the context that sees ahead",
            from: Decoder::written_out,
            bend: |d| {
                for (name, value) in [("ten", 10), ("fifteen", 15)] {
                    d.int(name, value);
                }
                let nodes = vec![
                    node("Mul", &["ten", "ten"], "low", &[]),
                    node("Mul", &["ten", "fifteen"], "high", &[]),
                    node("GreaterOrEqual", &["columns", "low"], "columns_above", &[]),
                    node("Less", &["columns", "high"], "columns_below", &[]),
                    node("GreaterOrEqual", &["rows", "low"], "rows_above", &[]),
                    node("And", &["columns_above", "columns_below"], "columns_between", &[]),
                    node("And", &["columns_between", "rows_above"], "ahead", &[]),
                    node("Or", &["seen", "ahead"], "seen_ahead", &[]),
                ];
                d.before("mask", nodes);
                d.maker("mask").inputs[0] = "seen_ahead".into();
            },
            says: &["/weights", "not causal"],
        },
        Other {
            name: "scores that are halved where they should be hidden",
            from: Decoder::written_out,
            bend: |d| {
                d.int("hundred", 100);
                let nodes = vec![
                    node("Sub", &["rows", "hundred"], "far", &[]),
                    node("Greater", &["columns", "far"], "near", &[]),
                    node("Mul", &["scaled", "half"], "halved", &[]),
                    node("Where", &["near", "scaled", "halved"], "chosen", &[]),
                ];
                d.before("masked", nodes);
                d.maker("masked").inputs[0] = "chosen".into();
            },
            says: &["/weights"],
        },
        Other {
            name: "heads that are taken away from later rows",
            from: Decoder::written_out,
            bend: |d| {
                d.int("sixty", 60);
                let nodes = vec![
                    node("Greater", &["rows", "sixty"], "late", &[]),
                    node("Where", &["late", "nothing", "heads_out"], "guarded", &[]),
                ];
                d.before("rows_out", nodes);
                d.maker("rows_out").inputs[0] = "guarded".into();
            },
            says: &["/weights", "late"],
        },
        Other {
            name: "positions of angles that jump ahead for a while",
            from: Decoder::written_out,
            bend: |d| {
                warp(d, "positions", ["position_ids", "warped"], [64, 250]);
                d.maker("positions").inputs[0] = "warped".into();
            },
            says: &["/weights", "does not rotate"],
        },
        Other {
            name: "positions of the standard's rotation that jump ahead for a while",
            from: Decoder::standard,
            bend: |d| {
                warp(d, "qr", ["position_ids", "warped"], [64, 250]);
                for part in ["qr", "kr"] {
                    d.maker(part).inputs[3] = "warped".into();
                }
            },
            says: &["/attended", "positions"],
        },
        Other {
            name: "lengths that are too long for a while",
            from: Decoder::grouped,
            bend: |d| {
                warp(d, "seqlens", ["last", "warped"], [70, 240]);
                d.maker("seqlens").inputs[0] = "warped".into();
            },
            says: &["/attended", "seqlens"],
        },
        Other {
            name: "a cache of the last positions",
            from: Decoder::written_out,
            bend: |d| {
                d.maker("present.0.key").outputs[0] = "all_keys".into();
                d.maker("key5").inputs[0] = "all_keys".into();
                d.ints("minus_20", &[-20]);
                let at = d.graph.nodes.iter().position(|n| n.outputs[0] == "all_keys").unwrap() + 1;
                let last = node("Slice", &["all_keys", "minus_20", "to_end", "axis2"], "present.0.key", &[]);
                d.graph.nodes.insert(at, last);
            },
            says: &["/weights", "present.0.key"],
        },
        Other {
            name: "a Gelu that is cut off",
            from: Decoder::written_out,
            bend: |d| {
                let scalars = [("top", 8.0), ("root_", 0.707_106_77), ("one_", 1.0), ("half_", 0.5), ("bottom", -8.0)];
                scalars.iter().for_each(|(name, value)| d.scalar(name, *value));
                d.before(
                    "silu",
                    vec![
                        node("Greater", &["gate", "top"], "is_large", &[]),
                        node("Where", &["is_large", "bottom", "gate"], "cut", &[]),
                        node("Mul", &["cut", "root_"], "inside", &[]),
                        node("Erf", &["inside"], "bent", &[]),
                        node("Add", &["bent", "one_"], "bracket", &[]),
                        node("Mul", &["gate", "bracket"], "twice_gelu", &[]),
                    ],
                );
                *d.maker("silu") = node("Mul", &["twice_gelu", "half_"], "silu", &[]);
            },
            says: &["/act", "is expected"],
        },
        Other {
            name: "a norm whose squares are limited",
            from: Decoder::written_out,
            bend: |d| {
                take_apart(d, "n1", "x0", "norm1");
                d.scalar("limit", 10.0);
                d.before("n1/square", vec![node("Min", &["x0", "limit"], "limited", &[])]);
                *d.maker("n1/square") = node("Mul", &["x0", "limited"], "n1/square", &[]);
            },
            says: &["/n1"],
        },
        Other {
            name: "a window of nothing",
            from: Decoder::grouped,
            bend: |d| set(d, "attended", "local_window_size", int(0)),
            says: &["/attended", "a window of 0"],
        },
        Other {
            name: "a window of more than 32 bits",
            from: Decoder::grouped,
            bend: |d| set(d, "attended", "local_window_size", int((1 << 32) + 3)),
            says: &["/attended", "a window of 4294967299"],
        },
        Other {
            name: "a weight that is there twice",
            from: Decoder::written_out,
            bend: |d| d.graph.initializers.extend_from_within(..1),
            says: &["`embed` is there twice"],
        },
        Other {
            name: "a guard that asks of something else",
            from: Decoder::written_out,
            bend: |d| {
                let nodes =
                    vec![node("IsNaN", &["scaled"], "asked", &[]), node("Where", &["asked", "nothing", "weights"], "kept", &[])];
                d.before("heads_out", nodes);
                d.maker("heads_out").inputs[0] = "kept".into();
            },
            says: &["heads_out"],
        },
    ];
    refuses(&cases);
}
