//! Requirements of each operator on the values that it reads and the weights that it holds.

use super::{Element, Rows, Type};
use crate::program::{Attention, Foreign, Form, Norm, Op, Part, Program, Step};
use crate::rotary::{Angles, Rotary};
use kinglet_kernels::LayerKv;

/// Parts of one product: q, k and v.
pub(crate) const MAX_PARTS: usize = 3;

/// Query heads of a layer.
const MAX_HEADS: usize = 1 << 12;

/// The type of what a step makes, if it fits `inputs`; otherwise why it does not.
pub(super) fn check(program: &Program, step: &Step, inputs: &[Type]) -> Result<Type, String> {
    let outputs = if matches!(step.op, Op::AddNorm(_)) { 2 } else { 1 };
    if step.outputs.len() != outputs {
        return Err(format!("it has {} outputs where {outputs} are expected", step.outputs.len()));
    }
    let is_embedding = matches!(step.op, Op::Embed { .. });
    if inputs.iter().any(|input| (input.element == Element::Token) != is_embedding) {
        return Err("it reads token ids where numbers are expected, or numbers where token ids are".into());
    }
    match (&step.op, inputs) {
        (Op::Embed { table, scale }, [ids]) => {
            check_finite(*scale, "scale")?;
            check_weight(table)?;
            Ok(Type { element: Element::Float32, rows: ids.rows, width: table.k() })
        }
        (Op::Norm(norm), [x]) => check_norm(norm, x.width).map(|()| *x),
        (Op::AddNorm(norm), [a, b]) => same(*a, *b).and_then(|x| check_norm(norm, x.width).map(|()| x)),
        (Op::Add, [a, b]) => same(*a, *b),
        (Op::Centre, [x]) => Ok(*x),
        (Op::Linear(parts), [x]) => linear(parts, *x),
        (Op::Gated { gate, up, .. }, [x]) => gated(gate, up, *x),
        (Op::Attention(attention), [qkv]) => attend(program, attention, *qkv),
        (Op::Pack, [_, ..]) if inputs.len() <= MAX_PARTS => pack(inputs),
        (Op::PickRows, [x]) => all_rows(*x).map(|x| Type { rows: Rows::Picked, ..x }),
        (Op::Scale(factor), [x]) => check_finite(*factor, "factor").map(|()| *x),
        (Op::Softcap(cap), [x]) if *cap > 0.0 => check_finite(*cap, "cap").map(|()| *x),
        (Op::Softcap(cap), [_]) => Err(format!("a cap of {cap}")),
        (Op::Foreign(foreign), [first, ..]) => {
            inputs.iter().try_for_each(|input| same(*first, *input).map(|_| ()))?;
            left_to_tract(foreign, inputs.len(), *first)
        }
        _ => Err(format!("it has {} inputs", inputs.len())),
    }
}

fn check_finite(number: f32, what: &str) -> Result<(), String> {
    if number.is_finite() { Ok(()) } else { Err(format!("its {what} is {number}")) }
}

fn check_width(found: usize, expected: usize) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("it reads {found} columns where {expected} are expected")) }
}

/// Two values of one type.
fn same(a: Type, b: Type) -> Result<Type, String> {
    check_width(b.width, a.width)?;
    if a == b { Ok(a) } else { Err("it joins rows of all tokens with rows that logits are wanted for".into()) }
}

/// A value with a row for each token of the step: attention and what is put together for it counts on that.
fn all_rows(x: Type) -> Result<Type, String> {
    if x.rows == Rows::All { Ok(x) } else { Err("it reads some of the rows where all are expected".into()) }
}

fn check_weight(weight: &crate::weight::Weight) -> Result<(), String> {
    if !weight.is_within_storage() {
        return Err("its rows reach beyond the weight that they are of".into());
    }
    weight.matrix().map(|_| ()).map_err(|error| error.to_string())
}

/// A part's weight over rows of `k`, and its bias.
fn check_part(part: &Part, k: usize) -> Result<usize, String> {
    check_weight(&part.weight)?;
    check_width(k, part.weight.k())?;
    let n = part.weight.n();
    match &part.bias {
        Some(bias) if bias.len() != n => Err(format!("a bias of {} for {n} columns", bias.len())),
        _ => Ok(n),
    }
}

fn linear(parts: &[Part], x: Type) -> Result<Type, String> {
    if parts.is_empty() || parts.len() > MAX_PARTS {
        return Err(format!("a product of {} weights", parts.len()));
    }
    let fused = |i: usize| if parts.len() > 1 { format!("in part {} of {}, ", i + 1, parts.len()) } else { String::new() };
    let width_of = |(i, part)| check_part(part, x.width).map_err(|why| fused(i) + &why);
    let widths: Result<Vec<usize>, String> = parts.iter().enumerate().map(width_of).collect();
    let width = widths?.into_iter().try_fold(0usize, usize::checked_add).ok_or("its weights are too wide together")?;
    Ok(Type { width, ..x })
}

fn gated(gate: &Part, up: &Part, x: Type) -> Result<Type, String> {
    let (gates, width) = (check_part(gate, x.width)?, check_part(up, x.width)?);
    if gates != width {
        return Err(format!("a gate of {gates} columns for {width}"));
    }
    Ok(Type { width, ..x })
}

