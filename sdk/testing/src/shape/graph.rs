//! The graph of a shape: node by node what the model builder of onnxruntime-genai 0.18 writes for `int4` on a CPU, with its names.

use super::tensors::{Content, Tensor, quantised};
use super::{BLOCK, Family, Layer, Shape};
use crate::onnx::{Dim, FLOAT, INT32, INT64, Message, node, opset, tensor, value};

/// The domain of the operators of ONNX Runtime.
const MICROSOFT: &str = "com.microsoft";
/// Soft caps of Gemma 2, on scores and on logits.
const SCORE_CAP: f32 = 50.0;
const LOGIT_CAP: f32 = 30.0;
/// Spread of norms around 1, and of biases around 0.
const VECTOR_DEVIATION: f32 = 0.1;

/// A graph, and the constants that it refers to, in the order of the data file.
pub(super) struct Graph {
    nodes: Vec<Message>,
    /// Names of the constants that are nodes: each is written before its first reader.
    constants: Vec<String>,
    vectors: Vec<Tensor>,
    products: Vec<Tensor>,
}

/// The graph of a shape.
pub(super) fn graph(shape: &Shape) -> Graph {
    let mut graph = Graph { nodes: vec![], constants: vec![], vectors: vec![], products: vec![] };
    graph.positions();
    let mut stream = graph.embedding(shape);
    // Output of the last part, which the next norm is to add to the stream.
    let mut added = None;
    for (index, layer) in shape.layers.iter().enumerate() {
        let name = format!("layers.{index}");
        let normed = graph.norm(shape, &format!("{name}.input_layernorm"), &mut stream, added.take());
        let mut attended = graph.attention(shape, index, layer, &normed);
        let before = if shape.family == Family::Gemma2 {
            attended = graph.plain_norm(shape, &format!("{name}.post_attention_layernorm"), &attended);
            "pre_feedforward_layernorm"
        } else {
            "post_attention_layernorm"
        };
        let normed = graph.norm(shape, &format!("{name}.{before}"), &mut stream, Some(attended));
        let mut fed = graph.feed_forward(shape, index, layer, &normed);
        if shape.family == Family::Gemma2 {
            fed = graph.plain_norm(shape, &format!("{name}.post_feedforward_layernorm"), &fed);
        }
        added = Some(fed);
    }
    let last = format!("layers.{}.final_norm_layernorm", shape.layers.len());
    let normed = graph.last_norm(shape, &last, &stream, added.as_deref().unwrap_or_default());
    graph.head(shape, &normed);
    graph
}

impl Graph {
    /// The constants, in the order of the data file.
    pub(super) fn tensors(&self) -> impl Iterator<Item = &Tensor> {
        self.vectors.iter().chain(&self.products)
    }

    /// The `ModelProto`, with its constants in the file `data`.
    pub(super) fn model(&self, shape: &Shape, data: &str) -> Message {
        let mut offset = 0;
        let constants: Vec<Message> = self
            .tensors()
            .map(|tensor| {
                let proto = tensor.proto(data, offset);
                offset += tensor.bytes();
                proto
            })
            .collect();
        let graph = Message::default()
            .each(1, &self.nodes)
            .bytes(2, "main_graph")
            .each(5, constants)
            .each(11, inputs(shape))
            .each(12, outputs(shape));
        let opsets = [opset("", 22), opset(MICROSOFT, 1)];
        Message::default().int(1, 10).bytes(2, "onnxruntime-genai").bytes(7, graph).each(8, opsets)
    }

    fn node(&mut self, op_type: &str, name: &str, inputs: &[&str], outputs: &[&str], attributes: &[Message]) {
        let mut message = node(op_type, inputs, outputs).bytes(3, name);
        if OF_MICROSOFT.contains(&op_type) {
            message = message.bytes(7, MICROSOFT);
        }
        self.nodes.push(message.each(5, attributes));
    }

