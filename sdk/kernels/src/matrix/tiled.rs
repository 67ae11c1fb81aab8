//! Quantised weights prepacked for the kernels: the packed storage.
//!
//! A *tile* is as many weight rows as a vector has lanes. Within a block of 32 input features, a vector holds four neighbouring
//! bytes of each row, so that one four-way byte product advances all rows of the tile. A *run* of blocks follows the vector of their
//! parameters, so that the whole tile is one stream, read from one end to the other as processors like to read ahead:
//!
//! ```text
//! tile:    runs of   parameters  [2][lanes] float16                        one vector
//!                    values      [blocks][bits vectors][lanes][4 bytes]    4 bits: a byte holds an even and an odd weight, low half even
//! ```
//!
//! The parameters are the scales of two scale blocks; or the scales and the zero points of one, where these differ from 8 or 128. Zero
//! points that need not be whole are stored less 8, which costs them least of their precision. Weights of 2 bits lie as ones of 4, in
//! the middle of their range.
//!
//! Scales are scaled by one power of two for the whole matrix so that the largest is near the top of float16's range; what is
//! 2^28 times smaller than it loses precision, and its rounding (2^-11 at most) is far below that of the weights themselves.
//! Rows that only fill up the last tile repeat the last row.

use std::ops::Range;

use half::f16;

use super::{BlockWeights, IntegerWeights, Matrix, Storage, ZeroPoints};
use crate::cpu::Isa;
use crate::lines::Line;
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

/// Zero points of tiled weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Points {
    /// 8 or 128 everywhere: none is stored.
    Middle,
    /// Whole numbers.
    Whole,
    /// Offsets from 8, which need not be whole; only with 4 bits.
    Offset,
}

/// How far from 8 a zero point may be to be stored as an [`Points::Offset`]: its rounding is then below that of the weights.
const FARTHEST_OFFSET: f32 = 16.;

/// The parameters of a tiled layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TiledShape {
    pub(crate) n: usize,
    pub(crate) k: usize,
    /// 4 or 8.
    pub(crate) bits: usize,
    /// Blocks of 32 that share a scale.
    pub(crate) shared: usize,
    /// Which zero points are stored.
    pub(crate) zero_points: Points,
    /// Rows of a tile.
    pub(crate) lanes: usize,
}

impl TiledShape {
    /// The shape of `matrix` in tiles for an instruction set; `None` where it is not quantised or not in multiples of 32.
    pub(crate) fn of(matrix: &Matrix<'_>, isa: Isa) -> Option<TiledShape> {
        let (n, k, lanes) = (matrix.n, matrix.k, isa.lanes());
        let (bits, block, zero_points) = match &matrix.storage {
            Storage::Blocks(weights) => (weights.bits, weights.block, points_of_blocks(weights)?),
            Storage::Integers(weights) => (weights.bits, weights.block[1].min(k), points_of_integers(weights)),
            Storage::Float(_) | Storage::Tiled(_) => return None,
        };
        let whole = k.is_multiple_of(BLOCK) && block.is_multiple_of(BLOCK);
        whole.then_some(TiledShape { n, k, bits: bits.max(4), shared: block / BLOCK, zero_points, lanes })
    }

    /// Blocks of 32 a row.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> usize {
        self.k / BLOCK
    }

    /// Bytes of a block of a tile.
    #[inline(always)]
    pub(crate) fn block_bytes(&self) -> usize {
        BLOCK * self.bits / 8 * self.lanes
    }

    /// Bytes of a vector: the parameters of a run.
    #[inline(always)]
    fn vector_bytes(&self) -> usize {
        4 * self.lanes
    }

    /// Blocks of a whole run.
    #[inline(always)]
    fn run_blocks(&self) -> usize {
        if self.zero_points == Points::Middle { 2 * self.shared } else { self.shared }
    }

    /// Where a block's values begin in a tile.
    #[inline(always)]
    pub(crate) fn block_at(&self, block: usize) -> usize {
        (block / self.run_blocks() + 1) * self.vector_bytes() + block * self.block_bytes()
    }

    /// Where the scales of a block's rows are in a tile, and their zero points where these are stored.
    #[inline(always)]
    pub(crate) fn parameters_at(&self, block: usize) -> (usize, usize) {
        let (run, half) = (block / self.run_blocks(), block % self.run_blocks() / self.shared);
        let at = run * (self.vector_bytes() + self.run_blocks() * self.block_bytes());
        (at + half * self.vector_bytes() / 2, at + self.vector_bytes() / 2)
    }

    /// From one tile to the next: whole cache lines.
    #[inline(always)]
    pub(crate) fn tile_bytes(&self) -> usize {
        let runs = self.blocks().div_ceil(self.run_blocks());
        (runs * self.vector_bytes() + self.blocks() * self.block_bytes()).next_multiple_of(64)
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
        (self.block_at(block) + byte / 4 * 4 * self.lanes + lane * 4 + byte % 4, shift as u32)
    }
}