fn pack(inputs: &[Type]) -> Result<Type, String> {
    inputs.iter().try_for_each(|input| all_rows(*input).map(|_| ()))?;
    let width = inputs.iter().try_fold(0usize, |sum, input| sum.checked_add(input.width));
    Ok(Type { width: width.ok_or("its inputs are too wide together")?, ..inputs[0] })
}

fn check_norm(norm: &Norm, width: usize) -> Result<(), String> {
    check_width(width, norm.weight.len())?;
    if width == 0 {
        return Err("a norm of no columns".into());
    }
    if norm.eps >= 0.0 { check_finite(norm.eps, "epsilon") } else { Err(format!("an epsilon of {}", norm.eps)) }
}

fn attend(program: &Program, a: &Attention, qkv: Type) -> Result<Type, String> {
    let LayerKv { kv_heads, head_dim, value_dim } = a.kv;
    all_rows(qkv)?;
    if a.q_heads == 0 || a.q_heads > MAX_HEADS || kv_heads == 0 || !a.q_heads.is_multiple_of(kv_heads) {
        return Err(format!("{} query heads over {kv_heads} of keys", a.q_heads));
    }
    let width = |heads: usize, size: usize| heads.checked_mul(size);
    let keys_and_values = head_dim.checked_add(value_dim).and_then(|size| width(kv_heads, size));
    let total = width(a.q_heads, head_dim).zip(keys_and_values).and_then(|(q, kv)| q.checked_add(kv));
    check_width(qkv.width, total.ok_or("its heads are too many or too large")?)?;
    for (norm, what) in [(&a.q_norm, "queries"), (&a.k_norm, "keys")] {
        if let Some(norm) = norm {
            check_norm(norm, head_dim).map_err(|why| format!("in the norm of its {what}, {why}"))?;
        }
    }
    check_finite(a.scale, "scale")?;
    if a.softcap.is_some_and(|cap| !cap.is_finite() || cap <= 0.0) || a.window == Some(0) {
        return Err(format!("a cap of {:?} and a window of {:?}", a.softcap, a.window));
    }
    if let Some(rotary) = a.rotary {
        let rotary = program.rotaries.get(rotary).ok_or("its rotary embedding is not there")?;
        check_rotary(rotary, head_dim)?;
    }
    let width = width(a.q_heads, value_dim).ok_or("its heads are too many or too large")?;
    Ok(Type { width, ..qkv })
}

/// Tables are as wide as they are used and reach every position that a context may have: the first tables as far as the longer ones
/// take over, and the last as far as the model's context, which is limited by them.
fn check_rotary(rotary: &Rotary, head_dim: usize) -> Result<(), String> {
    let half = rotary.half();
    if half == 0 || half.checked_mul(2).is_none_or(|turned| turned > head_dim) {
        return Err(format!("{half} pairs of the {head_dim} elements of a head would be rotated"));
    }
    let positions = check_angles(&rotary.angles)?;
    if let Some(longer) = &rotary.longer {
        if longer.angles.half() != half {
            return Err("its cosine and sine tables differ in width".into());
        }
        let after = check_angles(&longer.angles)?.map_or(longer.after, |positions| positions.min(longer.after));
        if positions.is_some_and(|positions| positions < after) {
            return Err(format!("cosine and sine tables of {positions:?} positions are to serve {after}"));
        }
    }
    Ok(())
}

/// Positions that the angles cover, if they are tables.
fn check_angles(angles: &Angles) -> Result<Option<usize>, String> {
    match angles {
        Angles::Tables { cos, sin, half, stride } => {
            let positions = cos.len().checked_div(*stride).unwrap_or(0);
            let is_whole = half <= stride && positions > 0 && positions * stride == cos.len() && cos.len() == sin.len();
            let sizes = format!("{} cosines and {} sines in rows of {stride}, {half} used", cos.len(), sin.len());
            if is_whole { Ok(Some(positions)) } else { Err(sizes) }
        }
        Angles::Frequencies { inverse, scale } => {
            inverse.iter().chain([scale]).try_for_each(|number| check_finite(*number, "rotary embedding"))?;
            Ok(None)
        }
    }
}

fn left_to_tract(foreign: &Foreign, inputs: usize, x: Type) -> Result<Type, String> {
    let given = foreign.node.inputs.iter().filter(|input| !input.is_empty()).count();
    if given != inputs + foreign.constants.len() {
        return Err(format!("it has {given} inputs, of which {} are known", inputs + foreign.constants.len()));
    }
    for (_, constant) in &foreign.constants {
        let len = constant.values.len();
        let fits = match constant.form {
            Form::Scalar => len == 1,
            Form::Row => len == x.width,
            Form::Repeated => len == 1 || len == x.width,
        };
        if !fits {
            return Err(format!("a constant of {len} numbers on rows of {}", x.width));
        }
        if constant.values.iter().any(|value| value.is_nan()) {
            return Err("a constant that is not a number (NaN)".into());
        }
    }
    Ok(x)
}
