//! Saved caches of real graphs: a restored sequence goes on bit for bit as the one that was computed, also in another runner,
//! and what another model saved is refused.

use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::{
    CacheId, CancelToken, EngineError, LogitsWanted, Model, Runner, RunnerOptions, SavedCacheError, SequenceStep, Threads,
    TokenId,
};
use kinglet_testing::{GoldenModel, conformance, golden_models};
use kinglet_tract::{OpenOptions, TractModel};

fn open(golden: &GoldenModel) -> TractModel {
    let options = BundleOptions { variant: golden.variant.clone(), ..Default::default() };
    TractModel::open(&Bundle::open(&golden.folder, &options).unwrap(), &OpenOptions::default()).unwrap()
}

fn runner(model: &TractModel) -> Box<dyn Runner> {
    let options = RunnerOptions { context: 256, sequences: 2, threads: Threads::Exactly(2), ..Default::default() };
    model.runner(&options).unwrap()
}

/// The bits of all logits of `tokens`, `[tokens, vocab]`.
fn feed(runner: &mut dyn Runner, cache: CacheId, tokens: &[TokenId]) -> Vec<u32> {
    let step = [SequenceStep { cache, tokens, logits: LogitsWanted::All }];
    runner.step(&step, &CancelToken::default()).unwrap().values().iter().map(|logit| logit.to_bits()).collect()
}

fn tokens(model: &TractModel, count: usize) -> Vec<TokenId> {
    (0..count).map(|i| ((i * 37 + 11) % model.info().vocab.min(200)) as TokenId).collect()
}

fn saved(runner: &mut dyn Runner, tokens: &[TokenId]) -> Vec<u8> {
    let cache = runner.create_cache().unwrap();
    feed(runner, cache, tokens);
    let mut bytes = vec![];
    runner.save(cache, tokens.len(), &mut bytes).unwrap();
    runner.release(cache);
    bytes
}

#[test]
fn every_golden_model_goes_on_from_a_restored_cache_bit_for_bit() {
    let failures = conformance::over(&golden_models().unwrap(), |golden| {
        conformance::restoring(&open(golden), &conformance::options(false), &[1, 32, 67]).map(|()| "restored".into())
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn a_changed_bit_in_a_saved_cache_changes_the_logits() {
    let model = open(&golden_models().unwrap()[0]);
    let all = tokens(&model, 40);
    let mut here = runner(&model);
    let mut bytes = saved(&mut *here, &all[..35]);
    let mut go_on = |bytes: &[u8]| {
        let cache = here.restore(&mut &*bytes).unwrap();
        let bits = feed(&mut *here, cache, &all[35..]);
        here.release(cache);
        bits
    };
    let expected = go_on(&bytes);
    assert!(go_on(&bytes) == expected);
    // Amid the first of two pages: the byte with most of a number's exponent.
    let at = bytes.len() - bytes.len() / 4 * 3 / 4 * 4 - 1;
    bytes[at] ^= 0x40;
    assert!(go_on(&bytes) != expected);
}

#[test]
fn another_models_cache_is_refused() {
    let goldens = golden_models().unwrap();
    let named = |name: &str| goldens.iter().find(|golden| golden.name.starts_with(name)).unwrap();
    let (one, other) = (open(named("qwen2/genai")), open(named("phi3")));
    let bytes = saved(&mut *runner(&one), &tokens(&one, 40));
    let error = runner(&other).restore(&mut bytes.as_slice()).unwrap_err();
    assert!(matches!(error, EngineError::SavedCache(SavedCacheError::Differs { .. })), "{error}");
}
