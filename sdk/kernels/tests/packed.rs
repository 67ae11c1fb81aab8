//! Packed weights against the weights they were made of, and their products against a plain computation in f64.

mod support;

use std::ops::ControlFlow;

use kinglet_kernels::{
    Activations, BlockWeights, Floats, Isa, Layout, Linear, Matrix, PackedWeights, Pool, SavedWeightsError, ZeroPoints,
};
use support::weights::{Kind, Owned, Weights, Width, Zero, all_kinds, plain, product_of, run};
use support::{Random, assert_close, each_isa, sum_units};

fn packed(pool: &Pool, matrices: &[Matrix<'_>]) -> PackedWeights {
    PackedWeights::new(pool, matrices, |_, _| ControlFlow::Continue(())).unwrap().unwrap()
}

/// All weights, `[n, k]`.
fn values(matrix: &Matrix<'_>) -> Vec<f64> {
    (0..matrix.n()).flat_map(|n| (0..matrix.k()).map(move |k| f64::from(matrix.value(n, k)))).collect()
}

/// Whether a kind is quantised in blocks that are multiples of 32, for a k that is one too.
fn has_tiles(kind: Kind) -> bool {
    match kind {
        Kind::Float { .. } => false,
        Kind::Blocks { bits: 8, zero_points: Zero::Floats, .. } => false,
        Kind::Blocks { block, .. } | Kind::Integers { block: [_, block], .. } => block % 32 == 0,
    }
}

fn kinds() -> Vec<Kind> {
    let blocks = [
        (4, Layout::Kn, true, [1, 32], false),
        (4, Layout::Kn, false, [1, 96], true),
        (4, Layout::Nk, true, [1, 64], true),
        (8, Layout::Nk, true, [1, 64], true),
        (8, Layout::Kn, false, [5, 32], false),
        (2, Layout::Nk, false, [2, 0], true),
        (2, Layout::Kn, true, [1, 32], false),
    ];
    let blocks = blocks.map(|(bits, layout, signed, block, zero_points)| Kind::Integers {
        bits,
        layout,
        signed,
        block,
        zero_points,
        scales: Width::F32,
    });
    all_kinds().into_iter().chain(blocks).collect()
}

/// How far a weight in tiles may be from the one it was made of: scales are rounded to 11 bits, and so is how far zero points that
/// need not be whole are from the middle.
fn rounding(weights: &Weights, index: usize, want: f64) -> f64 {
    let of_scale = want.abs() * 2f64.powi(-11);
    match weights.kind {
        Kind::Blocks { bits, block, zero_points: Zero::Floats, .. } => {
            let at = index / weights.k * weights.k.div_ceil(block) + index % weights.k / block;
            let offset = weights.float_zero_points.get(at) - 2f64.powi(bits as i32 - 1);
            of_scale + weights.floats.get(at) * offset.abs() * 2f64.powi(-10)
        }
        _ => of_scale,
    }
}

/// Scales, and zero points that need not be whole, are rounded to 11 bits; everything else is kept.
#[test]
fn weights_are_those_they_were_made_of() {
    let mut random = Random(1);
    for kind in kinds() {
        for (n, k) in [(1, 32), (37, 192), (16, 96), (20, 544)] {
            let weights = Weights::new(kind, n, k, &mut random);
            each_isa(2, |pool| {
                let packed = packed(pool, &[weights.matrix()]);
                assert_eq!(packed.matrix(0).is_some(), has_tiles(kind), "{kind:?}");
                assert_eq!(packed.bytes(), PackedWeights::bytes_needed(pool.isa(), &weights.matrix()).unwrap_or(0));
                let Some(matrix) = packed.matrix(0) else { return };
                for (index, (got, want)) in values(&matrix).iter().zip(&weights.values).enumerate() {
                    let far = (got - want).abs();
                    assert!(far <= rounding(&weights, index, *want), "{kind:?} {}: {got} for {want}", pool.isa());
                }
            });
        }
    }
}

/// Some rows of a matrix, from any of them.
#[test]
fn views_become_matrices_of_their_own() {
    let mut random = Random(2);
    for kind in kinds().into_iter().filter(|&kind| has_tiles(kind)) {
        let weights = Weights::new(kind, 45, 192, &mut random);
        each_isa(1, |pool| {
            let view = weights.matrix().rows(7..40);
            let packed = packed(pool, &[view]);
            let want = &weights.values[7 * 192..40 * 192];
            for (index, (got, want)) in values(&packed.matrix(0).unwrap()).iter().zip(want).enumerate() {
                let far = (got - want).abs();
                assert!(far <= rounding(&weights, 7 * 192 + index, *want), "{kind:?} {}: {got} for {want}", pool.isa());
            }
        });
    }
}

/// Every number of rows of x up to beyond two groups, with sections of one block more and less than whole.
#[test]
fn products_match_the_oracle() {
    let mut random = Random(3);
    for kind in kinds().into_iter().filter(|&kind| has_tiles(kind)).step_by(2) {
        for (turn, (n, k)) in [(1, 32), (37, 192), (49, 512), (20, 544)].into_iter().enumerate() {
            let weights = Weights::new(kind, n, k, &mut random);
            let bias = random.floats(n);
            for m in [1, 2, 3, 4, 5, 8, 13].into_iter().skip(turn % 3).step_by(2) {
                let x = &random.floats(m * k + 1)[1..];
                each_isa(2, |pool| {
                    let packed = packed(pool, &[weights.matrix()]);
                    let matrix = packed.matrix(0).unwrap();
                    for (activations, int8) in [(Activations::Int8, true), (Activations::Exact, false)] {
                        let want = product_of(&values(&matrix), k, Some(&bias), x, int8);
                        let got = run(pool, &[Linear { weight: matrix, bias: Some(&bias) }], x, activations);
                        assert_close(&format!("{kind:?} n {n} k {k} m {m} {}", pool.isa()), &got, &want, sum_units(k));
                    }
                });
            }
        }
    }
}

/// The same bits for a row alone, among others, and with any number of threads.
#[test]
fn a_row_depends_neither_on_its_neighbours_nor_on_threads() {
    let mut random = Random(4);
    for kind in kinds().into_iter().filter(|&kind| has_tiles(kind)).step_by(3) {
        let (n, k) = (70, 1088);
        let weights = Weights::new(kind, n, k, &mut random);
        let x = random.floats(21 * k);
        each_isa(1, |pool| {
            let packed = packed(pool, &[weights.matrix()]);
            let parts = [plain(packed.matrix(0).unwrap())];
            let together = run(pool, &parts, &x, Activations::Int8);
            assert_eq!(together, run(&Pool::with_isa(3, pool.isa()), &parts, &x, Activations::Int8));
            let mut first = 0;
            for rows in [1, 2, 3, 4, 5, 6] {
                let apart = run(pool, &parts, &x[first * k..(first + rows) * k], Activations::Int8);
                assert_eq!(together[first * n..(first + rows) * n], apart, "{kind:?} {rows} rows {}", pool.isa());
                first += rows;
            }
        });
    }
}

/// Scales beyond float16's range at both ends are kept by their matrix's power of two; those that nothing can be seen of may go.
#[test]
fn scales_of_any_size_are_kept() {
    let kind = Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Middle, scales: Width::F32 };
    for size in [1e-30f32, 1e-8, 1., 1e6, 1e30] {
        let mut weights = Weights::new(kind, 18, 64, &mut Random(5));
        let scales: Vec<f32> = (0..36).map(|i| size * 2f32.powi(-(i % 28))).collect();
        weights.floats = Owned::F32(scales);
        weights.values = (0..18 * 64).map(|index| weights.value(index / 64, index % 64)).collect();
        each_isa(1, |pool| {
            let packed = packed(pool, &[weights.matrix()]);
            for (got, want) in values(&packed.matrix(0).unwrap()).iter().zip(&weights.values) {
                assert!((got - want).abs() <= want.abs() * 2f64.powi(-11), "{size} {}: {got} for {want}", pool.isa());
            }
        });
    }
}

