//! A decoder of one layer whose attention is written out, to be bent by each test.

use crate::model::{GraphFacts, OpenOptions, TractModel};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Attribute, AttributeValue, DataType, Dim, Graph, Node, OpSet, Tensor, ValueInfo};
use kinglet_engine::{CancelToken, EngineError, LogitsWanted, Model, RunnerOptions, SequenceStep};
use kinglet_reference::{Data, Limits, evaluate};
use std::collections::HashMap;

pub(super) const VOCAB: usize = 32;
pub(super) const HIDDEN: usize = 16;
pub(super) const HEAD_DIM: usize = 4;

/// Tokens of the prompt that is compared, and how many of them are read before the others.
const PROMPT: [u32; 9] = [3, 17, 4, 1, 25, 9, 2, 6, 11];

pub(super) struct Decoder {
    pub(super) graph: Graph,
    seed: u32,
}

impl Decoder {
    /// Everything up to the projections of queries (four heads), keys and values (two heads).
    fn begun() -> Self {
        let known = |n| Dim::Known(n);
        let inputs = vec![
            input("input_ids", DataType::Int64, vec![Dim::Unknown, Dim::Unknown]),
            input("attention_mask", DataType::Int64, vec![Dim::Unknown, Dim::Unknown]),
            input("position_ids", DataType::Int64, vec![Dim::Unknown, Dim::Unknown]),
            input("past.0.key", DataType::Float32, vec![Dim::Unknown, known(2), Dim::Unknown, known(HEAD_DIM)]),
            input("past.0.value", DataType::Float32, vec![Dim::Unknown, known(2), Dim::Unknown, known(HEAD_DIM)]),
        ];
        let outputs = ["logits", "present.0.key", "present.0.value"].map(|name| input(name, DataType::Float32, vec![]));
        let domains = [("", 24), ("com.microsoft", 1)].map(|(domain, version)| OpSet { domain: domain.into(), version });
        let graph = Graph { nodes: vec![], inputs, outputs: outputs.into(), initializers: vec![], opsets: domains.into() };
        let mut d = Self { graph, seed: 1 };
        for (name, dims) in [
            ("embed", &[VOCAB, HIDDEN][..]),
            ("norm1", &[HIDDEN]),
            ("q_w", &[HIDDEN, 16]),
            ("k_w", &[HIDDEN, 8]),
            ("v_w", &[HIDDEN, 8]),
            ("o_w", &[16, HIDDEN]),
            ("norm2", &[HIDDEN]),
            ("gate_w", &[HIDDEN, 24]),
            ("up_w", &[HIDDEN, 24]),
            ("down_w", &[24, HIDDEN]),
            ("norm3", &[HIDDEN]),
            ("head_w", &[HIDDEN, VOCAB]),
            ("q_norm", &[HEAD_DIM]),
            ("k_norm", &[HEAD_DIM]),
        ] {
            d.weight(name, dims);
        }
        d.node("Gather", &["embed", "input_ids"], "x0", &[]);
        d.norm("x0", "norm1", "n1");
        for part in ["q", "k", "v"] {
            d.node("MatMul", &["n1", &format!("{part}_w")], part, &[]);
        }
        d
    }

    /// Everything after the heads side by side, `attended`.
    fn ended(mut self) -> Self {
        self.node("MatMul", &["attended", "o_w"], "o", &[]);
        self.node("Add", &["x0", "o"], "x1", &[]);
        self.norm("x1", "norm2", "n2");
        self.node("MatMul", &["n2", "gate_w"], "gate", &[]);
        self.node("MatMul", &["n2", "up_w"], "up", &[]);
        self.node("Sigmoid", &["gate"], "sigmoid", &[]);
        self.node("Mul", &["gate", "sigmoid"], "silu", &[]);
        self.node("Mul", &["silu", "up"], "act", &[]);
        self.node("MatMul", &["act", "down_w"], "down", &[]);
        self.node("Add", &["x1", "down"], "x2", &[]);
        self.norm("x2", "norm3", "n3");
        self.node("MatMul", &["n3", "head_w"], "logits", &[]);
        self
    }

