//! Weights in forms that are nearly those that are known, each refused by the name of its node; and forms that only look different.

use super::{Decoder, HIDDEN, VOCAB};
use crate::source::Source;
use crate::weight::{BlockTensors, Weight};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{AttributeValue, DataType, Node, Tensor};
use kinglet_engine::Model;

/// Attributes that are whole numbers.
fn ints(values: &[(&'static str, i64)]) -> Vec<(&'static str, AttributeValue)> {
    values.iter().map(|&(name, value)| (name, AttributeValue::Int(value))).collect()
}

impl Decoder {
    /// Replaces the head by an operator over the last norm and these constants.
    fn head(&mut self, op_type: &str, constants: &[&str], attributes: &[(&str, AttributeValue)]) {
        self.graph.nodes.pop();
        let inputs: Vec<&str> = std::iter::once("n3").chain(constants.iter().copied()).collect();
        self.node(op_type, &inputs, &["logits"], attributes);
    }

    fn zeros(&mut self, name: &str, data_type: DataType, dims: &[usize]) {
        let bytes = data_type.bytes_for(dims.iter().product()).unwrap();
        self.tensor(name, data_type, dims, Bytes::copy_of(&vec![0u8; bytes]));
    }

    fn floats(&mut self, name: &str, value: f32, dims: &[usize]) {
        let values = vec![value; dims.iter().product()];
        self.tensor(name, DataType::Float32, dims, Bytes::copy_of(&values));
    }

    /// A head of 4 bits in blocks of 16, with other attributes or constants.
    fn block_head(&mut self, constants: &[&str], change: &[(&'static str, i64)]) {
        let mut all = [("N", VOCAB as i64), ("K", HIDDEN as i64), ("bits", 4), ("block_size", 16)].to_vec();
        all.retain(|(name, _)| change.iter().all(|(changed, _)| changed != name));
        all.extend_from_slice(change);
        self.zeros("packed", DataType::UInt8, &[VOCAB, 1, 8]);
        self.floats("scales", 0.5, &[VOCAB, 1]);
        let constants: Vec<&str> = ["packed", "scales"].iter().chain(constants).copied().collect();
        self.head("MatMulNBits", &constants, &ints(&all));
    }

    /// A head behind a `DequantizeLinear` of a matrix of zeros.
    fn dequantised_head(
        &mut self,
        kind: DataType,
        scales: &[usize],
        zeros: Option<(DataType, &[usize])>,
        attributes: &[(&'static str, i64)],
    ) {
        self.graph.nodes.pop();
        self.zeros("whole", kind, &[HIDDEN, VOCAB]);
        self.floats("scales", 0.5, scales);
        let mut inputs = vec!["whole", "scales"];
        if let Some((kind, dims)) = zeros {
            self.zeros("zeros", kind, dims);
            inputs.push("zeros");
        }
        self.node("DequantizeLinear", &inputs, &["head_f"], &ints(attributes));
        self.node("MatMul", &["n3", "head_f"], &["logits"], &[]);
    }

    /// A table of bytes under a `GatherBlockQuantized`.
    fn block_table(&mut self, scales: &[usize], attributes: &[(&'static str, i64)]) {
        self.zeros("table", DataType::UInt8, &[VOCAB, HIDDEN / 2]);
        self.floats("table_scales", 0.5, scales);
        let attributes = ints(attributes);
        self.node("GatherBlockQuantized", &["table", "input_ids", "table_scales"], &["x0"], &attributes);
        let gather = self.graph.nodes.pop().unwrap();
        self.graph.nodes[0] = gather;
    }

    fn message(&self) -> Option<String> {
        self.open(false).err().map(|error| error.to_string())
    }
}

/// A change to the decoder, and words that the refusal must contain; none where it is no other decoder.
struct Case {
    name: &'static str,
    bend: fn(&mut Decoder),
    says: &'static [&'static str],
}

#[track_caller]
fn check(cases: &[Case]) {
    for Case { name, bend, says } in cases {
        let mut decoder = Decoder::new();
        bend(&mut decoder);
        let message = decoder.message();
        match (says, &message) {
            ([], None) => {}
            ([], Some(message)) => panic!("{name}: {message}"),
            (_, None) => panic!("{name}: opened"),
            (says, Some(message)) => assert!(says.iter().all(|s| message.contains(s)), "{name}: {message}"),
        }
    }
}

#[test]
fn block_products() {
    check(&[
        Case { name: "as it should be", bend: |d| d.block_head(&[], &[("accuracy_level", 4)]), says: &[] },
        Case { name: "three bits", bend: |d| d.block_head(&[], &[("bits", 3)]), says: &["/logits", "3 bits"] },
        Case { name: "blocks of 24", bend: |d| d.block_head(&[], &[("block_size", 24)]), says: &["/logits", "24"] },
        Case {
            name: "blocks of less than nothing",
            bend: |d| d.block_head(&[], &[("block_size", -16)]),
            says: &["/logits", "block_size"],
        },
        Case { name: "more than can be", bend: |d| d.block_head(&[], &[("N", i64::MAX)]), says: &["/logits"] },
        Case { name: "more than there is", bend: |d| d.block_head(&[], &[("K", 17)]), says: &["/logits"] },
        Case {
            name: "packed for a device",
            bend: |d| d.block_head(&[], &[("weight_prepacked", 1)]),
            says: &["/logits", "packed for"],
        },
        Case { name: "an attribute of tomorrow", bend: |d| d.block_head(&[], &[("mystery", 1)]), says: &["/logits", "mystery"] },
        Case {
            name: "reordered inputs",
            bend: |d| {
                d.zeros("order", DataType::Int32, &[HIDDEN]);
                d.block_head(&["", "order"], &[]);
            },
            says: &["/logits", "g_idx"],
        },
        Case {
            name: "a bias of another length",
            bend: |d| {
                d.floats("bias", 0.5, &[VOCAB - 1]);
                d.block_head(&["", "", "bias"], &[]);
            },
            says: &["/logits", "bias"],
        },
        Case {
            name: "zero points of a type that has no meaning",
            bend: |d| {
                d.zeros("zeros", DataType::Int8, &[VOCAB, 1]);
                d.block_head(&["zeros"], &[]);
            },
            says: &["/logits", "zero points", "Int8"],
        },
        Case {
            name: "zero points that are numbers, too few of them",
            bend: |d| {
                d.floats("zeros", 8.0, &[VOCAB - 1]);
                d.block_head(&["zeros"], &[]);
            },
            says: &["/logits", "zero points"],
        },
        Case {
            name: "zero points that are numbers",
            bend: |d| {
                d.floats("zeros", 8.0, &[VOCAB, 1]);
                d.block_head(&["zeros"], &[]);
            },
            says: &[],
        },
        Case {
            name: "scales of whole numbers",
            bend: |d| {
                d.block_head(&[], &[]);
                d.graph.initializers.retain(|t| t.name != "scales");
                d.zeros("scales", DataType::Int32, &[VOCAB, 1]);
            },
            says: &["/logits", "scales", "Int32"],
        },
        Case {
            name: "packed weights with their rows last",
            bend: |d| {
                d.block_head(&[], &[]);
                d.graph.initializers.retain(|t| t.name != "packed");
                d.zeros("packed", DataType::UInt8, &[1, VOCAB, 8]);
            },
            says: &["/logits", "packed weights"],
        },
    ]);
}

#[test]
fn float_products() {
    check(&[
        Case { name: "a table read by its rows", bend: |d| d.head("Gemm", &["embed"], &ints(&[("transB", 1)])), says: &[] },
        Case {
            name: "an input that is transposed",
            bend: |d| d.head("Gemm", &["embed"], &ints(&[("transB", 1), ("transA", 1)])),
            says: &["/logits", "transposed"],
        },
        Case {
            name: "a bias for each row",
            bend: |d| {
                d.floats("bias", 0.5, &[VOCAB, 1]);
                d.head("Gemm", &["head_w", "bias"], &[]);
            },
            says: &["/logits", "bias"],
        },
        Case {
            name: "a fused product of a transposed input",
            bend: |d| d.head("FusedMatMul", &["head_w"], &ints(&[("transA", 1)])),
            says: &["/logits", "transposed"],
        },
        Case {
            name: "a fused product over another axis",
            bend: |d| d.head("FusedMatMul", &["head_w"], &ints(&[("transBatchB", 1)])),
            says: &["/logits", "transposed"],
        },
        Case {
            name: "a weight of three dimensions",
            bend: |d| {
                d.weight("deep", &[1, HIDDEN, VOCAB]);
                d.head("MatMul", &["deep"], &[]);
            },
            says: &["/logits", "deep", "not a matrix"],
        },
        Case {
            name: "a weight of whole numbers",
            bend: |d| {
                d.zeros("whole", DataType::Int8, &[HIDDEN, VOCAB]);
                d.head("MatMul", &["whole"], &[]);
            },
            says: &["/logits", "whole"],
        },
        Case {
            name: "a head over the first row",
            bend: |d| {
                d.tensor("first", DataType::Int64, &[1], Bytes::copy_of(&[0i64]));
                d.graph.nodes.pop();
                d.node("Gather", &["n3", "first"], &["row"], &ints(&[("axis", 1)]));
                d.node("MatMul", &["row", "head_w"], &["logits"], &[]);
            },
            says: &["/row", "Gather"],
        },
        Case {
            name: "a head over the last row",
            bend: |d| {
                d.tensor("last", DataType::Int64, &[1], Bytes::copy_of(&[-1i64]));
                d.graph.nodes.pop();
                d.node("Gather", &["n3", "last"], &["row"], &ints(&[("axis", 1)]));
                d.node("MatMul", &["row", "head_w"], &["logits"], &[]);
            },
            says: &[],
        },
    ]);
}

#[test]
fn dequantised_weights() {
    check(&[
        Case {
            name: "a scale for each output",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB], None, &[("axis", -1)]),
            says: &[],
        },
        Case {
            name: "a scale for each of other outputs",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB - 1], None, &[("axis", -1)]),
            says: &["/head_f", "scales"],
        },
        Case {
            name: "zero points of another sign",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB], Some((DataType::UInt8, &[VOCAB])), &[]),
            says: &["/head_f", "UInt8", "Int8"],
        },
        Case {
            name: "zero points of another shape",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB], Some((DataType::Int8, &[1])), &[]),
            says: &["/head_f", "zero points"],
        },
        Case {
            name: "blocks that do not fit their scales",
            bend: |d| d.dequantised_head(DataType::Int8, &[3, VOCAB], None, &[("axis", 0), ("block_size", 4)]),
            says: &["/head_f", "blocks of 4"],
        },
        Case {
            name: "blocks with one scale",
            bend: |d| d.dequantised_head(DataType::Int8, &[], None, &[("axis", 0), ("block_size", 4)]),
            says: &["/head_f", "block size 4"],
        },
        Case {
            name: "blocks of less than nothing",
            bend: |d| d.dequantised_head(DataType::Int8, &[4, VOCAB], None, &[("axis", 0), ("block_size", -4)]),
            says: &["/head_f", "block size -4"],
        },
        Case {
            name: "an axis that a matrix has not",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB], None, &[("axis", 2)]),
            says: &["/head_f", "axis 2"],
        },
        Case {
            name: "weights of 32 bits",
            bend: |d| d.dequantised_head(DataType::Int32, &[VOCAB], None, &[]),
            says: &["/head_f", "Int32"],
        },
        Case {
            name: "an attribute of tomorrow",
            bend: |d| d.dequantised_head(DataType::Int8, &[VOCAB], None, &[("mystery", 1)]),
            says: &["/head_f", "mystery"],
        },
        Case {
            name: "blocks of a transposed matrix",
            bend: |d| {
                d.graph.nodes.pop();
                d.zeros("whole", DataType::Int8, &[VOCAB, HIDDEN]);
                d.floats("scales", 0.5, &[HIDDEN / 4, VOCAB]);
                d.node("Transpose", &["whole"], &["turned"], &[]);
                d.node("DequantizeLinear", &["turned", "scales"], &["head_f"], &ints(&[("axis", 0), ("block_size", 4)]));
                d.node("MatMul", &["n3", "head_f"], &["logits"], &[]);
            },
            says: &["/head_f", "transposed"],
        },
    ]);
}

