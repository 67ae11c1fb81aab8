//! The packed storage of a model's quantised weights: prepacked once, then read from memory of its own.
//!
//! Weights in place are ready at once and cost no memory that the system cannot reclaim; packed ones are read faster: in the order
//! in which the kernels read them, with float16 scales, in large pages.

mod saved;

pub use saved::{SavedWeightsError, SharedBytes};

use std::fmt;
use std::io;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::cpu::Isa;
use crate::float_product::Rows;
use crate::matrix::{Matrix, TiledShape, TiledWeights, fill_tile, largest_scale, scale_power};
use crate::memory::LargePages;
use crate::pool::Pool;
use crate::simd::{Kernel, Simd};

/// Rows whose scales an item looks at.
const SCALE_ROWS: usize = 512;
/// Bytes of tiles after which the source's rows may be dropped.
const PIECE_BYTES: usize = 4 << 20;
/// Tiles that an item fills.
const ITEM_TILES: usize = 4;

/// Packed weights: for each matrix that was given, the same matrix in tiles if it is quantised and a multiple of 32 wide.
#[derive(Debug)]
pub struct PackedWeights {
    memory: Memory,
    places: Vec<Option<Place>>,
}

/// Where the tiles are.
enum Memory {
    Own(LargePages),
    Shared { bytes: SharedBytes, tiles: Range<usize> },
}

impl Memory {
    /// The tiles of all matrices.
    fn bytes(&self) -> &[u8] {
        match self {
            Memory::Own(memory) => memory.bytes(),
            Memory::Shared { bytes, tiles } => &(**bytes).as_ref()[tiles.clone()],
        }
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Memory::Own(_) => "own",
            Memory::Shared { .. } => "shared",
        })
    }
}

/// Where a matrix lies.
#[derive(Clone, Copy, Debug)]
struct Place {
    shape: TiledShape,
    factor: f32,
    start: usize,
}

impl PackedWeights {
    /// Bytes that the tiles of a matrix take with an instruction set; `None` where it stays in place.
    pub fn bytes_needed(isa: Isa, matrix: &Matrix<'_>) -> Option<usize> {
        TiledShape::of(matrix, isa).map(|shape| shape.bytes())
    }

    /// Prepacks the matrices one after the other, some rows at a time, for use with the pool's instruction set. After each
    /// piece, `done` is called with the matrix's index and the rows: they are not read again and may be dropped from memory. It is
    /// not called for matrices that stay in place. [`ControlFlow::Break`] from it ends the work with `Ok(None)`.
    ///
    /// # Errors
    /// The operating system's error when the allocation fails.
    pub fn new(
        pool: &Pool,
        matrices: &[Matrix<'_>],
        mut done: impl FnMut(usize, Range<usize>) -> ControlFlow<()>,
    ) -> io::Result<Option<PackedWeights>> {
        let bytes = matrices.iter().filter_map(|matrix| PackedWeights::bytes_needed(pool.isa(), matrix)).sum();
        let mut memory = LargePages::new(bytes)?;
        let mut places = Vec::with_capacity(matrices.len());
        let mut start = 0;
        for (index, matrix) in matrices.iter().enumerate() {
            let Some(shape) = TiledShape::of(matrix, pool.isa()) else {
                places.push(None);
                continue;
            };
            let tiles = &mut memory.bytes_mut()[start..][..shape.bytes()];
            let power = power(pool, matrix, &shape);
            for first in (0..shape.tiles()).step_by(PIECE_BYTES.div_ceil(shape.tile_bytes())) {
                let piece = first..(first + PIECE_BYTES.div_ceil(shape.tile_bytes())).min(shape.tiles());
                fill(pool, matrix, &shape, power, piece.clone(), tiles);
                let rows = piece.start * shape.lanes..(piece.end * shape.lanes).min(shape.n);
                if done(index, rows).is_break() {
                    return Ok(None);
                }
            }
            places.push(Some(Place { shape, factor: 1. / power, start }));
            start += shape.bytes();
        }
        Ok(Some(PackedWeights { memory: Memory::Own(memory), places }))
    }

    /// Whether the tiles are in memory allocated by [`PackedWeights::new`], rather than in shared bytes such as a mapped file.
    pub fn is_own(&self) -> bool {
        matches!(self.memory, Memory::Own(_))
    }

    /// The matrix with this index in tiles; `None` where it has none.
    pub fn matrix(&self, index: usize) -> Option<Matrix<'_>> {
        let Place { shape, factor, start } = (*self.places.get(index)?)?;
        Some(Matrix::tiled(TiledWeights { shape, factor, bytes: &self.memory.bytes()[start..][..shape.bytes()] }))
    }

    /// Bytes of the tiles of the matrix with this index; `None` where it has none.
    pub fn matrix_bytes(&self, index: usize) -> Option<usize> {
        Some((*self.places.get(index)?)?.shape.bytes())
    }

    /// Bytes of all tiles.
    pub fn bytes(&self) -> usize {
        self.memory.bytes().len()
    }
}

/// The power of two by which the scales of a matrix are multiplied in its tiles.
fn power(pool: &Pool, matrix: &Matrix<'_>, shape: &TiledShape) -> f32 {
    // The bits of floats that are not negative have the order of the floats.
    let largest = AtomicU32::new(0);
    pool.for_each(shape.n.div_ceil(SCALE_ROWS), |item, _| {
        let rows = item * SCALE_ROWS..((item + 1) * SCALE_ROWS).min(shape.n);
        largest.fetch_max(largest_scale(matrix, shape, rows).to_bits(), Ordering::Relaxed);
    });
    scale_power(f32::from_bits(largest.into_inner()))
}

/// Fills some tiles of a matrix; `to` is all of them.
fn fill(pool: &Pool, matrix: &Matrix<'_>, shape: &TiledShape, power: f32, tiles: Range<usize>, to: &mut [u8]) {
    let to = Rows { at: to.as_mut_ptr(), stride: shape.tile_bytes() };
    pool.for_each(tiles.len().div_ceil(ITEM_TILES), |item, _| {
        let first = tiles.start + item * ITEM_TILES;
        for tile in first..(first + ITEM_TILES).min(tiles.end) {
            pool.isa().run(FillTile { matrix, shape, power, tile, to });
        }
    });
}

struct FillTile<'a> {
    matrix: &'a Matrix<'a>,
    shape: &'a TiledShape,
    power: f32,
    tile: usize,
    /// `[tiles][tile bytes]`
    to: Rows<u8>,
}

impl Kernel for FillTile<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: the tile lies within `to` of `fill`, and this item alone writes it; the shape was made for the pool's
        // instruction set, which is the one that runs.
        unsafe {
            let to = std::slice::from_raw_parts_mut(self.to.row(self.tile, 0), self.shape.tile_bytes());
            fill_tile(s, self.matrix, self.shape, self.power, self.tile, to);
        }
    }
}
