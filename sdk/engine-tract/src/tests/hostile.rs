//! Graphs made to hurt or to mislead: each ends in an error that names the node, whichever way the program would run.

use super::*;
use crate::recognise::operators::{OPERATORS, Role};

/// A change to the decoder, and words that the refusal must contain.
struct Bent {
    name: &'static str,
    bend: fn(&mut Decoder),
    says: &'static [&'static str],
}

fn refuses(cases: &[Bent]) {
    for Bent { name, bend, says } in cases {
        let mut decoder = Decoder::new();
        bend(&mut decoder);
        for direct in [false, true] {
            let Err(error) = decoder.open(direct) else { panic!("{name}: opened, direct {direct}") };
            let message = error.to_string();
            assert!(says.iter().all(|s| message.contains(s)), "{name}: {message}");
            assert!(!message.contains('\n'), "{name}: {message}");
        }
    }
}

/// Queries, keys and values as three products of one input, over weights of these heights.
fn separate(d: &mut Decoder, heights: [usize; 3]) {
    let at = d.graph.nodes.iter().position(|n| n.op_type == "GroupQueryAttention").unwrap();
    let behind = d.graph.nodes.split_off(at);
    for ((name, k), n) in ["q", "k", "v"].into_iter().zip(heights).zip([HEADS, KV_HEADS, KV_HEADS]) {
        let weight = format!("{name}_w");
        d.weight(&weight, &[k, n * HEAD_DIM]);
        d.node("MatMul", &["n1", &weight], &[name], &[]);
    }
    d.graph.nodes.extend(behind);
    d.change("GroupQueryAttention", |n| n.inputs[..3].clone_from_slice(&["q", "k", "v"].map(String::from)));
}

/// Puts a node with `x` and a constant of zeros between the attention's projection and its readers.
fn with_constant(d: &mut Decoder, op_type: &'static str, dims: &[usize]) {
    d.tensor("constant", DataType::Float32, dims, Bytes::copy_of(&vec![0f32; dims.iter().product()]));
    d.insert_after("o", &[op_type]);
    inserted(d, op_type).inputs.push("constant".into());
}

/// The node of a type between the attention's projection and its readers.
fn inserted<'d>(d: &'d mut Decoder, op_type: &str) -> &'d mut Node {
    d.graph.nodes.iter_mut().find(|n| n.name == format!("/o/{op_type}")).unwrap()
}

/// Replaces the head by a product in blocks of 4 bits with a bias of this length.
fn block_head(d: &mut Decoder, bias: usize) {
    d.tensor("packed", DataType::UInt8, &[VOCAB, 1, 8], Bytes::copy_of(&[0u8; VOCAB * 8]));
    d.weight("scales", &[VOCAB]);
    d.weight("bias", &[bias]);
    let sizes = [("N", VOCAB), ("K", HIDDEN), ("bits", 4), ("block_size", 16)];
    d.graph.nodes.pop();
    let sizes = sizes.map(|(name, value)| (name, AttributeValue::Int(value as i64)));
    d.node("MatMulNBits", &["n3", "packed", "scales", "", "", "bias"], &["logits"], &sizes);
}

/// Gives the first node of a type one more attribute.
fn attribute(d: &mut Decoder, op_type: &str, name: &str, value: AttributeValue) {
    d.change(op_type, |n| n.attributes.push(Attribute { name: name.into(), value }));
}

