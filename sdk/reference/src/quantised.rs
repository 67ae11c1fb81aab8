//! Numbers to small integers and back, by scales and zero points.

use crate::call::{Call, Outputs};
use crate::cast::data_type;
use crate::index::{Lanes, product};
use crate::value::{Family, Value, family, range};
use crate::{Data, ReferenceError};
use kinglet_bundle::onnx::DataType;

/// Which scale an element has: one for all, one for each index of an axis, or one for each block along an axis.
enum Scales {
    One,
    Axis { inner: usize, count: usize },
    Blocks { length: usize, inner: usize, block: usize, blocks: usize },
}

impl Scales {
    fn new(call: &Call, x: &Value, scale: &Value) -> Result<Self, ReferenceError> {
        let block = call.int("block_size")?.unwrap_or(0);
        if scale.data.len() == 1 && scale.rank() <= 1 && block == 0 {
            return Ok(Self::One);
        }
        let axis = call.axis(call.int("axis")?.unwrap_or(1), x.rank())?;
        let Lanes { length, inner, .. } = Lanes::along(&x.dims, axis);
        let refuse = || call.refuse(format!("scales of {:?} do not fit {:?} along axis {axis}", scale.dims, x.dims));
        if block == 0 {
            call.expect(scale.dims == [length], || format!("scales of {:?} are not one for each of {length}", scale.dims))?;
            return Ok(Self::Axis { inner, count: length });
        }
        let block = usize::try_from(block).map_err(|_| refuse())?;
        let mut dims = x.dims.clone();
        dims[axis] = length.div_ceil(block);
        if scale.dims != dims { Err(refuse()) } else { Ok(Self::Blocks { length, inner, block, blocks: dims[axis] }) }
    }

    fn of(&self, at: usize) -> usize {
        match *self {
            Self::One => 0,
            Self::Axis { inner, count } => at / inner % count,
            Self::Blocks { length, inner, block, blocks } => {
                (at / (length * inner) * blocks + at / inner % length / block) * inner + at % inner
            }
        }
    }
}

/// The zero point at each place of the scales; `None` where there is none.
fn zero_points<'c>(call: &'c Call, scale: &Value) -> Result<Option<&'c [i64]>, ReferenceError> {
    let Some(zero) = call.optional(2) else { return Ok(None) };
    call.expect(zero.data.len() == scale.data.len(), || "zero points are not as many as scales".into())?;
    call.as_ints(zero).map(Some)
}

/// `x / scale`, rounded to the nearest (ties to even), behind the zero point, and kept in the integer type.
pub(crate) fn quantize(call: &Call) -> Outputs {
    call.only("precision", 0)?;
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let kind = match (call.optional(2), call.int("output_dtype")?.unwrap_or(0)) {
        (Some(zero), 0) => zero.kind,
        (None, 0) => DataType::UInt8,
        (_, code) => data_type(call, code)?,
    };
    if family(kind) != Family::Int {
        return Err(call.unsupported(format!("to {kind:?}")));
    }
    let (place, zeros) = (Scales::new(call, x, scale)?, zero_points(call, scale)?);
    let (values, scales, (low, high)) = (call.floats(0)?, call.floats(1)?, range(kind));
    call.room(&x.dims)?;
    let each = values.iter().enumerate().map(|(at, x)| {
        let at = place.of(at);
        let steps = (x / scales[at]).round_ties_even() as i64;
        steps.saturating_add(zeros.map_or(0, |zeros| zeros[at])).clamp(low, high)
    });
    Ok(vec![Value::new(kind, x.dims.clone(), Data::Int(each.collect()))])
}

