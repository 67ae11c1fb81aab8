//! ONNX INT4 and UINT4 tensors with a scale per block of input features: blocked DequantizeLinear.

use super::{Layout, check_dims, check_length, unpack_nibbles};
use crate::floats::Floats;
use crate::shape::ShapeError;

/// `weight = (q - zero point) * scale`, with one scale (and zero point) for every `block` input features of an output feature. With
/// `blocks = ceil(k / block)`; `block = k` is a scale per output feature.
#[derive(Clone, Copy, Debug)]
pub struct NibbleWeights<'a> {
    /// `[k, n]` or `[n, k]`, as `layout` says: the tensor flattened, two values a byte, low half first, rows not padded:
    /// `ceil(n * k / 2)` bytes.
    pub data: &'a [u8],
    /// Whether data and zero points are int4 (-8 to 7); otherwise uint4 (0 to 15).
    pub signed: bool,
    /// The order of `data`, `scales` and `zero_points`.
    pub layout: Layout,
    /// Output features.
    pub n: usize,
    /// Input features.
    pub k: usize,
    /// Input features that share a scale.
    pub block: usize,
    /// `[blocks, n]` or `[n, blocks]`.
    pub scales: Floats<'a>,
    /// Shaped like `scales`, packed like `data`; without them the zero point is 0.
    pub zero_points: Option<&'a [u8]>,
}

impl NibbleWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let (n, k) = (self.n, self.k);
        let size = check_dims(n, k)?;
        if self.block == 0 {
            return Err(ShapeError::Empty { what: "quantisation block" });
        }
        let parameters = n * self.blocks();
        check_length("data", n, k, size.div_ceil(2), self.data.len())?;
        check_length("scales", n, k, parameters, self.scales.len())?;
        match self.zero_points {
            Some(zero_points) => check_length("zero points", n, k, parameters.div_ceil(2), zero_points.len()),
            None => Ok(()),
        }
    }

    /// Blocks along k.
    #[inline(always)]
    pub(crate) fn blocks(&self) -> usize {
        self.k.div_ceil(self.block)
    }

    /// Value `index` of a packed tensor.
    #[inline(always)]
    pub(crate) fn integer(&self, bytes: &[u8], index: usize) -> i32 {
        let nibble = i32::from(bytes[index / 2] >> (index % 2 * 4) & 15);
        if self.signed { (nibble ^ 8) - 8 } else { nibble }
    }

    /// Scale and zero point of a block.
    #[inline(always)]
    pub(crate) fn parameters(&self, n: usize, block: usize) -> (f32, i32) {
        let index = self.layout.index(n, block, self.n, self.blocks());
        (self.scales.get(index), self.zero_points.map_or(0, |values| self.integer(values, index)))
    }

    /// The stored integer of a weight, signed ones 8 more.
    #[inline(always)]
    pub(crate) fn biased(&self, n: usize, k: usize) -> u8 {
        let index = self.layout.index(n, k, self.n, self.k);
        (self.data[index / 2] >> (index % 2 * 4) & 15) ^ if self.signed { 8 } else { 0 }
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let (scale, zero_point) = self.parameters(n, k / self.block);
        (self.integer(self.data, self.layout.index(n, k, self.n, self.k)) - zero_point) as f32 * scale
    }

    /// See [`Storage::unpack`](super::Storage::unpack).
    #[inline(always)]
    pub(super) fn unpack(&self, line: usize, start: usize, out: &mut [f32]) {
        let (flip, bias) = if self.signed { (8, 8) } else { (0, 0) };
        match self.layout {
            Layout::Nk => {
                let mut rest = out;
                let mut k = start;
                while !rest.is_empty() {
                    let (run, after) = rest.split_at_mut((self.block - k % self.block).min(rest.len()));
                    let (scale, zero_point) = self.parameters(line, k / self.block);
                    unpack_nibbles(self.data, line * self.k + k, run, |q| {
                        (i32::from(q ^ flip) - bias - zero_point) as f32 * scale
                    });
                    k += run.len();
                    rest = after;
                }
            }
            Layout::Kn => {
                let first = line * self.n + start;
                unpack_nibbles(self.data, first, out, |q| (i32::from(q ^ flip) - bias) as f32);
                for (i, out) in out.iter_mut().enumerate() {
                    let (scale, zero_point) = self.parameters(start + i, line / self.block);
                    *out = (*out - zero_point as f32) * scale;
                }
            }
        }
    }
}