    /// A node with the one output `NAME/output_0`, whose name is given back.
    fn single(&mut self, op_type: &str, name: &str, inputs: &[&str], attributes: &[Message]) -> String {
        let output = format!("{name}/output_0");
        self.node(op_type, name, inputs, &[&output], attributes);
        output
    }

    /// An int64 constant: a number, or some.
    fn integers(&mut self, values: &[i64], scalar: bool) -> String {
        let shown = if scalar { values[0].to_string() } else { format!("{values:?}") };
        let dims: &[i64] = if scalar { &[] } else { &[values.len() as i64] };
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.constant("INT64", &shown, INT64, dims, &bytes)
    }

    /// A float32 constant.
    fn float(&mut self, value: f32) -> String {
        self.constant("FLOAT", &format!("{value:?}"), FLOAT, &[], &value.to_le_bytes())
    }

    fn constant(&mut self, kind: &str, shown: &str, data_type: i64, dims: &[i64], bytes: &[u8]) -> String {
        let output = format!("/model/constants/{kind}/{shown}");
        if !self.constants.contains(&output) {
            self.constants.push(output.clone());
            let value = tensor(&output, data_type, dims).bytes(9, bytes);
            let attribute = Message::default().bytes(1, "value").bytes(5, value).int(20, 4);
            self.node("Constant", &format!("/model/constant_nodes/{kind}/{shown}"), &[], &[&output], &[attribute]);
        }
        output
    }

    fn vector(&mut self, name: String, width: usize, mean: f32) -> String {
        self.vectors.push(Tensor::new(name.clone(), &[width], Content::Floats { mean, deviation: VECTOR_DEVIATION }));
        name
    }

    /// How many positions each sequence has, out of the mask.
    fn positions(&mut self) {
        let name = |part: &str| format!("/model/attn_mask_reformat/attn_mask_subgraph/{part}");
        let one = self.integers(&[1], false);
        let sum = self.single("ReduceSum", &name("ReduceSum"), &["attention_mask", &one], &[int("keepdims", 0)]);
        let last = self.single("Sub", &name("Sub"), &[&sum, &one], &[]);
        self.single("Cast", &name("Sub/Cast"), &[&last], &[int("to", INT32)]);
        let shape = self.single("Shape", &name("Shape"), &["attention_mask"], &[]);
        let one = self.integers(&[1], true);
        let total = self.single("Gather", &name("Gather"), &[&shape, &one], &[int("axis", 0)]);
        self.single("Cast", &name("Gather/Cast"), &[&total], &[int("to", INT32)]);
    }

    /// The rows of the table: out of the head's weights where they are tied, which the head then lists.
    fn embedding(&mut self, shape: &Shape) -> String {
        let rows = if shape.tied {
            let packed = self.integers(&[shape.vocabulary as i64, shape.hidden as i64 / 2], false);
            let table = self.single("Reshape", "/model/embed_tokens/Reshape", &["lm_head.MatMul.weight_Q4", &packed], &[]);
            let attributes = [int("bits", 4), int("block_size", BLOCK as i64), int("gather_axis", 0), int("quantize_axis", 1)];
            let inputs = [table.as_str(), "input_ids", "lm_head.MatMul.weight_scales"];
            self.single("GatherBlockQuantized", "/model/embed_tokens/GatherBlockQuantized", &inputs, &attributes)
        } else {
            let content = Content::Floats { mean: 0.0, deviation: (shape.hidden as f32).powf(-0.5) };
            self.vectors.push(Tensor::new("model.embed_tokens.weight", &[shape.vocabulary, shape.hidden], content));
            self.single("Gather", "/model/embed_tokens/Gather", &["model.embed_tokens.weight", "input_ids"], &[])
        };
        if !shape.family.is_gemma() {
            return rows;
        }
        let factor = self.float((shape.hidden as f32).sqrt());
        self.single("Mul", "/model/embed_tokens/Mul", &[&rows, &factor], &[])
    }

