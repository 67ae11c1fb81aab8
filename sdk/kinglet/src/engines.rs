//! Which engine runs a model, and what there is of engines here.

use crate::builder::Settings;
use crate::{Engine, Error};
use kinglet_bundle::Bundle;
use kinglet_engine::{EngineError, Model};
use kinglet_kernels::Isa;
use kinglet_tract::TractModel;
use serde::Serialize;
use std::path::PathBuf;

/// An engine that does not run a model, where another does or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineRefusal {
    /// The engine's name.
    pub engine: &'static str,
    /// Why, in one sentence.
    pub reason: String,
}

/// Whether an engine can run anything here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
#[non_exhaustive]
pub enum EngineState {
    /// It is part of this build and needs nothing else.
    Embedded,
    /// Its library is here.
    Found {
        /// The library's file.
        library: PathBuf,
        /// The library's version.
        version: String,
    },
    /// Its library is not here.
    Missing {
        /// What was looked for and how to get it, in one sentence.
        reason: String,
        /// The files that were looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// It is not part of this build.
    NotBuilt,
}

/// An engine, and whether it can run anything here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineStatus {
    /// Its name, as in `--engine`.
    pub name: &'static str,
    /// Whether it can run here.
    #[serde(flatten)]
    pub state: EngineState,
}

/// A model, opened by the first engine that runs it.
pub(crate) struct Chosen {
    pub(crate) model: Box<dyn Model>,
    /// What computes: another one rounds otherwise.
    pub(crate) arithmetic: String,
    /// The engines that were asked before.
    pub(crate) refused: Vec<EngineRefusal>,
}

/// Opens a model with the engine that the settings name; with `auto`, by the first that runs it, the embedded one first, which
/// is the fastest where it can.
///
/// # Errors
/// The engine's; with `auto`, what each of them says of a model that none runs.
pub(crate) fn open(bundle: &Bundle, settings: &Settings) -> Result<Chosen, Error> {
    let engines = asked(settings.engine);
    let mut refused = vec![];
    for &engine in &engines {
        match open_with(engine, bundle, settings) {
            Ok((model, arithmetic)) => {
                for EngineRefusal { engine: other, reason } in &refused {
                    log::info!("{} runs the model, since {other} does not: {reason}", model.info().engine);
                }
                return Ok(Chosen { model, arithmetic, refused });
            }
            Err(error) if engines.len() > 1 && may_run_elsewhere(&error) => {
                refused.push(EngineRefusal { engine: engine.name(), reason: error.to_string() });
            }
            Err(error) => return Err(error.into()),
        }
    }
    let reasons: Vec<String> = refused.iter().map(|refusal| format!("{}: {}", refusal.engine, refusal.reason)).collect();
    Err(Error::unsupported(reasons.join("; ")))
}

/// The engines to ask, in order.
fn asked(engine: Engine) -> Vec<Engine> {
    let built = [Engine::Tract, Engine::Ort].into_iter().filter(|engine| Engine::AVAILABLE.contains(&engine.name()));
    match engine {
        Engine::Auto => built.collect(),
        named => vec![named],
    }
}

/// Whether an error is about what one engine can do, not about the model.
fn may_run_elsewhere(error: &EngineError) -> bool {
    use EngineError as E;
    matches!(error, E::UnsupportedNode { .. } | E::UnsupportedGraph(_) | E::NoLibrary { .. } | E::Backend { .. })
}

fn open_with(engine: Engine, bundle: &Bundle, settings: &Settings) -> Result<(Box<dyn Model>, String), EngineError> {
    match engine {
        #[cfg(feature = "ort")]
        Engine::Ort => {
            let options = kinglet_ort::OpenOptions { library: settings.onnxruntime.clone() };
            let model = kinglet_ort::OrtModel::open(bundle, &options)?;
            let arithmetic = format!("ONNX Runtime {}, {}", model.library().version, Isa::best().name());
            Ok((Box::new(model), arithmetic))
        }
        _ => {
            let _ = settings;
            let model = TractModel::open(bundle, &Default::default())?;
            Ok((Box::new(model), Isa::best().name().to_owned()))
        }
    }
}

impl Engine {
    /// Its name, as in `--engine`.
    pub fn name(self) -> &'static str {
        match self {
            Engine::Auto => "auto",
            Engine::Tract => "tract",
            Engine::Ort => "ort",
        }
    }

    /// All engines, and whether each can run anything here. ONNX Runtime's library is loaded for that if it is found;
    /// `library` is its file, where the caller knows it.
    pub fn look(library: Option<PathBuf>) -> Vec<EngineStatus> {
        let embedded = EngineStatus { name: Engine::Tract.name(), state: EngineState::Embedded };
        vec![embedded, EngineStatus { name: Engine::Ort.name(), state: ort_state(library) }]
    }
}

#[cfg(feature = "ort")]
fn ort_state(library: Option<PathBuf>) -> EngineState {
    match kinglet_ort::find(&kinglet_ort::Search { given: library, model: None }) {
        Ok(library) => EngineState::Found { library: library.path, version: library.version },
        Err(error) => {
            EngineState::Missing { reason: error.to_string(), looked: error.looked.into_iter().map(|(path, _)| path).collect() }
        }
    }
}

#[cfg(not(feature = "ort"))]
fn ort_state(_: Option<PathBuf>) -> EngineState {
    EngineState::NotBuilt
}