/// A NaN or an infinity among the scales reaches the rows that have it and no others.
#[test]
fn a_scale_that_is_not_finite_stays_in_its_row() {
    let kind = Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Packed, scales: Width::F32 };
    for bad in [f32::NAN, f32::INFINITY] {
        let mut weights = Weights::new(kind, 18, 64, &mut Random(6));
        let mut scales = vec![0.5; 36];
        scales[7] = bad; // row 3
        weights.floats = Owned::F32(scales);
        each_isa(1, |pool| {
            let packed = packed(pool, &[weights.matrix()]);
            let got = run(pool, &[plain(packed.matrix(0).unwrap())], &[1.; 64], Activations::Int8);
            for (row, got) in got.iter().enumerate() {
                assert_eq!(got.is_finite(), row != 3, "row {row} is {got} with a scale of {bad}");
            }
        });
    }
}

/// A zero point so far from the middle that float16 would round it by more than the weights are worth keeps its matrix in place.
#[test]
fn zero_points_far_from_the_middle_stay_in_place() {
    let kind = Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Floats, scales: Width::F32 };
    for (far, tiled) in [(23.5, true), (25., false), (-9., false), (f32::NAN, false), (f32::INFINITY, false)] {
        let mut weights = Weights::new(kind, 18, 64, &mut Random(11));
        let mut points = vec![7.5; 36];
        points[20] = far;
        weights.float_zero_points = Owned::F32(points);
        each_isa(1, |pool| assert_eq!(PackedWeights::bytes_needed(pool.isa(), &weights.matrix()).is_some(), tiled, "{far}"));
    }
}

