//! 8-bit integers with a scale per matrix or per output feature: QDQ int8 and MatMulInteger.

use super::{Layout, check_dims, check_length};
use crate::shape::ShapeError;

/// `weight = (q - zero point) * scale`.
#[derive(Clone, Copy, Debug)]
pub struct IntegerWeights<'a> {
    /// `[k, n]` or `[n, k]`, as `layout` says.
    pub data: &'a [u8],
    /// Whether data and zero points are int8; otherwise uint8.
    pub signed: bool,
    /// The order of `data`.
    pub layout: Layout,
    /// Output features.
    pub n: usize,
    /// Input features.
    pub k: usize,
    /// One for the matrix, or `[n]`.
    pub scales: &'a [f32],
    /// One for the matrix, or `[n]`; without them the zero point is 0.
    pub zero_points: Option<&'a [u8]>,
}

impl IntegerWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let (n, k) = (self.n, self.k);
        check_length("data", n, k, check_dims(n, k)?, self.data.len())?;
        if self.scales.len() != 1 {
            check_length("scales", n, k, n, self.scales.len())?;
        }
        match self.zero_points {
            Some(zero_points) if zero_points.len() != 1 => check_length("zero points", n, k, n, zero_points.len()),
            _ => Ok(()),
        }
    }

    /// Scale and zero point of output feature `n`.
    #[inline(always)]
    pub(crate) fn parameters(&self, n: usize) -> (f32, i32) {
        let scale = self.scales[if self.scales.len() == 1 { 0 } else { n }];
        let zero_point = self.zero_points.map_or(0, |values| self.integer(values[if values.len() == 1 { 0 } else { n }]));
        (scale, zero_point)
    }

    #[inline(always)]
    pub(crate) fn integer(&self, byte: u8) -> i32 {
        if self.signed { i32::from(byte.cast_signed()) } else { i32::from(byte) }
    }

    /// The stored integer of a weight, signed ones 128 more.
    #[inline(always)]
    pub(crate) fn biased(&self, n: usize, k: usize) -> u8 {
        self.data[self.layout.index(n, k, self.n, self.k)] ^ if self.signed { 0x80 } else { 0 }
    }

    /// The zero point of output feature `n`, for integers as [`IntegerWeights::biased`] gives them.
    #[inline(always)]
    pub(crate) fn biased_zero_point(&self, n: usize) -> i32 {
        self.parameters(n).1 + if self.signed { 128 } else { 0 }
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        let (scale, zero_point) = self.parameters(n);
        (self.integer(self.data[self.layout.index(n, k, self.n, self.k)]) - zero_point) as f32 * scale
    }

    /// See [`Storage::unpack`](super::Storage::unpack).
    #[inline(always)]
    pub(super) fn unpack(&self, line: usize, start: usize, out: &mut [f32]) {
        // The two kinds of integers differ in one bit: with it flipped, a signed byte is 128 more.
        let (flip, bias) = if self.signed { (0x80, 128) } else { (0, 0) };
        let convert = |byte: u8, (scale, zero_point): (f32, i32)| (i32::from(byte ^ flip) - bias - zero_point) as f32 * scale;
        match self.layout {
            Layout::Nk => {
                let parameters = self.parameters(line);
                for (out, &byte) in out.iter_mut().zip(&self.data[line * self.k + start..]) {
                    *out = convert(byte, parameters);
                }
            }
            Layout::Kn if self.scales.len() == 1 && self.zero_points.is_none_or(|points| points.len() == 1) => {
                let parameters = self.parameters(0);
                for (out, &byte) in out.iter_mut().zip(&self.data[line * self.n + start..]) {
                    *out = convert(byte, parameters);
                }
            }
            Layout::Kn => {
                for (i, (out, &byte)) in out.iter_mut().zip(&self.data[line * self.n + start..]).enumerate() {
                    *out = convert(byte, self.parameters(start + i));
                }
            }
        }
    }
}