#[test]
fn tables() {
    const BLOCKS: [(&str, i64); 3] = [("bits", 4), ("block_size", 16), ("quantize_axis", 1)];
    check(&[
        Case { name: "as it should be", bend: |d| d.block_table(&[VOCAB, 1], &BLOCKS), says: &[] },
        Case {
            name: "columns that are gathered",
            bend: |d| d.block_table(&[VOCAB, 1], &[&BLOCKS[..], &[("gather_axis", 1)]].concat()),
            says: &["/x0", "another axis"],
        },
        Case {
            name: "bytes quantised down their columns",
            bend: |d| d.block_table(&[2, HIDDEN], &[("bits", 4), ("block_size", 16), ("quantize_axis", 0)]),
            says: &["/x0", "axis 0"],
        },
        Case {
            name: "scales of another shape",
            bend: |d| d.block_table(&[VOCAB, 2], &BLOCKS),
            says: &["/x0", "scales of shape"],
        },
        Case {
            name: "three bits",
            bend: |d| d.block_table(&[VOCAB, 1], &[("bits", 3), ("block_size", 16)]),
            says: &["/x0", "3 bits"],
        },
        Case {
            name: "blocks of 24",
            bend: |d| d.block_table(&[VOCAB, 1], &[("bits", 4), ("block_size", 24)]),
            says: &["/x0", "block size"],
        },
        Case {
            name: "a table without rows whose columns cannot be counted",
            bend: |d| {
                d.block_table(&[0, 1], &BLOCKS);
                d.graph.initializers.retain(|t| t.name != "table");
                d.zeros("table", DataType::UInt8, &[0, usize::MAX]);
            },
            says: &["/x0", "table of shape"],
        },
        Case {
            name: "ids that are repeated",
            bend: |d| {
                d.tensor("twice", DataType::Int64, &[2], Bytes::copy_of(&[1i64, 2]));
                d.node("Tile", &["input_ids", "twice"], &["more_ids"], &[]);
                let tile = d.graph.nodes.pop().unwrap();
                d.graph.nodes.insert(0, tile);
                d.graph.nodes[1].inputs[1] = "more_ids".into();
            },
            says: &["/x0", "Gather"],
        },
        Case {
            name: "ids of another type",
            bend: |d| {
                d.node("Cast", &["input_ids"], &["ids32"], &ints(&[("to", 6)]));
                let cast = d.graph.nodes.pop().unwrap();
                d.graph.nodes.insert(0, cast);
                d.graph.nodes[1].inputs[1] = "ids32".into();
            },
            says: &[],
        },
    ]);
}

