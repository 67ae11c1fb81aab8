//! Weights in tiles times few quantised rows: decoding.
//!
//! Such a product reads every weight once and is bound by memory bandwidth. A tile is one stream of bytes, for which the hardware
//! prefetcher is better than prefetch instructions (Zen 4: 30 GB/s instead of 20 on a thread); a block of it is unpacked in
//! registers and multiplied with the block of each row of x:
//!
//! ```text
//! for each group of at most four rows of x, for each section of blocks, for each block, for each row of the group:
//!     c    = correction + sum over j of  tile[block][j] . 4 values of x, repeated
//!     sum += float(c) * (scales of the tile's rows * scale of x)
//! y = sums of the sections, in order, times factor
//! ```
//!
//! A tile fits the first-level cache, where the second group finds it.
//!
//! The sums are those of product/gemm.rs, bit for bit.

use std::ops::Range;

use half::f16;

use super::gemm::{MIDDLE, OFFSET, SECTION, WHOLE, dot};
use super::quantise::{BLOCK, QuantisedRows};
use super::unpack::{middle, taken_off};
use crate::float_product::Rows;
use crate::matrix::{Points, TiledWeights};
use crate::simd::{Kernel, Simd};

/// One item: `rows` of the weights, from a tile's first.
pub(super) struct TiledGemv<'a> {
    pub(super) weights: &'a TiledWeights<'a>,
    pub(super) x: &'a QuantisedRows,
    pub(super) rows: Range<usize>,
    /// `[m, rows]`
    pub(super) y: Rows<f32>,
}

impl Kernel for TiledGemv<'_> {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (self.weights.shape.bits, self.weights.shape.zero_points) {
            (4, Points::Middle) => self.grouped::<S, 4, MIDDLE>(s),
            (4, Points::Whole) => self.grouped::<S, 4, WHOLE>(s),
            (4, Points::Offset) => self.grouped::<S, 4, OFFSET>(s),
            (_, Points::Middle) => self.grouped::<S, 8, MIDDLE>(s),
            (_, _) => self.grouped::<S, 8, WHOLE>(s),
        }
    }
}

impl TiledGemv<'_> {
    #[inline(always)]
    fn grouped<S: Simd, const BITS: usize, const POINTS: u8>(&self, s: S) {
        match self.x.group {
            1 => self.all::<S, 1, BITS, POINTS>(s),
            2 => self.all::<S, 2, BITS, POINTS>(s),
            _ => self.all::<S, 4, BITS, POINTS>(s),
        }
    }

    #[inline(always)]
    fn all<S: Simd, const M: usize, const BITS: usize, const POINTS: u8>(&self, s: S) {
        for first in self.rows.clone().step_by(S::LANES) {
            let held = (self.rows.end - first).min(S::LANES);
            // SAFETY: the tile of `first` exists and was made for this instruction set, x for these weights; `y` is `[m, rows]`, and
            // this item alone writes it.
            unsafe {
                for group in (0..self.x.m).step_by(M) {
                    let sums = self.tile::<S, M, BITS, POINTS>(s, first / S::LANES, group * self.x.blocks);
                    for m in 0..M.min(self.x.m - group) {
                        s.store_partial(self.y.row(group + m, first - self.rows.start), sums[m], held);
                    }
                }
            }
        }
    }

    /// The products of a tile's rows with the `M` rows of x whose first block has the number `x`.
    ///
    /// # Safety
    /// The tile exists and was made for this instruction set; x has groups of `M` rows with as many blocks, and one begins there.
    #[inline(always)]
    unsafe fn tile<S: Simd, const M: usize, const BITS: usize, const POINTS: u8>(
        &self,
        s: S,
        tile: usize,
        x: usize,
    ) -> [S::F; M] {
        let (shape, vector, blocks) = (self.weights.shape, 4 * S::LANES, self.x.blocks);
        let mut at = self.weights.bytes[tile * shape.tile_bytes()..].as_ptr();
        // -0 is the neutral element of addition: -0 + x is x, also for x = 0 and x = -0.
        let mut totals = [s.splat(-0.); M];
        let mut sums = [s.splat(0.); M];
        let mut block = 0;
        while block < blocks {
            let parameters = at.cast::<f16>();
            at = at.wrapping_add(vector);
            for half in 0..if POINTS == MIDDLE { 2 } else { 1 } {
                // SAFETY: the caller's promise: a vector of float16 comes before the blocks of a run.
                let (scales, offsets, zero_points) = unsafe {
                    let stored = |half: usize| s.load_f16(parameters.add(half * S::LANES));
                    let offsets = if POINTS == MIDDLE { s.splat(0.) } else { stored(1) };
                    let zero_points = match POINTS {
                        WHOLE => s.add_int(s.to_int(offsets), s.splat_int(-taken_off::<S, BITS>())),
                        _ => s.splat_int(middle::<S, BITS>()),
                    };
                    (stored(half), offsets, zero_points)
                };
                for _ in 0..shape.shared.min(blocks - block) {
                    // SAFETY: the caller's promise: `BITS` vectors a block follow; the block lies within x.
                    unsafe {
                        let place = Place { weights: at, values: self.x.values.as_ptr().add((x + block * M) * BLOCK) };
                        let mut dots = [s.splat_int(0); M];
                        for m in 0..M {
                            dots[m] = s.splat_int(*self.x.corrections.as_ptr().add(x + block * M + m));
                            if POINTS != MIDDLE {
                                dots[m] = s.mul_int(dots[m], zero_points);
                            }
                        }
                        dots = place.all::<S, M, BITS>(s, dots);
                        for m in 0..M {
                            let scale = s.mul(scales, s.splat(*self.x.scales.as_ptr().add(x + block * M + m)));
                            let mut sum = s.to_float(dots[m]);
                            if POINTS == OFFSET {
                                let correction = s.splat_int(*self.x.corrections.as_ptr().add(x + block * M + m));
                                sum = s.mul_add(s.to_float(correction), offsets, sum);
                            }
                            sums[m] = s.mul_add(sum, scale, sums[m]);
                        }
                    }
                    at = at.wrapping_add(BITS * vector);
                    block += 1;
                    if block.is_multiple_of(SECTION) || block == blocks {
                        for m in 0..M {
                            totals[m] = s.add(totals[m], s.mul(sums[m], s.splat(self.weights.factor)));
                            sums[m] = s.splat(0.);
                        }
                    }
                }
            }
        }
        totals
    }
}

