//! Attention over the paged cache, on every instruction set, against a plain computation in f64 that knows no pages.

mod support;

use kinglet_kernels::{
    AttentionShape, HeadNorm, KvArena, KvElement, KvLayout, LayerKv, Pool, RotaryRows, Scratch, SequenceRows, attention,
};
use proptest::prelude::*;
use support::{Expected, Random, assert_close, each_isa};

/// One model's attention, without the parts that are drawn at random.
#[derive(Clone, Copy, Debug)]
struct Case {
    q_heads: usize,
    kv_heads: usize,
    head_dim: usize,
    value_dim: usize,
    page: usize,
    element: KvElement,
    window: Option<usize>,
    softcap: Option<f32>,
    norms: bool,
    /// Whether norms come after the rotation.
    norm_last: bool,
    /// Values rotated, and whether interleaved.
    rotary: Option<(usize, bool)>,
}

const PLAIN: Case = Case {
    q_heads: 4,
    kv_heads: 2,
    head_dim: 16,
    value_dim: 16,
    page: 64,
    element: KvElement::Float32,
    window: None,
    softcap: None,
    norms: false,
    norm_last: false,
    rotary: None,
};

impl Case {
    fn width(&self) -> usize {
        self.q_heads * self.head_dim + self.kv_heads * (self.head_dim + self.value_dim)
    }

    fn arena(&self, pages: usize) -> KvArena {
        let layer = LayerKv { kv_heads: self.kv_heads, head_dim: self.head_dim, value_dim: self.value_dim };
        // The layer under test lies behind another one with other heads.
        KvArena::new(KvLayout::new(&[LayerKv::new(1, 8), layer], self.page, self.element).unwrap(), pages).unwrap()
    }
}

/// A model's attention with its weights.
struct Model {
    case: Case,
    q_weight: Vec<f32>,
    k_weight: Vec<f32>,
    scale: f32,
}

/// The angle of a pair at a position: any function will do.
fn angle(position: usize, pair: usize) -> f64 {
    position as f64 / (1. + pair as f64)
}

impl Model {
    fn new(case: Case, random: &mut Random) -> Model {
        let (q_weight, k_weight) = (random.floats(case.head_dim), random.floats(case.head_dim));
        Model { case, q_weight, k_weight, scale: 1. / (case.head_dim as f32).sqrt() }
    }

    /// Runs a step: `sequences` are (pages, past, rows of qkv), which lie one after the other.
    fn step(&self, pool: &Pool, arena: &mut KvArena, sequences: &[(&[u32], usize, &[f32])]) -> Vec<f32> {
        let Case { q_heads, value_dim, window, softcap, norms, norm_last, rotary, .. } = self.case;
        let width = self.case.width();
        let (mut qkv, mut runs, mut positions) = (vec![], vec![], vec![]);
        for &(pages, past, rows) in sequences {
            let (first_row, rows_count) = (positions.len(), rows.len() / width);
            positions.extend(past..past + rows_count);
            runs.push(SequenceRows { pages, past, first_row, rows: rows_count });
            qkv.extend_from_slice(rows);
        }
        let half = rotary.map_or(0, |(dim, _)| dim / 2);
        let angles: Vec<f64> = positions.iter().flat_map(|&position| (0..half).map(move |pair| angle(position, pair))).collect();
        let (cos, sin): (Vec<f32>, Vec<f32>) = angles.iter().map(|angle| (angle.cos() as f32, angle.sin() as f32)).unzip();
        let norm = |weight| HeadNorm { weight, offset: 1., eps: 1e-6 };
        let shape = AttentionShape {
            layer: 1,
            q_heads,
            scale: self.scale,
            softcap,
            window,
            q_norm: norms.then_some(norm(&self.q_weight)),
            k_norm: norms.then_some(norm(&self.k_weight)),
            norm_after_rotation: norm_last,
            rotary: rotary.map(|(rotary_dim, interleaved)| RotaryRows { cos: &cos, sin: &sin, rotary_dim, interleaved }),
        };
        let mut out = vec![f32::NAN; positions.len() * q_heads * value_dim];
        attention(pool, &mut Scratch::new(), &shape, arena, &runs, &qkv, &mut out);
        out
    }

    /// A head of queries or keys, normed and rotated.
    fn prepare(&self, x: &[f32], weight: &[f32], position: usize) -> Vec<f64> {
        let mut x: Vec<f64> = x.iter().map(|&x| x.into()).collect();
        if self.case.norm_last {
            self.rotate(&mut x, position);
        }
        if self.case.norms {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            let factor = 1. / (mean + 1e-6).sqrt();
            x.iter_mut().zip(weight).for_each(|(x, &w)| *x *= factor * (1. + f64::from(w)));
        }
        if !self.case.norm_last {
            self.rotate(&mut x, position);
        }
        x
    }

