//! ONNX's attention of operator sets 23 and 24, and ONNX Runtime's MultiHeadAttention.

use crate::call::{Call, Outputs};
use crate::heads::{Heads, Scores, attend};
use crate::index::stretched;
use crate::value::Value;
use crate::{Data, ReferenceError};

/// ONNX's operator. `qk_matmul_output` is not given.
pub(crate) fn attention(call: &Call) -> Outputs {
    let (q, k, v) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let heads = |name, value: &Value| match (value.rank(), call.int(name)?) {
        (4, None) => Ok(value.dims[1]),
        (3, None) => Err(call.refuse(format!("`{name}` is absent"))),
        (_, Some(heads)) => usize::try_from(heads).map_err(|_| call.refuse(format!("`{name}` is negative"))),
        _ => Err(call.refuse(format!("{:?} has neither three nor four axes", value.dims))),
    };
    let q_heads = Heads::of(call, q, heads("q_num_heads", q)?)?;
    let kv = heads("kv_num_heads", k)?;
    let (k_heads, v_heads) = (Heads::of(call, k, kv)?, Heads::of(call, v, kv)?);
    let (past_k, past_v) = (call.optional(4), call.optional(5));
    call.expect(past_k.is_some() == past_v.is_some(), || "past keys and values are not given together".into())?;
    let past = past_k.map_or(0, |past| past.dims.get(2).copied().unwrap_or(0));
    let (k_all, v_all) = (appended(call, k_heads, past_k)?, appended(call, v_heads, past_v)?);
    let unpadded = call.optional(6).map(|lengths| call.as_ints(lengths)).transpose()?;
    let fits = unpadded.is_none_or(|lengths| lengths.len() == q_heads.batch && past_k.is_none());
    call.expect(fits, || "`nonpad_kv_seqlen` is not one length for each row of a batch without a past".into())?;
    let masked = Mask::new(call, call.optional(3), [q_heads.batch, q_heads.heads, q_heads.length, k_all.length])?;
    let causal = call.flag("is_causal", false)?;
    let length = q_heads.length as i64;
    let bias = |batch: usize, head: usize, row: usize, key: usize| {
        let before = unpadded.map_or(past as i64, |lengths| lengths[batch].saturating_sub(length));
        let hidden = unpadded.is_some_and(|lengths| key as i64 >= lengths[batch])
            || (causal && key as i64 > (row as i64).saturating_add(before));
        if hidden { f64::NEG_INFINITY } else { masked.at(batch, head, row, key) }
    };
    let scale = scale(call, q_heads.size)?;
    let softcap = call.float("softcap")?.unwrap_or(0.0).into();
    let scores = Scores { scale, softcap, bias_inside_cap: false, sinks: None, bias: &bias };
    let result = attend(call, (&q_heads, &k_all, &v_all), &scores)?;
    let y = if q.rank() == 4 { result.apart(q) } else { result.joined(call, q)? };
    Ok(vec![y, k_all.apart(k), v_all.apart(v)])
}

/// Behind all positions of a cache.
fn appended(call: &Call, fresh: Heads, past: Option<&Value>) -> Result<Heads, ReferenceError> {
    let held = past.map_or(0, |past| past.dims.get(2).copied().unwrap_or(0));
    let length = held.checked_add(fresh.length).ok_or_else(|| call.refuse("a cache is too long"))?;
    let held = if past.is_none_or(|past| past.data.is_empty()) { 0 } else { held };
    let length = if held == 0 { fresh.length } else { length };
    fresh.behind(call, past, length, |_| held)
}

/// Factor of the scores: the attribute, or one over the square root of the head's size.
fn scale(call: &Call, size: usize) -> Result<f64, ReferenceError> {
    match call.float("scale")? {
        Some(scale) if scale < 0.0 => Err(call.refuse(format!("the scale {scale} is negative"))),
        Some(scale) => Ok(scale.into()),
        None => Ok(1.0 / (size as f64).sqrt()),
    }
}

/// A mask over (batch, head, query, key): truth values that let keys be seen, or numbers to add. Keys behind the end of its
/// last axis are not seen.
struct Mask<'a> {
    value: Option<&'a Value>,
    strides: Vec<isize>,
    keys: usize,
}

