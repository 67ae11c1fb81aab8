//! How fast the kernels are on this machine: `cargo run --release -p kinglet-kernels --example kernel_bench [ISA] [THREADS ..]`.
//!
//! The products are those of a model of half a billion parameters (896 wide, feed-forward 4864, vocabulary 151,936), with weights
//! quantised to 4 bits in blocks of 32 unless the line says otherwise. Each shape's weights are repeated until they exceed the
//! caches, as the layers of a model do, so that one row (`m = 1`, decoding) is a measure of memory; many rows (`m = 128`, a prompt)
//! are one of arithmetic. A line shows the median of the timed runs and, as the spread, the fastest and the slowest quarter.
#![allow(clippy::print_stdout)] // it is a report

use std::time::{Duration, Instant};

use half::f16;
use kinglet_kernels::{
    Activations, AttentionShape, BlockWeights, FloatWeights, Floats, GateActivation, Isa, KvArena, KvElement, KvLayout, LayerKv,
    Layout, Linear, Matrix, PackedWeights, Pool, Scratch, SequenceRows, ZeroPoints, attention, gated, linear,
};

/// Weights of a shape are repeated until they fill this many bytes.
const BEYOND_CACHES: usize = 256 << 20;
/// How long a line is timed, after a tenth of that to warm up.
const TIME: Duration = Duration::from_millis(400);

/// Buffers of block-quantised weights.
struct Blocks {
    bits: usize,
    n: usize,
    k: usize,
    packed: Vec<u8>,
    scales: Vec<f32>,
    half_scales: Option<Vec<f16>>,
}

impl Blocks {
    fn new(bits: usize, n: usize, k: usize, half: bool) -> Blocks {
        let packed = (0..n * k * bits / 8).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        let scales = vec![0.01; n * k / 32];
        let half_scales = half.then(|| vec![f16::from_f32(0.01); n * k / 32]);
        Blocks { bits, n, k, packed, scales, half_scales }
    }

    fn bytes(&self) -> usize {
        self.packed.len() + if self.half_scales.is_some() { 2 } else { 4 } * self.scales.len()
    }

    fn linear(&self) -> Linear<'_> {
        let scales = self.half_scales.as_ref().map_or(Floats::F32(&self.scales), |scales| Floats::F16(scales));
        let Blocks { bits, n, k, .. } = *self;
        let weights = BlockWeights { bits, n, k, block: 32, packed: &self.packed, scales, zero_points: ZeroPoints::Middle };
        Linear { weight: Matrix::blocks(weights).expect("made to fit"), bias: None }
    }
}

/// Times `run(turn)` and prints a line for `bytes` read and `operations` done by each.
fn line(what: &str, m: usize, pool: &Pool, bytes: usize, operations: usize, mut run: impl FnMut(usize)) {
    let mut times = vec![];
    let mut turn = 0;
    for limit in [TIME / 10, TIME] {
        times.clear();
        let start = Instant::now();
        while start.elapsed() < limit || times.len() < 8 {
            let start = Instant::now();
            run(turn);
            times.push(start.elapsed().as_secs_f64());
            turn += 1;
        }
    }
    times.sort_by(f64::total_cmp);
    let rate = |time: f64| (bytes as f64 / time / 1e9, operations as f64 / time / 1e9);
    let [(slow, _), (gb, gops), (fast, _)] = [3, 2, 1].map(|quarter| rate(times[times.len() * quarter / 4]));
    let median = times[times.len() / 2] * 1e6;
    println!(
        "{what:34} m {m:3}  threads {}  {median:9.1} us  {gb:6.1} GB/s ({slow:.1}-{fast:.1})  {gops:7.1} GOPS",
        pool.threads()
    );
}

/// All of them in tiles.
fn packed(pool: &Pool, weights: &[&Blocks]) -> PackedWeights {
    let matrices: Vec<Matrix<'_>> = weights.iter().map(|weights| weights.linear().weight).collect();
    let made = PackedWeights::new(pool, &matrices, |_, _| std::ops::ControlFlow::Continue(())).expect("memory");
    made.expect("never broken off")
}

/// The copy with this number, in place or in tiles.
fn stored<'a>(copy: &'a Blocks, tiles: Option<&'a PackedWeights>, index: usize) -> Linear<'a> {
    let in_tiles = tiles.and_then(|tiles| tiles.matrix(index));
    in_tiles.map_or_else(|| copy.linear(), |weight| Linear { weight, bias: None })
}

fn products(pool: &Pool, scratch: &mut Scratch) {
    for (what, bits, n, k, half) in [
        ("qkv 1152 x 896", 4, 1152, 896, false),
        ("down 896 x 4864", 4, 896, 4864, false),
        ("down 896 x 4864, f16 scales", 4, 896, 4864, true),
        ("down 896 x 4864, 8 bits", 8, 896, 4864, false),
        ("head 151936 x 896", 4, 151_936, 896, false),
    ] {
        let bytes = Blocks::new(bits, n, k, half).bytes();
        let copies: Vec<Blocks> = (0..BEYOND_CACHES.div_ceil(bytes)).map(|_| Blocks::new(bits, n, k, half)).collect();
        let tiles = packed(pool, &copies.iter().collect::<Vec<_>>());
        for (name, bytes, tiles) in [("", bytes, None), (", tiles", tiles.bytes() / copies.len(), Some(&tiles))] {
            for m in [1, 4, 128] {
                if n > 100_000 && m > 4 {
                    continue;
                }
                let (x, mut y) = (vec![0.3; m * k], vec![0.; m * n]);
                line(&format!("{what}{name}"), m, pool, bytes, 2 * m * n * k, |turn| {
                    let copy = turn % copies.len();
                    linear(pool, scratch, &[stored(&copies[copy], tiles, copy)], &x, &mut y, Activations::Int8);
                });
            }
        }
    }
}

