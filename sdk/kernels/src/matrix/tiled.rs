//! Quantised weights rearranged for the kernels: the resident storage.
//!
//! A *tile* is as many weight rows as a vector has lanes. Within a block of 32 input features, a vector holds four neighbouring
//! bytes of each row, so that one four-way byte product advances all rows of the tile, and the whole tile is one stream:
//!
//! ```text
//! tile:    values       [blocks][bits vectors][lanes][4 bytes]   4 bits: a byte holds an even and an odd weight, low half even
//!          scales       [scale blocks][lanes] float16
//!          zero points  [scale blocks][lanes] float16            only where they differ from 8 or 128
//! ```
//!
//! Scales are scaled by one power of two for the whole matrix so that the largest is near the top of float16's range; what is
//! 2^28 times smaller than it loses precision, and its rounding (2^-11 at most) is far below that of the weights themselves.
//! Rows that only fill up the last tile repeat the last row.

use std::ops::Range;

use half::f16;

use super::{Matrix, Storage};
use crate::cpu::Isa;
use crate::product::BLOCK;
use crate::simd::{MAX_LANES, Simd};

/// Weights in tiles. `n` rows of `k`, a multiple of 32.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TiledWeights<'a> {
    pub(crate) shape: TiledShape,
    /// `1 / 2^e` where scales are stored times `2^e`.
    pub(crate) factor: f32,
    /// `[tiles][tile bytes]`, from the start of a cache line.
    pub(crate) bytes: &'a [u8],
}

/// All that decides where a weight lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TiledShape {
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// 4 or 8.
    pub(crate) bits: usize,
    /// Blocks of 32 that share a scale.
    pub(crate) shared: usize,
    /// Whether zero points are stored.
    pub(crate) zero_points: bool,
    /// Rows of a tile.
    pub(crate) lanes: usize,
}

impl TiledShape {
    /// The shape of `matrix` in tiles for an instruction set; `None` where it is not quantised or not in multiples of 32.
    pub(crate) fn of(matrix: &Matrix<'_>, isa: Isa) -> Option<TiledShape> {
        let (n, k, lanes) = (matrix.n, matrix.k, isa.lanes());
        let (bits, block, zero_points) = match &matrix.storage {
            Storage::Blocks(weights) => (weights.bits, weights.block, weights.zero_points.is_some()),
            Storage::Integers(weights) => (8, k, (0..n).any(|i| weights.biased_zero_point(matrix.first + i) != 128)),
            Storage::Nibbles(weights) => (4, weights.block, !weights.signed || weights.zero_points.is_some()),
            Storage::Float(_) | Storage::Tiled(_) => return None,
        };
        let whole = k.is_multiple_of(BLOCK) && block.is_multiple_of(BLOCK);
        whole.then_some(TiledShape { n, k, bits, shared: block / BLOCK, zero_points, lanes })
    }

    /// Blocks of 32 a row.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> usize {
        self.k / BLOCK
    }

    /// Scales a row.
    #[inline(always)]
    pub(crate) fn scale_blocks(&self) -> usize {
        self.blocks().div_ceil(self.shared)
    }

    /// Bytes of a block of a tile.
    #[inline(always)]
    pub(crate) fn block_bytes(&self) -> usize {
        BLOCK * self.bits / 8 * self.lanes
    }

    /// Where a tile's scales begin.
    #[inline(always)]
    pub(crate) fn scales_at(&self) -> usize {
        self.blocks() * self.block_bytes()
    }

    /// Where a tile's zero points begin.
    #[inline(always)]
    pub(crate) fn zero_points_at(&self) -> usize {
        self.scales_at() + self.scale_blocks() * self.lanes * size_of::<f16>()
    }

    /// From one tile to the next: whole cache lines.
    #[inline(always)]
    pub(crate) fn tile_bytes(&self) -> usize {
        let parameters = if self.zero_points { 2 } else { 1 } * self.scale_blocks() * self.lanes * size_of::<f16>();
        (self.scales_at() + parameters).next_multiple_of(64)
    }

    pub(crate) fn tiles(&self) -> usize {
        self.n.div_ceil(self.lanes)
    }

    /// Bytes of all tiles.
    pub(crate) fn bytes(&self) -> usize {
        self.tiles() * self.tile_bytes()
    }

    /// Where a weight lies within its tile: the byte, and how far to shift it.
    #[inline(always)]
    fn place(&self, lane: usize, k: usize) -> (usize, u32) {
        let (block, within) = (k / BLOCK, k % BLOCK);
        // The number of the byte among those of its row in the block.
        let (byte, shift) = if self.bits == 4 { (within / 2, within % 2 * 4) } else { (within, 0) };
        (block * self.block_bytes() + byte / 4 * 4 * self.lanes + lane * 4 + byte % 4, shift as u32)
    }
}

