//! AVX2 with AVX-VNNI: four products of bytes a lane in one instruction, `vpdpbusd`.

use std::arch::x86_64::*;

use super::avx2::{Avx2, ByteProducts};
use crate::simd::Kernel;

/// AVX2, FMA, F16C and AVX-VNNI are present.
#[derive(Clone, Copy)]
pub(crate) struct AvxVnni(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "avx2,fma,f16c,avxvnni")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Avx2(AvxVnni(())));
}

impl ByteProducts for AvxVnni {
    const TILE_DOTS: usize = 1;
    const DOT_VECTORS: usize = 1;
    const BYTE_BIAS: i32 = 0;

    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        self.dot_bytes(sum, weights, values)
    }

    #[inline(always)]
    fn dot_bytes<const N: usize>(self, mut sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        for j in 0..N {
            sum = present!(_mm256_dpbusd_avx_epi32(sum, weights[j], values[j]));
        }
        sum
    }
}
