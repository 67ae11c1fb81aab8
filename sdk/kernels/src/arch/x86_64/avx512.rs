//! AVX-512 with the vector neural network instructions (VNNI): 16 lanes, a four-way byte product in one instruction, masks.

use std::arch::x86_64::*;

use half::f16;

use super::store_halves;
use crate::simd::{Kernel, MAX_LANES, Simd};

/// AVX-512 F, BW, VL and VNNI are present.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Runs a kernel with these instructions.
///
/// # Safety
/// The processor has the features named here.
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni")]
pub(crate) unsafe fn run(kernel: impl Kernel) {
    kernel.run(Avx512(()));
}

/// A mask of the first `lanes` lanes.
#[inline(always)]
fn first(lanes: usize) -> __mmask16 {
    if lanes >= 16 { 0xffff } else { (1 << lanes) - 1 }
}

impl Simd for Avx512 {
    type F = __m512;
    type I = __m512i;
    const LANES: usize = 16;
    const FLOAT_ROWS: [usize; 2] = [8, 6];
    const TILE_VECTORS: usize = 3;
    const TILE_DOTS: usize = 1;
    const DOT_VECTORS: usize = 1;
    const BYTE_BIAS: i32 = 0;

    #[inline(always)]
    fn splat(self, x: f32) -> __m512 {
        present!(_mm512_set1_ps(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_ps(from) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, x: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x)) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, lanes: usize) -> __m512 {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm512_maskz_loadu_ps(first(lanes), from) }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> __m512 {
        // SAFETY: the caller's promise.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.cast())) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: __m512) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_ps(to, x) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, x: __m512, lanes: usize) {
        // SAFETY: the caller's promise; masked lanes are not touched.
        unsafe { _mm512_mask_storeu_ps(to, first(lanes), x) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_add_ps(a, b))
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_sub_ps(a, b))
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_mul_ps(a, b))
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_div_ps(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        present!(_mm512_fmadd_ps(a, b, c))
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_min_ps(a, b))
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        present!(_mm512_max_ps(a, b))
    }
    #[inline(always)]
    fn abs(self, x: __m512) -> __m512 {
        present!(_mm512_abs_ps(x))
    }
    #[inline(always)]
    fn round(self, x: __m512) -> __m512 {
        present!(_mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(x))
    }
    #[inline(always)]
    fn times_power_of_two(self, x: __m512, n: __m512) -> __m512 {
        present!(_mm512_scalef_ps(x, n))
    }
    #[inline(always)]
    fn select_less(self, a: __m512, b: __m512, yes: __m512, no: __m512) -> __m512 {
        present!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), no, yes))
    }
    #[inline(always)]
    fn sum(self, x: __m512) -> f32 {
        let [a, b, c, d] = self.fold_quads(x);
        (a + c) + (b + d)
    }
    #[inline(always)]
    fn sums(self, x: [__m512; 4]) -> [f32; 4] {
        let [a, b, c, d] = x;
        // SAFETY: `self` is the proof of presence.
        self.fold_quads(unsafe {
            let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
            let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
            let [ab, cd] = [_mm512_castps_pd(ab), _mm512_castps_pd(cd)];
            _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)), _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)))
        })
    }
    #[inline(always)]
    fn maximum(self, x: __m512) -> f32 {
        present!(_mm512_reduce_max_ps(x))
    }
    #[inline(always)]
    fn fold_quads(self, x: __m512) -> [f32; 4] {
        let mut quad = [0.; 4];
        // SAFETY: `self` is the proof of presence; `quad` has room for the four floats stored.
        unsafe {
            let first = _mm_add_ps(_mm512_castps512_ps128(x), _mm512_extractf32x4_ps::<1>(x));
            let third = _mm_add_ps(first, _mm512_extractf32x4_ps::<2>(x));
            _mm_storeu_ps(quad.as_mut_ptr(), _mm_add_ps(third, _mm512_extractf32x4_ps::<3>(x)));
        }
        quad
    }
    #[inline(always)]
    fn repeat_quad(self, quad: [f32; 4]) -> __m512 {
        present!(_mm512_broadcast_f32x4(_mm_loadu_ps(quad.as_ptr())))
    }
    #[inline(always)]
    unsafe fn load_to_quads(self, from: *const f32) -> __m512 {
        // SAFETY: the caller's promise; as `load_int_to_quads`.
        unsafe { _mm512_castsi512_ps(self.load_int_to_quads(from.cast())) }
    }
    #[inline(always)]
    unsafe fn load_int_to_quads(self, from: *const i32) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe {
            let blocks = _mm512_castsi128_si512(_mm_loadu_si128(from.cast()));
            _mm512_permutexvar_epi32(_mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3), blocks)
        }
    }
    #[inline(always)]
    unsafe fn load_columns(self, from: [*const f32; 4]) -> __m512 {
        // SAFETY: the caller's promise: four floats behind each pointer.
        unsafe {
            let rows = _mm512_insertf32x4::<1>(_mm512_castps128_ps512(_mm_loadu_ps(from[0])), _mm_loadu_ps(from[1]));
            let rows = _mm512_insertf32x4::<2>(rows, _mm_loadu_ps(from[2]));
            let rows = _mm512_insertf32x4::<3>(rows, _mm_loadu_ps(from[3]));
            _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), rows)
        }
    }
    #[inline(always)]
    unsafe fn load_columns_f16(self, from: [*const f16; 4]) -> __m512 {
        // SAFETY: the caller's promise: four halves, eight bytes, behind each pointer.
        unsafe {
            let rows = from.map(|from| from.cast::<i64>().read_unaligned());
            let rows = _mm512_cvtph_ps(_mm256_setr_epi64x(rows[0], rows[1], rows[2], rows[3]));
            _mm512_permutexvar_ps(_mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15), rows)
        }
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> __m512i {
        present!(_mm512_set1_epi32(x))
    }
    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, x: __m512i) {
        // SAFETY: the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), x) }
    }
    #[inline(always)]
    unsafe fn repeat_4_bytes(self, from: *const i8) -> __m512i {
        // SAFETY: the caller's promise.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store_block(self, x: [__m512i; 8], pairs_apart: bool, to: [*mut i8; 2]) {
        // SAFETY: the caller's promise for the stores; `self` is the proof of presence.
        unsafe { store_halves(_mm256_set_m128i(_mm512_cvtepi32_epi8(x[1]), _mm512_cvtepi32_epi8(x[0])), pairs_apart, to) }
    }
    #[inline(always)]
    fn add_int(self, a: __m512i, b: __m512i) -> __m512i {
        present!(_mm512_add_epi32(a, b))
    }
    #[inline(always)]
    fn mul_int(self, a: __m512i, b: __m512i) -> __m512i {
        present!(_mm512_mullo_epi32(a, b))
    }
    #[inline(always)]
    fn sum_int(self, x: __m512i) -> i32 {
        present!(_mm512_reduce_add_epi32(x))
    }
    #[inline(always)]
    fn to_float(self, x: __m512i) -> __m512 {
        present!(_mm512_cvtepi32_ps(x))
    }
    #[inline(always)]
    fn to_int(self, x: __m512) -> __m512i {
        present!(_mm512_cvtps_epi32(x))
    }
    #[inline(always)]
    fn magnitude_bits(self, x: __m512) -> __m512i {
        present!(_mm512_castps_si512(_mm512_abs_ps(x)))
    }
    #[inline(always)]
    fn max_int(self, a: __m512i, b: __m512i) -> __m512i {
        present!(_mm512_max_epi32(a, b))
    }
    #[inline(always)]
    fn maximum_int(self, x: __m512i) -> i32 {
        present!(_mm512_reduce_max_epi32(x))
    }
    #[inline(always)]
    fn split_nibbles(self, x: __m512i) -> (__m512i, __m512i) {
        let low = present!(_mm512_set1_epi8(15));
        present!((_mm512_and_si512(x, low), _mm512_and_si512(_mm512_srli_epi16::<4>(x), low)))
    }
    #[inline(always)]
    fn fields<const BITS: u32>(self, words: [u32; 4]) -> __m512i {
        let words = words.map(u32::cast_signed);
        let shifts = [0, BITS, 2 * BITS, 3 * BITS].map(u32::cast_signed);
        let mask = (1 << BITS) - 1;
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let quad = _mm512_broadcast_i32x4(_mm_setr_epi32(words[0], words[1], words[2], words[3]));
            let [a, b, c, d] = shifts;
            let shifts = _mm512_setr_epi32(a, a, a, a, b, b, b, b, c, c, c, c, d, d, d, d);
            _mm512_and_si512(_mm512_srlv_epi32(quad, shifts), _mm512_set1_epi32(mask))
        }
    }
    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, mut sum: __m512i, weights: [__m512i; N], values: [__m512i; N]) -> __m512i {
        for j in 0..N {
            sum = present!(_mm512_dpbusd_epi32(sum, weights[j], values[j]));
        }
        sum
    }
    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: __m512i, weights: [__m512i; N], values: [__m512i; N]) -> __m512i {
        self.dot_nibbles(sum, weights, values)
    }
    #[inline(always)]
    fn sum_within_quads(self, x: [__m512i; 4]) -> __m512i {
        let [a, b, c, d] = x;
        // SAFETY: `self` is the proof of presence.
        unsafe {
            let ab = _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let cd = _mm512_add_epi32(_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd))
        }
    }
    #[inline(always)]
    fn add_neighbour_quads(self, a: __m512i, b: __m512i) -> __m512i {
        present!(_mm512_add_epi32(_mm512_shuffle_i32x4::<0b10_00_10_00>(a, b), _mm512_shuffle_i32x4::<0b11_01_11_01>(a, b)))
    }
    #[inline(always)]
    unsafe fn transpose(self, rows: &[*const u8; MAX_LANES], to: *mut u8) {
        // SAFETY: the caller's promise for loads and stores; `self` is the proof of presence.
        unsafe {
            let mut r = [_mm512_setzero_si512(); 16];
            let mut t = r;
            for (r, row) in r.iter_mut().zip(rows) {
                *r = _mm512_loadu_si512(row.cast());
            }
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
            }
            for i in 0..4 {
                r[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
                r[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
                r[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
                r[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
            }
            // Now quad q of r[4 * i + j] holds column 4 * q + j of rows 4 * i ..: transpose the quads.
            for j in 0..4 {
                let even = [_mm512_shuffle_i32x4::<0x88>(r[j], r[4 + j]), _mm512_shuffle_i32x4::<0x88>(r[8 + j], r[12 + j])];
                let odd = [_mm512_shuffle_i32x4::<0xdd>(r[j], r[4 + j]), _mm512_shuffle_i32x4::<0xdd>(r[8 + j], r[12 + j])];
                t[j] = _mm512_shuffle_i32x4::<0x88>(even[0], even[1]);
                t[4 + j] = _mm512_shuffle_i32x4::<0x88>(odd[0], odd[1]);
                t[8 + j] = _mm512_shuffle_i32x4::<0xdd>(even[0], even[1]);
                t[12 + j] = _mm512_shuffle_i32x4::<0xdd>(odd[0], odd[1]);
            }
            for (j, column) in t.into_iter().enumerate() {
                _mm512_storeu_si512(to.add(j * 64).cast(), column);
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
