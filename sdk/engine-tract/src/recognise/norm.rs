//! RMS norms, whole or taken apart, alone or fused with the addition before them; and plain additions.

use super::{Found, Recogniser, Want};
use crate::program::{Norm, Op};
use crate::source::unsupported;
use crate::weight::Vector;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn norm_or_sum(&self, value: &'g str, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        let label = node.label();
        if is_add_norm(node) {
            return self.add_norm(value, node).map(Some);
        }
        if let Some((norm, x)) = self.rms_norm(value)? {
            let width = Some(norm.weight.len());
            return Ok(Some(Found { op: Op::Norm(norm), inputs: vec![Want::Value(x)], width, label }));
        }
        match (node.op_type.as_str(), node.input(0), node.input(1)) {
            ("Add", Some(a), Some(b)) if self.source.floats(a).is_none() && self.source.floats(b).is_none() => {
                Ok(Some(Found { op: Op::Add, inputs: vec![Want::Value(a), Want::Value(b)], width: None, label }))
            }
            _ => Ok(None),
        }
    }

    /// An RMS norm that makes `value`, and the value it reads.
    pub(super) fn rms_norm(&self, value: &'g str) -> Result<Option<(Norm, &'g str)>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value) else { return Ok(None) };
        match node.op_type.as_str() {
            "SimplifiedLayerNormalization" | "RMSNormalization" => {
                let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { return Ok(None) };
                let weight = self.norm_weight(w).ok_or_else(|| unsupported(node, "its weight is not a constant"))?;
                if !matches!(node.int("axis"), None | Some(-1)) {
                    return Err(unsupported(node, "only the last axis is supported"));
                }
                Ok(Some((Norm { weight, eps: node.float("epsilon").unwrap_or(1e-5) }, x)))
            }
            "Mul" => Ok(self.taken_apart(node)),
            _ => Ok(None),
        }
    }

    fn norm_weight(&self, value: &str) -> Option<Vector> {
        match self.source.constant(value) {
            Some(tensor) => Vector::copied(tensor).ok(),
            None => self.source.floats(value).map(Vector::owned),
        }
    }

    /// `weight * (x / sqrt(mean(x^2) + eps))` in any of the ways it is written.
    fn taken_apart(&self, node: &'g Node) -> Option<(Norm, &'g str)> {
        let source = self.source;
        let (weight, scaled) = source.with_constant(node, |v| self.norm_weight(v).filter(|w| w.len() > 1))?;
        let scaled = source.maker(source.plain(scaled))?;
        let (a, b) = (source.plain(scaled.input(0)?), source.plain(scaled.input(1)?));
        let (x, root) = match scaled.op_type.as_str() {
            "Div" => (a, source.maker_of(b, &["Sqrt"])?),
            "Mul" => self.reciprocal_root(b).map(|r| (a, r)).or_else(|| self.reciprocal_root(a).map(|r| (b, r)))?,
            _ => return None,
        };
        let sum = source.maker_of(source.plain(root.input(0)?), &["Add"])?;
        let (eps, mean) = source.with_constant(sum, |v| source.scalar(v))?;
        let mean = source.maker_of(source.plain(mean), &["ReduceMean"])?;
        let square = source.maker_of(source.plain(mean.input(0)?), &["Pow", "Mul"])?;
        (source.plain(square.input(0)?) == x).then_some((Norm { weight, eps }, x))
    }

    /// The `Sqrt` under `1 / sqrt(..)`.
    fn reciprocal_root(&self, value: &'g str) -> Option<&'g Node> {
        let node = self.source.maker_of(value, &["Div", "Reciprocal", "Pow"])?;
        match node.op_type.as_str() {
            "Div" if self.source.scalar(node.input(0)?) == Some(1.0) => {
                self.source.maker_of(self.source.plain(node.input(1)?), &["Sqrt"])
            }
            "Reciprocal" => self.source.maker_of(self.source.plain(node.input(0)?), &["Sqrt"]),
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
        if node.input(3).is_some() {
            return Err(unsupported(node, "a bias"));
        }
        let weight =
            node.input(2).and_then(|w| self.norm_weight(w)).ok_or_else(|| unsupported(node, "its weight is not a constant"))?;
        // Where the sum has a name, all its readers share that value.
        let sum = node.outputs.get(3).filter(|s| !s.is_empty()).map_or(Want::SumIn(first), |s| Want::Value(s));
        let width = Some(weight.len());
        let norm = Norm { weight, eps: node.float("epsilon").unwrap_or(1e-5) };
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

fn is_add_norm(node: &Node) -> bool {
    node.op_type == "SkipSimplifiedLayerNormalization"
}