    /// Attention as Optimum writes it: norms over heads, rotation, a mask that is added, a softmax.
    pub(super) fn written_out() -> Self {
        let mut d = Self::begun();
        d.ints("heads", &[0, 0, -1, 4]);
        for part in ["q", "k", "v"] {
            d.node("Reshape", &[part, "heads"], &format!("{part}4"), &[]);
            d.node("Transpose", &[&format!("{part}4")], &format!("{part}t"), &[("perm", ints(&[0, 2, 1, 3]))]);
        }
        d.norm("qt", "q_norm", "qn");
        d.norm("kt", "k_norm", "kn");
        d.angles();
        d.rotate("qn", "qr", "cos", "sin");
        d.rotate("kn", "kr", "cos", "sin");
        d.node("Concat", &["past.0.key", "kr"], "present.0.key", &[("axis", int(2))]);
        d.node("Concat", &["past.0.value", "vt"], "present.0.value", &[("axis", int(2))]);
        d.ints("axis2", &[2]);
        d.ints("twice", &[1, 1, 2, 1, 1]);
        d.ints("four", &[0, 4, -1, 4]);
        for part in ["key", "value"] {
            d.node("Unsqueeze", &[&format!("present.0.{part}"), "axis2"], &format!("{part}5"), &[]);
            d.node("Expand", &[&format!("{part}5"), "twice"], &format!("{part}6"), &[]);
            d.node("Reshape", &[&format!("{part}6"), "four"], &format!("{part}s"), &[]);
        }
        d.mask();
        d.node("Transpose", &["keys"], "keyt", &[("perm", ints(&[0, 1, 3, 2]))]);
        d.node("MatMul", &["qr", "keyt"], "scores", &[]);
        d.scalar("half", 0.5);
        d.node("Mul", &["scores", "half"], "scaled", &[]);
        d.node("Add", &["scaled", "mask"], "masked", &[]);
        d.node("Softmax", &["masked"], "weights", &[("axis", int(-1))]);
        d.node("MatMul", &["weights", "values"], "heads_out", &[]);
        d.node("Transpose", &["heads_out"], "rows_out", &[("perm", ints(&[0, 2, 1, 3]))]);
        d.ints("flat", &[0, 0, 16]);
        d.node("Reshape", &["rows_out", "flat"], "attended", &[]);
        d.ended()
    }

    /// `com.microsoft.GroupQueryAttention` over separate projections, with its own rotation.
    pub(super) fn grouped() -> Self {
        let mut d = Self::begun();
        d.weight("cos_table", &[64, 2]);
        d.weight("sin_table", &[64, 2]);
        d.ints("one", &[1]);
        d.node("ReduceSum", &["attention_mask", "one"], "sum", &[("keepdims", int(0))]);
        d.node("Sub", &["sum", "one"], "last", &[]);
        d.node("Cast", &["last"], "seqlens", &[("to", int(6))]);
        d.node("Shape", &["attention_mask"], "mask_shape", &[]);
        d.node("Gather", &["mask_shape", "one"], "length", &[]);
        d.node("Cast", &["length"], "total", &[("to", int(6))]);
        let inputs = ["q", "k", "v", "past.0.key", "past.0.value", "seqlens", "total", "cos_table", "sin_table"];
        let attributes =
            [("num_heads", int(4)), ("kv_num_heads", int(2)), ("do_rotary", int(1)), ("scale", AttributeValue::Float(0.5))];
        d.node("GroupQueryAttention", &inputs, "attended", &attributes);
        d.last().outputs.extend(["present.0.key", "present.0.value"].map(String::from));
        d.ended()
    }

    /// The standard's `Attention` over three axes, with the past as its inputs.
    pub(super) fn standard() -> Self {
        let mut d = Self::begun();
        d.weight("cos_table", &[64, 2]);
        d.weight("sin_table", &[64, 2]);
        for (part, heads) in [("q", 4), ("k", 2)] {
            let inputs = [part, "cos_table", "sin_table", "position_ids"];
            d.node("RotaryEmbedding", &inputs, &format!("{part}r"), &[("num_heads", int(heads))]);
        }
        let inputs = ["qr", "kr", "v", "", "past.0.key", "past.0.value"];
        let attributes = [("q_num_heads", int(4)), ("kv_num_heads", int(2)), ("is_causal", int(1))];
        d.node("Attention", &inputs, "attended", &attributes);
        d.last().outputs.extend(["present.0.key", "present.0.value"].map(String::from));
        d.ended()
    }

