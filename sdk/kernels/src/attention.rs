//! Causal grouped-query attention over the paged cache.
//!
//! Two loops over the pool. The first writes the keys and values of the step's rows into their pages. The second attends: an item
//! takes some consecutive rows of one sequence and the query heads that share one head of keys, at most [`ITEM_QUERIES`] queries
//! together (or those of one row, if they are more), and reads the pages once for all of them, with the online softmax. Sequences
//! that decode a row each and begin with the same pages, such as the candidates after one prompt, share an item: the common pages
//! are read once for all of them, then each sequence's own.
//!
//! ```text
//! top = -inf, total = 0, sum[value_dim] = 0                       for each query
//! for each page:
//!     scores = queries * keys                                     [queries, positions], a product over head_dim
//!     -inf where a position comes after the query's own, or before its window
//!     new_top = max(top, scores);  p = exp(scores - new_top)
//!     total = total * exp(top - new_top) + sum of p;  sum likewise
//!     sum += p * values                                           [queries, value_dim], a product over positions
//! out = sum / total
//! ```
//!
//! A query's result depends on its own position and the pages alone, not on the rows that share its item or its step.

mod plan;

use std::mem::MaybeUninit;
use std::ops::Range;

use half::f16;

use self::plan::Item;
pub(crate) use self::plan::Plan;
use crate::float_product::{Dims, Rows, Stored, columns};
use crate::kv::{KvArena, KvElement, KvLayout, LayerKv};
use crate::math::{exp, tanh};
use crate::norm::Norm;
use crate::pool::Pool;
use crate::product::Scratch;
use crate::rotary::RotaryRows;
use crate::simd::{Kernel, MAX_LANES, Simd};

/// Queries of an item: enough to make use of each key and value that is loaded, few enough to stay in the first-level cache.
const ITEM_QUERIES: usize = 32;

/// A root-mean-square norm over each head of queries or keys.
#[derive(Clone, Copy, Debug)]
pub struct HeadNorm<'a> {
    /// `[head_dim]`
    pub weight: &'a [f32],
    /// Added to the weight: 0, or 1 for Gemma.
    pub offset: f32,
    /// Added to the mean square.
    pub eps: f32,
}

/// Parameters of one layer's attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionShape<'a> {
    /// The layer of the cache.
    pub layer: usize,
    /// Query heads; a multiple of the layer's key and value heads.
    pub q_heads: usize,
    /// Factor on the scores; usually `1 / sqrt(head_dim)`.
    pub scale: f32,
    /// Scores become `cap * tanh(score / cap)`.
    pub softcap: Option<f32>,
    /// A row sees itself and the `window - 1` positions before it; everything before it where there is none. At least 1.
    pub window: Option<usize>,
    /// Applied to each query head, before the rotation unless `norm_after_rotation` says otherwise.
    pub q_norm: Option<HeadNorm<'a>>,
    /// Applied to each key head, likewise.
    pub k_norm: Option<HeadNorm<'a>>,
    /// Whether heads are rotated first and normed afterwards, as in HunYuan; usually not. The two do not commute where a
    /// norm's weights differ.
    pub norm_after_rotation: bool,
    /// Applied to queries and keys.
    pub rotary: Option<RotaryRows<'a>>,
}

/// Consecutive rows of a step that belong to one sequence.
#[derive(Clone, Copy, Debug)]
pub struct SequenceRows<'a> {
    /// The pages of the sequence: position `p` lies in `pages[p / page_positions]`. They must reach to `past + rows`; more are
    /// ignored. Sequences of one step may share the pages of a common prefix, but not a page that one of them writes to.
    pub pages: &'a [u32],
    /// Positions already in the cache; the first row has position `past`.
    pub past: usize,
    /// The first row's index in the step. Sequences come in the order of their rows.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
}

