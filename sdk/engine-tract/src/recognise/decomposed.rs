//! Attention written out as products and a softmax, as Optimum exports it.
//!
//! ```text
//! softmax( cap( q kᵀ * scale ) + mask ) v        k = repeat(concat(past k, k)), v likewise
//! ```
//! with the scale on the scores, on q, or its root on q and on k each. The mask is not looked at but for one thing: whether
//! the sliding window that the configuration names occurs in it.

use super::attention::found_attention;
use super::{Found, Recogniser, Want};
use crate::program::Attention;
use crate::source::unsupported;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::LayerKv;

/// What makes the scores of a softmax.
struct Scores<'g> {
    q: &'g str,
    k: &'g str,
    scale: f32,
    softcap: Option<f32>,
    mask: Option<&'g str>,
}

impl<'g> Recogniser<'_, 'g> {
    /// The attention whose heads, side by side, are `value`.
    pub(super) fn decomposed(&mut self, value: &'g str) -> Result<Option<Found<'g>>, EngineError> {
        let Some(product) = self.source.maker_of(self.source.moved(value), &["MatMul"]) else { return Ok(None) };
        let (Some(weights), Some(values)) = (product.input(0), product.input(1)) else { return Ok(None) };
        let Some(softmax) = self.softmax(weights) else { return Ok(None) };
        let scores = softmax
            .input(0)
            .and_then(|s| self.scores(s))
            .ok_or_else(|| unsupported(softmax, "its input is no product of queries and keys"))?;

        let (past_key, k) = self
            .cached(scores.k)
            .ok_or_else(|| unsupported(softmax, "the keys are not the past keys with the step's behind them"))?;
        let (_, v) = self
            .cached(values)
            .ok_or_else(|| unsupported(softmax, "the values are not the past values with the step's behind them"))?;
        let head_dim = self
            .source
            .input_width(past_key)
            .or(self.facts.head_dim)
            .ok_or_else(|| unsupported(softmax, "the size of a head is not known"))?;
        let (q, k_heads) = (self.heads(scores.q, Some(head_dim))?, self.heads(k.value, Some(head_dim))?);
        let v = self.source.moved(v.value);
        let width = |value: &'g str| -> Result<usize, EngineError> {
            self.width_of(value)?.ok_or_else(|| unsupported(softmax, format!("`{value}` is not a projection")))
        };
        let (q_width, kv_width) = (width(q.projection)?, width(k_heads.projection)?);
        if !q_width.is_multiple_of(head_dim) || !kv_width.is_multiple_of(head_dim) || width(v)? != kv_width {
            return Err(unsupported(
                softmax,
                format!("projections of {q_width} and {kv_width} columns are no heads of {head_dim}"),
            ));
        }
        if q.rotary != k_heads.rotary {
            return Err(unsupported(softmax, "queries and keys are rotated differently"));
        }
        let attention = Attention {
            layer: self.layer_of(past_key, softmax)?,
            q_heads: q_width / head_dim,
            kv: LayerKv::new(kv_width / head_dim, head_dim),
            scale: scores.scale * q.scale * k_heads.scale * k.scale,
            softcap: scores.softcap,
            window: scores.mask.and_then(|mask| self.window_in(mask)),
            q_norm: q.norm,
            k_norm: k_heads.norm,
            rotary: q.rotary.map(|r| self.register(r)),
        };
        let inputs = vec![Want::Packed([q.projection, k_heads.projection, v])];
        found_attention(attention, inputs, softmax).map(Some)
    }

    /// The softmax that makes attention weights, behind the guard against rows without a score.
    fn softmax(&self, weights: &'g str) -> Option<&'g Node> {
        let mut value = self.source.moved(weights);
        if let Some(guard) = self.source.maker_of(value, &["Where"]) {
            self.source.maker_of(guard.input(0)?, &["IsNaN"])?;
            value = self.source.moved(guard.input(2)?);
        }
        self.source.maker_of(value, &["Softmax"])
    }

    fn scores(&self, value: &'g str) -> Option<Scores<'g>> {
        let source = self.source;
        let node = source.maker(source.moved(value))?;
        match node.op_type.as_str() {
            "Add" => {
                let (a, b) = (node.input(0)?, node.input(1)?);
                let masked =
                    |scores: &'g str, mask: &'g str| self.unmasked_scores(scores).map(|s| Scores { mask: Some(mask), ..s });
                masked(a, b).or_else(|| masked(b, a))
            }
            "Where" => self
                .unmasked_scores(node.input(1)?)
                .or_else(|| self.unmasked_scores(node.input(2)?))
                .map(|s| Scores { mask: node.input(0), ..s }),
            _ => self.unmasked_scores(value),
        }
    }

    fn unmasked_scores(&self, value: &'g str) -> Option<Scores<'g>> {
        let source = self.source;
        let (mut value, mut softcap, mut scale) = (source.moved(value), None, 1.0);
        for _ in 0..6 {
            let node = source.maker_of(value, &["MatMul", "Mul", "Div", "Tanh"])?;
            value = source.moved(match node.op_type.as_str() {
                "MatMul" => {
                    let (q, k) = (node.input(0)?, node.input(1)?);
                    return Some(Scores { q, k, scale, softcap, mask: None });
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

    /// Walks from the keys or values that attention reads to the cache: the past's input and what is put behind it.
    fn cached(&self, value: &'g str) -> Option<(&'g str, Cached<'g>)> {
        let source = self.source;
        let (mut value, mut scale) = (source.moved(value), 1.0);
        while let Some((factor, x)) = self.factor(value) {
            scale *= factor;
            value = source.moved(x);
        }
        let concat = source.maker_of(value, &["Concat"])?;
        let past = concat.input(0)?;
        source.graph().inputs.iter().any(|i| i.name == past).then_some((past, Cached { value: concat.input(1)?, scale }))
    }

    /// The configured sliding window, if a constant of this mask is that number.
    fn window_in(&self, mask: &'g str) -> Option<usize> {
        let window = self.facts.sliding_window.as_ref()?.positions;
        let is_window =
            |v: &&str| self.source.scalar(v).is_some_and(|c| c.abs() == window as f32 || c.abs() == window as f32 - 1.0);
        self.source.ancestors(mask, |n| n.op_type == "Shape").iter().any(is_window).then_some(window)
    }
}

/// Keys or values of the step before they join the cache, and the factor on them after it.
struct Cached<'g> {
    value: &'g str,
    scale: f32,
}
