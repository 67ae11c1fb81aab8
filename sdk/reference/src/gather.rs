//! Elements taken from, or put into, the places that indices name.

use crate::call::{Call, Outputs};
use crate::index::{Lanes, Walk, product, strides};
use crate::value::Value;
use crate::{Data, ReferenceError};

/// An index into `length` places, counted from behind where it is negative.
fn place(call: &Call, index: i64, length: usize) -> Result<usize, ReferenceError> {
    let from = if index < 0 { index.saturating_add(length as i64) } else { index };
    let inside = usize::try_from(from).ok().filter(|from| *from < length);
    inside.ok_or_else(|| call.refuse(format!("the index {index} is outside of {length} places")))
}

/// Slices along an axis, by their indices.
pub(crate) fn gather(call: &Call) -> Outputs {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.rank())?;
    let dims = [&x.dims[..axis], &indices.dims, &x.dims[axis + 1..]].concat();
    let count = call.room(&dims)?;
    let wanted = call.ints(1)?.iter().map(|index| place(call, *index, x.dims[axis])).collect::<Result<Vec<_>, _>>()?;
    let lanes = Lanes::along(&x.dims, axis);
    let mut data = x.data.none(count);
    for block in 0..if count == 0 { 0 } else { lanes.outer } {
        for at in &wanted {
            let start = (block * lanes.length + at) * lanes.inner;
            data.append(&x.data, start..start + lanes.inner);
        }
    }
    Ok(vec![x.like(dims, data)])
}

/// For each element of the indices, its offset in `x` when it replaces the index along `axis`.
fn element_offsets(call: &Call, x: &Value, axis: usize) -> Result<Vec<usize>, ReferenceError> {
    let indices = call.input(1)?;
    let fits = indices.rank() == x.rank() && (0..x.rank()).all(|at| at == axis || indices.dims[at] <= x.dims[at]);
    call.expect(fits, || format!("indices of {:?} do not fit {:?}", indices.dims, x.dims))?;
    let stride = strides(&x.dims);
    let mut others = stride.clone();
    others[axis] = 0;
    let wanted = call.ints(1)?;
    Walk::new(&indices.dims, wanted.len(), [&others])
        .zip(wanted)
        .map(|([base], index)| Ok(base + place(call, *index, x.dims[axis])? * stride[axis] as usize))
        .collect()
}

/// An element for each index, along an axis.
pub(crate) fn gather_elements(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.rank())?;
    let count = call.room(&call.input(1)?.dims)?;
    let offsets = element_offsets(call, x, axis)?;
    Ok(vec![x.like(call.input(1)?.dims.clone(), x.data.pick(offsets.into_iter(), count))])
}

/// Elements put along an axis where the indices say.
pub(crate) fn scatter_elements(call: &Call) -> Outputs {
    let (x, indices, updates) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.rank())?;
    call.expect(updates.dims == indices.dims, || format!("{:?} are put at {:?}", updates.dims, indices.dims))?;
    let offsets = element_offsets(call, x, axis)?;
    scattered(call, x, updates, offsets.into_iter().enumerate().map(|(from, to)| (to, from)))
}

/// A copy of `x` with updates put in, replaced or combined as the attribute `reduction` says.
fn scattered(call: &Call, x: &Value, updates: &Value, moves: impl Iterator<Item = (usize, usize)>) -> Outputs {
    call.room(&x.dims)?;
    let how = call.text("reduction")?.unwrap_or("none");
    if !matches!(how, "none" | "add" | "mul" | "min" | "max") {
        return Err(call.unsupported(format!("`reduction` is `{how}`")));
    }
    let mut data = x.data.clone();
    match (&mut data, &updates.data) {
        (Data::Float(to), Data::Float(from)) => moves.for_each(|(at, of)| {
            to[at] = match how {
                "add" => to[at] + from[of],
                "mul" => to[at] * from[of],
                "min" => to[at].min(from[of]),
                "max" => to[at].max(from[of]),
                _ => from[of],
            };
        }),
        (Data::Int(to), Data::Int(from)) => moves.for_each(|(at, of)| {
            to[at] = match how {
                "add" => to[at].wrapping_add(from[of]),
                "mul" => to[at].wrapping_mul(from[of]),
                "min" => to[at].min(from[of]),
                "max" => to[at].max(from[of]),
                _ => from[of],
            };
        }),
        (Data::Bool(to), Data::Bool(from)) if how == "none" => moves.for_each(|(at, of)| to[at] = from[of]),
        _ => return Err(call.refuse("the updates are of another kind than the elements, or of one that cannot be combined")),
    }
    Ok(vec![x.like(x.dims.clone(), data)])
}