    /// The norm of the stream, to which what was `added` is added first.
    fn norm(&mut self, shape: &Shape, name: &str, stream: &mut String, added: Option<String>) -> String {
        let Some(added) = added else { return self.plain_norm(shape, name, stream) };
        let place = slashed(&format!("/model/{name}"));
        let weight = self.vector(format!("model.{name}.weight"), shape.hidden, 1.0);
        let (output, sum) = (format!("{place}/output_0"), format!("{place}/output_3"));
        let inputs = [stream.as_str(), &added, &weight];
        let attributes = [float("epsilon", shape.norm_epsilon)];
        let name = format!("{place}/SkipLayerNorm");
        self.node("SkipSimplifiedLayerNormalization", &name, &inputs, &[&output, "", "", &sum], &attributes);
        *stream = sum;
        output
    }

    fn last_norm(&mut self, shape: &Shape, name: &str, stream: &str, added: &str) -> String {
        let place = slashed(&format!("/model/{name}"));
        let weight = self.vector(format!("model.{name}.weight"), shape.hidden, 1.0);
        let output = format!("{place}/output_0");
        let attributes = [float("epsilon", shape.norm_epsilon)];
        let inputs = [stream, added, &weight];
        self.node("SkipSimplifiedLayerNormalization", &format!("{place}/SkipLayerNorm"), &inputs, &[&output], &attributes);
        output
    }

    fn plain_norm(&mut self, shape: &Shape, name: &str, x: &str) -> String {
        let place = slashed(&format!("/model/{name}"));
        let weight = self.vector(format!("model.{name}.weight"), shape.hidden, 1.0);
        let output = format!("{place}/output_0");
        let attributes = [float("epsilon", shape.norm_epsilon), int("axis", -1), int("stash_type", 1)];
        self.node("SimplifiedLayerNormalization", &format!("{place}/LayerNorm"), &[x, &weight], &[&output], &attributes);
        output
    }

    /// A product of `n` outputs, which are `gain` times as large as its `k` inputs.
    fn product(&mut self, name: &str, x: &str, [n, k]: [usize; 2], gain: f32) -> String {
        let place = slashed(&format!("/{name}/MatMul"));
        let output = format!("{place}/output_0");
        self.product_to(name, &format!("{place}_Q4"), x, [n, k], gain, &output);
        output
    }

    fn product_to(&mut self, name: &str, place: &str, x: &str, [n, k]: [usize; 2], gain: f32, output: &str) {
        let [packed, scales] = quantised(&format!("{name}.MatMul.weight"), n, k, gain);
        let attributes =
            [int("K", k as i64), int("N", n as i64), int("accuracy_level", 4), int("bits", 4), int("block_size", BLOCK as i64)];
        self.node("MatMulNBits", place, &[x, &packed.name, &scales.name], &[output], &attributes);
        self.products.extend([packed, scales]);
    }

