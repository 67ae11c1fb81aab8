//! The weights of one product, as a model file stores them: borrowed, checked once, never copied.
//!
//! A [`Matrix`] is W in `y[m, n] = x[m, k] * W^T`: `n` output features by `k` input features, whatever the order in memory. One file
//! here holds each storage: its shape, its checks, and how a run of its values becomes floats.

mod blocks;
mod float;
mod integers;
mod tiled;

use std::ops::Range;

pub use blocks::{BlockWeights, ZeroPoints};
pub use float::FloatWeights;
pub use integers::IntegerWeights;
pub(crate) use tiled::{Points, TiledShape, TiledWeights, fill_tile, largest_scale, scale_power};

use crate::arch::scalar::Scalar;
use crate::shape::ShapeError;
use crate::simd::Simd;

/// Which of the two dimensions lies together in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// `[k, n]`, as the second input of ONNX MatMul.
    Kn,
    /// `[n, k]`, as embedding tables and Gemm with `transB`.
    Nk,
}

impl Layout {
    /// Where output feature `n` and input feature `k` lie in a matrix of `size_n` by `size_k`.
    #[inline(always)]
    fn index(self, n: usize, k: usize, size_n: usize, size_k: usize) -> usize {
        match self {
            Layout::Kn => k * size_n + n,
            Layout::Nk => n * size_k + k,
        }
    }
}

