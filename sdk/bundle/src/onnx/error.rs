//! Errors of an ONNX file.

use kinglet_guard::Shown;

use crate::error::FileError;

/// The bytes are no ONNX model that can be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// The protobuf cannot be followed.
    #[error("it is cut off or damaged at byte {offset} ({damage}); download or export it again")]
    Damaged {
        /// Where, in bytes from the start of the file.
        offset: usize,
        /// Kind of the damage.
        damage: Damage,
    },
    /// The protobuf holds no graph.
    #[error("it holds no graph, so it is no ONNX model; download or export it again")]
    NoGraph,
    /// Graphs inside attributes of graphs go deeper than any real model's.
    #[error("graphs lie inside graphs more than {limit} levels deep; export the model again without such nesting")]
    TooDeep {
        /// The greatest depth that is read.
        limit: usize,
    },
    /// More parts than any real model has: the limit that keeps a hostile file from filling the memory.
    #[error("it holds more than {limit} {what}, which no language model needs; the file is damaged or hostile")]
    TooMany {
        /// Name of the parts that are too many, in the plural.
        what: &'static str,
        /// How many of them are read.
        limit: usize,
    },
    /// The model calls functions that it defines itself.
    #[error("it defines the local function `{}`; export it again with functions inlined (`onnx.inliner`)", Shown(function))]
    LocalFunction {
        /// The function's name.
        function: String,
    },
    /// A constant is stored sparsely.
    #[error("the constant `{}` is stored sparsely; export the model again with dense constants", Shown(tensor))]
    SparseTensor {
        /// The constant's name.
        tensor: String,
    },
    /// A constant disagrees with itself, or with the file that holds it.
    #[error("the constant `{}` cannot be read: {problem}", Shown(tensor))]
    Tensor {
        /// The constant's name.
        tensor: String,
        /// The problem with it.
        problem: TensorProblem,
    },
    /// A file with weights cannot be used.
    #[error(transparent)]
    Part(#[from] FileError),
}

/// Why the wire format cannot be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// A field or number goes on behind the end of what holds it.
    #[error("something goes on behind its end")]
    EndsEarly,
    /// A number has more than ten bytes.
    #[error("a number is too long")]
    LongNumber,
    /// A field has the number 0, or one over 2^29.
    #[error("a field has an impossible number")]
    FieldNumber,
    /// A field is stored in a way that protobuf, or this field, does not have.
    #[error("a field is stored in the wrong way")]
    WireType,
    /// A name is no UTF-8.
    #[error("a name is no UTF-8")]
    NotUtf8,
    /// The model has a second graph.
    #[error("there is a second graph")]
    SecondGraph,
}

/// Why a constant cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorProblem {
    /// The element type is not known.
    #[error("its element type {code} is not known")]
    UnknownType {
        /// The code in `TensorProto.DataType`.
        code: i32,
    },
    /// The elements are strings.
    #[error("it holds texts, which a decoder does not need")]
    Strings,
    /// The tensor is one segment of a larger one.
    #[error("it is stored in segments")]
    Segments,
    /// A dimension is negative, or their product is more than the address space.
    #[error("its shape {} is impossible", few(dims))]
    Shape {
        /// The dimensions as they are in the file.
        dims: Vec<i64>,
    },
    /// The bytes are not as many as shape and type say.
    #[error("its shape and type need {expected_bytes} bytes, and {found_bytes} are stored")]
    Length {
        /// Bytes that shape and type need.
        expected_bytes: usize,
        /// Bytes that are stored.
        found_bytes: usize,
    },
    /// External data without a location.
    #[error("it is stored outside the model file, but the file does not say where")]
    NoLocation,
    /// An offset or a length that is no number.
    #[error("the {key} of its external data is `{}`, which is no number of bytes", Shown(value))]
    ExternalNumber {
        /// `offset` or `length`.
        key: String,
        /// The text in place of a number.
        value: String,
    },
    /// External data that is not inside its file.
    #[error("`{}` has {file_bytes} bytes, and this constant's {length} bytes from {offset} are not among them", Shown(location))]
    OutsideFile {
        /// The file, as the model names it.
        location: String,
        /// Where the constant should begin.
        offset: u64,
        /// How long it should be.
        length: u64,
        /// How long the file is.
        file_bytes: usize,
    },
}

/// The first dimensions of a shape: no real one has more than eight.
fn few(dims: &[i64]) -> String {
    let (shown, rest) = dims.split_at(dims.len().min(8));
    if rest.is_empty() { format!("{shown:?}") } else { format!("{shown:?} and {} more", rest.len()) }
}
