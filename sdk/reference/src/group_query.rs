//! ONNX Runtime's GroupQueryAttention.

use crate::ReferenceError;
use crate::call::{Call, Outputs};
use crate::heads::{Heads, Scores, attend};
use crate::index::stretched;
use crate::rotary::{Rotation, position_ids};

/// Inputs by their number.
mod input {
    pub(super) const QUERY: usize = 0;
    pub(super) const KEY: usize = 1;
    pub(super) const VALUE: usize = 2;
    pub(super) const PAST_KEY: usize = 3;
    pub(super) const PAST_VALUE: usize = 4;
    pub(super) const LENGTHS_LESS_ONE: usize = 5;
    pub(super) const TOTAL: usize = 6;
    pub(super) const COS: usize = 7;
    pub(super) const SIN: usize = 8;
    pub(super) const POSITIONS: usize = 9;
    pub(super) const BIAS: usize = 10;
    pub(super) const SINKS: usize = 11;
    pub(super) const Q_NORM: usize = 14;
    pub(super) const K_NORM: usize = 15;
    /// Scales of quantised caches, and lengths of padded queries.
    pub(super) const NOT_KNOWN: [usize; 3] = [12, 13, 16];
}

/// Where the rows of a batch are: row `s` of batch `b` is at position `past[b] + s`, and keys are those before `total[b]`.
struct Place {
    past: Vec<usize>,
    total: Vec<usize>,
    /// Positions of the caches that are given back.
    present: usize,
}

/// The operator: norms of queries and keys, rotation, caches, and attention, in this order.
pub(crate) fn group_query(call: &Call) -> Outputs {
    refuse_unknown(call)?;
    let [mut q, mut k, v] = parts(call)?;
    let place = place(call, &q)?;
    let rows = |heads: &Heads| (heads.batch, heads.length);
    let alike = rows(&q) == rows(&k) && rows(&q) == rows(&v) && q.size == k.size;
    call.expect(alike, || "queries, keys and values have other rows, or heads of another size".into())?;
    norms(call, &mut q, &mut k)?;
    if call.flag("do_rotary", false)? {
        rotate(call, [&mut q, &mut k], &place)?;
    }
    let past = |batch: usize| place.past[batch];
    let k_all = k.behind(call, call.optional(input::PAST_KEY), place.present, past)?;
    let v_all = v.behind(call, call.optional(input::PAST_VALUE), place.present, past)?;
    let window = call.int("local_window_size")?.unwrap_or(-1);
    let causal = call.flag("causal", true)?;
    call.expect(causal || window == -1, || "a window without causality".into())?;
    let added = Added::new(call, &q)?;
    let bias = |batch: usize, head: usize, row: usize, key: usize| {
        let position = place.past[batch] + row;
        let behind = causal && (key > position || (window > 0 && (position - key) as i64 >= window));
        if behind || key >= place.total[batch] { f64::NEG_INFINITY } else { added.at(batch, head, row, key) }
    };
    let scores = Scores {
        scale: scale(call, q.size)?,
        softcap: call.float("softcap")?.unwrap_or(0.0).into(),
        bias_inside_cap: false,
        sinks: sinks(call, q.heads)?,
        bias: &bias,
    };
    let result = attend(call, (&q, &k_all, &v_all), &scores)?;
    let like = call.input(input::QUERY)?;
    Ok(vec![result.joined(call, like)?, k_all.apart(like), v_all.apart(like)])
}

fn refuse_unknown(call: &Call) -> Result<(), ReferenceError> {
    call.only("qk_output", 0)?;
    call.only("kv_cache_bit_width", 0)?;
    for name in ["k_quant_type", "v_quant_type"] {
        if call.text(name)?.is_some_and(|kind| kind != "NONE") {
            return Err(call.unsupported("quantised caches are not known"));
        }
    }
    if let Some(index) = input::NOT_KNOWN.into_iter().find(|index| call.optional(*index).is_some()) {
        return Err(call.unsupported(format!("its input {index} is not known")));
    }
    Ok(())
}

fn head_count(call: &Call, name: &str) -> Result<usize, ReferenceError> {
    let count = call.int(name)?.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
    count.ok_or_else(|| call.refuse(format!("`{name}` is absent or no number of heads")))
}

/// Queries, keys and values: three operands, or the columns of one.
fn parts(call: &Call) -> Result<[Heads; 3], ReferenceError> {
    let (heads, shared) = (head_count(call, "num_heads")?, head_count(call, "kv_num_heads")?);
    let query = call.input(input::QUERY)?;
    match (call.optional(input::KEY), call.optional(input::VALUE)) {
        (Some(key), Some(value)) => {
            Ok([Heads::of(call, query, heads)?, Heads::of(call, key, shared)?, Heads::of(call, value, shared)?])
        }
        (None, None) => {
            let width = query.dims.get(2).copied().unwrap_or(0);
            let all = shared.checked_mul(2).and_then(|both| both.checked_add(heads)).filter(|all| width.is_multiple_of(*all));
            let size = width / all.ok_or_else(|| call.refuse(format!("{width} columns are not so many heads")))?;
            let at = |from: usize, count| Heads::columns(call, query, from * size, (count, size));
            Ok([at(0, heads)?, at(heads, shared)?, at(heads + shared, shared)?])
        }
        _ => Err(call.refuse("keys and values are not given together")),
    }
}

