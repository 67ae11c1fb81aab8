//! Rotary embedding as exporters write it out: `x * cos + rotate_half(x) * sin`, whole or on the first part of each head,
//! or as an operator of its own.

use super::Recogniser;
use crate::rotary::{Angles, Rotary};
use crate::source::unsupported;
use crate::weight::Vector;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;

impl<'g> Recogniser<'_, 'g> {
    /// The rotary embedding that makes `value`, and the value it turns.
    pub(super) fn rotated(&self, value: &'g str) -> Result<Option<(Rotary, &'g str)>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value) else { return Ok(None) };
        match node.op_type.as_str() {
            "RotaryEmbedding" => self.rotary_operator(node).map(Some),
            "Add" => Ok(self.written_out(node)),
            "Concat" => Ok(self.partly(node)),
            _ => Ok(None),
        }
    }

    /// `com.microsoft.RotaryEmbedding(x, position_ids, cos, sin)` or the standard's `RotaryEmbedding(x, cos, sin, position_ids)`.
    fn rotary_operator(&self, node: &'g Node) -> Result<(Rotary, &'g str), EngineError> {
        let (cos, sin) = if node.domain == "com.microsoft" { (2, 3) } else { (1, 2) };
        if node.float("scale").is_some_and(|s| s != 1.0) {
            return Err(unsupported(node, "a scale"));
        }
        let x = node.input(0).ok_or_else(|| unsupported(node, "no input"))?;
        Ok((self.tables(node, cos, sin, node.int("interleaved") == Some(1))?, x))
    }

    /// `Add(Mul(x, cos), Mul(Concat(Neg(second half of x), first half of x), sin))`.
    fn written_out(&self, node: &'g Node) -> Option<(Rotary, &'g str)> {
        let source = self.source;
        let product = |i: usize| source.maker_of(source.plain(node.input(i)?), &["Mul"]);
        let (a, b) = (product(0)?, product(1)?);
        [(a, b), (b, a)].into_iter().find_map(|(straight, turned)| {
            let (x, sin) = self.turned(turned)?;
            let (l, r) = (source.plain(straight.input(0)?), source.plain(straight.input(1)?));
            let cos = if l == x { r } else { (r == x).then_some(l)? };
            let angles = self.angles(cos, sin)?;
            Some((Rotary { angles, longer: None, interleaved: false }, x))
        })
    }

    /// `Mul(rotate_half(x), sin)`: x and sin.
    fn turned(&self, node: &'g Node) -> Option<(&'g str, &'g str)> {
        let source = self.source;
        let (a, b) = (source.plain(node.input(0)?), source.plain(node.input(1)?));
        [(a, b), (b, a)].into_iter().find_map(|(halves, sin)| {
            let concat = source.maker_of(halves, &["Concat"])?;
            let neg = source.maker_of(source.plain(concat.input(0)?), &["Neg"])?;
            let second = source.maker_of(source.plain(neg.input(0)?), &["Slice", "Split"])?;
            Some((source.plain(second.input(0)?), sin))
        })
    }

    /// `Concat(rotated first part of each head, rest of it)`.
    fn partly(&self, node: &'g Node) -> Option<(Rotary, &'g str)> {
        let source = self.source;
        let add = source.maker_of(source.plain(node.input(0)?), &["Add"])?;
        let (rotary, part) = self.written_out(add)?;
        let first = source.maker_of(part, &["Slice", "Split"])?;
        let rest = source.maker_of(source.plain(node.input(1)?), &["Slice", "Split"])?;
        let x = source.plain(first.input(0)?);
        (source.plain(rest.input(0)?) == x).then_some((rotary, x))
    }

    /// The angles behind a cosine and a sine value.
    fn angles(&self, cos: &'g str, sin: &'g str) -> Option<Angles> {
        let (cos, cos_scale) = self.unscaled(cos)?;
        let (sin, sin_scale) = self.unscaled(sin)?;
        let (c, s) = (self.source.maker(cos)?, self.source.maker(sin)?);
        match (c.op_type.as_str(), s.op_type.as_str()) {
            ("Cos", "Sin") if c.input(0) == s.input(0) && cos_scale == sin_scale => {
                Some(Angles::Frequencies { inverse: self.inverse_frequencies(c.input(0)?)?, scale: cos_scale })
            }
            ("Gather" | "Slice", "Gather" | "Slice") if cos_scale == 1.0 && sin_scale == 1.0 => {
                let (cos, sin) = (self.table_under(c)?, self.table_under(s)?);
                let stride = cos.1;
                Some(Angles::Tables { half: stride / 2, cos: cos.0, sin: sin.0, stride })
            }
            _ => None,
        }
    }

    /// A value without the constant factor and the movements after it.
    fn unscaled(&self, value: &'g str) -> Option<(&'g str, f32)> {
        let source = self.source;
        let value = source.moved(value);
        match source.maker_of(value, &["Mul"]).and_then(|n| source.with_constant(n, |v| source.scalar(v))) {
            Some((scale, inner)) => Some((source.moved(inner), scale)),
            None => Some((value, 1.0)),
        }
    }

    /// The constant of `Concat(positions x frequencies, the same)`.
    fn inverse_frequencies(&self, value: &'g str) -> Option<Vec<f32>> {
        let source = self.source;
        let mut value = source.moved(value);
        if let Some(concat) = source.maker_of(value, &["Concat"]) {
            value = source.moved(concat.input(0)?);
        }
        let product = source.maker_of(value, &["MatMul", "Mul", "Einsum"])?;
        let constant = |i: usize| product.input(i).and_then(|v| source.floats(source.moved(v)));
        constant(0).or_else(|| constant(1)).filter(|f| f.len() > 1)
    }

    /// The table `[positions, width]` that rows are taken from.
    fn table_under(&self, node: &'g Node) -> Option<(Vector, usize)> {
        let source = self.source;
        let mut node = node;
        for _ in 0..4 {
            let under = node.input(0)?;
            if let Some(tensor) = source.constant(under) {
                return Some((Vector::of(tensor).ok()?, *tensor.dims.last()?));
            }
            node = source.maker_of(source.moved(under), &["Gather", "Slice"])?;
        }
        None
    }
}