/// Writes the keys and values of all rows into the cache, then attends.
///
/// With `width = q_heads * head_dim + kv_heads * (head_dim + value_dim)`, `qkv` is `[rows, width]`: queries, keys, values. `out` is
/// `[rows, q_heads * value_dim]`; rows outside all of `runs` are left unchanged. Values in the cache are taken to be
/// finite: an infinite one can reach rows that do not see it.
///
/// # Panics
/// Where lengths, heads or pages do not fit together, rows of two sequences overlap, or two sequences write to one page.
pub fn attention(
    pool: &Pool,
    scratch: &mut Scratch,
    shape: &AttentionShape<'_>,
    arena: &mut KvArena,
    runs: &[SequenceRows<'_>],
    qkv: &[f32],
    out: &mut [f32],
) {
    check(shape, arena, runs, qkv, out);
    let page_bytes = arena.page_bytes();
    let (layout, bytes) = arena.split();
    let heads = layout.layers()[shape.layer];
    let (plan, workers) = scratch.split_attention(pool.threads());
    plan.fill(heads.kv_heads, layout.page_positions(), shape, runs, pool.threads());
    let call = Call {
        shape,
        heads,
        layout,
        runs,
        qkv,
        cache: Rows { at: bytes.as_mut_ptr(), stride: page_bytes },
        out: Rows { at: out.as_mut_ptr(), stride: shape.q_heads * heads.value_dim },
    };
    for (items, write) in [(&plan.writes, true), (&plan.reads, false)] {
        pool.for_each(items.len(), |item, worker| {
            // SAFETY: this job's worker.
            let buffer = unsafe { workers.get(worker) }.attention.get(call.buffer_floats());
            pool.isa().run(AttentionItem { call: &call, item: &items[item], write, buffer });
        });
    }
}

/// # Panics
/// Where anything does not fit together; what this accepts, the kernels can trust.
fn check(shape: &AttentionShape<'_>, arena: &KvArena, runs: &[SequenceRows<'_>], qkv: &[f32], out: &[f32]) {
    let LayerKv { kv_heads, head_dim, value_dim } = arena.layout().layers()[shape.layer];
    let q_heads = shape.q_heads;
    assert!(q_heads > 0 && q_heads.is_multiple_of(kv_heads), "{q_heads} query heads over {kv_heads}");
    assert!(shape.window != Some(0), "a window of no positions");
    let product = |a: usize, b: usize| a.checked_mul(b);
    let width = product(q_heads, head_dim).zip(product(kv_heads, head_dim + value_dim)).and_then(|(q, kv)| q.checked_add(kv));
    let (width, out_width) = width.zip(product(q_heads, value_dim)).expect("heads whose values can be counted");
    let rows = qkv.len() / width;
    let fits = qkv.len() == rows * width && product(rows, out_width) == Some(out.len());
    assert!(fits, "qkv {} and out {} for rows of {width} and {out_width}", qkv.len(), out.len());
    for norm in [shape.q_norm, shape.k_norm].into_iter().flatten() {
        assert!(norm.weight.len() == head_dim, "a head norm of {} for {head_dim}", norm.weight.len());
    }
    if let Some(RotaryRows { cos, sin, rotary_dim, .. }) = shape.rotary {
        assert!(rotary_dim.is_multiple_of(2) && rotary_dim <= head_dim, "{rotary_dim} of {head_dim} values rotated");
        let angles = rows * rotary_dim / 2;
        assert!(cos.len() == angles && sin.len() == angles, "{} cosines and {} sines for {angles}", cos.len(), sin.len());
    }
    let mut free = 0;
    for run in runs {
        let end = run.first_row.checked_add(run.rows).filter(|end| run.first_row >= free && *end <= rows);
        free = end.unwrap_or_else(|| panic!("runs overlap or reach beyond {rows} rows"));
        let positions = run.past.checked_add(run.rows).expect("positions that can be counted");
        let pages = positions.div_ceil(arena.layout().page_positions());
        assert!(pages <= run.pages.len(), "{} pages where {pages} are needed", run.pages.len());
        assert!(run.pages[..pages].iter().all(|&page| (page as usize) < arena.pages()), "a page beyond {}", arena.pages());
    }
}

/// State shared by all items of a call.
struct Call<'a> {
    shape: &'a AttentionShape<'a>,
    heads: LayerKv,
    layout: &'a KvLayout,
    runs: &'a [SequenceRows<'a>],
    /// `[rows, width]`
    qkv: &'a [f32],
    /// `[pages, page bytes]`
    cache: Rows<u8>,
    /// `[rows, q_heads * value_dim]`
    out: Rows<f32>,
}

/// One item.
struct AttentionItem<'a> {
    call: &'a Call<'a>,
    item: &'a Item,
    /// Whether to write keys and values; otherwise attend.
    write: bool,
    buffer: &'a mut [f32],
}

impl Kernel for AttentionItem<'_> {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        match (self.call.layout.element(), self.write) {
            (KvElement::Float32, true) => self.call.write::<S, f32>(s, self.item, self.buffer),
            (KvElement::Float32, false) => self.call.attend::<S, f32>(s, self.item, self.buffer),
            (KvElement::Float16, true) => self.call.write::<S, f16>(s, self.item, self.buffer),
            (KvElement::Float16, false) => self.call.attend::<S, f16>(s, self.item, self.buffer),
        }
    }
}