/// The offsets at which the tuples in the last axis of the indices begin, behind `batch` shared axes; and the length of
/// what each of them names.
fn tuples(call: &Call, x: &Value, batch: usize) -> Result<(Vec<usize>, usize), ReferenceError> {
    let indices = call.input(1)?;
    let Some((&width, outer)) = indices.dims.split_last() else { return Err(call.refuse("the indices have no axis")) };
    let fits = batch <= outer.len() && batch.checked_add(width).is_some_and(|named| named <= x.rank());
    call.expect(fits && x.dims[..batch] == outer[..batch], || format!("indices of {:?} do not fit {:?}", indices.dims, x.dims))?;
    let stride = strides(&x.dims);
    let count = if indices.data.is_empty() && width > 0 { 0 } else { product(outer) };
    call.budget.take(count)?;
    let each = product(&outer[batch..]).max(1);
    let batch_size = product(&x.dims[batch..]);
    let wanted = call.ints(1)?;
    let offset = |tuple: usize| {
        let mut at = tuple / each * batch_size;
        for (axis, index) in wanted[tuple * width..(tuple + 1) * width].iter().enumerate() {
            at += place(call, *index, x.dims[batch + axis])? * stride[batch + axis] as usize;
        }
        Ok(at)
    };
    Ok(((0..count).map(offset).collect::<Result<_, _>>()?, product(&x.dims[batch + width..])))
}

/// A slice for each tuple of indices.
pub(crate) fn gather_nd(call: &Call) -> Outputs {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let batch = call.int("batch_dims")?.unwrap_or(0);
    let batch = usize::try_from(batch).map_err(|_| call.refuse(format!("`batch_dims` is {batch}")))?;
    let (starts, length) = tuples(call, x, batch)?;
    let (width, outer) = (indices.dims[indices.rank() - 1], &indices.dims[..indices.rank() - 1]);
    let dims = [outer, &x.dims[batch + width..]].concat();
    let count = call.room(&dims)?;
    let mut data = x.data.none(count);
    if count > 0 {
        for start in starts {
            data.append(&x.data, start..start + length);
        }
    }
    Ok(vec![x.like(dims, data)])
}

/// A slice put at each tuple of indices.
pub(crate) fn scatter_nd(call: &Call) -> Outputs {
    let (x, updates) = (call.input(0)?, call.input(2)?);
    let (starts, length) = tuples(call, x, 0)?;
    let fits = starts.len().checked_mul(length) == Some(updates.data.len());
    call.expect(fits, || format!("updates of {:?} do not fit", updates.dims))?;
    let moves = starts.iter().enumerate().flat_map(|(tuple, start)| (0..length).map(move |at| (start + at, tuple * length + at)));
    scattered(call, x, updates, moves)
}

