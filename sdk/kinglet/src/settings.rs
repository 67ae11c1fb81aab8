//! How models are opened: the settings that a builder gathers and everything that opens a model reads.

use crate::system::System;
use crate::{Bytes, PrefixCache, Provider};
use kinglet_engine::{Threads, WeightStorage};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

/// Which engine runs models.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Engine {
    /// The fastest by the record of a probe, where there is one ([`Builder::probe_records`](crate::Builder::probe_records)); else the first that runs the
    /// model: the embedded one, then ONNX Runtime.
    #[default]
    Auto,
    /// The embedded one: Kinglet's kernels, run by tract.
    Tract,
    /// ONNX Runtime, whose library is looked for when it is first needed; with the feature `ort`.
    Ort,
}

impl Engine {
    /// The engines that this build can run, by their names.
    pub const AVAILABLE: &'static [&'static str] = if cfg!(feature = "ort") { &["tract", "ort"] } else { &["tract"] };
}

/// How models are opened.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) threads: Threads,
    /// Measured number of threads that suits the machine, once it was asked for.
    pub(crate) suitable_threads: Arc<OnceLock<usize>>,
    pub(crate) memory_budget: Option<Bytes>,
    pub(crate) context: Option<usize>,
    pub(crate) max_sequences: usize,
    pub(crate) engine: Engine,
    /// The library of ONNX Runtime, where the caller knows it.
    pub(crate) onnxruntime: Option<PathBuf>,
    /// The execution provider of ONNX Runtime, where the caller names one.
    pub(crate) provider: Option<Provider>,
    /// Where records of probes are kept.
    pub(crate) probe_records: Option<PathBuf>,
    pub(crate) variant: Option<String>,
    pub(crate) exact: bool,
    pub(crate) weights: WeightStorage,
    pub(crate) end_tokens: bool,
    pub(crate) prefix_cache: Option<PrefixCache>,
    pub(crate) prepared_weights: Option<PathBuf>,
    /// Whether weights that are prepared are saved in that folder.
    pub(crate) save_prepared: bool,
    /// The system's model, where it may be used.
    pub(crate) system: Option<System>,
}

impl Settings {
    /// The threads that a model computes on, the same for all models that these settings open.
    pub(crate) fn thread_count(&self) -> usize {
        match self.threads {
            Threads::Auto => *self.suitable_threads.get_or_init(kinglet_kernels::suitable_threads),
            Threads::Exactly(threads) => threads,
        }
    }
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            threads: Threads::Auto,
            suitable_threads: Arc::default(),
            memory_budget: None,
            context: None,
            max_sequences: 8,
            engine: Engine::Auto,
            onnxruntime: None,
            provider: None,
            probe_records: None,
            variant: None,
            exact: false,
            weights: WeightStorage::Auto,
            end_tokens: true,
            prefix_cache: None,
            prepared_weights: None,
            save_prepared: true,
            system: None,
        }
    }
}
