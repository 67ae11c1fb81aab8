//! The element types of ONNX.

/// The type of a tensor's elements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs)] // the names say it
pub enum DataType {
    Float32,
    UInt8,
    Int8,
    UInt16,
    Int16,
    Int32,
    Int64,
    String,
    Bool,
    Float16,
    Float64,
    UInt32,
    UInt64,
    Complex64,
    Complex128,
    BFloat16,
    Float8E4M3Fn,
    Float8E4M3FnUz,
    Float8E5M2,
    Float8E5M2FnUz,
    UInt4,
    Int4,
    Float4E2M1,
    Float8E8M0,
    UInt2,
    Int2,
}

/// Every type with its code in `TensorProto.DataType` and the width of one element in bits.
const TYPES: [(DataType, i32, usize); 26] = [
    (DataType::Float32, 1, 32),
    (DataType::UInt8, 2, 8),
    (DataType::Int8, 3, 8),
    (DataType::UInt16, 4, 16),
    (DataType::Int16, 5, 16),
    (DataType::Int32, 6, 32),
    (DataType::Int64, 7, 64),
    (DataType::String, 8, 0),
    (DataType::Bool, 9, 8),
    (DataType::Float16, 10, 16),
    (DataType::Float64, 11, 64),
    (DataType::UInt32, 12, 32),
    (DataType::UInt64, 13, 64),
    (DataType::Complex64, 14, 64),
    (DataType::Complex128, 15, 128),
    (DataType::BFloat16, 16, 16),
    (DataType::Float8E4M3Fn, 17, 8),
    (DataType::Float8E4M3FnUz, 18, 8),
    (DataType::Float8E5M2, 19, 8),
    (DataType::Float8E5M2FnUz, 20, 8),
    (DataType::UInt4, 21, 4),
    (DataType::Int4, 22, 4),
    (DataType::Float4E2M1, 23, 4),
    (DataType::Float8E8M0, 24, 8),
    (DataType::UInt2, 25, 2),
    (DataType::Int2, 26, 2),
];

impl DataType {
    /// The type with that code in `TensorProto.DataType`; `None` for a code that is not known here.
    pub fn from_onnx(code: i32) -> Option<DataType> {
        TYPES.iter().find(|row| row.1 == code).map(|row| row.0)
    }

    /// The code in `TensorProto.DataType`.
    pub fn to_onnx(self) -> i32 {
        self.row().1
    }

    /// The width of one element in bits; 0 for [`DataType::String`], whose elements differ in length.
    pub fn bits(self) -> usize {
        self.row().2
    }

    /// The number of bytes that `elements` of this type take, rounded up to whole bytes; `None` on overflow.
    pub fn bytes_for(self, elements: usize) -> Option<usize> {
        Some(elements.checked_mul(self.bits())?.div_ceil(8))
    }

    fn row(self) -> &'static (DataType, i32, usize) {
        &TYPES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_finds_its_own_row_and_comes_back_from_its_code() {
        for (index, (data_type, code, _)) in TYPES.iter().enumerate() {
            assert_eq!(*data_type as usize, index, "{data_type:?}");
            assert_eq!(DataType::from_onnx(*code), Some(*data_type));
            assert_eq!(data_type.to_onnx(), *code);
        }
        assert_eq!(DataType::from_onnx(0), None);
        assert_eq!(DataType::from_onnx(27), None);
    }

    #[test]
    fn bytes_are_rounded_up_and_overflow_is_seen() {
        struct Case(DataType, usize, Option<usize>);
        for Case(data_type, elements, bytes) in [
            Case(DataType::Float32, 3, Some(12)),
            Case(DataType::Int4, 3, Some(2)),
            Case(DataType::UInt2, 5, Some(2)),
            Case(DataType::BFloat16, 0, Some(0)),
            Case(DataType::Float64, usize::MAX / 32, None),
        ] {
            assert_eq!(data_type.bytes_for(elements), bytes, "{elements} x {data_type:?}");
        }
    }
}