    fn rotate(&self, x: &mut [f64], position: usize) {
        let Some((dim, interleaved)) = self.case.rotary else { return };
        for pair in 0..dim / 2 {
            let (i, j) = if interleaved { (2 * pair, 2 * pair + 1) } else { (pair, pair + dim / 2) };
            let (sin, cos) = angle(position, pair).sin_cos();
            (x[i], x[j]) = (x[i] * cos - x[j] * sin, x[j] * cos + x[i] * sin);
        }
    }

    /// All rows of a whole sequence `[rows, width]`, at once and in f64.
    fn oracle(&self, qkv: &[f32]) -> Vec<Expected> {
        let Case { q_heads, kv_heads, head_dim, value_dim, window, softcap, .. } = self.case;
        let rows: Vec<&[f32]> = qkv.chunks(self.case.width()).collect();
        let mut out = vec![];
        for (position, row) in rows.iter().enumerate() {
            let first = window.map_or(0, |window| (position + 1).saturating_sub(window));
            for head in 0..q_heads {
                let kv_head = head / (q_heads / kv_heads);
                let query = self.prepare(&row[head * head_dim..][..head_dim], &self.q_weight, position);
                let scores: Vec<f64> = (first..=position)
                    .map(|at| {
                        let key = &rows[at][(q_heads + kv_head) * head_dim..][..head_dim];
                        let key = self.prepare(key, &self.k_weight, at);
                        let score = query.iter().zip(&key).map(|(q, k)| q * k).sum::<f64>() * f64::from(self.scale);
                        softcap.map_or(score, |cap| f64::from(cap) * (score / f64::from(cap)).tanh())
                    })
                    .collect();
                let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let weights: Vec<f64> = scores.iter().map(|score| (score - top).exp()).collect();
                let total: f64 = weights.iter().sum();
                for dim in 0..value_dim {
                    let values = (first..=position)
                        .map(|at| f64::from(rows[at][(q_heads + kv_heads) * head_dim + kv_head * value_dim + dim]));
                    let value = values.zip(&weights).map(|(v, w)| v * w / total).sum();
                    // Values are at most 1.
                    out.push(Expected { value, magnitude: 1. });
                }
            }
        }
        out
    }
}

/// Units of 2^-24 that the whole way through norms, rotation, scores and softmax may cost for values up to 1: scores with norms
/// reach about `head_dim`, and their absolute error becomes a relative one of the weights.
fn units(case: &Case) -> f64 {
    100. + 4. * case.head_dim as f64
}

/// A permutation of pages, so that neighbours in a sequence are not neighbours in the arena.
fn pages(count: usize) -> Vec<u32> {
    (0..count as u32).rev().map(|page| page ^ 1).collect()
}

/// A sequence in chunks equals the oracle, whatever the chunks, and chunks do not change a bit.
fn check(case: Case, rows: usize, seed: u64) {
    let mut random = Random(seed);
    let model = Model::new(case, &mut random);
    let qkv = random.floats(rows * case.width());
    let want = model.oracle(&qkv);
    let count = rows.div_ceil(case.page).next_multiple_of(2);
    let pages = pages(count);
    let out_width = case.q_heads * case.value_dim;
    each_isa(2, |pool| {
        let whole = model.step(pool, &mut case.arena(count), &[(&pages, 0, &qkv)]);
        assert_close(&format!("{case:?} rows {rows} {}", pool.isa()), &whole, &want, units(&case));
        for chunk in [1, 7, case.page, case.page + 3] {
            let (mut arena, mut past) = (case.arena(count), 0);
            for part in qkv.chunks(chunk * case.width()) {
                let got = model.step(pool, &mut arena, &[(&pages, past, part)]);
                let rows = part.len() / case.width();
                assert_eq!(got, whole[past * out_width..(past + rows) * out_width], "{case:?} chunks of {chunk} {}", pool.isa());
                past += rows;
            }
        }
    });
}