#[test]
fn operands_that_do_not_fit_are_refused() {
    refuses(&[
        Bent {
            name: "values over shorter rows than the input has",
            bend: |d| separate(d, [HIDDEN, HIDDEN, 1]),
            says: &["/q", "part 3 of 3", "16 columns where 1"],
        },
        Bent {
            name: "queries over shorter rows than keys and values",
            bend: |d| separate(d, [HIDDEN / 2, HIDDEN, HIDDEN]),
            says: &["/q", "part 1 of 3", "16 columns where 8"],
        },
        Bent { name: "a bias that is too short", bend: |d| block_head(d, 3), says: &["/logits", "a bias of shape [3] for 32"] },
        Bent {
            name: "an embedding with too few rows",
            bend: |d| {
                d.weight("short", &[4, HIDDEN]);
                d.change("Gather", |n| n.inputs[0] = "short".into());
            },
            says: &["/x0", "4 rows for 32 tokens"],
        },
        Bent {
            name: "tables of cosines without a column",
            bend: |d| {
                d.tensor("nothing", DataType::Float32, &[64, 0], Bytes::copy_of::<f32>(&[]));
                d.change("GroupQueryAttention", |n| n.inputs[7..9].fill("nothing".into()));
            },
            says: &["/attn", "of the tables"],
        },
        Bent {
            name: "two layers that write the same keys and values",
            bend: |d| {
                let again = d.graph.nodes.iter().find(|n| n.op_type == "GroupQueryAttention").unwrap().clone();
                let at = d.graph.nodes.iter().position(|n| n.name == "/o").unwrap();
                d.graph.nodes[at].inputs[0] = "both".into();
                let outputs = ["attn2", "", ""].map(String::from).to_vec();
                d.graph.nodes.insert(at, Node { name: "/attn2".into(), outputs, ..again });
                d.node("Add", &["attn", "attn2"], &["both"], &[]);
                let sum = d.graph.nodes.pop().unwrap();
                d.graph.nodes.insert(at + 1, sum);
            },
            says: &["/attn2", "keeps, too"],
        },
    ]);
    let mut whole = Decoder::new();
    separate(&mut whole, [HIDDEN; 3]);
    assert!(whole.logits(true).iter().all(|v| v.is_finite()));
    block_head(&mut whole, VOCAB);
    assert!(whole.logits(true).iter().all(|v| v.is_finite()));
}

#[test]
fn constants_that_would_change_a_shape_are_kept_from_tract() {
    refuses(&[
        Bent { name: "no element", bend: |d| with_constant(d, "Pow", &[0]), says: &["/o/Pow", "Pow", "[0]"] },
        Bent { name: "another batch", bend: |d| with_constant(d, "Max", &[2, 1, 1, HIDDEN]), says: &["/o/Max", "[2, 1, 1, 16]"] },
        Bent { name: "two rows", bend: |d| with_constant(d, "Max", &[2, HIDDEN]), says: &["/o/Max", "[2, 16]"] },
        Bent {
            name: "one element of too many axes",
            bend: |d| with_constant(d, "Sub", &[1, 1, 1, 1, 1]),
            says: &["/o/Sub", "[1, 1, 1, 1, 1]"],
        },
        Bent {
            name: "half a row",
            bend: |d| with_constant(d, "Sub", &[HIDDEN / 2]),
            says: &["/o/Sub", "8 numbers on rows of 16"],
        },
        Bent {
            name: "whole numbers where numbers are",
            bend: |d| {
                with_constant(d, "Sub", &[]);
                d.tensor("whole", DataType::Int64, &[], Bytes::copy_of(&[1i64]));
                inserted(d, "Sub").inputs[1] = "whole".into();
            },
            says: &["/o/Sub", "Int64"],
        },
        Bent { name: "an operand that is not there", bend: |d| d.insert_after("o", &["Sub"]), says: &["/o/Sub", "no input 1"] },
        Bent {
            name: "a norm without its weight",
            bend: |d| d.insert_after("o", &["LayerNormalization"]),
            says: &["/o/LayerNormalization", "no input 1"],
        },
    ]);
    let mut shifted = Decoder::new();
    with_constant(&mut shifted, "Sub", &[1, HIDDEN]);
    assert_eq!(shifted.open(false).unwrap().info().foreign_ops, ["Sub"]);
    assert_eq!(shifted.logits(false), Decoder::new().logits(false), "nothing is subtracted");
}

/// Puts a `Max` of what the attention's projection gives, so many times, behind it.
fn max_of(d: &mut Decoder, inputs: usize) {
    d.insert_after("o", &["Max"]);
    inserted(d, "Max").inputs = vec!["o".into(); inputs];
}

#[test]
fn nodes_with_many_inputs_are_kept_from_tract() {
    refuses(&[Bent {
        name: "more inputs than a node of a decoder has",
        bend: |d| max_of(d, 65),
        says: &["/o/Max", "65 inputs", "64", "--engine ort"],
    }]);
    let mut most = Decoder::new();
    max_of(&mut most, 64);
    assert_eq!(most.open(false).unwrap().info().foreign_ops, ["Max"]);
}

