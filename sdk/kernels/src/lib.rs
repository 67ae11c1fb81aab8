//! Quantised and float matrix products, attention, norms, rotary embedding, and the worker pool.

mod arch;
mod attention;
pub mod cpu;
mod float_product;
mod floats;
mod kv;
mod lines;
mod math;
mod matrix;
mod norm;
mod pool;
mod product;
mod rotary;
mod shape;
mod simd;

pub use attention::{AttentionShape, HeadNorm, Run, attention};
pub use cpu::Isa;
pub use floats::Floats;
pub use kv::{KvArena, KvLayout, LayerKv};
pub use matrix::{BlockWeights, FloatWeights, IntegerWeights, Layout, Matrix, NibbleWeights};
pub use norm::{add_rms_norm, rms_norm};
pub use pool::Pool;
pub use product::{Activations, GateActivation, Linear, Scratch, gated, linear};
pub use rotary::RotaryRows;
pub use shape::ShapeError;
