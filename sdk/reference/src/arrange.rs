//! Elements moved, repeated and cut out by their position.

use crate::call::{Call, Outputs};
use crate::index::{Lanes, Walk, broadcast, product, stretched, strides};
use crate::shape::dimension;
use crate::value::Value;
use crate::{Data, ReferenceError};

/// The first operand walked by other strides.
fn walked(call: &Call, dims: Vec<usize>, strides: &[isize], from: isize) -> Outputs {
    let x = call.input(0)?;
    let count = call.room(&dims)?;
    let data = x.data.pick(Walk::new(&dims, count, [strides]).from([from]).flatten(), count);
    Ok(vec![x.like(dims, data)])
}

/// Axes in another order; reversed where no order is given.
pub(crate) fn transpose(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let order: Vec<usize> = match call.int_list("perm")? {
        None => (0..x.rank()).rev().collect(),
        Some(perm) => {
            call.expect(perm.len() == x.rank(), || format!("{perm:?} does not order the axes of {:?}", x.dims))?;
            call.axes(perm, x.rank())?;
            perm.iter().map(|axis| call.axis(*axis, x.rank())).collect::<Result<_, _>>()?
        }
    };
    let old = strides(&x.dims);
    let moved: Vec<isize> = order.iter().map(|axis| old[*axis]).collect();
    walked(call, order.iter().map(|axis| x.dims[*axis]).collect(), &moved, 0)
}

/// Repeated to a shape that both broadcast to.
pub(crate) fn expand(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let asked = call.ints(1)?.iter().map(|dim| dimension(call, *dim)).collect::<Result<Vec<_>, _>>()?;
    let refuse = || call.refuse(format!("{:?} does not stretch to {asked:?}", x.dims));
    let dims = broadcast(&[&x.dims, &asked]).ok_or_else(refuse)?;
    let strides = stretched(&x.dims, &dims).ok_or_else(refuse)?;
    walked(call, dims, &strides, 0)
}

/// Repeated so many times along each axis.
pub(crate) fn tile(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let repeats = call.ints(1)?.iter().map(|times| dimension(call, *times)).collect::<Result<Vec<_>, _>>()?;
    call.expect(repeats.len() == x.rank(), || format!("{repeats:?} does not fit {:?}", x.dims))?;
    let old = strides(&x.dims);
    let (mut split, mut steps, mut dims) = (Vec::new(), Vec::new(), Vec::new());
    for ((dim, times), stride) in x.dims.iter().zip(&repeats).zip(&old) {
        split.extend([*times, *dim]);
        steps.extend([0, *stride]);
        dims.push(dim.checked_mul(*times).ok_or_else(|| call.refuse("the shape is impossible"))?);
    }
    let count = call.room(&dims)?;
    let data = x.data.pick(Walk::new(&split, count, [&steps]).flatten(), count);
    Ok(vec![x.like(dims, data)])
}

/// One tensor behind another along an axis.
pub(crate) fn concat(call: &Call) -> Outputs {
    let first = call.input(0)?;
    let axis = call.int("axis")?.ok_or_else(|| call.refuse("the attribute `axis` is absent"))?;
    let axis = call.axis(axis, first.rank())?;
    let parts = (0..call.inputs.len()).map(|index| call.input(index)).collect::<Result<Vec<_>, _>>()?;
    let mut dims = first.dims.clone();
    dims[axis] = 0;
    for part in &parts {
        let fits = part.rank() == dims.len() && (0..dims.len()).all(|at| at == axis || part.dims[at] == first.dims[at]);
        call.expect(fits, || format!("{:?} and {:?} do not fit together", first.dims, part.dims))?;
        dims[axis] = dims[axis].checked_add(part.dims[axis]).ok_or_else(|| call.refuse("the shape is impossible"))?;
    }
    let count = call.room(&dims)?;
    let blocks = if count == 0 { 0 } else { product(&dims[..axis]) };
    call.work(&[blocks, parts.len()])?;
    let mut data = first.data.none(count);
    for block in 0..blocks {
        for part in &parts {
            let length = product(&part.dims[axis..]);
            let alike = data.append(&part.data, block * length..(block + 1) * length);
            call.expect(alike, || "the operands hold elements of different kinds".into())?;
        }
    }
    Ok(vec![first.like(dims, data)])
}

