//! The operations of AVX2 with FMA and half-precision conversion: 8 lanes. What differs between the levels that have them are the
//! products of bytes, which each brings as its [`ByteProducts`].

use std::arch::x86_64::*;

use half::f16;

use super::store_halves;
use crate::simd::{MAX_LANES, Simd};

/// How a level multiplies bytes. A value is the proof that its features are present.
pub(crate) trait ByteProducts: Copy {
    /// See [`Simd::TILE_DOTS`].
    const TILE_DOTS: usize;
    /// See [`Simd::DOT_VECTORS`].
    const DOT_VECTORS: usize;
    /// See [`Simd::BYTE_BIAS`].
    const BYTE_BIAS: i32;

    /// See [`Simd::dot_nibbles`].
    fn dot_nibbles<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i;
    /// See [`Simd::dot_bytes`].
    fn dot_bytes<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i;
}

/// AVX2, FMA and F16C, and what a level adds to them.
#[derive(Clone, Copy)]
pub(crate) struct Avx2<B>(pub(super) B);

/// Eight set lanes, then eight clear ones: a mask of the first n lanes starts at 8 - n.
static MASK: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];

impl<B: ByteProducts> Avx2<B> {
    /// A mask of the first `lanes` lanes.
    #[inline(always)]
    fn first(self, lanes: usize) -> __m256i {
        let mask = &MASK[8 - lanes.min(8)..][..8];
        present!(_mm256_loadu_si256(mask.as_ptr().cast()))
    }
}

impl<B: ByteProducts> Simd for Avx2<B> {
    type F = __m256;
    type I = __m256i;
    const LANES: usize = super::LANES_256;
    const FLOAT_ROWS: [usize; 2] = [6, 2];
    const TILE_VECTORS: usize = 2;
    const TILE_DOTS: usize = B::TILE_DOTS;
    const DOT_VECTORS: usize = B::DOT_VECTORS;
    const BYTE_BIAS: i32 = B::BYTE_BIAS;

