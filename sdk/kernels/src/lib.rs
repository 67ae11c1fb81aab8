//! The arithmetic of a language model's step on the CPU: products with quantised and float weights, attention over a paged cache,
//! norms, rotary embedding, and the pool of threads that shares the work out.
//!
//! Scope: bytes, floats and shapes; no models, files, ONNX or engines. Weights come as borrowed slices that are described by a
//! [`Matrix`], caches as page numbers.
//!
//! # Structure
//!
//! ```text
//! public     linear  gated  rms_norm  add_rms_norm  attention  maximum    over Pool, Scratch, Matrix, KvArena
//!               |      |        |           |           |          |
//! items      block_gemv  tiled_gemv  gemm  exact  norm  attention  reduce     one Kernel each: the work on one item
//!               |      |        |           |           |          |
//! algorithms     parameters   float_product   math   rotary         generic over the instruction set
//!                                  |
//! operations                     Simd                               some forty vector operations (simd.rs)
//!                     /      |        |        \
//! processors      scalar   avx2    avx512    neon                   one thin file each (arch/); avx2 in two levels, neon in three
//! ```
//!
//! Every algorithm is written once; an instruction set is a file of operations. An [`Isa`] exists only where the processor has it,
//! so that holding one is the proof the unsafe calls rest on. The scalar file is plain Rust, serves every machine, and is what the
//! others are tested against.
//!
//! # Two promises
//!
//! * A row's result depends on the row alone: not on the other rows of the step, not on the number of threads. Sums are taken in an
//!   order fixed by the weights' shape, bit for bit. (Another instruction set has another order.)
//! * Shapes are checked when a [`Matrix`], [`KvLayout`] or [`KvArena`] is made and come back as a [`ShapeError`]. After that
//!   nothing can fail; buffers of wrong lengths are mistakes in the program, and panic.
//!
//! # Example
//!
//! ```
//! use kinglet_kernels::{Activations, FloatWeights, Floats, Layout, Linear, Matrix, Pool, Scratch, linear};
//!
//! // W is [n = 2, k = 3].
//! let data = Floats::F32(&[1., 0., 0., 0., 1., 1.]);
//! let weight = Matrix::float(FloatWeights { data, layout: Layout::Nk, n: 2, k: 3 })?;
//! let mut y = [0.; 2];
//! let part = Linear { weight, bias: None };
//! linear(&Pool::new(1), &mut Scratch::new(), &[part], &[5., 6., 7.], &mut y, Activations::Exact);
//! assert_eq!(y, [5., 13.]);
//! # Ok::<(), kinglet_kernels::ShapeError>(())
//! ```

#![allow(clippy::needless_range_loop, reason = "closures around vector operations are not inlined; see simd.rs")]

mod arch;
mod attention;
pub mod cpu;
mod float_product;
mod floats;
mod kv;
mod lines;
mod math;
mod matrix;
mod memory;
mod norm;
mod packed;
mod pool;
mod product;
mod reduce;
mod roofline;
mod rotary;
mod shape;
mod simd;
mod threads;

pub use attention::{AttentionShape, HeadNorm, SequenceRows, attention};
pub use cpu::Isa;
pub use floats::Floats;
pub use kv::{KvArena, KvElement, KvLayout, LayerKv};
pub use matrix::{BlockWeights, FloatWeights, IntegerWeights, Layout, Matrix, ZeroPoints};
pub use norm::{add_rms_norm, rms_norm};
pub use packed::{PackedWeights, SavedWeightsError, SharedBytes};
pub use pool::Pool;
pub use product::{Activations, GateActivation, Linear, Scratch, gated, linear};
pub use reduce::{maximum, sum_of_exponentials};
pub use roofline::Roofline;
pub use rotary::RotaryRows;
pub use shape::ShapeError;
pub use threads::suitable_threads;
