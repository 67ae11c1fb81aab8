//! From one element type to another.

use crate::call::{Call, Outputs};
use crate::value::{Family, Value, family, range, round_to, wrap};
use crate::{Data, ReferenceError};
use kinglet_bundle::onnx::DataType;

/// To the type that the attribute `to` names.
pub(crate) fn cast(call: &Call) -> Outputs {
    let code = call.int("to")?.ok_or_else(|| call.refuse("the attribute `to` is absent"))?;
    let kind = data_type(call, code)?;
    to(call, call.input(0)?, kind).map(|value| vec![value])
}

/// To the type of the second operand.
pub(crate) fn cast_like(call: &Call) -> Outputs {
    to(call, call.input(0)?, call.input(1)?.kind).map(|value| vec![value])
}

/// The element type of that code.
pub(crate) fn data_type(call: &Call, code: i64) -> Result<DataType, ReferenceError> {
    let known = i32::try_from(code).ok().and_then(DataType::from_onnx);
    known.ok_or_else(|| call.unsupported(format!("the element type {code} is not known")))
}

/// A value in another type: numbers rounded to the nearest, ties to even; numbers to integers cut off towards zero, and to
/// the nearest that the type has where they are outside of it (ONNX leaves that open); integers to their low bits.
pub(crate) fn to(call: &Call, value: &Value, kind: DataType) -> Result<Value, ReferenceError> {
    call.room(&value.dims)?;
    let four_bits = kind.bits() < 8;
    let data = match (family(kind), &value.data) {
        (Family::Int, Data::Float(_)) if four_bits => return Err(call.unsupported(format!("numbers to {kind:?}"))),
        (Family::None, _) => return Err(call.unsupported(format!("elements of {kind:?}"))),
        (Family::Float, Data::Float(v)) => Data::Float(v.iter().map(|x| round_to(kind, (*x).into())).collect()),
        (Family::Float, Data::Int(v)) => Data::Float(v.iter().map(|x| int_to(kind, *x)).collect()),
        (Family::Float, Data::Bool(v)) => Data::Float(v.iter().map(|x| f32::from(u8::from(*x))).collect()),
        (Family::Int, Data::Float(v)) => Data::Int(v.iter().map(|x| whole(kind, *x)).collect()),
        (Family::Int, Data::Int(v)) => Data::Int(v.iter().map(|x| wrap(kind, *x)).collect()),
        (Family::Int, Data::Bool(v)) => Data::Int(v.iter().map(|x| i64::from(*x)).collect()),
        (Family::Bool, Data::Float(v)) => Data::Bool(v.iter().map(|x| *x != 0.0).collect()),
        (Family::Bool, Data::Int(v)) => Data::Bool(v.iter().map(|x| *x != 0).collect()),
        (Family::Bool, Data::Bool(v)) => Data::Bool(v.clone()),
    };
    Ok(Value::new(kind, value.dims.clone(), data))
}

/// An integer rounded once: float32 directly, half precision from the exact float64 of what such numbers can hold.
fn int_to(kind: DataType, value: i64) -> f32 {
    if kind == DataType::Float32 || kind == DataType::Float64 { value as f32 } else { round_to(kind, value as f64) }
}

fn whole(kind: DataType, value: f32) -> i64 {
    let (low, high) = range(kind);
    (value as i64).clamp(low, high)
}