fn feed_forward(pool: &Pool, scratch: &mut Scratch) {
    let (n, k) = (4864, 896);
    let bytes = 2 * Blocks::new(4, n, k, false).bytes();
    let copies: Vec<[Blocks; 2]> =
        (0..BEYOND_CACHES.div_ceil(bytes)).map(|_| [(); 2].map(|()| Blocks::new(4, n, k, false))).collect();
    let tiles = packed(pool, &copies.iter().flatten().collect::<Vec<_>>());
    for (name, bytes, tiles) in [("", bytes, None), (", tiles", tiles.bytes() / copies.len(), Some(&tiles))] {
        for m in [1, 4, 128] {
            let (x, mut y) = (vec![0.3; m * k], vec![0.; m * n]);
            line(&format!("gate, up 2 x 4864 x 896{name}"), m, pool, bytes, 4 * m * n * k, |turn| {
                let copy = turn % copies.len();
                let [gate, up] = &copies[copy];
                let [gate, up] = [stored(gate, tiles, 2 * copy), stored(up, tiles, 2 * copy + 1)];
                gated(pool, scratch, gate, up, GateActivation::Silu, &x, &mut y, Activations::Int8);
            });
        }
    }
}

fn floats(pool: &Pool, scratch: &mut Scratch) {
    let (n, k) = (4864, 896);
    let copies: Vec<Vec<f32>> = (0..BEYOND_CACHES.div_ceil(4 * n * k)).map(|_| vec![0.01; n * k]).collect();
    let halves: Vec<Vec<f16>> = copies.iter().map(|copy| copy.iter().map(|&x| f16::from_f32(x)).collect()).collect();
    for (what, layout, half) in [
        ("float32 [k, n] 4864 x 896", Layout::Kn, false),
        ("float32 [n, k] 4864 x 896", Layout::Nk, false),
        ("float16 [k, n] 4864 x 896", Layout::Kn, true),
    ] {
        for m in [1, 4, 128] {
            let (x, mut y) = (vec![0.3; m * k], vec![0.; m * n]);
            line(what, m, pool, n * k * if half { 2 } else { 4 }, 2 * m * n * k, |turn| {
                let copy = turn % copies.len();
                let data = if half { Floats::F16(&halves[copy]) } else { Floats::F32(&copies[copy]) };
                let weight = Matrix::float(FloatWeights { data, layout, n, k }).expect("made to fit");
                linear(pool, scratch, &[Linear { weight, bias: None }], &x, &mut y, Activations::Exact);
            });
        }
    }
}

/// One layer of 14 query heads over 2 heads of 64, decoding at 1,024 and filling a prompt.
fn attentions(pool: &Pool, scratch: &mut Scratch) {
    for (what, element, past, rows) in [
        ("attention 14/2 x 64 at 1024", KvElement::Float32, 1024, 1),
        ("attention 14/2 x 64 at 1024, f16", KvElement::Float16, 1024, 1),
        ("attention 14/2 x 64, prompt", KvElement::Float32, 0, 128),
        ("attention 14/2 x 64, prompt, f16", KvElement::Float16, 0, 128),
    ] {
        let layout = KvLayout::new(&vec![LayerKv::new(2, 64); 24], 32, element).expect("a layout with kernels");
        let mut arena = KvArena::new(layout, 33).expect("33 pages");
        let pages: Vec<u32> = (0..33).collect();
        let (qkv, mut out) = (vec![0.3; rows * 18 * 64], vec![0.; rows * 14 * 64]);
        let seen = (past..past + rows).map(|position| position + 1).sum::<usize>();
        line(what, rows, pool, (past + rows) * 2 * 2 * 64 * element.bytes(), 4 * seen * 14 * 64, |turn| {
            let shape = AttentionShape {
                layer: turn % 24,
                q_heads: 14,
                scale: 0.125,
                softcap: None,
                window: None,
                q_norm: None,
                k_norm: None,
                norm_after_rotation: false,
                rotary: None,
            };
            attention(
                pool,
                scratch,
                &shape,
                &mut arena,
                &[SequenceRows { pages: &pages, past, first_row: 0, rows }],
                &qkv,
                &mut out,
            );
        });
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = Isa::available().into_iter().find(|isa| arguments.iter().any(|argument| argument == isa.name()));
    let isa = named.unwrap_or(Isa::best());
    let asked: Vec<usize> = arguments.iter().filter_map(|argument| argument.parse().ok()).collect();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{cores} cores, {isa}");
    for threads in if asked.is_empty() { vec![1, cores.min(2)] } else { asked } {
        let (pool, mut scratch) = (Pool::with_isa(threads, isa), Scratch::new());
        products(&pool, &mut scratch);
        feed_forward(&pool, &mut scratch);
        floats(&pool, &mut scratch);
        attentions(&pool, &mut scratch);
    }
}
