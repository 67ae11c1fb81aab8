//! Block-quantised weights times many quantised rows: prompts, and more than four sequences at once.
//!
//! Such a product is bound by arithmetic. As many weight rows as a vector has lanes are unpacked once into a tile that stays in the
//! second-level cache, transposed so that a lane is a weight row; every group of rows of x then passes over the tile:
//!
//! ```text
//! for each block, for each row of x (the sums of 4 to 16 rows stay in registers):
//!     c    = correction + sum over j of  tile[block][j] . 4 values of x, repeated     one four-way byte product each
//!     sum += float(c) * (scales of the tile's rows * scale of x)
//! ```
//!
//! Blocks are taken in phases, first those that product/few_rows.rs sums in its first quad, then the second's, and the phases' sums
//! are added in order as it adds its quads: the same bits. The tile and x store their blocks in that order.

use std::mem::MaybeUninit;
use std::ops::Range;

use super::parameters::{AnyBlock, FourRows, StepParameters};
use super::quantise::{BLOCK, GROUP, QuantisedRows, phase_major};
use crate::float_product::Rows;
use crate::lines::{Buffer, Line};
use crate::matrix::BlockWeights;
use crate::simd::{Kernel, MAX_LANES, Simd};

/// Vectors of bytes in a block of a tile: 32 values for each lane.
const VECTORS: usize = BLOCK / 4;

/// One item: `rows` of the weights.
pub(super) struct Tiles<'a> {
    pub(super) weights: &'a BlockWeights<'a>,
    pub(super) x: &'a QuantisedRows,
    pub(super) rows: Range<usize>,
    /// `[m, rows]`
    pub(super) y: Rows<f32>,
    pub(super) buffer: &'a mut Buffer,
}

/// An unpacked tile.
#[derive(Clone, Copy)]
struct Tile {
    /// `[blocks][VECTORS][LANES * 4 bytes]`
    values: *mut u8,
    /// `[blocks][LANES]`
    scales: *mut f32,
    /// `[blocks][LANES]`, only where the weights store them
    zero_points: *mut i32,
    /// How many blocks, padded; in phase-major order.
    blocks: usize,
    /// The weights and the scales that come after the tile's: the first rows of x ask for them while they compute.
    next: [Stream; 2],
}

/// Bytes in the weights, so many of them for each block of a tile.
#[derive(Clone, Copy)]
struct Stream {
    at: *const u8,
    block_bytes: usize,
}

impl Stream {
    /// What follows `rows` rows from `first` of a buffer with rows of `stride` bytes for `blocks` blocks.
    fn after(buffer: *const u8, first: usize, rows: usize, stride: usize, blocks: usize) -> Stream {
        Stream { at: buffer.wrapping_add((first + rows) * stride), block_bytes: rows * stride / blocks }
    }

    /// Asks for the part that lies in place of `block`.
    #[inline(always)]
    fn prefetch<S: Simd>(self, s: S, block: usize) {
        for line in (0..self.block_bytes).step_by(64) {
            s.prefetch_second_level(self.at.wrapping_add(block * self.block_bytes + line));
        }
    }
}

impl Tile {
    /// A tile in `buffer`, to be filled.
    #[inline(always)]
    fn new<S: Simd>(buffer: &mut Buffer, blocks: usize) -> Tile {
        let parameters = blocks * S::LANES;
        let floats: &mut [f32] = buffer.get(parameters * (VECTORS + 2));
        let (values, parameter_floats) = floats.split_at_mut(parameters * VECTORS);
        let (scales, zero_points) = parameter_floats.split_at_mut(parameters);
        Tile {
            values: values.as_mut_ptr().cast(),
            scales: scales.as_mut_ptr(),
            zero_points: zero_points.as_mut_ptr().cast(),
            blocks,
            next: [Stream { at: std::ptr::null(), block_bytes: 0 }; 2],
        }
    }
}

impl Kernel for Tiles<'_> {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        if self.weights.bits == 4 { self.all::<S, 4>(s) } else { self.all::<S, 8>(s) }
    }
}

impl Tiles<'_> {
    #[inline(always)]
    fn all<S: Simd, const BITS: usize>(self, s: S) {
        let mut tile = Tile::new::<S>(self.buffer, self.x.blocks);
        let (weights, scales) = (self.weights.packed.as_ptr(), self.weights.scales.bytes());
        for first in self.rows.clone().step_by(S::LANES) {
            let held = (self.rows.end - first).min(S::LANES);
            tile.next = [
                Stream::after(weights, first, S::LANES, self.weights.row_bytes(), tile.blocks),
                Stream::after(scales.as_ptr(), first, S::LANES, scales.len() / self.weights.n, tile.blocks),
            ];
            // SAFETY: `held` weight rows exist from `first`; the tile was made for this instruction set and number of blocks; `y`
            // is `[m, rows]`, and this item alone writes it.
            unsafe {
                unpack::<S, BITS>(s, self.weights, first, held, tile);
                let y = self.y.from(0, first - self.rows.start);
                if self.weights.zero_points.is_some() {
                    pass::<S, BITS, true>(s, tile, self.x, held, y);
                } else {
                    pass::<S, BITS, false>(s, tile, self.x, held, y);
                }
            }
        }
    }
}

