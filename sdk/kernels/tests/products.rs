//! Products of every storage, on every instruction set, against a plain computation in f64.

mod support;

use kinglet_kernels::{Activations, GateActivation, Layout, Linear, Pool, Scratch, gated, linear};
use proptest::prelude::*;
use support::weights::{Kind, Owned, Weights, Width, Zero, all_kinds, packed_if, plain, product, run};
use support::{Expected, Random, assert_close, each_isa, sum_units};

const PER_FEATURE: Kind =
    Kind::Integers { bits: 8, layout: Layout::Nk, signed: true, block: [1, 0], zero_points: true, scales: Width::F32 };

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
        Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Middle, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 64, zero_points: Zero::Packed, scales: Width::F16 },
        Kind::Blocks { bits: 8, block: 32, zero_points: Zero::Packed, scales: Width::F16 },
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
            (PER_FEATURE, 50 - n),
            (Kind::Blocks { bits: 4, block: 16, zero_points: Zero::Packed, scales: Width::F32 }, n),
            (Kind::Blocks { bits: 4, block: 32, zero_points: packed_if(n % 2 == 0), scales: Width::F32 }, 32 * (n % 9 + 1)),
            (Kind::Blocks { bits: 8, block: 32, zero_points: packed_if(n % 2 == 1), scales: Width::F16 }, 32 * (n % 9 + 1)),
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
        for zero_points in [Zero::Middle, Zero::Packed] {
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
        Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Middle, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 32, zero_points: Zero::Packed, scales: Width::F16 },
        Kind::Float { width: Width::F16, layout: Layout::Kn },
        Kind::Integers { bits: 8, layout: Layout::Kn, signed: true, block: [0, 0], zero_points: false, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 64, zero_points: Zero::Packed, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 16, zero_points: Zero::Packed, scales: Width::F32 },
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
        Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Middle, scales: Width::F32 },
        Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Packed, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 64, zero_points: Zero::Middle, scales: Width::F16 },
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
    let kind = Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Packed, scales: Width::F32 };
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
        Kind::Blocks { bits: 4, block: 32, zero_points: Zero::Middle, scales: Width::F32 },
        Kind::Blocks { bits: 8, block: 32, zero_points: Zero::Packed, scales: Width::F32 },
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

/// A part whose k divides that of the first: each has whole rows in x, but not as many.
#[test]
#[should_panic(expected = "rows of 2 values")]
fn a_part_over_shorter_rows_is_refused() {
    let kind = Kind::Float { width: Width::F32, layout: Layout::Kn };
    let (a, b) = (Weights::new(kind, 3, 4, &mut Random(14)), Weights::new(kind, 3, 2, &mut Random(15)));
    run(&Pool::new(1), &[plain(a.matrix()), plain(b.matrix())], &[0.; 4], Activations::Exact);
}

#[test]
#[should_panic(expected = "rows of 2 values")]
fn a_gate_over_shorter_rows_is_refused() {
    let kind = Kind::Float { width: Width::F32, layout: Layout::Kn };
    let (gate, up) = (Weights::new(kind, 3, 2, &mut Random(14)), Weights::new(kind, 3, 4, &mut Random(15)));
    let (gate, up) = (plain(gate.matrix()), plain(up.matrix()));
    let mut y = [0.; 3];
    gated(&Pool::new(1), &mut Scratch::new(), gate, up, GateActivation::Silu, &[0.; 4], &mut y, Activations::Exact);
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
