//! Borrowed float values of three widths, as model files store them.

use half::{bf16, f16};

/// A borrowed run of floats. The narrow kinds widen to `f32` without loss.
#[derive(Clone, Copy, Debug)]
pub enum Floats<'a> {
    /// IEEE single precision.
    F32(&'a [f32]),
    /// IEEE single precision, little-endian, at any address: a file need not align what it holds.
    F32Bytes(&'a [[u8; 4]]),
    /// IEEE half precision.
    F16(&'a [f16]),
    /// The upper half of a single: eight bits of exponent, seven of fraction.
    BF16(&'a [bf16]),
}

impl<'a> Floats<'a> {
    /// The values as they lie in memory.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        match self {
            Floats::F32(values) => bytemuck::cast_slice(values),
            Floats::F32Bytes(values) => values.as_flattened(),
            Floats::F16(values) => bytemuck::cast_slice(values),
            Floats::BF16(values) => bytemuck::cast_slice(values),
        }
    }

    /// Where single-precision values lie, on any alignment: for vector loads, which do not mind. `None` for other widths.
    pub(crate) fn as_unaligned_f32(&self) -> Option<*const f32> {
        match self {
            Floats::F32(values) => Some(values.as_ptr()),
            Floats::F32Bytes(values) if cfg!(target_endian = "little") => Some(values.as_ptr().cast()),
            _ => None,
        }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        match self {
            Floats::F32(values) => values.len(),
            Floats::F32Bytes(values) => values.len(),
            Floats::F16(values) => values.len(),
            Floats::BF16(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at `index`.
    ///
    /// # Panics
    /// Where `index` is not below [`Floats::len`].
    #[inline(always)]
    pub fn get(&self, index: usize) -> f32 {
        match self {
            Floats::F32(values) => values[index],
            Floats::F32Bytes(values) => f32::from_le_bytes(values[index]),
            Floats::F16(values) => values[index].to_f32(),
            Floats::BF16(values) => values[index].to_f32(),
        }
    }
}
