//! Rotary embedding: pairs of elements turned by the angles of their position.

use crate::call::{Call, Outputs};
use crate::heads::Heads;
use crate::value::Value;
use crate::{Data, ReferenceError};

/// Tables of cosines and sines, a row for each position or for each row of a batch, and how a head is turned by them.
pub(crate) struct Rotation<'a> {
    cos: &'a [f32],
    sin: &'a [f32],
    rows: usize,
    /// Pairs that are turned: half of the elements.
    half: usize,
    /// Whether the elements of a pair are neighbours, instead of half of the rotated elements apart.
    interleaved: bool,
}

impl<'a> Rotation<'a> {
    /// From two tables whose last axis is `half`, and all others positions.
    pub(crate) fn new(call: &Call, cos: &'a Value, sin: &'a Value, interleaved: bool) -> Result<Self, ReferenceError> {
        let half = cos.dims.last().copied().unwrap_or(0);
        let fits = cos.dims == sin.dims && cos.rank() >= 2;
        call.expect(fits, || format!("tables of {:?} and {:?} are no pair", cos.dims, sin.dims))?;
        let (cos, sin) = (call.as_floats(cos)?, call.as_floats(sin)?);
        Ok(Self { cos, sin, rows: cos.len().checked_div(half).unwrap_or(0), half, interleaved })
    }

    /// The elements of a head that are turned.
    pub(crate) fn width(&self) -> usize {
        self.half.saturating_mul(2)
    }

    /// Turns the vector of each (batch, position) by the row of the tables that `row` names; the elements behind
    /// [`Rotation::width`] stay.
    pub(crate) fn turn(
        &self,
        call: &Call,
        x: &mut Heads,
        row: impl Fn(usize, usize) -> Option<usize>,
    ) -> Result<(), ReferenceError> {
        call.expect(self.width() <= x.size, || format!("tables of {} pairs do not fit heads of {}", self.half, x.size))?;
        call.work(&[x.values.len(), 2])?;
        for (batch, head, position) in x.places() {
            let row = row(batch, position).filter(|row| *row < self.rows);
            let row = row.ok_or_else(|| call.refuse(format!("a position is outside of {} rows of the tables", self.rows)))?;
            let angles = row * self.half..(row + 1) * self.half;
            let vector = x.at_mut(batch, head, position);
            for (pair, (cos, sin)) in self.cos[angles.clone()].iter().zip(&self.sin[angles]).enumerate() {
                let (a, b) = if self.interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + self.half) };
                let (cos, sin, x, y) = (f64::from(*cos), f64::from(*sin), f64::from(vector[a]), f64::from(vector[b]));
                vector[a] = (x * cos - y * sin) as f32;
                vector[b] = (x * sin + y * cos) as f32;
            }
        }
        Ok(())
    }
}

/// ONNX's operator: tables by position with `position_ids`, else a row for each row of the batch.
pub(crate) fn rotary(call: &Call) -> Outputs {
    let (x, cos, sin) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let heads = match (x.rank(), call.int("num_heads")?) {
        (4, _) => x.dims[1],
        (_, Some(heads)) => usize::try_from(heads).map_err(|_| call.refuse("`num_heads` is negative"))?,
        (_, None) => return Err(call.refuse("`num_heads` is absent")),
    };
    let mut turned = Heads::of(call, x, heads)?;
    let rotation = Rotation::new(call, cos, sin, call.flag("interleaved", false)?)?;
    let wanted = match call.int("rotary_embedding_dim")?.unwrap_or(0) {
        0 => turned.size,
        width => usize::try_from(width).map_err(|_| call.refuse("`rotary_embedding_dim` is negative"))?,
    };
    call.expect(rotation.width() == wanted / 2 * 2, || format!("tables of {} pairs do not turn {wanted}", rotation.half))?;
    let positions = (turned.batch, turned.length);
    match call.optional(3) {
        Some(ids) => {
            let ids = position_ids(call, ids, positions)?;
            call.expect(cos.rank() == 2, || format!("tables of {:?} are not by position", cos.dims))?;
            rotation.turn(call, &mut turned, |batch, at| usize::try_from(ids[batch * positions.1 + at]).ok())?;
        }
        None => {
            let fits =
                matches!(cos.dims[..], [batch, length, _] if (batch, length) == positions || (batch, length) == (1, positions.1));
            call.expect(fits, || format!("tables of {:?} do not fit {positions:?}", cos.dims))?;
            let apart = if cos.dims[0] == 1 { 0 } else { positions.1 };
            rotation.turn(call, &mut turned, |batch, at| Some(batch * apart + at))?;
        }
    }
    back(call, x, turned)
}

/// `[batch, length]` positions.
pub(crate) fn position_ids<'v>(
    call: &Call,
    ids: &'v Value,
    (batch, length): (usize, usize),
) -> Result<&'v [i64], ReferenceError> {
    call.expect(ids.dims == [batch, length], || format!("positions of {:?} do not fit [{batch}, {length}]", ids.dims))?;
    call.as_ints(ids)
}

/// ONNX Runtime's operator: positions of `[batch, length]`, or the first one alone.
pub(crate) fn rotary_microsoft(call: &Call) -> Outputs {
    call.only("is_packed_batching", 0)?;
    let scale = call.float("scale")?.unwrap_or(1.0);
    if scale != 1.0 {
        return Err(call.unsupported(format!("`scale` is {scale}; only 1 is known")));
    }
    let (x, ids) = (call.input(0)?, call.input(1)?);
    let rotation = Rotation::new(call, call.input(2)?, call.input(3)?, call.flag("interleaved", false)?)?;
    let width = call.int("rotary_embedding_dim")?.unwrap_or(0);
    let heads = match (x.rank(), call.int("num_heads")?.unwrap_or(0)) {
        (4, _) => x.dims[1],
        (3, 0) if width == 0 => x.dims[2].checked_div(rotation.width()).unwrap_or(0),
        (_, heads) => usize::try_from(heads).map_err(|_| call.refuse("`num_heads` is negative"))?,
    };
    let mut turned = Heads::of(call, x, heads)?;
    let fits = match width {
        0 => rotation.width() == turned.size,
        width => usize::try_from(width) == Ok(rotation.width()),
    };
    call.expect(fits, || format!("tables of {} pairs do not fit heads of {}", rotation.half, turned.size))?;
    let (length, values) = (turned.length, call.as_ints(ids)?);
    if let ([first], true) = (values, ids.rank() < 2) {
        rotation.turn(call, &mut turned, |_, at| usize::try_from(first.saturating_add(at as i64)).ok())?;
    } else {
        let ids = position_ids(call, ids, (turned.batch, length))?;
        rotation.turn(call, &mut turned, |batch, at| usize::try_from(ids[batch * length + at]).ok())?;
    }
    back(call, x, turned)
}

/// In the shape of `x`.
fn back(call: &Call, x: &Value, turned: Heads) -> Outputs {
    let value = if x.rank() == 4 { turned.apart(x) } else { turned.joined(call, x)? };
    call.expect(matches!(value.data, Data::Float(_)) && value.dims == x.dims, || "the shape is lost".into())?;
    Ok(vec![value])
}
