//! Products of activations with weights, with their epilogues: `linear` for one or several weights over the same input, `gated` for
//! the two of a gated feed-forward layer.
//!
//! A product is cut into items of some output features each, which the pool hands out; an item computes its columns for all rows of
//! x by one of four methods, then finishes them while they are in the cache:
//!
//! | method | weights | rows of x |
//! |---|---|---|
//! | [`BlockGemv`] | quantised in blocks, in place, activations int8 | 1 to 4 |
//! | [`TiledGemv`] | quantised, in tiles, activations int8 | 1 to 8 |
//! | [`Gemm`] | either | more |
//! | [`Exact`] | any | any |
//!
//! Whatever the method, the number of rows and of threads, the element `y[i, j]` is the same sum in the same order: the tokens of a
//! sequence do not depend on what shares its steps.

mod block_gemv;
mod exact;
mod finish;
mod gemm;
mod parameters;
mod quantise;
mod scratch;
mod tiled_gemv;
mod unpack;

use std::ops::Range;

pub use scratch::Scratch;
pub(crate) use scratch::WorkerScratch;

use self::block_gemv::BlockGemv;
use self::exact::Exact;
use self::finish::{AddBias, Gate};
use self::gemm::{Gemm, Source};
pub(crate) use self::quantise::BLOCK;
use self::quantise::{FEW, FORMS, Form, Order, QuantisedRows};
use self::tiled_gemv::TiledGemv;
use crate::cpu::Isa;
use crate::float_product::Rows;
use crate::lines::Buffer;
use crate::matrix::{BlockWeights, Matrix, Points, Storage, TiledWeights, ZeroPoints};
use crate::pool::Pool;

/// The arithmetic of products with quantised weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// float32 throughout.
    Exact,
    /// Activations quantised to int8 in blocks of 32, for block-quantised weights of 4 and 8 bits with whole zero points whose `k`
    /// and block are multiples of 32, and for packed ones; every other weight is multiplied exactly.
    #[default]
    Int8,
}

/// The function of a gated layer's gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateActivation {
    /// `x / (1 + exp(-x))`
    Silu,
    /// `x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3)))`
    GeluTanh,
    /// `x / 2 * (1 + erf(x / sqrt(2)))`
    Gelu,
    /// `max(x, 0)`
    Relu,
}

/// Weights and what is added to their product.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// `[n, k]`
    pub weight: Matrix<'a>,
    /// `[n]`
    pub bias: Option<&'a [f32]>,
}

/// Weights of output features that an item of a decoding product covers at most, in bytes.
const ITEM_BYTES: usize = 128 << 10;
/// Items for each thread, so that a thread that loses its core leaves others something to take.
const ITEMS_PER_THREAD: usize = 4;
/// Rows up to which weights in tiles are unpacked in registers for each group of rows.
const FEW_IN_TILES: usize = 8;
/// Output features that an item of a product with many rows covers: whole strips of every instruction set, and few, so that threads
/// have nearly the same.
const STRIP_ROWS: usize = 48;
/// Parts of one pass of [`linear`].
const PARTS: usize = 4;

