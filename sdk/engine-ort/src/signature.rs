//! Inputs and outputs of a step of a decoder, read from its graph.

use kinglet_bundle::IoNames;
use kinglet_bundle::onnx::{DataType, Dim, Graph, Node, ValueInfo};
use kinglet_engine::EngineError;

/// The numbers of one layer's keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LayerShape {
    pub(crate) kv_heads: usize,
    pub(crate) key_dim: usize,
    pub(crate) value_dim: usize,
}

/// The element type of keys and values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Element {
    Float32,
    Float16,
}

impl Element {
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Float32 => 4,
            Self::Float16 => 2,
        }
    }
}

/// One tensor of a layer's keys or values: `[batch, kv_heads, positions, dim]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KvTensor {
    /// The input that takes what was computed before.
    pub(crate) past: String,
    /// The output that gives it together with what is new.
    pub(crate) present: String,
    pub(crate) heads: usize,
    pub(crate) dim: usize,
}

/// How keys and values live from one step to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storage {
    /// One buffer is past and present: each step writes behind what is there (GroupQueryAttention).
    Shared {
        /// Whether sequences of different lengths may share a run of one token each.
        ragged: bool,
    },
    /// Each step gives new tensors, longer than those that it took.
    Growing,
}

/// Whose logits a graph computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogitRows {
    /// Every position's.
    All,
    /// The last position's.
    Last,
}

/// Inputs that some exporters add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExtraInput {
    /// Of how many last positions logits are wanted; int64, with this shape.
    LogitsToKeep { name: String, shape: Vec<usize> },
    /// Whether there is a past; bool `[1]`.
    UseCacheBranch { name: String },
}

/// More logits than any model gives a position.
const MOST_LOGITS: usize = 1 << 24;

/// Names, types and shapes of the inputs and outputs of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    /// int64 `[batch, rows]`.
    pub(crate) input_ids: String,
    /// int64 `[batch, past + rows]`.
    pub(crate) attention_mask: Option<String>,
    /// int64 `[batch, rows]`.
    pub(crate) position_ids: Option<String>,
    pub(crate) extras: Vec<ExtraInput>,
    /// `[batch, rows, vocab]`.
    pub(crate) logits: String,
    pub(crate) logits_element: Element,
    pub(crate) logit_rows: LogitRows,
    pub(crate) vocab: usize,
    /// Key, value, key, value, ..: two a layer.
    pub(crate) kv: Vec<KvTensor>,
    pub(crate) element: Element,
    pub(crate) storage: Storage,
    /// Whether a row's result depends on the rows beside it: sequences must not share a run then.
    pub(crate) mixes_rows: bool,
}

/// Values of the configuration files, for dimensions that a graph leaves open.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Declared {
    pub(crate) kv_heads: Option<usize>,
    pub(crate) head_dim: Option<usize>,
    pub(crate) vocab: Option<usize>,
}

impl Signature {
    /// # Errors
    /// [`EngineError::UnsupportedGraph`] where the graph is no decoder with inputs for past keys and values, or has an input that
    /// this engine cannot supply.
    pub(crate) fn of(graph: &Graph, io: &IoNames, declared: Declared) -> Result<Signature, EngineError> {
        let logits = output(graph, &io.logits)?;
        let dims = logits.dims.as_deref().unwrap_or_default();
        let vocab = match dims.last() {
            Some(Dim::Known(vocab)) => Some(*vocab),
            _ => declared.vocab,
        };
        let (kv, element) = kv_tensors(graph, io, declared)?;
        Ok(Signature {
            input_ids: io.input_ids.clone(),
            attention_mask: io.attention_mask.clone(),
            position_ids: io.position_ids.clone(),
            extras: io.other_inputs.iter().map(|name| extra(graph, name)).collect::<Result<_, _>>()?,
            logits: io.logits.clone(),
            logits_element: element_of(logits)?,
            logit_rows: if dims.len() == 3 && dims[1] == Dim::Known(1) { LogitRows::Last } else { LogitRows::All },
            vocab: vocab.filter(|vocab| (1..=MOST_LOGITS).contains(vocab)).ok_or_else(|| {
                unsupported("neither the graph nor the configuration says how many logits a position has, or one that can be")
            })?,
            storage: storage(graph, io, &kv),
            // One scale for all rows.
            mixes_rows: graph.nodes.iter().any(|node| node.op_type.starts_with("DynamicQuantize")),
            kv,
            element,
        })
    }

    /// The numbers of each layer, for those who save caches.
    pub(crate) fn layers(&self) -> Vec<LayerShape> {
        self.kv
            .chunks_exact(2)
            .map(|pair| LayerShape { kv_heads: pair[0].heads, key_dim: pair[0].dim, value_dim: pair[1].dim })
            .collect()
    }

    /// Bytes that the keys and values of one position take.
    pub(crate) fn position_bytes(&self) -> usize {
        self.kv.iter().map(|tensor| tensor.heads * tensor.dim).sum::<usize>() * self.element.bytes()
    }
}

fn unsupported(why: impl Into<String>) -> EngineError {
    EngineError::UnsupportedGraph(why.into())
}