/// Fills the tile with the `held` weight rows from `first`; where they are fewer than lanes, the last stands in.
///
/// # Safety
/// The rows exist, and the tile has room for a row's blocks, padded.
#[inline(always)]
unsafe fn unpack<S: Simd, const BITS: usize>(s: S, weights: &BlockWeights<'_>, first: usize, held: usize, tile: Tile) {
    let step_bytes = S::LANES * BITS;
    let row_bytes = weights.row_bytes();
    let row = |i: usize| weights.packed.as_ptr().wrapping_add((first + i.min(held - 1)) * row_bytes);
    for step in 0..tile.blocks * 4 / S::LANES {
        let used = step * step_bytes;
        // SAFETY: the caller's promise; a step that the row does not fill is copied to a padded buffer first.
        unsafe {
            if used + step_bytes <= row_bytes {
                unpack_values::<S, BITS>(s, &std::array::from_fn(|i| row(i).add(used)), tile, step);
            } else {
                let mut padded = [[0u8; MAX_LANES * 8]; MAX_LANES];
                for (i, padded) in padded.iter_mut().enumerate() {
                    let left = row_bytes.saturating_sub(used);
                    std::ptr::copy_nonoverlapping(row(i).add(row_bytes - left), padded.as_mut_ptr(), left);
                }
                unpack_values::<S, BITS>(s, &std::array::from_fn(|i| padded[i].as_ptr()), tile, step);
            }
            unpack_parameters::<S, BITS>(s, weights, first, held, tile, step);
        }
    }
}

/// The bytes of one step.
///
/// # Safety
/// The first `LANES` pointers are valid for reads of a step, `LANES * BITS` bytes; the tile has the step.
#[inline(always)]
unsafe fn unpack_values<S: Simd, const BITS: usize>(s: S, rows: &[*const u8; MAX_LANES], tile: Tile, step: usize) {
    let vector = 4 * S::LANES;
    let mut staging = MaybeUninit::<[Line; MAX_LANES]>::uninit();
    let staging = staging.as_mut_ptr().cast::<u8>();
    // SAFETY: `staging` holds a square of the widest vector, of which `transpose` writes all that is read; vector j of a block of
    // the step lies within the tile.
    unsafe {
        let to = |block: usize, j: usize| {
            tile.values.add((phase_major::<S>(step * (S::LANES / 4) + block, tile.blocks) * VECTORS + j) * vector)
        };
        if BITS == 4 {
            s.transpose(rows, staging);
            for column in 0..S::LANES {
                let (even, odd) = s.split_nibbles(s.load_bytes(staging.add(column * vector)));
                s.store_bytes(to(column / 4, column % 4), even);
                s.store_bytes(to(column / 4, 4 + column % 4), odd);
            }
        } else {
            for half in 0..2 {
                s.transpose(&rows.map(|row| row.wrapping_add(half * vector)), staging);
                for column in 0..S::LANES {
                    let at = half * S::LANES + column;
                    s.store_bytes(to(at / VECTORS, at % VECTORS), s.load_bytes(staging.add(column * vector)));
                }
            }
        }
    }
}

/// The scales and zero points of one step.
///
/// # Safety
/// As for [`unpack`].
#[inline(always)]
unsafe fn unpack_parameters<S: Simd, const BITS: usize>(
    s: S,
    weights: &BlockWeights<'_>,
    first: usize,
    held: usize,
    tile: Tile,
    step: usize,
) {
    let phases = S::LANES / 4;
    let parameters = AnyBlock::new(weights);
    let mut quads = Line([0.; 16]);
    let mut lane = 0;
    while lane < S::LANES {
        // Four rows at once while there are; then one by one, the last for all lanes without a row.
        let count = if lane + 4 <= held { 4 } else { 1 };
        let rows = FourRows { first: first + lane.min(held - 1), stride: count / 4 };
        let at = |block: usize| phase_major::<S>(step * phases + block, tile.blocks) * S::LANES + lane;
        // SAFETY: `quads` has room for any vector; `count` lanes of each block lie within the tile.
        unsafe {
            s.store(quads.0.as_mut_ptr(), parameters.scales(s, rows, step));
            for block in 0..phases {
                tile.scales.add(at(block)).copy_from_nonoverlapping(quads.0.as_ptr().add(block * 4), count);
            }
            if let Some(zero_points) = parameters.zero_points::<S, BITS>(s, rows, step) {
                s.store_bytes(quads.0.as_mut_ptr().cast(), zero_points);
                for block in 0..phases {
                    tile.zero_points.add(at(block)).copy_from_nonoverlapping(quads.0.as_ptr().add(block * 4).cast(), count);
                }
            }
        }
        lane += count;
    }
}