    fn angles(&mut self) {
        self.node("Cast", &["position_ids"], "positions", &[("to", int(1))]);
        self.ints("axis_2", &[2]);
        self.ints("axis_1", &[1]);
        self.node("Unsqueeze", &["positions", "axis_2"], "positions3", &[]);
        self.floats("frequencies", &[1, 1, 2], &[1.0, 0.1]);
        self.node("Mul", &["positions3", "frequencies"], "angle", &[]);
        self.node("Concat", &["angle", "angle"], "angles", &[("axis", int(-1))]);
        for (op, name) in [("Cos", "cos"), ("Sin", "sin")] {
            self.node(op, &["angles"], &format!("{name}3"), &[]);
            self.node("Unsqueeze", &[&format!("{name}3"), "axis_1"], name, &[]);
        }
        for (name, value) in [("from_0", 0), ("to_2", 2), ("to_end", i64::MAX), ("axis_3", 3)] {
            self.ints(name, &[value]);
        }
    }

    fn rotate(&mut self, x: &str, y: &str, cos: &str, sin: &str) {
        let name = |part: &str| format!("{y}/{part}");
        self.node("Slice", &[x, "from_0", "to_2", "axis_3"], &name("first"), &[]);
        self.node("Slice", &[x, "to_2", "to_end", "axis_3"], &name("second"), &[]);
        self.node("Neg", &[&name("second")], &name("neg"), &[]);
        self.node("Concat", &[&name("neg"), &name("first")], &name("turned"), &[("axis", int(-1))]);
        self.node("Mul", &[x, cos], &name("straight"), &[]);
        self.node("Mul", &[&name("turned"), sin], &name("across"), &[]);
        self.node("Add", &[&name("straight"), &name("across")], y, &[]);
    }

    /// 0 for positions up to a row's own, and hardly more than nothing for others.
    fn mask(&mut self) {
        self.int("zero", 0);
        self.int("step", 1);
        self.node("Shape", &["attention_mask"], "mask_shape", &[]);
        self.node("Gather", &["mask_shape", "step"], "total", &[("axis", int(0))]);
        self.node("Range", &["zero", "total", "step"], "range", &[]);
        self.ints("axes_012", &[0, 1, 2]);
        self.ints("axes_13", &[1, 3]);
        self.node("Unsqueeze", &["range", "axes_012"], "columns", &[]);
        self.node("Unsqueeze", &["position_ids", "axes_13"], "rows", &[]);
        self.node("LessOrEqual", &["columns", "rows"], "seen", &[]);
        self.scalar("nothing", 0.0);
        self.scalar("least", f32::MIN);
        self.node("Where", &["seen", "nothing", "least"], "mask", &[]);
    }

    pub(super) fn norm(&mut self, x: &str, weight: &str, y: &str) {
        self.node("SimplifiedLayerNormalization", &[x, weight], y, &[("epsilon", AttributeValue::Float(1e-5))]);
    }

