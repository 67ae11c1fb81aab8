//! The rewritten graph: a list of operators over values, in the order they run.
//!
//! A value is float32 `[rows, width]`, one row a token of the step (after [`Op::PickRows`]: a row of logits asked for);
//! only the input is different: token ids `[rows]`.

use crate::rotary::Rotary;
use crate::weight::{Vector, Weight};
use kinglet_bundle::onnx::Node;
use kinglet_kernels::{GateActivation, LayerKv};

/// Index of a value in a [`Program`]; value 0 is the token ids.
pub(crate) type ValueId = usize;

/// One output of [`Op::Linear`] or [`Op::Gated`]: `x [rows, k] * weight^T + bias -> [rows, n]`.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) weight: Weight,
    pub(crate) bias: Option<Vector>,
    /// Its index among the program's parts, by which its packed weights are found.
    pub(crate) number: usize,
}

/// RMS norm over the last dimension: `x / rms(x) * weight`, with `rms(x) = sqrt(mean(x^2) + eps)`.
#[derive(Clone, Debug)]
pub(crate) struct Norm {
    pub(crate) weight: Vector,
    pub(crate) eps: f32,
}

/// Causal attention of one layer over its cache.
#[derive(Clone, Debug)]
pub(crate) struct Attention {
    /// Index of the layer's keys and values in the cache.
    pub(crate) layer: usize,
    pub(crate) q_heads: usize,
    pub(crate) kv: LayerKv,
    pub(crate) scale: f32,
    pub(crate) softcap: Option<f32>,
    /// A row sees itself and the `window - 1` rows before it.
    pub(crate) window: Option<usize>,
    /// Norms over each head of q and k.
    pub(crate) q_norm: Option<Norm>,
    pub(crate) k_norm: Option<Norm>,
    /// Whether heads are rotated before those norms.
    pub(crate) norm_after_rotation: bool,
    /// Index into [`Program::rotaries`].
    pub(crate) rotary: Option<usize>,
}

/// An operator left to tract, with those of its inputs that are constant.
#[derive(Clone, Debug)]
pub(crate) struct Foreign {
    pub(crate) node: Node,
    /// Position among the node's inputs, and what it holds.
    pub(crate) constants: Vec<(usize, Constant)>,
}

/// A constant operand of an operator that is left to tract.
#[derive(Clone, Debug)]
pub(crate) struct Constant {
    /// One number, or one for each column.
    pub(crate) values: Vec<f32>,
    pub(crate) form: Form,
}

/// The shape in which a constant is handed to tract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `[]`
    Scalar,
    /// `[width]`
    Row,
    /// `[1, 1, width]` or `[1, 1, 1]`
    Repeated,
}

impl Constant {
    /// Its shape.
    pub(crate) fn dims(&self) -> Vec<usize> {
        match self.form {
            Form::Scalar => vec![],
            Form::Row => vec![self.values.len()],
            Form::Repeated => vec![1, 1, self.values.len()],
        }
    }
}

/// Operator of one program step.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    /// Rows of `table [vocab, width]`, times `scale`.
    Embed {
        table: Weight,
        scale: f32,
    },
    Norm(Norm),
    /// Two inputs, two outputs: the norm of their sum, and the sum.
    AddNorm(Norm),
    Add,
    /// A row less its mean.
    Centre,
    /// All parts read the same input; their outputs lie side by side.
    Linear(Vec<Part>),
    /// `activation(gate) * up`.
    Gated {
        gate: Part,
        up: Part,
        activation: GateActivation,
    },
    /// Packed `[rows, q | k | v]` -> `[rows, q_heads * head_dim]`.
    Attention(Box<Attention>),
    /// The inputs' columns side by side.
    Pack,
    /// The rows whose logits were asked for.
    PickRows,
    Scale(f32),
    /// `cap * tanh(x / cap)`.
    Softcap(f32),
    Foreign(Box<Foreign>),
}

impl Op {
    /// The parts of a product; none of other operators.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        let (many, two) = match self {
            Self::Linear(parts) => (parts.as_slice(), None),
            Self::Gated { gate, up, .. } => (&[][..], Some([gate, up])),
            _ => (&[][..], None),
        };
        many.iter().chain(two.into_iter().flatten())
    }

    /// Name for profiles and errors.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Embed { .. } => "embed",
            Self::Norm(_) => "norm",
            Self::AddNorm(_) => "add+norm",
            Self::Add => "add",
            Self::Centre => "centre",
            Self::Linear(_) => "linear",
            Self::Gated { .. } => "gated",
            Self::Attention(_) => "attention",
            Self::Pack => "pack",
            Self::PickRows => "pick rows",
            Self::Scale(_) => "scale",
            Self::Softcap(_) => "softcap",
            Self::Foreign(_) => "tract",
        }
    }
}

/// An operator, where it reads and where it writes.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) op: Op,
    pub(crate) inputs: Vec<ValueId>,
    /// One value, or two for [`Op::AddNorm`].
    pub(crate) outputs: Vec<ValueId>,
    /// Width of each output's rows.
    pub(crate) width: usize,
    /// Name of the ONNX node that it stands for.
    pub(crate) label: String,
}

/// The whole decoder: tokens in, logits out.
#[derive(Debug, Default)]
pub(crate) struct Program {
    pub(crate) steps: Vec<Step>,
    /// The value that holds the logits.
    pub(crate) logits: ValueId,
    /// Number of values, the token ids included.
    pub(crate) values: usize,
    pub(crate) vocab: usize,
    /// Key and value heads of each layer, in the cache's order.
    pub(crate) layers: Vec<LayerKv>,
    pub(crate) rotaries: Vec<Rotary>,
    /// By value: what the graph calls it, where it is one of the graph's.
    pub(crate) names: Vec<Option<String>>,
}

impl Program {
    /// The parts of all products, in running order.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> {
        self.steps.iter().flat_map(|s| s.op.parts())
    }

    /// Numbers the parts of all products in running order.
    pub(crate) fn number_parts(&mut self) {
        let mut number = 0;
        for step in &mut self.steps {
            let parts: Vec<&mut Part> = match &mut step.op {
                Op::Linear(parts) => parts.iter_mut().collect(),
                Op::Gated { gate, up, .. } => vec![gate, up],
                _ => vec![],
            };
            for part in parts {
                part.number = number;
                number += 1;
            }
        }
    }

    /// The table of the embedding.
    pub(crate) fn embedding(&self) -> Option<&Weight> {
        self.steps.iter().find_map(|s| if let Op::Embed { table, .. } = &s.op { Some(table) } else { None })
    }

    /// The part whose weight is `table`: a head that is tied to the embedding.
    pub(crate) fn tied_to(&self, table: &Weight) -> Option<&Part> {
        self.parts().find(|part| part.weight.is_stored_as(table))
    }

    /// Weights with their sizes, each use counted once.
    pub(crate) fn weights(&self) -> impl Iterator<Item = &Weight> {
        self.steps
            .iter()
            .flat_map(|s| match &s.op {
                Op::Embed { table, .. } => Some(table),
                _ => None,
            })
            .chain(self.parts().map(|part| &part.weight))
    }

    /// The operators left to tract, by ONNX type, sorted, each once.
    pub(crate) fn foreign_ops(&self) -> Vec<String> {
        let mut all: Vec<String> = self
            .steps
            .iter()
            .filter_map(|s| if let Op::Foreign(f) = &s.op { Some(f.node.op_type.clone()) } else { None })
            .collect();
        all.sort();
        all.dedup();
        all
    }
}
