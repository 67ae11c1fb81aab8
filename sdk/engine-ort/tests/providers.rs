//! Execution providers: what a library was not built with is refused with what to do, and what it has is used.
//!
//! A process keeps the library that it loads first, so the one that claims a provider is used in one test alone.

use kinglet_engine::{CancelToken, EngineError, LogitsWanted, Model, SequenceStep};
use kinglet_ort::{OpenOptions, OrtModel, Provider, Search, providers};
use kinglet_testing::{Misbehaviour, SHIM_PLACES, SHIM_TABLE, conformance, golden_models, misbehaving, onnxruntime};
use ort::sys::OrtApi;
use std::mem::offset_of;
use std::path::Path;

fn open(library: &Path, provider: Provider) -> Result<OrtModel, EngineError> {
    let golden = golden_models().unwrap().into_iter().find(|golden| golden.name.starts_with("llama")).unwrap();
    OrtModel::open(&conformance::bundle(&golden).unwrap(), &OpenOptions { library: Some(library.into()), provider })
}

/// The logits of a few tokens.
fn logits(model: &OrtModel) -> Result<Vec<f32>, EngineError> {
    let mut runner = model.runner(&conformance::options(true))?;
    let cache = runner.create_cache()?;
    let step = SequenceStep { cache, tokens: &[1, 2, 3], logits: LogitsWanted::Last };
    Ok(runner.step(&[step], &CancelToken::default())?.values().to_vec())
}

#[test]
fn a_provider_that_the_library_has_is_used_and_others_are_refused() {
    let Some(library) = onnxruntime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let Some(claims) = misbehaving(folder.path(), &library, Misbehaviour::Wrong).unwrap() else { return };
    let search = Search { given: Some(claims.clone()) };
    assert_eq!(providers(&search).unwrap(), [Provider::Cpu, Provider::Xnnpack]);

    let error = open(&claims, Provider::Nnapi).err().expect("the library has none");
    assert!(matches!(error, EngineError::NoProvider { provider: "nnapi", .. }), "{error}");
    let message = error.to_string();
    for word in ["nnapi", "built without it", "cpu, xnnpack", claims.to_str().unwrap(), "name a library"] {
        assert!(message.contains(word), "{word}: {message}");
    }

    // The CPU comes first: the library that claims a provider misbehaves from when that was registered.
    let cpu = logits(&open(&claims, Provider::Cpu).unwrap()).unwrap();
    let claimed = logits(&open(&claims, Provider::Xnnpack).unwrap()).unwrap();
    assert!(!cpu.is_empty() && cpu.iter().zip(&claimed).all(|(cpu, claimed)| *cpu == -claimed), "it is used");
}

#[test]
fn the_places_that_the_shim_knows_are_those_of_the_table() {
    macro_rules! places {
        ($($name:ident),*) => { [$((stringify!($name), offset_of!(OrtApi, $name) / size_of::<usize>())),*] };
    }
    let places = places!(
        CreateStatus,
        GetTensorMutableData,
        GetTensorShapeElementCount,
        GetTensorTypeAndShape,
        GetAllocatorWithDefaultOptions,
        GetAvailableProviders,
        ReleaseAvailableProviders,
        RunWithBinding,
        GetBoundOutputValues,
        SessionOptionsAppendExecutionProvider
    );
    assert_eq!(places, SHIM_PLACES);
    assert_eq!(size_of::<OrtApi>() / size_of::<usize>(), SHIM_TABLE);
}
