//! Proofs that our operators compute the same as the nodes of the graph that they replace.
//!
//! Recognition goes by patterns, and a pattern does not say what a mask lets through, in which order heads are normed and
//! rotated, or what a shape computed on the way does. So each operator that stands for nodes without large weights (attention
//! of every form, norms taken apart, activations) comes with a [`Claim`]: the values of the graph that it reads, and the
//! one it makes. The nodes in between, the *piece*, are evaluated by the interpreter of kinglet-reference on random rows,
//! as the engine's contract has it (one sequence, positions without gaps, nothing masked out), without a past, with one, and
//! around the edges of windows; what comes out must be what a plain formula of our operator gives. What depends on positions
//! alone, masks and angles, is also evaluated for long contexts. Anything else is refused, with the name of the node.
//!
//! Pieces that are alike, as those of a model's layers are, are proved once: by their operators, attributes, wiring and
//! small constants. Weights of norms and tables of angles stand as values of their own, so that the proof holds for any.
//!
//! Where values pass from operator to operator as rows, it is checked that rows they are ([`Form`]).

mod activation;
mod attention;
mod claim;
mod contract;
mod formula;
mod graph_piece;
mod interner;
mod mask;
mod rows;
#[cfg(test)]
mod tests;
mod wide;
mod widen;

pub(crate) use self::claim::{AttentionClaim, Claim, NormClaim, Projections};

use self::contract::Extent;
use self::interner::Interner;
use self::rows::Form;
use crate::program::Op;
use crate::recognise::{Facts, Found, Recogniser, Want};
use crate::source::{Source, unsupported};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_reference::Limits;
use std::collections::{HashMap, HashSet};

/// Nodes that all pieces together may have, for each node of the graph: layers share masks and angles.
const VISITS_PER_NODE: usize = 64;
/// The same for graphs of any size.
const FREE_VISITS: usize = 1 << 18;
/// Limits of one evaluation, and of the work of all evaluations of a graph together.
const LIMITS: Limits = Limits { elements: 1 << 24, work: 1 << 27 };
const WORK: u64 = 1 << 31;

/// Properties of a piece that its proof has found.
#[derive(Clone, Copy, Debug)]
struct Proven {
    /// How its rows lie.
    form: Form,
    /// The window of its mask.
    window: Option<usize>,
}

/// The context of a model that names none.
const UNKNOWN_CONTEXT: usize = 4096;

/// A shape as a part of a proof's key.
fn shape_key(dims: &[usize]) -> impl Iterator<Item = u32> {
    std::iter::once(dims.len()).chain(dims.iter().copied()).map(|size| size as u32)
}

