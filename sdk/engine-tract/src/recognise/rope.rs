//! Rotary embedding as exporters write it out: `x * cos + turned(x) * sin`, where `turned` swaps halves or neighbours, whole
//! or on the first part of each head; or as an operator of its own.

use super::Recogniser;
use crate::rotary::{Angles, Longer, Rotary};
use crate::source::unsupported;
use crate::weight::Vector;
use kinglet_bundle::onnx::{Node, Tensor};
use kinglet_engine::EngineError;

/// Most operators in a row that only move or repeat the elements of a table.
const MOST_SPREADS: usize = 32;

/// A rotary embedding that was found, and the values of the graph that it rests on.
#[derive(Clone, Debug)]
pub(crate) struct Turned<'g> {
    pub(crate) rotary: Rotary,
    /// The values of cosines and sines: tables, or what is computed.
    pub(crate) cos: &'g str,
    pub(crate) sin: &'g str,
    /// Where rows of tables are taken from: the value that says which, if there is one.
    pub(crate) rows: Option<&'g str>,
    /// Where cosines and sines are computed for the step's rows: the value that takes them one after the other, if there is one.
    pub(crate) order: Option<&'g str>,
    /// The condition by which a graph chooses the tables of longer contexts.
    pub(crate) longer: Option<&'g str>,
}