/// Cut into parts along an axis: of the lengths given, or as equal as can be.
pub(crate) fn split(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.rank())?;
    let whole = x.dims[axis];
    let lengths = match call.ints_or_attribute(1, "split")? {
        Some(lengths) => lengths.iter().map(|length| dimension(call, *length)).collect::<Result<Vec<_>, _>>()?,
        None => equal_parts(call, whole)?,
    };
    let sum = lengths.iter().try_fold(0_usize, |sum, length| sum.checked_add(*length));
    call.expect(sum == Some(whole), || format!("parts of {lengths:?} do not make {whole}"))?;
    let (lanes, mut from) = (Lanes::along(&x.dims, axis), 0);
    call.work(&[lanes.outer, lengths.len()])?;
    let mut parts = Vec::with_capacity(lengths.len());
    for length in lengths {
        let mut dims = x.dims.clone();
        dims[axis] = length;
        let mut data = x.data.none(call.room(&dims)?);
        for block in 0..lanes.outer {
            let start = (block * lanes.length + from) * lanes.inner;
            data.append(&x.data, start..start + length * lanes.inner);
        }
        parts.push(x.like(dims, data));
        from += length;
    }
    Ok(parts)
}

fn equal_parts(call: &Call, whole: usize) -> Result<Vec<usize>, ReferenceError> {
    let parts = match call.int("num_outputs")? {
        None => call.node.outputs.len(),
        Some(parts) => dimension(call, parts)?,
    };
    call.expect(parts > 0 && parts == call.node.outputs.len(), || format!("{parts} parts are no number of outputs"))?;
    let long = whole.div_ceil(parts);
    Ok((0..parts).map(|part| long.min(whole.saturating_sub(part.saturating_mul(long)))).collect())
}

