//! Attention, whatever operator asks for it: heads of queries over heads of keys and values.

use crate::ReferenceError;
use crate::call::Call;
use crate::index::product;
use crate::value::Value;

/// `[batch, heads, length, size]`, row-major.
#[derive(Clone, Debug)]
pub(crate) struct Heads {
    pub(crate) values: Vec<f32>,
    pub(crate) batch: usize,
    pub(crate) heads: usize,
    pub(crate) length: usize,
    pub(crate) size: usize,
}

impl Heads {
    /// From `[batch, length, heads * size]`, columns `from..from + heads * size` of it; or from four axes as they are here.
    pub(crate) fn of(call: &Call, value: &Value, heads: usize) -> Result<Self, ReferenceError> {
        match value.dims[..] {
            [batch, own, length, size] if own == heads => {
                call.room(&value.dims)?;
                Ok(Self { values: call.as_floats(value)?.to_vec(), batch, heads, length, size })
            }
            [_, _, width] if heads > 0 && width.is_multiple_of(heads) => Self::columns(call, value, 0, (heads, width / heads)),
            _ => Err(call.refuse(format!("{:?} does not have {heads} heads", value.dims))),
        }
    }

    /// From the columns of `[batch, length, width]` that begin at `from`.
    pub(crate) fn columns(
        call: &Call,
        value: &Value,
        from: usize,
        (heads, size): (usize, usize),
    ) -> Result<Self, ReferenceError> {
        let [batch, length, width] = value.dims[..] else {
            return Err(call.refuse(format!("{:?} has no three axes", value.dims)));
        };
        let end = heads.checked_mul(size).and_then(|wide| wide.checked_add(from));
        call.expect(end.is_some_and(|end| end <= width), || format!("{heads} heads of {size} are not among {width} columns"))?;
        let count = call.room(&[batch, heads, length, size])?;
        let x = call.as_floats(value)?;
        let mut values = Vec::with_capacity(count);
        if count > 0 {
            for (row, head, at) in (0..batch).flat_map(|b| (0..heads).flat_map(move |h| (0..length).map(move |l| (b, h, l)))) {
                let start = (row * length + at) * width + from + head * size;
                values.extend_from_slice(&x[start..start + size]);
            }
        }
        Ok(Self { values, batch, heads, length, size })
    }

    /// The vector of one head at one position.
    pub(crate) fn at(&self, batch: usize, head: usize, position: usize) -> &[f32] {
        let start = ((batch * self.heads + head) * self.length + position) * self.size;
        &self.values[start..start + self.size]
    }

    /// The vector of one head at one position, to change.
    pub(crate) fn at_mut(&mut self, batch: usize, head: usize, position: usize) -> &mut [f32] {
        let start = ((batch * self.heads + head) * self.length + position) * self.size;
        &mut self.values[start..start + self.size]
    }

    /// Each batch, head and position.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, usize, usize)> + use<> {
        let (batch, heads, length) = (self.batch, self.heads, self.length);
        let batch = if self.values.is_empty() { 0 } else { batch };
        (0..batch).flat_map(move |b| (0..heads).flat_map(move |h| (0..length).map(move |l| (b, h, l))))
    }

    /// Behind a cache `[batch, heads, past, size]`, of which the first `past(batch)` positions count; `length` positions in
    /// the result, those that nothing fills zero. A cache without elements may have any shape.
    pub(crate) fn behind(
        self,
        call: &Call,
        cache: Option<&Value>,
        length: usize,
        past: impl Fn(usize) -> usize,
    ) -> Result<Self, ReferenceError> {
        let (batch, heads, size) = (self.batch, self.heads, self.size);
        let cache = cache.filter(|cache| !cache.data.is_empty());
        let held = match cache.map(|cache| &cache.dims[..]) {
            None => 0,
            Some(&[b, h, held, s]) if (b, h, s) == (batch, heads, size) => held,
            Some(dims) => return Err(call.refuse(format!("a cache of {dims:?} does not fit [{batch}, {heads}, _, {size}]"))),
        };
        let old = cache.map(|cache| call.as_floats(cache)).transpose()?.unwrap_or(&[]);
        let count = call.room(&[batch, heads, length, size])?;
        let mut all = Self { values: vec![0.0; count], batch, heads, length, size };
        for row in 0..if count == 0 { 0 } else { batch } {
            let before = past(row);
            let fits = before <= held && before.checked_add(self.length).is_some_and(|end| end <= length);
            call.expect(fits, || format!("{before} positions are cached of {held}, and {} follow up to {length}", self.length))?;
            for head in 0..heads {
                for at in 0..before {
                    let start = ((row * heads + head) * held + at) * size;
                    all.at_mut(row, head, at).copy_from_slice(&old[start..start + size]);
                }
                for at in 0..self.length {
                    all.at_mut(row, head, before + at).copy_from_slice(self.at(row, head, at));
                }
            }
        }
        Ok(all)
    }

    /// As `[batch, length, heads * size]`.
    pub(crate) fn joined(&self, call: &Call, like: &Value) -> Result<Value, ReferenceError> {
        let dims = [self.batch, self.length, product(&[self.heads, self.size])];
        let count = call.room(&dims)?;
        let mut values = vec![0.0; count];
        for (batch, head, at) in self.places() {
            let start = ((batch * self.length + at) * self.heads + head) * self.size;
            values[start..start + self.size].copy_from_slice(self.at(batch, head, at));
        }
        Ok(like.floats_like(dims, values))
    }

    /// As `[batch, heads, length, size]`.
    pub(crate) fn apart(self, like: &Value) -> Value {
        like.floats_like([self.batch, self.heads, self.length, self.size], self.values)
    }
}

