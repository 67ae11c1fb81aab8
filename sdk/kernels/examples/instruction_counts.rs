//! Products for an emulator that counts instructions: `cargo xtask arm64 --instructions` runs it and prints a table.
//!
//! Each line on stdout announces the product that follows it, on one thread: `INSTRUCTION_SET STORAGE BITS M N`, of `[m, 1024]` with
//! weights `[n, 1024]` in blocks of 32 with float16 scales, `in-place` or in `tiles`; a line `done` follows it. Writing a line is a
//! system call, by which the counts fall apart into sections. Plain Rust is left out.
#![allow(clippy::print_stdout)] // it is a report

use std::ops::ControlFlow;

use half::f16;
use kinglet_kernels::{Activations, BlockWeights, Floats, Isa, Linear, Matrix, PackedWeights, Pool, Scratch, ZeroPoints, linear};

/// Input features.
const K: usize = 1024;

fn main() {
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::SCALAR) {
        let pool = Pool::with_isa(1, isa);
        for (storage, bits) in [("in-place", 4), ("in-place", 8), ("tiles", 4), ("tiles", 8)] {
            for m in [1, 4, 16] {
                for n in [32, 64] {
                    product(&pool, storage, bits, m, n);
                }
            }
        }
    }
}

fn product(pool: &Pool, storage: &str, bits: usize, m: usize, n: usize) {
    let packed = vec![0x5a; n * K * bits / 8];
    let scales = vec![f16::from_f32(0.01); n * K / 32];
    let weights =
        BlockWeights { bits, n, k: K, block: 32, packed: &packed, scales: Floats::F16(&scales), zero_points: ZeroPoints::Middle };
    let in_place = Matrix::blocks(weights).expect("made to fit");
    let packed =
        PackedWeights::new(pool, &[in_place], |_, _| ControlFlow::Continue(())).expect("memory").expect("never broken off");
    let weight = if storage == "tiles" { packed.matrix(0).expect("blocks of 32 have tiles") } else { in_place };
    let (x, mut y, mut scratch) = (vec![0.3; m * K], vec![0.; m * n], Scratch::new());
    let mut product = || linear(pool, &mut scratch, &[Linear { weight, bias: None }], &x, &mut y, Activations::Int8);
    // The first time, memory is allocated.
    product();
    println!("{} {storage} {bits} {m} {n}", pool.isa());
    product();
    println!("done");
}
