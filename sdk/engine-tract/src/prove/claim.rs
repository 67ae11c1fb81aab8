//! Claims: the piece of the graph that an operator is said to replace, by the values where it begins and ends, and the parameters
//! of the computation in between.

use crate::recognise::Turned;
use kinglet_bundle::onnx::Node;
use kinglet_kernels::GateActivation;

/// Proof obligation of the operator that makes a value.
#[derive(Debug)]
pub(crate) enum Claim<'g> {
    /// An RMS norm of `input`.
    Norm { input: &'g str, norm: NormClaim<'g> },
    /// `activation(gate) * up`.
    Activated { gate: &'g str, up: &'g str, activation: GateActivation },
    /// `cap * tanh(input / cap)`.
    Capped { input: &'g str, cap: f32 },
    /// Each row of `input` less its mean.
    Centred { input: &'g str },
    /// Attention of one layer.
    Attention(Box<AttentionClaim<'g>>),
}

/// A norm whose weight is a value of the graph.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NormClaim<'g> {
    pub(crate) weight: &'g str,
    pub(crate) eps: f32,
}

/// Where queries, keys and values come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Projections<'g> {
    /// One value, `[rows, q | k | v]`.
    Packed(&'g str),
    /// A value each.
    Separate([&'g str; 3]),
}

impl<'g> Projections<'g> {
    /// The values.
    pub(super) fn values(&self) -> Vec<&'g str> {
        match self {
            Self::Packed(qkv) => vec![qkv],
            Self::Separate(parts) => parts.to_vec(),
        }
    }
}

/// Values and conditions of the graph around one attention, beside the operator's own parameters.
#[derive(Debug)]
pub(crate) struct AttentionClaim<'g> {
    /// The node to name in errors: the attention, not one of those around it.
    pub(crate) node: &'g Node,
    pub(crate) projections: Projections<'g>,
    /// The graph's inputs of past keys and values, `[1, kv_heads, past, head_dim]`.
    pub(crate) past: [&'g str; 2],
    /// The values of past and step together, `[1, kv_heads, past + rows, head_dim]`.
    pub(crate) present: [Option<&'g str>; 2],
    /// The factor on the step's keys before they join the cache.
    pub(crate) key_scale: f32,
    /// Over each head of queries and of keys.
    pub(crate) norms: [Option<NormClaim<'g>>; 2],
    /// How queries and keys are rotated, once for each place where that is read from the graph.
    pub(crate) turned: Vec<Turned<'g>>,
    /// Values that decide which positions a row sees, all of them together.
    pub(crate) masks: Vec<&'g str>,
    /// Values that replace the scores of positions that a row does not see.
    pub(crate) hidden: Vec<&'g str>,
    /// Conditions that must be the same for all rows, whatever they see, and what they must be.
    pub(crate) guards: Vec<(&'g str, bool)>,
    /// Values that must be the number of positions plus so many.
    pub(crate) lengths: Vec<(&'g str, i64)>,
    /// Values that must be the rows' positions.
    pub(crate) positions: Vec<&'g str>,
}
