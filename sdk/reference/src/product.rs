//! Sums of products: matrices, in batches and with transposed operands.

use crate::call::{Call, Outputs};
use crate::index::{Walk, broadcast, product, stretched, strides};
use crate::value::Value;
use crate::{Data, ReferenceError};
use kinglet_bundle::onnx::DataType;

/// A stack of matrices over an element type, seen by its shape and strides.
#[derive(Clone)]
pub(crate) struct Stack<'a, T> {
    values: &'a [T],
    dims: Vec<usize>,
    strides: Vec<isize>,
}

impl<'a, T> Stack<'a, T> {
    pub(crate) fn new(values: &'a [T], dims: &[usize]) -> Self {
        Self { values, dims: dims.to_vec(), strides: strides(dims) }
    }

    /// With the last two axes exchanged; as it is where there is only one.
    pub(crate) fn transposed(mut self) -> Self {
        if let rank @ 2.. = self.dims.len() {
            self.dims.swap(rank - 1, rank - 2);
            self.strides.swap(rank - 1, rank - 2);
        }
        self
    }

    fn with_axis(mut self, at: usize) -> Self {
        self.dims.insert(at, 1);
        self.strides.insert(at, 0);
        self
    }
}

/// The products of two stacks as NumPy's `matmul` has it: their shape, `[.., rows, columns]`, and the sums in `sum`'s type.
/// `factor(row, k, column)` is not needed by any operator: elements are what `a` and `b` say.
pub(crate) fn products<A: Copy, B: Copy, S: Copy>(
    call: &Call,
    (a, b): (Stack<'_, A>, Stack<'_, B>),
    zero: S,
    add: impl Fn(S, A, B) -> S,
) -> Result<(Vec<usize>, Vec<S>), ReferenceError> {
    let (flat_a, flat_b) = (a.dims.len() == 1, b.dims.len() == 1);
    call.expect(!a.dims.is_empty() && !b.dims.is_empty(), || "a scalar is no matrix".into())?;
    let a = if flat_a { a.with_axis(0) } else { a };
    let b = if flat_b { b.with_axis(1) } else { b };
    let ([outer_a @ .., m, k], [outer_b @ .., k2, n]) = (&a.dims[..], &b.dims[..]) else {
        return Err(call.refuse("an operand is no matrix"));
    };
    let (m, k, n) = (*m, *k, *n);
    call.expect(k == *k2, || format!("{:?} and {:?} have no product", a.dims, b.dims))?;
    let outer = broadcast(&[outer_a, outer_b]);
    let outer = outer.ok_or_else(|| call.refuse(format!("{:?} and {:?} do not broadcast", a.dims, b.dims)))?;
    let mut dims = [&outer[..], &[m, n]].concat();
    let count = call.room(&dims)?;
    call.work(&[count, k])?;
    let batches = if count == 0 { 0 } else { product(&outer) };
    let (at_a, at_b) = (batch_strides(&a, &outer), batch_strides(&b, &outer));
    let (Some(at_a), Some(at_b)) = (at_a, at_b) else { return Err(call.refuse("the operands do not broadcast")) };
    let mut sums = Vec::with_capacity(count);
    for [from_a, from_b] in Walk::new(&outer, batches, [&at_a, &at_b]) {
        for row in 0..m {
            row_sums(&a, &b, (from_a, from_b, row), (k, n), (zero, &add), &mut sums);
        }
    }
    if flat_b {
        dims.pop();
    }
    if flat_a {
        let at = dims.len() - usize::from(!flat_b) - 1;
        dims.remove(at);
    }
    Ok((dims, sums))
}

/// The strides of the axes before the matrices, stretched to `outer`.
fn batch_strides<T>(stack: &Stack<'_, T>, outer: &[usize]) -> Option<Vec<isize>> {
    let own = stack.dims.len() - 2;
    let fits = stretched(&stack.dims[..own], outer)?;
    let missing = outer.len() - own;
    let real = |at: usize| if at >= missing && stack.dims[at - missing] != 1 { stack.strides[at - missing] } else { 0 };
    Some((0..fits.len()).map(real).collect())
}

fn row_sums<A: Copy, B: Copy, S: Copy>(
    a: &Stack<'_, A>,
    b: &Stack<'_, B>,
    (from_a, from_b, row): (usize, usize, usize),
    (k, n): (usize, usize),
    (zero, add): (S, &impl Fn(S, A, B) -> S),
    sums: &mut Vec<S>,
) {
    let (ra, rb) = (a.strides.len(), b.strides.len());
    let at_a = |step: usize| from_a + row * a.strides[ra - 2] as usize + step * a.strides[ra - 1] as usize;
    let (down, along) = (b.strides[rb - 2] as usize, b.strides[rb - 1] as usize);
    let start = sums.len();
    sums.resize(start + n, zero);
    let row = &mut sums[start..];
    if along == 1 {
        for step in 0..k {
            let x = a.values[at_a(step)];
            let line = &b.values[from_b + step * down..][..n];
            row.iter_mut().zip(line).for_each(|(sum, y)| *sum = add(*sum, x, *y));
        }
    } else {
        for (column, sum) in row.iter_mut().enumerate() {
            *sum = (0..k).fold(*sum, |sum, step| add(sum, a.values[at_a(step)], b.values[from_b + step * down + column * along]));
        }
    }
}

