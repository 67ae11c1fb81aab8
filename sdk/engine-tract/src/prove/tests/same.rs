//! Decoders that open, and compute the same as the interpreter.

use super::bends::*;
use super::decoder::{Decoder, int, node};
use kinglet_bundle::onnx::AttributeValue;

/// A decoder that opens, with the logits that the interpreter has for it.
struct Same {
    name: &'static str,
    from: fn() -> Decoder,
    bend: fn(&mut Decoder),
}

#[test]
fn what_is_put_in_its_place_computes_the_same() {
    let cases = [
        Same { name: "attention written out", from: Decoder::written_out, bend: |_| {} },
        Same { name: "a window that the mask alone knows", from: Decoder::written_out, bend: |d| see_the_last(d, 4) },
        Same { name: "norms after the rotation", from: Decoder::written_out, bend: |d| norms_after_the_rotation(d, &["q", "k"]) },
        Same {
            name: "neighbours rotated",
            from: Decoder::written_out,
            bend: |d| {
                turn_neighbours(d, "q");
                turn_neighbours(d, "k");
                repeat_each_angle(d);
            },
        },
        Same {
            name: "a softcap before the mask",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("cap", 3.0);
                d.after("scaled", "Div", &["cap"], &[]);
                d.after("scaled/Div", "Tanh", &[], &[]);
                d.after("scaled/Div/Tanh", "Mul", &["cap"], &[]);
            },
        },
        Same {
            name: "queries and keys scaled by a root each",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("root", 0.75);
                d.after("qr", "Mul", &["root"], &[]);
                d.after("kr", "Mul", &["root"], &[]);
            },
        },
        Same {
            name: "a mask that chooses",
            from: Decoder::written_out,
            bend: |d| *d.maker("masked") = node("Where", &["seen", "scaled", "least"], "masked", &[]),
        },
        Same {
            name: "norms taken apart, with weights that are computed",
            from: Decoder::written_out,
            bend: |d| {
                take_apart(d, "n1", "x0", "norm1");
                d.scalar("one", 1.0);
                d.before("n1", vec![node("Add", &["norm1", "one"], "norm1_and_1", &[])]);
                d.maker("n1").inputs[1] = "norm1_and_1".into();
                take_apart(d, "qn", "qt", "q_norm");
            },
        },
        Same { name: "rows less their mean before a norm", from: Decoder::written_out, bend: |d| centre(d, -1) },
        Same {
            name: "nothing for rows that see no position",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("last_axis", &[-1]);
                d.before(
                    "rows_out",
                    vec![
                        node("ReduceMax", &["mask", "last_axis"], "best", &[]),
                        node("Less", &["best", "nothing"], "blind", &[]),
                        node("Where", &["blind", "nothing", "heads_out"], "heads_kept", &[]),
                    ],
                );
                d.maker("rows_out").inputs[0] = "heads_kept".into();
            },
        },
        Same {
            name: "a part of each head rotated, by an operator",
            from: Decoder::written_out,
            bend: |d| {
                for (part, heads) in [("q", 4), ("k", 2)] {
                    let name = |what: &str| format!("{part}r/{what}");
                    let inputs = [&name("first"), "cos_half", "sin_half"];
                    d.ints("to_1", &[1]);
                    d.before(
                        &format!("{part}r"),
                        vec![
                            node("Slice", &["cos3", "from_0", "to_1", "axis_2"], "cos_half", &[]),
                            node("Slice", &["sin3", "from_0", "to_1", "axis_2"], "sin_half", &[]),
                            node("RotaryEmbedding", &inputs, &name("operator"), &[("num_heads", int(heads))]),
                        ],
                    );
                    if part == "k" {
                        let at = d.graph.nodes.iter().rposition(|n| n.outputs[0] == "cos_half").unwrap();
                        d.graph.nodes.drain(at..at + 2);
                    }
                    let parts = [name("operator"), name("second")];
                    let joined = [parts[0].as_str(), parts[1].as_str()];
                    *d.maker(&format!("{part}r")) = node("Concat", &joined, &format!("{part}r"), &[("axis", int(-1))]);
                }
                d.floats("frequency", &[1, 1, 1], &[0.7]);
                d.maker("angle").inputs[1] = "frequency".into();
            },
        },
        Same { name: "grouped attention", from: Decoder::grouped, bend: |_| {} },
        Same {
            name: "grouped attention with a window and a softcap",
            from: Decoder::grouped,
            bend: |d| {
                set(d, "attended", "local_window_size", int(3));
                set(d, "attended", "softcap", AttributeValue::Float(2.0));
            },
        },
        Same { name: "positions given to grouped attention", from: Decoder::grouped, bend: |d| give(d, 9, "position_ids") },
        Same {
            name: "norms inside grouped attention",
            from: Decoder::grouped,
            bend: |d| {
                give(d, 14, "q_norm");
                give(d, 15, "k_norm");
                set(d, "attended", "qk_norm_epsilon", AttributeValue::Float(1e-3));
            },
        },
        Same { name: "the standard's attention", from: Decoder::standard, bend: |_| {} },
        Same {
            name: "the standard's attention with scale and softcap",
            from: Decoder::standard,
            bend: |d| {
                set(d, "attended", "scale", AttributeValue::Float(0.3));
                set(d, "attended", "softcap", AttributeValue::Float(1.5));
            },
        },
        Same {
            name: "the standard's norm over an axis that is the last",
            from: Decoder::standard,
            bend: |d| {
                *d.maker("n1") = node("RMSNormalization", &["x0", "norm1"], "n1", &[("axis", int(2))]);
            },
        },
    ];
    for Same { name, from, bend } in cases {
        let mut decoder = from();
        bend(&mut decoder);
        if let Err(error) = decoder.open() {
            panic!("{name}: {error}");
        }
        decoder.assert_agrees(name);
    }
}
