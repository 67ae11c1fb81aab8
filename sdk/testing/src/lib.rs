//! Fixtures, oracles and comparators for the tests of the other crates.
//!
//! Knows: where the committed goldens lie and what they say; how two rows of logits are compared. Must not know: engines.
#![forbid(unsafe_code)]

mod compare;
mod golden;

pub use compare::{Difference, argmax, compare};
pub use golden::{Golden, GoldenError, GoldenModel, GoldenPrompt, golden_models, repository};
