//! The nearest neighbours of decoders that open, which are refused.

use super::bends::*;
use super::decoder::{Decoder, HIDDEN, int, ints, node};
use super::{Other, refuses};

#[test]
fn the_nearest_neighbours_are_refused() {
    let cases = [
        Other {
            name: "rows see the position after their own",
            from: Decoder::written_out,
            bend: |d| {
                d.int("two", 2);
                d.before("seen", vec![node("Add", &["rows", "step"], "later", &[])]);
                d.maker("seen").inputs[1] = "later".into();
            },
            says: &["/weights", "not causal"],
        },
        Other {
            name: "a slope in the mask",
            from: Decoder::written_out,
            bend: |d| {
                d.before(
                    "masked",
                    vec![
                        node("Sub", &["columns", "rows"], "distance", &[]),
                        node("Cast", &["distance"], "slope", &[("to", int(1))]),
                        node("Add", &["mask", "slope"], "sloped", &[]),
                    ],
                );
                d.maker("masked").inputs[1] = "sloped".into();
            },
            says: &["/weights", "linear biases"],
        },
        Other {
            name: "values that are no product",
            from: Decoder::standard,
            bend: |d| {
                d.before("attended", vec![node("Neg", &["v"], "other_v", &[])]);
                d.maker("attended").inputs[2] = "other_v".into();
            },
            says: &["`other_v` is not a projection", "another exporter", "--engine ort"],
        },
        Other {
            name: "a mask of its own for each head",
            from: Decoder::written_out,
            bend: |d| {
                d.floats("by_head", &[1, 4, 1, 1], &[0.0, 1e9, 0.0, 0.0]);
                d.before("masked", vec![node("Sub", &["mask", "by_head"], "masks", &[])]);
                d.maker("masked").inputs[1] = "masks".into();
            },
            says: &["/weights", "head 1"],
        },
        Other {
            name: "rows see their own eighth of the context",
            from: Decoder::written_out,
            bend: |d| {
                d.int("eight", 8);
                d.before(
                    "mask",
                    vec![
                        node("Div", &["rows", "eight"], "chunk", &[]),
                        node("Mul", &["chunk", "eight"], "chunk_start", &[]),
                        node("GreaterOrEqual", &["columns", "chunk_start"], "same_chunk", &[]),
                        node("And", &["seen", "same_chunk"], "seen_chunk", &[]),
                    ],
                );
                d.maker("mask").inputs[0] = "seen_chunk".into();
            },
            says: &["/weights", "no window"],
        },
        Other {
            name: "a mask that hides too little",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("little", -30.0);
                d.maker("mask").inputs[2] = "little".into();
            },
            says: &["/weights", "-30"],
        },
        Other {
            name: "a mask by the tokens",
            from: Decoder::written_out,
            bend: |d| {
                d.before(
                    "mask",
                    vec![
                        node("Equal", &["input_ids", "zero"], "padding", &[]),
                        node("Not", &["padding"], "no_padding", &[]),
                        node("Unsqueeze", &["no_padding", "axes_13"], "rows_no_padding", &[]),
                        node("And", &["seen", "rows_no_padding"], "seen_tokens", &[]),
                    ],
                );
                d.maker("mask").inputs[0] = "seen_tokens".into();
            },
            says: &["/weights", "/padding", "tokens themselves"],
        },
        Other {
            name: "keys rotated by another base",
            from: Decoder::written_out,
            bend: |d| {
                d.floats("other_frequencies", &[1, 1, 2], &[1.0, 0.2]);
                let mut nodes = vec![
                    node("Mul", &["positions3", "other_frequencies"], "angle'", &[]),
                    node("Concat", &["angle'", "angle'"], "angles'", &[("axis", int(-1))]),
                ];
                for (op, name) in [("Cos", "cos"), ("Sin", "sin")] {
                    nodes.push(node(op, &["angles'"], &format!("{name}3'"), &[]));
                    nodes.push(node("Unsqueeze", &[&format!("{name}3'"), "axis_1"], &format!("{name}'"), &[]));
                }
                d.before("kr/straight", nodes);
                d.maker("kr/straight").inputs[1] = "cos'".into();
                d.maker("kr/across").inputs[1] = "sin'".into();
            },
            says: &["/weights", "rotated differently"],
        },
        Other {
            name: "rotation the other way round",
            from: Decoder::written_out,
            bend: |d| {
                for part in ["q", "k"] {
                    let name = |what: &str| format!("{part}r/{what}");
                    d.maker(&name("neg")).inputs[0] = name("first");
                    d.maker(&name("turned")).inputs = vec![name("neg"), name("second")];
                }
            },
            says: &["/weights"],
        },
        Other {
            name: "positions that begin at one",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("one", 1.0);
                d.after("positions", "Add", &["one"], &[]);
            },
            says: &["/weights", "positions"],
        },
        Other {
            name: "one of two norms after the rotation",
            from: Decoder::written_out,
            bend: |d| norms_after_the_rotation(d, &["k"]),
            says: &["/weights", "different orders"],
        },
        Other {
            name: "a softcap after the mask",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("cap", 3.0);
                d.after("masked", "Div", &["cap"], &[]);
                d.after("masked/Div", "Tanh", &[], &[]);
                d.after("masked/Div/Tanh", "Mul", &["cap"], &[]);
            },
            says: &["/weights"],
        },
        Other {
            name: "heads of queries in another order",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("heads_last", &[0, 0, 4, 4]);
                d.maker("q4").inputs[1] = "heads_last".into();
                set(d, "qt", "perm", ints(&[0, 3, 1, 2]));
            },
            says: &["/weights"],
        },
        Other {
            name: "heads of keys repeated one after the other",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("before_heads", &[1]);
                d.ints("twice_all", &[1, 2, 1, 1, 1]);
                d.maker("key5").inputs[1] = "before_heads".into();
                d.maker("key6").inputs[1] = "twice_all".into();
            },
            says: &["/weights"],
        },
        Other {
            name: "scores transposed on the way",
            from: Decoder::written_out,
            bend: |d| d.after("heads_out", "Transpose", &[], &[("perm", ints(&[0, 1, 3, 2]))]),
            says: &["/weights"],
        },
        Other {
            name: "weights of attention over the wrong axis",
            from: Decoder::written_out,
            bend: |d| set(d, "weights", "axis", int(1)),
            says: &["/weights"],
        },
        Other {
            name: "one past for two attentions",
            from: Decoder::grouped,
            bend: |d| {
                let mut again = d.maker("attended").clone();
                again.name = "/again".into();
                again.inputs[0] = "q_again".into();
                again.outputs = ["again", "again_key", "again_value"].map(String::from).into();
                d.before(
                    "x1",
                    vec![
                        node("MatMul", &["n1", "q_w"], "q_again", &[]),
                        again,
                        node("MatMul", &["again", "o_w"], "o_again", &[]),
                        node("Add", &["x0", "o_again"], "x0_again", &[]),
                    ],
                );
                d.maker("x1").inputs[0] = "x0_again".into();
            },
            says: &["/again", "present.0.key"],
        },
        Other {
            name: "other keys kept than used",
            from: Decoder::written_out,
            bend: |d| {
                d.maker("present.0.key").outputs[0] = "all_keys".into();
                d.maker("key5").inputs[0] = "all_keys".into();
                let at = d.graph.nodes.iter().position(|n| n.outputs[0] == "all_keys").unwrap() + 1;
                d.graph.nodes.insert(at, node("Concat", &["past.0.key", "kn"], "present.0.key", &[("axis", int(2))]));
            },
            says: &["/weights", "present.0.key"],
        },
        Other {
            name: "epsilon after the root",
            from: Decoder::written_out,
            bend: |d| {
                take_apart(d, "n1", "x0", "norm1");
                d.maker("n1/root").inputs[0] = "n1/mean".into();
                d.before("n1/inverse", vec![node("Add", &["n1/root", "n1/eps"], "n1/late", &[])]);
                d.maker("n1/inverse").inputs[0] = "n1/late".into();
                d.maker("n1/sum").inputs[0] = "n1/square".into();
            },
            says: &["/n1"],
        },
        Other {
            name: "a mean over rows",
            from: Decoder::written_out,
            bend: |d| {
                take_apart(d, "n1", "x0", "norm1");
                d.ints("n1/rows", &[1]);
                d.maker("n1/mean").inputs[1] = "n1/rows".into();
            },
            says: &["/n1"],
        },
        Other {
            name: "a weight that stands upright, behind a norm of the same nodes with one that lies",
            from: Decoder::written_out,
            bend: |d| {
                take_apart(d, "n1", "x0", "norm1");
                take_apart(d, "n2", "x1", "norm2");
                d.weight("upright", &[HIDDEN, 1, 1]);
                d.maker("n2").inputs[1] = "upright".into();
            },
            says: &["/n2", "shape"],
        },
        Other {
            name: "the standard's norm over more than the last axis",
            from: Decoder::written_out,
            bend: |d| *d.maker("n1") = node("RMSNormalization", &["x0", "norm1"], "n1", &[("axis", int(1))]),
            says: &["/n1"],
        },
        Other {
            name: "rows less the mean of each column",
            from: Decoder::written_out,
            bend: |d| centre(d, 1),
            says: &["/centred"],
        },
        Other {
            name: "a norm with an attribute that is not known",
            from: Decoder::written_out,
            bend: |d| set(d, "n1", "mystery", int(1)),
            says: &["/n1", "mystery"],
        },
        Other {
            name: "an activation of the wrong shape",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("half_", 0.5);
                d.scalar("one_", 1.0);
                d.scalar("close_to_root", 0.8);
                d.before(
                    "silu",
                    vec![
                        node("Mul", &["gate", "close_to_root"], "inside", &[]),
                        node("Erf", &["inside"], "erf", &[]),
                        node("Add", &["erf", "one_"], "bracket", &[]),
                        node("Mul", &["gate", "bracket"], "twice_gelu", &[]),
                    ],
                );
                *d.maker("silu") = node("Mul", &["twice_gelu", "half_"], "silu", &[]);
            },
            says: &["/act"],
        },
        Other {
            name: "a Gelu by tanh whose cubes are a little more",
            from: Decoder::written_out,
            bend: |d| {
                let scalars = [("more", 0.5), ("cubic", 0.044715), ("root_", 0.797_884_6), ("one_", 1.0), ("half_", 0.5)];
                scalars.iter().for_each(|(name, value)| d.scalar(name, *value));
                d.before(
                    "silu",
                    vec![
                        node("Add", &["gate", "more"], "shifted", &[]),
                        node("Mul", &["shifted", "gate"], "squares", &[]),
                        node("Mul", &["gate", "squares"], "cubes", &[]),
                        node("Mul", &["cubic", "cubes"], "term", &[]),
                        node("Add", &["gate", "term"], "polynomial", &[]),
                        node("Mul", &["polynomial", "root_"], "inside", &[]),
                        node("Tanh", &["inside"], "bent", &[]),
                        node("Add", &["bent", "one_"], "bracket", &[]),
                        node("Mul", &["gate", "bracket"], "twice_gelu", &[]),
                    ],
                );
                *d.maker("silu") = node("Mul", &["twice_gelu", "half_"], "silu", &[]);
            },
            says: &["/act", "is expected"],
        },
        Other {
            name: "lengths that are one too long",
            from: Decoder::grouped,
            bend: |d| d.maker("seqlens").inputs[0] = "sum".into(),
            says: &["/attended", "seqlens"],
        },
        Other {
            name: "positions of grouped attention that begin at one",
            from: Decoder::grouped,
            bend: |d| {
                d.before("attended", vec![node("Add", &["position_ids", "one"], "later", &[])]);
                give(d, 9, "later");
            },
            says: &["/attended", "later"],
        },
        Other {
            name: "rotated before it is rotated",
            from: Decoder::grouped,
            bend: |d| {
                for part in ["q", "k"] {
                    let made = format!("{part}_turned");
                    let heads = int(if part == "q" { 4 } else { 2 });
                    let inputs = [part, "cos_table", "sin_table", "position_ids"];
                    d.before("attended", vec![node("RotaryEmbedding", &inputs, &made, &[("num_heads", heads)])]);
                    d.maker("attended").inputs[usize::from(part == "k")] = made;
                }
            },
            says: &["/attended", "rotates them again"],
        },
        Other {
            name: "a sink for each head",
            from: Decoder::grouped,
            bend: |d| {
                d.weight("sink", &[4]);
                give(d, 11, "sink");
            },
            says: &["/attended", "head_sink"],
        },
        Other {
            name: "an attribute that is not known",
            from: Decoder::grouped,
            bend: |d| set(d, "attended", "mystery", int(1)),
            says: &["/attended", "mystery"],
        },
        Other {
            name: "the standard's attention without a mask",
            from: Decoder::standard,
            bend: |d| set(d, "attended", "is_causal", int(0)),
            says: &["/attended"],
        },
        Other {
            name: "the standard's attention with lengths of padded keys",
            from: Decoder::standard,
            bend: |d| {
                d.ints("lengths", &[9]);
                give(d, 6, "lengths");
            },
            says: &["/attended", "lengths"],
        },
        Other {
            name: "one rotated by halves, the other by neighbours",
            from: Decoder::standard,
            bend: |d| set(d, "kr", "interleaved", int(1)),
            says: &["/attended", "rotated differently"],
        },
        Other {
            name: "what drops elements as in training",
            from: Decoder::written_out,
            bend: |d| {
                d.scalar("ratio", 0.5);
                d.before(
                    "x1",
                    vec![
                        node("Equal", &["step", "step"], "training", &[]),
                        node("Dropout", &["o", "ratio", "training"], "dropped", &[]),
                    ],
                );
                d.maker("x1").inputs[1] = "dropped".into();
            },
            says: &["/dropped"],
        },
        Other {
            name: "rows picked before the end",
            from: Decoder::written_out,
            bend: |d| {
                d.ints("last_row", &[-1]);
                d.before("gate", vec![node("Gather", &["n2", "last_row"], "n2_last", &[("axis", int(1))])]);
                d.maker("gate").inputs[0] = "n2_last".into();
                d.maker("up").inputs[0] = "n2_last".into();
            },
            says: &["row for each token"],
        },
        Other {
            name: "token ids on their side",
            from: Decoder::written_out,
            bend: |d| {
                d.before("x0", vec![node("Transpose", &["input_ids"], "turned_ids", &[])]);
                d.maker("x0").inputs[1] = "turned_ids".into();
            },
            says: &["row for each token"],
        },
    ];
    refuses(&cases);
}
