//! Arithmetic, comparison and logic: element by element, with NumPy's broadcasting.

use crate::Data;
use crate::ReferenceError;
use crate::call::{Call, Outputs};
use crate::index::{Walk, broadcast, stretched};
use crate::value::{Value, range, wrap};

/// A function of numbers.
pub(crate) fn unary(call: &Call, f: impl Fn(f64) -> f64) -> Outputs {
    let x = call.input(0)?;
    let values = call.floats(0)?;
    call.room(&x.dims)?;
    Ok(vec![x.like(x.dims.clone(), Data::Float(values.iter().map(|x| f((*x).into()) as f32).collect()))])
}

/// A function of numbers or of integers.
pub(crate) fn unary_number(call: &Call, f: impl Fn(f64) -> f64, g: impl Fn(i64) -> i64) -> Outputs {
    let x = call.input(0)?;
    let Data::Int(values) = &x.data else { return unary(call, f) };
    call.room(&x.dims)?;
    Ok(vec![x.like(x.dims.clone(), Data::Int(values.iter().map(|n| wrap(x.kind, g(*n))).collect()))])
}

/// A question about numbers.
pub(crate) fn test(call: &Call, f: impl Fn(f32) -> bool) -> Outputs {
    let x = call.input(0)?;
    let values = call.floats(0)?;
    call.room(&x.dims)?;
    Ok(vec![Value::bools(x.dims.clone(), values.iter().map(|x| f(*x)).collect())])
}

/// Whether numbers are infinite, of the signs that are asked for.
pub(crate) fn is_inf(call: &Call) -> Outputs {
    let (negative, positive) = (call.flag("detect_negative", true)?, call.flag("detect_positive", true)?);
    test(call, |x| (negative && x == f32::NEG_INFINITY) || (positive && x == f32::INFINITY))
}

/// The opposite truth values.
pub(crate) fn not(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let Data::Bool(values) = &x.data else { return Err(call.refuse("the operand holds no truth values")) };
    call.room(&x.dims)?;
    Ok(vec![Value::bools(x.dims.clone(), values.iter().map(|x| !x).collect())])
}

/// Two operands stretched to one shape: that shape, and `f` of each pair.
fn pairs<A: Copy, B: Copy, R>(
    call: &Call,
    (a, b): (&Value, &Value),
    (x, y): (&[A], &[B]),
    f: impl Fn(A, B) -> R,
) -> Result<(Vec<usize>, Vec<R>), ReferenceError> {
    let dims = broadcast(&[&a.dims, &b.dims]);
    let dims = dims.ok_or_else(|| call.refuse(format!("{:?} and {:?} do not broadcast", a.dims, b.dims)))?;
    let count = call.room(&dims)?;
    let (Some(sa), Some(sb)) = (stretched(&a.dims, &dims), stretched(&b.dims, &dims)) else {
        return Err(call.refuse("the operands do not broadcast"));
    };
    let values = Walk::new(&dims, count, [&sa, &sb]).map(|[i, j]| f(x[i], y[j])).collect();
    Ok((dims, values))
}

fn mixed(call: &Call) -> ReferenceError {
    call.refuse("the operands hold elements of different kinds, or of one that the operator does not take")
}

/// A function of two numbers, or of two integers.
pub(crate) fn binary(call: &Call, f: impl Fn(f64, f64) -> f64, g: impl Fn(i64, i64) -> i64) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    combine(call, a, b, &f, &g).map(|value| vec![value])
}

fn combine(
    call: &Call,
    a: &Value,
    b: &Value,
    f: &impl Fn(f64, f64) -> f64,
    g: &impl Fn(i64, i64) -> i64,
) -> Result<Value, ReferenceError> {
    match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            let (dims, values) = pairs(call, (a, b), (x, y), |x, y| f(x.into(), y.into()) as f32)?;
            Ok(a.like(dims, Data::Float(values)))
        }
        (Data::Int(x), Data::Int(y)) => {
            let (dims, values) = pairs(call, (a, b), (x, y), |x, y| wrap(a.kind, g(x, y)))?;
            Ok(a.like(dims, Data::Int(values)))
        }
        _ => Err(mixed(call)),
    }
}

