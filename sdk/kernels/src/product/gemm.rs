//! Quantised weights times many quantised rows, more than four, or more than eight for weights in tiles: prompts, and many
//! sequences at once.
//!
//! Such a product is bound by arithmetic. A *strip* of weight rows, one to three vectors of them, is unpacked once into a buffer
//! that stays in the second-level cache, transposed so that a lane is a weight row; every group of four rows of x then passes over
//! it, a section of blocks at a time, so that the section's weights stay in the first-level cache:
//!
//! ```text
//! for each section, for each group of four rows of x (4 * T sums stay in registers):
//!     for each block:
//!         c    = correction + sum over j of  strip[t][block][j] . 4 values of x, repeated     a four-way byte product each
//!         sum += float(c) * (scales of the rows * scale of x)
//!     y += sum * factor
//! ```
//!
//! A section is the blocks that product/block_gemv.rs sums in one quad, for weights in place (the strip and x store their blocks in
//! that order), and [`SECTION`] neighbouring blocks for weights in tiles: the same sums in the same order as for a single row, bit
//! for bit.

use std::ops::Range;

use super::quantise::{BLOCK, GROUP, QuantisedRows};
use super::unpack::{middle, unpack, unpack_tile};
use crate::float_product::Rows;
use crate::lines::Buffer;
use crate::matrix::{BlockWeights, Points, TiledWeights};
use crate::simd::{Kernel, Simd};

/// Vectors of bytes in a block of a strip: 32 values for each lane.
pub(super) const VECTORS: usize = BLOCK / 4;
/// Blocks of weights in tiles that are summed before their sum is added to that of the blocks before.
pub(super) const SECTION: usize = 16;

/// [`Points`] as a const generic parameter.
pub(super) const MIDDLE: u8 = 0;
pub(super) const WHOLE: u8 = 1;
pub(super) const OFFSET: u8 = 2;

/// The weights of a product with many rows.
#[derive(Clone, Copy)]
pub(super) enum Source<'a> {
    InPlace(&'a BlockWeights<'a>),
    Tiled(&'a TiledWeights<'a>),
}

/// One item: `rows` of the weights; for weights in tiles, from a tile's first.
pub(super) struct Gemm<'a> {
    pub(super) weights: Source<'a>,
    pub(super) x: &'a QuantisedRows,
    pub(super) rows: Range<usize>,
    /// `[m, rows]`
    pub(super) y: Rows<f32>,
    pub(super) buffer: &'a mut Buffer,
}

/// Unpacked weights: `T` vectors of rows.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// `[T][blocks][VECTORS][LANES * 4 bytes]`
    values: *mut u8,
    /// `[T][blocks][LANES]`
    scales: *mut f32,
    /// `[T][blocks][LANES]`, only where the weights store them: `i32`, or `f32` where they are offsets
    zero_points: *mut i32,
    /// How many blocks, as many as a row of x has.
    pub(super) blocks: usize,
    /// The weights that come after the strip's: the first rows of x ask for them while they compute.
    next: Stream,
}

/// Bytes in the weights, so many of them for each block of a strip.
#[derive(Clone, Copy)]
struct Stream {
    at: *const u8,
    block_bytes: usize,
}

impl Stream {
    /// Asks for the part that lies in place of `block`.
    #[inline(always)]
    fn prefetch<S: Simd>(self, s: S, block: usize) {
        for line in (0..self.block_bytes).step_by(64) {
            s.prefetch_second_level(self.at.wrapping_add(block * self.block_bytes + line));
        }
    }
}

impl Strip {
    /// A strip in `buffer`, to be filled.
    #[inline(always)]
    fn new<S: Simd>(buffer: &mut Buffer, blocks: usize) -> Strip {
        let parameters = S::TILE_VECTORS * blocks * S::LANES;
        let floats: &mut [f32] = buffer.get(parameters * (VECTORS + 2));
        let (values, parameter_floats) = floats.split_at_mut(parameters * VECTORS);
        let (scales, zero_points) = parameter_floats.split_at_mut(parameters);
        Strip {
            values: values.as_mut_ptr().cast(),
            scales: scales.as_mut_ptr(),
            zero_points: zero_points.as_mut_ptr().cast(),
            blocks,
            next: Stream { at: std::ptr::null(), block_bytes: 0 },
        }
    }