    fn attention(&mut self, shape: &Shape, index: usize, layer: &Layer, x: &str) -> String {
        let place = format!("/model/layers.{index}/attn");
        let (q, kv) = (layer.heads * shape.head_dim, layer.kv_heads * shape.head_dim);
        let mut packed = self.product(&format!("model.layers.{index}.attn.qkv_proj"), x, [q + 2 * kv, shape.hidden], 1.0);
        if shape.family == Family::Qwen2 {
            let bias = self.vector(format!("model.layers.{index}.attn.qkv_proj.Add.bias"), q + 2 * kv, 0.0);
            packed = self.single("Add", &format!("{place}/qkv_proj/Add"), &[&packed, &bias], &[]);
        }
        let parts = if shape.family == Family::OpenElm {
            self.normed_heads(shape, index, [q, kv], &packed)
        } else {
            [packed, String::new(), String::new()]
        };
        if index == 0 {
            let dims = [shape.context, shape.head_dim / 2];
            let angles = |sine| Content::Angles { rope: shape.rope, head_dim: shape.head_dim, sine };
            let tables = [("cos_cache", angles(false)), ("sin_cache", angles(true))];
            self.vectors.extend(tables.map(|(name, content)| Tensor::new(name, &dims, content)));
        }
        let mask = "/model/attn_mask_reformat/attn_mask_subgraph";
        let (lengths, total) = (format!("{mask}/Sub/Cast/output_0"), format!("{mask}/Gather/Cast/output_0"));
        let past = ["key", "value"].map(|part| format!("past_key_values.{index}.{part}"));
        let present = ["key", "value"].map(|part| format!("present.{index}.{part}"));
        let output = format!("{place}/GroupQueryAttention/output_0");
        let inputs =
            [&parts[0], &parts[1], &parts[2], &past[0], &past[1], &lengths, &total, "cos_cache", "sin_cache", "", "", ""];
        let window = shape.graph_window(index);
        let mut attributes = vec![
            int("num_heads", layer.heads as i64),
            int("kv_num_heads", layer.kv_heads as i64),
            float("scale", (shape.head_dim as f32).powf(-0.5)),
            int("local_window_size", window.map_or(-1, |window| window as i64)),
            float("softcap", if shape.family == Family::Gemma2 { SCORE_CAP } else { 0.0 }),
            int("do_rotary", 1),
            int("rotary_interleaved", 0),
        ];
        attributes.extend(window.map(|_| int("sliding_window_cache", 1)));
        let outputs = [output.as_str(), &present[0], &present[1]];
        self.node("GroupQueryAttention", &format!("{place}/GroupQueryAttention"), &inputs, &outputs, &attributes);
        self.product(&format!("model.layers.{index}.attn.o_proj"), &output, [shape.hidden, q], shape.part_gain())
    }

    /// Queries, keys and values apart, the heads of the first two normed.
    fn normed_heads(&mut self, shape: &Shape, index: usize, [q, kv]: [usize; 2], packed: &str) -> [String; 3] {
        let place = format!("/model/layers.{index}/attn");
        let widths = self.integers(&[q as i64, kv as i64, kv as i64], false);
        let split = format!("{place}/qkv_proj/Split");
        let parts = [0, 1, 2].map(|part| format!("{split}/output_{part}"));
        let outputs = [parts[0].as_str(), &parts[1], &parts[2]];
        self.node("Split", &split, &[packed, &widths], &outputs, &[int("axis", -1)]);
        let mut normed = |part: &str, x: &str, width: usize| {
            let place = format!("{place}/{part}_norm");
            let heads = self.integers(&[0, -1, shape.head_dim as i64], false);
            let x = self.single("Reshape", &format!("{place}/Reshape_1"), &[x, &heads], &[]);
            let weight = self.vector(format!("model.layers.{index}.attn.{part}_norm.layernorm.weight"), shape.head_dim, 1.0);
            let attributes = [float("epsilon", shape.norm_epsilon), int("axis", -1), int("stash_type", 1)];
            let name = format!("{place}/SimplifiedLayerNormalization");
            let x = self.single("SimplifiedLayerNormalization", &name, &[&x, &weight], &attributes);
            let row = self.integers(&[0, -1, width as i64], false);
            self.single("Reshape", &format!("{place}/Reshape_2"), &[&x, &row], &[])
        };
        let (q, k) = (normed("q", &parts[0], q), normed("k", &parts[1], kv));
        let [_, _, v] = parts;
        [q, k, v]
    }