/// `y = x * W^T + bias`, for several weights over the same input.
///
/// `x` is `[m, k]`; `y` is `[m, sum of n]`: a row holds the parts one after the other. The input is quantised once for all parts.
///
/// # Panics
/// Where the parts differ in k, or x, y or a bias has another length than the weights ask for.
pub fn linear(pool: &Pool, scratch: &mut Scratch, parts: &[Linear<'_>], x: &[f32], y: &mut [f32], activations: Activations) {
    let k = parts.first().map_or(1, |part| part.weight.k());
    let width = parts.iter().try_fold(0usize, |width, part| width.checked_add(part.weight.n())).unwrap_or(usize::MAX);
    let m = check(parts, k, width, x, y);
    let mut y = Rows { at: y.as_mut_ptr(), stride: width };
    for parts in parts.chunks(PARTS) {
        quantise(pool, scratch, parts, x, activations);
        let (quantised, workers) = scratch.split(pool.threads());
        let planned: [_; PARTS] =
            std::array::from_fn(|i| parts.get(i).map(|part| Part::new(part, quantised, x, activations, pool.isa())));
        let items: usize = planned.iter().flatten().map(|part| part.items(pool)).sum();
        pool.for_each(items, |item, worker| {
            // SAFETY: this job's worker.
            let worker = unsafe { workers.get(worker) };
            let (mut item, mut first) = (item, 0);
            for part in planned.iter().flatten() {
                if item < part.items(pool) {
                    let columns = part.columns(pool, item);
                    // SAFETY: `check` found y `[m, width]` and every part over the m rows of x; only this item has these columns.
                    let y = unsafe { y.from(0, first + columns.start) };
                    return part.compute(pool, columns, y, &mut worker.tile);
                }
                item -= part.items(pool);
                first += part.linear.weight.n();
            }
        });
        // SAFETY: at most the end of y's first row.
        y = unsafe { y.from(0, if m == 0 { 0 } else { parts.iter().map(|part| part.weight.n()).sum() }) };
    }
}

/// `y = activation(x * gate^T) * (x * up^T)`, with each product's bias.
///
/// `x` is `[m, k]`, `y` is `[m, n]`.
///
/// # Panics
/// Where gate and up differ in n or k, or x, y or a bias has another length than they ask for.
#[allow(clippy::too_many_arguments)] // two weights, an input, an output, and how: a struct would serve one call only
pub fn gated(
    pool: &Pool,
    scratch: &mut Scratch,
    gate: Linear<'_>,
    up: Linear<'_>,
    activation: GateActivation,
    x: &[f32],
    y: &mut [f32],
    activations: Activations,
) {
    let (n, k) = (up.weight.n(), up.weight.k());
    let parts = [gate, up];
    let m = check(&parts, k, n, x, y);
    assert!(parts[0].weight.n() == n, "a gate of {} features for {n}", parts[0].weight.n());
    quantise(pool, scratch, &parts, x, activations);
    let (quantised, workers) = scratch.split(pool.threads());
    let [gate, up] = parts.each_ref().map(|part| Part::new(part, quantised, x, activations, pool.isa()));
    let y = Rows { at: y.as_mut_ptr(), stride: n };
    pool.for_each(up.items(pool), |item, worker| {
        let columns = up.columns(pool, item);
        // SAFETY: this job's worker.
        let WorkerScratch { tile, gate: gates, .. } = unsafe { workers.get(worker) };
        let gates: &mut [f32] = gates.get(m * columns.len());
        gate.compute(pool, columns.clone(), Rows { at: gates.as_mut_ptr(), stride: columns.len() }, tile);
        // SAFETY: `check` found y `[m, n]` and both parts over the m rows of x; only this item has these columns.
        let y = unsafe { y.from(0, columns.start) };
        up.compute(pool, columns.clone(), y, tile);
        pool.isa().run(Gate { activation, gate: gates, columns: columns.len(), y });
    });
}

/// The argument check of both: every part reads rows of `k` and has a bias of its own length, x is rows of `k`, and y as many of
/// `width`. All writes of a product lie within these rows. Returns the number of rows.
fn check(parts: &[Linear<'_>], k: usize, width: usize, x: &[f32], y: &[f32]) -> usize {
    for Linear { weight, bias } in parts {
        assert!(weight.k() == k, "rows of {} values beside rows of {k}", weight.k());
        let n = weight.n();
        assert!(bias.is_none_or(|bias| bias.len() == n), "a bias of another length than {n}");
    }
    let m = x.len() / k;
    let fits = x.len() == m * k && m.checked_mul(width) == Some(y.len());
    assert!(fits, "x {} and y {} for [{m}, {k}] and [{m}, {width}]", x.len(), y.len());
    m
}

/// Weights that integer kernels can read.
#[derive(Clone, Copy)]
enum Integer<'a> {
    InPlace(&'a BlockWeights<'a>),
    Tiled(&'a TiledWeights<'a>),
}

impl Integer<'_> {
    /// Whether x has so many rows that unpacking weights for all of them pays.
    fn in_strips(&self, x: &QuantisedRows) -> bool {
        match self {
            Integer::InPlace(_) => x.m > FEW,
            Integer::Tiled(_) => x.m > FEW_IN_TILES,
        }
    }
}

/// The weights as integer kernels read them, and the form of the activations for them; `None` where the product is exact.
fn integer_form<'a>(weight: &'a Matrix<'a>, activations: Activations, isa: Isa) -> Option<(Integer<'a>, Form)> {
    if activations == Activations::Exact {
        return None;
    }
    match &weight.storage {
        Storage::Blocks(weights) if is_for_integers(weights) => {
            let form = Form { bits: weights.bits, zero_points: weights.zero_points.packed().is_some(), order: Order::InPlace };
            Some((Integer::InPlace(weights), form))
        }
        Storage::Tiled(weights) if weights.shape.lanes == isa.lanes() && weight.first.is_multiple_of(isa.lanes()) => {
            let form =
                Form { bits: weights.shape.bits, zero_points: weights.shape.zero_points != Points::Middle, order: Order::Tiled };
            Some((Integer::Tiled(weights), form))
        }
        _ => None,
    }
}