    /// Vector `j` of a block of vector `t` of rows.
    #[inline(always)]
    pub(super) fn value<S: Simd>(&self, t: usize, block: usize, j: usize) -> *mut u8 {
        self.values.wrapping_add(((t * self.blocks + block) * VECTORS + j) * 4 * S::LANES)
    }

    #[inline(always)]
    pub(super) fn scale<S: Simd>(&self, t: usize, block: usize) -> *mut f32 {
        self.scales.wrapping_add((t * self.blocks + block) * S::LANES)
    }

    #[inline(always)]
    pub(super) fn zero_point<S: Simd>(&self, t: usize, block: usize) -> *mut i32 {
        self.zero_points.wrapping_add((t * self.blocks + block) * S::LANES)
    }
}

impl Kernel for Gemm<'_> {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let (bits, zero_points) = match self.weights {
            Source::InPlace(weights) => (weights.bits, weights.zero_points.packed().map_or(Points::Middle, |_| Points::Whole)),
            Source::Tiled(weights) => (weights.shape.bits, weights.shape.zero_points),
        };
        match (bits, zero_points) {
            (4, Points::Middle) => self.all::<S, 4, MIDDLE>(s),
            (4, Points::Whole) => self.all::<S, 4, WHOLE>(s),
            (4, Points::Offset) => self.all::<S, 4, OFFSET>(s),
            (_, Points::Middle) => self.all::<S, 8, MIDDLE>(s),
            (_, _) => self.all::<S, 8, WHOLE>(s),
        }
    }
}

impl Gemm<'_> {
    #[inline(always)]
    fn all<S: Simd, const BITS: usize, const POINTS: u8>(self, s: S) {
        let mut strip = Strip::new::<S>(self.buffer, self.x.blocks);
        let mut first = self.rows.start;
        while first < self.rows.end {
            let left = self.rows.end - first;
            let vectors = if left >= S::TILE_VECTORS * S::LANES { S::TILE_VECTORS } else { 1 };
            let held = left.min(vectors * S::LANES);
            let (section, factor) = match self.weights {
                Source::InPlace(weights) => {
                    strip.next = Stream {
                        at: weights.packed.as_ptr().wrapping_add((first + held) * weights.row_bytes()),
                        block_bytes: vectors * S::LANES * BLOCK * BITS / 8,
                    };
                    for t in 0..vectors {
                        let at = t * S::LANES;
                        // SAFETY: `held` weight rows exist from `first`; the strip was made for this number of blocks.
                        unsafe { unpack::<S, BITS>(s, weights, first + at, (held - at).min(S::LANES), strip, t) };
                    }
                    (strip.blocks * 4 / S::LANES, 1.)
                }
                Source::Tiled(weights) => {
                    let (tile, bytes) = (first / S::LANES, weights.shape.tile_bytes());
                    strip.next = Stream {
                        at: weights.bytes.as_ptr().wrapping_add((tile + vectors) * bytes),
                        block_bytes: (vectors * bytes).div_ceil(strip.blocks),
                    };
                    for t in 0..vectors {
                        // SAFETY: the tile holds `first` and the rows after it; the item starts at a tile of this instruction set.
                        unsafe { unpack_tile::<S, BITS>(s, weights, tile + t, strip, t) };
                    }
                    (SECTION, weights.factor)
                }
            };
            let pass = Pass { strip, x: self.x, section, factor, held, y: self.y };
            let y = first - self.rows.start;
            // SAFETY: the strip is filled; `y` is `[m, rows]`, and this item alone writes it.
            unsafe {
                if const { S::TILE_VECTORS == 3 } && vectors == 3 {
                    pass.all::<S, 3, BITS, POINTS>(s, y);
                } else if const { S::TILE_VECTORS == 2 } && vectors == 2 {
                    pass.all::<S, 2, BITS, POINTS>(s, y);
                } else {
                    pass.all::<S, 1, BITS, POINTS>(s, y);
                }
            }
            first += held;
        }
    }
}

/// All rows of x over one strip.
struct Pass<'a> {
    strip: Strip,
    x: &'a QuantisedRows,
    /// Blocks of a section.
    section: usize,
    factor: f32,
    /// Weight rows that count.
    held: usize,
    /// `[m, ..]`
    y: Rows<f32>,
}

