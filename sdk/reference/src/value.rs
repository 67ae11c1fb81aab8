//! A value inside an evaluation: a tensor with the element type that the graph gives it.

use crate::{Data, Tensor};
use half::{bf16, f16};
use kinglet_bundle::onnx::DataType;
use std::ops::Deref;

/// A tensor and the type of its elements. Elements are held wide; the type says how integers wrap and what `CastLike` or a
/// zero point means.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Value {
    tensor: Tensor,
    /// The type of an element in the graph.
    pub(crate) kind: DataType,
}

impl Value {
    /// Elements of that type.
    pub(crate) fn new(kind: DataType, dims: impl Into<Vec<usize>>, data: Data) -> Self {
        Self { tensor: Tensor { dims: dims.into(), data }, kind }
    }

    /// A tensor as callers give it, whose element type is the widest of its kind unless the graph knows better.
    pub(crate) fn given(tensor: Tensor, known: Option<DataType>) -> Self {
        let widest = match tensor.data {
            Data::Float(_) => DataType::Float32,
            Data::Int(_) => DataType::Int64,
            Data::Bool(_) => DataType::Bool,
        };
        let kind = known.filter(|kind| family(*kind) == family(widest)).unwrap_or(widest);
        Self { tensor, kind }
    }

    /// Elements of this value's type, in another shape.
    pub(crate) fn like(&self, dims: impl Into<Vec<usize>>, data: Data) -> Self {
        Self::new(self.kind, dims, data)
    }

    /// Numbers of this value's type where that is a type of numbers, else of float32.
    pub(crate) fn floats_like(&self, dims: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        let kind = if family(self.kind) == Family::Float { self.kind } else { DataType::Float32 };
        Self::new(kind, dims, Data::Float(values))
    }

    /// 64-bit integers.
    pub(crate) fn int64(dims: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        Self::new(DataType::Int64, dims, Data::Int(values))
    }

    /// Truth values.
    pub(crate) fn bools(dims: impl Into<Vec<usize>>, values: Vec<bool>) -> Self {
        Self::new(DataType::Bool, dims, Data::Bool(values))
    }

    /// The number of dimensions.
    pub(crate) fn rank(&self) -> usize {
        self.dims.len()
    }

    /// The tensor alone.
    pub(crate) fn into_tensor(self) -> Tensor {
        self.tensor
    }
}

impl Deref for Value {
    type Target = Tensor;

    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

/// Which variant of [`Data`] holds a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Float,
    Int,
    Bool,
    /// A type that the interpreter does not hold.
    None,
}

/// Which variant of [`Data`] holds elements of that type.
pub(crate) fn family(kind: DataType) -> Family {
    use DataType as T;
    match kind {
        T::Float32 | T::Float16 | T::BFloat16 | T::Float64 => Family::Float,
        T::Int64 | T::Int32 | T::Int16 | T::Int8 | T::Int4 | T::Int2 => Family::Int,
        T::UInt64 | T::UInt32 | T::UInt16 | T::UInt8 | T::UInt4 | T::UInt2 => Family::Int,
        T::Bool => Family::Bool,
        _ => Family::None,
    }
}

/// The least and the greatest integer of a type; of 64 bits for every other type, since wider ones are held so.
pub(crate) fn range(kind: DataType) -> (i64, i64) {
    use DataType as T;
    match kind {
        T::Int32 => (i32::MIN.into(), i32::MAX.into()),
        T::Int16 => (i16::MIN.into(), i16::MAX.into()),
        T::Int8 => (i8::MIN.into(), i8::MAX.into()),
        T::Int4 => (-8, 7),
        T::Int2 => (-2, 1),
        T::UInt32 => (0, u32::MAX.into()),
        T::UInt16 => (0, u16::MAX.into()),
        T::UInt8 => (0, u8::MAX.into()),
        T::UInt4 => (0, 15),
        T::UInt2 => (0, 3),
        T::UInt64 => (0, i64::MAX),
        _ => (i64::MIN, i64::MAX),
    }
}

/// An integer as that type keeps it: the low bits, in two's complement where the type has a sign.
pub(crate) fn wrap(kind: DataType, value: i64) -> i64 {
    let (low, high) = range(kind);
    if (low..=high).contains(&value) || kind == DataType::UInt64 {
        return value;
    }
    let count = high.wrapping_sub(low).wrapping_add(1);
    if count <= 0 { value } else { value.wrapping_sub(low).rem_euclid(count) + low }
}

/// A number as that type keeps it: rounded to the nearest, ties to even.
pub(crate) fn round_to(kind: DataType, value: f64) -> f32 {
    match kind {
        DataType::Float16 => f16::from_f64(value).to_f32(),
        DataType::BFloat16 => bf16::from_f64(value).to_f32(),
        _ => value as f32,
    }
}

impl Data {
    /// The elements at those offsets, all of which must lie inside.
    pub(crate) fn pick(&self, offsets: impl Iterator<Item = usize>, count: usize) -> Data {
        fn pick<T: Copy>(from: &[T], offsets: impl Iterator<Item = usize>, count: usize) -> Vec<T> {
            let mut picked = Vec::with_capacity(count);
            picked.extend(offsets.map(|offset| from[offset]));
            picked
        }
        match self {
            Data::Float(v) => Data::Float(pick(v, offsets, count)),
            Data::Int(v) => Data::Int(pick(v, offsets, count)),
            Data::Bool(v) => Data::Bool(pick(v, offsets, count)),
        }
    }

    /// No elements, of this kind.
    pub(crate) fn none(&self, capacity: usize) -> Data {
        match self {
            Data::Float(_) => Data::Float(Vec::with_capacity(capacity)),
            Data::Int(_) => Data::Int(Vec::with_capacity(capacity)),
            Data::Bool(_) => Data::Bool(Vec::with_capacity(capacity)),
        }
    }

    /// As many zeros (or falsehoods), of this kind.
    pub(crate) fn zeros(&self, count: usize) -> Data {
        match self {
            Data::Float(_) => Data::Float(vec![0.0; count]),
            Data::Int(_) => Data::Int(vec![0; count]),
            Data::Bool(_) => Data::Bool(vec![false; count]),
        }
    }

    /// Appends a part of other elements of the same kind; false where they are of another.
    pub(crate) fn append(&mut self, other: &Data, part: std::ops::Range<usize>) -> bool {
        match (self, other) {
            (Data::Float(to), Data::Float(from)) => to.extend_from_slice(&from[part]),
            (Data::Int(to), Data::Int(from)) => to.extend_from_slice(&from[part]),
            (Data::Bool(to), Data::Bool(from)) => to.extend_from_slice(&from[part]),
            _ => return false,
        }
        true
    }
}
