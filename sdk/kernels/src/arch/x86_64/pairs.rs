//! AVX2 as such: bytes are multiplied to 16 bits, in pairs, and then added up.

use std::arch::x86_64::*;

use super::avx2::{Avx2, ByteProducts};
use crate::simd::Kernel;

/// AVX2, FMA and F16C are present.
#[derive(Clone, Copy)]
pub(crate) struct Pairs(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "avx2,fma,f16c")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Avx2(Pairs(())));
}

impl Pairs {
    /// Adds neighbouring pairs of 16-bit lanes.
    #[inline(always)]
    fn widen_pairs(self, x: __m256i) -> __m256i {
        present!(_mm256_madd_epi16(x, _mm256_set1_epi16(1)))
    }
}

impl ByteProducts for Pairs {
    const TILE_DOTS: usize = 4;
    const DOT_VECTORS: usize = 8;
    const BYTE_BIAS: i32 = 128;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        // A pair is at most 2 * 15 * 127 = 3,810; eight of them fit 16 bits.
        let mut pairs = present!(_mm256_maddubs_epi16(weights[0], values[0]));
        for j in 1..N {
            pairs = present!(_mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[j], values[j])));
        }
        present!(_mm256_add_epi32(sum, self.widen_pairs(pairs)))
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, mut sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        // As signed bytes (w - 128) the pair of |w| and sign(w) * value is at most 2 * 128 * 127 = 32,512, which fits 16 bits;
        // 255 * 127 * 2 would not.
        for j in 0..N {
            let signed = present!(_mm256_xor_si256(weights[j], _mm256_set1_epi8(-128)));
            let pairs = present!(_mm256_maddubs_epi16(_mm256_abs_epi8(signed), _mm256_sign_epi8(values[j], signed)));
            sum = present!(_mm256_add_epi32(sum, self.widen_pairs(pairs)));
        }
        sum
    }
}
