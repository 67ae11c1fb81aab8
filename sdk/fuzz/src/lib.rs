//! Everything that is read from outside, fed with damaged and hostile input.
//!
//! Knows: which parsers and readers there are, what a valid input of each looks like, and how one is changed with its
//! structure kept. Must not know: how a fuzzer chooses its bytes; `libfuzzer/` is the package that hands them over.
//!
//! A target is a function of bytes that must return, whatever they are. It panics where the product broke its word: by a panic
//! of its own, by a number that is wrong, or by an answer that differs between two ways to the same end. `tests/corpus.rs` runs
//! every target over the committed corpus on the ordinary toolchain; `cargo xtask fuzz` has libFuzzer look for more.
#![forbid(unsafe_code)]

mod bytes;
mod caches;
mod config;
mod conversation;
mod external_data;
mod folder;
mod graph;
mod onnx_file;
mod prefix_file;
mod probe_record;
mod reply_files;
mod template;
mod tokenizer;

/// One target.
pub struct Target {
    /// Its name, and that of its folder in the corpus.
    pub name: &'static str,
    /// Takes any bytes, and returns.
    pub run: fn(&[u8]),
    /// Inputs to begin with: valid ones, and changes of them that reach far.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "graph", run: graph::run, seeds: graph::seeds },
    Target { name: "onnx_file", run: onnx_file::run, seeds: onnx_file::seeds },
    Target { name: "external_data", run: external_data::run, seeds: external_data::seeds },
    Target { name: "tokenizer", run: tokenizer::run, seeds: tokenizer::seeds },
    Target { name: "template", run: template::run, seeds: template::seeds },
    Target { name: "config", run: config::run, seeds: config::seeds },
    Target { name: "saved_cache", run: caches::run_saved, seeds: caches::seeds_saved },
    Target { name: "prepared_weights", run: caches::run_prepared, seeds: caches::seeds_prepared },
    Target { name: "prefix_file", run: prefix_file::run, seeds: prefix_file::seeds },
    Target { name: "probe_record", run: probe_record::run, seeds: probe_record::seeds },
    Target { name: "reply_files", run: reply_files::run, seeds: reply_files::seeds },
    Target { name: "conversation", run: conversation::run, seeds: conversation::seeds },
];

/// The target of that name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target is called {name}"))
}
