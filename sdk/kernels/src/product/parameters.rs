//! Scales and zero points of block-quantised weights, as vectors.
//!
//! Integer kernels take four weight rows at a time and, of each, a *step*: as many blocks of 32 as a vector has quads. Lane
//! `4 * j + i` of a step's vector belongs to row i and block j of the step.

use std::ops::Range;

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

/// A source of parameters. The inner loop of decoding is compiled for each of them.
pub(super) trait StepParameters: Copy {
    /// The scales of a step that lies within the rows.
    ///
    /// # Safety
    /// The rows exist, and so does the step.
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F;

    /// The stored zero points of a step that lies within the rows, less the bias that this instruction set's products subtract;
    /// `None` where none are stored.
    ///
    /// # Safety
    /// As for [`StepParameters::scales`].
    unsafe fn zero_points<S: Simd, const BITS: usize>(&self, s: S, rows: FourRows, step: usize) -> Option<S::I>;

    /// Parameters for the step after the last whole one, of which the rows have `left` blocks: a source, and where in it to look.
    ///
    /// # Safety
    /// The rows exist, and have so many blocks left.
    unsafe fn last_step<S: Simd, const BITS: usize>(
        &self,
        rows: FourRows,
        step: usize,
        left: usize,
        padded: &mut PaddedParameters,
    ) -> (Self, FourRows, usize);

    /// Asks for the scales of the weights that lie `weight_bytes` further on.
    fn prefetch<S: Simd, const BITS: usize>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize);
}

/// Room for the parameters of one step of four rows.
#[derive(Default)]
pub(super) struct PaddedParameters {
    scales: [[f32; 4]; 4],
    zero_points: [[u8; 4]; 4],
}

/// Scales of type `T`, `f32` or `f16`, for each block of 32, with zero points where `STORED`.
#[derive(Clone, Copy)]
pub(super) struct EachBlock<T, const STORED: bool> {
    /// `[n, stride]`, at any alignment
    scales: *const T,
    /// Blocks a row.
    stride: usize,
    /// `[n, zero_point_stride]` bytes
    zero_points: *const u8,
    zero_point_stride: usize,
}

impl<T, const STORED: bool> EachBlock<T, STORED> {
    /// The parameters of `weights`, whose scales these are.
    #[inline(always)]
    pub(super) fn new(weights: &BlockWeights<'_>, scales: *const T) -> EachBlock<T, STORED> {
        EachBlock {
            scales,
            stride: weights.blocks(),
            zero_points: weights.zero_points.packed().map_or(std::ptr::null(), <[u8]>::as_ptr),
            zero_point_stride: weights.zero_point_row_bytes(),
        }
    }
}

impl<T: Scale, const STORED: bool> StepParameters for EachBlock<T, STORED> {
    #[inline(always)]
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { T::load_step(s, self.scales, self.stride, rows, step) }
    }

    #[inline(always)]
    unsafe fn zero_points<S: Simd, const BITS: usize>(&self, s: S, rows: FourRows, step: usize) -> Option<S::I> {
        if STORED {
            // SAFETY: the caller's promise.
            Some(unsafe { load_zero_points::<S, BITS>(s, self.zero_points, self.zero_point_stride, rows, step) })
        } else {
            None
        }
    }

    #[inline(always)]
    unsafe fn last_step<S: Simd, const BITS: usize>(
        &self,
        rows: FourRows,
        step: usize,
        left: usize,
        padded: &mut PaddedParameters,
    ) -> (Self, FourRows, usize) {
        let first = step * (S::LANES / 4);
        let scales = padded.scales.as_mut_ptr().cast::<T>();
        for i in 0..4 {
            // SAFETY: the caller's promise: `left` (at most three) blocks from `first`; a row of `padded` has room for four. Bytes
            // are copied, because the scales may lie on any alignment.
            unsafe {
                let from = self.scales.add(rows.row(i) * self.stride + first).cast::<u8>();
                scales.add(4 * i).cast::<u8>().copy_from_nonoverlapping(from, left * size_of::<T>());
                if STORED {
                    let from = self.zero_points.add(rows.row(i) * self.zero_point_stride + first * BITS / 8);
                    padded.zero_points[i].as_mut_ptr().copy_from_nonoverlapping(from, (left * BITS).div_ceil(8));
                }
            }
        }
        let source = EachBlock { scales, stride: 4, zero_points: padded.zero_points.as_ptr().cast(), zero_point_stride: 4 };
        (source, FourRows { first: 0, stride: 1 }, 0)
    }

    #[inline(always)]
    fn prefetch<S: Simd, const BITS: usize>(&self, s: S, rows: FourRows, step: usize, weight_bytes: usize) {
        // Rows follow one another, so that the scales are one stream as the weights are: `LANES` values a step.
        let ahead = weight_bytes * 8 / BITS / BLOCK + step * S::LANES;
        s.prefetch(self.scales.wrapping_add(rows.first * self.stride + ahead).cast());
    }
}

