//! Our operators as plain formulas, by which the pieces of the graph that they stand for are judged.

use super::contract::Length;
use crate::program::Attention;
use kinglet_kernels::GateActivation;

/// Operands of one attention, heads side by side in each row.
pub(super) struct Operands<'a> {
    /// `[rows, q_heads * head_dim]`
    pub(super) q: &'a [f32],
    /// `[rows, kv_heads * head_dim]` each.
    pub(super) k: &'a [f32],
    pub(super) v: &'a [f32],
    /// `[kv_heads, past, head_dim]` each.
    pub(super) past_keys: &'a [f32],
    pub(super) past_values: &'a [f32],
    /// Over each head of queries and of keys: weight `[head_dim]` and epsilon.
    pub(super) norms: [Option<(&'a [f32], f32)>; 2],
    pub(super) turn: Option<Turn<'a>>,
    /// The factor on the step's keys before they join the cache.
    pub(super) key_scale: f32,
}

/// Cosines and sines, `[rows, half]` each.
pub(super) struct Turn<'a> {
    pub(super) cos: &'a [f32],
    pub(super) sin: &'a [f32],
    pub(super) half: usize,
    pub(super) interleaved: bool,
}

/// Results of one attention.
pub(super) struct Attended {
    /// `[rows, q_heads * head_dim]`
    pub(super) rows: Vec<f32>,
    /// `[kv_heads, past + rows, head_dim]` each.
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

/// Attention as [`Attention`] describes it: each row sees itself and the positions before it, as far as its window goes.
pub(super) fn attend(a: &Attention, x: &Operands<'_>, length: Length) -> Attended {
    let (dim, kv_heads) = (a.kv.head_dim, a.kv.kv_heads);
    let head = |from: &[f32], row: usize, head: usize, heads: usize| from[(row * heads + head) * dim..][..dim].to_vec();
    let keys = joined(x.past_keys, kv_heads, dim, length, |row, h| {
        let mut key = head(x.k, row, h, kv_heads);
        prepare(a, x.norms[1], x.turn.as_ref(), row, &mut key);
        key.iter_mut().for_each(|k| *k *= x.key_scale);
        key
    });
    let values = joined(x.past_values, kv_heads, dim, length, |row, h| head(x.v, row, h, kv_heads));
    let mut rows = vec![];
    for row in 0..length.rows {
        let position = length.past + row;
        let first = a.window.map_or(0, |window| (position + 1).saturating_sub(window));
        for h in 0..a.q_heads {
            let mut query = head(x.q, row, h, a.q_heads);
            prepare(a, x.norms[0], x.turn.as_ref(), row, &mut query);
            let at = |position: usize| ((h / (a.q_heads / kv_heads)) * length.total() + position) * dim;
            let scores: Vec<f64> = (first..=position)
                .map(|p| {
                    let score = dot(&query, &keys[at(p)..][..dim]) * f64::from(a.scale / x.key_scale);
                    a.softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                })
                .collect();
            let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
            let total: f64 = weights.iter().sum();
            rows.extend((0..dim).map(|i| {
                let sum: f64 = weights.iter().enumerate().map(|(p, w)| w * f64::from(values[at(first + p) + i])).sum();
                (sum / total) as f32
            }));
        }
    }
    Attended { rows, keys, values }
}

/// The past with the step's heads behind it, `[kv_heads, past + rows, head_dim]`.
fn joined(past: &[f32], heads: usize, dim: usize, length: Length, step: impl Fn(usize, usize) -> Vec<f32>) -> Vec<f32> {
    let mut all = vec![];
    for head in 0..heads {
        all.extend_from_slice(&past[head * length.past * dim..][..length.past * dim]);
        (0..length.rows).for_each(|row| all.extend(step(row, head)));
    }
    all
}

fn prepare(a: &Attention, norm: Option<(&[f32], f32)>, turn: Option<&Turn<'_>>, row: usize, head: &mut [f32]) {
    let rotate = |head: &mut [f32]| turn.into_iter().for_each(|turn| turn.rotate(row, head));
    if a.norm_after_rotation {
        rotate(head);
    }
    if let Some((weight, eps)) = norm {
        let normed = rms_norm(head, weight, eps);
        head.copy_from_slice(&normed);
    }
    if !a.norm_after_rotation {
        rotate(head);
    }
}

impl Turn<'_> {
    fn rotate(&self, row: usize, head: &mut [f32]) {
        for pair in 0..self.half {
            let (i, j) = if self.interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + self.half) };
            let (cos, sin) = (self.cos[row * self.half + pair], self.sin[row * self.half + pair]);
            (head[i], head[j]) = (head[i] * cos - head[j] * sin, head[j] * cos + head[i] * sin);
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// `x / sqrt(mean(x^2) + eps) * weight` of one row.
pub(super) fn rms_norm(x: &[f32], weight: &[f32], eps: f32) -> Vec<f32> {
    let mean = dot(x, x) / x.len() as f64;
    let factor = 1.0 / (mean + f64::from(eps)).sqrt();
    x.iter().zip(weight).map(|(x, w)| (f64::from(*x) * factor * f64::from(*w)) as f32).collect()
}

/// An activation of one number.
pub(super) fn activated(activation: GateActivation, x: f32) -> f32 {
    let x = f64::from(x);
    let y = match activation {
        GateActivation::Relu => x.max(0.0),
        GateActivation::Silu => x / (1.0 + (-x).exp()),
        GateActivation::GeluTanh => {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }
        GateActivation::Gelu => 0.5 * x * (1.0 + erf(x / std::f64::consts::SQRT_2)),
    };
    y as f32
}

/// The error function, by Abramowitz and Stegun 7.1.26: within 1.5e-7.
fn erf(x: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let series = [0.254_829_592, -0.284_496_736, 1.421_413_741, -1.453_152_027, 1.061_405_429];
    let sum = series.iter().rev().fold(0.0, |sum, c| (sum + c) * t);
    (1.0 - sum * (-x * x).exp()).copysign(x)
}
