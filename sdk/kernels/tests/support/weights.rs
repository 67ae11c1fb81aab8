//! Weights of every storage with the buffers they borrow, what they mean, and products of them in f64.

use half::{bf16, f16};
use kinglet_kernels::{
    Activations, BlockWeights, FloatWeights, Floats, IntegerWeights, Layout, Linear, Matrix, Pool, Scratch, ZeroPoints, linear,
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

/// The zero points of block-quantised weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Zero {
    Middle,
    Packed,
    /// Numbers of the scales' width.
    Floats,
}

pub fn packed_if(packed: bool) -> Zero {
    if packed { Zero::Packed } else { Zero::Middle }
}

/// How weights are stored.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    Float {
        width: Width,
        layout: Layout,
    },
    Blocks {
        bits: usize,
        block: usize,
        zero_points: Zero,
        scales: Width,
    },
    /// Along n and k, a block of 0 is the whole.
    Integers {
        bits: usize,
        layout: Layout,
        signed: bool,
        block: [usize; 2],
        zero_points: bool,
        scales: Width,
    },
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
    /// Where zero points are floats.
    pub float_zero_points: Owned,
    /// `[n, k]`: written down from the formats' definitions.
    pub values: Vec<f64>,
}

fn layout_index(layout: Layout, n: usize, k: usize, size: (usize, usize)) -> usize {
    if layout == Layout::Kn { k * size.0 + n } else { n * size.1 + k }
}

/// Field `index` of so many bits: the bits in order from the lowest of the first byte.
fn field(bytes: &[u8], bits: usize, index: usize) -> u64 {
    (0..bits).map(|i| (index * bits + i, i)).map(|(at, i)| u64::from(bytes[at / 8] >> (at % 8) & 1) << i).sum()
}

/// A field in two's complement, or as it is.
fn whole(field: u64, bits: usize, signed: bool) -> f64 {
    if signed && field >> (bits - 1) == 1 { field as f64 - (1u64 << bits) as f64 } else { field as f64 }
}

/// A block with the size of the whole for 0, and how many there are along each side.
fn grid(block: [usize; 2], size: (usize, usize)) -> ([usize; 2], (usize, usize)) {
    let block = [if block[0] == 0 { size.0 } else { block[0] }, if block[1] == 0 { size.1 } else { block[1] }];
    (block, (size.0.div_ceil(block[0]), size.1.div_ceil(block[1])))
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
            Kind::Integers { bits, block, scales: width, .. } => {
                let (_, (grid_n, grid_k)) = grid(block, (n, k));
                let bytes = |values: usize| (values * bits).div_ceil(8);
                let packed = random.bytes(1 + bytes(n * k));
                (scales(random, width, grid_n * grid_k), packed, random.bytes(bytes(grid_n * grid_k)))
            }
        };
        let float_zero_points = match kind {
            Kind::Blocks { bits, block, scales, zero_points: Zero::Floats } => {
                let middle = (1 << (bits - 1)) as f32;
                Owned::new(scales, (0..n * k.div_ceil(block)).map(|_| middle + 1.5 * random.float()).collect())
            }
            _ => Owned::F32(vec![]),
        };
        let mut weights = Weights { kind, n, k, floats, bytes, zero_points, float_zero_points, values: vec![] };
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
                let zero = match zero_points {
                    Zero::Middle => 2f64.powi(bits as i32 - 1),
                    Zero::Packed => field(&self.zero_points[points..], bits, k / block) as f64,
                    Zero::Floats => self.float_zero_points.get(n * blocks + k / block),
                };
                (field(row, bits, k) as f64 - zero) * self.floats.get(n * blocks + k / block)
            }
            Kind::Integers { bits, layout, signed, block, zero_points, .. } => {
                let (block, grid) = grid(block, size);
                let parameter = layout_index(layout, n / block[0], k / block[1], grid);
                let zero = if zero_points { whole(field(&self.zero_points, bits, parameter), bits, signed) } else { 0. };
                let q = whole(field(&self.bytes[1..], bits, layout_index(layout, n, k, size)), bits, signed);
                (q - zero) * self.floats.get(parameter)
            }
        }
    }

    pub fn matrix(&self) -> Matrix<'_> {
        let (n, k, scales) = (self.n, self.k, self.floats.borrow());
        match self.kind {
            Kind::Float { layout, .. } => Matrix::float(FloatWeights { data: scales, layout, n, k }),
            Kind::Blocks { bits, block, zero_points, .. } => {
                let zero_points = match zero_points {
                    Zero::Middle => ZeroPoints::Middle,
                    Zero::Packed => ZeroPoints::Packed(&self.zero_points),
                    Zero::Floats => ZeroPoints::Floats(self.float_zero_points.borrow()),
                };
                Matrix::blocks(BlockWeights { bits, n, k, block, packed: &self.bytes[1..], scales, zero_points })
            }
            Kind::Integers { bits, layout, signed, block, zero_points, .. } => {
                let (data, (block, _)) = (&self.bytes[1..], grid(block, (n, k)));
                let zero_points = zero_points.then_some(&self.zero_points[..]);
                Matrix::integers(IntegerWeights { bits, data, signed, layout, n, k, block, scales, zero_points })
            }
        }
        .unwrap()
    }

    /// Whether [`Activations::Int8`] has a meaning for them.
    pub fn has_integer_kernel(&self) -> bool {
        matches!(self.kind, Kind::Blocks { bits: 4 | 8, block, zero_points: Zero::Middle | Zero::Packed, .. }
            if block.is_multiple_of(32) && self.k.is_multiple_of(32))
    }
}

/// Int8 activations by their documentation, dequantised: blocks of 32 values, scale `max / 127`, whole numbers.
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
        for flags in 0..4 {
            let [signed, zero_points] = [1, 2].map(|bit| flags & bit != 0);
            let grids = [
                (8, [0, 0], Width::F32),
                (8, [1, 0], Width::F32),
                (8, [1, 16], Width::F32Bytes),
                (8, [0, 1], Width::F16),
                (4, [1, 16], Width::F32),
                (4, [1, 24], Width::F16),
                (4, [1, 0], Width::BF16),
                (4, [16, 1], Width::F32),
                (2, [1, 32], Width::F32),
                (2, [3, 5], Width::F16),
            ];
            kinds.extend(grids.map(|(bits, block, scales)| Kind::Integers { bits, layout, signed, block, zero_points, scales }));
        }
    }
    for bits in [4, 8] {
        for block in [16, 32, 64, 128, 256] {
            for zero_points in [Zero::Middle, Zero::Packed] {
                kinds.extend(WIDTHS.map(|scales| Kind::Blocks { bits, block, zero_points, scales }));
            }
        }
    }
    for (bits, block, zero_points, scales) in [
        (2, 16, Zero::Packed, Width::F32),
        (2, 32, Zero::Middle, Width::F16),
        (2, 64, Zero::Packed, Width::F16),
        (2, 32, Zero::Floats, Width::F32),
        (4, 32, Zero::Floats, Width::F32),
        (4, 16, Zero::Floats, Width::F16),
        (4, 128, Zero::Floats, Width::F16),
        (8, 32, Zero::Floats, Width::F32),
        (4, 512, Zero::Packed, Width::F32),
    ] {
        kinds.push(Kind::Blocks { bits, block, zero_points, scales });
    }
    kinds
}