/// Whether integer kernels read weights of this kind where they lie: 4 or 8 bits with whole zero points.
fn is_for_integers(weights: &BlockWeights<'_>) -> bool {
    let whole = weights.k.is_multiple_of(BLOCK) && weights.block.is_multiple_of(BLOCK);
    whole && weights.bits >= 4 && !matches!(weights.zero_points, ZeroPoints::Floats(_))
}

/// Quantises x once for each form that a part asks for.
fn quantise(pool: &Pool, scratch: &mut Scratch, parts: &[Linear<'_>], x: &[f32], activations: Activations) {
    let mut done = [false; FORMS];
    for part in parts {
        if let Some((_, form)) = integer_form(&part.weight, activations, pool.isa())
            && !std::mem::replace(&mut done[form.index()], true)
        {
            scratch.quantised[form.index()].fill(pool, x, part.weight.k(), form);
        }
    }
}

/// One weight of a product, its input, and the method by which they are multiplied.
struct Part<'a> {
    linear: &'a Linear<'a>,
    /// `[m, k]`
    x: &'a [f32],
    method: Method<'a>,
}

enum Method<'a> {
    Integer(Integer<'a>, &'a QuantisedRows),
    Exact,
}

impl<'a> Part<'a> {
    fn new(
        linear: &'a Linear<'a>,
        quantised: &'a [QuantisedRows; FORMS],
        x: &'a [f32],
        activations: Activations,
        isa: Isa,
    ) -> Part<'a> {
        let method = match integer_form(&linear.weight, activations, isa) {
            Some((weights, form)) => Method::Integer(weights, &quantised[form.index()]),
            None => Method::Exact,
        };
        Part { linear, x, method }
    }

    /// Output features of an item.
    fn columns_per_item(&self, pool: &Pool) -> usize {
        let n = self.linear.weight.n();
        let share = n / (pool.threads() * ITEMS_PER_THREAD);
        // In tiles of this instruction set, items begin where tiles do.
        let lanes = pool.isa().lanes();
        match &self.method {
            Method::Integer(weights, x) if weights.in_strips(x) => STRIP_ROWS,
            Method::Integer(Integer::InPlace(weights), _) => {
                share.min(ITEM_BYTES / weights.row_bytes()).max(4).next_multiple_of(4)
            }
            Method::Integer(Integer::Tiled(weights), _) => {
                let row_bytes = weights.shape.tile_bytes() / lanes;
                share.min(ITEM_BYTES / row_bytes).max(1).next_multiple_of(lanes)
            }
            Method::Exact => share.clamp(64, 256).next_multiple_of(64),
        }
    }

    fn items(&self, pool: &Pool) -> usize {
        if self.x.is_empty() { 0 } else { self.linear.weight.n().div_ceil(self.columns_per_item(pool)) }
    }

    /// The output features of an item.
    fn columns(&self, pool: &Pool, item: usize) -> Range<usize> {
        let per_item = self.columns_per_item(pool);
        item * per_item..(item * per_item + per_item).min(self.linear.weight.n())
    }

    /// Some columns of the product, bias included: `y` is `[m, columns]`, and the caller alone uses it.
    fn compute(&self, pool: &Pool, columns: Range<usize>, y: Rows<f32>, buffer: &mut Buffer) {
        let Linear { weight, bias } = self.linear;
        let rows = weight.first + columns.start..weight.first + columns.end;
        match &self.method {
            Method::Integer(weights, x) if weights.in_strips(x) => {
                let weights = match *weights {
                    Integer::InPlace(weights) => Source::InPlace(weights),
                    Integer::Tiled(weights) => Source::Tiled(weights),
                };
                pool.isa().run(Gemm { weights, x, rows, y, buffer });
            }
            Method::Integer(Integer::InPlace(weights), x) => pool.isa().run(BlockGemv { weights, x, rows, y }),
            Method::Integer(Integer::Tiled(weights), x) => pool.isa().run(TiledGemv { weights, x, rows, y }),
            Method::Exact => pool.isa().run(Exact { weights: weight, x: self.x, columns: columns.clone(), y, buffer }),
        }
        if let Some(bias) = bias {
            pool.isa().run(AddBias { bias: &bias[columns], y, m: self.x.len() / weight.k() });
        }
    }
}
