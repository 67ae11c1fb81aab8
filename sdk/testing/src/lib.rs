//! Fixtures, oracles and comparators for the tests of the other crates.
//!
//! Knows: where the committed goldens lie and what they say; how two rows of logits are compared; how a model folder of any shape
//! is written with random weights. Must not know: engines.
#![forbid(unsafe_code)]

mod compare;
mod golden;
pub mod onnx;
mod product;
mod shape;

pub use compare::{Difference, argmax, compare};
pub use golden::{Golden, GoldenError, GoldenModel, GoldenPrompt, Rounding, golden_models, repository};
pub use product::{GoldenProduct, ZeroPoints, golden_products};
pub use shape::{Family, Layer, Rope, Shape, ShapeError, Stretched};
