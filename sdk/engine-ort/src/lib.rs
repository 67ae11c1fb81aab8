//! ONNX graphs run by ONNX Runtime, whose library is loaded when it is first needed.
//!
//! Knows: ONNX Runtime through the crate `ort`, what a decoder's graph takes and gives. Must not know: sampling, text, tasks.
//!
//! - `library` finds and loads libonnxruntime; a process keeps one.
//! - `provider` knows what else than the CPU a library may have been built for.
//! - `signature` reads from a graph what a step must give it and gets from it, and whether its keys and values may stay in one
//!   buffer; `head` finds where rows can be picked before the vocabulary is multiplied.
//! - `outside` refuses graphs that would have the library run code, or open files by itself.
//! - `mapped` makes a session whose weights lie in the model's mapped files.
//! - `caches` keeps sequences and the tensors of their keys and values; `runner` plans a step into runs of the session.
//!
//! Unsafe code is in `mapped`, and one line of it in `telemetry`, which keeps the library from calling home.
#![deny(unsafe_code)]

mod caches;
mod failure;
mod head;
mod library;
mod mapped;
mod model;
mod outside;
mod provider;
mod runner;
mod signature;
mod telemetry;
mod watch;

pub use library::{Library, LibraryError, OLDEST_VERSION, Refusal, Search, VARIABLE, find};
pub use model::{OpenOptions, OrtModel};
pub use provider::{Provider, providers};
