//! The rewrite on graphs built by hand: what a decoder becomes, what is refused, what is left to tract.

mod hostile;
mod weights;

use crate::model::{OpenOptions, TractModel};
use crate::recognise::operators::{CONTRIB, NEWEST, operator};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Attribute, AttributeValue, DataType, Dim, Graph, Node, OpSet, Tensor, ValueInfo};
use kinglet_engine::{CancelToken, EngineError, LogitsWanted, Model, RunnerOptions, SequenceStep};

const VOCAB: usize = 32;
const HIDDEN: usize = 16;
const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 4;
const FFN: usize = 32;

/// A decoder of one layer in the form that onnxruntime-genai's builder writes, to be bent by each test.
struct Decoder {
    graph: Graph,
    seed: u32,
}

impl Decoder {
    fn new() -> Self {
        let past = ["key", "value"].map(|k| {
            input(&format!("past_key_values.0.{k}"), vec![Dim::Unknown, Dim::Known(KV_HEADS), Dim::Unknown, Dim::Known(HEAD_DIM)])
        });
        let mut inputs =
            vec![input("input_ids", vec![Dim::Unknown, Dim::Unknown]), input("attention_mask", vec![Dim::Unknown, Dim::Unknown])];
        inputs.extend(past);
        let graph = Graph {
            nodes: vec![],
            inputs,
            outputs: vec![input("logits", vec![])],
            initializers: vec![],
            opsets: vec![OpSet { domain: String::new(), version: 21 }, OpSet { domain: "com.microsoft".into(), version: 1 }],
        };
        let mut d = Self { graph, seed: 1 };
        d.layer();
        d
    }

    fn layer(&mut self) {
        let width = (HEADS + 2 * KV_HEADS) * HEAD_DIM;
        for (name, dims) in [
            ("embed", vec![VOCAB, HIDDEN]),
            ("norm1", vec![HIDDEN]),
            ("qkv_w", vec![HIDDEN, width]),
            ("qkv_b", vec![width]),
            ("o_w", vec![HIDDEN, HIDDEN]),
            ("norm2", vec![HIDDEN]),
            ("gate_w", vec![HIDDEN, FFN]),
            ("up_w", vec![HIDDEN, FFN]),
            ("down_w", vec![FFN, HIDDEN]),
            ("norm3", vec![HIDDEN]),
            ("head_w", vec![HIDDEN, VOCAB]),
            ("cos", vec![64, HEAD_DIM / 2]),
            ("sin", vec![64, HEAD_DIM / 2]),
        ] {
            self.weight(name, &dims);
        }
        self.node("Gather", &["embed", "input_ids"], &["x0"], &[]);
        self.node("SimplifiedLayerNormalization", &["x0", "norm1"], &["n1"], &[("epsilon", AttributeValue::Float(1e-6))]);
        self.node("MatMul", &["n1", "qkv_w"], &["qkv0"], &[]);
        self.node("Add", &["qkv0", "qkv_b"], &["qkv"], &[]);
        self.tensor("one", DataType::Int64, &[1], Bytes::copy_of(&[1i64]));
        self.node("ReduceSum", &["attention_mask", "one"], &["sum"], &[("keepdims", AttributeValue::Int(0))]);
        self.node("Sub", &["sum", "one"], &["seqlens"], &[]);
        self.node("Shape", &["attention_mask"], &["mask_shape"], &[]);
        self.node("Gather", &["mask_shape", "one"], &["total"], &[]);
        let attributes =
            [("num_heads", HEADS), ("kv_num_heads", KV_HEADS), ("do_rotary", 1)].map(|(k, v)| (k, AttributeValue::Int(v as i64)));
        let inputs = ["qkv", "", "", "past_key_values.0.key", "past_key_values.0.value", "seqlens", "total", "cos", "sin"];
        self.node("GroupQueryAttention", &inputs, &["attn", "present.0.key", "present.0.value"], &attributes);
        self.node("MatMul", &["attn", "o_w"], &["o"], &[]);
        self.node("SkipSimplifiedLayerNormalization", &["x0", "o", "norm2"], &["n2", "", "", "x1"], &[]);
        self.node("MatMul", &["n2", "gate_w"], &["gate"], &[]);
        self.node("MatMul", &["n2", "up_w"], &["up"], &[]);
        self.node("Sigmoid", &["gate"], &["sig"], &[]);
        self.node("Mul", &["gate", "sig"], &["silu"], &[]);
        self.node("Mul", &["silu", "up"], &["act"], &[]);
        self.node("MatMul", &["act", "down_w"], &["down"], &[]);
        self.node("SkipSimplifiedLayerNormalization", &["x1", "down", "norm3"], &["n3"], &[]);
        self.node("MatMul", &["n3", "head_w"], &["logits"], &[]);
    }

