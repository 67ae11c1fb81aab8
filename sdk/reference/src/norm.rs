//! Rows brought to one size.

use crate::call::{Call, Outputs};
use crate::index::{Lanes, Walk, product, stretched};
use crate::value::Value;
use crate::{Data, ReferenceError};

/// A row of the mean 0 and the variance 1, scaled and shifted; with the means and the inverse deviations.
pub(crate) fn layer(call: &Call) -> Outputs {
    let x = call.input(0)?.clone();
    normalised(call, &x, (call.input(1)?, call.optional(2)), (true, 1e-5))
}

/// A row of the mean square 1, scaled; with the inverse roots.
pub(crate) fn rms(call: &Call) -> Outputs {
    let x = call.input(0)?.clone();
    normalised(call, &x, (call.input(1)?, None), (false, 1e-5))
}

/// A sum of two operands and, where there is one, a bias, and then a norm; the sum is the fourth output.
pub(crate) fn skip(call: &Call, centred: bool) -> Outputs {
    let (shift, bias) = if centred { (call.optional(3), call.optional(4)) } else { (None, call.optional(3)) };
    let (x, other) = (call.input(0)?, call.input(1)?);
    let mut sum = added(call, x, other)?;
    if let Some(bias) = bias {
        sum = added(call, &sum, bias)?;
    }
    let mut outputs = normalised(call, &sum, (call.input(2)?, shift), (centred, 1e-12))?;
    if [1, 2].iter().any(|at| call.node.outputs.get(*at).is_some_and(|name| !name.is_empty())) {
        return Err(call.unsupported("means and deviations are not given"));
    }
    outputs.resize(3, sum.like([0], sum.data.none(0)));
    outputs.push(sum);
    Ok(outputs)
}

/// `a` and a `b` that stretches to it.
fn added(call: &Call, a: &Value, b: &Value) -> Result<Value, ReferenceError> {
    let strides = stretched(&b.dims, &a.dims);
    let strides = strides.ok_or_else(|| call.refuse(format!("{:?} does not stretch to {:?}", b.dims, a.dims)))?;
    let (x, y) = (call.as_floats(a)?, call.as_floats(b)?);
    let count = call.room(&a.dims)?;
    let walk = Walk::new(&a.dims, count, [&strides]).flatten();
    Ok(a.like(a.dims.clone(), Data::Float(walk.zip(x).map(|(at, x)| x + y[at]).collect())))
}

/// The norm over all axes from `axis` on: of layers (centred) or of root mean squares.
fn normalised(call: &Call, x: &Value, (scale, shift): (&Value, Option<&Value>), (centred, default): (bool, f32)) -> Outputs {
    call.only("stash_type", 1)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(-1), x.rank())?;
    let epsilon = f64::from(call.float("epsilon")?.unwrap_or(default));
    let (rows, width) = (product(&x.dims[..axis]), product(&x.dims[axis..]));
    let along = |v: &Value| {
        let strides = stretched(&v.dims, &x.dims);
        strides.ok_or_else(|| call.refuse(format!("{:?} does not stretch to {:?}", v.dims, x.dims)))
    };
    let (values, scales) = (call.as_floats(x)?, call.as_floats(scale)?);
    let scale_at = along(scale)?;
    let (shifts, shift_at) = match shift {
        Some(shift) => (Some(call.as_floats(shift)?), along(shift)?),
        None => (None, vec![0; x.rank()]),
    };
    let count = call.room(&x.dims)?;
    call.work(&[count, 4])?;
    let small: Vec<usize> = x.dims.iter().enumerate().map(|(at, dim)| if at < axis { *dim } else { 1 }).collect();
    call.room(&small)?;
    let (mut means, mut inverses, mut result) = (Vec::new(), Vec::new(), Vec::with_capacity(count));
    let mut walk = Walk::new(&x.dims, count, [&scale_at, &shift_at]);
    for row in 0..if width == 0 { 0 } else { rows } {
        let row = &values[row * width..(row + 1) * width];
        let mean = if centred { row.iter().map(|x| f64::from(*x)).sum::<f64>() / width as f64 } else { 0.0 };
        let square = row.iter().map(|x| (f64::from(*x) - mean).powi(2)).sum::<f64>() / width as f64;
        let inverse = 1.0 / (square + epsilon).sqrt();
        for (x, [at, shift]) in row.iter().zip(&mut walk) {
            let shift = shifts.map_or(0.0, |shifts| f64::from(shifts[shift]));
            result.push(((f64::from(*x) - mean) * inverse * f64::from(scales[at]) + shift) as f32);
        }
        means.push(mean as f32);
        inverses.push(inverse as f32);
    }
    let mut outputs = vec![x.like(x.dims.clone(), Data::Float(result))];
    call.expect(width > 0 || rows == 0, || "rows are empty".into())?;
    if centred {
        outputs.push(Value::new(kinglet_bundle::onnx::DataType::Float32, small.clone(), Data::Float(means)));
    }
    outputs.push(Value::new(kinglet_bundle::onnx::DataType::Float32, small, Data::Float(inverses)));
    Ok(outputs)
}

/// Rows along an axis divided by their sum of absolute values, or by the root of their sum of squares; zeros stay.
pub(crate) fn lp(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let values = call.floats(0)?;
    let p = call.int("p")?.unwrap_or(2);
    if !matches!(p, 1 | 2) {
        return Err(call.unsupported(format!("`p` is {p}; 1 and 2 are known")));
    }
    let lanes = Lanes::along(&x.dims, call.axis(call.int("axis")?.unwrap_or(-1), x.rank())?);
    let count = call.room(&x.dims)?;
    let mut result = vec![0.0; count];
    for start in lanes.starts() {
        let sizes = lanes.lane(start).map(|at| f64::from(values[at]));
        let size = if p == 1 { sizes.map(f64::abs).sum() } else { sizes.map(|x| x * x).sum::<f64>().sqrt() };
        for at in lanes.lane(start).filter(|_| size != 0.0) {
            result[at] = (f64::from(values[at]) / size) as f32;
        }
    }
    Ok(vec![x.like(x.dims.clone(), Data::Float(result))])
}
