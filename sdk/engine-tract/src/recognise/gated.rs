//! Gated feed-forward: `activation(gate(x)) * up(x)`.

use super::{Found, Recogniser, Want};
use crate::program::Op;
use crate::prove::Claim;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::GateActivation;

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn gated(&mut self, value: &'g str, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        let (Some(a), Some(b), "Mul") = (node.input(0), node.input(1), node.op_type.as_str()) else { return Ok(None) };
        for (activated, up) in [(a, b), (b, a)] {
            let Some((activation, gate_value)) = self.activation(activated) else { continue };
            let up_value = up;
            let (Some((gate, x)), Some((up, y))) = (self.linear(gate_value)?, self.linear(up_value)?) else { continue };
            if self.source.plain(x) == self.source.plain(y) && gate.weight.n() == up.weight.n() {
                self.claim(value, Claim::Activated { gate: gate_value, up: up_value, activation });
                let width = Some(up.weight.n());
                let op = Op::Gated { gate, up, activation };
                return Ok(Some(Found { op, inputs: vec![Want::Value(x)], width, label: node.label() }));
            }
        }
        Ok(None)
    }

    /// The activation that makes `value`, and the value it reads.
    fn activation(&self, value: &'g str) -> Option<(GateActivation, &'g str)> {
        let source = self.source;
        let node = source.maker(source.plain(value))?;
        let x = node.input(0)?;
        match node.op_type.as_str() {
            "Relu" => Some((GateActivation::Relu, x)),
            "FastGelu" if node.input(1).is_none() => Some((GateActivation::GeluTanh, x)),
            "Gelu" => match node.string("approximate") {
                None | Some("none") => Some((GateActivation::Gelu, x)),
                Some("tanh") => Some((GateActivation::GeluTanh, x)),
                Some(_) => None,
            },
            // The standard's default factor is 1.
            "Swish" if node.float("alpha").unwrap_or(1.0) == 1.0 => Some((GateActivation::Silu, x)),
            "QuickGelu" if node.float("alpha") == Some(1.0) => Some((GateActivation::Silu, x)),
            "Mul" => self.silu(node).or_else(|| self.gelu(node)),
            _ => None,
        }
    }

    /// `x * sigmoid(x)`.
    fn silu(&self, node: &'g Node) -> Option<(GateActivation, &'g str)> {
        let source = self.source;
        let (a, b) = (source.plain(node.input(0)?), source.plain(node.input(1)?));
        [(a, b), (b, a)].into_iter().find_map(|(x, s)| {
            let sigmoid = source.maker_of(s, &["Sigmoid"])?;
            (source.plain(sigmoid.input(0)?) == x).then_some((GateActivation::Silu, x))
        })
    }

    /// `0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))` and `0.5 x (1 + erf(x / sqrt 2))`, with the half at either end.
    fn gelu(&self, node: &'g Node) -> Option<(GateActivation, &'g str)> {
        let source = self.source;
        let half =
            |n: &'g Node| source.with_constant(n, |v| source.scalar(v).filter(|h| *h == 0.5)).map(|(_, x)| source.plain(x));
        // 0.5 * (x * bracket), or (0.5 * x) * bracket.
        let (product, halved) = match half(node) {
            Some(inner) => (source.maker_of(inner, &["Mul"])?, true),
            None => (node, false),
        };
        let (a, b) = (source.plain(product.input(0)?), source.plain(product.input(1)?));
        [(a, b), (b, a)].into_iter().find_map(|(x, bracket)| {
            let x = if halved { x } else { source.maker_of(x, &["Mul"]).and_then(half)? };
            let sum = source.maker_of(bracket, &["Add"])?;
            let (_, curve) = source.with_constant(sum, |v| source.scalar(v).filter(|one| *one == 1.0))?;
            let curve = source.maker_of(source.plain(curve), &["Tanh", "Erf"])?;
            let inside = source.ancestors(source.plain(curve.input(0)?), |n| n.outputs.first().is_some_and(|o| o == x));
            let kind = if curve.op_type == "Tanh" { GateActivation::GeluTanh } else { GateActivation::Gelu };
            inside.contains(&x).then_some((kind, x))
        })
    }
}
