//! Products for an emulator that counts instructions: `cargo xtask arm64 --instructions` runs it and prints a table.
//!
//! Plain Rust is left out. Each line on stdout announces the product that follows it, on one thread: `INSTRUCTION_SET BITS M N`, of `[m, 1024]` with
//! weights `[n, 1024]` in blocks of 32 with float32 scales, and a line `done` follows it. Writing a line is a system call, by which
//! the counts fall apart into sections.
#![allow(clippy::print_stdout)] // it is a report

use kinglet_kernels::{Activations, BlockWeights, Floats, Isa, Linear, Matrix, Pool, Scratch, linear};

/// Input features.
const K: usize = 1024;

fn main() {
    for isa in Isa::available().into_iter().filter(|&isa| isa != Isa::SCALAR) {
        let (pool, mut scratch) = (Pool::with_isa(1, isa), Scratch::new());
        for (bits, m) in [4, 8].into_iter().flat_map(|bits| [1, 4, 16].map(|m| (bits, m))) {
            for n in [32, 64] {
                let packed = vec![0x5a; n * K * bits / 8];
                let scales = vec![0.01; n * K / 32];
                let weights =
                    BlockWeights { bits, n, k: K, block: 32, packed: &packed, scales: Floats::F32(&scales), zero_points: None };
                let parts = [Linear { weight: Matrix::blocks(weights).expect("made to fit"), bias: None }];
                let (x, mut y) = (vec![0.3; m * K], vec![0.; m * n]);
                // The first time, memory is allocated.
                linear(&pool, &mut scratch, &parts, &x, &mut y, Activations::Int8);
                println!("{isa} {bits} {m} {n}");
                linear(&pool, &mut scratch, &parts, &x, &mut y, Activations::Int8);
                println!("done");
            }
        }
    }
}
