//! Weights of every storage with the buffers they borrow, what they mean, and products of them in f64.

use half::{bf16, f16};
use kinglet_kernels::{
    Activations, BlockWeights, FloatWeights, Floats, IntegerWeights, Layout, Linear, Matrix, NibbleWeights, Pool, Scratch, linear,
};

use super::{Expected, Random};

/// The number format of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Width {
    F32,
    /// Single precision at an odd address.
    F32Bytes,
    F16,
    BF16,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Float { width: Width, layout: Layout },
    Blocks { bits: usize, block: usize, zero_points: bool, scales: Width },
    Integers { layout: Layout, signed: bool, per_feature: bool, zero_points: bool },
    Nibbles { layout: Layout, signed: bool, block: usize, zero_points: bool, scales: Width },
}

/// Floats of a width, owned.
pub enum Owned {
    F32(Vec<f32>),
    /// One byte, then the floats.
    F32Bytes(Vec<u8>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

impl Owned {
    pub fn new(width: Width, values: Vec<f32>) -> Owned {
        match width {
            Width::F32 => Owned::F32(values),
            Width::F32Bytes => Owned::F32Bytes([0].into_iter().chain(values.into_iter().flat_map(f32::to_le_bytes)).collect()),
            Width::F16 => Owned::F16(values.into_iter().map(f16::from_f32).collect()),
            Width::BF16 => Owned::BF16(values.into_iter().map(bf16::from_f32).collect()),
        }
    }

    pub fn get(&self, index: usize) -> f64 {
        match self {
            Owned::F32(values) => values[index].into(),
            Owned::F32Bytes(bytes) => f32::from_le_bytes(bytes[1 + 4 * index..][..4].try_into().unwrap()).into(),
            Owned::F16(values) => values[index].into(),
            Owned::BF16(values) => values[index].into(),
        }
    }

    pub fn borrow(&self) -> Floats<'_> {
        match self {
            Owned::F32(values) => Floats::F32(values),
            Owned::F32Bytes(bytes) => Floats::F32Bytes(bytes[1..].as_chunks().0),
            Owned::F16(values) => Floats::F16(values),
            Owned::BF16(values) => Floats::BF16(values),
        }
    }
}

/// Weights with the buffers they borrow, and what they mean.
pub struct Weights {
    pub kind: Kind,
    pub n: usize,
    pub k: usize,
    pub floats: Owned,
    /// One unused byte first, so that the data is never aligned.
    pub bytes: Vec<u8>,
    pub zero_points: Vec<u8>,
    /// `[n, k]`: written down from the formats' definitions.
    pub values: Vec<f64>,
}

fn layout_index(layout: Layout, n: usize, k: usize, size: (usize, usize)) -> usize {
    if layout == Layout::Kn { k * size.0 + n } else { n * size.1 + k }
}

fn nibble(bytes: &[u8], index: usize) -> u8 {
    if index.is_multiple_of(2) { bytes[index / 2] & 15 } else { bytes[index / 2] >> 4 }
}

fn signed_nibble(nibble: u8) -> f64 {
    if nibble < 8 { f64::from(nibble) } else { f64::from(nibble) - 16. }
}

impl Weights {
    pub fn new(kind: Kind, n: usize, k: usize, random: &mut Random) -> Weights {
        let scales = |random: &mut Random, width: Width, count: usize| {
            Owned::new(width, (0..count).map(|_| 0.01 + 0.02 * (random.float() + 1.)).collect())
        };
        let (floats, bytes, zero_points) = match kind {
            Kind::Float { width, .. } => (Owned::new(width, random.floats(n * k)), vec![], vec![]),
            Kind::Blocks { bits, block, scales: width, .. } => {
                let blocks = k.div_ceil(block);
                let bytes = random.bytes(1 + n * blocks * block * bits / 8);
                (scales(random, width, n * blocks), bytes, random.bytes(n * (blocks * bits).div_ceil(8)))
            }
            Kind::Integers { per_feature, .. } => {
                let parameters = if per_feature { n } else { 1 };
                (scales(random, Width::F32, parameters), random.bytes(1 + n * k), random.bytes(parameters))
            }
            Kind::Nibbles { block, scales: width, .. } => {
                let parameters = n * k.div_ceil(block);
                (scales(random, width, parameters), random.bytes(1 + (n * k).div_ceil(2)), random.bytes(parameters.div_ceil(2)))
            }
        };
        let mut weights = Weights { kind, n, k, floats, bytes, zero_points, values: vec![] };
        weights.values = (0..n * k).map(|index| weights.value(index / k, index % k)).collect();
        weights
    }

    pub fn value(&self, n: usize, k: usize) -> f64 {
        let size = (self.n, self.k);
        match self.kind {
            Kind::Float { layout, .. } => self.floats.get(layout_index(layout, n, k, size)),
            Kind::Blocks { bits, block, zero_points, .. } => {
                let blocks = self.k.div_ceil(block);
                let (row, points) = (&self.bytes[1 + n * blocks * block * bits / 8..], n * (blocks * bits).div_ceil(8));
                let (q, zero) = if bits == 4 {
                    (f64::from(nibble(row, k)), if zero_points { nibble(&self.zero_points[points..], k / block) } else { 8 })
                } else {
                    (f64::from(row[k]), if zero_points { self.zero_points[points + k / block] } else { 128 })
                };
                (q - f64::from(zero)) * self.floats.get(n * blocks + k / block)
            }
            Kind::Integers { layout, signed, per_feature, zero_points } => {
                let whole = |byte: u8| if signed { f64::from(byte as i8) } else { f64::from(byte) };
                let parameter = if per_feature { n } else { 0 };
                let zero = if zero_points { whole(self.zero_points[parameter]) } else { 0. };
                (whole(self.bytes[1 + layout_index(layout, n, k, size)]) - zero) * self.floats.get(parameter)
            }
            Kind::Nibbles { layout, signed, block, zero_points, .. } => {
                let whole = |nibble: u8| if signed { signed_nibble(nibble) } else { f64::from(nibble) };
                let parameter = layout_index(layout, n, k / block, (self.n, self.k.div_ceil(block)));
                let zero = if zero_points { whole(nibble(&self.zero_points, parameter)) } else { 0. };
                (whole(nibble(&self.bytes[1..], layout_index(layout, n, k, size))) - zero) * self.floats.get(parameter)
            }
        }
    }

