//! A run is ended from another thread, in the middle, and the sequence can go on.

use kinglet_engine::{CancelToken, EngineError, LogitsWanted, Model, SequenceStep};
use kinglet_ort::{OpenOptions, OrtModel};
use kinglet_testing::{conformance, golden_models, onnxruntime};
use std::time::Duration;

/// Sequences of a step: many, so that it takes far longer than a token is asked for.
const SEQUENCES: usize = 64;

#[test]
fn a_raised_token_ends_a_run_in_the_middle() {
    let Some(library) = onnxruntime() else { return };
    let golden = golden_models().unwrap().into_iter().find(|golden| golden.name == "llama/genai").unwrap();
    let model =
        OrtModel::open(&conformance::bundle(&golden).unwrap(), &OpenOptions { library: Some(library), ..OpenOptions::default() })
            .unwrap();
    let options = kinglet_engine::RunnerOptions { sequences: SEQUENCES, ..conformance::options(false) };
    let mut runner = model.runner(&options).unwrap();
    let tokens = conformance::some_tokens(&model, 500.min(model.info().max_context));
    let caches: Vec<_> = (0..SEQUENCES).map(|_| runner.create_cache().unwrap()).collect();
    let steps: Vec<_> =
        caches.iter().map(|cache| SequenceStep { cache: *cache, tokens: &tokens, logits: LogitsWanted::All }).collect();
    let (never, cancel) = (CancelToken::default(), CancelToken::default());
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            cancel.cancel();
        });
        loop {
            match runner.step(&steps, &cancel) {
                Ok(_) => caches.iter().for_each(|cache| runner.truncate(*cache, 0).unwrap()),
                Err(error) => return error,
            }
        }
    });
    assert!(matches!(error, EngineError::Cancelled), "{error}");
    assert!(caches.iter().all(|cache| runner.cache_len(*cache).unwrap() == 0));
    runner.step(&steps[..1], &never).unwrap();
}