/// A block of a tile and the block of each row of x that it meets.
struct Place {
    /// `[bits vectors][LANES * 4 bytes]`
    weights: *const u8,
    /// `[M][32]`
    values: *const i8,
}

impl Place {
    /// Adds the block's products to `dots`.
    ///
    /// # Safety
    /// Both places are valid for reads.
    #[inline(always)]
    unsafe fn all<S: Simd, const M: usize, const BITS: usize>(&self, s: S, dots: [S::I; M]) -> [S::I; M] {
        // SAFETY: the caller's promise.
        unsafe {
            if const { S::DOT_VECTORS == 1 } {
                if const { BITS == 4 } { self.dots::<S, M, 1, BITS, 4>(s, dots) } else { self.dots::<S, M, 1, BITS, 8>(s, dots) }
            } else if const { BITS == 4 } {
                self.dots::<S, M, 4, BITS, 4>(s, dots)
            } else {
                self.dots::<S, M, 8, BITS, 8>(s, dots)
            }
        }
    }

    /// Adds the block's products to `dots`, `N` of its `STORED` vectors at a time.
    ///
    /// # Safety
    /// Both places are valid for reads.
    #[inline(always)]
    unsafe fn dots<S: Simd, const M: usize, const N: usize, const BITS: usize, const STORED: usize>(
        &self,
        s: S,
        mut dots: [S::I; M],
    ) -> [S::I; M] {
        for first in (0..STORED).step_by(N) {
            // Of weights of 4 bits a stored vector is two: even ones, and odd ones half a block further on.
            let mut halves = [[s.splat_int(0); N]; 2];
            for i in 0..N {
                // SAFETY: the caller's promise.
                let bytes = unsafe { s.load_bytes(self.weights.add((first + i) * 4 * S::LANES)) };
                (halves[0][i], halves[1][i]) = if BITS == 4 { s.split_nibbles(bytes) } else { (bytes, bytes) };
            }
            for (half, weights) in halves.iter().enumerate().take(if BITS == 4 { 2 } else { 1 }) {
                for m in 0..M {
                    // SAFETY: the caller's promise.
                    dots[m] =
                        unsafe { dot::<S, N, BITS>(s, dots[m], *weights, self.values.add(m * BLOCK + half * 16 + 4 * first)) };
                }
            }
        }
        dots
    }
}
