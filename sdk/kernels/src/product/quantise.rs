//! Activations as int8.
//!
//! Every 32 neighbouring values of a row share a scale, `max |x| / 127`, and become whole numbers from -127 to 127. A block with an
//! infinity or a NaN gets the scale NaN, which then reaches every output of the row, as it would in floats. A block whose largest
//! magnitude is below [`SMALLEST`] counts as zero.
//!
//! With weights `w = (q - z) * s` the product over a block is `s * scale * (sum(q * x) - z * sum(x))`. The second sum does not
//! depend on the weights: it is taken here, once, as the block's *correction*: `-z * sum(x)` where z is the same everywhere,
//! `-sum(x)` where weights store their zero points, to be multiplied in the kernel.
//!
//! The layout of the values depends on the kernel that reads them: [`Order`]. Even and odd ones are apart for weights
//! of 4 bits, because a byte of weights holds an even and an odd one.

use crate::float_product::Rows;
use crate::pool::Pool;
use crate::simd::{Kernel, Simd};

/// Values that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Rows that the micro-kernel of many rows multiplies together.
pub(crate) const GROUP: usize = 4;
/// Products of at most this many rows read the weights where they lie.
pub(crate) const FEW: usize = 4;
/// Number of different [`Form`]s.
pub(crate) const FORMS: usize = 8;
/// The magnitude below which `127 / max` would not be finite.
const SMALLEST: f32 = 1e-36;

/// The layout of quantised rows. `P` is the quads of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// For weights in place; blocks are padded with zeros to a multiple of 4.
    ///
    /// ```text
    /// few rows (product/block_gemv.rs): values [m][even values | odd values] for 4 bits, [m][values] for 8
    ///                                   scales, corrections [m][block]
    /// many rows (product/gemm.rs):      values [group][block % P][block / P][row][32 values]
    ///                                   scales, corrections [group][block % P][block / P][row]
    /// ```
    InPlace,
    /// For weights in tiles; a group has 4 rows, or where there are fewer, m rounded up to a power of two:
    ///
    /// ```text
    /// values [group][block][row][32 values], scales, corrections [group][block][row]
    /// ```
    Tiled,
}

/// The properties of weights that decide how the activations for them are quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// 4 or 8.
    pub(crate) bits: usize,
    /// Whether the weights store their zero points.
    pub(crate) zero_points: bool,
    pub(crate) order: Order,
}

impl Form {
    /// Each form's own number, below [`FORMS`].
    pub(super) fn index(self) -> usize {
        usize::from(self.order == Order::Tiled) * 4 + usize::from(self.bits == 8) * 2 + usize::from(self.zero_points)
    }
}

/// Quantised rows in one of the layouts above.
#[derive(Debug, Default)]
pub(crate) struct QuantisedRows {
    pub(super) m: usize,
    /// Blocks of a row, padded where the order asks for it.
    pub(super) blocks: usize,
    /// Rows that lie together, block by block; 1 where each row is whole.
    pub(super) group: usize,
    pub(super) values: Vec<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) corrections: Vec<i32>,
}

impl QuantisedRows {
    /// Quantises `x`, `[m, k]`, where k is a multiple of 32.
    pub(super) fn fill(&mut self, pool: &Pool, x: &[f32], k: usize, form: Form) {
        self.m = x.len() / k;
        let few = self.m <= FEW;
        (self.blocks, self.group) = match form.order {
            Order::InPlace => ((k / BLOCK).next_multiple_of(4), if few { 1 } else { GROUP }),
            Order::Tiled => (k / BLOCK, if few { self.m.max(1).next_power_of_two() } else { GROUP }),
        };
        let rows = self.m.next_multiple_of(self.group);
        self.values.resize(rows * self.blocks * BLOCK, 0);
        self.scales.resize(rows * self.blocks, 0.);
        self.corrections.resize(rows * self.blocks, 0);
        let place = Place {
            blocks: self.blocks,
            group: self.group,
            values: Rows { at: self.values.as_mut_ptr(), stride: 0 },
            scales: Rows { at: self.scales.as_mut_ptr(), stride: 0 },
            corrections: Rows { at: self.corrections.as_mut_ptr(), stride: 0 },
        };
        let per_item = if few { FEW } else { 8 };
        pool.for_each(rows.div_ceil(per_item), |item, _| {
            let rows = item * per_item..(item * per_item + per_item).min(rows);
            // Rows that only fill up a group are zero.
            pool.isa().run(QuantiseRows { x, k, form, few, rows, place });
        });
    }
}

/// Where quantised rows go.
#[derive(Clone, Copy)]
struct Place {
    blocks: usize,
    group: usize,
    values: Rows<i8>,
    scales: Rows<f32>,
    corrections: Rows<i32>,
}