impl<'g> Recogniser<'_, 'g> {
    /// The rotary embedding that makes `value`, and the value it turns.
    pub(super) fn rotated(&self, value: &'g str) -> Result<Option<(Turned<'g>, &'g str)>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value) else { return Ok(None) };
        match node.op_type.as_str() {
            "RotaryEmbedding" => self.rotary_operator(node).map(Some),
            "Add" => Ok(self.written_out(node)),
            "Concat" => self.partly(node),
            _ => Ok(None),
        }
    }

    /// `com.microsoft.RotaryEmbedding(x, position_ids, cos, sin)` or the standard's `RotaryEmbedding(x, cos, sin, position_ids)`,
    /// whose cosines and sines are those of the rows themselves where there are no positions.
    fn rotary_operator(&self, node: &'g Node) -> Result<(Turned<'g>, &'g str), EngineError> {
        let (cos, sin, rows) = if node.domain == "com.microsoft" { (2, 3, 1) } else { (1, 2, 3) };
        if node.float("scale").is_some_and(|s| s != 1.0) {
            return Err(unsupported(node, "a scale"));
        }
        let x = node.input(0).ok_or_else(|| unsupported(node, "no input"))?;
        let interleaved = node.int("interleaved") == Some(1);
        let angles = node.input(cos).zip(node.input(sin)).and_then(|(cos, sin)| self.angles(cos, sin));
        match (angles, node.input(rows)) {
            (Some(angles), order) => Ok((Turned { order, ..angles.turned(interleaved) }, x)),
            (None, Some(rows)) => Ok((Turned { rows: Some(rows), ..self.tables(node, cos, sin, interleaved)? }, x)),
            (None, None) => Err(unsupported(node, "its cosines and sines are not those of positions")),
        }
    }

    /// `Add(Mul(x, cos), Mul(turned x, sin))`.
    fn written_out(&self, node: &'g Node) -> Option<(Turned<'g>, &'g str)> {
        let source = self.source;
        let product = |i: usize| source.maker_of(source.plain(node.input(i)?), &["Mul"]);
        let (a, b) = (product(0)?, product(1)?);
        [(a, b), (b, a)].into_iter().find_map(|(straight, turned)| {
            let (x, sin, interleaved) = self.turned(turned)?;
            let (l, r) = (source.plain(straight.input(0)?), source.plain(straight.input(1)?));
            let cos = if l == x { r } else { (r == x).then_some(l)? };
            Some((self.angles(cos, sin)?.turned(interleaved), x))
        })
    }

    /// `Mul(turned x, sin)`: x, sin, and whether neighbours rather than halves are swapped. Parts of x with one sign changed
    /// are put together; how exactly is for the proof to find.
    fn turned(&self, node: &'g Node) -> Option<(&'g str, &'g str, bool)> {
        let source = self.source;
        let (a, b) = (source.plain(node.input(0)?), source.plain(node.input(1)?));
        [(a, b), (b, a)].into_iter().find_map(|(swapped, sin)| {
            let concat = source.maker_of(source.moved(swapped), &["Concat"])?;
            let neg = source.maker_of(source.moved(concat.input(0)?), &["Neg"])?;
            let part = source.maker_of(source.moved(neg.input(0)?), &["Slice", "Split", "Gather"])?;
            let interleaved = part.op_type == "Gather" || part.input(4).and_then(|v| source.ints(v)).is_some_and(|s| s == [2]);
            let x = source.plain(part.input(0)?);
            // Neighbours may have been given an axis of their own.
            let x = if part.op_type == "Gather" { source.moved(x) } else { x };
            Some((x, sin, interleaved))
        })
    }

    /// `Concat(rotated first part of each head, rest of it)`.
    fn partly(&self, node: &'g Node) -> Result<Option<(Turned<'g>, &'g str)>, EngineError> {
        let source = self.source;
        let (Some(first), Some(rest)) = (node.input(0), node.input(1)) else { return Ok(None) };
        let first = source.plain(first);
        let Some(maker) = source.maker_of(first, &["Add", "RotaryEmbedding"]) else { return Ok(None) };
        let turned = match maker.op_type.as_str() {
            "Add" => self.written_out(maker),
            _ => Some(self.rotary_operator(maker)?),
        };
        let Some((turned, part)) = turned else { return Ok(None) };
        let whole = |part: &'g str| source.maker_of(source.plain(part), &["Slice", "Split"])?.input(0).map(|x| source.plain(x));
        Ok(whole(part).filter(|x| whole(rest) == Some(x)).map(|x| (turned, x)))
    }

    /// The angles behind a cosine and a sine value.
    fn angles(&self, cos: &'g str, sin: &'g str) -> Option<FoundAngles<'g>> {
        let (under_cos, cos_scale) = self.unscaled(cos)?;
        let (under_sin, sin_scale) = self.unscaled(sin)?;
        let (c, s) = (self.source.maker(under_cos)?, self.source.maker(under_sin)?);
        match (c.op_type.as_str(), s.op_type.as_str()) {
            ("Cos", "Sin") if c.input(0) == s.input(0) && cos_scale == sin_scale => {
                let inverse = self.inverse_frequencies(c.input(0)?)?;
                Some(FoundAngles { angles: Angles::Frequencies { inverse, scale: cos_scale }, cos, sin, rows: None })
            }
            ("Gather" | "Slice", "Gather" | "Slice") if cos_scale == 1.0 && sin_scale == 1.0 => {
                let ((cos, cos_rows), (sin, sin_rows)) = (self.table_under(c)?, self.table_under(s)?);
                let (cos_table, sin_table) = (self.source.constant(cos)?, self.source.constant(sin)?);
                let stride = *cos_table.dims.last()?;
                let halves = |t: &Tensor| Vector::of(t).ok().filter(|v| cos_table.dims == t.dims && repeats_halves(v, stride));
                let angles = Angles::Tables { half: stride / 2, cos: halves(cos_table)?, sin: halves(sin_table)?, stride };
                (cos_rows == sin_rows).then_some(FoundAngles { angles, cos, sin, rows: cos_rows })
            }
            _ => None,
        }
    }

    /// A value without the constant factor and what spreads it over heads and columns after it.
    fn unscaled(&self, value: &'g str) -> Option<(&'g str, f32)> {
        let source = self.source;
        let value = self.unspread(value);
        match source.maker_of(value, &["Mul"]).and_then(|n| source.with_constant(n, |v| source.scalar(v))) {
            Some((scale, inner)) => Some((self.unspread(inner), scale)),
            None => Some((value, 1.0)),
        }
    }

    /// The value whose elements are moved, repeated or in part put together to `value`, but for a constant table's.
    fn unspread(&self, value: &'g str) -> &'g str {
        let mut value = self.source.moved(value);
        for _ in 0..MOST_SPREADS {
            let spread = self.source.maker_of(value, &["Slice", "Concat", "GatherND", "Tile"]);
            match spread.and_then(|n| n.input(0)).filter(|input| self.source.constant(input).is_none()) {
                Some(input) => value = self.source.moved(input),
                None => break,
            }
        }
        value
    }

    /// The constant of `Concat(positions x frequencies, the same)`.
    fn inverse_frequencies(&self, value: &'g str) -> Option<Vec<f32>> {
        let source = self.source;
        let value = self.unspread(value);
        let product = source.maker_of(value, &["MatMul", "Mul", "Einsum"])?;
        let constant = |i: usize| product.input(i).and_then(|v| source.floats(self.unspread(v)));
        constant(0).or_else(|| constant(1)).filter(|f| !f.is_empty())
    }

    /// The table `[.., positions, width]` that rows are taken from, and the value that says which.
    fn table_under(&self, node: &'g Node) -> Option<(&'g str, Option<&'g str>)> {
        let source = self.source;
        let (mut node, mut rows) = (node, None);
        for _ in 0..4 {
            if node.op_type == "Gather" {
                rows = node.input(1);
            }
            let under = node.input(0)?;
            if source.constant(under).is_some() {
                return Some((source.plain(under), rows));
            }
            node = source.maker_of(source.moved(under), &["Gather", "Slice"])?;
        }
        None
    }

    /// Cosine and sine tables, `[positions, half]` each, at two inputs of a node, which says itself which rows it takes.
    pub(super) fn tables(&self, node: &'g Node, cos: usize, sin: usize, interleaved: bool) -> Result<Turned<'g>, EngineError> {
        let (Some(cos), Some(sin)) = (node.input(cos), node.input(sin)) else {
            return Err(unsupported(node, "it has no cosine and sine tables"));
        };
        let (source, rows) = (self.source, None);
        if let (Some(c), Some(s)) = (source.constant(cos), source.constant(sin)) {
            let rotary = Rotary { angles: angles_of(node, c, s)?, longer: None, interleaved };
            return Ok(Turned { rotary, cos: source.plain(cos), sin: source.plain(sin), rows, order: None, longer: None });
        }
        match (source.switched(cos), source.switched(sin)) {
            (Some(c), Some(s)) if c.limit == s.limit && c.condition == s.condition => {
                let angles = angles_of(node, c.below, s.below)?;
                let longer = Longer { after: c.limit, angles: angles_of(node, c.above, s.above)? };
                if angles.half() != longer.angles.half() {
                    return Err(unsupported(node, "its cosine and sine tables differ in width"));
                }
                let rotary = Rotary { angles, longer: Some(longer), interleaved };
                Ok(Turned {
                    rotary,
                    cos: source.plain(cos),
                    sin: source.plain(sin),
                    rows,
                    order: None,
                    longer: Some(c.condition),
                })
            }
            _ => Err(unsupported(node, "its cosine and sine tables are not constant matrices")),
        }
    }
}

/// Angles, and the values that they were found behind.
struct FoundAngles<'g> {
    angles: Angles,
    cos: &'g str,
    sin: &'g str,
    rows: Option<&'g str>,
}

impl<'g> FoundAngles<'g> {
    fn turned(self, interleaved: bool) -> Turned<'g> {
        let Self { angles, cos, sin, rows } = self;
        Turned { rotary: Rotary { angles, longer: None, interleaved }, cos, sin, rows, order: None, longer: None }
    }
}

/// Whether each row of a table holds its first half again.
fn repeats_halves(table: &Vector, stride: usize) -> bool {
    stride > 0
        && stride.is_multiple_of(2)
        && table.floats().chunks_exact(stride).all(|row| row[..stride / 2] == row[stride / 2..])
}

fn angles_of(node: &Node, cos: &Tensor, sin: &Tensor) -> Result<Angles, EngineError> {
    match (&cos.dims[..], &sin.dims[..]) {
        ([_, half], other) if cos.dims == *other => {
            let half = *half;
            Ok(Angles::Tables { cos: Vector::of(cos)?, sin: Vector::of(sin)?, half, stride: half })
        }
        _ => Err(unsupported(node, "its cosine and sine tables are not matrices of one shape")),
    }
}