/// `(x - zero point) * scale`.
pub(crate) fn dequantize(call: &Call) -> Outputs {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let kind = match call.int("output_dtype")?.unwrap_or(0) {
        0 => scale.kind,
        code => data_type(call, code)?,
    };
    if family(kind) != Family::Float {
        return Err(call.unsupported(format!("to {kind:?}")));
    }
    let (place, zeros) = (Scales::new(call, x, scale)?, zero_points(call, scale)?);
    let (values, scales) = (call.ints(0)?, call.floats(1)?);
    call.room(&x.dims)?;
    let each = values.iter().enumerate().map(|(at, x)| {
        let at = place.of(at);
        (x.saturating_sub(zeros.map_or(0, |zeros| zeros[at])) as f64 * f64::from(scales[at])) as f32
    });
    Ok(vec![Value::new(kind, x.dims.clone(), Data::Float(each.collect()))])
}

/// To uint8 by a scale and a zero point that the elements themselves give; with both. In float32, as ONNX words it.
pub(crate) fn dynamic_quantize(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let values = call.floats(0)?;
    call.room(&x.dims)?;
    let (low, high) = values.iter().fold((0.0_f32, 0.0_f32), |(low, high), x| (low.min(*x), high.max(*x)));
    let scale = if high == low { 1.0 } else { (high - low) / 255.0 };
    let zero = (0.0 - low / scale).clamp(0.0, 255.0).round_ties_even();
    let each = values.iter().map(|x| ((x / scale).round_ties_even() + zero).clamp(0.0, 255.0) as i64);
    Ok(vec![
        Value::new(DataType::UInt8, x.dims.clone(), Data::Int(each.collect())),
        Value::new(DataType::Float32, [], Data::Float(vec![scale])),
        Value::new(DataType::UInt8, [], Data::Int(vec![zero as i64])),
    ])
}

/// Small integers packed in bytes, the first in the low bits.
struct Packed<'a> {
    bytes: &'a [i64],
    bits: usize,
}

impl Packed<'_> {
    /// The integer at a place counted from a byte on.
    fn at(&self, byte: usize, index: usize) -> i64 {
        let bit = index * self.bits;
        let from = byte + bit / 8;
        let pair = self.bytes[from] | self.bytes.get(from + 1).copied().unwrap_or(0) << 8;
        pair >> (bit % 8) & ((1 << self.bits) - 1)
    }
}

/// A matrix of blocks of packed weights, with a scale and perhaps a zero point for each.
struct Blocks<'a> {
    weights: Packed<'a>,
    /// Bytes of a block.
    blob: usize,
    /// Blocks of a row.
    blocks: usize,
    size: usize,
    scales: &'a [f32],
    zeros: Zeros<'a>,
    /// The block of each column, where they are not in order.
    group: Option<&'a [i64]>,
}

enum Zeros<'a> {
    Middle(f64),
    Packed(Packed<'a>, usize),
    Numbers(&'a [f32]),
}

impl<'a> Blocks<'a> {
    fn new(call: &'a Call, (n, k): (usize, usize)) -> Result<Self, ReferenceError> {
        let bits = call.int("bits")?.unwrap_or(4);
        let bits = usize::try_from(bits).ok().filter(|bits| (2..=8).contains(bits));
        let bits = bits.ok_or_else(|| call.unsupported("`bits` is none of 2 to 8"))?;
        let size = call.int("block_size")?.and_then(|size| usize::try_from(size).ok()).filter(|size| size.is_power_of_two());
        let size = size.filter(|size| *size >= 16).ok_or_else(|| call.refuse("`block_size` is no power of two from 16 on"))?;
        let (blocks, blob) = (k.div_ceil(size), size * bits / 8);
        let packed = |value: &'a Value, width: usize| {
            let values = call.as_ints(value)?;
            let fits = value.kind == DataType::UInt8 && n.checked_mul(width) == Some(values.len());
            call.expect(fits, || format!("{:?} of {:?} is not {n} rows of {width} bytes", value.kind, value.dims))?;
            Ok(Packed { bytes: values, bits })
        };
        let count = n.checked_mul(blocks).ok_or_else(|| call.refuse("the shape is impossible"))?;
        let scales = call.floats(2)?;
        call.expect(scales.len() == count, || format!("{} scales are not {n} rows of {blocks}", scales.len()))?;
        let width = blocks.checked_mul(blob).ok_or_else(|| call.refuse("the shape is impossible"))?;
        let zeros = match call.optional(3) {
            None => Zeros::Middle((1_i64 << (bits - 1)) as f64),
            Some(zeros) => match &zeros.data {
                Data::Float(numbers) if numbers.len() == count => Zeros::Numbers(numbers),
                Data::Int(_) => {
                    let width = (blocks * bits).div_ceil(8);
                    Zeros::Packed(packed(zeros, width)?, width)
                }
                _ => return Err(call.refuse(format!("zero points of {:?} do not fit", zeros.dims))),
            },
        };
        let group = call.optional(4).map(|group| call.as_ints(group)).transpose()?;
        let inside = |group: &[i64]| group.len() >= k && group.iter().all(|at| usize::try_from(*at).is_ok_and(|at| at < blocks));
        call.expect(group.is_none_or(inside), || "`g_idx` does not name a block for each column".into())?;
        Ok(Self { weights: packed(call.input(1)?, width)?, blob, blocks, size, scales, zeros, group })
    }

    /// The weight at a row and a column.
    fn at(&self, row: usize, column: usize) -> f64 {
        let own = column / self.size;
        let block = self.group.map_or(own, |group| group[column] as usize);
        let zero = match &self.zeros {
            Zeros::Middle(zero) => *zero,
            Zeros::Packed(zeros, width) => zeros.at(row * width, block) as f64,
            Zeros::Numbers(zeros) => zeros[row * self.blocks + block].into(),
        };
        let weight = self.weights.at((row * self.blocks + own) * self.blob, column % self.size) as f64;
        (weight - zero) * f64::from(self.scales[row * self.blocks + block])
    }
}

