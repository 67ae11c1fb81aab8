//! What makes a value? One of our operators, and the values that it needs.
//!
//! Recognition is local: it looks at the few nodes behind one value and never calls itself for the inputs it reports, so
//! the depth of a graph does not matter and each pattern can be tested alone. What no pattern fits is left to tract if it
//! works element by element ([`foreign`]), and is an error that names the node otherwise.

mod attention;
mod decomposed;
mod embed;
mod foreign;
mod gated;
mod linear;
mod norm;
mod rope;

use crate::program::Op;
use crate::rotary::Rotary;
use crate::source::Source;
use kinglet_engine::EngineError;

/// A value to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Want<'g> {
    /// A value of the graph.
    Value(&'g str),
    /// The sum inside the fused add-and-norm node whose first output this is: the graph may not name it.
    SumIn(&'g str),
    /// q, k and v side by side.
    Packed([&'g str; 3]),
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

/// What the configuration files say of the decoder, where the graph alone does not.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) head_dim: Option<usize>,
    pub(crate) sliding_window: Option<Window>,
    /// Name of the graph's input of token ids.
    pub(crate) input_ids: String,
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
}

impl<'s, 'g> Recogniser<'s, 'g> {
    pub(crate) fn new(source: &'s Source<'g>, facts: &'s Facts) -> Self {
        Self { source, facts, rotaries: vec![] }
    }

    /// The rotary embeddings met so far, each once.
    pub(crate) fn into_rotaries(self) -> Vec<Rotary> {
        self.rotaries
    }

    /// # Errors
    /// [`EngineError::UnsupportedNode`] for a node that no pattern fits, [`EngineError::UnsupportedGraph`] for a value that
    /// nothing makes.
    pub(crate) fn recognise(&mut self, want: Want<'g>) -> Result<Found<'g>, EngineError> {
        match want {
            Want::Value(value) => self.value(value),
            Want::SumIn(output) => self.sum_in(output),
            Want::Packed(parts) => self.packed(parts),
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
        if let Some((part, input)) = self.linear(value)? {
            let width = Some(part.weight.n());
            return Ok(Found { op: Op::Linear(vec![part]), inputs: vec![Want::Value(input)], width, label: node.label() });
        }
        if let Some(found) = self.attention(value, node)? {
            return Ok(found);
        }
        if let Some(found) = self.gated(node)? {
            return Ok(found);
        }
        if let Some(found) = self.norm_or_sum(value, node)? {
            return Ok(found);
        }
        if let Some(found) = self.scaled(node) {
            return Ok(found);
        }
        self.foreign(node)
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

    /// `x * constant` and `cap * tanh(x / cap)`.
    fn scaled(&self, node: &'g kinglet_bundle::onnx::Node) -> Option<Found<'g>> {
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
            Some(x) => (Op::Softcap(factor), x),
            None => (Op::Scale(factor), inner),
        };
        Some(Found { op, inputs: vec![Want::Value(input)], width: None, label: node.label() })
    }
}