/// Proves the claims of one graph, and keeps what it has proved.
pub(crate) struct Prover<'s, 'g> {
    source: &'s Source<'g>,
    facts: &'s Facts,
    /// How the values met so far lie in their tensors.
    forms: HashMap<&'g str, Option<Form>>,
    /// Columns of the rows that operators read or make.
    widths: HashMap<&'g str, usize>,
    /// Whether a value is made of constants alone, with so many nodes between at most.
    fixed: HashMap<(&'g str, usize), bool>,
    interner: Interner,
    /// Dimensions of the values that join past and step.
    presents: HashMap<&'g str, Vec<Extent>>,
    /// Dimensions of the values into which those are moved, by the keys of the pieces that move them.
    moved: HashMap<Vec<u32>, Option<Vec<Extent>>>,
    /// Results of the proofs made, by the keys of their pieces.
    proven: HashMap<Vec<u32>, Proven>,
    /// Windows by masks.
    windows: HashMap<(Vec<&'g str>, Vec<bool>), Option<usize>>,
    /// Values that were found to be positions, lengths or angles for all lengths.
    held: HashSet<(&'g str, wide::Kind)>,
    visits: usize,
    work_left: u64,
}

impl<'s, 'g> Prover<'s, 'g> {
    pub(crate) fn new(source: &'s Source<'g>, facts: &'s Facts) -> Self {
        Self {
            source,
            facts,
            forms: HashMap::new(),
            widths: HashMap::new(),
            fixed: HashMap::new(),
            interner: Interner::default(),
            presents: HashMap::new(),
            moved: HashMap::new(),
            proven: HashMap::new(),
            windows: HashMap::new(),
            held: HashSet::new(),
            visits: 0,
            work_left: WORK,
        }
    }

    /// Positions of the longest context that values are evaluated for: the model's, but `most` at most.
    fn longest_context(&self, most: usize) -> usize {
        self.facts.max_context.unwrap_or(UNKNOWN_CONTEXT).clamp(1, most)
    }

    /// Holds what was found for a wanted value against the graph; takes over the window that a mask was found to have.
    /// Everything that it reads has been checked before.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] where the nodes in between compute something else, or cannot be evaluated.
    pub(crate) fn check(
        &mut self,
        recogniser: &mut Recogniser<'s, 'g>,
        want: Want<'g>,
        found: &mut Found<'g>,
    ) -> Result<(), EngineError> {
        let is_tail = matches!(want, Want::Value(v) if recogniser.is_tail(v));
        let passes = matches!(found.op, Op::Scale(_) | Op::Softcap(_) | Op::Foreign(_));
        let reads_rows = !matches!(found.op, Op::Embed { .. });
        if reads_rows && !(is_tail && passes) {
            for &input in &found.inputs {
                self.check_rows(recogniser, input, found.label)?;
            }
        }
        let Want::Value(value) = want else { return Ok(()) };
        let form = match (recogniser.take_claim(value), &mut found.op) {
            (Some(Claim::Attention(claim)), Op::Attention(attention)) => {
                Some(self.attention(recogniser, value, &claim, attention)?)
            }
            (Some(Claim::Norm { input, norm }), _) => Some(self.norm(recogniser, value, input, norm)?),
            (Some(Claim::Centred { input }), _) => Some(self.centred(recogniser, value, input)?),
            (Some(Claim::Activated { gate, up, activation }), _) => {
                self.activated(recogniser, value, [gate, up], activation)?;
                None
            }
            (Some(Claim::Capped { input, cap }), _) => {
                self.capped(recogniser, value, input, cap)?;
                None
            }
            _ => None,
        };
        if let Some(form) = form {
            self.forms.insert(value, Some(form));
        }
        let of_input = match found.inputs.first() {
            Some(Want::Value(input)) => self.widths.get(self.source.plain(input)).copied(),
            _ => None,
        };
        if let Some(width) = found.width.or(of_input) {
            self.widths.insert(value, width);
        }
        Ok(())
    }

    /// # Errors
    /// [`EngineError::UnsupportedNode`] where an operator would read a value that is not one row for each token.
    fn check_rows(&mut self, recogniser: &Recogniser<'s, 'g>, want: Want<'g>, label: &str) -> Result<(), EngineError> {
        let values: Vec<&'g str> = match want {
            Want::Value(v) | Want::Scaled(v, _) => vec![v],
            Want::Packed(parts) => parts.to_vec(),
            Want::SumIn(first) => {
                let node = self.source.maker(first);
                node.into_iter().flat_map(|n| n.inputs.iter().take(2).map(String::as_str)).collect()
            }
        };
        for value in values {
            if self.form(recogniser, value)?.is_none() {
                return Err(self.refuse_rows(value, label));
            }
            if let Some(width) = self.width(recogniser, value)? {
                self.widths.insert(value, width);
            }
        }
        Ok(())
    }

    fn refuse_rows(&self, value: &str, label: &str) -> EngineError {
        let reason = format!("it reads `{value}`, which does not hold a row for each token");
        match self.source.maker(value) {
            Some(node) => {
                unsupported(node, format!("what it makes is read by `{label}`, and does not hold a row for each token"))
            }
            None => EngineError::UnsupportedNode { node: label.into(), op_type: "input".into(), reason },
        }
    }
}

/// The error for a piece that is not what would be put in its place.
fn differs(node: &Node, what: impl std::fmt::Display) -> EngineError {
    unsupported(node, format!("it is not what would be computed in its place: {what}"))
}
