//! Recognition: for a value of the graph, the one of our operators that makes it, and the values that it needs.
//!
//! Recognition is local: it looks at the few nodes behind one value and never calls itself for the inputs it reports, so
//! the depth of a graph does not matter and each pattern can be tested alone. A pattern is a guess: its meaning of nodes
//! without large weights is noted as a claim, which [`crate::prove`] holds against the graph. A node that no pattern fits is left
//! to tract if it works element by element ([`foreign`]), and is an error that names it otherwise.

mod admit;
mod attention;
mod columns;
mod decomposed;
mod dynamic;
mod embed;
mod foreign;
mod gated;
mod grouped;
mod linear;
mod norm;
pub(crate) mod operators;
mod rope;
mod rows;
#[cfg(test)]
mod schemas;
mod standard;

pub(crate) use self::admit::admit;
pub(crate) use self::grouped::window_of;
pub(crate) use self::rope::Turned;

use self::linear::Product;
use crate::program::Op;
use crate::prove::Claim;
use crate::rotary::Rotary;
use crate::source::{ELSEWHERE, Source, unsupported};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use std::collections::{HashMap, HashSet};

/// A value to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Want<'g> {
    /// A value of the graph.
    Value(&'g str),
    /// The sum inside the fused add-and-norm node whose first output this is: the graph may not name it.
    SumIn(&'g str),
    /// q, k and v side by side.
    Packed([&'g str; 3]),
    /// A value times a factor, which is given by its bits.
    Scaled(&'g str, u32),
}

/// An operator for a wanted value.
#[derive(Debug)]
pub(crate) struct Found<'g> {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<Want<'g>>,
    /// Width of the output's rows; none if it is that of the first input.
    pub(crate) width: Option<usize>,
    pub(crate) label: &'g str,
}

/// Facts about the decoder from the configuration files, which the graph alone does not have.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) head_dim: Option<usize>,
    pub(crate) sliding_window: Option<Window>,
    /// Name of the graph's input of token ids.
    pub(crate) input_ids: String,
    /// Names of the inputs that say which positions count, and which position each row has.
    pub(crate) attention_mask: Option<String>,
    pub(crate) position_ids: Option<String>,
    /// By the name of an input of past keys or values: the output that becomes it at the next step.
    pub(crate) presents: HashMap<String, String>,
    /// Positions that the model is for.
    pub(crate) max_context: Option<usize>,
}

/// A sliding window that the configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// A row sees itself and the `positions - 1` rows before it.
    pub(crate) positions: usize,
    /// Past keys of the layers that have it; none for all layers.
    pub(crate) past_keys: Option<Vec<String>>,
}

impl Window {
    /// The window of the layer with this past key.
    pub(crate) fn of(&self, past_key: &str) -> Option<usize> {
        let here = self.past_keys.as_ref().is_none_or(|keys| keys.iter().any(|k| k == past_key));
        here.then_some(self.positions)
    }
}

/// Recognises values of one graph, and collects the rotary embeddings that its attention uses.
pub(crate) struct Recogniser<'s, 'g> {
    source: &'s Source<'g>,
    facts: &'s Facts,
    rotaries: Vec<Rotary>,
    /// By the input of past keys or values: the attention that has it.
    attentions: HashMap<&'g str, &'g Node>,
    /// Proof obligations of recognised values, until [`take_claim`](Self::take_claim) takes them.
    claims: HashMap<&'g str, Claim<'g>>,
    /// Values between the product that makes the logits and the logits.
    tail: HashSet<&'g str>,
    /// Whether any node names a window.
    windows_in_graph: bool,
}

impl<'s, 'g> Recogniser<'s, 'g> {
    /// `logits`: the value from which recognition starts.
    pub(crate) fn new(source: &'s Source<'g>, facts: &'s Facts, logits: &'g str) -> Self {
        let windows_in_graph = source.graph().nodes.iter().any(|n| window_of(n).is_some());
        let tail = HashSet::from([source.plain(logits)]);
        Self { source, facts, rotaries: vec![], attentions: HashMap::new(), claims: HashMap::new(), tail, windows_in_graph }
    }

    /// The rotary embeddings met so far, each once.
    pub(crate) fn into_rotaries(self) -> Vec<Rotary> {
        self.rotaries
    }

    fn claim(&mut self, value: &'g str, claim: Claim<'g>) {
        self.claims.insert(self.source.plain(value), claim);
    }

    /// Takes the proof obligation of a recognised value.
    pub(crate) fn take_claim(&mut self, value: &str) -> Option<Claim<'g>> {
        self.claims.remove(self.source.plain(value))
    }

    /// Whether a value lies between the product that makes the logits and the logits, where rows are those that are asked for.
    pub(crate) fn is_tail(&self, value: &str) -> bool {
        self.tail.contains(self.source.plain(value))
    }

    /// Rows and columns, n and k, of the weight whose product makes a value.
    pub(crate) fn product_size(&self, value: &'g str) -> Result<Option<(usize, usize)>, EngineError> {
        Ok(self.scaled_linear(value)?.map(|Product { part, .. }| (part.weight.n(), part.weight.k())))
    }

    /// The size of a head where a `Split` shares out the heads of a product, `[1, heads, rows, head_dim]`.
    pub(crate) fn head_dim_of_split(&self, node: &'g Node) -> Result<Option<usize>, EngineError> {
        let (Some(product), Some(sizes)) = (self.split_heads(node), node.input(1).and_then(|s| self.source.ints(s))) else {
            return Ok(None);
        };
        let heads = usize::try_from(sizes.iter().fold(0i64, |sum, s| sum.saturating_add(*s))).ok().filter(|h| *h > 0);
        Ok(self.product_size(product)?.zip(heads).map(|((n, _), heads)| n / heads))
    }

    /// # Errors
    /// [`EngineError::UnsupportedNode`] for a node that no pattern fits, [`EngineError::UnsupportedGraph`] for a value that
    /// nothing makes.
    pub(crate) fn recognise(&mut self, want: Want<'g>) -> Result<Found<'g>, EngineError> {
        match want {
            Want::Value(value) => {
                let found = self.value(value)?;
                if let (Op::Scale(_) | Op::Softcap(_) | Op::Foreign(_), [Want::Value(input)]) = (&found.op, &found.inputs[..])
                    && self.is_tail(value)
                {
                    self.tail.insert(self.source.plain(input));
                }
                Ok(found)
            }
            Want::SumIn(output) => self.sum_in(output),
            Want::Packed(parts) => self.packed(parts),
            Want::Scaled(value, factor) => Ok(self.times(value, f32::from_bits(factor))),
        }
    }

    fn value(&mut self, value: &'g str) -> Result<Found<'g>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value) else {
            return Err(EngineError::UnsupportedGraph(format!("no node makes `{value}`, which the logits depend on")));
        };
        if let Some(found) = self.embed(node)? {
            return Ok(found);
        }
        if let Some(Product { part, input, factor }) = self.scaled_linear(value)? {
            let width = Some(part.weight.n());
            let input = if factor == 1.0 { Want::Value(input) } else { Want::Scaled(input, factor.to_bits()) };
            return Ok(Found { op: Op::Linear(vec![part]), inputs: vec![input], width, label: node.label() });
        }
        if let Some(found) = self.attention(value, node)? {
            return Ok(found);
        }
        if let Some(found) = self.gated(value, node)? {
            return Ok(found);
        }
        if let Some(found) = self.norm_or_sum(value, node)? {
            return Ok(found);
        }
        if let Some(found) = self.scaled(value, node) {
            return Ok(found);
        }
        // The error names the operator behind nodes that only move elements.
        let moved = self.source.maker(self.source.moved(value)).filter(|behind| !std::ptr::eq(*behind, node));
        match moved {
            Some(behind) => {
                let label = node.label();
                let reason = format!("no pattern that Kinglet knows contains it, nor `{label}` behind it; {ELSEWHERE}");
                Err(unsupported(behind, reason))
            }
            None => self.foreign(node),
        }
    }

    /// Three projections of one input become one product whose output rows hold q, k and v.
    fn packed(&mut self, parts: [&'g str; 3]) -> Result<Found<'g>, EngineError> {
        let mut found = vec![];
        for value in parts {
            found.extend(self.linear(value)?);
        }
        let label = self.source.maker(parts[0]).map_or(parts[0], |n| n.label());
        if found.len() == 3 && found.iter().all(|(_, input)| self.source.plain(input) == self.source.plain(found[0].1)) {
            let input = Want::Value(found[0].1);
            let parts: Vec<_> = found.into_iter().map(|(part, _)| part).collect();
            let width = Some(parts.iter().map(|p| p.weight.n()).sum());
            return Ok(Found { op: Op::Linear(parts), inputs: vec![input], width, label });
        }
        Ok(Found { op: Op::Pack, inputs: parts.map(Want::Value).to_vec(), width: None, label })
    }

    /// A value times a factor.
    fn times(&self, value: &'g str, factor: f32) -> Found<'g> {
        let label = self.source.maker(value).map_or(value, |n| n.label());
        Found { op: Op::Scale(factor), inputs: vec![Want::Value(value)], width: None, label }
    }

    /// `x * constant` and `cap * tanh(x / cap)`.
    fn scaled(&mut self, value: &'g str, node: &'g Node) -> Option<Found<'g>> {
        let source = self.source;
        let (factor, inner) = match node.op_type.as_str() {
            "Mul" => source.with_constant(node, |v| source.scalar(v))?,
            "Div" => (1.0 / source.scalar(node.input(1)?)?, node.input(0)?),
            _ => return None,
        };
        let capped = source.maker_of(source.plain(inner), &["Tanh"]).and_then(|tanh| {
            let div = source.maker_of(source.plain(tanh.input(0)?), &["Div", "Mul"])?;
            let (cap, x) = match div.op_type.as_str() {
                "Div" => (source.scalar(div.input(1)?)?, div.input(0)?),
                _ => source.with_constant(div, |v| source.scalar(v)).map(|(f, x)| (1.0 / f, x))?,
            };
            ((cap - factor).abs() <= 1e-4 * factor.abs()).then_some(x)
        });
        let (op, input) = match capped {
            Some(x) => {
                self.claim(value, Claim::Capped { input: x, cap: factor });
                (Op::Softcap(factor), x)
            }
            None => (Op::Scale(factor), inner),
        };
        Some(Found { op, inputs: vec![Want::Value(input)], width: None, label: node.label() })
    }
}
