//! Values that no operand gives: constants of the graph, and ranges.

use crate::call::{Call, Outputs};
use crate::index::product;
use crate::shape::dimension;
use crate::value::{Family, Value, family, wrap};
use crate::{Data, ReferenceError};
use kinglet_bundle::onnx::{AttributeValue, DataType, Tensor};

/// A constant's shape and elements, widened; the reason where its elements are of a type that is not held.
pub(crate) fn read(tensor: &Tensor) -> Result<Value, String> {
    let not_held = || format!("elements of {:?} are not known", tensor.data_type);
    let data = match (family(tensor.data_type), tensor.data_type) {
        (Family::Float, _) => Data::Float(tensor.to_f32().map_err(|error| error.to_string())?),
        (Family::Bool, _) => {
            Data::Bool(tensor.to_i64().map_err(|error| error.to_string())?.into_iter().map(|x| x != 0).collect())
        }
        (Family::Int, DataType::UInt64) => Data::Int(unsigned(&tensor.bytes)?),
        (Family::Int, kind) if kind.bits() < 8 => Data::Int(packed(&tensor.bytes, kind, tensor.elements())),
        (Family::Int, _) => Data::Int(tensor.to_i64().map_err(|error| error.to_string())?),
        (Family::None, _) => return Err(not_held()),
    };
    if data.len() != product(&tensor.dims) {
        return Err(format!("it has {} elements, and {:?} has others", data.len(), tensor.dims));
    }
    Ok(Value::new(tensor.data_type, tensor.dims.clone(), data))
}

fn unsigned(bytes: &[u8]) -> Result<Vec<i64>, String> {
    let read = |chunk: &[u8; 8]| i64::try_from(u64::from_le_bytes(*chunk)).map_err(|_| "an integer has more than 63 bits".into());
    bytes.as_chunks::<8>().0.iter().map(read).collect()
}

/// Elements of less than a byte, the first in the low bits.
fn packed(bytes: &[u8], kind: DataType, count: usize) -> Vec<i64> {
    let bits = kind.bits();
    let mask = (1_u8 << bits) - 1;
    let parts = (0..8 / bits).map(|part| part * bits);
    let each = bytes.iter().flat_map(|byte| parts.clone().map(move |shift| i64::from(byte >> shift & mask)));
    each.take(count).map(|value| wrap(kind, value)).collect()
}

/// The value of the node's one attribute.
pub(crate) fn constant(call: &Call) -> Outputs {
    let [attribute] = &call.node.attributes[..] else { return Err(call.refuse("a constant has exactly one attribute")) };
    let name = attribute.name.as_str();
    let value = match (name, &attribute.value) {
        ("value", AttributeValue::Tensor(tensor)) => {
            call.room(&tensor.dims)?;
            read(tensor).map_err(|reason| call.unsupported(reason))?
        }
        ("value_int", AttributeValue::Int(value)) => Value::int64([], vec![*value]),
        ("value_ints", AttributeValue::Ints(values)) => Value::int64([values.len()], values.clone()),
        ("value_float", AttributeValue::Float(value)) => Value::new(DataType::Float32, [], Data::Float(vec![*value])),
        ("value_floats", AttributeValue::Floats(values)) => {
            Value::new(DataType::Float32, [values.len()], Data::Float(values.clone()))
        }
        _ => return Err(call.unsupported(format!("a constant by `{name}` is not known"))),
    };
    Ok(vec![value])
}

/// One element over a shape that the operand names: that of the attribute, or a zero of float32.
pub(crate) fn constant_of_shape(call: &Call) -> Outputs {
    let dims = call.ints(0)?.iter().map(|dim| dimension(call, *dim)).collect::<Result<Vec<_>, _>>()?;
    let count = call.room(&dims)?;
    let value = match call.node.attribute("value") {
        None => Value::new(DataType::Float32, [1], Data::Float(vec![0.0])),
        Some(AttributeValue::Tensor(tensor)) => read(tensor).map_err(|reason| call.unsupported(reason))?,
        Some(_) => return Err(call.refuse("the attribute `value` is no tensor")),
    };
    call.expect(value.data.len() == 1, || "the attribute `value` is no single element".into())?;
    Ok(vec![value.like(dims, value.data.pick(std::iter::repeat_n(0, count), count))])
}

/// From `start` to before `limit` by `delta`.
pub(crate) fn range(call: &Call) -> Outputs {
    let start = call.input(0)?;
    let one = |index: usize| -> Result<&Data, ReferenceError> {
        let value = call.input(index)?;
        call.expect(value.data.len() == 1, || format!("input {index} is no single element"))?;
        Ok(&value.data)
    };
    match (one(0)?, one(1)?, one(2)?) {
        (Data::Int(start_at), Data::Int(limit), Data::Int(delta)) => {
            let (first, limit, delta) = (i128::from(start_at[0]), i128::from(limit[0]), i128::from(delta[0]));
            call.expect(delta != 0, || "the step is 0".into())?;
            let count = ((limit - first) + delta - delta.signum()) / delta;
            let count = usize::try_from(count.max(0)).map_err(|_| call.refuse("the range is too long"))?;
            call.room(&[count])?;
            let values = (0..count).map(|step| (first + step as i128 * delta) as i64).collect();
            Ok(vec![start.like([count], Data::Int(values))])
        }
        (Data::Float(start_at), Data::Float(limit), Data::Float(delta)) => {
            let (first, limit, delta) = (f64::from(start_at[0]), f64::from(limit[0]), f64::from(delta[0]));
            let count = ((limit - first) / delta).ceil().max(0.0);
            call.expect(count.is_finite(), || "the range is without end".into())?;
            let count = count as usize;
            call.room(&[count])?;
            let values = (0..count).map(|step| (first + step as f64 * delta) as f32).collect();
            Ok(vec![start.like([count], Data::Float(values))])
        }
        _ => Err(call.refuse("start, limit and step are not of one kind")),
    }
}

/// A matrix with ones on one diagonal, in the shape of the operand.
pub(crate) fn eye_like(call: &Call) -> Outputs {
    let x = call.input(0)?;
    let [rows, columns] = x.dims[..] else { return Err(call.refuse(format!("{:?} is no matrix", x.dims))) };
    let k = i128::from(call.int("k")?.unwrap_or(0));
    let count = call.room(&[rows, columns])?;
    let ones = (0..count).map(|at| i64::from((at % columns) as i128 == (at / columns) as i128 + k)).collect();
    let kind = match call.int("dtype")? {
        Some(code) => crate::cast::data_type(call, code)?,
        None => x.kind,
    };
    crate::cast::to(call, &Value::int64([rows, columns], ones), kind).map(|value| vec![value])
}