/// Changes an attribute of the first node of a type.
fn change_attribute(d: &mut Decoder, op_type: &str, name: &str, value: i64) {
    d.change(op_type, |n| {
        let attribute = n.attributes.iter_mut().find(|attribute| attribute.name == name).unwrap();
        attribute.value = AttributeValue::Int(value);
    });
}

#[test]
fn sizes_that_are_none_are_named() {
    refuses(&[
        Bent {
            name: "no heads",
            bend: |d| change_attribute(d, "GroupQueryAttention", "num_heads", 0),
            says: &["/attn", "the attribute num_heads is 0"],
        },
        Bent {
            name: "fewer heads than none",
            bend: |d| change_attribute(d, "GroupQueryAttention", "kv_num_heads", -1),
            says: &["/attn", "the attribute kv_num_heads is -1"],
        },
        Bent {
            name: "heads that are not counted",
            bend: |d| d.change("GroupQueryAttention", |n| n.attributes.retain(|a| a.name != "num_heads")),
            says: &["/attn", "no attribute num_heads"],
        },
        Bent {
            name: "rows shorter than none",
            bend: |d| {
                block_head(d, VOCAB);
                change_attribute(d, "MatMulNBits", "K", -32);
            },
            says: &["/logits", "the attribute K is -32"],
        },
    ]);
}

#[test]
fn what_the_table_does_not_admit_is_refused() {
    refuses(&[
        Bent {
            name: "an attribute that nobody reads",
            bend: |d| attribute(d, "MatMul", "mode", AttributeValue::Int(0)),
            says: &["/qkv0", "MatMul", "`mode`"],
        },
        Bent {
            name: "an attribute of another type",
            bend: |d| attribute(d, "Gather", "axis", AttributeValue::Float(1.0)),
            says: &["/x0", "Gather", "`axis`"],
        },
        Bent {
            name: "an attribute that is there twice",
            bend: |d| attribute(d, "GroupQueryAttention", "do_rotary", AttributeValue::Int(0)),
            says: &["/attn", "`do_rotary`", "twice"],
        },
        Bent {
            name: "attention that looks ahead",
            bend: |d| attribute(d, "GroupQueryAttention", "causal", AttributeValue::Int(0)),
            says: &["/attn", "`causal`"],
        },
        Bent {
            name: "an input that the operator does not have",
            bend: |d| d.change("MatMul", |n| n.inputs.push("norm1".into())),
            says: &["/qkv0", "MatMul", "number 2"],
        },
        Bent {
            name: "quantised keys",
            bend: |d| {
                d.weight("k_scale", &[1]);
                d.change("GroupQueryAttention", |n| n.inputs.extend(["", "", "", "k_scale"].map(String::from)));
            },
            says: &["/attn", "k_scale"],
        },
        Bent {
            name: "an operator of somebody's own, with a known name",
            bend: |d| d.change("MatMul", |n| n.domain = "my.domain".into()),
            says: &["/qkv0", "MatMul", "`my.domain`"],
        },
        Bent {
            name: "statistics in place of what they are of",
            bend: |d| {
                d.weight("ones", &[HIDDEN]);
                d.insert_after("o", &["LayerNormalization"]);
                d.change("LayerNormalization", |n| {
                    n.inputs.push("ones".into());
                    n.outputs.insert(0, "normed".into());
                });
            },
            says: &["/o/LayerNormalization", "number 1"],
        },
        Bent {
            name: "operators of a version to come",
            bend: |d| d.graph.opsets[0].version = 99,
            says: &["99", "versions up to 28"],
        },
        Bent {
            name: "an operator that its version does not have",
            bend: |d| {
                d.insert_after("o", &["Gelu"]);
                d.graph.opsets[0].version = 19;
            },
            says: &["/o/Gelu", "no pattern", "--engine ort"],
        },
    ]);
}

