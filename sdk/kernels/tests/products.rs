//! Products of every storage, on every instruction set, against a plain computation in f64.

mod support;

use half::{bf16, f16};
use kinglet_kernels::{
    Activations, BlockWeights, FloatWeights, Floats, GateActivation, IntegerWeights, Layout, Linear, Matrix, NibbleWeights, Pool,
    Scratch, gated, linear,
};
use proptest::prelude::*;
use support::{Expected, Random, assert_close, each_isa, sum_units};

/// The number format of floats.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Width {
    F32,
    /// Single precision at an odd address.
    F32Bytes,
    F16,
    BF16,
}

/// How weights are stored.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Float { width: Width, layout: Layout },
    Blocks { bits: usize, block: usize, zero_points: bool, scales: Width },
    Integers { layout: Layout, signed: bool, per_feature: bool, zero_points: bool },
    Nibbles { layout: Layout, signed: bool, block: usize, zero_points: bool, scales: Width },
}

/// Floats of a width, owned.
enum Owned {
    F32(Vec<f32>),
    /// One byte, then the floats.
    F32Bytes(Vec<u8>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

impl Owned {
    fn new(width: Width, values: Vec<f32>) -> Owned {
        match width {
            Width::F32 => Owned::F32(values),
            Width::F32Bytes => Owned::F32Bytes([0].into_iter().chain(values.into_iter().flat_map(f32::to_le_bytes)).collect()),
            Width::F16 => Owned::F16(values.into_iter().map(f16::from_f32).collect()),
            Width::BF16 => Owned::BF16(values.into_iter().map(bf16::from_f32).collect()),
        }
    }

    fn get(&self, index: usize) -> f64 {
        match self {
            Owned::F32(values) => values[index].into(),
            Owned::F32Bytes(bytes) => f32::from_le_bytes(bytes[1 + 4 * index..][..4].try_into().unwrap()).into(),
            Owned::F16(values) => values[index].into(),
            Owned::BF16(values) => values[index].into(),
        }
    }

    fn borrow(&self) -> Floats<'_> {
        match self {
            Owned::F32(values) => Floats::F32(values),
            Owned::F32Bytes(bytes) => Floats::F32Bytes(bytes[1..].as_chunks().0),
            Owned::F16(values) => Floats::F16(values),
            Owned::BF16(values) => Floats::BF16(values),
        }
    }
}

/// Weights with the buffers they borrow, and what they mean.
struct Weights {
    kind: Kind,
    n: usize,
    k: usize,
    floats: Owned,
    /// One unused byte first, so that the data is never aligned.
    bytes: Vec<u8>,
    zero_points: Vec<u8>,
    /// `[n, k]`: written down from the formats' definitions.
    values: Vec<f64>,
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
    fn new(kind: Kind, n: usize, k: usize, random: &mut Random) -> Weights {
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

    fn value(&self, n: usize, k: usize) -> f64 {
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

    fn matrix(&self) -> Matrix<'_> {
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
    fn has_integer_kernel(&self) -> bool {
        matches!(self.kind, Kind::Blocks { block, .. } if block.is_multiple_of(32) && self.k.is_multiple_of(32))
    }
}

/// What the documentation says that int8 activations are: 32 values, `max / 127`, whole numbers.
fn quantised(x: &[f32]) -> Vec<f64> {
    x.chunks(32)
        .flat_map(|block| {
            let top = block.iter().fold(0f32, |top, x| top.max(x.abs()));
            let inverse = if top > 1e-36 { 127. / top } else { 0. };
            block.iter().map(move |x| f64::from((x * inverse).round_ties_even()) * f64::from(top / 127.)).collect::<Vec<_>>()
        })
        .collect()
}

/// `[m, n]`
fn product(weights: &Weights, bias: Option<&[f32]>, x: &[f32], activations: Activations) -> Vec<Expected> {
    let (n, k) = (weights.n, weights.k);
    x.chunks(k)
        .flat_map(|x| {
            let x: Vec<f64> = if activations == Activations::Int8 && weights.has_integer_kernel() {
                quantised(x)
            } else {
                x.iter().map(|&x| x.into()).collect()
            };
            (0..n)
                .map(|n| {
                    let bias = bias.map_or(0., |bias| f64::from(bias[n]));
                    let terms = x.iter().zip(&weights.values[n * k..]).map(|(x, w)| x * w);
                    let (value, magnitude) = terms.fold((bias, bias.abs()), |(v, m), term| (v + term, m + term.abs()));
                    Expected { value, magnitude }
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn run(pool: &Pool, parts: &[Linear<'_>], x: &[f32], activations: Activations) -> Vec<f32> {
    let width: usize = parts.iter().map(|part| part.weight.n()).sum();
    // Anything that is not written stays NaN.
    let mut y = vec![f32::NAN; x.len() / parts[0].weight.k() * width];
    linear(pool, &mut Scratch::new(), parts, x, &mut y, activations);
    y
}

fn plain(weight: Matrix<'_>) -> Linear<'_> {
    Linear { weight, bias: None }
}

const LAYOUTS: [Layout; 2] = [Layout::Kn, Layout::Nk];
const WIDTHS: [Width; 4] = [Width::F32, Width::F32Bytes, Width::F16, Width::BF16];

fn all_kinds() -> Vec<Kind> {
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

/// Every storage at sizes around what kernels like: lanes, quads, tiles, blocks, and one more or less.
#[test]
fn every_storage_matches_the_oracle() {
    let mut random = Random(1);
    for (index, kind) in all_kinds().into_iter().enumerate() {
        let sizes = [(1, 32), (5, 160), (17, 96), (33, 288), (70, 31), (130, 64), (6, 1100), (31, 17), (48, 1), (64, 544)];
        let rows = [1, 2, 3, 4, 5, 8, 9, 16, 17, 33];
        for (turn, (n, k)) in sizes.into_iter().enumerate() {
            let weights = Weights::new(kind, n, k, &mut random);
            let m = rows[(turn + index) % rows.len()];
            // One float in, so that rows start anywhere.
            let x = &random.floats(m * k + 1)[1..];
            let bias = random.floats(n);
            for activations in [Activations::Exact, Activations::Int8] {
                let bias = (turn % 2 == 0).then_some(&bias[..]);
                let want = product(&weights, bias, x, activations);
                each_isa(2, |pool| {
                    let got = run(pool, &[Linear { weight: weights.matrix(), bias }], x, activations);
                    let what = format!("{kind:?} n {n} k {k} m {m} {activations:?} {}", pool.isa());
                    assert_close(&what, &got, &want, sum_units(k));
                });
            }
        }
    }
}

/// Every number of rows up to beyond two tiles.
#[test]
fn every_number_of_rows_matches_the_oracle() {
    let mut random = Random(2);
    for kind in [
        Kind::Float { width: Width::F32, layout: Layout::Kn },
        Kind::Float { width: Width::F32, layout: Layout::Nk },
        Kind::Blocks { bits: 4, block: 32, zero_points: false, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 64, zero_points: true, scales: Width::F16 },
        Kind::Blocks { bits: 8, block: 32, zero_points: true, scales: Width::F16 },
    ] {
        let weights = Weights::new(kind, 37, 192, &mut random);
        for m in 0..=35 {
            let x = random.floats(m * 192);
            let want = product(&weights, None, &x, Activations::Int8);
            each_isa(1, |pool| {
                let got = run(pool, &[plain(weights.matrix())], &x, Activations::Int8);
                assert_close(&format!("{kind:?} m {m} {}", pool.isa()), &got, &want, sum_units(192));
            });
        }
    }
}

/// Every n and k around the lanes of every instruction set.
#[test]
fn every_tail_matches_the_oracle() {
    let mut random = Random(3);
    for n in 1..=49 {
        for (kind, k) in [
            (Kind::Float { width: Width::F32, layout: Layout::Kn }, 9),
            (Kind::Float { width: Width::F16, layout: Layout::Nk }, n),
            (Kind::Integers { layout: Layout::Nk, signed: true, per_feature: true, zero_points: true }, 50 - n),
            (Kind::Blocks { bits: 4, block: 16, zero_points: true, scales: Width::F32 }, n),
            (Kind::Blocks { bits: 4, block: 32, zero_points: n % 2 == 0, scales: Width::F32 }, 32 * (n % 9 + 1)),
            (Kind::Blocks { bits: 8, block: 32, zero_points: n % 2 == 1, scales: Width::F16 }, 32 * (n % 9 + 1)),
        ] {
            let weights = Weights::new(kind, n, k, &mut random);
            for m in [1, 6] {
                let x = random.floats(m * k);
                let want = product(&weights, None, &x, Activations::Int8);
                each_isa(1, |pool| {
                    let got = run(pool, &[plain(weights.matrix())], &x, Activations::Int8);
                    assert_close(&format!("{kind:?} n {n} k {k} m {m} {}", pool.isa()), &got, &want, sum_units(k));
                });
            }
        }
    }
}

/// With scales of one and whole activations every result is a whole number that floats hold exactly: the integer sums themselves
/// are right to the last bit, at the extremes of both factors too.
#[test]
fn integer_sums_are_exact() {
    let mut random = Random(4);
    for bits in [4, 8] {
        for zero_points in [false, true] {
            for (m, (n, k)) in [(1, (9, 160)), (4, (18, 96)), (7, (20, 288)), (19, (33, 64))] {
                let kind = Kind::Blocks { bits, block: 32, zero_points, scales: Width::F32 };
                let mut weights = Weights::new(kind, n, k, &mut random);
                weights.floats = Owned::F32(vec![1.; n * k / 32]);
                // A third of the bytes at each end.
                for byte in weights.bytes.iter_mut().chain(&mut weights.zero_points) {
                    *byte = [*byte, 0, 255][random.below(3)];
                }
                weights.values = (0..n * k).map(|index| weights.value(index / k, index % k)).collect();
                let mut x: Vec<f32> =
                    (0..m * k).map(|_| [random.below(255) as f32 - 127., -127., 127.][random.below(3)]).collect();
                x.iter_mut().step_by(32).for_each(|x| *x = -127.);
                let want = product(&weights, None, &x, Activations::Exact);
                each_isa(1, |pool| {
                    let got = run(pool, &[plain(weights.matrix())], &x, Activations::Int8);
                    assert_close(&format!("{kind:?} n {n} k {k} m {m} {}", pool.isa()), &got, &want, 0.);
                });
            }
        }
    }
}

/// The same bits for a row alone, among others, and with any number of threads.
#[test]
fn a_row_depends_neither_on_its_neighbours_nor_on_threads() {
    let mut random = Random(5);
    for kind in all_kinds() {
        for (n, k) in [(50, 608), (21, 1056)] {
            let weights = Weights::new(kind, n, k, &mut random);
            let x = random.floats(21 * k);
            for activations in [Activations::Exact, Activations::Int8] {
                each_isa(1, |pool| {
                    let together = run(pool, &[plain(weights.matrix())], &x, activations);
                    let threads = Pool::with_isa(3, pool.isa());
                    assert_eq!(together, run(&threads, &[plain(weights.matrix())], &x, activations));
                    let mut first = 0;
                    for rows in [1, 2, 3, 4, 5, 6] {
                        let apart = run(pool, &[plain(weights.matrix())], &x[first * k..(first + rows) * k], activations);
                        assert_eq!(together[first * n..(first + rows) * n], apart, "{kind:?} {rows} rows {}", pool.isa());
                        first += rows;
                    }
                });
            }
        }
    }
}

#[test]
fn parts_lie_side_by_side_in_a_row() {
    let mut random = Random(6);
    let k = 128;
    let kinds = [
        Kind::Blocks { bits: 4, block: 32, zero_points: false, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 32, zero_points: true, scales: Width::F16 },
        Kind::Float { width: Width::F16, layout: Layout::Kn },
        Kind::Integers { layout: Layout::Kn, signed: true, per_feature: false, zero_points: false },
        Kind::Blocks { bits: 4, block: 64, zero_points: true, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 16, zero_points: true, scales: Width::F32 },
    ];
    let weights: Vec<Weights> =
        kinds.iter().zip([70, 6, 33, 1, 18, 5]).map(|(&kind, n)| Weights::new(kind, n, k, &mut random)).collect();
    let biases: Vec<Vec<f32>> = weights.iter().map(|weights| random.floats(weights.n)).collect();
    for m in [1, 3, 7] {
        let x = random.floats(m * k);
        each_isa(2, |pool| {
            let parts: Vec<Linear<'_>> =
                weights.iter().zip(&biases).map(|(w, bias)| Linear { weight: w.matrix(), bias: Some(bias) }).collect();
            let got = run(pool, &parts, &x, Activations::Int8);
            let width = got.len() / m;
            let mut first = 0;
            for part in &parts {
                let alone = run(pool, std::slice::from_ref(part), &x, Activations::Int8);
                for (row, alone) in alone.chunks(part.weight.n()).enumerate() {
                    assert_eq!(got[row * width + first..][..alone.len()], *alone);
                }
                first += part.weight.n();
            }
        });
    }
}

#[test]
fn a_view_is_the_rows_it_names() {
    let mut random = Random(7);
    for kind in all_kinds() {
        let (n, k, m) = (45, 96, 5);
        let weights = Weights::new(kind, n, k, &mut random);
        let x = random.floats(m * k);
        each_isa(1, |pool| {
            for activations in [Activations::Exact, Activations::Int8] {
                let all = run(pool, &[plain(weights.matrix())], &x, activations);
                for range in [0..45, 3..20, 7..8, 44..45] {
                    let view = weights.matrix().rows(range.clone());
                    let some = run(pool, &[plain(view.rows(0..view.n()))], &x, activations);
                    for row in 0..m {
                        assert_eq!(all[row * n..][range.clone()], some[row * range.len()..][..range.len()], "{kind:?} {range:?}");
                    }
                    let mut first = vec![0.; k];
                    view.dequantise_row(0, &mut first);
                    let want = &weights.values[range.start * k..][..k];
                    assert_eq!(first, want.iter().map(|&w| w as f32).collect::<Vec<_>>(), "{kind:?}");
                    assert_eq!(view.value(0, k - 1), first[k - 1]);
                }
            }
        });
    }
}

#[test]
fn no_rows_give_no_results() {
    let weights = Weights::new(Kind::Float { width: Width::F32, layout: Layout::Kn }, 3, 4, &mut Random(8));
    each_isa(2, |pool| {
        assert!(run(pool, &[plain(weights.matrix())], &[], Activations::Int8).is_empty());
        linear(pool, &mut Scratch::new(), &[], &[], &mut [], Activations::Int8);
    });
}

/// A NaN or an infinity spoils its own row, all of it, and no other.
#[test]
fn what_is_not_finite_stays_in_its_row() {
    let mut random = Random(9);
    for kind in [
        Kind::Float { width: Width::F32, layout: Layout::Kn },
        Kind::Float { width: Width::F32, layout: Layout::Nk },
        Kind::Blocks { bits: 4, block: 32, zero_points: false, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 32, zero_points: true, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 64, zero_points: false, scales: Width::F16 },
    ] {
        let (n, k) = (19, 96);
        let weights = Weights::new(kind, n, k, &mut random);
        for m in [2, 7] {
            let clean = random.floats(m * k);
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut x = clean.clone();
                x[k + 40] = bad;
                each_isa(1, |pool| {
                    let want = run(pool, &[plain(weights.matrix())], &clean, Activations::Int8);
                    let got = run(pool, &[plain(weights.matrix())], &x, Activations::Int8);
                    for (index, (got, want)) in got.iter().zip(&want).enumerate() {
                        if index / n == 1 {
                            // A weight of zero times an infinity is NaN as well.
                            assert!(!got.is_finite(), "{kind:?} {bad} {} gives {got}", pool.isa());
                        } else {
                            assert_eq!(got, want);
                        }
                    }
                });
            }
        }
    }
}

/// Activations too small for a scale count as zero and do no harm; large ones are exact multiples.
#[test]
fn tiny_and_huge_activations_quantise() {
    let kind = Kind::Blocks { bits: 4, block: 32, zero_points: true, scales: Width::F32 };
    let weights = Weights::new(kind, 8, 64, &mut Random(10));
    for size in [0., 1e-45, 1e-38, 1e-36, 1e-30, 1e30] {
        let x: Vec<f32> = Random(11).floats(64).iter().map(|x| x * size).collect();
        let want = product(&weights, None, &x, Activations::Int8);
        each_isa(1, |pool| {
            for (got, want) in run(pool, &[plain(weights.matrix())], &x, Activations::Int8).iter().zip(&want) {
                let tolerance = 1e-5 * want.magnitude + 1e-34;
                assert!((f64::from(*got) - want.value).abs() <= tolerance, "{size}: {got} for {want:?}");
            }
        });
    }
}

/// The definitions, in f64. The error function by its Maclaurin series or, for large arguments, its limit.
fn activate(activation: GateActivation, x: f64) -> f64 {
    let erf = |z: f64| {
        if z.abs() > 5. {
            return z.signum();
        }
        let (mut term, mut sum) = (z, z);
        for i in 1..200 {
            term *= -z * z / f64::from(i);
            sum += term / f64::from(2 * i + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    };
    match activation {
        GateActivation::Silu => x / (1. + (-x).exp()),
        GateActivation::GeluTanh => x / 2. * (1. + ((2. / std::f64::consts::PI).sqrt() * (x + 0.044715 * x * x * x)).tanh()),
        GateActivation::Gelu => x / 2. * (1. + erf(x / std::f64::consts::SQRT_2)),
        GateActivation::Relu => x.max(0.),
    }
}

#[test]
fn gated_products_match_the_oracle() {
    let mut random = Random(12);
    let kinds = [
        Kind::Blocks { bits: 4, block: 32, zero_points: false, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 32, zero_points: true, scales: Width::F32 },
        Kind::Float { width: Width::F32, layout: Layout::Kn },
    ];
    for activation in [GateActivation::Silu, GateActivation::GeluTanh, GateActivation::Gelu, GateActivation::Relu] {
        for (gate_kind, up_kind) in [(kinds[0], kinds[0]), (kinds[0], kinds[1]), (kinds[2], kinds[2])] {
            for (m, n, k) in [(0, 3, 32), (1, 70, 96), (4, 33, 160), (9, 130, 64)] {
                let (gate, up) = (Weights::new(gate_kind, n, k, &mut random), Weights::new(up_kind, n, k, &mut random));
                let (x, bias) = (random.floats(m * k), random.floats(n));
                let gates = product(&gate, Some(&bias), &x, Activations::Int8);
                let ups = product(&up, None, &x, Activations::Int8);
                let want: Vec<Expected> = gates
                    .iter()
                    .zip(&ups)
                    .map(|(g, u)| {
                        // A gate's slope is at most 1.13.
                        let magnitude = 2. * (1. + g.magnitude) * (1. + u.magnitude);
                        Expected { value: activate(activation, g.value) * u.value, magnitude }
                    })
                    .collect();
                each_isa(2, |pool| {
                    let mut y = vec![f32::NAN; m * n];
                    let gate = Linear { weight: gate.matrix(), bias: Some(&bias) };
                    gated(pool, &mut Scratch::new(), gate, plain(up.matrix()), activation, &x, &mut y, Activations::Int8);
                    let what = format!("{activation:?} {gate_kind:?} {up_kind:?} m {m} n {n} k {k} {}", pool.isa());
                    assert_close(&what, &y, &want, sum_units(k));
                });
            }
        }
    }
}

#[test]
#[should_panic(expected = "a bias of another length")]
fn a_bias_of_another_length_is_refused() {
    let weights = Weights::new(Kind::Float { width: Width::F32, layout: Layout::Kn }, 3, 4, &mut Random(13));
    run(&Pool::new(1), &[Linear { weight: weights.matrix(), bias: Some(&[0.; 2]) }], &[0.; 4], Activations::Exact);
}

#[test]
#[should_panic(expected = "rows of 5 values")]
fn parts_of_different_inputs_are_refused() {
    let kind = Kind::Float { width: Width::F32, layout: Layout::Kn };
    let (a, b) = (Weights::new(kind, 3, 4, &mut Random(14)), Weights::new(kind, 3, 5, &mut Random(15)));
    run(&Pool::new(1), &[plain(a.matrix()), plain(b.matrix())], &[0.; 4], Activations::Exact);
}

fn any_kind() -> impl Strategy<Value = Kind> {
    proptest::sample::select(all_kinds())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_product_matches_the_oracle(
        kind in any_kind(), n in 1usize..100, k in 1usize..80, fold in 0usize..3, m in 0usize..40, seed: u64, int8: bool
    ) {
        let mut random = Random(seed);
        // Two of three are multiples of 32, where the integer kernels are.
        let k = if fold < 2 { k % 20 * 32 + 32 } else { k };
        let weights = Weights::new(kind, n, k, &mut random);
        let x = random.floats(m * k);
        let bias = random.floats(n);
        let activations = if int8 { Activations::Int8 } else { Activations::Exact };
        let want = product(&weights, Some(&bias), &x, activations);
        each_isa(2, |pool| {
            let got = run(pool, &[Linear { weight: weights.matrix(), bias: Some(&bias) }], &x, activations);
            assert_close(&format!("{kind:?} {}", pool.isa()), &got, &want, sum_units(k));
        });
    }
}
