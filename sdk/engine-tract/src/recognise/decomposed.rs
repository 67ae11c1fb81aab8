//! Attention written out as products and a softmax, as Optimum exports it.
//!
//! ```text
//! softmax( cap( q kᵀ * scale ) + mask ) v        k = repeat(concat(past k, k)), v likewise
//! ```
//! with the scale on the scores, on q, or its root on q and on k each. The positions that the mask lets a row see, and the
//! window that may be in it, are found by evaluating it ([`crate::prove`]).

use super::attention::Parts;
use super::{Found, Recogniser};
use crate::prove::Projections;
use crate::source::{ELSEWHERE, unsupported};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

/// Operands and parameters of the scores that a softmax reads.
struct Scores<'g> {
    q: &'g str,
    k: &'g str,
    scale: f32,
    softcap: Option<f32>,
    masks: Vec<&'g str>,
    hidden: Vec<&'g str>,
}

/// Keys or values of the step before they join the cache, and the factor on them after it.
pub(super) struct Cached<'g> {
    pub(super) past: &'g str,
    pub(super) value: &'g str,
    pub(super) present: &'g str,
    pub(super) scale: f32,
}

/// Masks that may be added to one attention's scores one after the other.
const MOST_MASKS: usize = 3;

impl<'g> Recogniser<'_, 'g> {
    /// The attention whose heads, side by side, are `value`.
    pub(super) fn decomposed(&mut self, value: &'g str) -> Result<Option<Found<'g>>, EngineError> {
        let (heads, guard) = self.unguarded(value);
        let Some(product) = self.source.maker_of(heads, &["MatMul"]) else { return Ok(None) };
        let (Some(weights), Some(values)) = (product.input(0), product.input(1)) else { return Ok(None) };
        let Some(softmax) = self.softmax(weights) else { return Ok(None) };
        let scores = softmax
            .input(0)
            .and_then(|s| self.scores(s, MOST_MASKS))
            .ok_or_else(|| unsupported(softmax, "its input is no product of queries and keys"))?;
        let (k, v) = (self.cached_or_refuse(scores.k, softmax)?, self.cached_or_refuse(values, softmax)?);
        let head_dim = self.head_dim_of(k.past, softmax)?;
        let (q, k_heads) = (self.heads(scores.q, Some(head_dim))?, self.heads(k.value, Some(head_dim))?);
        let projections = [q.projection, k_heads.projection, self.source.moved(v.value)];
        let (q_heads, kv_heads) = self.head_counts(softmax, projections, head_dim)?;
        let parts = Parts {
            node: softmax,
            projections: Projections::Separate(projections),
            q: Some(q),
            k: Some(k_heads),
            fused: None,
            past: [k.past, v.past],
            present: [Some(k.present), Some(v.present)],
            q_heads,
            kv: LayerKv::new(kv_heads, head_dim),
            scale: scores.scale * k.scale,
            softcap: scores.softcap,
            window: None,
            masks: scores.masks,
            hidden: scores.hidden,
            guards: guard.into_iter().collect(),
            lengths: vec![],
            positions: vec![],
        };
        self.found_attention(value, parts).map(Some)
    }

    /// Columns of a head: what the graph declares of its past keys, or else the configuration.
    pub(super) fn head_dim_of(&self, past_key: &str, node: &Node) -> Result<usize, EngineError> {
        let found = self.source.input_width(past_key).or(self.facts.head_dim).filter(|d| *d > 0);
        found.ok_or_else(|| unsupported(node, "the size of a head is not known"))
    }

    /// Heads of queries, and of keys and values, by the columns of their projections.
    pub(super) fn head_counts(
        &self,
        node: &Node,
        projections: [&'g str; 3],
        head_dim: usize,
    ) -> Result<(usize, usize), EngineError> {
        let mut widths = [0; 3];
        for (width, value) in widths.iter_mut().zip(projections) {
            let refuse = || unsupported(node, format!("`{value}` is not a projection; {ELSEWHERE}"));
            *width = self.width_of(value)?.ok_or_else(refuse)?;
        }
        let [q, k, v] = widths;
        if !q.is_multiple_of(head_dim) || !k.is_multiple_of(head_dim) || v != k {
            return Err(unsupported(node, format!("projections of {q}, {k} and {v} columns are no heads of {head_dim}")));
        }
        Ok((q / head_dim, k / head_dim))
    }

    /// Heads behind the choice of nothing for rows that see no position, with the condition of that choice and what it must be.
    fn unguarded(&self, value: &'g str) -> (&'g str, Option<(&'g str, bool)>) {
        let source = self.source;
        let value = source.moved(value);
        let guarded = source.maker_of(value, &["Where"]).and_then(|guard| {
            let chosen = source.scalar(guard.input(1)?) != Some(0.0);
            let kept = guard.input(if chosen { 1 } else { 2 })?;
            Some((source.moved(kept), Some((guard.input(0)?, chosen))))
        });
        guarded.unwrap_or((value, None))
    }

    /// The softmax that makes attention weights, behind the guard against rows without a score.
    fn softmax(&self, weights: &'g str) -> Option<&'g Node> {
        let mut value = self.source.moved(weights);
        if let Some(guard) = self.source.maker_of(value, &["Where"]) {
            let asked = self.source.maker_of(guard.input(0)?, &["IsNaN"])?;
            value = self.source.moved(guard.input(2)?);
            if self.source.moved(asked.input(0)?) != value {
                return None;
            }
        }
        self.source.maker_of(value, &["Softmax"])
    }

    /// Scores behind the masks that are added to them or that choose among them.
    fn scores(&self, value: &'g str, masks_left: usize) -> Option<Scores<'g>> {
        let source = self.source;
        if let Some(scores) = self.unmasked_scores(value) {
            return Some(scores);
        }
        let node = source.maker_of(source.moved(value), &["Add", "Where"]).filter(|_| masks_left > 0)?;
        let operands: &[(usize, usize)] = if node.op_type == "Add" { &[(0, 1), (1, 0)] } else { &[(1, 0), (2, 0)] };
        operands.iter().find_map(|&(place, mask)| {
            let mut scores = self.scores(node.input(place)?, masks_left - 1)?;
            scores.masks.push(node.input(mask)?);
            if node.op_type == "Where" {
                scores.hidden.push(node.input(3 - place)?);
            }
            Some(scores)
        })
    }

    fn unmasked_scores(&self, value: &'g str) -> Option<Scores<'g>> {
        let source = self.source;
        let (mut value, mut softcap, mut scale) = (source.moved(value), None, 1.0);
        for _ in 0..6 {
            let node = source.maker_of(value, &["MatMul", "Mul", "Div", "Tanh"])?;
            value = source.moved(match node.op_type.as_str() {
                "MatMul" => {
                    let (q, k) = (node.input(0)?, node.input(1)?);
                    return Some(Scores { q, k, scale, softcap, masks: vec![], hidden: vec![] });
                }
                // cap * tanh(x / cap): the factor met so far is the cap, and the next division undoes it.
                "Tanh" => {
                    softcap = Some(scale);
                    node.input(0)?
                }
                _ => {
                    let (factor, x) = self.factor(value)?;
                    scale *= factor;
                    x
                }
            });
        }
        None
    }

    /// `value = x * factor` with a constant factor, which may be computed from the size of a head.
    pub(super) fn factor(&self, value: &'g str) -> Option<(f32, &'g str)> {
        let node = self.source.maker_of(value, &["Mul", "Div"])?;
        match node.op_type.as_str() {
            "Div" => Some((1.0 / self.head_scalar(node.input(1)?, 8)?, node.input(0)?)),
            _ => self.source.with_constant(node, |v| self.head_scalar(v, 8)),
        }
    }

    /// A scalar made of constants and the last dimension of a shape, which is the size of a head where attention asks.
    fn head_scalar(&self, value: &str, depth: usize) -> Option<f32> {
        let source = self.source;
        let value = source.plain(value);
        if let Some(constant) = source.floats(value) {
            return (constant.len() == 1).then(|| constant[0]);
        }
        let node = source.maker(value).filter(|_| depth > 0)?;
        let arg = |i: usize| self.head_scalar(node.input(i)?, depth - 1);
        match node.op_type.as_str() {
            "Sqrt" => arg(0).map(f32::sqrt),
            "Reciprocal" => arg(0).map(f32::recip),
            "Div" => Some(arg(0)? / arg(1)?),
            "Mul" => Some(arg(0)? * arg(1)?),
            "Pow" => Some(arg(0)?.powf(arg(1)?)),
            "Cast" | "Squeeze" | "Unsqueeze" | "Reshape" => arg(0),
            "Slice" | "Gather" => {
                source.maker_of(node.input(0)?, &["Shape"])?;
                matches!(source.ints(node.input(1)?)?.as_slice(), [-1] | [3]).then_some(self.facts.head_dim? as f32)
            }
            _ => None,
        }
    }

    /// # Errors
    /// [`EngineError::UnsupportedNode`] with the attention's node where `value` is not the past with the step's own behind.
    pub(super) fn cached_or_refuse(&self, value: &'g str, node: &Node) -> Result<Cached<'g>, EngineError> {
        let refuse = || unsupported(node, format!("`{value}` is not past keys or values with the step's behind them"));
        self.cached(value).ok_or_else(refuse)
    }

    /// Walks from the keys or values that attention reads to the cache: the past's input and what is put behind it.
    fn cached(&self, value: &'g str) -> Option<Cached<'g>> {
        let source = self.source;
        let (mut value, mut scale) = (source.moved(value), 1.0);
        while let Some((factor, x)) = self.factor(value) {
            scale *= factor;
            value = source.moved(x);
        }
        let concat = source.maker_of(value, &["Concat"])?;
        let past = source.plain(concat.input(0)?);
        let is_input = source.graph().inputs.iter().any(|i| i.name == past);
        is_input.then_some(Cached { past, value: concat.input(1)?, present: concat.outputs.first()?, scale })
    }
}
