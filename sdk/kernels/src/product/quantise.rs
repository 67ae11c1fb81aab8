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
//! How the values lie depends on who reads them. `P` is the quads of a vector; blocks are padded with zeros to a multiple of it.
//!
//! ```text
//! few rows (product/few_rows.rs):  4 bits  [m][even values | odd values]      8 bits  [m][values]
//!                                  scales, corrections: [m][block][4 times the same]
//! many rows (product/tiles.rs):    [group of 16 rows][block % P][block / P][row][32 values: 4 bits even | odd, 8 bits in order]
//!                                  scales, corrections: [group][block % P][block / P][row]
//! ```
//!
//! Even and odd are apart for 4 bits because a byte of weights holds an even and an odd one.

use crate::float_product::Rows;
use crate::pool::Pool;
use crate::simd::{Kernel, Simd};

/// Values that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Rows that one pass over a tile of weights can serve.
pub(crate) const GROUP: usize = 16;
/// Products of at most this many rows read the weights where they lie.
pub(crate) const FEW: usize = 4;
/// How many forms there are.
pub(crate) const FORMS: usize = 4;
/// The magnitude below which `127 / max` would not be finite.
const SMALLEST: f32 = 1e-36;

/// What kind of weights the activations are going to meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// 4 or 8.
    pub(crate) bits: usize,
    /// Whether the weights store their zero points.
    pub(crate) zero_points: bool,
}

impl Form {
    /// Each form's own number, below [`FORMS`].
    pub(super) fn index(self) -> usize {
        usize::from(self.bits == 8) * 2 + usize::from(self.zero_points)
    }
}

/// Quantised rows in one of the layouts above.
#[derive(Debug, Default)]
pub(crate) struct QuantisedRows {
    pub(super) m: usize,
    /// Blocks of a row, padded.
    pub(super) blocks: usize,
    pub(super) values: Vec<i8>,
    pub(super) scales: Vec<f32>,
    pub(super) corrections: Vec<i32>,
}

impl QuantisedRows {
    /// Quantises `x`, `[m, k]`, where k is a multiple of 32.
    pub(super) fn fill(&mut self, pool: &Pool, x: &[f32], k: usize, form: Form) {
        self.m = x.len() / k;
        self.blocks = (k / BLOCK).next_multiple_of(4);
        let few = self.m <= FEW;
        let rows = if few { self.m } else { self.m.next_multiple_of(GROUP) };
        let parameters = self.blocks * if few { 4 } else { 1 };
        self.values.resize(rows * self.blocks * BLOCK, 0);
        self.scales.resize(rows * parameters, 0.);
        self.corrections.resize(rows * parameters, 0);
        let place = Place {
            blocks: self.blocks,
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

/// A block: its values in order, `max |x| / 127`, and the sum of its values.
struct Block {
    values: [i8; BLOCK],
    scale: f32,
    sum: i32,
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
        for row in self.rows.clone() {
            let x = self.x.get(row * self.k..(row + 1) * self.k).unwrap_or(&[]);
            for block in 0..self.place.blocks {
                let quantised = match x.get(block * BLOCK..(block + 1) * BLOCK) {
                    Some(x) => quantise(s, x),
                    None => Block { values: [0; BLOCK], scale: 0., sum: 0 },
                };
                self.place(s, row, block, &quantised, -zero_point * quantised.sum);
            }
        }
    }
}

/// Quantises the 32 values of `x`.
#[inline(always)]
fn quantise<S: Simd>(s: S, x: &[f32]) -> Block {
    assert!(x.len() == BLOCK);
    let mut values = [0i8; BLOCK];
    let mut top = s.splat_int(0);
    for i in (0..BLOCK).step_by(S::LANES) {
        // SAFETY: `x` holds 32 values, a multiple of LANES.
        top = s.max_int(top, s.magnitude_bits(unsafe { s.load(x.as_ptr().add(i)) }));
    }
    let top = f32::from_bits(s.maximum_int(top).cast_unsigned());
    if !top.is_finite() {
        return Block { values, scale: f32::NAN, sum: 0 };
    }
    let (inverse, scale) = if top > SMALLEST { (127. / top, top / 127.) } else { (0., 0.) };
    let mut sum = s.splat_int(0);
    for i in (0..BLOCK).step_by(S::LANES) {
        // SAFETY: `x` and `values` hold 32 values, a multiple of LANES.
        unsafe {
            let whole = s.to_int(s.mul(s.load(x.as_ptr().add(i)), s.splat(inverse)));
            s.store_low_bytes(values.as_mut_ptr().add(i), whole);
            sum = s.add_int(sum, whole);
        }
    }
    Block { values, scale, sum: s.sum_int(sum) }
}

impl QuantiseRows<'_> {
    /// Stores a block where its reader looks for it.
    #[inline(always)]
    fn place<S: Simd>(&self, _: S, row: usize, block: usize, quantised: &Block, correction: i32) {
        let Place { blocks, values, scales, corrections } = self.place;
        let [mut first, mut second]: [[i8; 16]; 2] = bytemuck::cast(quantised.values);
        if self.form.bits == 4 {
            // A pair of values as one number is what vector units can take apart.
            let pairs: [[u8; 2]; 16] = bytemuck::cast(quantised.values);
            for i in 0..16 {
                let pair = u16::from_le_bytes(pairs[i]);
                (first[i], second[i]) = (pair as i8, (pair >> 8) as i8);
            }
        }
        // SAFETY: `fill` made room for `rows` padded to a group, `blocks` blocks each; this item alone writes these rows.
        unsafe {
            if self.few {
                let row_values = values.at.add(row * blocks * BLOCK);
                let halves =
                    if self.form.bits == 4 { [block * 16, (blocks + block) * 16] } else { [block * 32, block * 32 + 16] };
                row_values.add(halves[0]).cast::<[i8; 16]>().write(first);
                row_values.add(halves[1]).cast::<[i8; 16]>().write(second);
                scales.at.add((row * blocks + block) * 4).cast::<[f32; 4]>().write([quantised.scale; 4]);
                corrections.at.add((row * blocks + block) * 4).cast::<[i32; 4]>().write([correction; 4]);
            } else {
                let index = (row / GROUP * blocks + phase_major::<S>(block, blocks)) * GROUP + row % GROUP;
                values.at.add(index * BLOCK).cast::<[[i8; 16]; 2]>().write([first, second]);
                *scales.at.add(index) = quantised.scale;
                *corrections.at.add(index) = correction;
            }
        }
    }
}

/// Where block `block` of `blocks` lies when blocks are sorted by their place within a vector: see product/tiles.rs.
#[inline(always)]
pub(super) fn phase_major<S: Simd>(block: usize, blocks: usize) -> usize {
    let phases = S::LANES / 4;
    block % phases * (blocks / phases) + block / phases
}
