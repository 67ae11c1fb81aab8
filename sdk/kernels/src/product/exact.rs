//! Products in float32 with weights of any storage.
//!
//! A panel of output features by a stretch of k is unpacked to floats, a tile that stays in the caches, and used for all rows of x;
//! float32 weights serve as they lie where nothing is gained by copying. Storages that keep k together (`[n, k]`, blocks) end in
//! [`dots`], those that keep n together in [`columns`]. How k is cut depends on the storage alone, never on m.

use std::ops::Range;

use crate::float_product::{Dims, Rows, columns, dots};
use crate::floats::Floats;
use crate::lines::Buffer;
use crate::matrix::{FloatWeights, Layout, Matrix, Storage};
use crate::simd::{Kernel, Simd};

/// Input features of a panel where k lies together: long, because each stretch ends in sums across lanes.
const DOTS_INNER: usize = 2048;
/// Output features of a panel where k lies together: few, so that a panel of usual length stays in the first-level cache.
const DOTS_COLUMNS: usize = 8;
/// Input features of a panel where n lies together.
const COLUMNS_INNER: usize = 128;
/// Vectors of output features in a panel where n lies together.
const COLUMNS_VECTORS: usize = 4;
/// Lines that are asked for ahead of unpacking where n lies together: the next one is far away, where no hardware looks.
const LINES_AHEAD: usize = 16;
/// Up to this many rows of x, float32 and float16 weights `[k, n]` are read where they lie; more rows are worth a compact copy.
const IN_PLACE_ROWS: usize = 8;

/// One item: the output features `columns` of the weights.
pub(super) struct Exact<'a> {
    pub(super) weights: &'a Matrix<'a>,
    /// `[m, k]`
    pub(super) x: &'a [f32],
    pub(super) columns: Range<usize>,
    /// `[m, columns]`
    pub(super) y: Rows<f32>,
    pub(super) buffer: &'a mut Buffer,
}

impl Kernel for Exact<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match self.weights.storage.layout() {
            Layout::Nk => self.with_k_together(s),
            Layout::Kn => self.with_n_together(s),
        }
    }
}

impl Exact<'_> {
    #[inline(always)]
    fn with_k_together<S: Simd>(self, s: S) {
        let k = self.weights.k();
        let m = self.x.len() / k;
        let x = Rows::of(self.x, k);
        let tile: &mut [f32] = self.buffer.get(DOTS_COLUMNS * DOTS_INNER);
        for n in self.columns.clone().step_by(DOTS_COLUMNS) {
            let count = (self.columns.end - n).min(DOTS_COLUMNS);
            let stored = self.weights.first + n;
            for start in (0..k).step_by(DOTS_INNER) {
                let inner = (k - start).min(DOTS_INNER);
                let weights = match self.weights.in_place() {
                    Some(data) => Rows { at: data.wrapping_add(stored * k + start).cast_mut(), stride: k },
                    None => {
                        for (i, row) in tile.chunks_exact_mut(inner).take(count).enumerate() {
                            self.weights.storage.unpack(s, stored + i, start, row);
                        }
                        Rows::of(tile, inner)
                    }
                };
                let dims = Dims { m, n: count, inner };
                // SAFETY: x is `[m, k]` from `start`, with the k of these weights and the m of y (`check` of product), the weights
                // `[count, inner]`, y `[m, columns]`, which this item alone writes.
                unsafe { dots(s, dims, x.from(0, start), weights, self.y.from(0, n - self.columns.start), start > 0) }
            }
        }
    }

    #[inline(always)]
    fn with_n_together<S: Simd>(self, s: S) {
        let k = self.weights.k();
        let m = self.x.len() / k;
        let x = Rows::of(self.x, k);
        let panel = COLUMNS_VECTORS * S::LANES;
        let tile: &mut [f32] = self.buffer.get(panel * COLUMNS_INNER);
        let (storage, stride) = (&self.weights.storage, self.weights.storage.n());
        for n in self.columns.clone().step_by(panel) {
            let count = (self.columns.end - n).min(panel);
            let stored = self.weights.first + n;
            for start in (0..k).step_by(COLUMNS_INNER) {
                let inner = (k - start).min(COLUMNS_INNER);
                let dims = Dims { m, n: count, inner };
                // SAFETY: x is `[m, k]` from `start`, with the k of these weights and the m of y (`check` of product), weights in
                // place `[inner, count]` from there in `[k, stride]`, the tile `[inner, count]`, y `[m, columns]`, which this item
                // alone writes.
                unsafe {
                    let (x, y) = (x.from(0, start), self.y.from(0, n - self.columns.start));
                    match (self.weights.in_place(), storage) {
                        (Some(data), _) if m <= IN_PLACE_ROWS => {
                            let weights = Rows { at: data.wrapping_add(start * stride + stored).cast_mut(), stride };
                            columns(s, dims, x, weights, y, start > 0);
                        }
                        (_, Storage::Float(FloatWeights { data: Floats::F16(data), .. })) if m <= IN_PLACE_ROWS => {
                            columns(s, dims, x, Rows::of(data, stride).from(start, stored), y, start > 0);
                        }
                        _ => {
                            for (i, row) in tile.chunks_exact_mut(count).take(inner).enumerate() {
                                storage.prefetch(s, stride, start + i + LINES_AHEAD, stored, count);
                                storage.unpack(s, start + i, stored, row);
                            }
                            columns(s, dims, x, Rows::of(tile, count), y, start > 0);
                        }
                    }
                }
            }
        }
    }
}
