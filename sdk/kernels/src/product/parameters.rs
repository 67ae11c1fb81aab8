//! Scales and zero points of block-quantised weights, as vectors.
//!
//! Integer kernels take four weight rows at a time and, of each, a *step*: as many blocks of 32 as a vector has quads. Lane
//! `4 * j + i` of a step's vector belongs to row i and block j of the step.

use half::f16;

use super::quantise::BLOCK;
use crate::floats::Floats;
use crate::matrix::BlockWeights;
use crate::simd::{MAX_LANES, Simd};

/// Four rows of weights, which may all be the same one: rows that are left over at the end each stand for four.
#[derive(Clone, Copy)]
pub(super) struct FourRows {
    pub(super) first: usize,
    /// From one row to the next: 1, or 0 where all are the first.
    pub(super) stride: usize,
}

impl FourRows {
    #[inline(always)]
    pub(super) fn row(self, i: usize) -> usize {
        self.first + i * self.stride
    }
}

/// Where the scales of whole steps come from. The inner loop of decoding is compiled for each source.
pub(super) trait StepScales: Copy {
    /// The scales of a step.
    ///
    /// # Safety
    /// The rows exist, and the step lies within them.
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F;

    /// Asks for the scales of the steps that come `weight_bytes` of weights of `bits` bits later.
    fn prefetch<S: Simd>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize, bits: usize);
}

/// A scale for each block of 32.
#[derive(Clone, Copy)]
pub(super) struct EachBlock<T> {
    /// `[n, stride]`
    pub(super) at: *const T,
    /// Blocks a row.
    pub(super) stride: usize,
}

impl<T> EachBlock<T> {
    #[inline(always)]
    fn block<S: Simd>(&self, rows: FourRows, step: usize) -> [*const T; 4] {
        let row = |i: usize| self.at.wrapping_add(rows.row(i) * self.stride + step * (S::LANES / 4));
        [row(0), row(1), row(2), row(3)]
    }

    /// Rows follow one another, so that the scales are one stream as the weights are: `4 * LANES / 4` values a step.
    #[inline(always)]
    fn prefetch_stream<S: Simd>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize, bits: usize) {
        let ahead = weight_bytes * 8 / bits / BLOCK + step * S::LANES;
        s.prefetch(self.at.wrapping_add(rows.first * self.stride + ahead).cast());
    }
}

impl StepScales for EachBlock<f32> {
    #[inline(always)]
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_columns(self.block::<S>(rows, step)) }
    }
    #[inline(always)]
    fn prefetch<S: Simd>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize, bits: usize) {
        self.prefetch_stream(s, rows, step, weight_bytes, bits);
    }
}

impl StepScales for EachBlock<f16> {
    #[inline(always)]
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_columns_f16(self.block::<S>(rows, step)) }
    }
    #[inline(always)]
    fn prefetch<S: Simd>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize, bits: usize) {
        self.prefetch_stream(s, rows, step, weight_bytes, bits);
    }
}

impl StepScales for Parameters<'_> {
    #[inline(always)]
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        self.any_scales(s, rows, step)
    }
    #[inline(always)]
    fn prefetch<S: Simd>(&self, _: S, _: FourRows, _: usize, _: usize, _: usize) {}
}

/// The parameters of one matrix.
#[derive(Clone, Copy)]
pub(super) struct Parameters<'a> {
    weights: &'a BlockWeights<'a>,
    /// Blocks of 32 in a row.
    pub(super) blocks: usize,
    /// Blocks of 32 that share a scale.
    pub(super) shared: usize,
}

impl<'a> Parameters<'a> {
    #[inline(always)]
    pub(super) fn new(weights: &'a BlockWeights<'a>) -> Parameters<'a> {
        Parameters { weights, blocks: weights.k / BLOCK, shared: weights.block / BLOCK }
    }

    /// The scales of a step of any matrix; zero for blocks beyond the row's end.
    #[inline(always)]
    pub(super) fn any_scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        let phases = S::LANES / 4;
        let (first, stride) = (step * phases, self.weights.blocks());
        let whole = first + phases <= self.blocks;
        match self.weights.scales {
            // SAFETY: `whole`: the row has `phases` scales from `first`.
            Floats::F32(scales) if whole && self.shared == 1 => unsafe {
                EachBlock { at: scales.as_ptr(), stride }.scales(s, rows, step)
            },
            // SAFETY: as above.
            Floats::F16(scales) if whole && self.shared == 1 => unsafe {
                EachBlock { at: scales.as_ptr(), stride }.scales(s, rows, step)
            },
            scales if whole && self.shared >= phases => {
                let scale = |i: usize| scales.get(rows.row(i) * stride + first / self.shared);
                s.repeat_quad([scale(0), scale(1), scale(2), scale(3)])
            }
            scales => {
                let mut lanes = [0.; MAX_LANES];
                for block in first..(first + phases).min(self.blocks) {
                    for i in 0..4 {
                        lanes[(block - first) * 4 + i] = scales.get(rows.row(i) * stride + block / self.shared);
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
        let whole = self.shared == 1 && first + phases <= self.blocks;
        let at = |i: usize| rows.row(i) * self.weights.zero_point_row_bytes() + first * BITS / 8;
        let mut words = [0u32; 4];
        for (i, word) in words.iter_mut().enumerate() {
            *word = match phases * BITS {
                // SAFETY: `whole`: the row has `phases` fields from `first`, which start at a byte because `first` is even.
                16 if whole => u32::from(unsafe { read::<u16>(zero_points, at(i)) }),
                // SAFETY: as above.
                32 if whole => unsafe { read::<u32>(zero_points, at(i)) },
                _ => self.collect_zero_points(rows.row(i), first..(first + phases).min(self.blocks), BITS),
            };
        }
        if BITS == 4 { s.fields::<4>(words) } else { s.add_int(s.fields::<8>(words), s.splat_int(-S::BYTE_BIAS)) }
    }

    /// The zero points of some blocks of a row, the first lowest.
    fn collect_zero_points(&self, row: usize, blocks: std::ops::Range<usize>, bits: usize) -> u32 {
        blocks.rev().fold(0, |word, block| word << bits | self.weights.zero_point(row, block / self.shared).cast_unsigned())
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
