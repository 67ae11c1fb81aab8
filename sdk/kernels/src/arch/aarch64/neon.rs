//! The operations of NEON: 4 lanes. All 64-bit ARM processors have everything in this file; what differs between the levels are the
//! products of bytes, which each brings as its [`ByteProducts`].

use std::arch::aarch64::*;

use half::f16;

use super::instructions;
use crate::simd::{MAX_LANES, Simd};

/// How a level multiplies bytes: the operations of [`Simd`] with these names. A value is the proof that its features are present.
pub(crate) trait ByteProducts: Copy {
    /// See [`Simd::BYTE_BIAS`].
    const BYTE_BIAS: i32;

    /// See [`Simd::dot_nibbles`].
    fn dot_nibbles<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t;
    /// See [`Simd::dot_bytes`].
    fn dot_bytes<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: [int8x16_t; N]) -> int32x4_t;
    /// See [`Simd::dot_nibbles_repeated`].
    /// # Safety
    /// `values` is valid for `4 * N` bytes of reads.
    unsafe fn dot_nibbles_repeated<const N: usize>(
        self,
        sum: int32x4_t,
        weights: [uint8x16_t; N],
        values: *const i8,
    ) -> int32x4_t;
    /// See [`Simd::dot_bytes_repeated`].
    /// # Safety
    /// `values` is valid for `4 * N` bytes of reads.
    unsafe fn dot_bytes_repeated<const N: usize>(self, sum: int32x4_t, weights: [uint8x16_t; N], values: *const i8) -> int32x4_t;
}

/// Vector j is all lanes the four bytes at `values + 4 * j`. N is 4 or 8.
///
/// # Safety
/// NEON is present, and `values` is valid for `4 * N` bytes of reads.
#[inline(always)]
pub(super) unsafe fn repeated<const N: usize>(values: *const i8) -> [int8x16_t; N] {
    // SAFETY: the caller's promise.
    unsafe {
        let mut repeated = [vdupq_n_s8(0); N];
        for j in (0..N).step_by(4) {
            let four = vreinterpretq_s32_s8(vld1q_s8(values.add(4 * j)));
            repeated[j] = vreinterpretq_s8_s32(vdupq_laneq_s32::<0>(four));
            repeated[j + 1] = vreinterpretq_s8_s32(vdupq_laneq_s32::<1>(four));
            repeated[j + 2] = vreinterpretq_s8_s32(vdupq_laneq_s32::<2>(four));
            repeated[j + 3] = vreinterpretq_s8_s32(vdupq_laneq_s32::<3>(four));
        }
        repeated
    }
}

/// NEON, and what a level adds to it.
#[derive(Clone, Copy)]
pub(crate) struct Neon<B>(pub(super) B);

impl<B: ByteProducts> Neon<B> {
    #[inline(always)]
    fn unsigned<const N: usize>(self, x: [int32x4_t; N]) -> [uint8x16_t; N] {
        let mut bytes = [present!(vdupq_n_u8(0)); N];
        for j in 0..N {
            bytes[j] = present!(vreinterpretq_u8_s32(x[j]));
        }
        bytes
    }

    #[inline(always)]
    fn signed<const N: usize>(self, x: [int32x4_t; N]) -> [int8x16_t; N] {
        let mut bytes = [present!(vdupq_n_s8(0)); N];
        for j in 0..N {
            bytes[j] = present!(vreinterpretq_s8_s32(x[j]));
        }
        bytes
    }
}

impl<B: ByteProducts> Simd for Neon<B> {
    type F = float32x4_t;
    type I = int32x4_t;
    const LANES: usize = super::LANES;
    const FLOAT_ROWS: [usize; 2] = [8, 6];
    const TILE_VECTORS: usize = 1;
    const TILE_DOTS: usize = 8;
    const DOT_VECTORS: usize = 8;
    const BYTE_BIAS: i32 = B::BYTE_BIAS;