/// How scores become weights.
pub(crate) struct Scores<'a> {
    /// Factor of the product of query and key.
    pub(crate) scale: f64,
    /// Soft cap: scores are squeezed between this and its negative; 0 for none.
    pub(crate) softcap: f64,
    /// Whether the bias is added before scores are squeezed.
    pub(crate) bias_inside_cap: bool,
    /// Attention sinks: a score for each query head that takes weight in the softmax and has no value.
    pub(crate) sinks: Option<Vec<f64>>,
    /// Term added to the score at (batch, query head, query, key); negative infinity masks the key.
    #[allow(clippy::type_complexity, reason = "four indices")]
    pub(crate) bias: &'a dyn Fn(usize, usize, usize, usize) -> f64,
}

impl Scores<'_> {
    fn squeezed(&self, score: f64) -> f64 {
        if self.softcap > 0.0 { self.softcap * (score / self.softcap).tanh() } else { score }
    }

    fn score(&self, product: f64, bias: f64) -> f64 {
        match bias {
            f64::NEG_INFINITY => f64::NEG_INFINITY,
            bias if self.bias_inside_cap => self.squeezed(product * self.scale + bias),
            bias => self.squeezed(product * self.scale) + bias,
        }
    }
}

/// Each query's mean of the values, weighted by the exponentials of its scores; zeros where it sees no key. Every head of
/// keys serves as many heads of queries, one after the other.
pub(crate) fn attend(call: &Call, (q, k, v): (&Heads, &Heads, &Heads), how: &Scores<'_>) -> Result<Heads, ReferenceError> {
    let alike = q.size == k.size && k.batch == q.batch && v.batch == q.batch && k.heads == v.heads && k.length == v.length;
    call.expect(alike && k.heads > 0 && q.heads.is_multiple_of(k.heads), || {
        format!("{} heads of queries do not fit {} of keys and {} of values", q.heads, k.heads, v.heads)
    })?;
    call.expect(how.sinks.as_ref().is_none_or(|sinks| sinks.len() == q.heads), || "not a sink for each head".into())?;
    let shared = q.heads / k.heads;
    call.work(&[q.batch, q.heads, q.length, k.length, q.size.saturating_add(v.size)])?;
    call.room(&[k.length])?;
    let count = call.room(&[q.batch, q.heads, q.length, v.size])?;
    let (batch, heads, length) = (q.batch, q.heads, q.length);
    let mut result = Heads { values: vec![0.0; count], batch, heads, length, size: v.size };
    for (batch, head, row) in result.places() {
        let query = q.at(batch, head, row);
        let score = |at: usize| how.score(dot(query, k.at(batch, head / shared, at)), (how.bias)(batch, head, row, at));
        let scores: Vec<f64> = (0..k.length).map(score).collect();
        let sink = how.sinks.as_ref().map(|sinks| sinks[head]);
        let seen = scores.iter().any(|score| *score != f64::NEG_INFINITY);
        if !seen {
            continue;
        }
        let greatest = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
        let weights: Vec<f64> = scores.iter().map(|score| (score - greatest).exp()).collect();
        let sum = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - greatest).exp());
        let mut mean = vec![0.0; v.size];
        for (at, weight) in weights.iter().enumerate().filter(|(_, weight)| **weight != 0.0) {
            mean.iter_mut().zip(v.at(batch, head / shared, at)).for_each(|(mean, v)| *mean += weight / sum * f64::from(*v));
        }
        result.at_mut(batch, head, row).iter_mut().zip(mean).for_each(|(to, mean)| *to = mean as f32);
    }
    Ok(result)
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