/// From `starts` to before `ends` by `steps`, along `axes`; counted from behind and clamped as NumPy does.
pub(crate) fn slice(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let part = |index, name| call.ints_or_attribute(index, name);
    let (Some(starts), Some(ends)) = (part(1, "starts")?, part(2, "ends")?) else {
        return Err(call.refuse("starts or ends are absent"));
    };
    let axes = part(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = part(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    let same = [ends.len(), axes.len(), steps.len()].iter().all(|length| *length == starts.len());
    call.expect(same, || "starts, ends, axes and steps are not equally many".into())?;
    call.axes(&axes, x.rank())?;
    let (mut dims, mut moved, mut from) = (x.dims.clone(), strides(&x.dims), 0_isize);
    for (((start, end), axis), step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let axis = call.axis(*axis, x.rank())?;
        let (first, count) = cut(x.dims[axis], *start, *end, *step).ok_or_else(|| call.refuse("a step is 0"))?;
        if count > 0 {
            from = from.saturating_add((first as isize).saturating_mul(moved[axis]));
            moved[axis] = moved[axis].saturating_mul(isize::try_from(*step).unwrap_or(isize::MAX));
        }
        dims[axis] = count;
    }
    walked(call, dims, &moved, from)
}

/// The first index of a slice and how many there are; `None` for a step of 0.
fn cut(length: usize, start: i64, end: i64, step: i64) -> Option<(usize, usize)> {
    let length = length as i64;
    let wrapped = |value: i64| if value < 0 { value.saturating_add(length) } else { value };
    let (low, high) = if step > 0 { (0, length) } else { (-1, length - 1) };
    let (start, end) = (wrapped(start).clamp(low.max(0), high.max(0)), wrapped(end).clamp(low, high));
    let span = if step > 0 { end - start } else { start - end };
    let reach = step.checked_abs().unwrap_or(i64::MAX);
    let count = match step {
        0 => return None,
        _ if span <= 0 || length == 0 => 0,
        _ => (span - 1) / reach + 1,
    };
    Some((start as usize, count as usize))
}

/// Elements put around the tensor, or taken away where a number is negative: constants, copies of the edge, a reflection,
/// or the other end.
pub(crate) fn pad(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let pads = call.ints_or_attribute(1, "pads")?.ok_or_else(|| call.refuse("no pads are given"))?;
    let axes = match call.optional(3) {
        Some(axes) => call.as_ints(axes)?.to_vec(),
        None => (0..x.rank() as i64).collect(),
    };
    call.axes(&axes, x.rank())?;
    call.expect(pads.len() == 2 * axes.len(), || format!("{pads:?} does not fit {} axes", axes.len()))?;
    let (mut dims, mut before) = (x.dims.clone(), vec![0_i64; x.rank()]);
    for (at, axis) in axes.iter().enumerate() {
        let axis = call.axis(*axis, x.rank())?;
        let length = i128::from(pads[at]) + x.dims[axis] as i128 + i128::from(pads[at + axes.len()]);
        dims[axis] = usize::try_from(length).map_err(|_| call.refuse(format!("{length} is no dimension")))?;
        before[axis] = pads[at];
    }
    let count = call.room(&dims)?;
    let mode = call.text("mode")?.unwrap_or("constant");
    let origins = padded_origins(call, x, (&dims, count, &before), mode)?;
    let filled = fill(call, x)?;
    let data = match (&x.data, &filled.data) {
        (Data::Float(v), Data::Float(f)) => Data::Float(origins.iter().map(|o| o.map_or(f[0], |at| v[at])).collect()),
        (Data::Int(v), Data::Int(f)) => Data::Int(origins.iter().map(|o| o.map_or(f[0], |at| v[at])).collect()),
        (Data::Bool(v), Data::Bool(f)) => Data::Bool(origins.iter().map(|o| o.map_or(f[0], |at| v[at])).collect()),
        _ => return Err(call.refuse("the constant is of another kind than the elements")),
    };
    Ok(vec![x.like(dims, data)])
}

/// The one element that fills: an operand, an attribute in older operator sets, or zero.
fn fill(call: &Call, x: &Value) -> Result<Value, ReferenceError> {
    match (call.optional(2), call.float("value")?) {
        (Some(value), None) if value.data.len() == 1 => Ok(value.clone()),
        (None, Some(value)) => Ok(x.floats_like([1], vec![value])),
        (None, None) => Ok(x.like([1], x.data.zeros(1))),
        _ => Err(call.refuse("the constant is no single element")),
    }
}

/// Where each element of a padded tensor comes from; `None` for what is filled.
fn padded_origins(
    call: &Call,
    x: &Value,
    (dims, count, before): (&[usize], usize, &[i64]),
    mode: &str,
) -> Result<Vec<Option<usize>>, ReferenceError> {
    if !matches!(mode, "constant" | "edge" | "reflect" | "wrap") {
        return Err(call.unsupported(format!("`mode` is `{mode}`")));
    }
    let empty = x.data.is_empty() && count > 0 && mode != "constant";
    call.expect(!empty, || "there is nothing to repeat".into())?;
    let own = strides(&x.dims);
    let mut index = vec![0_usize; dims.len()];
    let mut origins = Vec::with_capacity(count);
    for _ in 0..count {
        let at = index
            .iter()
            .zip(before)
            .zip(&x.dims)
            .map(|((at, before), dim)| origin((*at as i64).saturating_sub(*before), *dim as i64, mode));
        origins.push(at.zip(&own).try_fold(0, |sum, (at, stride)| Some(sum + at? * *stride as usize)));
        for (at, dim) in index.iter_mut().zip(dims).rev() {
            *at += 1;
            if *at < *dim {
                break;
            }
            *at = 0;
        }
    }
    Ok(origins)
}

/// The index along one axis that an index before or behind it repeats.
fn origin(at: i64, length: i64, mode: &str) -> Option<usize> {
    let inside = match mode {
        _ if (0..length).contains(&at) => at,
        "edge" => at.clamp(0, length - 1),
        "wrap" => at.rem_euclid(length),
        "reflect" if length == 1 => 0,
        "reflect" => {
            let around = at.rem_euclid(2 * (length - 1));
            around.min(2 * (length - 1) - around)
        }
        _ => return None,
    };
    usize::try_from(inside).ok()
}

/// The upper or lower triangle of each matrix, zeros elsewhere.
pub(crate) fn trilu(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let [.., rows, columns] = x.dims[..] else { return Err(call.refuse(format!("{:?} holds no matrices", x.dims))) };
    let (k, upper) = (call.one_int(1)?.unwrap_or(0), call.flag("upper", true)?);
    let count = call.room(&x.dims)?;
    let keeps = |at: usize| {
        let (row, column) = ((at / columns % rows) as i64, (at % columns) as i64);
        let over = column.saturating_sub(row).cmp(&k);
        if upper { over.is_ge() } else { over.is_le() }
    };
    let data = match &x.data {
        Data::Float(v) => Data::Float((0..count).map(|at| if keeps(at) { v[at] } else { 0.0 }).collect()),
        Data::Int(v) => Data::Int((0..count).map(|at| if keeps(at) { v[at] } else { 0 }).collect()),
        Data::Bool(v) => Data::Bool((0..count).map(|at| keeps(at) && v[at]).collect()),
    };
    Ok(vec![x.like(x.dims.clone(), data)])
}