#[test]
fn a_transposition_that_changes_nothing_changes_nothing() {
    let perm = |axes: [i64; 2]| [("perm", AttributeValue::Ints(axes.into()))];
    let through = |weight: &str, axes: [i64; 2]| {
        let mut d = Decoder::new();
        d.graph.nodes.pop();
        d.node("Transpose", &[weight], &["turned"], &perm(axes));
        d.node("MatMul", &["n3", "turned"], &["logits"], &[]);
        d.logits(true)
    };
    assert_eq!(through("head_w", [0, 1]), Decoder::new().logits(true));
    let mut tied = Decoder::new();
    tied.head("Gemm", &["embed"], &ints(&[("transB", 1)]));
    assert_eq!(through("embed", [1, 0]), tied.logits(true));
    assert_ne!(tied.logits(true), Decoder::new().logits(true));
}

/// Replaces the gate's activation by `0.5 x (1 + tanh(root (x + cube x^3)))`.
fn with_gelu(cube: f32) -> Decoder {
    let mut d = Decoder::new();
    for (name, value) in
        [("gelu_three", 3.0), ("gelu_cube", cube), ("gelu_root", 0.797_884_6), ("gelu_one", 1.0), ("gelu_half", 0.5)]
    {
        d.floats(name, value, &[]);
    }
    let at = d.graph.nodes.iter().position(|n| n.op_type == "Sigmoid").unwrap();
    let after = d.graph.nodes.split_off(at);
    d.node("Pow", &["gate", "gelu_three"], &["gelu_cubed"], &[]);
    d.node("Mul", &["gelu_cubed", "gelu_cube"], &["gelu_some"], &[]);
    d.node("Add", &["gate", "gelu_some"], &["gelu_sum"], &[]);
    d.node("Mul", &["gelu_sum", "gelu_root"], &["gelu_inside"], &[]);
    d.node("Tanh", &["gelu_inside"], &["gelu_curve"], &[]);
    d.node("Add", &["gelu_curve", "gelu_one"], &["gelu_bracket"], &[]);
    d.node("Mul", &["gate", "gelu_bracket"], &["gelu_both"], &[]);
    d.node("Mul", &["gelu_both", "gelu_half"], &["silu"], &[]);
    d.graph.nodes.extend(after.into_iter().skip(2));
    d
}