/// The buffers of an item for `queries` queries.
struct Working<'a> {
    /// `[queries, head_dim]`
    queries: &'a mut [f32],
    /// `[queries, positions]`
    scores: &'a mut [f32],
    /// `[queries, value_dim]`
    sums: &'a mut [f32],
    /// `[queries]`: the largest score so far.
    tops: &'a mut [f32],
    /// `[queries]`: the sum of `exp(score - top)` so far.
    totals: &'a mut [f32],
}

impl Working<'_> {
    /// The buffers of some of the queries.
    #[inline(always)]
    fn part(&mut self, queries: Range<usize>) -> Working<'_> {
        let count = self.tops.len();
        fn of<'a>(values: &'a mut [f32], queries: &Range<usize>, count: usize) -> &'a mut [f32] {
            let width = values.len() / count;
            &mut values[queries.start * width..queries.end * width]
        }
        Working {
            queries: of(self.queries, &queries, count),
            scores: of(self.scores, &queries, count),
            sums: of(self.sums, &queries, count),
            tops: of(self.tops, &queries, count),
            totals: of(self.totals, &queries, count),
        }
    }
}

impl Call<'_> {
    /// Query heads that share a head of keys and values.
    fn group(&self) -> usize {
        self.shape.q_heads / self.heads.kv_heads
    }

    /// Floats of an item's buffer.
    fn buffer_floats(&self) -> usize {
        let floats = self.heads.head_dim + self.layout.page_positions() + self.heads.value_dim + 2;
        ITEM_QUERIES.max(self.group()) * floats
    }

    /// Values `range` of a row of qkv.
    #[inline(always)]
    fn row(&self, row: usize, range: Range<usize>) -> &[f32] {
        let LayerKv { kv_heads, head_dim, value_dim } = self.heads;
        &self.qkv[row * (self.shape.q_heads * head_dim + kv_heads * (head_dim + value_dim))..][range]
    }

    /// Copies a head of queries or keys, norms and rotates it.
    #[inline(always)]
    fn prepare<S: Simd>(&self, s: S, row: usize, head: usize, norm: Option<HeadNorm<'_>>, out: &mut [f32]) {
        let dim = self.heads.head_dim;
        out.copy_from_slice(self.row(row, head * dim..(head + 1) * dim));
        let rotary = self.shape.rotary.as_ref();
        if self.shape.norm_after_rotation
            && let Some(rotary) = rotary
        {
            rotary.rotate(row, out);
        }
        if let Some(HeadNorm { weight, offset, eps }) = norm {
            Norm { weight, offset, eps }.apply(s, out);
        }
        if !self.shape.norm_after_rotation
            && let Some(rotary) = rotary
        {
            rotary.rotate(row, out);
        }
    }

    /// Writes keys and values: all rows of the item go to one page.
    #[inline(always)]
    fn write<S: Simd, E: Stored>(&self, s: S, item: &Item, buffer: &mut [f32]) {
        let LayerKv { kv_heads, head_dim, value_dim } = self.heads;
        let (q_heads, positions, run) = (self.shape.q_heads, self.layout.page_positions(), &self.runs[item.runs.start]);
        let (keys, values) = self.layout.head(self.shape.layer, item.head);
        let page = run.pages[(run.past + item.rows.start) / positions] as usize;
        let key = &mut buffer[..head_dim];
        for t in item.rows.clone() {
            let (row, position) = (run.first_row + t, (run.past + t) % positions);
            self.prepare(s, row, q_heads + item.head, self.shape.k_norm, key);
            let first = (q_heads + kv_heads) * head_dim + item.head * value_dim;
            let value = self.row(row, first..first + value_dim);
            // SAFETY: `check` found the page within the arena; only this item has the page's head, and `head` names its place:
            // keys `[head_dim, positions]`, values `[positions, value_dim]`.
            unsafe {
                let keys = self.cache.row(page, keys.start).cast::<E>().add(position);
                each_vector::<S, E>(s, key, |start, vector| {
                    vector.iter().enumerate().for_each(|(i, &key)| keys.add((start + i) * positions).write(key));
                });
                let values = self.cache.row(page, values.start).cast::<E>().add(position * value_dim);
                each_vector::<S, E>(s, value, |start, vector| {
                    values.add(start).copy_from_nonoverlapping(vector.as_ptr(), vector.len());
                });
            }
        }
    }

    /// Attends with the queries of the item's rows.
    #[inline(always)]
    fn attend<S: Simd, E: Stored>(&self, s: S, item: &Item, buffer: &mut [f32]) {
        let (group, positions) = (self.group(), self.layout.page_positions());
        let working = &mut self.working(s, item, buffer);
        // The pages that the sequences share, then each sequence's own.
        let (count, alone) = (item.runs.len(), usize::from(item.shared > 0));
        for turn in 0..alone + count {
            let (runs, pages) = match turn.checked_sub(alone) {
                None => (0..count, 0..item.shared),
                Some(i) => {
                    let end = self.runs[item.runs.start + i].past + item.rows.end;
                    (i..i + 1, item.shared..end.div_ceil(positions))
                }
            };
            let queries = item.rows.len() * group;
            let part = Item { runs: item.runs.start + runs.start..item.runs.start + runs.end, ..item.clone() };
            self.pages::<S, E>(s, &part, pages, &mut working.part(runs.start * queries..runs.end * queries));
        }
        let value_dim = self.heads.value_dim;
        for (query, sums) in working.sums.chunks_exact(value_dim).enumerate() {
            let (row, head) = (self.query_row(item, query), item.head * group + query % group);
            let factor = 1. / working.totals[query];
            // SAFETY: out is `[rows, q_heads * value_dim]`, and only this item has these rows with these heads.
            let out = unsafe { std::slice::from_raw_parts_mut(self.out.row(row, head * value_dim), value_dim) };
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = sum * factor;
            }
        }
    }

    /// Attends to those of the item's `pages` that its queries see.
    #[inline(always)]
    fn pages<S: Simd, E: Stored>(&self, s: S, item: &Item, pages: Range<usize>, working: &mut Working<'_>) {
        let LayerKv { head_dim, value_dim, .. } = self.heads;
        let positions = self.layout.page_positions();
        let (keys, values) = self.layout.head(self.shape.layer, item.head);
        let (run, count) = (&self.runs[item.runs.start], working.tops.len());
        let first = (0..item.runs.len()).map(|i| self.position(item, i * count / item.runs.len())).min().unwrap_or(0);
        // Positions that any of the queries may see; what lies beyond may never have been written.
        let end = (run.past + item.rows.end).min(pages.end * positions);
        for page in pages.start.max(self.seen(first).start / positions)..pages.end {
            let start = page * positions;
            let page = run.pages[page] as usize;
            if item.rows.len() == 1 && start + positions < end {
                // One row reads faster than memory follows into another page by itself.
                let next = self.cache.at.wrapping_add(run.pages[start / positions + 1] as usize * self.cache.stride);
                for line in (keys.start..values.end).step_by(64) {
                    s.prefetch_second_level(next.wrapping_add(line));
                }
            }
            let held = (end - start).min(positions);
            let queries = Rows::of(working.queries, head_dim);
            let scores = Rows { at: working.scores.as_mut_ptr(), stride: positions };
            let sums = Rows { at: working.sums.as_mut_ptr(), stride: value_dim };
            // SAFETY: `check` found the page within the arena, `head` names the places of keys and values in it; nobody writes to
            // the cache now. The buffers have room for `count` queries and are this item's alone.
            unsafe {
                let keys = Rows { at: self.cache.row(page, keys.start).cast::<E>(), stride: positions };
                columns(s, Dims { m: count, n: positions, inner: head_dim }, queries, keys, scores, false);
            }
            for query in 0..count {
                let seen = self.seen(self.position(item, query));
                let seen =
                    seen.start.max(start).min(start + positions) - start..seen.end.max(start).min(start + positions) - start;
                self.softmax(s, working, query, seen);
            }
            // SAFETY: as above.
            unsafe {
                let values = Rows { at: self.cache.row(page, values.start).cast::<E>(), stride: value_dim };
                columns(s, Dims { m: count, n: value_dim, inner: held }, scores, values, sums, true);
            }
        }
    }

    /// The sequence of a query of an item, and the query's row among those of the sequence.
    #[inline(always)]
    fn place(&self, item: &Item, query: usize) -> (&SequenceRows<'_>, usize) {
        let row = query / self.group();
        (&self.runs[item.runs.start + row / item.rows.len()], item.rows.start + row % item.rows.len())
    }

    /// The position of a query of an item in its sequence.
    #[inline(always)]
    fn position(&self, item: &Item, query: usize) -> usize {
        let (run, row) = self.place(item, query);
        run.past + row
    }

    /// The row of a query of an item in the step.
    #[inline(always)]
    fn query_row(&self, item: &Item, query: usize) -> usize {
        let (run, row) = self.place(item, query);
        run.first_row + row
    }

    /// The positions that a row at `position` sees.
    #[inline(always)]
    fn seen(&self, position: usize) -> Range<usize> {
        self.shape.window.map_or(0, |window| (position + 1).saturating_sub(window))..position + 1
    }

    /// The item's buffers: queries prepared and scaled, nothing summed.
    #[inline(always)]
    fn working<'b, S: Simd>(&self, s: S, item: &Item, buffer: &'b mut [f32]) -> Working<'b> {
        let LayerKv { head_dim, value_dim, .. } = self.heads;
        let group = self.group();
        let count = item.runs.len() * item.rows.len() * group;
        let (queries, buffer) = buffer.split_at_mut(count * head_dim);
        let (scores, buffer) = buffer.split_at_mut(count * self.layout.page_positions());
        let (sums, buffer) = buffer.split_at_mut(count * value_dim);
        let (tops, buffer) = buffer.split_at_mut(count);
        let totals = &mut buffer[..count];
        for (query, out) in queries.chunks_exact_mut(head_dim).enumerate() {
            let row = self.query_row(item, query);
            self.prepare(s, row, item.head * group + query % group, self.shape.q_norm, out);
            out.iter_mut().for_each(|x| *x *= self.shape.scale);
        }
        sums.fill(0.);
        tops.fill(f32::NEG_INFINITY);
        totals.fill(0.);
        Working { queries, scores, sums, tops, totals }
    }

    /// Turns a query's scores against a page, of which it sees `seen`, into weights relative to the largest score so far.
    #[inline(always)]
    fn softmax<S: Simd>(&self, s: S, working: &mut Working<'_>, query: usize, seen: Range<usize>) {
        let positions = self.layout.page_positions();
        let scores = &mut working.scores[query * positions..][..positions];
        if seen.is_empty() {
            return scores.fill(0.);
        }
        if let Some(cap) = self.shape.softcap {
            for vector in scores.chunks_exact_mut(S::LANES) {
                // SAFETY: the chunk is one vector long.
                unsafe {
                    let x = s.mul(s.load(vector.as_ptr()), s.splat(1. / cap));
                    s.store(vector.as_mut_ptr(), s.mul(s.splat(cap), tanh(s, x)));
                }
            }
        }
        scores[..seen.start].fill(f32::NEG_INFINITY);
        scores[seen.end..].fill(f32::NEG_INFINITY);
        let old_top = working.tops[query];
        let mut top = s.splat(old_top);
        for vector in scores.chunks_exact(S::LANES) {
            // SAFETY: as above.
            top = s.max(top, unsafe { s.load(vector.as_ptr()) });
        }
        let top = s.maximum(top);
        let mut total = s.splat(0.);
        for vector in scores.chunks_exact_mut(S::LANES) {
            // SAFETY: as above.
            unsafe {
                let weight = exp(s, s.sub(s.load(vector.as_ptr()), s.splat(top)));
                total = s.add(total, weight);
                s.store(vector.as_mut_ptr(), weight);
            }
        }
        if top > old_top {
            let factor = (old_top - top).exp();
            working.totals[query] *= factor;
            working.sums[query * self.heads.value_dim..][..self.heads.value_dim].iter_mut().for_each(|sum| *sum *= factor);
            working.tops[query] = top;
        }
        working.totals[query] += s.sum(total);
    }
}

/// Calls `put` with each vector of `from` as the cache stores it, and where in `from` it starts; the last may be shorter.
#[inline(always)]
fn each_vector<S: Simd, E: Stored>(s: S, from: &[f32], mut put: impl FnMut(usize, &[E])) {
    let mut converted = [MaybeUninit::<E>::uninit(); MAX_LANES];
    for start in (0..from.len()).step_by(S::LANES) {
        let lanes = (from.len() - start).min(S::LANES);
        let to = converted.as_mut_ptr().cast::<E>();
        // SAFETY: `lanes` values from `start` lie within `from`; the buffer has room for a vector, and all of it is written.
        let vector = unsafe {
            E::store(s, to, s.load_partial(from.as_ptr().add(start), lanes));
            std::slice::from_raw_parts(to, lanes)
        };
        put(start, vector);
    }
}
