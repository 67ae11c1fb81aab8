//! From bytes to a [`Graph`].

use std::collections::{HashMap, HashSet};

use super::error::{Damage, OnnxError};
use super::read_tensor::read_tensor;
use super::wire::{Field, Message};
use super::{Attribute, AttributeValue, DataType, Dim, Graph, Node, OpSet, ValueInfo};
use crate::Bytes;
use crate::error::FileError;

/// Graphs inside attributes of graphs: `If` in `Loop` in `If` is far more than decoders use.
const GRAPH_DEPTH: usize = 8;
/// Nodes, values, attributes and names of one file, together: a decoder has some ten thousand.
const PIECES: usize = 1 << 20;
/// Numbers that are stored one by one (lists of attributes, tensors that are not raw), together: 128 MiB of them.
const NUMBERS: usize = 1 << 24;

/// Where the weights are that a model keeps in other files.
pub trait Parts {
    /// The content of the file that a model names as `location`.
    ///
    /// # Errors
    /// The file is missing, may not be used or cannot be read.
    fn part(&mut self, location: &str) -> Result<Bytes, FileError>;
}

/// Parts that are at hand, by location; of use for models that keep nothing outside.
impl Parts for HashMap<String, Bytes> {
    fn part(&mut self, location: &str) -> Result<Bytes, FileError> {
        self.get(location).cloned().ok_or_else(|| FileError::Missing { path: location.into() })
    }
}

impl Graph {
    /// Reads a model from the bytes of its `.onnx` file. `parts` gives the files that hold external data; tensors are
    /// ranges of them and of `file`, and keep both alive.
    ///
    /// # Errors
    /// The file is damaged, disagrees with its parts, or uses what is not supported: local functions and sparse
    /// constants.
    pub fn read(file: &Bytes, parts: &mut dyn Parts) -> Result<Graph, OnnxError> {
        let mut reader = Reader { file, parts, pieces_left: PIECES, numbers_left: NUMBERS };
        reader.model()
    }
}

/// State of the reader at every level: the files, and how much may still be allocated.
pub(super) struct Reader<'a> {
    pub(super) file: &'a Bytes,
    pub(super) parts: &'a mut dyn Parts,
    pieces_left: usize,
    numbers_left: usize,
}

