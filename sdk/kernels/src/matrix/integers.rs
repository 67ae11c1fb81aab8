//! ONNX integer tensors of 2, 4 and 8 bits with a scale for each block of a grid: DequantizeLinear and MatMulInteger.

use super::{Layout, check_dims, check_length, unpack_fields};
use crate::floats::Floats;
use crate::shape::ShapeError;

/// `weight = (q - zero point) * scale`, with one scale (and zero point) for each block of the grid that `block` lays over the matrix.
#[derive(Clone, Copy, Debug)]
pub struct IntegerWeights<'a> {
    /// 2, 4 or 8.
    pub bits: usize,
    /// `[k, n]` or `[n, k]`, as `layout` says: the tensor flattened, of several values in a byte the first in its lowest bits, rows
    /// not padded: `ceil(n * k * bits / 8)` bytes.
    pub data: &'a [u8],
    /// Whether data and zero points are in two's complement; otherwise they are unsigned.
    pub signed: bool,
    /// The order of `data`, `scales` and `zero_points`.
    pub layout: Layout,
    /// Output features.
    pub n: usize,
    /// Input features.
    pub k: usize,
    /// Output features, and input features, that share a scale: `[1, k]` is a scale for each output feature, `[n, k]` one for all.
    pub block: [usize; 2],
    /// `[ceil(n / block[0]), ceil(k / block[1])]`, or these two the other way round.
    pub scales: Floats<'a>,
    /// Shaped like `scales`, packed like `data`; without them the zero point is 0.
    pub zero_points: Option<&'a [u8]>,
}

impl IntegerWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let (n, k) = (self.n, self.k);
        let size = check_dims(n, k)?;
        if ![2, 4, 8].contains(&self.bits) {
            return Err(ShapeError::Bits { bits: self.bits });
        }
        if self.block.contains(&0) {
            return Err(ShapeError::Empty { what: "quantisation block" });
        }
        let parameters = self.parameter_count();
        check_length("data", n, k, (size * self.bits).div_ceil(8), self.data.len())?;
        check_length("scales", n, k, parameters, self.scales.len())?;
        match self.zero_points {
            Some(zero_points) => check_length("zero points", n, k, (parameters * self.bits).div_ceil(8), zero_points.len()),
            None => Ok(()),
        }
    }

    /// Blocks along n and along k.
    #[inline(always)]
    fn grid(&self) -> [usize; 2] {
        [self.n.div_ceil(self.block[0]), self.k.div_ceil(self.block[1])]
    }

    /// How many scales there are.
    pub(crate) fn parameter_count(&self) -> usize {
        let [n, k] = self.grid();
        n * k
    }

    /// The sign bit of signed values, `2^(bits - 1)`: flipping it gives the value plus `2^(bits - 1)`. 0 for unsigned ones.
    #[inline(always)]
    fn bias(&self) -> u8 {
        if self.signed { 1 << (self.bits - 1) } else { 0 }
    }

    /// Value `index` of a packed tensor; of signed ones, the value plus `2^(bits - 1)`.
    #[inline(always)]
    fn field(&self, bytes: &[u8], index: usize) -> u8 {
        let field = match self.bits {
            8 => bytes[index],
            4 => bytes[index / 2] >> (index % 2 * 4) & 15,
            _ => bytes[index / 4] >> (index % 4 * 2) & 3,
        };
        field ^ self.bias()
    }

    /// The stored integer of a weight; of signed ones, the value plus `2^(bits - 1)`.
    #[inline(always)]
    pub(crate) fn biased(&self, n: usize, k: usize) -> u8 {
        self.field(self.data, self.layout.index(n, k, self.n, self.k))
    }

    /// The zero point of scale `index`, for integers as [`IntegerWeights::biased`] gives them.
    #[inline(always)]
    pub(crate) fn biased_zero_point(&self, index: usize) -> u8 {
        self.zero_points.map_or(self.bias(), |values| self.field(values, index))
    }

    /// The place of a weight's scale and zero point.
    #[inline(always)]
    fn parameter(&self, n: usize, k: usize) -> usize {
        let [grid_n, grid_k] = self.grid();
        self.layout.index(n / self.block[0], k / self.block[1], grid_n, grid_k)
    }

    /// The scale of a weight.
    #[inline(always)]
    pub(crate) fn scale(&self, n: usize, k: usize) -> f32 {
        self.scales.get(self.parameter(n, k))
    }

    /// The zero point of a weight, for integers as [`IntegerWeights::biased`] gives them.
    #[inline(always)]
    pub(crate) fn zero_point(&self, n: usize, k: usize) -> u8 {
        self.biased_zero_point(self.parameter(n, k))
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        (i32::from(self.biased(n, k)) - i32::from(self.zero_point(n, k))) as f32 * self.scale(n, k)
    }

    /// See [`Storage::unpack`](super::Storage::unpack).
    #[inline(always)]
    pub(super) fn unpack(&self, line: usize, start: usize, out: &mut [f32]) {
        match self.bits {
            8 => self.unpack_bits::<8>(line, start, out),
            4 => self.unpack_bits::<4>(line, start, out),
            _ => self.unpack_bits::<2>(line, start, out),
        }
    }

    #[inline(always)]
    fn unpack_bits<const BITS: usize>(&self, line: usize, start: usize, out: &mut [f32]) {
        let [grid_n, grid_k] = self.grid();
        // Lines lie one after the other in either layout, and so do the lines of the grid.
        let (length, across, along, stride) = match self.layout {
            Layout::Nk => (self.k, self.block[0], self.block[1], grid_k),
            Layout::Kn => (self.n, self.block[1], self.block[0], grid_n),
        };
        let (first, flip) = (line / across * stride, self.bias());
        if along == 1 {
            unpack_fields::<BITS>(self.data, line * length + start, out, |q| f32::from(q ^ flip));
            return match self.scales {
                Floats::F32(scales) => self.scale_each(out, first + start, |index| scales[index]),
                scales => self.scale_each(out, first + start, |index| scales.get(index)),
            };
        }
        let mut rest = out;
        let mut at = start;
        while !rest.is_empty() {
            let (run, after) = rest.split_at_mut((along - at % along).min(rest.len()));
            let index = first + at / along;
            let (scale, zero_point) = (self.scales.get(index), i32::from(self.biased_zero_point(index)));
            unpack_fields::<BITS>(self.data, line * length + at, run, |q| (i32::from(q ^ flip) - zero_point) as f32 * scale);
            at += run.len();
            rest = after;
        }
    }

    /// Integers to weights that have a scale each, from scale `first`.
    #[inline(always)]
    fn scale_each(&self, out: &mut [f32], first: usize, scale: impl Fn(usize) -> f32) {
        for (i, out) in out.iter_mut().enumerate() {
            *out = (*out - f32::from(self.biased_zero_point(first + i))) * scale(first + i);
        }
    }
}