    fn feed_forward(&mut self, shape: &Shape, index: usize, layer: &Layer, x: &str) -> String {
        let (place, name) = (format!("/model/layers.{index}/mlp"), format!("model.layers.{index}.mlp"));
        let gate = self.product(&format!("{name}.gate_proj"), x, [layer.inner, shape.hidden], 1.0);
        let up = self.product(&format!("{name}.up_proj"), x, [layer.inner, shape.hidden], 1.0);
        let activated = if shape.family.is_gemma() {
            let tanh = Message::default().bytes(1, "approximate").bytes(4, "tanh").int(20, 3);
            self.single("Gelu", &format!("{place}/act_fn/FastGelu"), &[&gate], &[tanh])
        } else {
            let sigmoid = self.single("Sigmoid", &format!("{place}/act_fn/Sigmoid"), &[&gate], &[]);
            self.single("Mul", &format!("{place}/act_fn/Mul"), &[&gate, &sigmoid], &[])
        };
        let inner = self.single("Mul", &format!("{place}/Mul"), &[&activated, &up], &[]);
        self.product(&format!("{name}.down_proj"), &inner, [shape.hidden, layer.inner], shape.part_gain())
    }

    fn head(&mut self, shape: &Shape, x: &str) {
        let capped = shape.family == Family::Gemma2;
        let output = if capped { "/lm_head/MatMul/output_0" } else { "logits" };
        self.product_to("lm_head", "/lm_head/MatMul_Q4", x, [shape.vocabulary, shape.hidden], 1.0, output);
        if capped {
            let cap = self.float(LOGIT_CAP);
            let divided = self.single("Div", "/lm_head/softcap/Div", &[output, &cap], &[]);
            let bent = self.single("Tanh", "/lm_head/softcap/Tanh", &[&divided], &[]);
            self.node("Mul", "/lm_head/softcap/Mul", &[&bent, &cap], &["logits"], &[]);
        }
    }
}

impl Shape {
    /// How much each of a layer's two parts adds to the stream, so that all of them together add about what a row of a norm's
    /// output is.
    fn part_gain(&self) -> f32 {
        (2.0 * self.layers.len() as f32).powf(-0.5)
    }
}

/// Operators that are ONNX Runtime's own.
const OF_MICROSOFT: [&str; 4] =
    ["GatherBlockQuantized", "GroupQueryAttention", "MatMulNBits", "SkipSimplifiedLayerNormalization"];

fn int(name: &str, value: i64) -> Message {
    Message::default().bytes(1, name).int(3, value).int(20, 2)
}

fn float(name: &str, value: f32) -> Message {
    Message::default().bytes(1, name).float(2, value).int(20, 1)
}

/// The name of a node out of that of a weight: the dots become slashes but for that before a layer's number.
fn slashed(name: &str) -> String {
    name.replace('.', "/").replace("layers/", "layers.")
}

fn inputs(shape: &Shape) -> Vec<Message> {
    let [batch, rows] = [Dim::Name("batch_size"), Dim::Name("sequence_length")];
    let mut inputs = vec![
        value("input_ids", INT64, &[batch, rows]),
        value("attention_mask", INT64, &[batch, Dim::Name("total_sequence_length")]),
    ];
    inputs.extend(caches(shape, "past_key_values", ["past_sequence_length", "past_sliding_length"]));
    inputs
}

fn outputs(shape: &Shape) -> Vec<Message> {
    let dims = [Dim::Name("batch_size"), Dim::Name("sequence_length"), Dim::Size(shape.vocabulary as i64)];
    let mut outputs = vec![value("logits", FLOAT, &dims)];
    outputs.extend(caches(shape, "present", ["total_sequence_length", "total_sliding_length"]));
    outputs
}

/// Keys, then values, of all layers; `lengths` are the names of their length without and with a window.
fn caches(shape: &Shape, name: &str, lengths: [&str; 2]) -> Vec<Message> {
    let cache = |part: &str| {
        let part = part.to_owned();
        shape.layers.iter().enumerate().map(move |(index, layer)| {
            let length = lengths[usize::from(shape.graph_window(index).is_some())];
            let dims = [Dim::Name("batch_size"), Dim::Size(layer.kv_heads as i64), Dim::Name(length), Dim::Name("kv_cache_dim")];
            value(&format!("{name}.{index}.{part}"), FLOAT, &dims)
        })
    };
    cache("key").chain(cache("value")).collect()
}
