//! Which engine runs a model, and what there is of engines here.

use crate::probe::{Candidate, Decision, decide};
use crate::settings::Settings;
use crate::{Engine, Error, Provider};
use kinglet_bundle::Bundle;
use kinglet_engine::{EngineError, Model};
use kinglet_guard::{Shown, one_line};
use kinglet_kernels::Isa;
use kinglet_tract::TractModel;
use serde::Serialize;
use std::path::PathBuf;

/// An engine that does not run a model, where another does or none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EngineRefusal {
    /// The engine's name; `system:` and a name for the system's model.
    pub engine: String,
    /// Why, in one sentence.
    pub reason: String,
}

/// Whether an engine can run anything here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase", tag = "state")]
#[non_exhaustive]
pub enum EngineState {
    /// Part of this build, needs nothing else.
    Embedded,
    /// Its library is here.
    Found {
        /// The library's file.
        library: PathBuf,
        /// The library's version.
        version: String,
        /// The execution providers that it was built with and that Kinglet knows.
        providers: Vec<Provider>,
    },
    /// Its library is not here.
    Missing {
        /// The missing library and how to get it, in one sentence.
        reason: String,
        /// The files that were looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// Not part of this build.
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
    /// Identification of the arithmetic: another one rounds differently.
    pub(crate) arithmetic: String,
    /// The execution provider, of ONNX Runtime.
    pub(crate) provider: Option<Provider>,
    /// Decision of a probe's record, where there is one and the settings leave the choice.
    pub(crate) decision: Option<Decision>,
    /// The engines that were asked before.
    pub(crate) refused: Vec<EngineRefusal>,
}

/// Opens a model with the engine and provider that the settings name; with `auto`, by the first that runs it: the fastest by the
/// record of a probe, where there is one, then the embedded one, then ONNX Runtime. For `all`, see [`decide`].
///
/// # Errors
/// The engine's; with `auto`, what each of them says of a model that none runs.
pub(crate) fn open(bundle: &Bundle, settings: &Settings, all: bool) -> Result<Chosen, Error> {
    let free = settings.engine == Engine::Auto && settings.provider.is_none();
    let decision = if free { decide(bundle, settings, all) } else { None };
    let candidates = asked(settings, decision.as_ref().and_then(Decision::candidate));
    let (mut refused, mut is_unknown) = (vec![], false);
    for &candidate in &candidates {
        match open_with(candidate, bundle, settings) {
            Ok((model, arithmetic)) => {
                for EngineRefusal { engine: other, reason } in &refused {
                    log::info!("{candidate} runs the model, since {other} does not: {reason}");
                }
                return Ok(Chosen { model, arithmetic, provider: candidate.provider(), decision, refused });
            }
            Err(error) if candidates.len() > 1 && may_run_elsewhere(&error) => {
                is_unknown |= is_unknown_operator(&error);
                refused
                    .push(EngineRefusal { engine: candidate.engine().name().to_owned(), reason: one_line(&error.to_string()) });
            }
            Err(error) => return Err(explained(error, bundle)),
        }
    }
    let reasons: Vec<String> = refused.iter().map(|refusal| format!("{}: {}", refusal.engine, refusal.reason)).collect();
    let known = if is_unknown { hindrance(bundle) } else { String::new() };
    Err(Error::unsupported(format!("{}{known}", reasons.join("; "))))
}

/// The error of a graph that is not run, with what is known of models of its type.
fn explained(error: EngineError, bundle: &Bundle) -> Error {
    match hindrance(bundle) {
        known if !known.is_empty() && is_unknown_operator(&error) => Error::unsupported(format!("{error}{known}")),
        _ => error.into(),
    }
}

/// Whether an error is about an operator that no decoder of the embedded engine has: what is known of a model's type is about such,
/// and not about an input or an attribute of an operator that is known.
fn is_unknown_operator(error: &EngineError) -> bool {
    matches!(error, EngineError::UnsupportedNode { op_type, .. } if kinglet_tract::lacks_operator(op_type))
}

/// Usual obstacle to running models of this type, as a suffix of a message; empty where none is known.
fn hindrance(bundle: &Bundle) -> String {
    let architecture = bundle.architecture();
    let known = |reason| format!(" (of most models of its type, `{}`: {reason})", Shown(&architecture.model_type));
    architecture.hindrance().map(known).unwrap_or_default()
}

/// Candidates to try, in order; `first` is the fastest by a record.
fn asked(settings: &Settings, first: Option<Candidate>) -> Vec<Candidate> {
    let ort = Candidate::Ort(settings.provider.unwrap_or_default());
    match settings.engine {
        Engine::Tract => vec![Candidate::Tract],
        Engine::Auto if settings.provider.is_none() => {
            let rest = [Candidate::Tract, ort].into_iter().filter(|candidate| first != Some(*candidate));
            let built = |candidate: &Candidate| Engine::AVAILABLE.contains(&candidate.engine().name());
            first.into_iter().chain(rest).filter(built).collect()
        }
        _ => vec![ort],
    }
}

/// Whether an error is about what one engine can do, not about the model.
fn may_run_elsewhere(error: &EngineError) -> bool {
    use EngineError as E;
    matches!(
        error,
        E::UnsupportedNode { .. } | E::UnsupportedGraph(_) | E::NoLibrary { .. } | E::NoProvider { .. } | E::Backend { .. }
    )
}

fn open_with(candidate: Candidate, bundle: &Bundle, settings: &Settings) -> Result<(Box<dyn Model>, String), EngineError> {
    match candidate {
        #[cfg(feature = "ort")]
        Candidate::Ort(provider) => {
            let options = kinglet_ort::OpenOptions { library: settings.onnxruntime.clone(), provider: provider.of_engine() };
            let model = kinglet_ort::OrtModel::open(bundle, &options)?;
            let arithmetic = format!("ONNX Runtime {}, {provider}, {}", model.library().version, Isa::best().name());
            Ok((Box::new(model), arithmetic))
        }
        _ => {
            let _ = settings;
            let model = TractModel::open(bundle, &Default::default())?;
            Ok((Box::new(model), Isa::best().name().to_owned()))
        }
    }
}

/// The version of ONNX Runtime's library, which is loaded for that; `None` where there is none.
#[cfg(feature = "ort")]
pub(crate) fn library_version(settings: &Settings) -> Option<String> {
    kinglet_ort::find(&search(settings)).ok().map(|library| library.version)
}

#[cfg(not(feature = "ort"))]
pub(crate) fn library_version(_: &Settings) -> Option<String> {
    None
}

/// The providers of ONNX Runtime's library, which is loaded for that; `None` where there is none.
#[cfg(feature = "ort")]
pub(crate) fn providers(settings: &Settings) -> Option<Vec<Provider>> {
    Some(known(kinglet_ort::providers(&search(settings)).ok()?))
}

#[cfg(not(feature = "ort"))]
pub(crate) fn providers(_: &Settings) -> Option<Vec<Provider>> {
    None
}

#[cfg(feature = "ort")]
fn search(settings: &Settings) -> kinglet_ort::Search {
    kinglet_ort::Search { given: settings.onnxruntime.clone() }
}

#[cfg(feature = "ort")]
fn known(theirs: Vec<kinglet_ort::Provider>) -> Vec<Provider> {
    Provider::ALL.into_iter().filter(|provider| theirs.contains(&provider.of_engine())).collect()
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
    let search = kinglet_ort::Search { given: library };
    let found = kinglet_ort::find(&search).and_then(|library| Ok((library, known(kinglet_ort::providers(&search)?))));
    match found {
        Ok((library, providers)) => EngineState::Found { library: library.path, version: library.version, providers },
        Err(error) => {
            EngineState::Missing { reason: error.to_string(), looked: error.looked.into_iter().map(|(path, _)| path).collect() }
        }
    }
}

#[cfg(not(feature = "ort"))]
fn ort_state(_: Option<PathBuf>) -> EngineState {
    EngineState::NotBuilt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_of_a_type_is_told_of_operators_that_nobody_knows() {
        let node = |op_type: &str| EngineError::UnsupportedNode {
            node: "/layers.0/node".into(),
            op_type: op_type.into(),
            reason: "the attribute num_heads is 0".into(),
        };
        assert!(["QMoE", "CausalConvWithState", "Loop"].into_iter().all(|op_type| is_unknown_operator(&node(op_type))));
        for op_type in ["GroupQueryAttention", "MatMulNBits", "Max", "attention", "add+norm", "input"] {
            assert!(!is_unknown_operator(&node(op_type)), "{op_type}");
        }
        assert!(!is_unknown_operator(&EngineError::UnsupportedGraph("nothing attends to layer 0".into())));
    }
}
