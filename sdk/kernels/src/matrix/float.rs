//! Float weights.

use super::{Layout, check_dims, check_length};
use crate::floats::Floats;
use crate::shape::ShapeError;
use crate::simd::Simd;

/// Float weights of `n` output by `k` input features.
#[derive(Clone, Copy, Debug)]
pub struct FloatWeights<'a> {
    /// `[k, n]` or `[n, k]`, as `layout` says.
    pub data: Floats<'a>,
    /// The order of `data`.
    pub layout: Layout,
    /// Output features.
    pub n: usize,
    /// Input features.
    pub k: usize,
}

impl FloatWeights<'_> {
    pub(super) fn check(&self) -> Result<(), ShapeError> {
        let size = check_dims(self.n, self.k)?;
        check_length("data", self.n, self.k, size, self.data.len())
    }

    pub(super) fn value(&self, n: usize, k: usize) -> f32 {
        self.data.get(self.layout.index(n, k, self.n, self.k))
    }

    /// See [`Storage::unpack`](super::Storage::unpack).
    #[inline(always)]
    pub(super) fn unpack<S: Simd>(&self, s: S, line: usize, start: usize, out: &mut [f32]) {
        let stride = match self.layout {
            Layout::Nk => self.k,
            Layout::Kn => self.n,
        };
        let run = line * stride + start..line * stride + start + out.len();
        match self.data {
            Floats::F32(data) => out.copy_from_slice(&data[run]),
            Floats::F32Bytes(data) => {
                for (out, bytes) in out.iter_mut().zip(&data[run]) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            Floats::BF16(data) => {
                for (out, x) in out.iter_mut().zip(&data[run]) {
                    *out = f32::from_bits(u32::from(x.to_bits()) << 16);
                }
            }
            Floats::F16(data) => {
                let data = &data[run];
                let whole = data.len() / S::LANES * S::LANES;
                for i in (0..whole).step_by(S::LANES) {
                    // SAFETY: both hold a whole vector from `i`.
                    unsafe { s.store(out.as_mut_ptr().add(i), s.load_f16(data.as_ptr().add(i))) }
                }
                for (out, x) in out[whole..].iter_mut().zip(&data[whole..]) {
                    *out = x.to_f32();
                }
            }
        }
    }
}
