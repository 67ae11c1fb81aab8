//! RMS norms, whole or taken apart, alone or fused with the addition before them; rows whose mean is taken off before such a
//! norm, as Cohere's are; and plain additions.

use super::{Found, Recogniser, Want};
use crate::program::{Norm, Op};
use crate::prove::{Claim, NormClaim};
use crate::source::unsupported;
use crate::weight::Vector;
use kinglet_bundle::onnx::{Node, Tensor};
use kinglet_engine::EngineError;

/// An RMS norm that was found, and the values of the graph that it rests on.
#[derive(Debug)]
pub(super) struct FoundNorm<'g> {
    pub(super) norm: Norm,
    /// The value that it reads.
    pub(super) input: &'g str,
    /// The value of its weight.
    pub(super) weight: &'g str,
    /// Whether it is one operator over the last axis, so that there is nothing to prove.
    whole: bool,
}

impl<'g> FoundNorm<'g> {
    pub(super) fn claim(&self) -> NormClaim<'g> {
        NormClaim { weight: self.weight, eps: self.norm.eps }
    }
}

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn norm_or_sum(&mut self, value: &'g str, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        let label = node.label();
        if is_add_norm(node) {
            return self.add_norm(value, node).map(Some);
        }
        if let Some(found) = self.rms_norm(value)? {
            if !found.whole {
                self.claim(value, Claim::Norm { input: found.input, norm: found.claim() });
            }
            let width = Some(found.norm.weight.len());
            return Ok(Some(Found { op: Op::Norm(found.norm), inputs: vec![Want::Value(found.input)], width, label }));
        }
        match (node.op_type.as_str(), node.input(0), node.input(1)) {
            ("Sub", Some(x), Some(mean)) if self.is_mean(mean, x) => {
                self.claim(value, Claim::Centred { input: x });
                Ok(Some(Found { op: Op::Centre, inputs: vec![Want::Value(x)], width: None, label }))
            }
            ("Add", Some(a), Some(b)) if self.source.floats(a).is_none() && self.source.floats(b).is_none() => {
                Ok(Some(Found { op: Op::Add, inputs: vec![Want::Value(a), Want::Value(b)], width: None, label }))
            }
            _ => Ok(None),
        }
    }

    /// Whether a value is a mean of `x`, over which axis is for the proof to find.
    fn is_mean(&self, value: &str, x: &str) -> bool {
        let mean = self.source.maker_of(self.source.plain(value), &["ReduceMean"]).and_then(|n| n.input(0));
        mean.is_some_and(|of| self.source.plain(of) == self.source.plain(x))
    }

    /// An RMS norm that makes `value`.
    pub(super) fn rms_norm(&self, value: &'g str) -> Result<Option<FoundNorm<'g>>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value) else { return Ok(None) };
        match node.op_type.as_str() {
            "SimplifiedLayerNormalization" | "RMSNormalization" => self.whole_norm(value, node).map(Some),
            "Mul" => Ok(self.taken_apart(node)),
            _ => Ok(None),
        }
    }

    fn whole_norm(&self, value: &str, node: &'g Node) -> Result<FoundNorm<'g>, EngineError> {
        if node.outputs.first().is_none_or(|o| o != value) {
            return Err(unsupported(node, format!("its output `{value}` is used")));
        }
        let (Some(input), Some(weight)) = (node.input(0), node.input(1)) else {
            return Err(unsupported(node, "it has no input or no weight"));
        };
        if node.input(2).is_some() {
            return Err(unsupported(node, "a bias"));
        }
        let vector = self.norm_weight(weight).ok_or_else(|| unsupported(node, "its weight is not a constant"))?;
        let constant = self.source.constant(weight);
        if constant.is_some_and(|weight| !is_row(weight)) {
            return Err(unsupported(node, format!("`{weight}`, its weight, is no row")));
        }
        let norm = Norm { weight: vector, eps: node.float("epsilon").unwrap_or(1e-5) };
        // An axis counted from the front is the last one or not, and so is a computed weight a row or not: for the proof to find.
        let whole = matches!(node.int("axis"), None | Some(-1)) && constant.is_some();
        Ok(FoundNorm { norm, input, weight, whole })
    }

    /// A norm that an operator has of itself, over each head of what it reads.
    pub(super) fn operator_norm(&self, node: &'g Node, weight: &'g str, eps: f32) -> Option<FoundNorm<'g>> {
        let norm = Norm { weight: self.weight_row(weight)?, eps };
        Some(FoundNorm { norm, input: node.input(0)?, weight, whole: true })
    }

    /// A weight that is a constant row.
    fn weight_row(&self, value: &str) -> Option<Vector> {
        self.source.constant(value).filter(|weight| is_row(weight)).and_then(|weight| Vector::copied(weight).ok())
    }

    /// A weight in any shape, which is for the proof to find.
    fn norm_weight(&self, value: &str) -> Option<Vector> {
        match self.source.constant(value) {
            Some(tensor) => Vector::copied(tensor).ok(),
            None => self.source.floats(value).map(Vector::owned),
        }
    }

    /// `weight * (x / sqrt(mean(x^2) + eps))` in any of the ways it is written. What the nodes between compute besides is
    /// for the proof to find.
    fn taken_apart(&self, node: &'g Node) -> Option<FoundNorm<'g>> {
        let source = self.source;
        let (a, b) = (node.input(0)?, node.input(1)?);
        let (vector, weight, scaled) = [(b, a), (a, b)].into_iter().find_map(|(weight, scaled)| {
            let vector = self.norm_weight(weight).filter(|w| w.len() > 1)?;
            Some((vector, weight, scaled))
        })?;
        let scaled = source.maker(source.plain(scaled))?;
        let (a, b) = (source.plain(scaled.input(0)?), source.plain(scaled.input(1)?));
        let (input, root) = match scaled.op_type.as_str() {
            "Div" => (a, source.maker_of(b, &["Sqrt"])?),
            "Mul" => self.reciprocal_root(b).map(|r| (a, r)).or_else(|| self.reciprocal_root(a).map(|r| (b, r)))?,
            _ => return None,
        };
        let under = source.plain(root.input(0)?);
        // An epsilon that is small enough is optimised away.
        let (eps, mean) = match source.maker_of(under, &["Add"]) {
            Some(sum) => source.with_constant(sum, |v| source.scalar(v))?,
            None => (0.0, under),
        };
        let mean = source.maker_of(source.plain(mean), &["ReduceMean"])?;
        let square = source.maker_of(source.plain(mean.input(0)?), &["Pow", "Mul"])?;
        let found = FoundNorm { norm: Norm { weight: vector, eps }, input, weight, whole: false };
        let is_of_input = |place: usize| Some(source.plain(square.input(place)?) == input);
        let squares = is_of_input(0)? && (square.op_type == "Pow" || is_of_input(1)?);
        squares.then_some(found)
    }

    /// The node whose first input is under the root of `1 / sqrt(..)`.
    fn reciprocal_root(&self, value: &'g str) -> Option<&'g Node> {
        let node = self.source.maker_of(value, &["Div", "Reciprocal", "Pow"])?;
        match node.op_type.as_str() {
            "Div" if self.source.scalar(node.input(0)?) == Some(1.0) => {
                self.source.maker_of(self.source.plain(node.input(1)?), &["Sqrt"])
            }
            "Reciprocal" => self.source.maker_of(self.source.plain(node.input(0)?), &["Sqrt"]),
            "Pow" if self.source.scalar(node.input(1)?) == Some(-0.5) => Some(node),
            _ => None,
        }
    }

    /// `SkipSimplifiedLayerNormalization(x, skip, weight)`: output 0 is the norm of the sum, output 3 the sum.
    fn add_norm(&self, value: &'g str, node: &'g Node) -> Result<Found<'g>, EngineError> {
        let first = node.outputs.first().map_or("", String::as_str);
        if node.outputs.get(3).is_some_and(|sum| sum == value) {
            return self.sum_in(first);
        }
        if value != first {
            return Err(unsupported(node, format!("its output `{value}` is used")));
        }
        if node.inputs.iter().skip(3).any(|i| !i.is_empty()) {
            return Err(unsupported(node, "a bias"));
        }
        let weight = node
            .input(2)
            .and_then(|w| self.weight_row(w))
            .ok_or_else(|| unsupported(node, "its weight is not a constant row"))?;
        // Where the sum has a name, all its readers share that value.
        let sum = node.outputs.get(3).filter(|s| !s.is_empty()).map_or(Want::SumIn(first), |s| Want::Value(s));
        let width = Some(weight.len());
        let norm = Norm { weight, eps: node.float("epsilon").unwrap_or(SKIP_EPSILON) };
        Ok(Found { op: Op::Norm(norm), inputs: vec![sum], width, label: node.label() })
    }

    /// The addition inside an add-and-norm node, named by the node's first output.
    pub(super) fn sum_in(&self, output: &'g str) -> Result<Found<'g>, EngineError> {
        match self.source.maker(output).map(|n| (n.label(), n.input(0), n.input(1))) {
            Some((label, Some(a), Some(b))) => {
                Ok(Found { op: Op::Add, inputs: vec![Want::Value(a), Want::Value(b)], width: None, label })
            }
            _ => Err(EngineError::UnsupportedGraph(format!("`{output}` is no sum"))),
        }
    }
}

/// Where `SkipSimplifiedLayerNormalization` names no epsilon, as ONNX Runtime's documentation has it.
const SKIP_EPSILON: f32 = 1e-12;

/// Whether all elements lie along the last axis.
fn is_row(tensor: &Tensor) -> bool {
    tensor.dims.last() == Some(&tensor.elements())
}

fn is_add_norm(node: &Node) -> bool {
    node.op_type == "SkipSimplifiedLayerNormalization"
}