/// Tiles of one instruction set mean the same to another, which reads them slowly.
#[test]
fn tiles_of_another_instruction_set_are_read() {
    let mut random = Random(7);
    let weights =
        Weights::new(Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Packed, scales: Width::F32 }, 40, 96, &mut random);
    let x = random.floats(96);
    let best = Pool::new(1);
    let packed = packed(&best, &[weights.matrix()]);
    let matrix = packed.matrix(0).unwrap();
    // On ARM the vectors of all instruction sets are equally long, so that their tiles are the same.
    let same = Isa::best() == Isa::SCALAR || cfg!(target_arch = "aarch64");
    let want = product_of(&values(&matrix), 96, None, &x, same);
    assert_close("scalar", &run(&Pool::with_isa(1, Isa::SCALAR), &[plain(matrix)], &x, Activations::Int8), &want, sum_units(96));
}

/// A matrix larger than a piece is prepacked piece by piece, every row in one of them.
#[test]
fn large_matrices_are_done_in_pieces() {
    let (n, k) = (1030, 5120);
    let (packed, scales) = (Random(9).bytes(n * k), vec![0.5f32; n * k / 32]);
    let weights =
        BlockWeights { bits: 8, n, k, block: 32, packed: &packed, scales: Floats::F32(&scales), zero_points: ZeroPoints::Middle };
    let matrix = Matrix::blocks(weights).unwrap();
    let mut next = 0;
    let packed = PackedWeights::new(&Pool::new(2), &[matrix], |index, rows| {
        assert_eq!((index, rows.start), (0, next));
        next = rows.end;
        ControlFlow::Continue(())
    });
    assert_eq!(next, n);
    let tiled = packed.unwrap().unwrap();
    let tiled = tiled.matrix(0).unwrap();
    for (row, feature) in [(0, 0), (511, 77), (800, 5119), (1029, 4000)] {
        assert_eq!(tiled.value(row, feature), matrix.value(row, feature));
    }
}