/// Puts so many nodes between the attention's projection and its readers.
fn chain(d: &mut Decoder, op_type: &'static str, count: usize, constant: &[f32]) {
    d.tensor("constant", DataType::Float32, &[constant.len()], Bytes::copy_of(constant));
    d.insert_after("o", &["Neg"]);
    let at = d.graph.nodes.iter().position(|n| n.op_type == "Neg").unwrap();
    let link = |i: usize| {
        if i == 0 {
            "o".into()
        } else if i == count {
            "o/Neg".into()
        } else {
            format!("o/{i}")
        }
    };
    let node = |i: usize| Node {
        name: format!("/{}", link(i + 1)),
        op_type: op_type.into(),
        domain: String::new(),
        inputs: vec![link(i), "constant".into()],
        outputs: vec![link(i + 1)],
        attributes: vec![],
    };
    d.graph.nodes.splice(at..=at, (0..count).map(node));
}

#[test]
fn long_graphs_open_or_are_refused() {
    let mut scaled = Decoder::new();
    chain(&mut scaled, "Mul", 20_000, &[1.0]);
    for direct in [false, true] {
        assert_eq!(scaled.logits(direct), Decoder::new().logits(true), "times one is the same");
    }
    scaled.insert_after("down", &["Neg"]);
    let message = scaled.open(false).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("20012 operators") && message.contains("Neg"), "{message}");
    let mut left = Decoder::new();
    chain(&mut left, "Sub", 1_025, &[0.0]);
    let message = left.open(false).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("more than 1024 operators"), "{message}");
    let mut many = Decoder::new();
    let node = many.graph.nodes[1].clone();
    many.graph.nodes.extend(vec![node; 200_000]);
    let message = many.open(true).map(|_| ()).unwrap_err().to_string();
    assert!(message.contains("nodes; graphs of up to 200000 are opened"), "{message}");
}

/// NaN stays NaN in every operator that is left to tract, with NaN or a constant as any other operand.
#[test]
fn nan_stays_nan_in_every_operator_left_to_tract() {
    let left: Vec<_> = OPERATORS.iter().filter(|operator| operator.left_to_tract).collect();
    assert!(left.len() > 25 && left.iter().any(|operator| operator.hides_nan));
    for (operator, other) in left.into_iter().flat_map(|operator| [(operator, "o/Sqrt"), (operator, "zero")]) {
        // Refused: a scale by infinity.
        if operator.name == "Div" && other == "zero" {
            continue;
        }
        let mut d = Decoder::new();
        let opset = d.graph.opsets.iter_mut().find(|opset| opset.domain == operator.domain).unwrap();
        opset.version = opset.version.clamp(operator.versions.0, operator.versions.1);
        d.tensor("zero", DataType::Float32, &[], Bytes::copy_of(&[0f32]));
        d.insert_after("o", &["Sqrt", operator.name]);
        let made_by = format!("/o/Sqrt/{}", operator.name);
        let node = d.graph.nodes.iter_mut().find(|n| n.name == made_by).unwrap();
        node.domain = operator.domain.into();
        node.inputs.extend(operator.inputs[1..].iter().map(|(_, role)| match role {
            Role::Scalar => "zero".into(),
            Role::Row => "norm2".into(),
            _ => other.into(),
        }));
        if operator.inputs.iter().any(|(_, role)| *role == Role::Each) {
            node.inputs.push(other.into());
        }
        if operator.attributes.iter().any(|(name, _)| *name == "min") {
            node.attributes.push(Attribute { name: "min".into(), value: AttributeValue::Float(-1.) });
        }
        // Whatever to the power of 0 is 1.
        let makes_numbers = operator.name == "Pow" && other == "zero";
        let numbers = d.logits(false).iter().filter(|logit| !logit.is_nan()).count();
        let expected = if makes_numbers { 5 * VOCAB } else { 0 };
        assert_eq!(numbers, expected, "{} with {other} where roots of negative numbers went in", operator.name);
    }
    refuses(&[Bent {
        name: "a bound that is no number",
        bend: |d| {
            d.tensor("nan", DataType::Float32, &[], Bytes::copy_of(&[f32::NAN]));
            d.insert_after("o", &["Clip"]);
            inserted(d, "Clip").inputs.push("nan".into());
        },
        says: &["/o/Clip", "NaN"],
    }]);
}