/// A function of any number of operands, taken from the left.
pub(crate) fn variadic(call: &Call, f: impl Fn(f64, f64) -> f64, g: impl Fn(i64, i64) -> i64) -> Outputs {
    let mut result = call.input(0)?.clone();
    call.budget.take(result.data.len())?;
    for index in 1..call.inputs.len() {
        result = combine(call, &result, call.input(index)?, &f, &g)?;
    }
    Ok(vec![result])
}

/// A function of two integers.
pub(crate) fn bitwise(call: &Call, g: impl Fn(i64, i64) -> i64) -> Outputs {
    call.ints(0)?;
    binary(call, |_, _| f64::NAN, g)
}

/// A function of two truth values.
pub(crate) fn logic(call: &Call, f: impl Fn(bool, bool) -> bool) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) else { return Err(mixed(call)) };
    let (dims, values) = pairs(call, (a, b), (x, y), f)?;
    Ok(vec![Value::bools(dims, values)])
}

/// A comparison of numbers, or of integers.
pub(crate) fn compare(call: &Call, f: impl Fn(f32, f32) -> bool, g: impl Fn(i64, i64) -> bool) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let (dims, values) = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => pairs(call, (a, b), (x, y), f)?,
        (Data::Int(x), Data::Int(y)) => pairs(call, (a, b), (x, y), g)?,
        _ => return Err(mixed(call)),
    };
    Ok(vec![Value::bools(dims, values)])
}

/// Whether elements are equal, of any kind.
pub(crate) fn equal(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if let (Data::Bool(x), Data::Bool(y)) = (&a.data, &b.data) {
        let (dims, values) = pairs(call, (a, b), (x, y), |x, y| x == y)?;
        return Ok(vec![Value::bools(dims, values)]);
    }
    compare(call, |x, y| x == y, |x, y| x == y)
}

/// A quotient: of integers, cut off towards zero.
pub(crate) fn div(call: &Call) -> Outputs {
    refuse_zero(call)?;
    binary(call, |x, y| x / y, i64::wrapping_div)
}

/// A remainder: of the sign of the divisor, or of the dividend with `fmod`.
pub(crate) fn modulo(call: &Call) -> Outputs {
    refuse_zero(call)?;
    if call.flag("fmod", false)? {
        return binary(call, |x, y| x % y, i64::wrapping_rem);
    }
    call.ints(0)?;
    binary(
        call,
        |_, _| f64::NAN,
        |x, y| {
            let rest = x.wrapping_rem(y);
            if rest != 0 && (rest < 0) != (y < 0) { rest + y } else { rest }
        },
    )
}

fn refuse_zero(call: &Call) -> Result<(), ReferenceError> {
    match &call.input(1)?.data {
        Data::Int(divisors) if divisors.contains(&0) => Err(call.refuse("integers are divided by zero")),
        _ => Ok(()),
    }
}

/// A power, of the type of its base.
pub(crate) fn pow(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let whole = |x: f64| x as i64;
    let value = match (&a.data, &b.data) {
        (Data::Float(_), Data::Float(_)) | (Data::Int(_), Data::Int(_)) => combine(call, a, b, &f64::powf, &int_pow)?,
        (Data::Float(x), Data::Int(y)) => {
            let (dims, values) = pairs(call, (a, b), (x, y), |x, y| f64::from(x).powf(y as f64) as f32)?;
            a.like(dims, Data::Float(values))
        }
        (Data::Int(x), Data::Float(y)) => {
            let (dims, values) = pairs(call, (a, b), (x, y), |x, y| wrap(a.kind, whole((x as f64).powf(y.into()))))?;
            a.like(dims, Data::Int(values))
        }
        _ => return Err(mixed(call)),
    };
    Ok(vec![value])
}

fn int_pow(base: i64, exponent: i64) -> i64 {
    match u32::try_from(exponent) {
        Ok(exponent) => base.wrapping_pow(exponent),
        Err(_) => (base as f64).powf(exponent as f64) as i64,
    }
}

