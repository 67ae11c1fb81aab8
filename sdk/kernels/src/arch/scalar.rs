//! Plain Rust with vectors of four lanes, which compilers turn into whatever the target always has. Every operation is written as
//! its definition: this is the reference.

use std::array::from_fn;

use half::f16;

use crate::simd::{MAX_LANES, Simd};

/// Present on every machine.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

type F = [f32; 4];
type I = [i32; 4];

#[inline(always)]
fn zip<T: Copy, U>(a: [T; 4], b: [T; 4], f: impl Fn(T, T) -> U) -> [U; 4] {
    from_fn(|i| f(a[i], b[i]))
}

/// Sum over the four bytes of a lane.
#[inline(always)]
fn dot(weights: i32, values: i32, bias: i32) -> i32 {
    let (weights, values) = (weights.to_le_bytes(), values.to_le_bytes());
    (0..4).map(|i| (i32::from(weights[i]) - bias) * i32::from(values[i].cast_signed())).sum()
}

impl Simd for Scalar {
    type F = F;
    type I = I;
    const LANES: usize = 4;
    const FLOAT_ROWS: [usize; 2] = [2, 2];
    const TILE_VECTORS: usize = 1;
    const TILE_DOTS: usize = 8;
    const DOT_VECTORS: usize = 8;
    const BYTE_BIAS: i32 = 128;