impl TiledWeights<'_> {
    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let shape = &self.shape;
        let (tile, lane) = (&self.bytes[n / shape.lanes * shape.tile_bytes()..], n % shape.lanes);
        let (byte, shift) = shape.place(lane, k);
        let q = i32::from(tile[byte] >> shift) & ((1 << shape.bits) - 1);
        let (scale, zero_point) = self.parameters(tile, lane, k / BLOCK);
        (q - zero_point) as f32 * scale
    }

    /// See [`Storage::unpack`]. Blocks that are asked for whole, as all of an embedding's are, are read at once.
    pub(super) fn unpack(&self, n: usize, start: usize, out: &mut [f32]) {
        if !start.is_multiple_of(BLOCK) || !out.len().is_multiple_of(BLOCK) {
            return out.iter_mut().enumerate().for_each(|(i, out)| *out = self.value(n, start + i));
        }
        let shape = &self.shape;
        let (tile, lane) = (&self.bytes[n / shape.lanes * shape.tile_bytes()..], n % shape.lanes);
        for (block, out) in out.as_chunks_mut::<BLOCK>().0.iter_mut().enumerate() {
            let block = start / BLOCK + block;
            let (scale, zero_point) = self.parameters(tile, lane, block);
            let value = |q: u8| (i32::from(q) - zero_point) as f32 * scale;
            let quads = tile[block * shape.block_bytes()..].chunks_exact(4 * shape.lanes).map(|vector| &vector[4 * lane..][..4]);
            if shape.bits == 4 {
                for (out, &byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(quads.flatten()) {
                    *out = [value(byte & 15), value(byte >> 4)];
                }
            } else {
                out.iter_mut().zip(quads.flatten()).for_each(|(out, &byte)| *out = value(byte));
            }
        }
    }

    /// Scale and zero point of a block of 32 of a lane of a tile.
    #[inline(always)]
    fn parameters(&self, tile: &[u8], lane: usize, block: usize) -> (f32, i32) {
        let shape = &self.shape;
        let at = (block / shape.shared * shape.lanes + lane) * size_of::<f16>();
        let half = |from: usize| f16::from_le_bytes([tile[from + at], tile[from + at + 1]]).to_f32();
        let zero_point = if shape.zero_points { half(shape.zero_points_at()) as i32 } else { 1 << (shape.bits - 1) };
        (half(shape.scales_at()) * self.factor, zero_point)
    }
}

/// The integers and parameters of a matrix that has a [`TiledShape`], whatever its storage.
struct Quantised<'a>(&'a Matrix<'a>);

impl Quantised<'_> {
    /// The stored integer, made unsigned.
    #[inline(always)]
    fn integer(&self, n: usize, k: usize) -> u8 {
        let n = self.0.first + n;
        match &self.0.storage {
            Storage::Blocks(weights) => weights.integer(n, k),
            Storage::Integers(weights) => weights.biased(n, k),
            Storage::Nibbles(weights) => weights.biased(n, k),
            Storage::Float(_) | Storage::Tiled(_) => 0,
        }
    }

    /// Scale, and zero point made unsigned, of a block of 32.
    fn parameters(&self, n: usize, block: usize) -> (f32, i32) {
        let n = self.0.first + n;
        match &self.0.storage {
            Storage::Blocks(weights) => {
                let block = block * BLOCK / weights.block;
                (weights.scales.get(n * weights.blocks() + block), weights.zero_point(n, block))
            }
            Storage::Integers(weights) => (weights.parameters(n).0, weights.biased_zero_point(n)),
            Storage::Nibbles(weights) => {
                let (scale, zero_point) = weights.parameters(n, block * BLOCK / weights.block);
                (scale, zero_point + if weights.signed { 8 } else { 0 })
            }
            Storage::Float(_) | Storage::Tiled(_) => (0., 0),
        }
    }
}