/// ONNX Runtime's product with weights in blocks of few bits, by float activations whatever `accuracy_level` allows.
pub(crate) fn matmul_nbits(call: &Call) -> Outputs {
    call.only("weight_prepacked", 0)?;
    let a = call.input(0)?;
    let size =
        |name| call.int(name)?.and_then(|size| usize::try_from(size).ok()).ok_or_else(|| call.refuse(format!("no `{name}`")));
    let (k, n) = (size("K")?, size("N")?);
    call.expect(a.dims.last() == Some(&k), || format!("{:?} has no rows of {k}", a.dims))?;
    let blocks = Blocks::new(call, (n, k))?;
    let mut dims = a.dims.clone();
    dims.pop();
    let rows = product(&dims);
    dims.push(n);
    let bias = call.optional(5).map(|bias| call.as_floats(bias)).transpose()?;
    call.expect(bias.is_none_or(|bias| bias.len() == n), || "the bias is not one number for each column".into())?;
    let (x, count) = (call.floats(0)?, call.room(&dims)?);
    call.work(&[count, k])?;
    call.work(&[n, k, 8])?;
    let mut result = vec![0.0; count];
    for column in 0..if count == 0 { 0 } else { n } {
        let weights: Vec<f64> = (0..k).map(|at| blocks.at(column, at)).collect();
        for row in 0..rows {
            let sum: f64 = x[row * k..(row + 1) * k].iter().zip(&weights).map(|(x, weight)| f64::from(*x) * weight).sum();
            result[row * n + column] = (sum + bias.map_or(0.0, |bias| bias[column].into())) as f32;
        }
    }
    Ok(vec![a.floats_like(dims, result)])
}

