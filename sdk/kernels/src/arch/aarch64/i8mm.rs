//! NEON with the dot product and the integer matrix instructions (`usdot`): bytes of weights meet bytes of values as they are.

use std::arch::aarch64::*;

use super::instructions::usdot;
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
    fn dot_nibbles<const N: usize>(self, mut sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        for j in 0..N {
            sum = present!(usdot(sum, weights[j], values[j]));
        }
        sum
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        self.dot_nibbles(sum, weights, values)
    }
}