/// A prompt, whose rows are as many as the longest total, begins at 0; later rows end where their total does.
fn place(call: &Call, q: &Heads) -> Result<Place, ReferenceError> {
    let last = call.ints(input::LENGTHS_LESS_ONE)?;
    call.expect(last.len() == q.batch, || format!("{} lengths are not one for each of {} rows", last.len(), q.batch))?;
    let longest = call.one_int(input::TOTAL)?.and_then(|total| usize::try_from(total).ok());
    let longest = longest.ok_or_else(|| call.refuse("the total length is absent or negative"))?;
    let prompt = longest == q.length;
    let mut place = Place { past: Vec::new(), total: Vec::new(), present: longest };
    for last in last {
        let total = last.checked_add(1).and_then(|total| usize::try_from(total).ok()).filter(|total| *total <= longest);
        let total = total.ok_or_else(|| call.refuse(format!("the length {last} + 1 is not among {longest}")))?;
        let past = if prompt { Some(0) } else { total.checked_sub(q.length) };
        place.past.push(past.ok_or_else(|| call.refuse(format!("{} rows do not end at {total}", q.length)))?);
        place.total.push(total);
    }
    let held = |index| call.optional(index).filter(|cache| !cache.data.is_empty()).and_then(|cache| cache.dims.get(2).copied());
    if call.flag("sliding_window_cache", false)? && place.past.iter().any(|past| held(input::PAST_KEY).unwrap_or(0) != *past) {
        return Err(call.unsupported("a cache that holds a window alone is not known"));
    }
    place.present = place.present.max(held(input::PAST_KEY).unwrap_or(0));
    Ok(place)
}

/// Heads of queries and keys brought to a mean square of 1 and scaled, where there are weights for it.
fn norms(call: &Call, q: &mut Heads, k: &mut Heads) -> Result<(), ReferenceError> {
    let both = call.float("qk_norm_epsilon")?.unwrap_or(1e-6);
    for (heads, weights, name) in [(q, input::Q_NORM, "q_norm_epsilon"), (k, input::K_NORM, "k_norm_epsilon")] {
        let Some(weights) = call.optional(weights) else { continue };
        let epsilon = f64::from(call.float(name)?.unwrap_or(both));
        call.expect(weights.dims == [heads.size], || format!("norm weights of {:?} do not fit {}", weights.dims, heads.size))?;
        let weights = call.as_floats(weights)?;
        for (batch, head, at) in heads.places() {
            let vector = heads.at_mut(batch, head, at);
            let square = vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / vector.len() as f64;
            let inverse = 1.0 / (square + epsilon).sqrt();
            vector.iter_mut().zip(weights).for_each(|(x, weight)| *x = (f64::from(*x) * inverse * f64::from(*weight)) as f32);
        }
    }
    Ok(())
}

fn rotate(call: &Call, both: [&mut Heads; 2], place: &Place) -> Result<(), ReferenceError> {
    let (cos, sin) = (call.input(input::COS)?, call.input(input::SIN)?);
    call.expect(cos.rank() == 2, || format!("tables of {:?} are not by position", cos.dims))?;
    let rotation = Rotation::new(call, cos, sin, call.flag("rotary_interleaved", false)?)?;
    for heads in both {
        let (batch, length) = (heads.batch, heads.length);
        match call.optional(input::POSITIONS) {
            Some(ids) => {
                let ids = position_ids(call, ids, (batch, length))?;
                rotation.turn(call, heads, |batch, at| usize::try_from(ids[batch * length + at]).ok())?;
            }
            None => rotation.turn(call, heads, |batch, at| Some(place.past[batch] + at))?,
        }
    }
    Ok(())
}

/// A bias over (batch, head, query, key), of which the first two may be 1.
struct Added<'a> {
    values: &'a [f32],
    strides: Vec<isize>,
}

impl<'a> Added<'a> {
    fn new(call: &'a Call, q: &Heads) -> Result<Self, ReferenceError> {
        let Some(bias) = call.optional(input::BIAS) else { return Ok(Self { values: &[0.0], strides: vec![0; 4] }) };
        let total = call.one_int(input::TOTAL)?.and_then(|total| usize::try_from(total).ok()).unwrap_or(0);
        let strides = stretched(&bias.dims, &[q.batch, q.heads, q.length, total]).filter(|_| bias.rank() == 4);
        let strides = strides.ok_or_else(|| call.refuse(format!("a bias of {:?} does not fit {total} keys", bias.dims)))?;
        Ok(Self { values: call.as_floats(bias)?, strides })
    }

    fn at(&self, batch: usize, head: usize, row: usize, key: usize) -> f64 {
        let index = [batch, head, row, key];
        self.values[index.iter().zip(&self.strides).map(|(index, stride)| index * *stride as usize).sum::<usize>()].into()
    }
}

fn scale(call: &Call, size: usize) -> Result<f64, ReferenceError> {
    match call.float("scale")? {
        None | Some(0.0) => Ok(1.0 / (size as f64).sqrt()),
        Some(scale) => Ok(scale.into()),
    }
}

/// Attention sinks, a score for each head: the operand, else zeros with `smooth_softmax`, else none.
fn sinks(call: &Call, heads: usize) -> Result<Option<Vec<f64>>, ReferenceError> {
    match call.optional(input::SINKS) {
        Some(sinks) => Ok(Some(call.as_floats(sinks)?.iter().map(|sink| f64::from(*sink)).collect())),
        None => Ok(call.flag("smooth_softmax", false)?.then(|| vec![0.0; heads])),
    }
}
