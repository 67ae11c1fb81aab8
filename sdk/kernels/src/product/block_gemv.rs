//! Block-quantised weights times one to four quantised rows: decoding.
//!
//! Such a product reads every weight once and is bound by memory bandwidth: the kernel has to keep up with memory and to read it as
//! one stream. The ONNX layout is read in place, four weight rows at a time, step (see product/parameters.rs) by step:
//!
//! ```text
//! for each step, for each of the m rows of x:
//!     dots[i]  = bytes of weight row i . bytes of x          4 vectors; a quad holds one block's sum in four pieces
//!     c        = sum_within_quads(dots) + correction         quad j, lane i: the whole sum of block j with weight row i
//!     sum     += float(c) * (scale of weight * scale of x)
//! y[i] = quads of sum, added in order
//! ```
//!
//! The four weight rows share the loads of x. Summing each block as a whole, before its scale is applied, makes the order of float
//! additions the same as in product/gemm.rs, so that a row decoded alone and the same row within a long prompt give the same bits.

use std::ops::Range;

use super::parameters::{AnyBlock, EachBlock, FourRows, PaddedParameters, StepParameters};
use super::quantise::{BLOCK, QuantisedRows};
use crate::float_product::Rows;
use crate::floats::Floats;
use crate::matrix::BlockWeights;
use crate::simd::{Kernel, MAX_LANES, Simd};

/// How far ahead of use weights are asked for, in bytes.
const AHEAD: usize = 4096;

/// One item: `rows` of the weights.
pub(super) struct BlockGemv<'a> {
    pub(super) weights: &'a BlockWeights<'a>,
    pub(super) x: &'a QuantisedRows,
    pub(super) rows: Range<usize>,
    /// `[m, rows]`
    pub(super) y: Rows<f32>,
}

impl Kernel for BlockGemv<'_> {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let weights = self.weights;
        let each = weights.block == BLOCK;
        match (weights.scales, weights.scales.as_unaligned_f32(), weights.zero_points.packed()) {
            (_, Some(scales), None) if each => self.with(s, EachBlock::<_, false>::new(weights, scales)),
            (_, Some(scales), Some(_)) if each => self.with(s, EachBlock::<_, true>::new(weights, scales)),
            (Floats::F16(scales), _, None) if each => self.with(s, EachBlock::<_, false>::new(weights, scales.as_ptr())),
            (Floats::F16(scales), _, Some(_)) if each => self.with(s, EachBlock::<_, true>::new(weights, scales.as_ptr())),
            _ => self.with(s, AnyBlock::new(weights)),
        }
    }
}

