//! Values of a graph's inputs under the engine's contract: one sequence, its positions without gaps, none masked out.

use crate::recognise::Facts;
use kinglet_bundle::onnx::{DataType, Dim, ValueInfo};
use kinglet_reference::Tensor;

/// The rows of a step, and the positions before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Length {
    pub(crate) rows: usize,
    pub(crate) past: usize,
}

impl Length {
    pub(super) fn total(self) -> usize {
        self.past + self.rows
    }
}

impl std::fmt::Display for Length {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} rows after {} positions", self.rows, self.past)
    }
}

/// A dimension of a value as it depends on the length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Extent {
    Of(usize),
    Rows,
    Past,
    Total,
}

impl Extent {
    pub(super) fn at(self, length: Length) -> usize {
        match self {
            Extent::Of(n) => n,
            Extent::Rows => length.rows,
            Extent::Past => length.past,
            Extent::Total => length.total(),
        }
    }
}

/// Role of an input of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Tokens,
    Mask,
    Positions,
    /// Keys or values that were computed before.
    Past,
}

/// The role of an input, and its dimensions; none for an input that the contract does not know.
pub(super) fn role_of(facts: &Facts, input: &ValueInfo) -> Option<(Role, Vec<Extent>)> {
    let one = Extent::Of(1);
    let rank = input.dims.as_ref().map(Vec::len);
    if input.name == facts.input_ids {
        return Some((Role::Tokens, vec![one, Extent::Rows]));
    }
    if facts.attention_mask.as_deref() == Some(input.name.as_str()) && rank.is_none_or(|rank| rank == 2) {
        return Some((Role::Mask, vec![one, Extent::Total]));
    }
    if facts.position_ids.as_deref() == Some(input.name.as_str()) && rank.is_none_or(|rank| rank == 2) {
        return Some((Role::Positions, vec![one, Extent::Rows]));
    }
    let [_, heads, _, head_dim] = input.dims.as_deref()? else { return None };
    let (heads, head_dim) = (number(heads)?, number(head_dim).or(facts.head_dim)?);
    Some((Role::Past, vec![one, Extent::Of(heads), Extent::Past, Extent::Of(head_dim)]))
}

/// A dimension that is a number, be it written as a name.
fn number(dim: &Dim) -> Option<usize> {
    match dim {
        Dim::Known(n) => Some(*n),
        Dim::Symbol(name) => name.parse().ok(),
        Dim::Unknown => None,
    }
}

/// The ids that are given for `rows` tokens: no two alike, so that an order among them shows.
pub(super) fn token_ids(length: Length) -> Vec<i64> {
    (1..=length.rows as i64).collect()
}

/// The tensor for an input of that role.
pub(super) fn tensor_of(role: Role, input: &ValueInfo, extents: &[Extent], length: Length, random: &mut Random) -> Tensor {
    let dims: Vec<usize> = extents.iter().map(|e| e.at(length)).collect();
    match role {
        Role::Tokens => Tensor::ints(dims, token_ids(length)),
        Role::Positions => Tensor::ints(dims, (length.past..length.total()).map(|p| p as i64).collect()),
        Role::Mask => match input.data_type {
            Some(DataType::Bool) => Tensor::bools(dims, vec![true; length.total()]),
            Some(DataType::Float32 | DataType::Float16 | DataType::BFloat16) => Tensor::floats(dims, vec![1.0; length.total()]),
            _ => Tensor::ints(dims, vec![1; length.total()]),
        },
        Role::Past => {
            let count = dims.iter().product();
            Tensor::floats(dims, random.numbers(count))
        }
    }
}

/// Pseudo-random numbers with mean 0 and deviation 1, the same in every run.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// Between 0 and 1.
    fn uniform(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1 << 24) as f32
    }

    /// The sum of three numbers between -1 and 1 has the deviation 1.
    pub(super) fn number(&mut self) -> f32 {
        (self.uniform() + self.uniform() + self.uniform()).mul_add(2.0, -3.0)
    }

    pub(super) fn numbers(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.number()).collect()
    }
}
