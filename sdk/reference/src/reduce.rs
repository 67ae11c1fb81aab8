//! Many elements to one: sums, means, extremes, softmax, running sums, orders.

use crate::call::{Call, Outputs};
use crate::elementwise::{larger, smaller};
use crate::index::{Lanes, Walk, product, strides};
use crate::value::{Value, wrap};
use crate::{Data, ReferenceError};
use std::cmp::Ordering;

/// How elements become one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Prod,
    Max,
    Min,
    L1,
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
}

impl Reduction {
    fn start(self) -> f64 {
        match self {
            Self::Prod => 1.0,
            Self::Max => f64::NEG_INFINITY,
            Self::Min => f64::INFINITY,
            _ => 0.0,
        }
    }

    fn add(self, sum: f64, x: f64) -> f64 {
        match self {
            Self::Sum | Self::Mean | Self::LogSum => sum + x,
            Self::Prod => sum * x,
            Self::Max => larger(sum, x),
            Self::Min => smaller(sum, x),
            Self::L1 => sum + x.abs(),
            Self::L2 | Self::SumSquare => sum + x * x,
            Self::LogSumExp => sum + x.exp(),
        }
    }

    fn end(self, sum: f64, count: usize) -> f64 {
        match self {
            Self::Mean => sum / count as f64,
            Self::L2 => sum.sqrt(),
            Self::LogSum | Self::LogSumExp => sum.ln(),
            _ => sum,
        }
    }

    fn start_int(self) -> Option<i64> {
        match self {
            Self::Sum | Self::Mean | Self::SumSquare | Self::L1 => Some(0),
            Self::Prod => Some(1),
            Self::Max => Some(i64::MIN),
            Self::Min => Some(i64::MAX),
            Self::L2 | Self::LogSum | Self::LogSumExp => None,
        }
    }

    fn add_int(self, sum: i64, x: i64) -> i64 {
        match self {
            Self::Prod => sum.wrapping_mul(x),
            Self::Max => sum.max(x),
            Self::Min => sum.min(x),
            Self::L1 => sum.wrapping_add(x.wrapping_abs()),
            Self::SumSquare => sum.wrapping_add(x.wrapping_mul(x)),
            _ => sum.wrapping_add(x),
        }
    }
}

/// Elements along the named axes become one; along all of them where none is named, unless `noop_with_empty_axes`.
pub(crate) fn reduce(call: &Call, how: Reduction) -> Outputs {
    let x = call.input(0)?;
    let axes = call.ints_or_attribute(1, "axes")?.unwrap_or_default();
    let nothing = call.flag("noop_with_empty_axes", false)?;
    let gone = match axes.is_empty() {
        true => vec![!nothing; x.rank()],
        false => call.axes(&axes, x.rank())?,
    };
    let kept: Vec<usize> = x.dims.iter().zip(&gone).map(|(dim, gone)| if *gone { 1 } else { *dim }).collect();
    let count = call.room(&kept)?;
    call.work(&[x.data.len()])?;
    let mut steps = strides(&kept);
    steps.iter_mut().zip(&gone).filter(|(_, gone)| **gone).for_each(|(step, _)| *step = 0);
    let walk = Walk::new(&x.dims, x.data.len(), [&steps]).flatten();
    let each = x.dims.iter().zip(&gone).filter(|(_, gone)| **gone).fold(1_usize, |each, (dim, _)| each.saturating_mul(*dim));
    let data = match &x.data {
        Data::Float(values) => {
            let mut sums = vec![how.start(); count];
            walk.zip(values).for_each(|(at, x)| sums[at] = how.add(sums[at], (*x).into()));
            Data::Float(sums.into_iter().map(|sum| how.end(sum, each) as f32).collect())
        }
        Data::Int(values) => {
            let start = how.start_int().ok_or_else(|| call.unsupported("it is not known for integers"))?;
            let empty = each == 0 && matches!(how, Reduction::Max | Reduction::Min | Reduction::Mean);
            call.expect(!empty, || "there is no integer to reduce".into())?;
            let mut sums = vec![start; count];
            walk.zip(values).for_each(|(at, x)| sums[at] = how.add_int(sums[at], *x));
            let mean = |sum: i64| if how == Reduction::Mean { sum.wrapping_div(each as i64) } else { sum };
            Data::Int(sums.into_iter().map(|sum| wrap(x.kind, mean(sum))).collect())
        }
        Data::Bool(values) if matches!(how, Reduction::Max | Reduction::Min) => {
            let any = how == Reduction::Max;
            let mut found = vec![!any; count];
            walk.zip(values).for_each(|(at, x)| found[at] = if any { found[at] || *x } else { found[at] && *x });
            Data::Bool(found)
        }
        Data::Bool(_) => return Err(call.refuse("truth values have no such sum")),
    };
    let dims = if call.flag("keepdims", true)? {
        kept
    } else {
        x.dims.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(dim, _)| *dim).collect()
    };
    Ok(vec![x.like(dims, data)])
}

