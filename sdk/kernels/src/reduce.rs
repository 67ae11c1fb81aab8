//! Reductions over a row of logits, as long as a vocabulary.

use crate::cpu::Isa;
use crate::math::exp;
use crate::simd::{Kernel, MAX_LANES, Simd};

/// The largest value; `None` where one is NaN or positive infinity. Negative infinity of no values.
pub fn maximum(isa: Isa, values: &[f32]) -> Option<f32> {
    let mut result = Some(f32::NEG_INFINITY);
    isa.run(Maximum { values, result: &mut result });
    result
}

/// `sum(exp(value - top))`, each term within 2^-21 of its value, added up in float64; terms below 2^-126 count as zero.
/// `top` is finite, and no value is above it or NaN.
pub fn sum_of_exponentials(isa: Isa, values: &[f32], top: f32) -> f64 {
    let mut result = 0.;
    isa.run(SumOfExponentials { values, top, result: &mut result });
    result
}

struct Maximum<'a> {
    values: &'a [f32],
    result: &'a mut Option<f32>,
}

impl Kernel for Maximum<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (chunks, rest) = self.values.split_at(self.values.len() / S::LANES * S::LANES);
        let (mut top, mut bad) = (s.splat(f32::NEG_INFINITY), s.splat(0.));
        for chunk in chunks.chunks_exact(S::LANES) {
            // SAFETY: the chunk is a vector long.
            let x = unsafe { s.load(chunk.as_ptr()) };
            top = s.max(x, top);
            bad = s.select_less(x, s.splat(f32::INFINITY), bad, s.splat(1.));
        }
        // The remainder is shorter than a vector.
        let fits = rest.iter().all(|&x| x < f32::INFINITY) && s.sum(bad) == 0.;
        *self.result = fits.then(|| rest.iter().copied().fold(s.maximum(top), f32::max));
    }
}

struct SumOfExponentials<'a> {
    values: &'a [f32],
    top: f32,
    result: &'a mut f64,
}

/// Vectors whose terms are added in float32 before their sum goes to float64.
const VECTORS_AT_ONCE: usize = 16;

impl Kernel for SumOfExponentials<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let top = s.splat(self.top);
        let mut total = 0.;
        for stretch in self.values.chunks(VECTORS_AT_ONCE * S::LANES) {
            let mut sum = s.splat(0.);
            for chunk in stretch.chunks(S::LANES) {
                // SAFETY: the chunk is a vector long, or the buffer is.
                let x = unsafe {
                    if chunk.len() == S::LANES {
                        s.load(chunk.as_ptr())
                    } else {
                        let mut padded = [f32::NEG_INFINITY; MAX_LANES];
                        padded[..chunk.len()].copy_from_slice(chunk);
                        s.load(padded.as_ptr())
                    }
                };
                sum = s.add(sum, exp(s, s.sub(x, top)));
            }
            total += f64::from(s.sum(sum));
        }
        *self.result = total;
    }
}
