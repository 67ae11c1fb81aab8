//! The contract that every engine keeps.
//!
//! Knows: what a model can do ([`Model`]), how sequences are cached and stepped ([`Runner`]), what a step costs in
//! memory ([`MemoryEstimate`]), how a cache is saved and restored ([`CacheFormat`]), how work is cancelled ([`CancelToken`]),
//! and how it fails ([`EngineError`]).
//! Must not know: which engines exist, files, text, sampling.
//!
//! A model is immutable and shared between threads; a runner is the mutable half: it owns the key/value bytes of all its
//! sequences. Who decides what is cached, forked or dropped sits above (kinglet-generate).
#![forbid(unsafe_code)]

mod cancel;
mod error;
pub mod fake;
mod model;
mod profile;
mod runner;
mod saved;
mod trace;

pub use cancel::CancelToken;
pub use error::EngineError;
pub use model::{KvType, MemoryEstimate, Model, ModelInfo, Precision, Proof, RunnerOptions, SharedBytes, Threads, WeightStorage};
pub use profile::OperatorTime;
pub use runner::{CacheId, Logits, LogitsWanted, Runner, SequenceStep, Trim, check_save, check_step, check_truncate};
pub use saved::{CacheFormat, SavedCacheError, read_saved, write_saved};
pub use trace::TracedValue;

/// A token id, an index into the model's vocabulary.
pub type TokenId = u32;
