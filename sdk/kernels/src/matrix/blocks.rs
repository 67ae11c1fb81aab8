//! Block-quantised weights: `com.microsoft` MatMulNBits and GatherBlockQuantized.

use super::{check_dims, check_length, unpack_fields};
use crate::floats::Floats;
use crate::shape::ShapeError;

/// The zero points of [`BlockWeights`]. With `blocks = ceil(k / block)`:
#[derive(Clone, Copy, Debug)]
pub enum ZeroPoints<'a> {
    /// The middle of the range everywhere: `2^(bits - 1)`.
    Middle,
    /// `[n, ceil(blocks * bits / 8)]` bytes, each field of `bits` bits, the lowest bits first.
    Packed(&'a [u8]),
    /// `[n, blocks]` numbers, which need not be whole.
    Floats(Floats<'a>),
}

impl<'a> ZeroPoints<'a> {
    /// The zero points if they are packed in integers, as the weights are.
    #[inline(always)]
    pub(crate) fn packed(&self) -> Option<&'a [u8]> {
        match self {
            ZeroPoints::Packed(bytes) => Some(bytes),
            ZeroPoints::Middle | ZeroPoints::Floats(_) => None,
        }
    }
}

/// Weights quantised in blocks along `k`: `weight = (q - zero point) * scale`, with one scale (and zero point) a block. With
/// `blocks = ceil(k / block)`:
#[derive(Clone, Copy, Debug)]
pub struct BlockWeights<'a> {
    /// 2, 4 or 8.
    pub bits: usize,
    /// Output features.
    pub n: usize,
    /// Input features; need not be a multiple of `block`.
    pub k: usize,
    /// Weights a block: a power of two from 16 to 65536.
    pub block: usize,
    /// `[n, blocks, block * bits / 8]` bytes; of several weights in a byte the one with the least k is in the lowest bits.
    pub packed: &'a [u8],
    /// `[n, blocks]`.
    pub scales: Floats<'a>,
    /// One for each scale.
    pub zero_points: ZeroPoints<'a>,
}

impl BlockWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let (n, k) = (self.n, self.k);
        check_dims(n, k)?;
        if ![2, 4, 8].contains(&self.bits) {
            return Err(ShapeError::Bits { bits: self.bits });
        }
        if !self.block.is_power_of_two() || !(16..=1 << 16).contains(&self.block) {
            return Err(ShapeError::Block { block: self.block });
        }
        let row_bytes = crate::shape::elements("weight matrix", &[self.blocks(), self.block / 8, self.bits])?;
        let packed = crate::shape::elements("weight matrix", &[n, row_bytes])?;
        check_length("packed data", n, k, packed, self.packed.len())?;
        check_length("scales", n, k, n * self.blocks(), self.scales.len())?;
        match self.zero_points {
            ZeroPoints::Middle => Ok(()),
            ZeroPoints::Packed(bytes) => check_length("zero points", n, k, n * self.zero_point_row_bytes(), bytes.len()),
            ZeroPoints::Floats(values) => check_length("zero points", n, k, n * self.blocks(), values.len()),
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
        self.field(self.packed, n * self.row_bytes(), k)
    }

    /// The zero point of a block.
    #[inline(always)]
    pub(crate) fn zero_point(&self, n: usize, block: usize) -> f32 {
        match self.zero_points {
            ZeroPoints::Middle => (1 << (self.bits - 1)) as f32,
            ZeroPoints::Packed(bytes) => f32::from(self.field(bytes, n * self.zero_point_row_bytes(), block)),
            ZeroPoints::Floats(values) => values.get(n * self.blocks() + block),
        }
    }

    /// Field `index` of the packed `bytes` from `start`.
    #[inline(always)]
    fn field(&self, bytes: &[u8], start: usize, index: usize) -> u8 {
        match self.bits {
            8 => bytes[start + index],
            4 => bytes[start + index / 2] >> (index % 2 * 4) & 15,
            _ => bytes[start + index / 4] >> (index % 4 * 2) & 3,
        }
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let block = k / self.block;
        (f32::from(self.integer(n, k)) - self.zero_point(n, block)) * self.scales.get(n * self.blocks() + block)
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
            let convert = |q: u8| (f32::from(q) - zero_point) * scale;
            match self.bits {
                8 => unpack_fields::<8>(row, k, run, convert),
                4 => unpack_fields::<4>(row, k, run, convert),
                _ => unpack_fields::<2>(row, k, run, convert),
            }
            k += run.len();
            rest = after;
        }
    }
}