    #[inline(always)]
    fn splat(self, x: f32) -> F {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> F {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<F>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store_f16(self, to: *mut f16, x: F) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[f16; 4]>().write_unaligned(x.map(f16::from_f32)) }
    }
    #[inline(always)]
    unsafe fn load_partial(self, from: *const f32, lanes: usize) -> F {
        // SAFETY: the caller's promise for the first `lanes`.
        from_fn(|i| if i < lanes { unsafe { from.add(i).read_unaligned() } } else { 0. })
    }
    #[inline(always)]
    unsafe fn load_f16(self, from: *const f16) -> F {
        // SAFETY: the caller's promise.
        from_fn(|i| unsafe { *from.add(i) }.to_f32())
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, x: F) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<F>().write_unaligned(x) }
    }
    #[inline(always)]
    unsafe fn store_partial(self, to: *mut f32, x: F, lanes: usize) {
        for (i, x) in x.into_iter().enumerate().take(lanes) {
            // SAFETY: the caller's promise for the first `lanes`.
            unsafe { *to.add(i) = x }
        }
    }
    #[inline(always)]
    fn add(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    fn sub(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    fn mul(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    fn div(self, a: F, b: F) -> F {
        zip(a, b, |a, b| a / b)
    }
    #[inline(always)]
    fn mul_add(self, a: F, b: F, c: F) -> F {
        // Where the target has no such instruction, `f32::mul_add` would be a call for every lane.
        from_fn(|i| if cfg!(target_arch = "aarch64") { a[i].mul_add(b[i], c[i]) } else { a[i] * b[i] + c[i] })
    }
    #[inline(always)]
    fn min(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    fn max(self, a: F, b: F) -> F {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    fn abs(self, x: F) -> F {
        x.map(f32::abs)
    }
    #[inline(always)]
    fn round(self, x: F) -> F {
        x.map(f32::round_ties_even)
    }
    #[inline(always)]
    fn times_power_of_two(self, x: F, n: F) -> F {
        zip(x, n, |x, n| x * f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    fn select_less(self, a: F, b: F, yes: F, no: F) -> F {
        from_fn(|i| if a[i] < b[i] { yes[i] } else { no[i] })
    }
    #[inline(always)]
    fn sum(self, x: F) -> f32 {
        (x[0] + x[2]) + (x[1] + x[3])
    }
    #[inline(always)]
    fn sums(self, x: [F; 4]) -> [f32; 4] {
        x.map(|x| self.sum(x))
    }
    #[inline(always)]
    fn maximum(self, x: F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }
    #[inline(always)]
    fn fold_quads(self, x: F) -> [f32; 4] {
        x
    }
    #[inline(always)]
    fn repeat_quad(self, quad: [f32; 4]) -> F {
        quad
    }
    #[inline(always)]
    unsafe fn load_to_quads(self, from: *const f32) -> F {
        // SAFETY: the caller's promise.
        [unsafe { *from }; 4]
    }
    #[inline(always)]
    unsafe fn load_int_to_quads(self, from: *const i32) -> I {
        // SAFETY: the caller's promise.
        [unsafe { *from }; 4]
    }
    #[inline(always)]
    unsafe fn load_columns(self, from: [*const f32; 4]) -> F {
        // SAFETY: the caller's promise.
        from.map(|from| unsafe { from.read_unaligned() })
    }
    #[inline(always)]
    unsafe fn load_columns_f16(self, from: [*const f16; 4]) -> F {
        // SAFETY: the caller's promise.
        from.map(|from| unsafe { *from }.to_f32())
    }

    #[inline(always)]
    fn splat_int(self, x: i32) -> I {
        [x; 4]
    }
    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> I {
        // SAFETY: the caller's promise.
        unsafe { from.cast::<[[u8; 4]; 4]>().read() }.map(i32::from_le_bytes)
    }
    #[inline(always)]
    unsafe fn store_bytes(self, to: *mut u8, x: I) {
        // SAFETY: the caller's promise.
        unsafe { to.cast::<[[u8; 4]; 4]>().write(x.map(i32::to_le_bytes)) }
    }
    #[inline(always)]
    unsafe fn repeat_4_bytes(self, from: *const i8) -> I {
        // SAFETY: the caller's promise.
        [i32::from_le_bytes(unsafe { from.cast::<[u8; 4]>().read() }); 4]
    }
    #[inline(always)]
    unsafe fn store_block(self, x: [I; 8], pairs_apart: bool, to: [*mut i8; 2]) {
        for (i, x) in x.as_flattened().iter().enumerate() {
            let [half, place] = if pairs_apart { [i % 2, i / 2] } else { [i / 16, i % 16] };
            // SAFETY: the caller's promise.
            unsafe { *to[half].add(place) = *x as i8 };
        }
    }
    #[inline(always)]
    fn add_int(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_add)
    }
    #[inline(always)]
    fn mul_int(self, a: I, b: I) -> I {
        zip(a, b, i32::wrapping_mul)
    }
    #[inline(always)]
    fn sum_int(self, x: I) -> i32 {
        x.into_iter().fold(0, i32::wrapping_add)
    }
    #[inline(always)]
    fn to_float(self, x: I) -> F {
        x.map(|x| x as f32)
    }
    #[inline(always)]
    fn to_int(self, x: F) -> I {
        x.map(|x| x.round_ties_even() as i32)
    }
    #[inline(always)]
    fn magnitude_bits(self, x: F) -> I {
        x.map(|x| x.abs().to_bits().cast_signed())
    }
    #[inline(always)]
    fn max_int(self, a: I, b: I) -> I {
        zip(a, b, Ord::max)
    }
    #[inline(always)]
    fn maximum_int(self, x: I) -> i32 {
        x.into_iter().fold(i32::MIN, i32::max)
    }
    #[inline(always)]
    fn split_nibbles(self, x: I) -> (I, I) {
        (x.map(|x| x & 0x0f0f_0f0f), x.map(|x| x >> 4 & 0x0f0f_0f0f))
    }
    #[inline(always)]
    fn fields<const BITS: u32>(self, words: [u32; 4]) -> I {
        words.map(|word| (word & ((1 << BITS) - 1)) as i32)
    }
    #[inline(always)]
    fn dot_nibbles<const N: usize>(self, sum: I, weights: [I; N], values: [I; N]) -> I {
        (0..N).fold(sum, |sum, j| self.add_int(sum, zip(weights[j], values[j], |w, v| dot(w, v, 0))))
    }
    #[inline(always)]
    fn dot_bytes<const N: usize>(self, sum: I, weights: [I; N], values: [I; N]) -> I {
        (0..N).fold(sum, |sum, j| self.add_int(sum, zip(weights[j], values[j], |w, v| dot(w, v, Self::BYTE_BIAS))))
    }
    #[inline(always)]
    fn sum_within_quads(self, x: [I; 4]) -> I {
        x.map(|x| self.sum_int(x))
    }
    #[inline(always)]
    fn add_neighbour_quads(self, a: I, b: I) -> I {
        self.add_int(a, b)
    }
    #[inline(always)]
    unsafe fn transpose(self, rows: &[*const u8; MAX_LANES], to: *mut u8) {
        for (i, row) in rows.iter().enumerate().take(4) {
            for j in 0..4 {
                // SAFETY: the caller's promise: four rows of 16 bytes, 64 bytes to write.
                unsafe { to.add(j * 16 + i * 4).cast::<[u8; 4]>().write(row.add(j * 4).cast::<[u8; 4]>().read()) }
            }
        }
    }

    #[inline(always)]
    fn prefetch(self, _address: *const u8) {}
    #[inline(always)]
    fn prefetch_second_level(self, _address: *const u8) {}
}