/// One item: some rows.
struct QuantiseRows<'a> {
    x: &'a [f32],
    k: usize,
    form: Form,
    few: bool,
    rows: std::ops::Range<usize>,
    place: Place,
}

impl Kernel for QuantiseRows<'_> {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let zero_point = match self.form {
            Form { zero_points: true, .. } => 1,
            Form { bits: 4, .. } => 8,
            Form { .. } => 128 - S::BYTE_BIAS,
        };
        let pairs_apart = self.form.bits == 4;
        for row in self.rows.clone() {
            let x = self.x.get(row * self.k..(row + 1) * self.k).unwrap_or(&[]);
            let held = x.len() / BLOCK;
            for block in 0..held {
                // SAFETY: x holds the block; `halves` and `parameters` are this item's alone.
                unsafe {
                    let (scale, sum) = quantise(s, x.as_ptr().add(block * BLOCK), pairs_apart, self.halves::<S>(row, block));
                    self.parameters::<S>(row, block, scale, -zero_point * sum);
                }
            }
            for block in held..self.place.blocks {
                // SAFETY: as above; each half has room for 16 values.
                unsafe {
                    for half in self.halves::<S>(row, block) {
                        half.cast::<[i8; 16]>().write([0; 16]);
                    }
                    self.parameters::<S>(row, block, 0., 0);
                }
            }
        }
    }
}

/// Quantises the 32 values at `x` into two halves of 16: in order, or even ones and odd ones. Returns the scale and the sum.
///
/// # Safety
/// `x` is valid for 32 reads, each half for 16 writes.
#[inline(always)]
unsafe fn quantise<S: Simd>(s: S, x: *const f32, pairs_apart: bool, halves: [*mut i8; 2]) -> (f32, i32) {
    let mut top = s.splat_int(0);
    for i in (0..BLOCK).step_by(S::LANES) {
        // SAFETY: the caller's promise.
        top = s.max_int(top, s.magnitude_bits(unsafe { s.load(x.add(i)) }));
    }
    let top = f32::from_bits(s.maximum_int(top).cast_unsigned());
    // Values that are not finite, times zero, are NaN, whose conversion to an integer is arbitrary: the scale is NaN anyway.
    let finite = top < f32::INFINITY;
    let inverse = if finite && top > SMALLEST { 127. / top } else { 0. };
    let scale = if finite { top / 127. } else { f32::NAN };
    let mut whole = [s.splat_int(0); BLOCK / 4];
    let mut sum = s.splat_int(0);
    for i in 0..BLOCK / S::LANES {
        // SAFETY: the caller's promise.
        whole[i] = s.to_int(s.mul(unsafe { s.load(x.add(i * S::LANES)) }, s.splat(inverse)));
        sum = s.add_int(sum, whole[i]);
    }
    // SAFETY: the caller's promise.
    unsafe { s.store_block(whole, pairs_apart, halves) };
    (scale, if finite { s.sum_int(sum) } else { 0 })
}

impl QuantiseRows<'_> {
    /// Where the two halves of a block's values go.
    #[inline(always)]
    fn halves<S: Simd>(&self, row: usize, block: usize) -> [*mut i8; 2] {
        let Place { blocks, values, .. } = self.place;
        let [first, second] = if self.few && self.form.order == Order::InPlace && self.form.bits == 4 {
            [(row * 2 * blocks + block) * 16, (row * 2 * blocks + blocks + block) * 16]
        } else {
            let index = self.number::<S>(row, block) * BLOCK;
            [index, index + 16]
        };
        [values.at.wrapping_add(first), values.at.wrapping_add(second)]
    }

    /// Stores the scale and the correction of a block.
    ///
    /// # Safety
    /// The row and the block exist, and nobody else uses them.
    #[inline(always)]
    unsafe fn parameters<S: Simd>(&self, row: usize, block: usize, scale: f32, correction: i32) {
        let index = self.number::<S>(row, block);
        // SAFETY: the caller's promise; `fill` made room.
        unsafe {
            *self.place.scales.at.add(index) = scale;
            *self.place.corrections.at.add(index) = correction;
        }
    }

    /// The number of a row's block among all blocks.
    #[inline(always)]
    fn number<S: Simd>(&self, row: usize, block: usize) -> usize {
        let Place { blocks, group, .. } = self.place;
        let block = if self.few || self.form.order == Order::Tiled { block } else { phase_major::<S>(block, blocks) };
        (row / group * blocks + block) * group + row % group
    }
}

/// Where block `block` of `blocks` lies when blocks are sorted by their place within a vector: see product/gemm.rs.
#[inline(always)]
pub(super) fn phase_major<S: Simd>(block: usize, blocks: usize) -> usize {
    let phases = S::LANES / 4;
    block % phases * (blocks / phases) + block / phases
}