/// Checked weights, or a view of some of their output features. Small and `Copy`: it only borrows.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    pub(crate) storage: Storage<'a>,
    /// The first output feature of the view within the storage.
    pub(crate) first: usize,
    pub(crate) n: usize,
    pub(crate) k: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage<'a> {
    Float(FloatWeights<'a>),
    Blocks(BlockWeights<'a>),
    Integers(IntegerWeights<'a>),
    Tiled(TiledWeights<'a>),
}

impl<'a> Matrix<'a> {
    /// Float weights in either layout.
    ///
    /// # Errors
    /// [`ShapeError`] where a dimension is zero or the data has another length than `n * k`.
    pub fn float(weights: FloatWeights<'a>) -> Result<Self, ShapeError> {
        weights.check()?;
        Ok(Matrix { storage: Storage::Float(weights), first: 0, n: weights.n, k: weights.k })
    }

    /// Block-quantised weights of `com.microsoft` MatMulNBits and GatherBlockQuantized.
    ///
    /// # Errors
    /// [`ShapeError`] where a dimension is zero, bits or block have no kernel, or a buffer has another length than
    /// [`BlockWeights`] says.
    pub fn blocks(weights: BlockWeights<'a>) -> Result<Self, ShapeError> {
        weights.check()?;
        Ok(Matrix { storage: Storage::Blocks(weights), first: 0, n: weights.n, k: weights.k })
    }

    /// ONNX integer tensors with a scale for each block of a grid.
    ///
    /// # Errors
    /// [`ShapeError`] where a dimension is zero, bits have no kernel, or a buffer has another length than [`IntegerWeights`] says.
    pub fn integers(weights: IntegerWeights<'a>) -> Result<Self, ShapeError> {
        weights.check()?;
        Ok(Matrix { storage: Storage::Integers(weights), first: 0, n: weights.n, k: weights.k })
    }

    /// Single-precision weights as they lie, at any alignment; `None` for other storages.
    pub(crate) fn in_place(&self) -> Option<*const f32> {
        match &self.storage {
            Storage::Float(weights) => weights.data.as_unaligned_f32(),
            _ => None,
        }
    }

    /// Weights in tiles.
    pub(crate) fn tiled(weights: TiledWeights<'a>) -> Matrix<'a> {
        let TiledShape { n, k, .. } = weights.shape;
        Matrix { storage: Storage::Tiled(weights), first: 0, n, k }
    }

    /// Output features.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Input features.
    pub fn k(&self) -> usize {
        self.k
    }

    /// A view of some output features: the parts of a packed QKV or gate/up matrix.
    ///
    /// # Panics
    /// Where the range reaches beyond [`Matrix::n`].
    pub fn rows(&self, rows: Range<usize>) -> Matrix<'a> {
        assert!(rows.start <= rows.end && rows.end <= self.n, "rows {rows:?} of a matrix with n = {}", self.n);
        Matrix { first: self.first + rows.start, n: rows.end - rows.start, ..*self }
    }

    /// The weight from input feature `k` to output feature `n`. This is what each storage means; everything fast is tested
    /// against it.
    ///
    /// # Panics
    /// Where an index is out of range.
    pub fn value(&self, n: usize, k: usize) -> f32 {
        assert!(n < self.n && k < self.k, "value [{n}, {k}] of a matrix [{}, {}]", self.n, self.k);
        let n = self.first + n;
        match &self.storage {
            Storage::Float(weights) => weights.value(n, k),
            Storage::Blocks(weights) => weights.value(n, k),
            Storage::Integers(weights) => weights.value(n, k),
            Storage::Tiled(weights) => weights.value(n, k),
        }
    }

    /// The weights of output feature `n` as floats: an embedding lookup. `out` is `[k]`. Any layout will do: a table stored
    /// `[hidden, vocabulary]` is read down its column.
    ///
    /// # Panics
    /// Where `n` is out of range or `out` has another length than [`Matrix::k`].
    pub fn dequantise_row(&self, n: usize, out: &mut [f32]) {
        assert!(n < self.n && out.len() == self.k, "row {n} of a matrix [{}, {}] into {} values", self.n, self.k, out.len());
        let n = self.first + n;
        match self.storage.layout() {
            Layout::Nk => self.storage.unpack(Scalar, n, 0, out),
            Layout::Kn => match &self.storage {
                Storage::Float(weights) => fill(out, |k| weights.value(n, k)),
                Storage::Blocks(weights) => fill(out, |k| weights.value(n, k)),
                Storage::Integers(weights) => fill(out, |k| weights.value(n, k)),
                Storage::Tiled(weights) => fill(out, |k| weights.value(n, k)),
            },
        }
    }
}

/// Sets each element from its index.
#[inline(always)]
fn fill(out: &mut [f32], value: impl Fn(usize) -> f32) {
    out.iter_mut().enumerate().for_each(|(index, out)| *out = value(index));
}

impl Storage<'_> {
    /// Which dimension lies together.
    pub(crate) fn layout(&self) -> Layout {
        match self {
            Storage::Float(weights) => weights.layout,
            Storage::Blocks(_) | Storage::Tiled(_) => Layout::Nk,
            Storage::Integers(weights) => weights.layout,
        }
    }

    /// Output features.
    pub(crate) fn n(&self) -> usize {
        match self {
            Storage::Float(weights) => weights.n,
            Storage::Blocks(weights) => weights.n,
            Storage::Integers(weights) => weights.n,
            Storage::Tiled(weights) => weights.shape.n,
        }
    }

    /// The weights as they lie, and how many bits each has.
    fn packed(&self) -> (&[u8], usize) {
        match self {
            Storage::Float(weights) => (weights.data.bytes(), weights.data.bytes().len() / weights.data.len() * 8),
            Storage::Blocks(weights) => (weights.packed, weights.bits),
            Storage::Integers(weights) => (weights.data, weights.bits),
            Storage::Tiled(weights) => (weights.bytes, weights.shape.bits),
        }
    }

    /// Asks for the weights of a run, see [`Storage::unpack`], of which `stride` make a line; they need not exist.
    #[inline(always)]
    pub(crate) fn prefetch<S: Simd>(&self, s: S, stride: usize, line: usize, start: usize, len: usize) {
        let (packed, bits) = self.packed();
        let first = packed.as_ptr().wrapping_add((line * stride + start) * bits / 8);
        for byte in (0..len * bits / 8).step_by(64) {
            s.prefetch(first.wrapping_add(byte));
        }
    }

    /// A run of weights as they lie together, as floats: from `start` within line `line`, where a line is an output feature (`Nk`)
    /// or an input feature (`Kn`).
    #[inline(always)]
    pub(crate) fn unpack<S: Simd>(&self, s: S, line: usize, start: usize, out: &mut [f32]) {
        match self {
            Storage::Float(weights) => weights.unpack(s, line, start, out),
            Storage::Blocks(weights) => weights.unpack(line, start, out),
            Storage::Integers(weights) => weights.unpack(line, start, out),
            Storage::Tiled(weights) => weights.unpack(line, start, out),
        }
    }
}

/// [`ShapeError::Empty`] where a dimension is zero, [`ShapeError::TooLarge`] where they overflow.
fn check_dims(n: usize, k: usize) -> Result<usize, ShapeError> {
    if n == 0 || k == 0 {
        return Err(ShapeError::Empty { what: "weight matrix" });
    }
    // Twice the elements must be countable too: packed offsets are computed in half bytes and in bits.
    crate::shape::elements("weight matrix", &[n, k, 16]).map(|size| size / 16)
}

/// [`ShapeError::Length`] unless `found` is `expected`.
fn check_length(part: &'static str, n: usize, k: usize, expected: usize, found: usize) -> Result<(), ShapeError> {
    if expected == found { Ok(()) } else { Err(ShapeError::Length { part, n, k, expected, found }) }
}

/// Converts the fields of `BITS` bits from number `first` of `packed`, the lowest bits of a byte first.
#[inline(always)]
fn unpack_fields<const BITS: usize>(packed: &[u8], first: usize, out: &mut [f32], convert: impl Fn(u8) -> f32) {
    match BITS {
        8 => out.iter_mut().zip(&packed[first..]).for_each(|(out, &byte)| *out = convert(byte)),
        4 => unpack_nibbles(packed, first, out, convert),
        _ => unpack_quarters(packed, first, out, convert),
    }
}

/// Fields of four bits.
#[inline(always)]
fn unpack_nibbles(packed: &[u8], first: usize, out: &mut [f32], convert: impl Fn(u8) -> f32) {
    let (head, rest) = out.split_at_mut((first % 2).min(out.len()));
    if let [head] = head {
        *head = convert(packed[first / 2] >> 4);
    }
    let bytes = &packed[first.div_ceil(2)..];
    let (pairs, last) = rest.as_chunks_mut::<2>();
    for (pair, &byte) in pairs.iter_mut().zip(bytes) {
        *pair = [convert(byte & 15), convert(byte >> 4)];
    }
    if let [last] = last {
        *last = convert(bytes[pairs.len()] & 15);
    }
}

/// Fields of two bits.
#[inline(always)]
fn unpack_quarters(packed: &[u8], first: usize, out: &mut [f32], convert: impl Fn(u8) -> f32) {
    let (head, rest) = out.split_at_mut((first.next_multiple_of(4) - first).min(out.len()));
    let one = |index: usize| convert(packed[index / 4] >> (index % 4 * 2) & 3);
    head.iter_mut().enumerate().for_each(|(i, out)| *out = one(first + i));
    let whole = first + head.len();
    let (quads, last) = rest.as_chunks_mut::<4>();
    for (quad, &byte) in quads.iter_mut().zip(&packed[whole / 4..]) {
        *quad = [convert(byte & 3), convert(byte >> 2 & 3), convert(byte >> 4 & 3), convert(byte >> 6)];
    }
    let after = whole + 4 * quads.len();
    last.iter_mut().enumerate().for_each(|(i, out)| *out = one(after + i));
}