impl Pass<'_> {
    /// `y[m, first..first + held]`
    ///
    /// # Safety
    /// `T` vectors of the strip are filled, as many blocks as x has; those columns of y are valid for reads and writes.
    #[inline(always)]
    unsafe fn all<S: Simd, const T: usize, const BITS: usize, const POINTS: u8>(&self, s: S, first: usize) {
        let blocks = self.strip.blocks;
        for start in (0..blocks).step_by(self.section) {
            let section = start..(start + self.section).min(blocks);
            for row in (0..self.x.m).step_by(GROUP) {
                // SAFETY: x has whole groups of four rows; the caller's promise.
                unsafe {
                    let sums = if const { S::TILE_DOTS == 1 } {
                        self.section::<S, T, 1, BITS, POINTS>(s, row, section.clone())
                    } else if const { S::TILE_DOTS == 4 } {
                        self.section::<S, T, 4, BITS, POINTS>(s, row, section.clone())
                    } else {
                        self.section::<S, T, VECTORS, BITS, POINTS>(s, row, section.clone())
                    };
                    for m in 0..GROUP.min(self.x.m - row) {
                        for t in 0..T {
                            let (y, held) = (self.y.row(row + m, first + t * S::LANES), (self.held - t * S::LANES).min(S::LANES));
                            let sum = s.mul(sums[m][t], s.splat(self.factor));
                            s.store_partial(y, if start == 0 { sum } else { s.add(s.load_partial(y, held), sum) }, held);
                        }
                    }
                }
            }
        }
    }

    /// The sums of four rows of x over some blocks, `N` vectors of a block at a time.
    ///
    /// # Safety
    /// As for [`Pass::all`].
    #[inline(always)]
    unsafe fn section<S: Simd, const T: usize, const N: usize, const BITS: usize, const POINTS: u8>(
        &self,
        s: S,
        row: usize,
        blocks: Range<usize>,
    ) -> [[S::F; T]; GROUP] {
        let (strip, x) = (self.strip, self.x);
        let mut totals = [[s.splat(0.); T]; GROUP];
        for block in blocks {
            if row == 0 {
                strip.next.prefetch(s, block);
            }
            let at = row * x.blocks + block * GROUP;
            // SAFETY: the block lies within the strip and x.
            unsafe {
                let mut sums = [[s.splat_int(0); T]; GROUP];
                for m in 0..GROUP {
                    let correction = s.splat_int(*x.corrections.as_ptr().add(at + m));
                    for t in 0..T {
                        sums[m][t] = correction;
                        if POINTS == WHOLE {
                            sums[m][t] = s.mul_int(correction, s.load_bytes(strip.zero_point::<S>(t, block).cast()));
                        }
                        if POINTS == OFFSET {
                            sums[m][t] = s.mul_int(correction, s.splat_int(middle::<S, BITS>()));
                        }
                    }
                }
                for j in (0..VECTORS).step_by(N) {
                    let mut weights = [[s.splat_int(0); N]; T];
                    for t in 0..T {
                        for i in 0..N {
                            weights[t][i] = s.load_bytes(strip.value::<S>(t, block, j + i));
                        }
                    }
                    for m in 0..GROUP {
                        let values = x.values.as_ptr().add((at + m) * BLOCK + 4 * j);
                        for t in 0..T {
                            sums[m][t] = dot::<S, N, BITS>(s, sums[m][t], weights[t], values);
                        }
                    }
                }
                for m in 0..GROUP {
                    let scale = s.splat(*x.scales.as_ptr().add(at + m));
                    for t in 0..T {
                        let scale = s.mul(s.load(strip.scale::<S>(t, block)), scale);
                        let mut sum = s.to_float(sums[m][t]);
                        if POINTS == OFFSET {
                            let correction = s.to_float(s.splat_int(*x.corrections.as_ptr().add(at + m)));
                            sum = s.mul_add(correction, s.load(strip.zero_point::<S>(t, block).cast()), sum);
                        }
                        totals[m][t] = s.mul_add(sum, scale, totals[m][t]);
                    }
                }
            }
        }
        totals
    }
}

/// `sum` plus the byte products of `N` vectors of weights of `BITS` with four values each, repeated in all lanes.
///
/// # Safety
/// `values` is valid for `4 * N` reads.
#[inline(always)]
pub(super) unsafe fn dot<S: Simd, const N: usize, const BITS: usize>(
    s: S,
    sum: S::I,
    weights: [S::I; N],
    values: *const i8,
) -> S::I {
    // SAFETY: the caller's promise.
    unsafe { if BITS == 4 { s.dot_nibbles_repeated(sum, weights, values) } else { s.dot_bytes_repeated(sum, weights, values) } }
}