    /// A float32 constant of small pseudo-random values.
    fn weight(&mut self, name: &str, dims: &[usize]) {
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|_| {
                self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.seed >> 8) as f32 / (1 << 24) as f32 - 0.5
            })
            .collect();
        self.tensor(name, DataType::Float32, dims, Bytes::copy_of(&values));
    }

    fn tensor(&mut self, name: &str, data_type: DataType, dims: &[usize], bytes: Bytes) {
        self.graph.initializers.push(Tensor { name: name.into(), data_type, dims: dims.into(), bytes });
    }

    fn node(&mut self, op_type: &str, inputs: &[&str], outputs: &[&str], attributes: &[(&str, AttributeValue)]) {
        let strings = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let attributes =
            attributes.iter().map(|(name, value)| Attribute { name: (*name).into(), value: value.clone() }).collect();
        let is_contrib = operator("", op_type, NEWEST).is_none() && operator(CONTRIB, op_type, 1).is_some();
        let domain = if is_contrib { CONTRIB } else { "" };
        let name = format!("/{}", outputs[0]);
        self.graph.nodes.push(Node {
            name,
            op_type: op_type.into(),
            domain: domain.into(),
            inputs: strings(inputs),
            outputs: strings(outputs),
            attributes,
        });
    }

    /// Puts nodes between the maker of `value` and its readers.
    fn insert_after(&mut self, value: &str, op_types: &[&str]) {
        let at = self.graph.nodes.iter().position(|n| n.outputs.iter().any(|o| o == value)).unwrap() + 1;
        let mut last = value.to_owned();
        let mut made = vec![];
        for op_type in op_types {
            let next = format!("{last}/{op_type}");
            made.push(Node {
                name: format!("/{next}"),
                op_type: (*op_type).into(),
                domain: String::new(),
                inputs: vec![last],
                outputs: vec![next.clone()],
                attributes: vec![],
            });
            last = next;
        }
        for input in self.graph.nodes[at..].iter_mut().flat_map(|n| &mut n.inputs).filter(|i| *i == value) {
            input.clone_from(&last);
        }
        self.graph.nodes.splice(at..at, made);
    }

    fn change(&mut self, op_type: &str, change: impl FnOnce(&mut Node)) {
        change(self.graph.nodes.iter_mut().find(|n| n.op_type == op_type).unwrap());
    }

    fn open(&self, direct: bool) -> Result<TractModel, EngineError> {
        TractModel::of_graph(&self.graph, &crate::model::GraphFacts::default(), &OpenOptions { direct })
    }

    fn logits(&self, direct: bool) -> Vec<f32> {
        let model = self.open(direct).unwrap();
        let mut runner = model.runner(&RunnerOptions { context: 32, sequences: 1, ..Default::default() }).unwrap();
        let cache = runner.create_cache().unwrap();
        let step = [SequenceStep { cache, tokens: &[3, 1, 4, 1, 5], logits: LogitsWanted::All }];
        runner.step(&step, &CancelToken::default()).unwrap().values().to_vec()
    }
}

fn input(name: &str, dims: Vec<Dim>) -> ValueInfo {
    ValueInfo { name: name.into(), data_type: None, dims: Some(dims) }
}

#[test]
fn a_decoder_becomes_our_operators() {
    let model = Decoder::new().open(true).unwrap();
    let names: Vec<_> = model.operators().collect();
    let expected =
        ["embed", "norm", "linear", "attention", "linear", "add+norm", "gated", "linear", "add+norm", "pick rows", "linear"];
    assert_eq!(names, expected, "the bias, the mask, past and present are gone; norms are joined with the sums before them");
    assert_eq!(model.info().foreign_ops, Vec::<String>::new());
    assert_eq!((model.info().vocab, model.info().layers, model.info().max_context), (VOCAB, 1, 64));
}

#[test]
fn tract_and_the_walk_agree() {
    let decoder = Decoder::new();
    let (plan, direct) = (decoder.logits(false), decoder.logits(true));
    assert_eq!(plan.len(), 5 * VOCAB);
    assert!(plan.iter().all(|v| v.is_finite()) && plan.iter().any(|v| v.abs() > 1e-3));
    assert_eq!(plan, direct);
}