impl TiledWeights<'_> {
    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let shape = &self.shape;
        let (tile, lane) = (&self.bytes[n / shape.lanes * shape.tile_bytes()..], n % shape.lanes);
        let (byte, shift) = shape.place(lane, k);
        let q = (u32::from(tile[byte]) >> shift) & ((1 << shape.bits) - 1);
        let (scale, zero_point) = self.parameters(tile, lane, k / BLOCK);
        (q as f32 - zero_point) * scale
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
            let value = |q: u8| (f32::from(q) - zero_point) * scale;
            let quads = tile[shape.block_at(block)..].chunks_exact(4 * shape.lanes).map(|vector| &vector[4 * lane..][..4]);
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
    fn parameters(&self, tile: &[u8], lane: usize, block: usize) -> (f32, f32) {
        let shape = &self.shape;
        let (scales, zero_points) = shape.parameters_at(block);
        let half = |from: usize| {
            let at = from + lane * size_of::<f16>();
            f16::from_le_bytes([tile[at], tile[at + 1]]).to_f32()
        };
        let middle = middle(shape.bits);
        let zero_point = match shape.zero_points {
            Points::Middle => middle,
            Points::Whole => half(zero_points),
            Points::Offset => middle + half(zero_points),
        };
        (half(scales) * self.factor, zero_point)
    }
}

/// The middle of the range of so many bits.
#[inline(always)]
fn middle(bits: usize) -> f32 {
    (1 << (bits - 1)) as f32
}

/// Offset added to integers of `bits` in tiles: those of 2 bits move to the middle of 4 bits.
#[inline(always)]
fn lift(bits: usize) -> u8 {
    if bits == 2 { 6 } else { 0 }
}

/// `None` where the zero points have no place in tiles.
fn points_of_blocks(weights: &BlockWeights<'_>) -> Option<Points> {
    match weights.zero_points {
        ZeroPoints::Middle => Some(Points::Middle),
        ZeroPoints::Packed(_) => Some(Points::Whole),
        ZeroPoints::Floats(values) => {
            let is_near = |index| (values.get(index) - middle(weights.bits)).abs() <= FARTHEST_OFFSET;
            (weights.bits < 8 && (0..values.len()).all(is_near)).then_some(Points::Offset)
        }
    }
}

fn points_of_integers(weights: &IntegerWeights<'_>) -> Points {
    let count = weights.parameter_count();
    let is_middle = |index| f32::from(weights.biased_zero_point(index)) == middle(weights.bits);
    let is_middle = match weights.zero_points {
        None => is_middle(0),
        // Of blocks there are many: that all are in the middle is not worth looking for.
        Some(_) => count <= weights.n.max(weights.k) && (0..count).all(is_middle),
    };
    if is_middle { Points::Middle } else { Points::Whole }
}

/// The integers and parameters of a matrix that has a [`TiledShape`], whatever its storage.
struct Quantised<'a>(&'a Matrix<'a>);

