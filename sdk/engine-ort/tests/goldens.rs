//! Every tiny model of the goldens, opened from its folder and run by ONNX Runtime, held to what every engine is held to.

use kinglet_engine::{EngineError, LogitsWanted, Model, RunnerOptions, SavedCacheError, SequenceStep};
use kinglet_ort::{OpenOptions, OrtModel};
use kinglet_testing::{GoldenModel, conformance, golden_models, onnxruntime};

/// The goldens; none, with a line that is counted as a skip, where the library is not on this machine.
fn goldens() -> Vec<GoldenModel> {
    if onnxruntime().is_some() { golden_models().unwrap() } else { vec![] }
}

fn named(name: &str) -> Option<GoldenModel> {
    goldens().into_iter().find(|golden| golden.name == name)
}

fn open(golden: &GoldenModel) -> Result<OrtModel, String> {
    let options = OpenOptions { library: onnxruntime(), ..OpenOptions::default() };
    OrtModel::open(&conformance::bundle(golden)?, &options).map_err(|error| error.to_string())
}

#[test]
fn every_golden_model_gives_the_references_logits_and_tokens() {
    let models = goldens();
    let failures = conformance::over(models.iter().filter(|golden| golden.exact_is_possible()), |golden| {
        let model = open(golden)?;
        let worst = conformance::agreement(golden, &model, &conformance::options(true))?;
        let buffers = if model.shares_buffers() { "one buffer as past and present" } else { "growing tensors" };
        let head = if model.picks_rows() { "the wanted rows" } else { "all rows" };
        Ok(format!("{} prompts, largest difference {worst:.1e}, {buffers}, logits of {head}", golden.golden.prompts.len()))
    });
    assert!(failures.is_empty(), "{} models differ from the reference:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn what_the_library_rounds_is_no_noisier_than_when_the_goldens_were_made() {
    let models = goldens();
    let failures = conformance::over(models.iter().filter(|golden| golden.rounded.is_some()), |golden| {
        let Some((rounding, theirs)) = &golden.rounded else { return Err("no reference".into()) };
        let noise = conformance::noise(golden, theirs, &open(golden)?, &conformance::options(false))?;
        if noise.is_alike() { Ok(format!("{rounding:?}: {noise}")) } else { Err(format!("{rounding:?}: {noise}")) }
    });
    assert!(failures.is_empty(), "noisier:\n{}", failures.join("\n"));
}

#[test]
fn sequences_do_not_see_each_other() {
    let failures = conformance::over(&goldens(), |golden| {
        let worst = conformance::independence(&open(golden)?, &conformance::options(true), 1e-3)?;
        Ok(format!("largest difference {worst:.1e}"))
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn refusals_leave_a_runner_usable() {
    let failures = conformance::over(&goldens(), |golden| {
        conformance::refusals(&open(golden)?, &conformance::options(true)).map(|()| "as the contract says".into())
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_restored_cache_goes_on_bit_for_bit() {
    let failures = conformance::over(&goldens(), |golden| {
        conformance::restoring(&open(golden)?, &conformance::options(false), &[1, 32, 67]).map(|()| "restored".into())
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn memory_that_is_given_back_changes_no_logit() {
    let failures = conformance::over(&goldens(), |golden| {
        conformance::trimming(&open(golden)?, &conformance::options(false)).map(|()| "given back".into())
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_layouts_get_the_buffers_that_they_are_made_for() {
    for golden in goldens() {
        let model = open(&golden).unwrap();
        let grouped = golden.layout == "genai" || golden.name.starts_with("community/gqa");
        assert_eq!(model.shares_buffers(), grouped, "{}", golden.name);
    }
}

#[test]
fn a_changed_weight_is_noticed() {
    let Some(mut golden) = named("llama/genai") else { return };
    golden.golden.prompts.truncate(1);
    golden.golden.prompts[0].logits[0] += golden.max_relative * 40.0;
    assert!(conformance::agreement(&golden, &open(&golden).unwrap(), &conformance::options(true)).is_err());
}

/// As the cache of Hugging Face's hub keeps a model: links to files elsewhere, by other names.
#[cfg(unix)]
#[test]
fn a_model_of_links_gives_the_references_logits() {
    let folder = tempfile::tempdir().unwrap();
    let (blobs, snapshot) = (folder.path().join("blobs"), folder.path().join("snapshot"));
    for name in ["llama/genai", "llama/optimum"] {
        let Some(mut golden) = named(name) else { return };
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::create_dir_all(&snapshot).unwrap();
        for (number, entry) in std::fs::read_dir(&golden.folder).unwrap().enumerate() {
            let (entry, blob) = (entry.unwrap(), blobs.join(number.to_string()));
            std::fs::copy(entry.path(), &blob).unwrap();
            std::os::unix::fs::symlink(&blob, snapshot.join(entry.file_name())).unwrap();
        }
        golden.folder.clone_from(&snapshot);
        conformance::agreement(&golden, &open(&golden).unwrap(), &conformance::options(true)).unwrap();
        std::fs::remove_dir_all(&blobs).unwrap();
        std::fs::remove_dir_all(&snapshot).unwrap();
    }
}

#[test]
fn another_models_cache_is_refused() {
    let (Some(one), Some(other)) = (named("qwen2/genai"), named("phi3/genai")) else { return };
    let (one, other) = (open(&one).unwrap(), open(&other).unwrap());
    let mut runner = one.runner(&conformance::options(true)).unwrap();
    let cache = runner.create_cache().unwrap();
    let tokens = conformance::some_tokens(&one, 40);
    runner.step(&[SequenceStep { cache, tokens: &tokens, logits: LogitsWanted::None }], &Default::default()).unwrap();
    let mut saved = vec![];
    runner.save(cache, 40, &mut saved).unwrap();
    let error = other.runner(&conformance::options(true)).unwrap().restore(&mut saved.as_slice()).unwrap_err();
    assert!(matches!(error, EngineError::SavedCache(SavedCacheError::Differs { .. })), "{error}");
}

#[test]
fn keys_and_values_take_what_the_estimate_says() {
    let Some(golden) = named("quantised/int4-b32") else { return };
    let model = open(&golden).unwrap();
    let options = RunnerOptions { context: 128, sequences: 1, ..conformance::options(false) };
    let estimate = model.memory_estimate(&options);
    let mut runner = model.runner(&options).unwrap();
    let cache = runner.create_cache().unwrap();
    for tokens in conformance::some_tokens(&model, 128).chunks(32) {
        runner.step(&[SequenceStep { cache, tokens, logits: LogitsWanted::None }], &Default::default()).unwrap();
        assert!(runner.kv_bytes() as u64 <= estimate.kv);
    }
    assert_eq!((estimate.kv, runner.kv_bytes() as u64), (128 * estimate.kv_per_token, 128 * estimate.kv_per_token));
}