#[test]
fn an_elementwise_operator_is_left_to_tract() {
    let mut bent = Decoder::new();
    bent.insert_after("o", &["Neg", "Neg"]);
    assert_eq!(bent.open(true).unwrap().info().foreign_ops, ["Neg"]);
    assert_eq!(bent.logits(true), Decoder::new().logits(true), "twice negated is the same");
    let mut once = Decoder::new();
    once.insert_after("o", &["Neg"]);
    assert_ne!(once.logits(true), Decoder::new().logits(true));
}

#[test]
fn a_norm_whose_epsilon_was_optimised_away_has_none() {
    let mut d = Decoder::new();
    d.tensor("two", DataType::Float32, &[], Bytes::copy_of(&[2f32]));
    d.tensor("last", DataType::Int64, &[1], Bytes::copy_of(&[-1i64]));
    let at = d.graph.nodes.iter().position(|n| n.op_type == "SimplifiedLayerNormalization").unwrap();
    let rest = d.graph.nodes.split_off(at + 1);
    d.graph.nodes.pop();
    d.node("Pow", &["x0", "two"], &["square"], &[]);
    d.node("ReduceMean", &["square", "last"], &["mean"], &[]);
    d.node("Sqrt", &["mean"], &["root"], &[]);
    d.node("Reciprocal", &["root"], &["inverse"], &[]);
    d.node("Mul", &["x0", "inverse"], &["scaled"], &[]);
    d.node("Mul", &["norm1", "scaled"], &["n1"], &[]);
    d.graph.nodes.extend(rest);
    let mut whole = Decoder::new();
    whole.change("SimplifiedLayerNormalization", |n| n.attributes[0].value = AttributeValue::Float(0.0));
    assert_eq!(d.logits(true), whole.logits(true));
}

/// Replaces the head by a dynamically quantised product: all its weights are an eighth.
fn quantise_head(d: &mut Decoder) {
    d.graph.nodes.pop();
    d.tensor("head_q", DataType::Int8, &[HIDDEN, VOCAB], Bytes::copy_of(&[1i8; HIDDEN * VOCAB]));
    d.tensor("head_scale", DataType::Float32, &[], Bytes::copy_of(&[0.125f32]));
    d.tensor("head_zero", DataType::Int8, &[], Bytes::copy_of(&[0i8]));
    d.node("DynamicQuantizeLinear", &["n3"], &["x_q", "x_scale", "x_zero"], &[]);
    d.node("MatMulInteger", &["x_q", "head_q", "x_zero", "head_zero"], &["sums"], &[]);
    d.node("Cast", &["sums"], &["sums_float"], &[("to", AttributeValue::Int(1))]);
    d.node("Mul", &["x_scale", "head_scale"], &["both"], &[]);
    d.node("Mul", &["sums_float", "both"], &["logits"], &[]);
}

#[test]
fn a_dynamically_quantised_product_is_a_product() {
    let mut quantised = Decoder::new();
    quantise_head(&mut quantised);
    assert_eq!(quantised.open(true).unwrap().operators().last(), Some("linear"));
    let mut float = Decoder::new();
    float.tensor("head_f", DataType::Float32, &[HIDDEN, VOCAB], Bytes::copy_of(&[0.125f32; HIDDEN * VOCAB]));
    float.graph.nodes.last_mut().unwrap().inputs[1] = "head_f".into();
    let mut pairs = quantised.logits(true).into_iter().zip(float.logits(true));
    assert!(pairs.all(|(q, f)| (q - f).abs() < 0.02 * (1.0 + f.abs())));
}

#[test]
fn nodes_in_any_order_are_the_same_decoder() {
    let mut reversed = Decoder::new();
    reversed.graph.nodes.reverse();
    assert_eq!(reversed.logits(true), Decoder::new().logits(true));
    assert_eq!(reversed.logits(false), Decoder::new().logits(false));
}

#[test]
fn caches_that_are_cast_on_their_way_in_are_caches() {
    let mut cast = Decoder::new();
    for part in ["key", "value"] {
        let (past, half) = (format!("past_key_values.0.{part}"), format!("half.{part}"));
        cast.node("Cast", &[&past], &[&half], &[("to", AttributeValue::Int(10))]);
        let cast_node = cast.graph.nodes.pop().unwrap();
        cast.graph.nodes.insert(0, cast_node);
        cast.change("GroupQueryAttention", |n| n.inputs.iter_mut().filter(|i| **i == past).for_each(|i| i.clone_from(&half)));
    }
    assert_eq!(cast.logits(true), Decoder::new().logits(true));
}