    #[inline(always)]
    fn splat(self, x: f32) -> float32x4_t {
        present!(vdupq_n_f32(x))
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vld1q_f32(from) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, lanes: usize) -> float32x4_t {
        // SAFETY: the caller's promise for the first `lanes`; `self` is the proof of presence.
        unsafe {
            let zero = vdupq_n_f32(0.);
            match lanes {
                0 => zero,
                1 => vsetq_lane_f32::<0>(from.read_unaligned(), zero),
                2 => vcombine_f32(vld1_f32(from), vget_low_f32(zero)),
                3 => {
                    let pair = vcombine_f32(vld1_f32(from), vget_low_f32(zero));
                    vsetq_lane_f32::<2>(from.add(2).read_unaligned(), pair)
                }
                _ => vld1q_f32(from),
            }
        }
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> float32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from.cast()))) }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, x: float32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1_u16(to.cast(), vreinterpret_u16_f16(vcvt_f16_f32(x))) }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: float32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_f32(to, x) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, x: float32x4_t, lanes: usize) {
        // SAFETY: the caller's promise for the first `lanes`.
        unsafe {
            match lanes {
                0 => {}
                1 => vst1q_lane_f32::<0>(to, x),
                2 => vst1_f32(to, vget_low_f32(x)),
                3 => {
                    vst1_f32(to, vget_low_f32(x));
                    vst1q_lane_f32::<2>(to.add(2), x);
                }
                _ => vst1q_f32(to, x),
            }
        }
    }
    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vaddq_f32(a, b))
    }
    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vsubq_f32(a, b))
    }
    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vmulq_f32(a, b))
    }
    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vdivq_f32(a, b))
    }
    #[inline(always)]
    fn mul_add(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        present!(vfmaq_f32(c, a, b))
    }
    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vbslq_f32(vcltq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        present!(vbslq_f32(vcgtq_f32(a, b), a, b))
    }
    #[inline(always)]
    fn abs(self, x: float32x4_t) -> float32x4_t {
        present!(vabsq_f32(x))
    }
    #[inline(always)]
    fn round(self, x: float32x4_t) -> float32x4_t {
        present!(vrndnq_f32(x))
    }
    #[inline(always)]
    fn times_power_of_two(self, x: float32x4_t, n: float32x4_t) -> float32x4_t {
        let exponent = present!(vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127)));
        present!(vmulq_f32(x, vreinterpretq_f32_s32(vshlq_n_s32::<23>(exponent))))
    }
    #[inline(always)]
    fn select_less(self, a: float32x4_t, b: float32x4_t, yes: float32x4_t, no: float32x4_t) -> float32x4_t {
        present!(vbslq_f32(vcltq_f32(a, b), yes, no))
    }
    #[inline(always)]
    fn sum(self, x: float32x4_t) -> f32 {
        let pairs = present!(vpaddq_f32(x, x));
        present!(vpadds_f32(vget_low_f32(pairs)))
    }
    #[inline(always)]
    fn sums(self, x: [float32x4_t; 4]) -> [f32; 4] {
        let [a, b, c, d] = x;
        self.fold_quads(present!(vpaddq_f32(vpaddq_f32(a, b), vpaddq_f32(c, d))))
    }
    #[inline(always)]
    fn maximum(self, x: float32x4_t) -> f32 {
        present!(vmaxnmvq_f32(x))
    }
    #[inline(always)]
    fn fold_quads(self, x: float32x4_t) -> [f32; 4] {
        let mut quad = [0.; 4];
        // SAFETY: `quad` has room for the four floats stored.
        unsafe { vst1q_f32(quad.as_mut_ptr(), x) };
        quad
    }
    #[inline(always)]
    fn repeat_quad(self, quad: [f32; 4]) -> float32x4_t {
        // SAFETY: four floats.
        unsafe { vld1q_f32(quad.as_ptr()) }
    }
    #[inline(always)]
    unsafe fn load_to_quads(self, from: *const f32) -> float32x4_t {
        // SAFETY: the caller's promise; `self` is the proof of presence.
        unsafe { vdupq_n_f32(*from) }
    }
    #[inline(always)]
    unsafe fn load_int_to_quads(self, from: *const i32) -> int32x4_t {
        // SAFETY: as above.
        unsafe { vdupq_n_s32(*from) }
    }
    #[inline(always)]
    unsafe fn load_columns(self, from: [*const f32; 4]) -> float32x4_t {
        // SAFETY: the caller's promise: a float behind each pointer.
        unsafe {
            let mut quad = [0.; 4];
            for i in 0..4 {
                quad[i] = from[i].read_unaligned();
            }
            self.repeat_quad(quad)
        }
    }
    #[inline(always)]
    unsafe fn load_columns_f16(self, from: [*const f16; 4]) -> float32x4_t {
        // SAFETY: the caller's promise: a half behind each pointer.
        unsafe { self.load_f16([*from[0], *from[1], *from[2], *from[3]].as_ptr()) }
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> int32x4_t {
        present!(vdupq_n_s32(x))
    }
    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vreinterpretq_s32_u8(vld1q_u8(from)) }
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, x: int32x4_t) {
        // SAFETY: the caller's promise.
        unsafe { vst1q_u8(to, vreinterpretq_u8_s32(x)) }
    }
    #[inline(always)]
    unsafe fn repeat_4_bytes(self, from: *const i8) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { vdupq_n_s32(from.cast::<i32>().read_unaligned()) }
    }
    #[inline(always)]
    unsafe fn store_block(self, x: [int32x4_t; 8], pairs_apart: bool, to: [*mut i8; 2]) {
        // SAFETY: the caller's promise for the stores; `self` is the proof of presence.
        unsafe {
            let words = |i: usize| vcombine_s16(vmovn_s32(x[i]), vmovn_s32(x[i + 1]));
            let first = vcombine_s8(vmovn_s16(words(0)), vmovn_s16(words(2)));
            let second = vcombine_s8(vmovn_s16(words(4)), vmovn_s16(words(6)));
            let (even, odd) = (vuzp1q_s8(first, second), vuzp2q_s8(first, second));
            vst1q_s8(to[0], if pairs_apart { even } else { first });
            vst1q_s8(to[1], if pairs_apart { odd } else { second });
        }
    }
    #[inline(always)]
    fn add_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        present!(vaddq_s32(a, b))
    }
    #[inline(always)]
    fn mul_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        present!(vmulq_s32(a, b))
    }
    #[inline(always)]
    fn sum_int(self, x: int32x4_t) -> i32 {
        present!(vaddvq_s32(x))
    }
    #[inline(always)]
    fn to_float(self, x: int32x4_t) -> float32x4_t {
        present!(vcvtq_f32_s32(x))
    }
    #[inline(always)]
    fn to_int(self, x: float32x4_t) -> int32x4_t {
        present!(vcvtnq_s32_f32(x))
    }
    #[inline(always)]
    fn magnitude_bits(self, x: float32x4_t) -> int32x4_t {
        present!(vreinterpretq_s32_f32(vabsq_f32(x)))
    }
    #[inline(always)]
    fn max_int(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        present!(vmaxq_s32(a, b))
    }
    #[inline(always)]
    fn maximum_int(self, x: int32x4_t) -> i32 {
        present!(vmaxvq_s32(x))
    }
    #[inline(always)]
    fn split_nibbles(self, x: int32x4_t) -> (int32x4_t, int32x4_t) {
        let bytes = present!(vreinterpretq_u8_s32(x));
        let (low, high) = present!((vandq_u8(bytes, vdupq_n_u8(15)), vshrq_n_u8::<4>(bytes)));
        present!((vreinterpretq_s32_u8(low), vreinterpretq_s32_u8(high)))
    }
    #[inline(always)]
    fn fields<const BITS: u32>(self, words: [u32; 4]) -> int32x4_t {
        // SAFETY: four words; `self` is the proof of presence.
        unsafe { vreinterpretq_s32_u32(vandq_u32(vld1q_u32(words.as_ptr()), vdupq_n_u32((1 << BITS) - 1))) }
    }
    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: int32x4_t, weights: [int32x4_t; N], values: [int32x4_t; N]) -> int32x4_t {
        self.0.dot_nibbles(sum, self.unsigned(weights), self.signed(values))
    }
    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: int32x4_t, weights: [int32x4_t; N], values: [int32x4_t; N]) -> int32x4_t {
        self.0.dot_bytes(sum, self.unsigned(weights), self.signed(values))
    }
    #[inline(always)]
    unsafe fn dot_nibbles_repeated<const N: usize>(
        self,
        sum: int32x4_t,
        weights: [int32x4_t; N],
        values: *const i8,
    ) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { self.0.dot_nibbles_repeated(sum, self.unsigned(weights), values) }
    }
    #[inline(always)]
    unsafe fn dot_bytes_repeated<const N: usize>(self, sum: int32x4_t, weights: [int32x4_t; N], values: *const i8) -> int32x4_t {
        // SAFETY: the caller's promise.
        unsafe { self.0.dot_bytes_repeated(sum, self.unsigned(weights), values) }
    }
    #[inline(always)]
    fn sum_within_quads(self, x: [int32x4_t; 4]) -> int32x4_t {
        let [a, b, c, d] = x;
        present!(vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d)))
    }
    #[inline(always)]
    fn add_neighbour_quads(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        present!(vaddq_s32(a, b))
    }
    #[inline(always)]
    unsafe fn transpose(self, rows: &[*const u8; MAX_LANES], to: *mut u8) {
        // SAFETY: the caller's promise: four rows of 16 bytes, 64 bytes to write.
        unsafe {
            let mut r = [vdupq_n_s32(0); 4];
            for i in 0..4 {
                r[i] = self.load_bytes(rows[i]);
            }
            let pair = |a, b| (vreinterpretq_s64_s32(vtrn1q_s32(a, b)), vreinterpretq_s64_s32(vtrn2q_s32(a, b)));
            let ((even, odd), (more_even, more_odd)) = (pair(r[0], r[1]), pair(r[2], r[3]));
            let columns =
                [vtrn1q_s64(even, more_even), vtrn1q_s64(odd, more_odd), vtrn2q_s64(even, more_even), vtrn2q_s64(odd, more_odd)];
            for j in 0..4 {
                vst1q_s64(to.add(j * 16).cast(), columns[j]);
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        instructions::prefetch(address);
    }
    #[inline(always)]
    fn prefetch_second_level(self, address: *const u8) {
        instructions::prefetch_second_level(address);
    }
}
