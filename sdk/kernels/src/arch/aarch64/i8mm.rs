//! NEON with the dot product of the integer matrix instructions, `usdot`: bytes of weights are unsigned as they lie in memory.
//!
//! The matrix product itself, `smmla`, is not used: it takes pairs of weight rows and pairs of rows of x, 8 bytes of each, and neither
//! the tiles nor the quantised rows lie so.

use std::arch::aarch64::*;

use super::instructions::{usdot, usdot_lane};
use super::neon::{ByteProducts, Neon};
use crate::simd::Kernel;

/// NEON with the dot product and the integer matrix instructions is present.
#[derive(Clone, Copy)]
pub(crate) struct I8mm(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "neon,dotprod,i8mm")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Neon(I8mm(())));
}

impl ByteProducts for I8mm {
    const BYTE_BIAS: i32 = 0;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        self.dot_bytes(sum, weights, values)
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, mut sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        for j in 0..N {
            sum = present!(usdot(sum, weights[j], values[j]));
        }
        sum
    }

    #[inline(always)]
    unsafe fn dot_nibbles_repeated<const N: usize>(
        self,
        sum: int32x4_t,
        weights: [uint8x16_t; N],
        values: *const i8,
    ) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { self.dot_bytes_repeated(sum, weights, values) }
    }

    #[inline(always)]
    unsafe fn dot_bytes_repeated<const N: usize>(
        self,
        mut sum: int32x4_t,
        weights: [uint8x16_t; N],
        values: *const i8,
    ) -> int32x4_t {
        // SAFETY: the caller's promise, for four vectors each; `self` is the proof of presence.
        unsafe {
            for j in (0..N).step_by(4) {
                let four = vld1q_s8(values.add(4 * j));
                sum = usdot_lane::<0>(sum, weights[j], four);
                sum = usdot_lane::<1>(sum, weights[j + 1], four);
                sum = usdot_lane::<2>(sum, weights[j + 2], four);
                sum = usdot_lane::<3>(sum, weights[j + 3], four);
            }
        }
        sum
    }
}