#[test]
fn every_shape_matches_the_oracle() {
    for (seed, (case, rows)) in [
        (PLAIN, 1),
        (PLAIN, 63),
        (PLAIN, 64),
        (PLAIN, 65),
        (PLAIN, 200),
        (Case { page: 32, ..PLAIN }, 97),
        // Head sizes of real models, and odd ones.
        (Case { head_dim: 4, value_dim: 4, ..PLAIN }, 70),
        (Case { head_dim: 20, value_dim: 36, ..PLAIN }, 70),
        (Case { head_dim: 64, value_dim: 64, q_heads: 14, ..PLAIN }, 90),
        (Case { head_dim: 80, value_dim: 80, page: 32, ..PLAIN }, 40),
        (Case { head_dim: 96, value_dim: 96, kv_heads: 1, ..PLAIN }, 70),
        (Case { head_dim: 128, value_dim: 128, q_heads: 3, kv_heads: 3, ..PLAIN }, 70),
        (Case { head_dim: 256, value_dim: 256, q_heads: 2, ..PLAIN }, 70),
        (Case { head_dim: 64, value_dim: 16, ..PLAIN }, 70),
        // More queries that share a head than an item usually takes.
        (Case { q_heads: 71, kv_heads: 1, ..PLAIN }, 70),
        // Windows shorter and longer than a page, and than the sequence.
        (Case { window: Some(1), ..PLAIN }, 70),
        (Case { window: Some(5), ..PLAIN }, 140),
        (Case { window: Some(64), ..PLAIN }, 200),
        (Case { window: Some(100), page: 32, ..PLAIN }, 250),
        (Case { window: Some(1000), ..PLAIN }, 70),
        (Case { softcap: Some(30.), norms: true, ..PLAIN }, 70),
        (Case { softcap: Some(0.5), ..PLAIN }, 70),
        (Case { norms: true, ..PLAIN }, 70),
        (Case { rotary: Some((16, false)), ..PLAIN }, 70),
        (Case { rotary: Some((16, true)), ..PLAIN }, 70),
        (Case { rotary: Some((6, false)), ..PLAIN }, 70),
        (Case { rotary: Some((6, true)), norms: true, window: Some(9), softcap: Some(20.), ..PLAIN }, 140),
        (Case { rotary: Some((16, false)), norms: true, norm_last: true, ..PLAIN }, 70),
        (Case { rotary: Some((6, true)), norms: true, norm_last: true, ..PLAIN }, 70),
    ]
    .into_iter()
    .enumerate()
    {
        check(case, rows, seed as u64);
    }
}

/// Keys and values that half precision holds exactly give the same bits from either storage.
#[test]
fn halves_that_are_exact_change_nothing() {
    for (seed, (case, rows)) in [
        (PLAIN, 70),
        (Case { page: 32, ..PLAIN }, 97),
        (Case { head_dim: 20, value_dim: 36, ..PLAIN }, 70),
        (Case { head_dim: 64, value_dim: 64, q_heads: 14, ..PLAIN }, 90),
        (Case { head_dim: 128, value_dim: 128, q_heads: 3, kv_heads: 3, ..PLAIN }, 33),
        (Case { window: Some(5), softcap: Some(30.), ..PLAIN }, 140),
    ]
    .into_iter()
    .enumerate()
    {
        let mut random = Random(seed as u64);
        let model = Model::new(case, &mut random);
        let qkv: Vec<f32> = random.floats(rows * case.width()).iter().map(|&x| half::f16::from_f32(x).to_f32()).collect();
        let (half, count) = (Case { element: KvElement::Float16, ..case }, rows.div_ceil(case.page));
        let pages: Vec<u32> = (0..count as u32).collect();
        each_isa(2, |pool| {
            let want = model.step(pool, &mut case.arena(count), &[(&pages, 0, &qkv)]);
            let mut arena = half.arena(count);
            assert_eq!(arena.page_bytes() * 2, case.arena(1).page_bytes());
            let (first, rest) = qkv.split_at(5 * case.width());
            let mut got = model.step(pool, &mut arena, &[(&pages, 0, first)]);
            got.extend(model.step(pool, &mut arena, &[(&pages, 5, rest)]));
            assert_eq!(got, want, "{case:?} {}", pool.isa());
        });
    }
}

/// Others are rounded to 11 bits on their way into the cache.
#[test]
fn half_precision_rounds_and_no_more() {
    let case = Case { head_dim: 64, value_dim: 64, q_heads: 14, ..PLAIN };
    let case = Case { rotary: Some((64, false)), norms: true, element: KvElement::Float16, ..case };
    let mut random = Random(9);
    let model = Model::new(case, &mut random);
    let qkv = random.floats(90 * case.width());
    let want = model.oracle(&qkv);
    each_isa(2, |pool| {
        let got = model.step(pool, &mut case.arena(2), &[(&[0, 1], 0, &qkv)]);
        // 2^13 units of 2^-24 are 2^-11: of each value, and of each weight through its score, which reaches a few.
        assert_close(&format!("{}", pool.isa()), &got, &want, 4. * 8192.);
        let exact: Vec<f32> = want.iter().map(|want| want.value as f32).collect();
        assert_ne!(got, exact, "nothing was rounded");
    });
}