/// All rows of x over one tile: `y[m, held]`.
///
/// # Safety
/// The tile is filled and has as many blocks as x; `y` is valid for writes of `[m, held]`.
#[inline(always)]
unsafe fn pass<S: Simd, const BITS: usize, const ZERO_POINTS: bool>(
    s: S,
    tile: Tile,
    x: &QuantisedRows,
    held: usize,
    y: Rows<f32>,
) {
    let mut row = 0;
    while row < x.m {
        // SAFETY: x has whole groups of 16 rows, so that up to `S::TILE_ROWS` (which divides 16) exist from `row`; `y` as promised.
        unsafe {
            let (y, rows) = (y.from(row, 0), x.m - row);
            row += if S::TILE_ROWS == 16 && rows > 8 {
                rows_over_tile::<S, 16, BITS, ZERO_POINTS>(s, tile, x, row, held, y)
            } else if S::TILE_ROWS >= 8 && rows > 4 {
                rows_over_tile::<S, 8, BITS, ZERO_POINTS>(s, tile, x, row, held, y)
            } else {
                rows_over_tile::<S, 4, BITS, ZERO_POINTS>(s, tile, x, row, held, y)
            };
        }
    }
}

/// `M` rows of x from `row`, which do not leave its group, over one tile. Returns `M`.
///
/// # Safety
/// As for [`pass`].
#[inline(always)]
unsafe fn rows_over_tile<S: Simd, const M: usize, const BITS: usize, const ZERO_POINTS: bool>(
    s: S,
    tile: Tile,
    x: &QuantisedRows,
    row: usize,
    held: usize,
    y: Rows<f32>,
) -> usize {
    let steps = tile.blocks * 4 / S::LANES;
    let mut totals = [s.splat(0.); M];
    // SAFETY: the caller's promise.
    unsafe {
        for first in (0..tile.blocks).step_by(steps) {
            let sums = phase_over_tile::<S, M, BITS, ZERO_POINTS>(s, tile, x, row, first..first + steps);
            for m in 0..M {
                totals[m] = if first == 0 { sums[m] } else { s.add(totals[m], sums[m]) };
            }
        }
        for m in 0..M.min(x.m - row) {
            s.store_partial(y.row(m, 0), totals[m], held);
        }
    }
    M
}

/// The sums of `M` rows over some blocks of the tile.
///
/// # Safety
/// As for [`pass`].
#[inline(always)]
unsafe fn phase_over_tile<S: Simd, const M: usize, const BITS: usize, const ZERO_POINTS: bool>(
    s: S,
    tile: Tile,
    x: &QuantisedRows,
    row: usize,
    blocks: Range<usize>,
) -> [S::F; M] {
    let mut sums = [s.splat(0.); M];
    let vector = 4 * S::LANES;
    for block in blocks {
        if row == 0 {
            tile.next[0].prefetch(s, block);
            tile.next[1].prefetch(s, block);
        }
        // SAFETY: `block` lies within the tile, and row + M within the padded rows of x.
        unsafe {
            let mut weights = [s.splat_int(0); VECTORS];
            for j in 0..VECTORS {
                weights[j] = s.load_bytes(tile.values.add((block * VECTORS + j) * vector));
            }
            let scales = s.load(tile.scales.add(block * S::LANES));
            let at = (row / GROUP * x.blocks + block) * GROUP + row % GROUP;
            // Written out, because the sums stay in registers only if no loop is left.
            macro_rules! rows {
                ($($m:literal)*) => {$(
                    if $m < M {
                        let values = x.values.as_ptr().add((at + $m) * BLOCK);
                        let mut sum = s.splat_int(*x.corrections.as_ptr().add(at + $m));
                        if ZERO_POINTS {
                            sum = s.mul_int(sum, s.load_bytes(tile.zero_points.add(block * S::LANES).cast()));
                        }
                        let sum = if BITS == 4 {
                            s.dot_nibbles_repeated(sum, weights, values)
                        } else {
                            s.dot_bytes_repeated(sum, weights, values)
                        };
                        let scale = s.mul(scales, s.splat(*x.scales.as_ptr().add(at + $m)));
                        sums[$m] = s.mul_add(s.to_float(sum), scale, sums[$m]);
                    }
                )*};
            }
            rows!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        }
    }
    sums
}
