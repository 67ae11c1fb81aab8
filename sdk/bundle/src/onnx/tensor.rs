//! A constant tensor: its type, its shape and where its bytes are.

use half::{bf16, f16};
use kinglet_guard::Shown;

use super::DataType;
use crate::Bytes;

/// A constant: element type, shape and bytes.
///
/// A tensor that this crate has read keeps one promise: `bytes` holds exactly the elements of `dims`, rounded up to
/// whole bytes (two 4-bit elements share a byte, the first in the low half).
#[derive(Debug, Clone)]
pub struct Tensor {
    /// The name of the value, empty in an attribute.
    pub name: String,
    /// The type of one element.
    pub data_type: DataType,
    /// The shape, row-major; empty for a scalar.
    pub dims: Vec<usize>,
    /// The elements, little-endian.
    pub bytes: Bytes,
}

/// A tensor was asked for elements of a kind that it does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the tensor `{}` holds {data_type:?} elements and cannot be read as {wanted}", Shown(tensor))]
pub struct ConversionError {
    /// The tensor's name.
    pub tensor: String,
    /// The tensor's element type.
    pub data_type: DataType,
    /// The requested element type.
    pub wanted: &'static str,
}

impl Tensor {
    /// The number of elements: 1 for a scalar, 0 where a dimension is 0.
    pub fn elements(&self) -> usize {
        self.dims.iter().fold(1, |product: usize, dim| product.saturating_mul(*dim))
    }

    /// The elements where they are, in the shape of `dims`; `None` unless they are float32 on a 4-byte boundary.
    pub fn as_f32(&self) -> Option<&[f32]> {
        if self.data_type == DataType::Float32 { self.bytes.as_f32() } else { None }
    }

    /// A copy of the elements as float32, in the shape of `dims`, from float32, float16, bfloat16 or float64.
    ///
    /// # Errors
    /// The tensor holds another type.
    pub fn to_f32(&self) -> Result<Vec<f32>, ConversionError> {
        let bytes = &self.bytes[..];
        match self.data_type {
            DataType::Float32 => Ok(read(bytes, f32::from_le_bytes)),
            DataType::Float16 => Ok(read(bytes, |b| f16::from_le_bytes(b).to_f32())),
            DataType::BFloat16 => Ok(read(bytes, |b| bf16::from_le_bytes(b).to_f32())),
            DataType::Float64 => Ok(read(bytes, |b| f64::from_le_bytes(b) as f32)),
            _ => Err(self.not("float32")),
        }
    }

    /// A copy of the elements as 64-bit integers, in the shape of `dims`, from any integer of 8 to 32 bits, int64 or
    /// bool.
    ///
    /// # Errors
    /// The tensor holds another type.
    pub fn to_i64(&self) -> Result<Vec<i64>, ConversionError> {
        let bytes = &self.bytes[..];
        match self.data_type {
            DataType::Int64 => Ok(read(bytes, i64::from_le_bytes)),
            DataType::Int32 => Ok(read(bytes, |b| i32::from_le_bytes(b).into())),
            DataType::UInt32 => Ok(read(bytes, |b| u32::from_le_bytes(b).into())),
            DataType::Int16 => Ok(read(bytes, |b| i16::from_le_bytes(b).into())),
            DataType::UInt16 => Ok(read(bytes, |b| u16::from_le_bytes(b).into())),
            DataType::Int8 => Ok(read(bytes, |b| i8::from_le_bytes(b).into())),
            DataType::UInt8 | DataType::Bool => Ok(read(bytes, |b| u8::from_le_bytes(b).into())),
            _ => Err(self.not("int64")),
        }
    }

    fn not(&self, wanted: &'static str) -> ConversionError {
        ConversionError { tensor: self.name.clone(), data_type: self.data_type, wanted }
    }
}

/// Reads elements of `N` bytes each, at any alignment.
fn read<const N: usize, T>(bytes: &[u8], element: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes.as_chunks::<N>().0.iter().map(|chunk| element(*chunk)).collect()
}