/// Sequences at different positions in one step, one of them in several rows, with a fork that shares a page with its parent.
#[test]
fn sequences_in_one_step_equal_sequences_alone() {
    let case = Case { rotary: Some((16, false)), window: Some(80), ..PLAIN };
    let mut random = Random(77);
    let model = Model::new(case, &mut random);
    let width = case.width();
    let parent = random.floats(100 * width);
    let other = random.floats(30 * width);
    // Both go on from the parent's first 90 rows.
    let (left, right) = (random.floats(width), random.floats(6 * width));
    each_isa(3, |pool| {
        let mut arena = case.arena(8);
        model.step(pool, &mut arena, &[(&[3, 5], 0, &parent[..90 * width])]);
        model.step(pool, &mut arena, &[(&[0], 0, &other[..20 * width])]);
        // The half-filled second page is copied, the first is shared.
        arena.copy_page(5, 6, 90 - 64);
        let got = model.step(
            pool,
            &mut arena,
            &[(&[3, 5], 90, &left), (&[0], 20, &other[20 * width..]), (&[1], 0, &[]), (&[3, 6], 90, &right)],
        );
        let mut want = vec![];
        for (rows, past) in
            [(&[&parent[..90 * width], &left].concat(), 90), (&other, 20), (&[&parent[..90 * width], &right].concat(), 90)]
        {
            let whole = model.step(pool, &mut case.arena(2), &[(&[0, 1], 0, rows)]);
            want.extend_from_slice(&whole[past * case.q_heads * case.value_dim..]);
        }
        assert_eq!(got, want, "{}", pool.isa());
        let oracle = model.oracle(&[&parent[..90 * width], &right].concat());
        let last = case.q_heads * case.value_dim;
        assert_close("fork", &got[got.len() - last..], &oracle[oracle.len() - last..], units(&case));
    });
}

/// A row each for sequences that begin with the same pages, as candidates after one prompt do: some at other positions, one that
/// shares less, one that shares nothing.
#[test]
fn sequences_that_share_pages_equal_sequences_alone() {
    for (window, element) in [(None, KvElement::Float16), (Some(80), KvElement::Float32)] {
        let case = Case { q_heads: 7, kv_heads: 1, page: 32, rotary: Some((16, false)), window, element, ..PLAIN };
        let mut random = Random(78);
        let model = Model::new(case, &mut random);
        let width = case.width();
        let prompt = random.floats(140 * width);
        let other = random.floats(20 * width);
        let rows: Vec<Vec<f32>> = (0..6).map(|_| random.floats(width)).collect();
        // Pages and rows before: four sequences go on from 128 rows of the prompt, one from 32, one has its own.
        let before = [128, 140, 128, 132, 40, 20];
        let own: [&[u32]; 6] = [&[0, 1, 2, 3, 4], &[0, 1, 2, 3, 5], &[0, 1, 2, 3, 6], &[0, 1, 2, 3, 7], &[0, 8], &[9]];
        let said = |i: usize| if i == 5 { &other[..20 * width] } else { &prompt[..before[i] * width] };
        for threads in [1, 3] {
            each_isa(threads, |pool| {
                let mut arena = case.arena(10);
                for i in 0..6 {
                    let kept = if i == 0 || i == 5 { 0 } else { before[0].min(before[i]) / 32 * 32 };
                    model.step(pool, &mut arena, &[(own[i], kept, &said(i)[kept * width..])]);
                }
                let steps: Vec<_> = (0..6).map(|i| (own[i], before[i], rows[i].as_slice())).collect();
                let together = model.step(pool, &mut arena, &steps);
                let mut alone = vec![];
                for i in 0..6 {
                    let whole = [said(i), &rows[i]].concat();
                    let out = model.step(pool, &mut case.arena(5), &[(&[0, 1, 2, 3, 4], 0, &whole)]);
                    alone.extend_from_slice(&out[before[i] * case.q_heads * case.value_dim..]);
                }
                assert_eq!(together, alone, "{} on {threads} threads, window {window:?}", pool.isa());
            });
        }
    }
}

