//! Block-quantised weights: `com.microsoft` MatMulNBits and GatherBlockQuantized.

use super::{check_dims, check_length, unpack_nibbles};
use crate::floats::Floats;
use crate::shape::ShapeError;

/// Weights quantised in blocks along `k`: `weight = (q - zero point) * scale`, with one scale (and zero point) a block. With
/// `blocks = ceil(k / block)`:
#[derive(Clone, Copy, Debug)]
pub struct BlockWeights<'a> {
    /// 4 or 8.
    pub bits: usize,
    /// Output features.
    pub n: usize,
    /// Input features; need not be a multiple of `block`.
    pub k: usize,
    /// Weights a block: a power of two from 16 to 256.
    pub block: usize,
    /// `[n, blocks, block * bits / 8]` bytes; of two weights in a byte the low half is the one with even k.
    pub packed: &'a [u8],
    /// `[n, blocks]`.
    pub scales: Floats<'a>,
    /// `[n, ceil(blocks * bits / 8)]` bytes, low half first; without them the zero point is 8 (4 bits) or 128 (8 bits).
    pub zero_points: Option<&'a [u8]>,
}

impl BlockWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let (n, k) = (self.n, self.k);
        check_dims(n, k)?;
        if self.bits != 4 && self.bits != 8 {
            return Err(ShapeError::Bits { bits: self.bits });
        }
        if !self.block.is_power_of_two() || !(16..=256).contains(&self.block) {
            return Err(ShapeError::Block { block: self.block });
        }
        let packed = crate::shape::elements("weight matrix", &[n, self.row_bytes()])?;
        check_length("packed data", n, k, packed, self.packed.len())?;
        check_length("scales", n, k, n * self.blocks(), self.scales.len())?;
        match self.zero_points {
            Some(zero_points) => check_length("zero points", n, k, n * self.zero_point_row_bytes(), zero_points.len()),
            None => Ok(()),
        }
    }

    /// Blocks a row.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> usize {
        self.k.div_ceil(self.block)
    }

    /// Bytes of packed weights a row.
    #[inline(always)]
    pub(crate) fn row_bytes(&self) -> usize {
        self.blocks() * self.block * self.bits / 8
    }

    /// Bytes of packed zero points a row.
    #[inline(always)]
    pub(crate) fn zero_point_row_bytes(&self) -> usize {
        (self.blocks() * self.bits).div_ceil(8)
    }

    /// The stored integer of a weight.
    #[inline(always)]
    pub(crate) fn integer(&self, n: usize, k: usize) -> u8 {
        self.field(self.packed, n * self.row_bytes(), k) as u8
    }

    /// The zero point of a block.
    #[inline(always)]
    pub(crate) fn zero_point(&self, n: usize, block: usize) -> i32 {
        match self.zero_points {
            None => 1 << (self.bits - 1),
            Some(zero_points) => self.field(zero_points, n * self.zero_point_row_bytes(), block),
        }
    }

    /// Field `index` of the packed `bytes` from `start`.
    #[inline(always)]
    fn field(&self, bytes: &[u8], start: usize, index: usize) -> i32 {
        match self.bits {
            8 => i32::from(bytes[start + index]),
            _ => i32::from(bytes[start + index / 2] >> (index % 2 * 4) & 15),
        }
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let block = k / self.block;
        (i32::from(self.integer(n, k)) - self.zero_point(n, block)) as f32 * self.scales.get(n * self.blocks() + block)
    }

    /// See [`Storage::unpack`](super::Storage::unpack).
    #[inline(always)]
    pub(super) fn unpack(&self, n: usize, start: usize, out: &mut [f32]) {
        let row = &self.packed[n * self.row_bytes()..][..self.row_bytes()];
        let mut rest = out;
        let mut k = start;
        while !rest.is_empty() {
            let block = k / self.block;
            let (run, after) = rest.split_at_mut((self.block - k % self.block).min(rest.len()));
            let (scale, zero_point) = (self.scales.get(n * self.blocks() + block), self.zero_point(n, block));
            if self.bits == 4 {
                unpack_nibbles(row, k, run, |q| (i32::from(q) - zero_point) as f32 * scale);
            } else {
                for (out, &q) in run.iter_mut().zip(&row[k..]) {
                    *out = (i32::from(q) - zero_point) as f32 * scale;
                }
            }
            k += run.len();
            rest = after;
        }
    }
}