/// A float that scales may have.
pub(super) trait Scale: Copy {
    /// As [`Simd::load_columns`].
    ///
    /// # Safety
    /// Each pointer is valid for `LANES / 4` reads.
    unsafe fn load_columns<S: Simd>(s: S, from: [*const Self; 4]) -> S::F;

    /// The scales of a step from `[n, stride]`.
    ///
    /// # Safety
    /// The rows exist, and the step lies within them.
    #[inline(always)]
    unsafe fn load_step<S: Simd>(s: S, scales: *const Self, stride: usize, rows: FourRows, step: usize) -> S::F {
        // SAFETY: the caller's promise: each row has `LANES / 4` scales from the step's first.
        unsafe {
            let first = scales.add(rows.first * stride + step * (S::LANES / 4));
            let stride = rows.stride * stride;
            Self::load_columns(s, [first, first.add(stride), first.add(2 * stride), first.add(3 * stride)])
        }
    }
}

impl Scale for f32 {
    #[inline(always)]
    unsafe fn load_columns<S: Simd>(s: S, from: [*const f32; 4]) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_columns(from) }
    }
}

impl Scale for f16 {
    #[inline(always)]
    unsafe fn load_columns<S: Simd>(s: S, from: [*const f16; 4]) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_columns_f16(from) }
    }
}

/// The zero points of a step from `[n, stride]` bytes, one for each block of 32.
///
/// # Safety
/// The rows exist, and the step lies within them.
#[inline(always)]
unsafe fn load_zero_points<S: Simd, const BITS: usize>(
    s: S,
    from: *const u8,
    stride: usize,
    rows: FourRows,
    step: usize,
) -> S::I {
    let bit = step * (S::LANES / 4) * BITS;
    let mut words = [0u32; 4];
    for (i, word) in words.iter_mut().enumerate() {
        // SAFETY: the caller's promise: the row has a step's fields from this bit, whole bytes but for vectors of one quad.
        unsafe {
            let at = from.add(rows.row(i) * stride + bit / 8);
            *word = match S::LANES / 4 * BITS {
                32 => at.cast::<u32>().read_unaligned(),
                16 => at.cast::<u16>().read_unaligned().into(),
                _ => (*at >> (bit % 8)).into(),
            };
        }
    }
    zero_points::<S, BITS>(s, words)
}

/// Zero points from each row's fields, less the bias that products subtract.
#[inline(always)]
fn zero_points<S: Simd, const BITS: usize>(s: S, words: [u32; 4]) -> S::I {
    if BITS == 4 { s.fields::<4>(words) } else { s.add_int(s.fields::<8>(words), s.splat_int(-S::BYTE_BIAS)) }
}

