//! Floats as the program holds them: mapped where the file has them as they are wanted.

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{DataType, Tensor};
use kinglet_engine::{EngineError, Precision};
use kinglet_kernels::Floats;
use std::sync::Arc;

/// A float32 vector: norm weights, biases, scales, cosine tables. Mapped where the file holds aligned float32, unless it is copied.
#[derive(Clone, Debug)]
pub(crate) enum Vector {
    Mapped(Bytes),
    Owned(Arc<[f32]>),
}

impl Vector {
    /// A tensor's elements as float32.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, EngineError> {
        if tensor.as_f32().is_some() {
            return Ok(Self::Mapped(tensor.bytes.clone()));
        }
        let values = tensor.to_f32().map_err(|e| EngineError::BadModel(format!("`{}`: {e}", tensor.name)))?;
        Ok(Self::Owned(values.into()))
    }

    /// The same, never mapped: for what is small. A page of the file for each norm's weights and each bias, and what the system maps
    /// around it, would be megabytes.
    pub(crate) fn copied(tensor: &Tensor) -> Result<Self, EngineError> {
        match Self::of(tensor)? {
            Self::Mapped(bytes) => Ok(Self::owned(bytes.as_f32().unwrap_or_default().into())),
            owned @ Self::Owned(_) => Ok(owned),
        }
    }

    pub(crate) fn owned(values: Vec<f32>) -> Self {
        Self::Owned(values.into())
    }

    pub(crate) fn floats(&self) -> &[f32] {
        match self {
            Self::Mapped(bytes) => bytes.as_f32().unwrap_or_default(),
            Self::Owned(values) => values,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats().len()
    }
}

impl PartialEq for Vector {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.floats(), other.floats()) || self.floats() == other.floats()
    }
}

/// Float elements of any width, mapped. Float32 may lie at any address: a single file of protobuf aligns nothing.
#[derive(Clone, Debug)]
pub(super) enum FloatData {
    F32(Vector),
    F32Bytes(Bytes),
    F16(Bytes),
    BF16(Bytes),
}

impl FloatData {
    pub(super) fn of(tensor: &Tensor) -> Result<Self, EngineError> {
        match tensor.data_type {
            DataType::Float16 if tensor.bytes.as_f16().is_some() => Ok(Self::F16(tensor.bytes.clone())),
            DataType::BFloat16 if tensor.bytes.as_bf16().is_some() => Ok(Self::BF16(tensor.bytes.clone())),
            DataType::Float32 if tensor.as_f32().is_none() && tensor.bytes.is_mapped() => {
                Ok(Self::F32Bytes(tensor.bytes.clone()))
            }
            _ => Vector::of(tensor).map(Self::F32),
        }
    }

    /// The mapped bytes.
    pub(super) fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::F32(Vector::Mapped(bytes)) | Self::F32Bytes(bytes) | Self::F16(bytes) | Self::BF16(bytes) => Some(bytes),
            Self::F32(Vector::Owned(_)) => None,
        }
    }

    /// Whether two hold the same numbers in the same format.
    pub(super) fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::F32(a), Self::F32(b)) => a == b,
            (Self::F32Bytes(a), Self::F32Bytes(b)) | (Self::F16(a), Self::F16(b)) | (Self::BF16(a), Self::BF16(b)) => **a == **b,
            _ => false,
        }
    }

    pub(super) fn view(&self) -> Floats<'_> {
        match self {
            Self::F32(v) => Floats::F32(v.floats()),
            Self::F32Bytes(b) => Floats::F32Bytes(b.as_chunks().0),
            Self::F16(b) => Floats::F16(b.as_f16().unwrap_or_default()),
            Self::BF16(b) => Floats::BF16(b.as_bf16().unwrap_or_default()),
        }
    }

    pub(super) fn precision(&self) -> Precision {
        match self {
            Self::F32(_) | Self::F32Bytes(_) => Precision::Float32,
            Self::F16(_) => Precision::Float16,
            Self::BF16(_) => Precision::BFloat16,
        }
    }
}
