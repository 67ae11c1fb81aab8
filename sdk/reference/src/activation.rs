//! Activations: functions of one number that feed-forward layers use.

use crate::Data;
use crate::call::{Call, Outputs};
use crate::elementwise::unary;
use crate::value::Value;
use crate::{ReferenceError, elementwise};

/// `1 / (1 + exp(-x))`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// `ln(1 + exp(x))`, without overflow.
pub(crate) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// `x * sigmoid(alpha x)`.
pub(crate) fn swish(call: &Call, default: f32) -> Outputs {
    let alpha = f64::from(call.float("alpha")?.unwrap_or(default));
    unary(call, |x| x * sigmoid(alpha * x))
}

/// GELU by the error function.
pub(crate) fn gelu_exact(x: f64) -> f64 {
    0.5 * x * (1.0 + libm::erf(x * std::f64::consts::FRAC_1_SQRT_2))
}

/// GELU by the hyperbolic tangent.
pub(crate) fn gelu_tanh(x: f64) -> f64 {
    let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
    0.5 * x * (1.0 + inner.tanh())
}

/// GELU in the form that the attribute `approximate` names.
pub(crate) fn gelu(call: &Call) -> Outputs {
    match call.text("approximate")?.unwrap_or("none") {
        "none" => unary(call, gelu_exact),
        "tanh" => unary(call, gelu_tanh),
        other => Err(call.unsupported(format!("`approximate` is `{other}`; `none` and `tanh` are known"))),
    }
}

/// GELU of an operand and, where there is one, a bias along its last axis.
pub(crate) fn biased(call: &Call, f: impl Fn(f64) -> f64) -> Outputs {
    let Some(bias) = call.optional(1) else { return unary(call, f) };
    let width = call.input(0)?.dims.last().copied().unwrap_or(1);
    call.expect(bias.dims == [width], || format!("the bias has the shape {:?}, not [{width}]", bias.dims))?;
    elementwise::binary(call, |x, bias| f(x + bias), i64::wrapping_add)
}

/// A function with a number from an attribute in it.
pub(crate) fn with_alpha(call: &Call, default: f32, f: impl Fn(f64, f64) -> f64) -> Outputs {
    let alpha = f64::from(call.float("alpha")?.unwrap_or(default));
    unary(call, |x| f(x, alpha))
}

/// `max(0, min(1, alpha x + beta))`.
pub(crate) fn hard_sigmoid(call: &Call) -> Outputs {
    let (alpha, beta) = (call.float("alpha")?.unwrap_or(0.2), call.float("beta")?.unwrap_or(0.5));
    unary(call, |x| (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0))
}

/// `max(x, 0)` of floats or integers.
pub(crate) fn relu(call: &Call) -> Outputs {
    elementwise::unary_number(call, |x| if x < 0.0 { 0.0 } else { x }, |x| x.max(0))
}

/// `x` where it is positive, else a slope of the second operand times `x`.
pub(crate) fn prelu(call: &Call) -> Outputs {
    elementwise::binary(
        call,
        |x, slope| if x < 0.0 { slope * x } else { x },
        |x, slope| if x < 0 { slope.wrapping_mul(x) } else { x },
    )
}

/// Dropout when nothing is dropped: the operand, and a mask that keeps everything.
pub(crate) fn dropout(call: &Call) -> Outputs {
    let training = match call.optional(2).map(|mode| &mode.data) {
        None => false,
        Some(Data::Bool(mode)) => mode.first().copied().unwrap_or(false),
        Some(_) => return Err(call.refuse("`training_mode` holds no truth value")),
    };
    if training {
        return Err(call.unsupported("dropout in training is random"));
    }
    let x = call.input(0)?;
    let kept = mask(call, x)?;
    call.room(&x.dims)?;
    Ok(vec![x.clone(), kept])
}

fn mask(call: &Call, x: &Value) -> Result<Value, ReferenceError> {
    let count = call.room(&x.dims)?;
    Ok(Value::bools(x.dims.clone(), vec![true; count]))
}
