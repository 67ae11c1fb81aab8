//! A value of a graph: a shape and its elements.

/// Elements, row-major. Narrower types are widened when they are read: float16, bfloat16 and float64 to `Float`, every
/// integer to `Int`; a node that rounds to a narrower integer rounds the elements and keeps the wide type.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// Numbers.
    Float(Vec<f32>),
    /// Integers.
    Int(Vec<i64>),
    /// Truth values.
    Bool(Vec<bool>),
}

impl Data {
    /// The number of elements.
    pub fn len(&self) -> usize {
        match self {
            Self::Float(v) => v.len(),
            Self::Int(v) => v.len(),
            Self::Bool(v) => v.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A value of a graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// The shape, row-major; empty for a scalar.
    pub dims: Vec<usize>,
    /// As many elements as the product of `dims`.
    pub data: Data,
}

impl Tensor {
    /// A tensor of numbers.
    pub fn floats(dims: impl Into<Vec<usize>>, values: Vec<f32>) -> Self {
        Self { dims: dims.into(), data: Data::Float(values) }
    }

    /// A tensor of integers.
    pub fn ints(dims: impl Into<Vec<usize>>, values: Vec<i64>) -> Self {
        Self { dims: dims.into(), data: Data::Int(values) }
    }

    /// A tensor of truth values.
    pub fn bools(dims: impl Into<Vec<usize>>, values: Vec<bool>) -> Self {
        Self { dims: dims.into(), data: Data::Bool(values) }
    }
}