fn add_float(sum: f64, x: f32, y: f32) -> f64 {
    f64::from(x) * f64::from(y) + sum
}

/// NumPy's `matmul`.
pub(crate) fn matmul(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if let (Data::Int(x), Data::Int(y)) = (&a.data, &b.data) {
        let operands = (Stack::new(x, &a.dims), Stack::new(y, &b.dims));
        let (dims, sums) = products(call, operands, 0_i64, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)))?;
        return Ok(vec![a.like(dims, Data::Int(sums.into_iter().map(|sum| crate::value::wrap(a.kind, sum)).collect()))]);
    }
    let operands = (Stack::new(call.floats(0)?, &a.dims), Stack::new(call.floats(1)?, &b.dims));
    let (dims, sums) = products(call, operands, 0.0, add_float)?;
    Ok(vec![a.floats_like(dims, sums.into_iter().map(|sum| sum as f32).collect())])
}

/// `matmul` of operands that may be transposed, times a number.
pub(crate) fn fused_matmul(call: &Call) -> Outputs {
    call.only("transBatchA", 0)?;
    call.only("transBatchB", 0)?;
    let (a, b) = (call.input(0)?, call.input(1)?);
    let alpha = f64::from(call.float("alpha")?.unwrap_or(1.0));
    let turned = |index, name, dims: &[usize]| {
        let stack = Stack::new(call.floats(index)?, dims);
        Ok(if call.flag(name, false)? { stack.transposed() } else { stack })
    };
    let operands = (turned(0, "transA", &a.dims)?, turned(1, "transB", &b.dims)?);
    let (dims, sums) = products(call, operands, 0.0, add_float)?;
    Ok(vec![a.floats_like(dims, sums.into_iter().map(|sum| (sum * alpha) as f32).collect())])
}

/// `alpha A B + beta C` of two matrices that may be transposed, and a `C` that stretches to the result.
pub(crate) fn gemm(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    call.expect(a.rank() == 2 && b.rank() == 2, || "an operand is no matrix".into())?;
    let (alpha, beta) = (call.float("alpha")?.unwrap_or(1.0), call.float("beta")?.unwrap_or(1.0));
    let turned = |index, name, dims: &[usize]| {
        let stack = Stack::new(call.floats(index)?, dims);
        Ok(if call.flag(name, false)? { stack.transposed() } else { stack })
    };
    let operands = (turned(0, "transA", &a.dims)?, turned(1, "transB", &b.dims)?);
    let (dims, mut sums) = products(call, operands, 0.0, add_float)?;
    sums.iter_mut().for_each(|sum| *sum *= f64::from(alpha));
    if let Some(c) = call.optional(2) {
        let strides = stretched(&c.dims, &dims);
        let strides = strides.ok_or_else(|| call.refuse(format!("{:?} does not stretch to {dims:?}", c.dims)))?;
        let added = call.as_floats(c)?;
        let walk = Walk::new(&dims, sums.len(), [&strides]).flatten();
        walk.zip(&mut sums).for_each(|(at, sum)| *sum += f64::from(beta) * f64::from(added[at]));
    }
    Ok(vec![a.floats_like(dims, sums.into_iter().map(|sum| sum as f32).collect())])
}

/// `matmul` of small integers behind their zero points: one for each tensor, row of `A` or column of `B`.
pub(crate) fn matmul_integer(call: &Call) -> Outputs {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let x = centred(call, a, call.optional(2), 2)?;
    let y = centred(call, b, call.optional(3), 1)?;
    let operands = (Stack::new(&x, &a.dims), Stack::new(&y, &b.dims));
    let (dims, sums) = products(call, operands, 0_i64, |sum, x, y| sum.wrapping_add(x.wrapping_mul(y)))?;
    let sums = sums.into_iter().map(|sum| crate::value::wrap(DataType::Int32, sum)).collect();
    Ok(vec![Value::new(DataType::Int32, dims, Data::Int(sums))])
}

/// Integers less their zero point: one, or one for each index of the axis that is `behind` from the last.
fn centred(call: &Call, value: &Value, zero: Option<&Value>, behind: usize) -> Result<Vec<i64>, ReferenceError> {
    let values = call.as_ints(value)?;
    call.room(&value.dims)?;
    let Some(zero) = zero else { return Ok(values.to_vec()) };
    let points = call.as_ints(zero)?;
    if let [point] = points {
        return Ok(values.iter().map(|x| x.wrapping_sub(*point)).collect());
    }
    let axis = value.rank().checked_sub(behind).filter(|axis| zero.rank() == 1 && value.dims[*axis] == points.len());
    let axis = axis.ok_or_else(|| call.refuse(format!("zero points of {:?} do not fit {:?}", zero.dims, value.dims)))?;
    let inner = product(&value.dims[axis + 1..]);
    Ok(values.iter().enumerate().map(|(at, x)| x.wrapping_sub(points[at / inner % points.len()])).collect())
}
