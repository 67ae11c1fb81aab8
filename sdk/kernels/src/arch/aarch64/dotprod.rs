//! NEON with the dot product: four products of signed bytes a lane in one instruction, `sdot`.

use std::arch::aarch64::*;

use super::instructions::{sdot, sdot_lane};
use super::neon::{ByteProducts, Neon};
use crate::simd::Kernel;

/// NEON with the dot product is present.
#[derive(Clone, Copy)]
pub(crate) struct DotProd(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "neon,dotprod")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Neon(DotProd(())));
}

impl DotProd {
    /// The weights less 128: with the highest bit flipped, unsigned bytes are signed ones.
    #[inline(always)]
    fn centred<const N: usize>(self, mut weights: [uint8x16_t; N]) -> [uint8x16_t; N] {
        for j in 0..N {
            weights[j] = present!(veorq_u8(weights[j], vdupq_n_u8(128)));
        }
        weights
    }
}

impl ByteProducts for DotProd {
    const BYTE_BIAS: i32 = 128;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, mut sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        for j in 0..N {
            sum = present!(sdot(sum, vreinterpretq_s8_u8(weights[j]), values[j]));
        }
        sum
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        self.dot_nibbles(sum, self.centred(weights), values)
    }

    #[inline(always)]
    unsafe fn dot_nibbles_repeated<const N: usize>(
        self,
        mut sum: int32x4_t,
        weights: [uint8x16_t; N],
        values: *const i8,
    ) -> int32x4_t {
        // SAFETY: the caller's promise, for four vectors each; `self` is the proof of presence.
        unsafe {
            for j in (0..N).step_by(4) {
                let four = vld1q_s8(values.add(4 * j));
                sum = sdot_lane::<0>(sum, vreinterpretq_s8_u8(weights[j]), four);
                sum = sdot_lane::<1>(sum, vreinterpretq_s8_u8(weights[j + 1]), four);
                sum = sdot_lane::<2>(sum, vreinterpretq_s8_u8(weights[j + 2]), four);
                sum = sdot_lane::<3>(sum, vreinterpretq_s8_u8(weights[j + 3]), four);
            }
        }
        sum
    }

    #[inline(always)]
    unsafe fn dot_bytes_repeated<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: *const i8) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { self.dot_nibbles_repeated(sum, self.centred(weights), values) }
    }
}