#[test]
fn rows_between_runs_keep_what_they_had() {
    let case = PLAIN;
    let mut random = Random(5);
    let model = Model::new(case, &mut random);
    let qkv = random.floats(3 * case.width());
    each_isa(1, |pool| {
        let shape = AttentionShape {
            layer: 1,
            q_heads: case.q_heads,
            scale: model.scale,
            softcap: None,
            window: None,
            q_norm: None,
            k_norm: None,
            norm_after_rotation: false,
            rotary: None,
        };
        let mut out = vec![7.; 3 * 64];
        let runs = [0, 2].map(|row| SequenceRows { pages: [&[1], &[2]][row / 2], past: 0, first_row: row, rows: 1 });
        attention(pool, &mut Scratch::new(), &shape, &mut case.arena(4), &runs, &qkv, &mut out);
        assert!(out[64..128].iter().all(|&x| x == 7.) && out[..64].iter().chain(&out[128..]).all(|&x| x != 7.));
    });
}

/// NaN in a query spoils its own heads; in a key or a value, the rows that see it.
#[test]
fn nan_spoils_what_sees_it() {
    let case = PLAIN;
    let mut random = Random(6);
    let model = Model::new(case, &mut random);
    let clean = random.floats(4 * case.width());
    each_isa(1, |pool| {
        // Row 2: query head 1, then key head 1, which query heads 2 and 3 share.
        for (column, rows, heads) in [(16, 2..3, 1..2), (5 * 16, 2..4, 2..4)] {
            let mut qkv = clean.clone();
            qkv[2 * case.width() + column] = f32::NAN;
            let got = model.step(pool, &mut case.arena(1), &[(&[0], 0, &qkv)]);
            for (index, x) in got.iter().enumerate() {
                let (row, head) = (index / 64, index % 64 / 16);
                assert_eq!(x.is_nan(), rows.contains(&row) && heads.contains(&head), "row {row} head {head} {}", pool.isa());
            }
        }
    });
}

fn step_with(case: Case, runs: &[SequenceRows<'_>], rows: usize) {
    let shape = AttentionShape {
        layer: 1,
        q_heads: case.q_heads,
        scale: 1.,
        softcap: None,
        window: case.window,
        q_norm: None,
        k_norm: None,
        norm_after_rotation: false,
        rotary: None,
    };
    let (qkv, mut out) = (vec![0.; rows * case.width()], vec![0.; rows * case.q_heads * case.value_dim]);
    attention(&Pool::new(1), &mut Scratch::new(), &shape, &mut case.arena(2), runs, &qkv, &mut out);
}

#[test]
#[should_panic(expected = "two runs write to one page")]
fn two_runs_may_not_write_to_one_page() {
    let run = |first_row| SequenceRows { pages: &[1], past: 3, first_row, rows: 1 };
    step_with(PLAIN, &[run(0), run(1)], 2);
}

#[test]
#[should_panic(expected = "runs overlap")]
fn runs_may_not_overlap() {
    let run = |page, first_row| SequenceRows { pages: page, past: 3, first_row, rows: 2 };
    step_with(PLAIN, &[run(&[0], 0), run(&[1], 1)], 3);
}

#[test]
#[should_panic(expected = "1 pages where 2 are needed")]
fn a_run_needs_pages_for_all_its_positions() {
    step_with(PLAIN, &[SequenceRows { pages: &[1], past: 63, first_row: 0, rows: 2 }], 2);
}

#[test]
#[should_panic(expected = "a page beyond 2")]
fn a_page_must_be_in_the_arena() {
    step_with(PLAIN, &[SequenceRows { pages: &[2], past: 0, first_row: 0, rows: 1 }], 1);
}

#[test]
#[should_panic(expected = "a window of no positions")]
fn a_window_has_positions() {
    step_with(Case { window: Some(0), ..PLAIN }, &[], 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_shape_matches_the_oracle(
        kv_heads in 1usize..4, group in 1usize..5, quarter in 1usize..12, value_quarter in 1usize..12, rows in 1usize..140,
        long: bool, window in proptest::option::of(1usize..150), softcap in proptest::option::of(1f32..50.), norms: bool,
        norm_last: bool, rotary in proptest::option::of((0usize..8, any::<bool>())), seed: u64
    ) {
        let head_dim = 4 * quarter;
        let case = Case {
            q_heads: kv_heads * group,
            kv_heads,
            head_dim,
            value_dim: 4 * value_quarter,
            page: if long { 64 } else { 32 },
            element: KvElement::Float32,
            window,
            softcap,
            norms,
            norm_last,
            rotary: rotary.map(|(pairs, interleaved)| ((2 * pairs).min(head_dim), interleaved)),
        };
        check(case, rows, seed);
    }
}