fn input<'a>(graph: &'a Graph, name: &str) -> Option<&'a ValueInfo> {
    graph.inputs.iter().find(|value| value.name == name)
}

fn output<'a>(graph: &'a Graph, name: &str) -> Result<&'a ValueInfo, EngineError> {
    let found = graph.outputs.iter().find(|value| value.name == name);
    found.ok_or_else(|| unsupported(format!("the graph has no output `{name}`")))
}

fn element_of(value: &ValueInfo) -> Result<Element, EngineError> {
    match value.data_type {
        Some(DataType::Float32) => Ok(Element::Float32),
        Some(DataType::Float16) => Ok(Element::Float16),
        other => Err(unsupported(format!("`{}` is of type {other:?}, not float32 or float16", value.name))),
    }
}

fn kv_tensors(graph: &Graph, io: &IoNames, declared: Declared) -> Result<(Vec<KvTensor>, Element), EngineError> {
    let mut layers: Vec<usize> = graph.inputs.iter().filter_map(|input| io.past_key.layer_of(&input.name)).collect();
    layers.sort_unstable();
    let (mut kv, mut element) = (vec![], None);
    for layer in layers {
        let pairs = [(&io.past_key, &io.present_key), (&io.past_value, &io.present_value)];
        for (past, present) in pairs.map(|(past, present)| (past.of_layer(layer), present.of_layer(layer))) {
            let value = input(graph, &past).ok_or_else(|| unsupported(format!("the graph has no input `{past}`")))?;
            let of_this = element_of(value)?;
            if *element.get_or_insert(of_this) != of_this {
                return Err(unsupported("keys and values of different types"));
            }
            output(graph, &present)?;
            let (heads, dim) = heads_and_dim(value, declared)?;
            kv.push(KvTensor { past, present, heads, dim });
        }
    }
    match element {
        Some(element) => Ok((kv, element)),
        None => Err(unsupported("the graph has no inputs for keys and values of earlier positions; export it with them")),
    }
}

/// Of `[batch, kv_heads, past, dim]`.
fn heads_and_dim(value: &ValueInfo, declared: Declared) -> Result<(usize, usize), EngineError> {
    let dims = value.dims.as_deref().unwrap_or_default();
    let number = |place: usize, declared: Option<usize>| match dims.get(place) {
        Some(Dim::Known(number)) => Some(*number),
        _ => declared,
    };
    let four = dims.is_empty() || dims.len() == 4;
    match (four, number(1, declared.kv_heads), number(3, declared.head_dim)) {
        (true, Some(heads @ 1..=4096), Some(dim @ 1..=65536)) => Ok((heads, dim)),
        _ => Err(unsupported(format!("`{}` is not of a shape [batch, kv_heads, past, head_dim] that is known", value.name))),
    }
}

fn extra(graph: &Graph, name: &str) -> Result<ExtraInput, EngineError> {
    match name {
        "num_logits_to_keep" | "logits_to_keep" => {
            let rank = input(graph, name).and_then(|value| value.dims.as_ref()).map_or(0, Vec::len);
            Ok(ExtraInput::LogitsToKeep { name: name.into(), shape: vec![1; rank] })
        }
        "use_cache_branch" => Ok(ExtraInput::UseCacheBranch { name: name.into() }),
        _ => Err(unsupported(format!("the graph wants an input `{name}`, which is not known"))),
    }
}

/// One buffer may be past and present where the graph gives each past to a GroupQueryAttention, and to nothing else, and has
/// its present from there: that operator is made for it.
fn storage(graph: &Graph, io: &IoNames, kv: &[KvTensor]) -> Storage {
    let mut ragged = true;
    for layer in kv.chunks_exact(2) {
        let users: Vec<&Node> =
            graph.nodes.iter().filter(|node| node.inputs.iter().any(|i| *i == layer[0].past || *i == layer[1].past)).collect();
        let [node] = users[..] else { return Storage::Growing };
        let takes = node.input(3) == Some(&layer[0].past) && node.input(4) == Some(&layer[1].past);
        let gives = node.outputs.get(1) == Some(&layer[0].present) && node.outputs.get(2) == Some(&layer[1].present);
        if node.op_type != "GroupQueryAttention" || !takes || !gives {
            return Storage::Growing;
        }
        let mask = io.attention_mask.as_deref();
        ragged &= node.input(5).zip(mask).is_some_and(|(lengths, mask)| sums_mask(graph, lengths, mask));
    }
    Storage::Shared { ragged }
}

/// Whether a value is the mask summed up, a number a sequence, up to casts and constants that are taken away.
fn sums_mask(graph: &Graph, value: &str, mask: &str) -> bool {
    let (mut value, mut summed) = (value, false);
    for _ in 0..8 {
        if value == mask {
            return summed;
        }
        let Some(node) = graph.nodes.iter().find(|node| node.outputs.iter().any(|output| output == value)) else { return false };
        summed |= node.op_type == "ReduceSum";
        match (node.op_type.as_str(), node.input(0)) {
            ("ReduceSum" | "Cast" | "Sub" | "Squeeze" | "Identity", Some(first)) => value = first,
            _ => return false,
        }
    }
    false
}