/// Exponentials along an axis that sum to one, or their logarithms. Before operator set 13 all axes from `axis` on are one.
pub(crate) fn softmax(call: &Call, log: bool) -> Outputs {
    let x = call.input(0)?;
    let values = call.floats(0)?;
    let old = call.opset < 13;
    let axis = call.axis(call.int("axis")?.unwrap_or(if old { 1 } else { -1 }), x.rank())?;
    let mut lanes = Lanes::along(&x.dims, axis);
    if old {
        (lanes.length, lanes.inner) = (product(&x.dims[axis..]), 1);
    }
    let count = call.room(&x.dims)?;
    call.work(&[count])?;
    let mut result = vec![0.0; count];
    for start in lanes.starts() {
        let greatest = lanes.lane(start).fold(f64::NEG_INFINITY, |greatest, at| larger(greatest, values[at].into()));
        let sum: f64 = lanes.lane(start).map(|at| (f64::from(values[at]) - greatest).exp()).sum();
        for at in lanes.lane(start) {
            let apart = f64::from(values[at]) - greatest;
            result[at] = if log { apart - sum.ln() } else { apart.exp() / sum } as f32;
        }
    }
    Ok(vec![x.like(x.dims.clone(), Data::Float(result))])
}

/// The sum of all elements up to each along an axis: without the element itself with `exclusive`, from behind with `reverse`.
pub(crate) fn cum_sum(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let axis = call.one_int(1)?.ok_or_else(|| call.refuse("no axis is given"))?;
    let lanes = Lanes::along(&x.dims, call.axis(axis, x.rank())?);
    let (exclusive, reverse) = (call.flag("exclusive", false)?, call.flag("reverse", false)?);
    call.room(&x.dims)?;
    let mut data = x.data.clone();
    for start in lanes.starts() {
        let order: Box<dyn Iterator<Item = usize>> =
            if reverse { Box::new(lanes.lane(start).rev()) } else { Box::new(lanes.lane(start)) };
        match &mut data {
            Data::Float(values) => order.fold(0.0, |sum, at| {
                let next = sum + f64::from(values[at]);
                values[at] = if exclusive { sum } else { next } as f32;
                next
            }),
            Data::Int(values) => order.fold(0_i64, |sum, at| {
                let next = wrap(x.kind, sum.wrapping_add(values[at]));
                values[at] = if exclusive { sum } else { next };
                next
            }) as f64,
            Data::Bool(_) => return Err(call.refuse("truth values have no sum")),
        };
    }
    Ok(vec![x.like(x.dims.clone(), data)])
}

/// How two elements are ordered, and that an element that is no number comes last.
fn order(call: &Call, x: &Value) -> Result<impl Fn(usize, usize) -> Ordering, ReferenceError> {
    let keys: Vec<(bool, f64, i64)> = match &x.data {
        Data::Float(values) => values.iter().map(|x| (x.is_nan(), f64::from(*x), 0)).collect(),
        Data::Int(values) => values.iter().map(|x| (false, 0.0, *x)).collect(),
        Data::Bool(_) => return Err(call.refuse("truth values have no order")),
    };
    call.budget.take(keys.len())?;
    Ok(move |a: usize, b: usize| {
        let (a, b) = (keys[a], keys[b]);
        a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).unwrap_or(Ordering::Equal)).then(a.2.cmp(&b.2))
    })
}

/// The index of the greatest (or least) element along an axis: the first of equal ones, or the last.
pub(crate) fn arg_extreme(call: &Call, greatest: bool) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(0), x.rank())?;
    let last = call.flag("select_last_index", false)?;
    let lanes = Lanes::along(&x.dims, axis);
    let mut dims = x.dims.clone();
    dims[axis] = 1;
    call.room(&dims)?;
    call.expect(x.dims[axis] > 0, || "an axis is empty".into())?;
    let compare = order(call, x)?;
    let best = |start: usize| {
        let better = |a: usize, b: usize| match if greatest { compare(a, b) } else { compare(b, a) } {
            Ordering::Greater => true,
            Ordering::Equal => last,
            Ordering::Less => false,
        };
        let offset = lanes.lane(start).fold(start, |best, at| if better(at, best) { at } else { best });
        ((offset - start) / lanes.inner) as i64
    };
    let found = lanes.starts().map(best).collect();
    if !call.flag("keepdims", true)? {
        dims.remove(axis);
    }
    Ok(vec![Value::int64(dims, found)])
}

/// The `k` greatest (or least) elements along an axis and their indices, in order; of equal ones the first.
pub(crate) fn top_k(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let axis = call.axis(call.int("axis")?.unwrap_or(-1), x.rank())?;
    let (largest, _) = (call.flag("largest", true)?, call.flag("sorted", true)?);
    let k = call.one_int(1)?.and_then(|k| usize::try_from(k).ok()).filter(|k| *k <= x.dims[axis]);
    let k = k.ok_or_else(|| call.refuse(format!("there are not so many elements among {}", x.dims[axis])))?;
    let lanes = Lanes::along(&x.dims, axis);
    let mut dims = x.dims.clone();
    dims[axis] = k;
    let count = call.room(&dims)?;
    call.room(&dims)?;
    call.work(&[x.data.len(), 64])?;
    let compare = order(call, x)?;
    let (mut offsets, mut indices) = (vec![0; count], vec![0; count]);
    for (number, start) in lanes.starts().enumerate() {
        let mut lane: Vec<usize> = lanes.lane(start).collect();
        lane.sort_by(|a, b| if largest { compare(*b, *a) } else { compare(*a, *b) });
        let first = number / lanes.inner * k * lanes.inner + number % lanes.inner;
        for (rank, at) in lane.into_iter().take(k).enumerate() {
            offsets[first + rank * lanes.inner] = at;
            indices[first + rank * lanes.inner] = ((at - start) / lanes.inner) as i64;
        }
    }
    let values = x.like(dims.clone(), x.data.pick(offsets.into_iter(), count));
    Ok(vec![values, Value::int64(dims, indices)])
}
