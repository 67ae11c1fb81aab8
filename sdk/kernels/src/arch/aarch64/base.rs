//! NEON as every 64-bit ARM has it: bytes are multiplied to 16 bits and then added up.

use std::arch::aarch64::*;

use super::neon::{ByteProducts, Neon, repeated};
use crate::simd::Kernel;

/// NEON is present.
#[derive(Clone, Copy)]
pub(crate) struct Base(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "neon")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Neon(Base(())));
}

/// The 16-bit sums of the products of bytes, those of the first two lanes and those of the last two.
#[derive(Clone, Copy)]
struct Products {
    low: int16x8_t,
    high: int16x8_t,
}

impl Base {
    #[inline(always)]
    fn products(self, a: int8x16_t, b: int8x16_t) -> Products {
        present!(Products { low: vmull_s8(vget_low_s8(a), vget_low_s8(b)), high: vmull_high_s8(a, b) })
    }

    #[inline(always)]
    fn add_products(self, sums: Products, a: int8x16_t, b: int8x16_t) -> Products {
        present!(Products { low: vmlal_s8(sums.low, vget_low_s8(a), vget_low_s8(b)), high: vmlal_high_s8(sums.high, a, b) })
    }
}

impl ByteProducts for Base {
    const BYTE_BIAS: i32 = 128;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        // A product is at most 15 * 127 = 1,905; a pair of sums of eight fits 16 bits.
        let mut products = self.products(present!(vreinterpretq_s8_u8(weights[0])), values[0]);
        for j in 1..N {
            products = self.add_products(products, present!(vreinterpretq_s8_u8(weights[j])), values[j]);
        }
        present!(vpadalq_s16(sum, vpaddq_s16(products.low, products.high)))
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, mut sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t {
        // As signed bytes (w - 128) a product is at most 128 * 127 = 16,256: two fit 16 bits.
        let mut signed = values;
        for j in 0..N {
            signed[j] = present!(vreinterpretq_s8_u8(veorq_u8(weights[j], vdupq_n_u8(128))));
        }
        let zero = present!(vdupq_n_s32(0));
        let (mut low, mut high) = (zero, zero);
        for j in (0..N / 2 * 2).step_by(2) {
            let products = self.add_products(self.products(signed[j], values[j]), signed[j + 1], values[j + 1]);
            (low, high) = present!((vpadalq_s16(low, products.low), vpadalq_s16(high, products.high)));
        }
        if N % 2 == 1 {
            let products = self.products(signed[N - 1], values[N - 1]);
            sum = present!(vpadalq_s16(sum, vpaddq_s16(products.low, products.high)));
        }
        if N >= 2 { present!(vaddq_s32(sum, vpaddq_s32(low, high))) } else { sum }
    }

    #[inline(always)]
    unsafe fn dot_nibbles_repeated<const N: usize>(
        self,
        sum: int32x4_t,
        weights: [uint8x16_t; N],
        values: *const i8,
    ) -> int32x4_t {
        // SAFETY: the caller's promise; `self` is the proof of presence.
        self.dot_nibbles(sum, weights, unsafe { repeated(values) })
    }

    #[inline(always)]
    unsafe fn dot_bytes_repeated<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: *const i8) -> int32x4_t {
        // SAFETY: the caller's promise; `self` is the proof of presence.
        self.dot_bytes(sum, weights, unsafe { repeated(values) })
    }
}