/// The largest finite magnitude among the scales of some rows.
pub(crate) fn largest_scale(matrix: &Matrix<'_>, shape: &TiledShape, rows: Range<usize>) -> f32 {
    let source = Quantised(matrix);
    let mut top = 0f32;
    for n in rows {
        for block in (0..shape.blocks()).step_by(shape.shared) {
            let scale = source.parameters(n, block).0.abs();
            top = if scale.is_finite() { top.max(scale) } else { top };
        }
    }
    top
}

/// `2^e`: what scales of a matrix are multiplied with so that `largest` comes to lie between 2^14 and 2^15.
pub(crate) fn scale_power(largest: f32) -> f32 {
    if largest < f32::MIN_POSITIVE { 1. } else { 2f32.powi((14 - largest.log2().floor() as i32).clamp(-126, 126)) }
}

/// Fills one tile.
///
/// # Safety
/// `S` is the instruction set of the shape, and `to` the tile's bytes.
#[inline(always)]
pub(crate) unsafe fn fill_tile<S: Simd>(s: S, matrix: &Matrix<'_>, shape: &TiledShape, power: f32, tile: usize, to: &mut [u8]) {
    let source = Quantised(matrix);
    let row = |lane: usize| (tile * shape.lanes + lane).min(shape.n - 1);
    let mut whole = 0;
    if let Storage::Blocks(weights) = &matrix.storage {
        // SAFETY: the caller's promise; the rows exist.
        whole = unsafe { transpose_blocks(s, weights, matrix.first, row, to) };
    }
    for lane in 0..shape.lanes {
        for k in whole * BLOCK..shape.k {
            let (byte, shift) = shape.place(lane, k);
            let keep = if shift == 0 { 0 } else { to[byte] };
            to[byte] = keep | source.integer(row(lane), k) << shift;
        }
        for block in 0..shape.scale_blocks() {
            let (scale, zero_point) = source.parameters(row(lane), block * shape.shared);
            let mut put = |at: usize, value: f32| {
                let at = at + (block * shape.lanes + lane) * size_of::<f16>();
                to[at..at + size_of::<f16>()].copy_from_slice(&f16::from_f32(value).to_le_bytes());
            };
            put(shape.scales_at(), scale * power);
            if shape.zero_points {
                put(shape.zero_points_at(), zero_point as f32);
            }
        }
    }
}

/// The blocks that fill whole vectors of each row, a square of four-byte columns at a time. Returns how many blocks of 32.
///
/// # Safety
/// Rows `first + row(lane)` exist; `to` is a tile of these weights.
#[inline(always)]
unsafe fn transpose_blocks<S: Simd>(
    s: S,
    weights: &super::BlockWeights<'_>,
    first: usize,
    row: impl Fn(usize) -> usize,
    to: &mut [u8],
) -> usize {
    let (vector, row_bytes) = (4 * S::LANES, weights.row_bytes());
    let mut rows = [std::ptr::null(); MAX_LANES];
    for (lane, at) in rows.iter_mut().enumerate().take(S::LANES) {
        *at = weights.packed[(first + row(lane)) * row_bytes..].as_ptr();
    }
    let block_bytes = BLOCK * weights.bits / 8;
    // Whole blocks only, so that what is left starts at one.
    let blocks_a_turn = (vector / block_bytes).max(1);
    let turns = weights.k / BLOCK / blocks_a_turn;
    for turn in 0..turns {
        for part in (0..blocks_a_turn * block_bytes).step_by(vector) {
            let at = turn * blocks_a_turn * block_bytes + part;
            // SAFETY: `vector` bytes from `at` lie within each row; a square of vectors from `at * LANES` lies within the tile.
            unsafe { s.transpose(&rows.map(|row| row.wrapping_add(at)), to[at * S::LANES..][..vector * S::LANES].as_mut_ptr()) };
        }
    }
    turns * blocks_a_turn
}
