//! Shapes: asked for, and changed without moving an element.

use crate::ReferenceError;
use crate::call::{Call, Outputs};
use crate::value::Value;

/// The dimensions, or those from `start` to `end`.
pub(crate) fn shape(call: &Call) -> Outputs {
    let dims = &call.input(0)?.dims;
    let rank = dims.len() as i64;
    let at = |value: i64| (if value < 0 { value.saturating_add(rank) } else { value }).clamp(0, rank) as usize;
    let (start, end) = (at(call.int("start")?.unwrap_or(0)), at(call.int("end")?.unwrap_or(rank)));
    let asked: Vec<i64> = dims.get(start..end).unwrap_or(&[]).iter().map(|dim| *dim as i64).collect();
    call.room(&[asked.len()])?;
    Ok(vec![Value::int64([asked.len()], asked)])
}

/// The number of elements.
pub(crate) fn size(call: &Call) -> Outputs {
    call.room(&[])?;
    Ok(vec![Value::int64([], vec![call.input(0)?.data.len() as i64])])
}

/// The operand itself.
pub(crate) fn identity(call: &Call) -> Outputs {
    let x = call.input(0)?;
    reshaped(call, x.dims.clone())
}

/// The first operand's elements in another shape of as many.
fn reshaped(call: &Call, dims: Vec<usize>) -> Outputs {
    let x = call.input(0)?;
    let count = call.room(&dims)?;
    call.expect(count == x.data.len(), || format!("{:?} cannot be seen as {dims:?}", x.dims))?;
    Ok(vec![x.like(dims, x.data.clone())])
}

/// The shape of the second operand, or of the attribute: -1 is what remains, 0 the operand's own, or none with `allowzero`.
pub(crate) fn reshape(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let asked = call.ints_or_attribute(1, "shape")?.ok_or_else(|| call.refuse("no shape is given"))?;
    let zero_is_zero = call.flag("allowzero", false)?;
    let mut dims = Vec::with_capacity(asked.len());
    let mut open = None;
    for (axis, dim) in asked.iter().enumerate() {
        dims.push(match dim {
            -1 if open.replace(axis).is_some() => return Err(call.refuse(format!("{asked:?} leaves two dimensions open"))),
            -1 => 1,
            0 if !zero_is_zero => {
                *x.dims.get(axis).ok_or_else(|| call.refuse(format!("{asked:?} copies an axis that is none")))?
            }
            dim => dimension(call, *dim)?,
        });
    }
    if let Some(axis) = open {
        let known = dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim)).filter(|known| *known > 0);
        let known = known.filter(|known| x.data.len().is_multiple_of(*known));
        dims[axis] = x.data.len() / known.ok_or_else(|| call.refuse(format!("{:?} cannot be seen as {asked:?}", x.dims)))?;
    }
    reshaped(call, dims)
}

/// A dimension out of a tensor of integers.
pub(crate) fn dimension(call: &Call, value: i64) -> Result<usize, ReferenceError> {
    usize::try_from(value).map_err(|_| call.refuse(format!("{value} is no dimension")))
}

/// Two axes: those before `axis`, and the others.
pub(crate) fn flatten(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let rank = x.rank() as i64;
    let axis = call.int("axis")?.unwrap_or(1);
    let at = if axis < 0 { axis.saturating_add(rank) } else { axis };
    let at = usize::try_from(at).ok().filter(|at| *at <= x.rank());
    let (before, behind) = x.dims.split_at(at.ok_or_else(|| call.refuse(format!("axis {axis} is none of {:?}", x.dims)))?);
    let product = |dims: &[usize]| dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    let dims = [product(before), product(behind)].into_iter().collect::<Option<Vec<_>>>();
    reshaped(call, dims.ok_or_else(|| call.refuse("the shape is impossible"))?)
}

/// Without the named axes of length 1, or without all of them.
pub(crate) fn squeeze(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let gone = match call.ints_or_attribute(1, "axes")? {
        Some(axes) => call.axes(&axes, x.rank())?,
        None => x.dims.iter().map(|dim| *dim == 1).collect(),
    };
    let long = x.dims.iter().zip(&gone).any(|(dim, gone)| *gone && *dim != 1);
    call.expect(!long, || format!("an axis of {:?} that is longer than 1 cannot go", x.dims))?;
    reshaped(call, x.dims.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(dim, _)| *dim).collect())
}

/// With new axes of length 1 where the result is to have them.
pub(crate) fn unsqueeze(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let axes = call.ints_or_attribute(1, "axes")?.ok_or_else(|| call.refuse("no axes are given"))?;
    call.budget.work((x.rank() + axes.len()) as u64)?;
    let fresh = call.axes(&axes, x.rank() + axes.len())?;
    let mut old = x.dims.iter();
    reshaped(call, fresh.iter().map(|fresh| if *fresh { 1 } else { old.next().copied().unwrap_or(1) }).collect())
}
