//! For each thing that is left out: what is put in its place gives the interpreter's numbers, and its nearest neighbour is
//! refused by the name of the node that matters.

mod decoder;

use self::decoder::{Decoder, int, ints, node};
use crate::model::{GraphFacts, OpenOptions, TractModel};
use kinglet_bundle::onnx::AttributeValue;

/// A decoder that opens, with the logits that the interpreter has for it.
struct Same {
    name: &'static str,
    from: fn() -> Decoder,
    bend: fn(&mut Decoder),
}

/// A decoder that is refused, and words of the refusal.
struct Other {
    name: &'static str,
    from: fn() -> Decoder,
    bend: fn(&mut Decoder),
    says: &'static [&'static str],
}

fn see_the_last(d: &mut Decoder, positions: i64) {
    d.ints("window", &[positions]);
    let nodes = vec![
        node("Sub", &["rows", "window"], "far", &[]),
        node("Greater", &["columns", "far"], "near", &[]),
        node("And", &["seen", "near"], "seen_near", &[]),
    ];
    d.before("mask", nodes);
    d.maker("mask").inputs[0] = "seen_near".into();
}

fn norms_after_the_rotation(d: &mut Decoder, parts: &[&str]) {
    for part in parts {
        // The rotation reads the heads, the norm what is rotated, and the scores what is normed.
        let (normed, turned, heads) = (format!("{part}n"), format!("{part}r"), format!("{part}t"));
        let at = d.graph.nodes.iter().position(|n| n.outputs[0] == normed).unwrap();
        let mut norm = d.graph.nodes.remove(at);
        for input in d.graph.nodes.iter_mut().flat_map(|n| &mut n.inputs) {
            if *input == normed {
                input.clone_from(&heads);
            } else if *input == turned {
                input.clone_from(&normed);
            }
        }
        norm.inputs[0].clone_from(&turned);
        let after = d.graph.nodes.iter().position(|n| n.outputs[0] == turned).unwrap() + 1;
        d.graph.nodes.insert(after, norm);
    }
}

/// Rotates neighbours instead of halves, as GLM-4, Helium and Cohere 2 are exported.
fn turn_neighbours(d: &mut Decoder, part: &str) {
    let name = |what: &str| format!("{part}r/{what}");
    d.ints("by_2", &[2]);
    d.ints("from_1", &[1]);
    d.ints("axis_4", &[4]);
    let shape = name("shape");
    d.ints(&shape, &[0, if part == "q" { 4 } else { 2 }, -1, 4]);
    for (what, from) in [("first", "from_0"), ("second", "from_1")] {
        d.maker(&name(what)).inputs = [&format!("{part}n"), from, "to_end", "axis_3", "by_2"].map(String::from).into();
    }
    let pairs = vec![
        node("Unsqueeze", &[&name("neg"), "axis_4"], &name("neg5"), &[]),
        node("Unsqueeze", &[&name("first"), "axis_4"], &name("first5"), &[]),
        node("Concat", &[&name("neg5"), &name("first5")], &name("pairs"), &[("axis", int(-1))]),
    ];
    d.before(&name("turned"), pairs);
    *d.maker(&name("turned")) = node("Reshape", &[&name("pairs"), &shape], &name("turned"), &[]);
}

fn repeat_each_angle(d: &mut Decoder) {
    d.ints("axis_3_of_4", &[3]);
    d.ints("flat_angles", &[0, 0, 4]);
    let repeated = vec![
        node("Unsqueeze", &["angle", "axis_3_of_4"], "angle4", &[]),
        node("Concat", &["angle4", "angle4"], "angle_pairs", &[("axis", int(-1))]),
    ];
    d.before("angles", repeated);
    *d.maker("angles") = node("Reshape", &["angle_pairs", "flat_angles"], "angles", &[]);
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
            says: &["past.0.key", "keeps, too"],
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
            says: &["/weights", "keys that it keeps"],
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

/// Numbers that somebody wrote into a file to have a proof take memory or time without end, or index beyond a tensor.
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

/// A context without end is not walked.
#[test]
fn a_context_without_end_ends() {
    let decoder = Decoder::written_out();
    let facts = GraphFacts { max_context: Some(usize::MAX), ..GraphFacts::default() };
    let model = TractModel::of_graph(&decoder.graph, &facts, &OpenOptions { walk: true });
    assert!(model.is_ok(), "{:?}", model.err());
}

fn refuses(cases: &[Other]) {
    for Other { name, from, bend, says } in cases {
        let mut decoder = from();
        bend(&mut decoder);
        let Err(error) = decoder.open() else { panic!("{name}: opened") };
        let message = error.to_string();
        assert!(says.iter().all(|s| message.contains(s)), "{name}: {message}");
    }
}

/// `weight * (x * (1 / sqrt(mean(x^2) + eps)))`.
fn take_apart(d: &mut Decoder, value: &str, x: &str, weight: &str) {
    let name = |what: &str| format!("{value}/{what}");
    d.scalar(&name("two"), 2.0);
    d.scalar(&name("eps"), 1e-3);
    d.ints(&name("last"), &[-1]);
    let nodes = vec![
        node("Pow", &[x, &name("two")], &name("square"), &[]),
        node("ReduceMean", &[&name("square"), &name("last")], &name("mean"), &[]),
        node("Add", &[&name("mean"), &name("eps")], &name("sum"), &[]),
        node("Sqrt", &[&name("sum")], &name("root"), &[]),
        node("Reciprocal", &[&name("root")], &name("inverse"), &[]),
        node("Mul", &[x, &name("inverse")], &name("scaled"), &[]),
    ];
    d.before(value, nodes);
    *d.maker(value) = node("Mul", &[&name("scaled"), weight], value, &[]);
}

/// `x - mean(x)` before the first norm.
fn centre(d: &mut Decoder, axis: i64) {
    d.ints("mean_axis", &[axis]);
    d.before("n1", vec![node("ReduceMean", &["x0", "mean_axis"], "mean", &[]), node("Sub", &["x0", "mean"], "centred", &[])]);
    d.maker("n1").inputs[0] = "centred".into();
}

fn set(d: &mut Decoder, value: &str, attribute: &str, to: AttributeValue) {
    let attributes = &mut d.maker(value).attributes;
    attributes.retain(|a| a.name != attribute);
    attributes.push(kinglet_bundle::onnx::Attribute { name: attribute.into(), value: to });
}

/// Gives grouped attention or the standard's another input.
fn give(d: &mut Decoder, place: usize, value: &str) {
    let inputs = &mut d.maker("attended").inputs;
    inputs.resize(inputs.len().max(place + 1), String::new());
    inputs[place] = value.into();
}
