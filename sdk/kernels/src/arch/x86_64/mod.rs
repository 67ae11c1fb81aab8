//! The vector extensions of x86-64. `avx2` has the operations of 256 bits, and for each level of them a thin file says how it
//! multiplies bytes.

mod avx2;

pub(crate) mod avx512;
pub(crate) mod avx_vnni;
pub(crate) mod pairs;

use std::arch::x86_64::*;

/// 32-bit lanes of a vector of 256 bits.
pub(super) const LANES_256: usize = 8;

/// Stores the first and the second 16 bytes, or the even and the odd ones.
///
/// # Safety
/// The processor has AVX2, and each place is valid for 16 bytes of writes.
#[inline(always)]
unsafe fn store_halves(bytes: __m256i, pairs_apart: bool, to: [*mut i8; 2]) {
    // SAFETY: the caller's promise.
    unsafe {
        let (even, odd) = (_mm256_and_si256(bytes, _mm256_set1_epi16(0xff)), _mm256_srli_epi16::<8>(bytes));
        let apart = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi16(even, odd));
        let halves = if pairs_apart { apart } else { bytes };
        _mm_storeu_si128(to[0].cast(), _mm256_castsi256_si128(halves));
        _mm_storeu_si128(to[1].cast(), _mm256_extracti128_si256::<1>(halves));
    }
}