    pub fn matrix(&self) -> Matrix<'_> {
        let (n, k, scales) = (self.n, self.k, self.floats.borrow());
        let points = |stored: bool| stored.then_some(&self.zero_points[..]);
        match self.kind {
            Kind::Float { layout, .. } => Matrix::float(FloatWeights { data: scales, layout, n, k }),
            Kind::Blocks { bits, block, zero_points, .. } => {
                let packed = &self.bytes[1..];
                Matrix::blocks(BlockWeights { bits, n, k, block, packed, scales, zero_points: points(zero_points) })
            }
            Kind::Integers { layout, signed, zero_points, .. } => {
                let Owned::F32(scales) = &self.floats else { unreachable!() };
                let (data, zero_points) = (&self.bytes[1..], points(zero_points));
                Matrix::integers(IntegerWeights { data, signed, layout, n, k, scales, zero_points })
            }
            Kind::Nibbles { layout, signed, block, zero_points, .. } => {
                let (data, zero_points) = (&self.bytes[1..], points(zero_points));
                Matrix::nibbles(NibbleWeights { data, signed, layout, n, k, block, scales, zero_points })
            }
        }
        .unwrap()
    }

    /// Whether [`Activations::Int8`] has a meaning for them.
    pub fn has_integer_kernel(&self) -> bool {
        matches!(self.kind, Kind::Blocks { block, .. } if block.is_multiple_of(32) && self.k.is_multiple_of(32))
    }
}

/// What the documentation says that int8 activations are: 32 values, `max / 127`, whole numbers.
pub fn quantised(x: &[f32]) -> Vec<f64> {
    x.chunks(32)
        .flat_map(|block| {
            let top = block.iter().fold(0f32, |top, x| top.max(x.abs()));
            let inverse = if top > 1e-36 { 127. / top } else { 0. };
            block.iter().map(move |x| f64::from((x * inverse).round_ties_even()) * f64::from(top / 127.)).collect::<Vec<_>>()
        })
        .collect()
}

/// `[m, n]`
pub fn product(weights: &Weights, bias: Option<&[f32]>, x: &[f32], activations: Activations) -> Vec<Expected> {
    let integer = activations == Activations::Int8 && weights.has_integer_kernel();
    product_of(&weights.values, weights.k, bias, x, integer)
}

/// `[m, n]` from `values` `[n, k]`, with x as int8 or as it is.
pub fn product_of(values: &[f64], k: usize, bias: Option<&[f32]>, x: &[f32], int8: bool) -> Vec<Expected> {
    let row = |x: &[f32]| -> Vec<Expected> {
        let x: Vec<f64> = if int8 { quantised(x) } else { x.iter().map(|&x| x.into()).collect() };
        let one = |(n, weights): (usize, &[f64])| {
            let bias = bias.map_or(0., |bias| f64::from(bias[n]));
            let terms = x.iter().zip(weights).map(|(x, w)| x * w);
            let (value, magnitude) = terms.fold((bias, bias.abs()), |(v, m), term| (v + term, m + term.abs()));
            Expected { value, magnitude }
        };
        values.chunks(k).enumerate().map(one).collect()
    };
    x.chunks(k).flat_map(row).collect()
}

pub fn run(pool: &Pool, parts: &[Linear<'_>], x: &[f32], activations: Activations) -> Vec<f32> {
    let width: usize = parts.iter().map(|part| part.weight.n()).sum();
    // Anything that is not written stays NaN.
    let mut y = vec![f32::NAN; x.len() / parts[0].weight.k() * width];
    linear(pool, &mut Scratch::new(), parts, x, &mut y, activations);
    y
}

pub fn plain(weight: Matrix<'_>) -> Linear<'_> {
    Linear { weight, bias: None }
}

pub const LAYOUTS: [Layout; 2] = [Layout::Kn, Layout::Nk];
pub const WIDTHS: [Width; 4] = [Width::F32, Width::F32Bytes, Width::F16, Width::BF16];

pub fn all_kinds() -> Vec<Kind> {
    let mut kinds = vec![];
    for layout in LAYOUTS {
        kinds.extend(WIDTHS.map(|width| Kind::Float { width, layout }));
        for flags in 0..8 {
            let [signed, flag, zero_points] = [1, 2, 4].map(|bit| flags & bit != 0);
            kinds.push(Kind::Integers { layout, signed, per_feature: flag, zero_points });
            let (block, scales) = if flag { (16, Width::F32) } else { (24, Width::F16) };
            kinds.push(Kind::Nibbles { layout, signed, block, zero_points, scales });
        }
    }
    for bits in [4, 8] {
        for block in [16, 32, 64, 128, 256] {
            for zero_points in [false, true] {
                kinds.extend(WIDTHS.map(|scales| Kind::Blocks { bits, block, zero_points, scales }));
            }
        }
    }
    kinds
}
