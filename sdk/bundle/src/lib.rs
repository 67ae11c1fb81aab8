//! A model folder: which layout it has, its files, its mapped bytes and the facts of its architecture.
//!
//! This crate knows how models lie on disk: the folder of onnxruntime-genai, that of Optimum, and that of the
//! onnx-community repositories with their precision variants; the JSON files beside the graph; the ONNX protobuf and
//! where it keeps its weights. It must not know tokens, texts or engines: it hands out paths of tokenizer files and
//! mapped bytes of weights, and says nothing about what is done with them.
//!
//! ```no_run
//! use kinglet_bundle::{Bundle, OpenOptions};
//!
//! let bundle = Bundle::open("models/goldcrest".as_ref(), &OpenOptions::default())?;
//! println!("{}", bundle.choice());
//! let graph = bundle.graph()?;
//! for weight in &graph.initializers {
//!     println!("{} {:?} {} bytes", weight.name, weight.dims, weight.bytes.len());
//! }
//! # Ok::<(), kinglet_bundle::BundleError>(())
//! ```
//!
//! # What is checked at the door
//!
//! A folder comes from a download, and everything in it is doubted: a location that leaves the folder, an offset
//! outside its file, a shape that disagrees with its bytes, a protobuf that is cut off or hostile. Each ends in a
//! [`BundleError`] that names the file and says what to do; nothing on the way from a file panics.
//!
//! # Memory
//!
//! Weights are mapped and stay in the page cache of the system: [`Bundle::open`] reads the nodes of the graph and the
//! small JSON files, never the weights. `map.rs` holds the only `unsafe` block of the crate and says what it rests on.

#![deny(unsafe_code)]

#[cfg(target_endian = "big")]
compile_error!("ONNX stores little-endian numbers, and Kinglet reads them in place: a big-endian target is not supported");

mod bundle;
mod bytes;
mod config;
mod error;
mod file_range;
mod files;
mod fingerprint;
mod io_names;
mod layout;
mod location;
mod map;
mod mistaken;
pub mod onnx;
mod precision;
mod text_files;
mod variant;
mod weight_files;

pub use bundle::Bundle;
pub use bytes::Bytes;
pub use config::{Architecture, GenerationDefaults, SlidingWindow};
pub use error::{BundleError, FileError};
pub use file_range::FileRange;
pub use fingerprint::Fingerprint;
pub use io_names::{IoNames, NameTemplate};
pub use layout::Layout;
pub use mistaken::OtherFormat;
pub use precision::Precision;
pub use text_files::TextFiles;
pub use variant::{OpenOptions, Variant};
pub use weight_files::WeightFile;
