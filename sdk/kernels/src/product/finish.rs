//! Epilogues of a product, applied before its results leave the cache: a bias, or a gate.

use super::GateActivation;
use crate::float_product::Rows;
use crate::math::gate;
use crate::simd::{Kernel, Simd};

/// `y += bias` in each row.
pub(super) struct AddBias<'a> {
    /// `[columns]`
    pub(super) bias: &'a [f32],
    /// `[m, columns]`
    pub(super) y: Rows<f32>,
    pub(super) m: usize,
}

impl Kernel for AddBias<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        for row in 0..self.m {
            // SAFETY: the bias is as long as the item's columns (`check` of product), y is `[m, columns]`, this item's alone.
            let y = unsafe { std::slice::from_raw_parts_mut(self.y.row(row, 0), self.bias.len()) };
            for (y, bias) in y.iter_mut().zip(self.bias) {
                *y += bias;
            }
        }
    }
}

/// `y *= activation(gate)`.
pub(super) struct Gate<'a> {
    pub(super) activation: GateActivation,
    /// `[m, columns]`
    pub(super) gate: &'a [f32],
    pub(super) columns: usize,
    /// `[m, columns]`
    pub(super) y: Rows<f32>,
}

impl Kernel for Gate<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for (row, gates) in self.gate.chunks_exact(self.columns).enumerate() {
            for start in (0..self.columns).step_by(S::LANES) {
                let lanes = (self.columns - start).min(S::LANES);
                // SAFETY: gate and y are `[m, columns]`, and this item alone uses them.
                unsafe {
                    let y = self.y.row(row, start);
                    let x = gate(s, self.activation, s.load_partial(gates.as_ptr().add(start), lanes));
                    s.store_partial(y, s.mul(x, s.load_partial(y, lanes)), lanes);
                }
            }
        }
    }
}