impl<'a> Mask<'a> {
    fn new(call: &Call, value: Option<&'a Value>, to: [usize; 4]) -> Result<Self, ReferenceError> {
        let Some(mask) = value else { return Ok(Self { value, strides: vec![0; 4], keys: to[3] }) };
        let short = mask.dims.last().copied().filter(|keys| call.opset >= 24 && *keys < to[3]);
        let keys = short.unwrap_or(to[3]);
        let strides = stretched(&mask.dims, &[to[0], to[1], to[2], keys]);
        let strides = strides.ok_or_else(|| call.refuse(format!("a mask of {:?} does not stretch to {to:?}", mask.dims)))?;
        call.expect(!matches!(mask.data, Data::Int(_)), || "a mask of integers is not known".into())?;
        Ok(Self { value, strides, keys })
    }

    fn at(&self, batch: usize, head: usize, row: usize, key: usize) -> f64 {
        let Some(mask) = self.value else { return 0.0 };
        if key >= self.keys {
            return f64::NEG_INFINITY;
        }
        let at = [batch, head, row, key].iter().zip(&self.strides).map(|(index, stride)| index * *stride as usize).sum::<usize>();
        match &mask.data {
            Data::Bool(seen) => {
                if seen[at] {
                    0.0
                } else {
                    f64::NEG_INFINITY
                }
            }
            Data::Float(added) => added[at].into(),
            Data::Int(_) => 0.0,
        }
    }
}

/// ONNX Runtime's operator, with separate queries, keys and values of three axes.
pub(crate) fn multi_head(call: &Call) -> Outputs {
    let (q, k, v) = (call.input(0)?, call.input(1)?, call.input(2)?);
    for (index, name) in [(4, "key_padding_mask"), (8, "past_sequence_length"), (9, "cache_indirection")] {
        if call.optional(index).is_some() {
            return Err(call.unsupported(format!("`{name}` is not known")));
        }
    }
    let heads = call.int("num_heads")?.and_then(|heads| usize::try_from(heads).ok());
    let heads = heads.ok_or_else(|| call.refuse("`num_heads` is absent or negative"))?;
    call.expect([q, k, v].iter().all(|x| x.rank() == 3), || "an operand has not three axes".into())?;
    let mut parts = [Heads::of(call, q, heads)?, Heads::of(call, k, heads)?, Heads::of(call, v, heads)?];
    if let Some(bias) = call.optional(3) {
        shift(call, &mut parts, call.as_floats(bias)?)?;
    }
    let [q_heads, k_heads, v_heads] = parts;
    let (past_k, past_v) = (call.optional(6), call.optional(7));
    let (new, k_all) = (k_heads.length, appended(call, k_heads, past_k)?);
    let v_all = appended(call, v_heads, past_v)?;
    let past = k_all.length - new;
    let mask = Mask::new(call, call.optional(5), [q_heads.batch, q_heads.heads, q_heads.length, k_all.length])?;
    let causal = call.flag("unidirectional", false)?;
    let bias = |batch: usize, head: usize, row: usize, key: usize| {
        if causal && key > row + past { f64::NEG_INFINITY } else { mask.at(batch, head, row, key) }
    };
    let scale = match scale(call, q_heads.size)? {
        0.0 => 1.0 / (q_heads.size as f64).sqrt(),
        scale => scale,
    };
    let scores = Scores { scale, softcap: 0.0, bias_inside_cap: false, sinks: None, bias: &bias };
    let result = attend(call, (&q_heads, &k_all, &v_all), &scores)?;
    Ok(vec![result.joined(call, q)?, k_all.apart(k), v_all.apart(v)])
}

/// Adds a bias over the columns of queries, keys and values, one behind the other.
fn shift(call: &Call, parts: &mut [Heads; 3], bias: &[f32]) -> Result<(), ReferenceError> {
    let widths: Vec<usize> = parts.iter().map(|part| part.heads.saturating_mul(part.size)).collect();
    call.expect(bias.len() == widths.iter().sum::<usize>(), || format!("a bias of {} does not fit {widths:?}", bias.len()))?;
    let mut from = 0;
    for (part, width) in parts.iter_mut().zip(widths) {
        for (batch, head, at) in part.places() {
            let columns = &bias[from + head * part.size..][..part.size];
            part.at_mut(batch, head, at).iter_mut().zip(columns).for_each(|(x, bias)| *x += bias);
        }
        from += width;
    }
    Ok(())
}
