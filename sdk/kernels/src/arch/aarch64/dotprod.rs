//! NEON with the dot product (`sdot`): four products of signed bytes a lane in one instruction.

use std::arch::aarch64::*;

use super::instructions::sdot;
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
        // The sign bit flipped is 128 less.
        let mut signed = weights;
        for j in 0..N {
            signed[j] = present!(veorq_u8(weights[j], vdupq_n_u8(128)));
        }
        self.dot_nibbles(sum, signed, values)
    }
}
