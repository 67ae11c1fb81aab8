//! Scales and zero points of block-quantised weights, as vectors.
//!
//! Integer kernels take four weight rows at a time and, of each, a *step*: as many blocks of 32 as a vector has quads. Lane
//! `4 * j + i` of a step's vector belongs to row i and block j of the step.

use super::quantise::BLOCK;
use crate::floats::Floats;
use crate::matrix::BlockWeights;
use crate::simd::{MAX_LANES, Simd};

/// Four rows of weights; where fewer exist, the last stands in for the others.
pub(super) type FourRows = [usize; 4];

/// The rows from `first`, of which `held` (at least one) exist.
#[inline(always)]
pub(super) fn four_rows(first: usize, held: usize) -> FourRows {
    std::array::from_fn(|i| first + i.min(held - 1))
}

/// Reads the parameters of one matrix, step by step.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    weights: &'a BlockWeights<'a>,
    /// Blocks of 32 in a row.
    blocks: usize,
    /// Blocks of 32 that share a scale.
    shared: usize,
}

impl<'a> Parameters<'a> {
    #[inline(always)]
    pub(super) fn new(weights: &'a BlockWeights<'a>) -> Parameters<'a> {
        Parameters { weights, blocks: weights.k / BLOCK, shared: weights.block / BLOCK }
    }

    /// The scales of a step; zero for blocks beyond the row's end.
    #[inline(always)]
    pub(super) fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        let phases = S::LANES / 4;
        let first = step * phases;
        let whole = first + phases <= self.blocks;
        let stride = self.weights.blocks();
        match self.weights.scales {
            Floats::F32(scales) if whole && self.shared == 1 => {
                // SAFETY: `whole`: the row has `phases` scales from `first`.
                unsafe { s.load_columns(rows.map(|row| scales.as_ptr().add(row * stride + first))) }
            }
            Floats::F16(scales) if whole && self.shared == 1 => {
                // SAFETY: as above.
                unsafe { s.load_columns_f16(rows.map(|row| scales.as_ptr().add(row * stride + first))) }
            }
            scales if whole && self.shared >= phases => {
                s.repeat_quad(rows.map(|row| scales.get(row * stride + first / self.shared)))
            }
            scales => {
                let mut lanes = [0.; MAX_LANES];
                for block in first..(first + phases).min(self.blocks) {
                    for (i, row) in rows.into_iter().enumerate() {
                        lanes[(block - first) * 4 + i] = scales.get(row * stride + block / self.shared);
                    }
                }
                // SAFETY: `lanes` has room for any vector.
                unsafe { s.load(lanes.as_ptr()) }
            }
        }
    }

    /// The stored zero points of a step, less what the products of this instruction set already took off.
    #[inline(always)]
    pub(super) fn zero_points<S: Simd, const BITS: usize>(&self, s: S, zero_points: &[u8], rows: FourRows, step: usize) -> S::I {
        let phases = S::LANES / 4;
        let first = step * phases;
        let stride = self.weights.zero_point_row_bytes();
        let whole = self.shared == 1 && first + phases <= self.blocks;
        let words = match phases * BITS {
            // SAFETY: `whole`: the row has `phases` fields from `first`, which start at a byte because `first` is even.
            16 if whole => rows.map(|row| u32::from(unsafe { read::<u16>(zero_points, row * stride + first * BITS / 8) })),
            // SAFETY: as above.
            32 if whole => rows.map(|row| unsafe { read::<u32>(zero_points, row * stride + first * BITS / 8) }),
            _ => rows.map(|row| {
                (first..(first + phases).min(self.blocks)).fold(0, |word, block| {
                    word | self.weights.zero_point(row, block / self.shared).cast_unsigned() << ((block - first) * BITS)
                })
            }),
        };
        if BITS == 4 {
            s.fields::<4>(words)
        } else {
            s.add_int(s.fields::<8>(words), s.splat_int(-S::BYTE_BIAS))
        }
    }
}

/// # Safety
/// `bytes` holds a `T` at `at`.
#[inline(always)]
unsafe fn read<T: bytemuck::Pod>(bytes: &[u8], at: usize) -> T {
    debug_assert!(at + size_of::<T>() <= bytes.len());
    // SAFETY: the caller's promise.
    unsafe { bytes.as_ptr().add(at).cast::<T>().read_unaligned() }
}
