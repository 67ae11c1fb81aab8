//! The graph as plain data.

use super::{DataType, Tensor};

/// A graph: nodes in the order of the file. ONNX requires that to be a topological order, which not every converter keeps to.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    /// The operators.
    pub nodes: Vec<Node>,
    /// The values that a caller gives. Initializers that a file also lists as inputs are left out.
    pub inputs: Vec<ValueInfo>,
    /// The values that a caller gets.
    pub outputs: Vec<ValueInfo>,
    /// The constants: weights, scales, tables.
    pub initializers: Vec<Tensor>,
    /// The operator sets that the model was written for; empty in a graph that is an attribute.
    pub opsets: Vec<OpSet>,
}

/// One operator set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpSet {
    /// The domain: empty for ONNX itself, `com.microsoft` for the operators of ONNX Runtime.
    pub domain: String,
    /// The version of the set.
    pub version: i64,
}

/// One operator.
#[derive(Debug, Clone, Default)]
pub struct Node {
    /// The name, often empty: see [`Node::label`].
    pub name: String,
    /// The operator, such as `MatMulNBits`.
    pub op_type: String,
    /// The operator's domain: empty for ONNX itself.
    pub domain: String,
    /// Names of the values that the node takes; an empty name is an optional input that is absent.
    pub inputs: Vec<String>,
    /// Names of the values that the node gives; an empty name is an optional output that is left out.
    pub outputs: Vec<String>,
    /// The attributes, in the order of the file.
    pub attributes: Vec<Attribute>,
}

/// A named attribute of a node.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// The name, such as `block_size`.
    pub name: String,
    /// The value.
    pub value: AttributeValue,
}

/// The value of an attribute.
#[derive(Debug, Clone)]
pub enum AttributeValue {
    /// One integer.
    Int(i64),
    /// One number.
    Float(f32),
    /// One string: UTF-8 by convention, not by guarantee.
    String(Vec<u8>),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Floats(Vec<f32>),
    /// Strings.
    Strings(Vec<Vec<u8>>),
    /// A constant tensor.
    Tensor(Tensor),
    /// A graph, as `If` and `Loop` hold them.
    Graph(Box<Graph>),
    /// Any other kind, by its code in `AttributeProto.AttributeType`.
    Other(i32),
}

/// The name of a value, with its type and shape as far as the file gives them.
#[derive(Debug, Clone)]
pub struct ValueInfo {
    /// The name.
    pub name: String,
    /// The element type; `None` where it is absent or the value is no tensor.
    pub data_type: Option<DataType>,
    /// The shape; `None` where even the number of dimensions is unknown.
    pub dims: Option<Vec<Dim>>,
}

/// One dimension of a shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dim {
    /// A number.
    Known(usize),
    /// A name, such as `batch_size`.
    Symbol(String),
    /// Neither.
    Unknown,
}

impl Node {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeValue> {
        self.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    /// The integer of that name; `None` where it is absent or of another kind.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.attribute(name)? {
            AttributeValue::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// The number of that name; `None` where it is absent or of another kind.
    pub fn float(&self, name: &str) -> Option<f32> {
        match self.attribute(name)? {
            AttributeValue::Float(value) => Some(*value),
            _ => None,
        }
    }

    /// The integers of that name; `None` where they are absent or of another kind.
    pub fn ints(&self, name: &str) -> Option<&[i64]> {
        match self.attribute(name)? {
            AttributeValue::Ints(values) => Some(values),
            _ => None,
        }
    }

    /// The string of that name; `None` where it is absent, of another kind or no UTF-8.
    pub fn string(&self, name: &str) -> Option<&str> {
        match self.attribute(name)? {
            AttributeValue::String(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The tensor of that name; `None` where it is absent or of another kind.
    pub fn tensor(&self, name: &str) -> Option<&Tensor> {
        match self.attribute(name)? {
            AttributeValue::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// Name of the node for messages: its own, or its first output's where it has none.
    pub fn label(&self) -> &str {
        if self.name.is_empty() { self.outputs.first().map_or("", String::as_str) } else { &self.name }
    }

    /// The name of the input at `index`; `None` where it is absent.
    pub fn input(&self, index: usize) -> Option<&str> {
        self.inputs.get(index).map(String::as_str).filter(|name| !name.is_empty())
    }
}