/// Parameters of any matrix, also of steps that a row does not fill.
#[derive(Clone, Copy)]
pub(super) struct AnyBlock<'a> {
    weights: &'a BlockWeights<'a>,
    /// Blocks of 32 in a row.
    blocks: usize,
    /// Blocks of 32 that share a scale.
    shared: usize,
    /// Scales a row.
    stride: usize,
    /// Bytes of zero points a row.
    zero_point_stride: usize,
}

impl<'a> AnyBlock<'a> {
    #[inline(always)]
    pub(super) fn new(weights: &'a BlockWeights<'a>) -> AnyBlock<'a> {
        AnyBlock {
            weights,
            blocks: weights.k / BLOCK,
            shared: weights.block / BLOCK,
            stride: weights.blocks(),
            zero_point_stride: weights.zero_point_row_bytes(),
        }
    }

    /// The blocks of a step that exist, and whether these are all.
    #[inline(always)]
    fn blocks<S: Simd>(&self, step: usize) -> (Range<usize>, bool) {
        let phases = S::LANES / 4;
        let first = step * phases;
        (first..(first + phases).min(self.blocks), first + phases <= self.blocks)
    }
}

impl StepParameters for AnyBlock<'_> {
    /// Zero for blocks beyond the row's end.
    #[inline(always)]
    unsafe fn scales<S: Simd>(&self, s: S, rows: FourRows, step: usize) -> S::F {
        let (blocks, whole) = self.blocks::<S>(step);
        match (self.weights.scales, self.weights.scales.as_unaligned_f32()) {
            // SAFETY: the rows exist by the caller's promise; the step is `whole`.
            (_, Some(scales)) if whole && self.shared == 1 => unsafe { f32::load_step(s, scales, self.stride, rows, step) },
            // SAFETY: as above.
            (Floats::F16(scales), _) if whole && self.shared == 1 => unsafe {
                f16::load_step(s, scales.as_ptr(), self.stride, rows, step)
            },
            (scales, _) if whole && self.shared >= S::LANES / 4 => {
                let at = |i: usize| rows.row(i) * self.stride + blocks.start / self.shared;
                s.repeat_quad([scales.get(at(0)), scales.get(at(1)), scales.get(at(2)), scales.get(at(3))])
            }
            (scales, _) => {
                let mut lanes = [0.; MAX_LANES];
                for block in blocks.clone() {
                    for i in 0..4 {
                        lanes[(block - blocks.start) * 4 + i] = scales.get(rows.row(i) * self.stride + block / self.shared);
                    }
                }
                // SAFETY: `lanes` has room for any vector.
                unsafe { s.load(lanes.as_ptr()) }
            }
        }
    }

    /// Zero or less for blocks beyond the row's end.
    #[inline(always)]
    unsafe fn zero_points<S: Simd, const BITS: usize>(&self, s: S, rows: FourRows, step: usize) -> Option<S::I> {
        let stored = self.weights.zero_points.packed()?;
        let (blocks, whole) = self.blocks::<S>(step);
        if whole && self.shared == 1 {
            // SAFETY: the rows exist by the caller's promise; the step is `whole`.
            return Some(unsafe { load_zero_points::<S, BITS>(s, stored.as_ptr(), self.zero_point_stride, rows, step) });
        }
        let mut words = [0; 4];
        for (i, word) in words.iter_mut().enumerate() {
            for block in blocks.clone().rev() {
                let at = rows.row(i) * self.zero_point_stride * 8 + block / self.shared * BITS;
                *word = *word << BITS | u32::from(stored[at / 8]) >> (at % 8) & ((1 << BITS) - 1);
            }
        }
        Some(zero_points::<S, BITS>(s, words))
    }

    #[inline(always)]
    unsafe fn last_step<S: Simd, const BITS: usize>(
        &self,
        rows: FourRows,
        step: usize,
        _: usize,
        _: &mut PaddedParameters,
    ) -> (Self, FourRows, usize) {
        (*self, rows, step)
    }

    #[inline(always)]
    fn prefetch<S: Simd, const BITS: usize>(&self, _: S, _: FourRows, _: usize, _: usize) {}
}