#[test]
fn an_activation_with_other_numbers_is_not_the_usual_one() {
    let usual = with_gelu(0.044715).open(true).unwrap();
    assert!(usual.operators().any(|name| name == "gated") && usual.info().foreign_ops.is_empty());
    let message = with_gelu(0.2).message().expect("another function");
    assert!(message.contains("/act"), "{message}");
}

#[test]
fn a_table_with_other_scales_is_another_table() {
    let scales = |value: f32| Tensor {
        name: "scales".into(),
        data_type: DataType::Float32,
        dims: vec![2, 1],
        bytes: Bytes::copy_of(&[value; 2]),
    };
    let packed =
        Tensor { name: "packed".into(), data_type: DataType::UInt8, dims: vec![2, 1, 16], bytes: Bytes::copy_of(&[7u8; 32]) };
    let weight = |packed: &Tensor, value: f32| {
        let tensors = BlockTensors { packed, scales: &scales(value), zero_points: None };
        Weight::blocks(&Node::default(), [4, 32], [2, 32], tensors).unwrap()
    };
    let copy = Tensor { bytes: Bytes::copy_of(&[7u8; 32]), ..packed.clone() };
    assert!(weight(&packed, 0.5).is_stored_as(&weight(&packed, 0.5)));
    assert!(!weight(&packed, 0.5).is_stored_as(&weight(&packed, 0.25)));
    assert!(!weight(&packed, 0.5).is_stored_as(&weight(&copy, 0.5)));
    assert!(!weight(&packed, 0.5).slice(0..1).is_stored_as(&weight(&packed, 0.5)));
}

#[test]
fn a_constant_keeps_the_shape_that_reshapes_give_it() {
    let mut d = Decoder::new();
    d.zeros("flat", DataType::UInt8, &[4, 6]);
    for (name, shape) in [("copied", vec![0i64, -1, 2]), ("wrong", vec![5, -1]), ("twice", vec![-1, -1])] {
        d.tensor(&format!("{name}_shape"), DataType::Int64, &[shape.len()], Bytes::copy_of(&shape));
        d.node("Reshape", &["flat", &format!("{name}_shape")], &[name], &[]);
    }
    let source = Source::new(&d.graph).unwrap();
    assert_eq!(source.shaped_constant("copied").unwrap().dims, [4, 3, 2]);
    assert!(source.shaped_constant("wrong").is_none() && source.shaped_constant("twice").is_none());
}