impl Reader<'_> {
    /// Counts one node, value, attribute or name.
    pub(super) fn piece(&mut self) -> Result<(), OnnxError> {
        self.pieces_left = self.pieces_left.checked_sub(1).ok_or(OnnxError::TooMany { what: "parts", limit: PIECES })?;
        Ok(())
    }

    /// Counts one number that is stored by itself.
    pub(super) fn number(&mut self) -> Result<(), OnnxError> {
        let left = self.numbers_left.checked_sub(1);
        self.numbers_left = left.ok_or(OnnxError::TooMany { what: "single numbers", limit: NUMBERS })?;
        Ok(())
    }

    /// `ModelProto`.
    fn model(&mut self) -> Result<Graph, OnnxError> {
        let file = self.file;
        let mut message = Message::of_file(file);
        let mut graph: Option<Graph> = None;
        let mut opsets = Vec::new();
        while let Some(field) = message.next_field()? {
            match field.number {
                7 if graph.is_some() => {
                    return Err(OnnxError::Damaged { offset: field.range()?.start, damage: Damage::SecondGraph });
                }
                7 => graph = Some(self.graph(field.message()?, 1)?),
                8 => opsets.push(self.opset(field.message()?)?),
                25 => return Err(OnnxError::LocalFunction { function: string_field(field.message()?, 1)? }),
                _ => {}
            }
        }
        let mut graph = graph.ok_or(OnnxError::NoGraph)?;
        graph.opsets = opsets;
        Ok(graph)
    }

    /// `OperatorSetIdProto`.
    fn opset(&mut self, mut message: Message<'_>) -> Result<OpSet, OnnxError> {
        self.piece()?;
        let mut opset = OpSet { domain: String::new(), version: 0 };
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => opset.domain = domain(field)?,
                2 => opset.version = field.int()?,
                _ => {}
            }
        }
        Ok(opset)
    }

    /// `GraphProto`.
    fn graph(&mut self, mut message: Message<'_>, depth: usize) -> Result<Graph, OnnxError> {
        if depth > GRAPH_DEPTH {
            return Err(OnnxError::TooDeep { limit: GRAPH_DEPTH });
        }
        let mut graph = Graph::default();
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => graph.nodes.push(self.node(field.message()?, depth)?),
                5 => graph.initializers.push(read_tensor(self, field.message()?)?),
                11 => graph.inputs.push(self.value_info(field.message()?)?),
                12 => graph.outputs.push(self.value_info(field.message()?)?),
                15 => return Err(OnnxError::SparseTensor { tensor: sparse_name(field.message()?)? }),
                _ => {}
            }
        }
        let constants: HashSet<&str> = graph.initializers.iter().map(|t| t.name.as_str()).collect();
        graph.inputs.retain(|input| !constants.contains(input.name.as_str()));
        Ok(graph)
    }

    /// `NodeProto`.
    fn node(&mut self, mut message: Message<'_>, depth: usize) -> Result<Node, OnnxError> {
        self.piece()?;
        let mut node = Node::default();
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => node.inputs.push(self.name(field)?),
                2 => node.outputs.push(self.name(field)?),
                3 => node.name = field.string()?,
                4 => node.op_type = field.string()?,
                5 => node.attributes.push(self.attribute(field.message()?, depth)?),
                7 => node.domain = domain(field)?,
                _ => {}
            }
        }
        Ok(node)
    }

    fn name(&mut self, field: Field<'_>) -> Result<String, OnnxError> {
        self.piece()?;
        field.string()
    }

    /// `AttributeProto`.
    fn attribute(&mut self, mut message: Message<'_>, depth: usize) -> Result<Attribute, OnnxError> {
        self.piece()?;
        let mut name = String::new();
        let mut fields = AttributeFields::default();
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => name = field.string()?,
                2 => fields.float = Some(field.float()?),
                3 => fields.int = Some(field.int()?),
                4 => fields.string = Some(field.bytes()?.to_vec()),
                5 => fields.tensor = Some(read_tensor(self, field.message()?)?),
                6 => fields.graph = Some(self.graph(field.message()?, depth + 1)?),
                7 => field.floats(|number| {
                    fields.floats.push(number);
                    self.number()
                })?,
                8 => field.ints(|number| {
                    fields.ints.push(number);
                    self.number()
                })?,
                9 => {
                    self.piece()?;
                    fields.strings.push(field.bytes()?.to_vec());
                }
                20 => fields.kind = field.int32()?,
                _ => {}
            }
        }
        Ok(Attribute { name, value: fields.value() })
    }

    /// `ValueInfoProto`.
    fn value_info(&mut self, mut message: Message<'_>) -> Result<ValueInfo, OnnxError> {
        self.piece()?;
        let mut info = ValueInfo { name: String::new(), data_type: None, dims: None };
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => info.name = field.string()?,
                2 => self.value_type(field.message()?, &mut info)?,
                _ => {}
            }
        }
        Ok(info)
    }

    /// `TypeProto`, of which only `tensor_type` is read.
    fn value_type(&mut self, mut message: Message<'_>, info: &mut ValueInfo) -> Result<(), OnnxError> {
        while let Some(field) = message.next_field()? {
            if field.number != 1 {
                continue;
            }
            let mut tensor_type = field.message()?;
            while let Some(field) = tensor_type.next_field()? {
                match field.number {
                    1 => info.data_type = DataType::from_onnx(field.int32()?),
                    2 => info.dims = Some(self.shape(field.message()?)?),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// `TensorShapeProto`.
    fn shape(&mut self, mut message: Message<'_>) -> Result<Vec<Dim>, OnnxError> {
        let mut dims = Vec::new();
        while let Some(field) = message.next_field()? {
            if field.number != 1 {
                continue;
            }
            self.piece()?;
            let mut dim = Dim::Unknown;
            let mut dimension = field.message()?;
            while let Some(field) = dimension.next_field()? {
                match field.number {
                    1 => dim = usize::try_from(field.int()?).map_or(Dim::Unknown, Dim::Known),
                    2 => dim = Some(field.string()?).filter(|name| !name.is_empty()).map_or(Dim::Unknown, Dim::Symbol),
                    _ => {}
                }
            }
            dims.push(dim);
        }
        Ok(dims)
    }
}

/// The fields of `AttributeProto` that hold a value.
#[derive(Default)]
struct AttributeFields {
    kind: i32,
    float: Option<f32>,
    int: Option<i64>,
    string: Option<Vec<u8>>,
    tensor: Option<super::Tensor>,
    graph: Option<Graph>,
    floats: Vec<f32>,
    ints: Vec<i64>,
    strings: Vec<Vec<u8>>,
}

impl AttributeFields {
    /// The value that `kind` points to. A writer may leave out numbers that are 0 and lists that are empty.
    fn value(self) -> AttributeValue {
        let kind = if self.kind == 0 { self.kind_of_what_is_there() } else { self.kind };
        match (kind, self.tensor, self.graph) {
            (1, ..) => AttributeValue::Float(self.float.unwrap_or_default()),
            (2, ..) => AttributeValue::Int(self.int.unwrap_or_default()),
            (3, ..) => AttributeValue::String(self.string.unwrap_or_default()),
            (4, Some(tensor), _) => AttributeValue::Tensor(tensor),
            (5, _, Some(graph)) => AttributeValue::Graph(Box::new(graph)),
            (6, ..) => AttributeValue::Floats(self.floats),
            (7, ..) => AttributeValue::Ints(self.ints),
            (8, ..) => AttributeValue::Strings(self.strings),
            _ => AttributeValue::Other(kind),
        }
    }

    /// Files of IR version 1 have no kind.
    fn kind_of_what_is_there(&self) -> i32 {
        let present = [
            (self.float.is_some(), 1),
            (self.int.is_some(), 2),
            (self.string.is_some(), 3),
            (self.tensor.is_some(), 4),
            (self.graph.is_some(), 5),
            (!self.floats.is_empty(), 6),
            (!self.ints.is_empty(), 7),
            (!self.strings.is_empty(), 8),
        ];
        present.iter().find(|(there, _)| *there).map_or(0, |(_, kind)| *kind)
    }
}

/// A domain; `ai.onnx` is another way to write the empty one.
fn domain(field: Field<'_>) -> Result<String, OnnxError> {
    Ok(Some(field.string()?).filter(|domain| domain != "ai.onnx").unwrap_or_default())
}

/// The text in field `number` of a message, empty where it is absent.
fn string_field(mut message: Message<'_>, number: u32) -> Result<String, OnnxError> {
    while let Some(field) = message.next_field()? {
        if field.number == number {
            return field.string();
        }
    }
    Ok(String::new())
}

/// The name of a `SparseTensorProto`: that of its values.
fn sparse_name(mut message: Message<'_>) -> Result<String, OnnxError> {
    while let Some(field) = message.next_field()? {
        if field.number == 1 {
            return string_field(field.message()?, 8);
        }
    }
    Ok(String::new())
}
