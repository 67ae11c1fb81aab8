//! Fixtures, oracles and comparators for the tests of the other crates.
//!
//! Knows: where the committed goldens lie and what they say; how two rows of logits are compared; the checks that every engine has
//! to pass (the contract of kinglet-engine); how a model folder of any shape is written with random weights; where the library of
//! ONNX Runtime is, and how one misbehaves. Must not know: the crates of the engines. Of their names it knows one: `ort`, for an
//! exemption in [`conformance::agreement`].
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "what the checks find belongs in the log of a test")]

mod compare;
pub mod conformance;
mod forms;
mod golden;
mod library;
pub mod onnx;
mod product;
mod shape;
mod shim;

pub use compare::{Difference, argmax, compare};
pub use forms::{WeightForm, weight_forms};
pub use golden::{Golden, GoldenError, GoldenModel, GoldenPrompt, Rounding, golden_models, repository};
pub use library::{cache_folder, onnxruntime, onnxruntime_folder};
pub use product::{GoldenProduct, ZeroPoints, golden_products};
pub use shape::{Family, Layer, Rope, Shape, ShapeError, Stretched};
pub use shim::{Misbehaviour, SHIM_PLACES, SHIM_TABLE, misbehaving};