    #[inline(always)]
    fn splat(self, x: f32) -> __m256 {
        present!(_mm256_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, x: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm_storeu_si128(to.cast(), _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, lanes: usize) -> __m256 {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm256_maskload_ps(from, self.first(lanes)) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m256) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, x: __m256, lanes: usize) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm256_maskstore_ps(to, self.first(lanes), x) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        present!(_mm256_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        present!(_mm256_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, x: __m256) -> __m256 {
        present!(_mm256_andnot_ps(_mm256_set1_ps(-0.), x))
    }
    #[inline(always)]
    fn round(self, x: __m256) -> __m256 {
        present!(_mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn times_power_of_two(self, x: __m256, n: __m256) -> __m256 {
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_mul_ps(x, _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent)))
        }
    }
    #[inline(always)]
    fn select_less(self, a: __m256, b: __m256, yes: __m256, no: __m256) -> __m256 {
        present!(_mm256_blendv_ps(no, yes, _mm256_cmp_ps::<_CMP_LT_OQ>(a, b)))
    }
    #[inline(always)]
    fn sum(self, x: __m256) -> f32 {
        let [a, b, c, d] = self.fold_quads(x);
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn sums(self, x: [__m256; 4]) -> [f32; 4] {
        let [a, b, c, d] = x;
        // SAFETY: `self` is the proof of presence.
        self.fold_quads(unsafe {
            let ab = _mm256_add_ps(_mm256_unpacklo_ps(a, b), _mm256_unpackhi_ps(a, b));
            let cd = _mm256_add_ps(_mm256_unpacklo_ps(c, d), _mm256_unpackhi_ps(c, d));
            let [ab, cd] = [_mm256_castps_pd(ab), _mm256_castps_pd(cd)];
            _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab, cd)), _mm256_castpd_ps(_mm256_unpackhi_pd(ab, cd)))
        })
    }
    #[inline(always)]
    fn maximum(self, x: __m256) -> f32 {
        let quad = present!(_mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x)));
        let pair = present!(_mm_max_ps(quad, _mm_movehl_ps(quad, quad)));
        present!(_mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair))))
    }
    #[inline(always)]
    fn fold_quads(self, x: __m256) -> [f32; 4] {
        let mut quad = [0.; 4];
        // SAFETY: `self` is the proof of presence; `quad` has room for the four floats stored.
        unsafe { _mm_storeu_ps(quad.as_mut_ptr(), _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x))) };
        quad
    }
    #[inline(always)]
    fn repeat_quad(self, quad: [f32; 4]) -> __m256 {
        present!(_mm256_broadcast_ps(&_mm_loadu_ps(quad.as_ptr())))
    }
    #[inline(always)]
    unsafe fn load_to_quads(self, from: *const f32) -> __m256 {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set_m128(_mm_broadcast_ss(&*from.add(1)), _mm_broadcast_ss(&*from)) }
    }
    #[inline(always)]
    unsafe fn load_int_to_quads(self, from: *const i32) -> __m256i {
        // SAFETY: the caller's promise; as `load_to_quads`.
        unsafe { _mm256_castps_si256(self.load_to_quads(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_columns(self, from: [*const f32; 4]) -> __m256 {
        // SAFETY: the caller's promise: two floats, eight bytes, behind each pointer.
        let rows = from.map(|from| unsafe { from.cast::<i64>().read_unaligned() });
        let rows = present!(_mm256_castsi256_ps(_mm256_setr_epi64x(rows[0], rows[1], rows[2], rows[3])));
        present!(_mm256_permutevar8x32_ps(rows, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7)))
    }
    #[inline(always)]
    unsafe fn load_columns_f16(self, from: [*const f16; 4]) -> __m256 {
        // SAFETY: the caller's promise: two halves, four bytes, behind each pointer.
        let rows = from.map(|from| unsafe { from.cast::<i32>().read_unaligned() });
        let rows = present!(_mm256_cvtph_ps(_mm_setr_epi32(rows[0], rows[1], rows[2], rows[3])));
        present!(_mm256_permutevar8x32_ps(rows, _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7)))
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> __m256i {
        present!(_mm256_set1_epi32(x))
    }
    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, x: __m256i) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), x) }
    }
    #[inline(always)]
    unsafe fn repeat_4_bytes(self, from: *const i8) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store_block(self, x: [__m256i; 8], pairs_apart: bool, to: [*mut i8; 2]) {
        // SAFETY: the caller's promise for the stores; `self` is the proof of presence.
        unsafe {
            // Packing works within quads and leaves four bytes of each vector's quad together.
            let bytes = _mm256_packs_epi16(_mm256_packs_epi32(x[0], x[1]), _mm256_packs_epi32(x[2], x[3]));
            store_halves(_mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)), pairs_apart, to);
        }
    }
    #[inline(always)]
    fn add_int(self, a: __m256i, b: __m256i) -> __m256i {
        present!(_mm256_add_epi32(a, b))
    }
    #[inline(always)]
    fn mul_int(self, a: __m256i, b: __m256i) -> __m256i {
        present!(_mm256_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn sum_int(self, x: __m256i) -> i32 {
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let quad = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            let pair = _mm_add_epi32(quad, _mm_unpackhi_epi64(quad, quad));
            _mm_cvtsi128_si32(_mm_add_epi32(pair, _mm_shuffle_epi32::<1>(pair)))
        }
    }
    #[inline(always)]
    fn to_float(self, x: __m256i) -> __m256 {
        present!(_mm256_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn to_int(self, x: __m256) -> __m256i {
        present!(_mm256_cvtps_epi32(x))
    }
    #[inline(always)]
    fn magnitude_bits(self, x: __m256) -> __m256i {
        present!(_mm256_castps_si256(self.abs(x)))
    }
    #[inline(always)]
    fn max_int(self, a: __m256i, b: __m256i) -> __m256i {
        present!(_mm256_max_epi32(a, b))
    }
    #[inline(always)]
    fn maximum_int(self, x: __m256i) -> i32 {
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let quad = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
            let pair = _mm_max_epi32(quad, _mm_unpackhi_epi64(quad, quad));
            _mm_cvtsi128_si32(_mm_max_epi32(pair, _mm_shuffle_epi32::<1>(pair)))
        }
    }
    #[inline(always)]
    fn split_nibbles(self, x: __m256i) -> (__m256i, __m256i) {
        let low = present!(_mm256_set1_epi8(15));
        present!((_mm256_and_si256(x, low), _mm256_and_si256(_mm256_srli_epi16::<4>(x), low)))
    }
    #[inline(always)]
    fn fields<const BITS: u32>(self, words: [u32; 4]) -> __m256i {
        let [a, b, c, d] = words.map(u32::cast_signed);
        let shift = BITS.cast_signed();
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let quad = _mm256_setr_epi32(a, b, c, d, a, b, c, d);
            let shifts = _mm256_setr_epi32(0, 0, 0, 0, shift, shift, shift, shift);
            _mm256_and_si256(_mm256_srlv_epi32(quad, shifts), _mm256_set1_epi32((1 << BITS) - 1))
        }
    }
    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        self.0.dot_nibbles(sum, weights, values)
    }
    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: __m256i, weights: [__m256i; N], values: [__m256i; N]) -> __m256i {
        self.0.dot_bytes(sum, weights, values)
    }
    #[inline(always)]
    fn sum_within_quads(self, x: [__m256i; 4]) -> __m256i {
        let [a, b, c, d] = x;
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let ab = _mm256_add_epi32(_mm256_unpacklo_epi32(a, b), _mm256_unpackhi_epi32(a, b));
            let cd = _mm256_add_epi32(_mm256_unpacklo_epi32(c, d), _mm256_unpackhi_epi32(c, d));
            _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd))
        }
    }
    #[inline(always)]
    fn add_neighbour_quads(self, a: __m256i, b: __m256i) -> __m256i {
        present!(_mm256_add_epi32(_mm256_permute2x128_si256::<0x20>(a, b), _mm256_permute2x128_si256::<0x31>(a, b)))
    }
    #[inline(always)]
    unsafe fn transpose(self, rows: &[*const u8; MAX_LANES], to: *mut u8) {
        // SAFETY: the caller's promise for loads and stores; `self` is the proof of presence.
        unsafe {
            let mut r = [_mm256_setzero_si256(); 8];
            let mut t = r;
            for (r, row) in r.iter_mut().zip(rows) {
                *r = _mm256_loadu_si256(row.cast());
            }
            for i in 0..4 {
                t[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
            }
            for i in 0..2 {
                r[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
                r[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
                r[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
                r[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
            }
            // Now quad q of r[4 * i + j] holds column 4 * q + j of rows 4 * i ..: transpose the quads.
            for j in 0..4 {
                t[j] = _mm256_permute2x128_si256::<0x20>(r[j], r[4 + j]);
                t[4 + j] = _mm256_permute2x128_si256::<0x31>(r[j], r[4 + j]);
            }
            for (j, column) in t.into_iter().enumerate() {
                _mm256_storeu_si256(to.add(j * 32).cast(), column);
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        present!(_mm_prefetch::<_MM_HINT_T0>(address.cast()))
    }
    #[inline(always)]
    fn prefetch_second_level(self, address: *const u8) {
        present!(_mm_prefetch::<_MM_HINT_T1>(address.cast()))
    }
}