/// Bits moved to the left or to the right, as unsigned integers.
pub(crate) fn bit_shift(call: &Call) -> Outputs {
    let by = |y: i64| u32::try_from(y).ok();
    match call.text("direction")? {
        Some("LEFT") => bitwise(call, |x, y| by(y).and_then(|y| (x as u64).checked_shl(y)).unwrap_or(0) as i64),
        Some("RIGHT") => bitwise(call, |x, y| by(y).and_then(|y| (x as u64).checked_shr(y)).unwrap_or(0) as i64),
        _ => Err(call.refuse("`direction` is neither LEFT nor RIGHT")),
    }
}

/// Elements of the second operand where the first is true, else of the third.
pub(crate) fn choose(call: &Call) -> Outputs {
    let (c, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let Data::Bool(chosen) = &c.data else { return Err(call.refuse("the condition holds no truth values")) };
    let dims = broadcast(&[&c.dims, &a.dims, &b.dims]).ok_or_else(|| call.refuse("the operands do not broadcast"))?;
    let count = call.room(&dims)?;
    let at = |v: &Value| stretched(&v.dims, &dims).ok_or_else(|| call.refuse("the operands do not broadcast"));
    let (sc, sa, sb) = (at(c)?, at(a)?, at(b)?);
    let walk = Walk::new(&dims, count, [&sc, &sa, &sb]);
    let data = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => Data::Float(walk.map(|[c, i, j]| if chosen[c] { x[i] } else { y[j] }).collect()),
        (Data::Int(x), Data::Int(y)) => Data::Int(walk.map(|[c, i, j]| if chosen[c] { x[i] } else { y[j] }).collect()),
        (Data::Bool(x), Data::Bool(y)) => Data::Bool(walk.map(|[c, i, j]| if chosen[c] { x[i] } else { y[j] }).collect()),
        _ => return Err(mixed(call)),
    };
    Ok(vec![a.like(dims, data)])
}

/// Elements kept between two bounds, which are operands or, in older operator sets, attributes.
pub(crate) fn clip(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let data = match &x.data {
        Data::Float(values) => {
            let bound = |index: usize, name: &str, none: f32| match (call.optional(index), call.float(name)?) {
                (Some(value), None) => one(call, call.as_floats(value)?),
                (None, given) => Ok(given.unwrap_or(none)),
                _ => Err(call.refuse(format!("`{name}` is given twice"))),
            };
            let (low, high) = (bound(1, "min", f32::NEG_INFINITY)?, bound(2, "max", f32::INFINITY)?);
            Data::Float(values.iter().map(|x| smaller(larger((*x).into(), low.into()), high.into()) as f32).collect())
        }
        Data::Int(values) => {
            let (least, most) = range(x.kind);
            let bound = |index, none| call.optional(index).map_or(Ok(none), |value| one(call, call.as_ints(value)?));
            let (low, high) = (bound(1, least)?, bound(2, most)?);
            Data::Int(values.iter().map(|x| (*x).max(low).min(high)).collect())
        }
        Data::Bool(_) => return Err(mixed(call)),
    };
    call.room(&x.dims)?;
    Ok(vec![x.like(x.dims.clone(), data)])
}

fn one<T: Copy>(call: &Call, values: &[T]) -> Result<T, ReferenceError> {
    if let [one] = values { Ok(*one) } else { Err(call.refuse("a bound is no single element")) }
}

/// The larger of two numbers; no number where either is none.
pub(crate) fn larger(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.max(y) }
}

/// The smaller of two numbers; no number where either is none.
pub(crate) fn smaller(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() { f64::NAN } else { x.min(y) }
}

/// The sign of a number: -1, 0 or 1.
pub(crate) fn sign(x: f64) -> f64 {
    if x == 0.0 || x.is_nan() { x } else { x.signum() }
}

/// The mean of any number of operands.
pub(crate) fn mean(call: &Call) -> Outputs {
    let count = call.inputs.len() as f64;
    call.floats(0)?;
    let sum = variadic(call, |x, y| x + y, i64::wrapping_add)?;
    Ok(sum.into_iter().map(|sum| divided(&sum, count)).collect())
}

fn divided(sum: &Value, count: f64) -> Value {
    let Data::Float(values) = &sum.data else { return sum.clone() };
    sum.like(sum.dims.clone(), Data::Float(values.iter().map(|x| (f64::from(*x) / count) as f32).collect()))
}
