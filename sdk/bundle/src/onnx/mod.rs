//! ONNX graphs: the part of the format that a decoder needs, read from the protobuf wire format without a copy.
//!
//! [`Graph::read`] walks the bytes of a `.onnx` file once. Names and attributes are copied out, `raw_data` and external
//! data become ranges of the mapped files ([`Bytes`](crate::Bytes)). Fields that are not needed (documentation, value
//! shapes inside the graph, metadata, training information) are skipped.
//!
//! [`Edits`] gives such a file again with a few things changed, for engines that read the file themselves.
//!
//! Source of field numbers and type codes: `onnx.proto` of ONNX 1.23 (IR version 14).

mod data_type;
mod edit;
mod error;
mod graph;
mod read;
mod read_tensor;
mod tensor;
mod wire;

pub use data_type::DataType;
pub use edit::{Edits, PickRows, Place, SetInt};
pub use error::{Damage, OnnxError, TensorProblem};
pub use graph::{Attribute, AttributeValue, Dim, Graph, Node, OpSet, ValueInfo};
pub use read::Parts;
pub use tensor::{ConversionError, Tensor};