/// ONNX Runtime's rows of a table in blocks of few bits, by their indices; zeros for an index outside.
pub(crate) fn gather_block_quantized(call: &Call) -> Outputs {
    let (data, indices, scales) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let block = call.int("block_size")?.unwrap_or(128);
    let block = usize::try_from(block).ok().filter(|block| *block > 0).ok_or_else(|| call.unsupported("`block_size` is 0"))?;
    let (gathered, blocked) = (call.int("gather_axis")?.unwrap_or(0), call.int("quantize_axis")?.unwrap_or(1));
    let (gathered, blocked) = (call.axis(gathered, data.rank())?, call.axis(blocked, data.rank())?);
    let table = Table::new(call, data)?;
    let packed_away = table.each > 1 && gathered + 1 == data.rank();
    call.expect(gathered != blocked && !packed_away, || "the gathered axis is that of the blocks or of packed bytes".into())?;
    let (picked, along) = (Lanes::along(&table.dims, gathered), Lanes::along(&table.dims, blocked));
    let mut scale_dims = table.dims.clone();
    scale_dims[blocked] = along.length.div_ceil(block);
    call.expect(scales.dims == scale_dims, || format!("scales of {:?} are not {scale_dims:?}", scales.dims))?;
    let zeros = call.optional(3).map(|zeros| Table::new(call, zeros)).transpose()?;
    let last = scale_dims.last().copied().unwrap_or(1);
    let fits = zeros.as_ref().is_none_or(|zeros| {
        zeros.values.len() == product(&scale_dims[..scale_dims.len() - 1]).saturating_mul(last.div_ceil(zeros.each))
    });
    call.expect(fits, || "zero points are not as many as scales".into())?;
    let dims = [&table.dims[..gathered], &indices.dims, &table.dims[gathered + 1..]].concat();
    let (count, wanted, numbers) = (call.room(&dims)?, call.ints(1)?, call.floats(2)?);
    call.work(&[count, 8])?;
    let scale_row = scale_dims[blocked];
    let element = |at: usize| {
        let at_scale = (at / (along.length * along.inner) * scale_row + at / along.inner % along.length / block) * along.inner;
        let at_scale = at_scale + at % along.inner;
        let zero = zeros.as_ref().map_or(table.middle, |zeros| zeros.at(at_scale, last));
        ((table.at(at, table.dims[table.dims.len() - 1]) - zero) as f64 * f64::from(numbers[at_scale])) as f32
    };
    let mut result = Vec::with_capacity(count);
    for outer in 0..if count == 0 { 0 } else { picked.outer } {
        for index in wanted {
            let index = if *index < 0 { index.saturating_add(picked.length as i64) } else { *index };
            match usize::try_from(index).ok().filter(|index| *index < picked.length) {
                Some(index) => {
                    let start = (outer * picked.length + index) * picked.inner;
                    result.extend((start..start + picked.inner).map(element));
                }
                None => result.extend(std::iter::repeat_n(0.0, picked.inner)),
            }
        }
    }
    call.expect(result.len() == count, || "the shape is impossible".into())?;
    Ok(vec![scales.floats_like(dims, result)])
}

/// A table of small integers: as they are, or packed in bytes along the last axis.
struct Table<'a> {
    values: &'a [i64],
    /// The shape in integers.
    dims: Vec<usize>,
    /// Integers of a byte; 1 where they are not packed.
    each: usize,
    bits: usize,
    /// Zero point where none is given.
    middle: i64,
}

impl<'a> Table<'a> {
    fn new(call: &Call, value: &'a Value) -> Result<Self, ReferenceError> {
        let values = call.as_ints(value)?;
        let mut dims = value.dims.clone();
        if value.kind != DataType::UInt8 {
            return Ok(Self { values, dims, each: 1, bits: 8, middle: 0 });
        }
        let bits = call.int("bits")?.unwrap_or(4);
        let bits = usize::try_from(bits).ok().filter(|bits| matches!(bits, 2 | 4 | 8));
        let bits = bits.ok_or_else(|| call.unsupported("`bits` is none of 2, 4 and 8"))?;
        let last = dims.last_mut().ok_or_else(|| call.refuse("a scalar is no table"))?;
        *last = last.checked_mul(8 / bits).ok_or_else(|| call.refuse("the shape is impossible"))?;
        Ok(Self { values, dims, each: 8 / bits, bits, middle: 1 << (bits - 1) })
    }

    /// The integer at a place, where rows are `width` integers long and begin at a byte.
    fn at(&self, at: usize, width: usize) -> i64 {
        if self.each == 1 {
            return self.values[at];
        }
        let (row, column) = (at / width, at % width);
        let byte = self.values[row * width.div_ceil(self.each) + column / self.each];
        byte >> (column % self.each * self.bits) & ((1 << self.bits) - 1)
    }
}