/// One value where an index is met along a new axis, another elsewhere.
pub(crate) fn one_hot(call: &Call) -> Outputs {
    let (indices, values) = (call.input(0)?, call.input(2)?);
    let depth = match &call.input(1)?.data {
        Data::Int(depth) if depth.len() == 1 => depth[0],
        Data::Float(depth) if depth.len() == 1 => depth[0] as i64,
        _ => return Err(call.refuse("the depth is no single number")),
    };
    let depth = usize::try_from(depth).map_err(|_| call.refuse(format!("the depth is {depth}")))?;
    call.expect(values.data.len() == 2, || "the values are not two".into())?;
    let axis = call.axis(call.int("axis")?.unwrap_or(-1), indices.rank() + 1)?;
    let mut dims = indices.dims.clone();
    dims.insert(axis, depth);
    let count = call.room(&dims)?;
    let wanted: Vec<i64> = match &indices.data {
        Data::Int(wanted) => wanted.clone(),
        Data::Float(wanted) => wanted.iter().map(|x| *x as i64).collect(),
        Data::Bool(_) => return Err(call.refuse("truth values are no indices")),
    };
    let lanes = Lanes::along(&dims, axis);
    let met = |at: usize| {
        let index = wanted[at / (lanes.length * lanes.inner) * lanes.inner + at % lanes.inner];
        let index = if index < 0 { index.saturating_add(depth as i64) } else { index };
        usize::from(index == (at / lanes.inner % lanes.length) as i64)
    };
    Ok(vec![values.like(dims, values.data.pick((0..count).map(met), count))])
}

/// The indices of all elements that are not zero, a row for each axis.
pub(crate) fn non_zero(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let found: Vec<usize> = match &x.data {
        Data::Float(v) => (0..v.len()).filter(|at| v[*at] != 0.0).collect(),
        Data::Int(v) => (0..v.len()).filter(|at| v[*at] != 0).collect(),
        Data::Bool(v) => (0..v.len()).filter(|at| v[*at]).collect(),
    };
    let dims = [x.rank(), found.len()];
    call.room(&dims)?;
    let stride = strides(&x.dims);
    let index = |axis: usize, at: usize| (at / stride[axis] as usize % x.dims[axis]) as i64;
    let rows = (0..x.rank()).flat_map(|axis| found.iter().map(move |at| (axis, *at)));
    Ok(vec![Value::int64(dims, rows.map(|(axis, at)| index(axis, at)).collect())])
}

/// A cache with an update put in behind a beginning of its own for each row of a batch.
pub(crate) fn tensor_scatter(call: &Call) -> Outputs {
    let (x, updates) = (call.input(0)?, call.input(1)?);
    let axis = call.axis(call.int("axis")?.unwrap_or(-2), x.rank())?;
    let circular = match call.text("mode")?.unwrap_or("linear") {
        "linear" => false,
        "circular" => true,
        other => return Err(call.unsupported(format!("`mode` is `{other}`"))),
    };
    let fits = axis > 0 && updates.rank() == x.rank() && (0..x.rank()).all(|at| at == axis || updates.dims[at] == x.dims[at]);
    call.expect(fits, || format!("an update of {:?} does not fit {:?} along axis {axis}", updates.dims, x.dims))?;
    let batch = x.dims[0];
    let starts = match call.optional(2) {
        Some(starts) => call.as_ints(starts)?.to_vec(),
        None => vec![0; if x.data.is_empty() { 0 } else { batch }],
    };
    call.expect(x.data.is_empty() || starts.len() == batch, || "not a beginning for each row of the batch".into())?;
    let (to, from) = (Lanes::along(&x.dims, axis), Lanes::along(&updates.dims, axis));
    let mut moves = Vec::with_capacity(updates.data.len());
    for block in 0..from.outer {
        let start = starts[block * batch / from.outer];
        for step in 0..from.length {
            let at = start.saturating_add(step as i64);
            let at = if circular && to.length > 0 { at.rem_euclid(to.length as i64) } else { at };
            let at = usize::try_from(at).ok().filter(|at| *at < to.length);
            let at = at.ok_or_else(|| call.refuse(format!("an update at {start} goes beyond {} places", to.length)))?;
            moves.extend(
                (0..to.inner).map(|inner| {
                    ((block * to.length + at) * to.inner + inner, (block * from.length + step) * from.inner + inner)
                }),
            );
        }
    }
    scattered(call, x, updates, moves.into_iter())
}