impl Quantised<'_> {
    /// The stored integer, made unsigned and lifted.
    #[inline(always)]
    fn integer(&self, n: usize, k: usize) -> u8 {
        let n = self.0.first + n;
        match &self.0.storage {
            Storage::Blocks(weights) => weights.integer(n, k) + lift(weights.bits),
            Storage::Integers(weights) => weights.biased(n, k) + lift(weights.bits),
            Storage::Float(_) | Storage::Tiled(_) => 0,
        }
    }

    /// Scale of a block of 32.
    #[inline(always)]
    fn scale(&self, n: usize, block: usize) -> f32 {
        let n = self.0.first + n;
        match &self.0.storage {
            Storage::Blocks(weights) => weights.scales.get(n * weights.blocks() + block * BLOCK / weights.block),
            Storage::Integers(weights) => weights.scale(n, block * BLOCK),
            Storage::Float(_) | Storage::Tiled(_) => 0.,
        }
    }

    /// Zero point, of integers as they are given, of a block of 32.
    #[inline(always)]
    fn zero_point(&self, n: usize, block: usize) -> f32 {
        let n = self.0.first + n;
        match &self.0.storage {
            Storage::Blocks(weights) => weights.zero_point(n, block * BLOCK / weights.block) + f32::from(lift(weights.bits)),
            Storage::Integers(weights) => f32::from(weights.zero_point(n, block * BLOCK) + lift(weights.bits)),
            Storage::Float(_) | Storage::Tiled(_) => 0.,
        }
    }
}

/// The largest finite magnitude among the scales of some rows.
pub(crate) fn largest_scale(matrix: &Matrix<'_>, shape: &TiledShape, rows: Range<usize>) -> f32 {
    let source = Quantised(matrix);
    let mut top = 0f32;
    for n in rows {
        for block in (0..shape.blocks()).step_by(shape.shared) {
            let scale = source.scale(n, block).abs();
            top = if scale.is_finite() { top.max(scale) } else { top };
        }
    }
    top
}

/// `2^e`: the factor on a matrix's scales by which `largest` comes to lie between 2^14 and 2^15; 1 where it is not a normal number.
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
    if let Storage::Blocks(weights) = &matrix.storage
        && weights.bits == shape.bits
    {
        // SAFETY: the caller's promise; the rows exist.
        whole = unsafe { transpose_blocks(s, weights, shape, matrix.first, row, to) };
    }
    for lane in 0..shape.lanes {
        for k in whole * BLOCK..shape.k {
            let (byte, shift) = shape.place(lane, k);
            let keep = if shift == 0 { 0 } else { to[byte] };
            to[byte] = keep | source.integer(row(lane), k) << shift;
        }
        for block in (0..shape.blocks()).step_by(shape.shared) {
            let (scales, zero_points) = shape.parameters_at(block);
            let mut put = |at: usize, value: f32| {
                let at = at + lane * size_of::<f16>();
                to[at..at + size_of::<f16>()].copy_from_slice(&f16::from_f32(value).to_le_bytes());
            };
            put(scales, source.scale(row(lane), block) * power);
            match shape.zero_points {
                Points::Middle => {}
                Points::Whole => put(zero_points, source.zero_point(row(lane), block)),
                Points::Offset => put(zero_points, source.zero_point(row(lane), block) - middle(shape.bits)),
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
    weights: &BlockWeights<'_>,
    shape: &TiledShape,
    first: usize,
    row: impl Fn(usize) -> usize,
    to: &mut [u8],
) -> usize {
    let (vector, row_bytes) = (4 * S::LANES, weights.row_bytes());
    let mut rows = [std::ptr::null(); MAX_LANES];
    for (lane, at) in rows.iter_mut().enumerate().take(S::LANES) {
        *at = weights.packed[(first + row(lane)) * row_bytes..].as_ptr();
    }
    // A row's bytes of a square are some whole blocks, or a part of one.
    let block_bytes = BLOCK * weights.bits / 8;
    let piece = vector.min(block_bytes);
    let squares = weights.k / BLOCK * block_bytes / vector;
    let mut staging = [Line([0.; 16]); MAX_LANES];
    for square in 0..squares {
        // SAFETY: `vector` bytes from there lie within each row; `staging` has room for a square of the widest vector.
        unsafe { s.transpose(&rows.map(|row| row.wrapping_add(square * vector)), staging.as_mut_ptr().cast()) };
        let bytes: &[u8] = bytemuck::cast_slice(&staging);
        for (i, values) in bytes[..vector * S::LANES].chunks_exact(piece * S::LANES).enumerate() {
            let at = square * vector + i * piece;
            let to = &mut to[shape.block_at(at / block_bytes) + at % block_bytes * S::LANES..];
            to[..values.len()].copy_from_slice(values);
        }
    }
    // Whole blocks only, so that the remainder starts at one.
    squares * vector / block_bytes
}