/// A change to the decoder, and words that the refusal must contain.
struct Case {
    name: &'static str,
    bend: fn(&mut Decoder),
    says: &'static [&'static str],
}

#[test]
fn what_is_not_known_is_refused_by_name() {
    let cases = [
        Case { name: "an unknown operator", bend: |d| d.insert_after("o", &["Mystery"]), says: &["/o/Mystery", "Mystery"] },
        Case {
            name: "an operator that mixes rows",
            bend: |d| d.insert_after("o", &["CumSum"]),
            says: &["/o/CumSum", "no pattern"],
        },
        Case {
            name: "attention with a bias",
            bend: |d| {
                d.weight("bias", &[1]);
                d.change("GroupQueryAttention", |n| n.inputs.extend(["", "bias"].map(String::from)));
            },
            says: &["/attn", "attention_bias"],
        },
        Case {
            name: "a table that is not constant",
            bend: |d| d.change("GroupQueryAttention", |n| n.inputs[7] = "total".into()),
            says: &["/attn", "cosine"],
        },
        Case {
            name: "widths that do not fit",
            bend: |d| {
                d.weight("wide", &[HIDDEN + 4, VOCAB]);
                d.graph.nodes.last_mut().unwrap().inputs[1] = "wide".into();
            },
            says: &["/logits", "16", "20"],
        },
        Case {
            name: "a product dynamically quantised with the scale of another",
            bend: |d| {
                quantise_head(d);
                d.node("DynamicQuantizeLinear", &["n2"], &["y_q", "y_scale", "y_zero"], &[]);
                let other = d.graph.nodes.pop().unwrap();
                let at = d.graph.nodes.iter().position(|n| n.outputs[0] == "both").unwrap();
                d.graph.nodes[at].inputs[0] = "y_scale".into();
                d.graph.nodes.insert(at, other);
            },
            says: &["/sums", "dynamic quantisation"],
        },
        Case {
            name: "a dynamically quantised product whose zero point is not constant",
            bend: |d| {
                quantise_head(d);
                d.change("MatMulInteger", |n| n.inputs[3] = "x_zero".into());
            },
            says: &["/sums", "zero point"],
        },
        Case { name: "no logits", bend: |d| d.graph.outputs[0].name = "scores".into(), says: &["logits"] },
        Case { name: "no token ids", bend: |d| d.graph.inputs[0].name = "embeds".into(), says: &["input_ids"] },
        Case {
            name: "nodes in a circle, which is not where the file begins",
            bend: |d| {
                d.change("SimplifiedLayerNormalization", |n| n.inputs[0] = "x1".into());
                d.graph.nodes.reverse();
            },
            says: &["/n2", "from its own output"],
        },
        Case {
            name: "a node that reads its own output",
            bend: |d| d.change("Sigmoid", |n| n.inputs[0] = "sig".into()),
            says: &["/sig", "from its own output"],
        },
        Case {
            name: "a value that nothing makes",
            bend: |d| d.change("Sigmoid", |n| n.inputs[0] = "nowhere".into()),
            says: &["/sig", "nothing makes"],
        },
        Case {
            name: "a value made twice",
            bend: |d| {
                let again = d.graph.nodes[1].clone();
                d.graph.nodes.insert(2, again);
            },
            says: &["made twice"],
        },
    ];
    for Case { name, bend, says } in cases {
        let mut decoder = Decoder::new();
        bend(&mut decoder);
        let Err(error) = decoder.open(false) else { panic!("{name}: opened") };
        let message = error.to_string();
        assert!(says.iter().all(|s| message.contains(s)), "{name}: {message}");
    }
}

#[test]
fn a_cancelled_step_leaves_the_cache() {
    for direct in [false, true] {
        let model = Decoder::new().open(direct).unwrap();
        let mut runner = model.runner(&RunnerOptions { context: 32, sequences: 1, ..Default::default() }).unwrap();
        let cache = runner.create_cache().unwrap();
        let cancel = CancelToken::default();
        let step = [SequenceStep { cache, tokens: &[1, 2, 3], logits: LogitsWanted::Last }];
        cancel.cancel();
        assert!(matches!(runner.step(&step, &cancel), Err(EngineError::Cancelled)));
        assert_eq!((runner.cache_len(cache).unwrap(), runner.kv_bytes()), (0, 0));
        cancel.reset();
        assert_eq!(runner.step(&step, &cancel).unwrap().len(), 1);
        assert_eq!(runner.cache_len(cache).unwrap(), 3);
    }
}