#[test]
fn the_work_says_what_it_has_done_and_can_be_broken_off() {
    let mut random = Random(8);
    let float = Weights::new(Kind::Float { width: Width::F32, layout: Layout::Nk }, 8, 32, &mut random);
    let blocks =
        Weights::new(Kind::Blocks { bits: 8, block: 32, zero_points: Zero::Middle, scales: Width::F32 }, 8, 32, &mut random);
    let matrices = [float.matrix(), blocks.matrix(), blocks.matrix()];
    let pool = Pool::new(2);
    let mut seen = vec![];
    let all = PackedWeights::new(&pool, &matrices, |index, rows| {
        seen.push((index, rows));
        ControlFlow::Continue(())
    });
    assert_eq!(seen, [(1, 0..8), (2, 0..8)]);
    let all = all.unwrap().unwrap();
    assert!(all.matrix(0).is_none() && all.matrix(2).is_some() && all.matrix(3).is_none());
    let broken = PackedWeights::new(&pool, &matrices, |_, _| ControlFlow::Break(()));
    assert!(broken.unwrap().is_none());
    assert!(PackedWeights::new(&pool, &[], |_, _| ControlFlow::Continue(())).unwrap().unwrap().matrix(0).is_none());
}

/// Bytes from some place after a cache line.
struct Held {
    lines: Vec<Line>,
    start: usize,
    len: usize,
}

#[derive(Clone, Copy, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([u8; 64]);

impl Held {
    fn new(bytes: &[u8], start: usize) -> Held {
        let mut lines = vec![Line([0; 64]); (start + bytes.len()).div_ceil(64)];
        bytemuck::cast_slice_mut(&mut lines)[start..][..bytes.len()].copy_from_slice(bytes);
        Held { lines, start, len: bytes.len() }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[self.start..][..self.len]
    }
}

#[test]
fn saved_weights_are_used_where_they_lie() {
    let mut random = Random(9);
    let quantised: Vec<Kind> = kinds().into_iter().filter(|&kind| has_tiles(kind)).take(3).collect();
    let mut all: Vec<Weights> = quantised.iter().map(|&kind| Weights::new(kind, 37, 192, &mut random)).collect();
    all.insert(1, Weights::new(Kind::Float { width: Width::F32, layout: Layout::Nk }, 5, 64, &mut random));
    let matrices: Vec<Matrix<'_>> = all.iter().map(Weights::matrix).collect();
    each_isa(2, |pool| {
        let made = packed(pool, &matrices);
        let mut saved = vec![];
        made.save(&mut saved).unwrap();
        let restore = |bytes: &[u8], start| PackedWeights::restore(pool.isa(), &matrices, Box::new(Held::new(bytes, start)));
        let restored = restore(&saved, 0).unwrap();
        assert_eq!(restored.bytes(), made.bytes());
        let x = Random(10).floats(192);
        for index in 0..matrices.len() {
            let pair = [made.matrix(index), restored.matrix(index)];
            assert_eq!(pair[0].is_some(), index != 1);
            let [Some(made), Some(restored)] = pair else { continue };
            assert_eq!(
                run(pool, &[plain(made)], &x, Activations::Int8),
                run(pool, &[plain(restored)], &x, Activations::Int8),
                "{}",
                pool.isa()
            );
        }

        let length = |found| SavedWeightsError::Length { expected: saved.len(), found };
        assert_eq!(restore(&saved[..saved.len() - 1], 0).unwrap_err(), length(saved.len() - 1));
        assert_eq!(restore(&[], 0).unwrap_err(), length(0));
        assert_eq!(restore(&saved, 32).unwrap_err(), SavedWeightsError::Misaligned);
        for (at, bytes) in [(0, [9; 8]), (8, [9; 8]), (16, [0; 8]), (20, [1, 0, 0, 0, 0, 0, 0, 0])] {
            let mut other = saved.clone();
            other[at..at + 8].copy_from_slice(&bytes);
            assert_eq!(restore(&other, 0).unwrap_err(), SavedWeightsError::OtherWeights, "{at}");
        }
    });
}