impl BlockGemv<'_> {
    #[inline(always)]
    fn with<S: Simd>(&self, s: S, parameters: impl StepParameters) {
        match (self.weights.bits, self.x.m) {
            (4, 1) => self.all::<S, 1, 4>(s, parameters),
            (4, 2) => self.all::<S, 2, 4>(s, parameters),
            (4, 3) => self.all::<S, 3, 4>(s, parameters),
            (4, 4) => self.all::<S, 4, 4>(s, parameters),
            (8, 1) => self.all::<S, 1, 8>(s, parameters),
            (8, 2) => self.all::<S, 2, 8>(s, parameters),
            (8, 3) => self.all::<S, 3, 8>(s, parameters),
            (8, 4) => self.all::<S, 4, 8>(s, parameters),
            (bits, m) => unreachable!("{m} rows, {bits} bits"),
        }
    }

    #[inline(always)]
    fn all<S: Simd, const M: usize, const BITS: usize>(&self, s: S, parameters: impl StepParameters) {
        let mut first = self.rows.start;
        while first < self.rows.end {
            // The last one to three rows are taken one by one, each in place of four.
            let count = if self.rows.end - first >= 4 { 4 } else { 1 };
            // SAFETY: `count` rows exist from `first`.
            let sums = unsafe { self.four::<S, M, BITS>(s, parameters, FourRows { first, stride: count / 4 }) };
            for (row, sums) in sums.into_iter().enumerate() {
                // SAFETY: `y` is `[m, rows]`, and this item alone writes it.
                unsafe {
                    let y = self.y.row(row, first - self.rows.start);
                    if count == 4 { y.cast::<[f32; 4]>().write_unaligned(sums) } else { *y = sums[0] }
                }
            }
            first += count;
        }
    }

    /// The products of four weight rows with all rows of x.
    ///
    /// # Safety
    /// The rows exist, and the parameters are those of the weights.
    #[inline(always)]
    unsafe fn four<S: Simd, const M: usize, const BITS: usize>(
        &self,
        s: S,
        parameters: impl StepParameters,
        rows: FourRows,
    ) -> [[f32; 4]; M] {
        let step_bytes = S::LANES * BITS;
        let row_bytes = self.weights.row_bytes();
        let blocks = self.weights.k / BLOCK;
        let (whole, left) = (blocks / (S::LANES / 4), blocks % (S::LANES / 4));
        let mut sums = [s.splat(0.); M];
        let mut padded;
        // SAFETY: the rows exist: `row_bytes` bytes each, of which `whole` steps lie within the row; what is left is copied to a
        // padded buffer. Only prefetches reach further, which may.
        unsafe {
            let stream = self.weights.packed.as_ptr().add(rows.first * row_bytes);
            let mut source = Source { at: stream, stride: rows.stride * row_bytes, parameters, rows, step: 0 };
            let mut steps = 0..whole;
            // Once for the whole steps, once more if a step is left: the one place where `step` is compiled.
            loop {
                for step in steps.clone() {
                    for line in (0..4 * step_bytes).step_by(64) {
                        s.prefetch(stream.wrapping_add(4 * step_bytes * step + line + AHEAD));
                    }
                    source.parameters.prefetch::<S, BITS>(s, source.rows, step, AHEAD);
                    self.step::<S, M, BITS>(s, source, step, &mut sums);
                    source.at = source.at.add(step_bytes);
                    source.step += 1;
                }
                if left == 0 || steps.end > whole {
                    break;
                }
                padded = Padded::default();
                source = source.last_step::<S, BITS>(left, &mut padded);
                steps = whole..whole + 1;
            }
        }
        let mut folded = [[0.; 4]; M];
        for m in 0..M {
            folded[m] = s.fold_quads(sums[m]);
        }
        folded
    }

    /// One step.
    ///
    /// # Safety
    /// The source has a step where it stands.
    #[inline(always)]
    unsafe fn step<S: Simd, const M: usize, const BITS: usize>(
        &self,
        s: S,
        source: Source<impl StepParameters>,
        step: usize,
        sums: &mut [S::F; M],
    ) {
        let vector = 4 * S::LANES;
        // SAFETY: the caller's promise for the weights. The quantised rows have `blocks` blocks, a multiple of every step's.
        unsafe {
            let scales = source.parameters.scales(s, source.rows, source.step);
            let zero_points = source.parameters.zero_points::<S, BITS>(s, source.rows, source.step);
            // A step of 4 bits is one vector of bytes, split into even and odd values; a step of 8 bits is two vectors.
            let mut bytes = [[s.splat_int(0); 2]; 4];
            for i in 0..4 {
                let at = source.at.add(i * source.stride);
                bytes[i] = if BITS == 4 {
                    s.split_nibbles(s.load_bytes(at)).into()
                } else {
                    [s.load_bytes(at), s.load_bytes(at.add(vector))]
                };
            }
            for m in 0..M {
                let values = self.x.values.as_ptr().add(m * self.x.blocks * BLOCK).cast::<u8>();
                let mut dots = [[s.splat_int(0); 4]; 2];
                if BITS == 4 {
                    let even = s.load_bytes(values.add(step * vector));
                    let odd = s.load_bytes(values.add(self.x.blocks * 16 + step * vector));
                    for i in 0..4 {
                        dots[0][i] = s.dot_nibbles(dots[0][i], bytes[i], [even, odd]);
                    }
                } else {
                    for half in 0..2 {
                        let values = s.load_bytes(values.add((step * 2 + half) * vector));
                        for i in 0..4 {
                            dots[half][i] = s.dot_bytes(dots[half][i], [bytes[i][half]], [values]);
                        }
                    }
                }
                let mut dot = s.sum_within_quads(dots[0]);
                if BITS == 8 {
                    dot = s.add_neighbour_quads(dot, s.sum_within_quads(dots[1]));
                }
                let block = m * self.x.blocks + step * (S::LANES / 4);
                let mut correction = s.load_int_to_quads(self.x.corrections.as_ptr().add(block));
                if let Some(zero_points) = zero_points {
                    correction = s.mul_int(correction, zero_points);
                }
                let scale = s.mul(scales, s.load_to_quads(self.x.scales.as_ptr().add(block)));
                sums[m] = s.mul_add(s.to_float(s.add_int(dot, correction)), scale, sums[m]);
            }
        }
    }
}

/// Where the weights of a step are, and their parameters.
#[derive(Clone, Copy)]
struct Source<P> {
    at: *const u8,
    /// Bytes from one row to the next.
    stride: usize,
    parameters: P,
    /// The rows and the step by which the parameters know them.
    rows: FourRows,
    step: usize,
}

/// Room for one step of four rows.
#[derive(Default)]
struct Padded {
    weights: [[[u8; 32]; MAX_LANES / 4]; 4],
    parameters: PaddedParameters,
}

impl<P: StepParameters> Source<P> {
    /// The step that the rows do not fill, of `left` blocks, padded.
    ///
    /// # Safety
    /// This source stands behind the last whole step of rows that exist, and `left` blocks follow.
    #[inline(always)]
    unsafe fn last_step<S: Simd, const BITS: usize>(self, left: usize, padded: &mut Padded) -> Source<P> {
        let stride = size_of_val(&padded.weights[0]);
        let at = padded.weights.as_mut_ptr().cast::<u8>();
        // SAFETY: the caller's promise; each of four rows of `padded` has room for a step.
        unsafe {
            for i in 0..4 {
                at.add(i * stride).copy_from_nonoverlapping(self.at.add(i * self.stride), left * BLOCK * BITS / 8);
            }
            let (parameters, rows, step) =
                self.parameters.last_step::<S, BITS>(self.rows, self.step, left, &mut padded.parameters);
            Source { at, stride, parameters, rows, step }
        }
    }
}
