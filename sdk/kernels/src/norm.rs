//! Root-mean-square norms over rows.

use std::ops::Range;

use crate::float_product::Rows;
use crate::pool::Pool;
use crate::simd::{Kernel, Simd};

/// Rows of an item.
const ROWS: usize = 8;

/// `y = x / rms(x) * (offset + weight)` for each row, with `rms(x) = sqrt(mean(x^2) + eps)`.
///
/// `x` and `y` are `[rows, width]`, `weight` is `[width]`; `offset` is 0, or 1 for Gemma.
///
/// # Panics
/// Where the lengths do not fit together.
pub fn rms_norm(pool: &Pool, x: &[f32], weight: &[f32], offset: f32, eps: f32, y: &mut [f32]) {
    assert!(x.len() == y.len(), "norm of {} values into {}", x.len(), y.len());
    let norm = Norm { weight, offset, eps };
    norm_rows(pool, x, None, norm, y.as_mut_ptr());
}

/// `sum = x + residual`, `y = rms_norm(sum)`. All buffers of rows are `[rows, width]`.
///
/// # Panics
/// Where the lengths do not fit together.
#[allow(clippy::too_many_arguments)] // two inputs, two outputs and the norm's three: a struct would serve one call only
pub fn add_rms_norm(
    pool: &Pool,
    x: &[f32],
    residual: &[f32],
    weight: &[f32],
    offset: f32,
    eps: f32,
    y: &mut [f32],
    sum: &mut [f32],
) {
    let lengths = [x.len(), residual.len(), y.len(), sum.len()];
    assert!(lengths.iter().all(|&len| len == x.len()), "buffers of different lengths: {lengths:?}");
    let norm = Norm { weight, offset, eps };
    norm_rows(pool, x, Some((residual, Rows { at: sum.as_mut_ptr(), stride: weight.len() })), norm, y.as_mut_ptr());
}

/// A norm's parameters.
#[derive(Clone, Copy)]
pub(crate) struct Norm<'a> {
    /// `[width]`
    pub(crate) weight: &'a [f32],
    pub(crate) offset: f32,
    pub(crate) eps: f32,
}

/// `y` is as long as `x`, and so are residual and sum.
fn norm_rows(pool: &Pool, x: &[f32], add: Option<(&[f32], Rows<f32>)>, norm: Norm<'_>, y: *mut f32) {
    let width = norm.weight.len();
    assert!(width > 0 && x.len().is_multiple_of(width), "rows of {width} values from {}", x.len());
    let (rows, y) = (x.len() / width, Rows { at: y, stride: width });
    pool.for_each(rows.div_ceil(ROWS), |item, _| {
        pool.isa().run(NormRows { x, add, norm, y, rows: item * ROWS..(item * ROWS + ROWS).min(rows) });
    });
}

/// One item: some rows.
struct NormRows<'a> {
    /// `[rows, width]`
    x: &'a [f32],
    /// The residual that is added to x, and the destination of the sum, both `[rows, width]`.
    add: Option<(&'a [f32], Rows<f32>)>,
    norm: Norm<'a>,
    /// `[rows, width]`
    y: Rows<f32>,
    rows: Range<usize>,
}

impl Kernel for NormRows<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let width = self.norm.weight.len();
        for row in self.rows {
            let mut x = &self.x[row * width..][..width];
            // SAFETY: y and sum are `[rows, width]`, and only this item has this row.
            let y = unsafe { std::slice::from_raw_parts_mut(self.y.row(row, 0), width) };
            if let Some((residual, sum)) = self.add {
                // SAFETY: as above.
                let sum = unsafe { std::slice::from_raw_parts_mut(sum.row(row, 0), width) };
                for ((sum, x), residual) in sum.iter_mut().zip(x).zip(&residual[row * width..]) {
                    *sum = x + residual;
                }
                x = sum;
            }
            let factor = s.splat(self.norm.factor(s, x));
            for i in (0..width).step_by(S::LANES) {
                let lanes = (width - i).min(S::LANES);
                // SAFETY: x, y and the weight hold `lanes` values from `i`.
                unsafe {
                    let weight = s.add(s.splat(self.norm.offset), s.load_partial(self.norm.weight.as_ptr().add(i), lanes));
                    let x = s.mul(s.load_partial(x.as_ptr().add(i), lanes), factor);
                    s.store_partial(y.as_mut_ptr().add(i), s.mul(x, weight), lanes);
                }
            }
        }
    }
}

impl Norm<'_> {
    /// `1 / rms(x)`
    #[inline(always)]
    fn factor<S: Simd>(&self, s: S, x: &[f32]) -> f32 {
        let mut squares = s.splat(0.);
        for i in (0..x.len()).step_by(S::LANES) {
            // SAFETY: x holds these lanes from `i`.
            let x = unsafe { s.load_partial(x.as_ptr().add(i), (x.len() - i).min(S::LANES)) };
            squares = s.mul_add(x, x, squares);
        }
        1. / (s.sum(squares) / x.len() as f32 + self.eps).sqrt()
    }

    /// Norms one row in place.
    #[inline(always)]
    pub(crate) fn apply<S: Simd>(&self, s: S, x: &mut [f32]) {
        let factor = self.factor(s, x);
        for (x, weight) in x.iter_mut().zip(self.weight) {
            *x = *x * factor * (self.offset + weight);
        }
    }
}