    /// A float32 constant of pseudo-random values.
    pub(super) fn weight(&mut self, name: &str, dims: &[usize]) {
        let values: Vec<f32> = (0..dims.iter().product())
            .map(|_| {
                self.seed = self.seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (self.seed >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        self.floats(name, dims, &values);
    }

    pub(super) fn floats(&mut self, name: &str, dims: &[usize], values: &[f32]) {
        self.tensor(name, DataType::Float32, dims, Bytes::copy_of(values));
    }

    pub(super) fn scalar(&mut self, name: &str, value: f32) {
        self.floats(name, &[], &[value]);
    }

    pub(super) fn ints(&mut self, name: &str, values: &[i64]) {
        self.tensor(name, DataType::Int64, &[values.len()], Bytes::copy_of(values));
    }

    pub(super) fn int(&mut self, name: &str, value: i64) {
        self.tensor(name, DataType::Int64, &[], Bytes::copy_of(&[value]));
    }

    fn tensor(&mut self, name: &str, data_type: DataType, dims: &[usize], bytes: Bytes) {
        self.graph.initializers.retain(|known| known.name != name);
        self.graph.initializers.push(Tensor { name: name.into(), data_type, dims: dims.into(), bytes });
    }

    pub(super) fn node(&mut self, op_type: &str, inputs: &[&str], output: &str, attributes: &[(&str, AttributeValue)]) {
        self.graph.nodes.push(node(op_type, inputs, output, attributes));
    }

    fn last(&mut self) -> &mut Node {
        self.graph.nodes.last_mut().unwrap()
    }

    /// The node that makes a value, to be changed.
    pub(super) fn maker(&mut self, value: &str) -> &mut Node {
        self.graph.nodes.iter_mut().find(|n| n.outputs.iter().any(|o| o == value)).unwrap()
    }

    /// Puts a node that reads `value` and `other` between the maker of `value` and all its readers.
    pub(super) fn after(&mut self, value: &str, op_type: &str, other: &[&str], attributes: &[(&str, AttributeValue)]) {
        let at = self.graph.nodes.iter().position(|n| n.outputs.iter().any(|o| o == value)).unwrap() + 1;
        let made = format!("{value}/{op_type}");
        for input in self.graph.nodes[at..].iter_mut().flat_map(|n| &mut n.inputs).filter(|i| *i == value) {
            input.clone_from(&made);
        }
        let inputs: Vec<&str> = [value].into_iter().chain(other.iter().copied()).collect();
        self.graph.nodes.insert(at, node(op_type, &inputs, &made, attributes));
    }

    /// Puts nodes in before the one that makes `value`.
    pub(super) fn before(&mut self, value: &str, nodes: Vec<Node>) {
        let at = self.graph.nodes.iter().position(|n| n.outputs.iter().any(|o| o == value)).unwrap();
        self.graph.nodes.splice(at..at, nodes);
    }

    pub(super) fn open(&self) -> Result<TractModel, EngineError> {
        let presents = ["key", "value"].map(|part| (format!("past.0.{part}"), format!("present.0.{part}")));
        let facts = GraphFacts { presents: presents.into(), ..GraphFacts::default() };
        TractModel::of_graph(&self.graph, &facts, &OpenOptions { direct: true })
    }

    /// The logits of a prompt, a part of it read before the rest.
    fn logits(&self, first: usize) -> Vec<f32> {
        let model = self.open().unwrap();
        let options = RunnerOptions { context: 32, sequences: 1, exact_activations: true, ..Default::default() };
        let mut runner = model.runner(&options).unwrap();
        let cache = runner.create_cache().unwrap();
        let mut all = vec![];
        for tokens in [&PROMPT[..first], &PROMPT[first..]] {
            let step = [SequenceStep { cache, tokens, logits: LogitsWanted::All }];
            all.extend_from_slice(runner.step(&step, &CancelToken::default()).unwrap().values());
        }
        all
    }

    /// The same by the interpreter, with nothing recognised.
    fn reference(&self) -> Vec<f32> {
        let rows = PROMPT.len();
        let ids: Vec<i64> = PROMPT.iter().map(|t| i64::from(*t)).collect();
        let ints = |values: Vec<i64>| kinglet_reference::Tensor::ints([1, rows], values);
        let past = || kinglet_reference::Tensor::floats([1, 2, 0, HEAD_DIM], vec![]);
        let given = HashMap::from([
            ("input_ids".to_owned(), ints(ids)),
            ("attention_mask".to_owned(), ints(vec![1; rows])),
            ("position_ids".to_owned(), ints((0..rows as i64).collect())),
            ("past.0.key".to_owned(), past()),
            ("past.0.value".to_owned(), past()),
        ]);
        let made = evaluate(&self.graph, &given, &["logits"], Limits::default()).unwrap();
        match &made[0].data {
            Data::Float(values) => values.clone(),
            other => panic!("logits are {other:?}"),
        }
    }

    /// Asserts that the engine's logits are the interpreter's.
    pub(super) fn assert_agrees(&self, name: &str) {
        let (got, expected) = (self.logits(4), self.reference());
        assert_eq!(got.len(), expected.len(), "{name}");
        let largest = expected.iter().fold(0.0f32, |top, x| top.max(x.abs()));
        assert!(largest > 0.1, "{name}: nothing to compare");
        let furthest = got.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(furthest <= 1e-4 * largest, "{name}: {furthest} of {largest}");
    }
}

pub(super) fn node(op_type: &str, inputs: &[&str], output: &str, attributes: &[(&str, AttributeValue)]) -> Node {
    let attributes = attributes.iter().map(|(name, value)| Attribute { name: (*name).into(), value: value.clone() }).collect();
    let domain = if op_type.starts_with("Group") { "com.microsoft" } else { "" };
    Node {
        name: format!("/{output}"),
        op_type: op_type.into(),
        domain: domain.into(),
        inputs: inputs.iter().map(|i| (*i).to_owned()).collect(),
        outputs: vec![output.to_owned()],
        attributes,
    }
}

pub(super) fn int(value: i64) -> AttributeValue {
    AttributeValue::Int(value)
}

pub(super) fn ints(values: &[i64]) -> AttributeValue {
    AttributeValue::Ints(values.to_vec())
}

fn input(name: &str, data_type: DataType, dims: Vec<Dim>) -> ValueInfo {
    ValueInfo { name: name.into(), data_type: Some(data_type), dims: Some(dims) }
}
