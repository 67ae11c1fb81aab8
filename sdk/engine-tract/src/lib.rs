//! ONNX graphs rewritten onto Kinglet's kernels and run by tract.
//!
//! Knows: the ONNX operators and patterns that decoders are exported as, the plain interpreter of them, our kernels, tract.
//! Must not know: sampling, text, tasks.
//!
//! Opening a model goes through six stages, each with its own types:
//!
//! 1. `source`: the graph as read, indexed by the values it makes; constants are folded on demand.
//! 2. `recognise`: a table says which operators, inputs and attributes may lie on the way (`admit`). Then: what makes a value?
//!    One look at the nodes behind it gives one of our operators and the values *that* needs. `build` asks this from the
//!    logits backwards.
//! 3. `prove`: the nodes that an operator stands for, masks, positions and shape arithmetic among them, are evaluated and
//!    held against what the operator computes.
//! 4. `program`: the list of our operators in order; `fuse` joins neighbours.
//! 5. `verify`: every value gets a type, and every operator is proved to fit its operands and its weights. What comes out is
//!    the one form of a program that the stages behind it take.
//! 6. `plan`: the list handed to tract, which types it, adds the operators that are its own, and runs it through a
//!    closure that borrows all state of a step. Where every operator is ours, the direct executor (`direct`) can run
//!    the list instead.
//!
//! The runner keeps keys and values in reference-counted pages (`cache`). Quantised weights are read from the map or, once
//! prepacked, from memory (`packed`).
#![forbid(unsafe_code)]

mod build;
mod cache;
mod direct;
mod execution;
mod failure;
mod fold;
mod fuse;
mod memory;
mod model;
mod order;
mod packed;
mod plan;
mod profile;
mod program;
mod prove;
mod recognise;
mod rotary;
mod runner;
mod source;
#[cfg(test)]
mod tests;
mod verify;
mod weight;

pub use model::{OpenOptions, TractModel};

/// Whether an error names an operator of ONNX that this engine neither recognises nor leaves to tract, in any domain and version. A
/// node of one that it does is refused for its form alone; the engine's own operators, which errors name too, are in lower case.
pub fn lacks_operator(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_uppercase()) && !recognise::operators::is_known(name)
}
