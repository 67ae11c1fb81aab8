//! The vector extensions of 64-bit ARM: one file of operations (`neon`), and for each level a thin one that says how it multiplies
//! bytes.

mod instructions;
mod neon;

pub(crate) mod base;
pub(crate) mod dotprod;
pub(crate) mod i8mm;

/// 32-bit lanes of a vector.
pub(super) const LANES: usize = 4;
