//! Every tiny model of the goldens, opened from its folder, against what the reference says: logits in one go and in
//! chunks of 5, greedy continuation, with tract's plan and with our own walk.

#![allow(clippy::print_stdout, reason = "the differences found belong in the log")]

use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::{CancelToken, LogitsWanted, Model, Runner, RunnerOptions, SequenceStep, Threads, TokenId, WeightStorage};
use kinglet_testing::{Difference, Golden, GoldenModel, GoldenPrompt, Rounding, argmax, compare, golden_models};
use kinglet_tract::{OpenOptions, TractModel};
use std::collections::{BTreeSet, HashMap};
use std::fmt::{self, Display, Formatter};

fn open(golden: &GoldenModel, walk: bool) -> Result<TractModel, String> {
    let options = BundleOptions { variant: golden.variant.clone(), ..Default::default() };
    let bundle = Bundle::open(&golden.folder, &options).map_err(|e| e.to_string())?;
    TractModel::open(&bundle, &OpenOptions { walk }).map_err(|e| e.to_string())
}

/// A runner; exact where no storage of weights for int8 activations is named.
fn runner(model: &TractModel, int8: Option<WeightStorage>) -> Box<dyn Runner> {
    let options = RunnerOptions {
        context: 1024,
        sequences: 2,
        threads: Threads::Exactly(2),
        exact_activations: int8.is_none(),
        weights: int8.unwrap_or_default(),
        ..Default::default()
    };
    model.runner(&options).unwrap()
}

/// Logits at `wanted` after feeding `ids` in chunks.
fn logits(runner: &mut dyn Runner, ids: &[TokenId], wanted: &[usize], chunk: usize) -> Result<Vec<f32>, String> {
    let cache = runner.create_cache().unwrap();
    let (mut all, mut at) = (vec![], 0);
    for tokens in ids.chunks(chunk) {
        let here = wanted.iter().filter(|p| (at..at + tokens.len()).contains(p)).map(|p| p - at).collect();
        let step = [SequenceStep { cache, tokens, logits: LogitsWanted::At(here) }];
        all.extend_from_slice(runner.step(&step, &CancelToken::default()).map_err(|e| e.to_string())?.values());
        at += tokens.len();
    }
    runner.release(cache);
    Ok(all)
}

fn greedy(runner: &mut dyn Runner, ids: &[TokenId], count: usize) -> Result<Vec<TokenId>, String> {
    let cache = runner.create_cache().unwrap();
    let (mut tokens, mut out) = (ids.to_vec(), vec![]);
    while out.len() < count {
        let step = [SequenceStep { cache, tokens: &tokens, logits: LogitsWanted::Last }];
        let next = argmax(runner.step(&step, &CancelToken::default()).map_err(|e| e.to_string())?.row(0)) as TokenId;
        out.push(next);
        tokens = vec![next];
    }
    runner.release(cache);
    Ok(out)
}

fn check_prompt(golden: &GoldenModel, runner: &mut dyn Runner, prompt: &GoldenPrompt) -> Result<f32, String> {
    let mut worst = 0.0f32;
    for chunk in [prompt.ids.len(), 5] {
        let got = logits(runner, &prompt.ids, &prompt.positions, chunk)?;
        let difference = compare(&got, &prompt.logits).relative();
        if difference > golden.max_relative {
            return Err(format!("{}: logits differ by {difference:.2e} in chunks of {chunk}", prompt.name));
        }
        worst = worst.max(difference);
    }
    let got = greedy(runner, &prompt.ids, prompt.greedy.len())?;
    if golden.greedy_exact && got != prompt.greedy {
        let at = got.iter().zip(&prompt.greedy).take_while(|(a, b)| a == b).count();
        return Err(format!("{}: token {at} of {} differs", prompt.name, prompt.greedy.len()));
    }
    Ok(worst)
}

fn check(golden: &GoldenModel, walk: bool) -> Result<String, String> {
    let model = open(golden, walk)?;
    let mut runner = runner(&model, None);
    let mut worst = 0.0f32;
    for prompt in &golden.golden.prompts {
        worst = worst.max(check_prompt(golden, &mut *runner, prompt)?);
    }
    let foreign = &model.info().foreign_ops;
    Ok(format!(
        "{} prompts, largest difference {worst:.1e}, {} own nodes, left to tract: {foreign:?}",
        golden.golden.prompts.len(),
        model.info().own_nodes
    ))
}

#[test]
fn every_golden_model_gives_the_references_logits_and_tokens() {
    let models = golden_models().unwrap();
    assert!(!models.is_empty(), "the index of goldens is empty");
    let mut failures = vec![];
    for golden in &models {
        for walk in [false, true] {
            let how = if walk { "walk" } else { "tract" };
            match check(golden, walk) {
                Ok(what) => println!("{} {} by {how}: {what}", golden.name, golden.precision),
                Err(why) => failures.push(format!("{} {} by {how}: {why}", golden.name, golden.precision)),
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{} of {} runs differ from the reference:\n{}",
        failures.len(),
        models.len() * 2,
        failures.join("\n")
    );
}

/// Differences from the exact reference over all known positions: ours with 8-bit activations, or without where ONNX Runtime
/// rounds to float16 only, and ONNX Runtime's as it runs by default.
struct Noise {
    ours: Difference,
    theirs: Difference,
}

impl Noise {
    /// Blocks of activations differ where the weights' blocks are not of 32, so the noise is alike, not equal.
    fn is_alike(&self) -> bool {
        self.ours.rms <= 1.5 * self.theirs.rms + 1e-6 && self.ours.max <= 2.0 * self.theirs.max + 1e-6
    }
}

impl Display for Noise {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Self { ours, theirs } = self;
        let scale = theirs.scale;
        let [(a, b), (c, d)] = [ours, theirs].map(|d| (d.max / scale, d.rms / scale));
        write!(f, "ours max {a:.1e} rms {b:.1e}, ONNX Runtime max {c:.1e} rms {d:.1e} of the largest logit")
    }
}

fn noise(golden: &GoldenModel, rounding: Rounding, storage: WeightStorage, theirs: &Golden) -> Result<Noise, String> {
    let model = open(golden, true)?;
    let mut runner = runner(&model, (rounding != Rounding::Float16).then_some(storage));
    let (mut ours, mut exact, mut other) = (vec![], vec![], vec![]);
    for prompt in &theirs.prompts {
        let Some(reference) = golden.golden.prompts.iter().find(|p| p.name == prompt.name && p.positions == prompt.positions)
        else {
            return Err(format!("{}: the two references do not match", prompt.name));
        };
        ours.extend(logits(&mut *runner, &prompt.ids, &prompt.positions, prompt.ids.len())?);
        exact.extend_from_slice(&reference.logits);
        other.extend_from_slice(&prompt.logits);
    }
    Ok(Noise { ours: compare(&ours, &exact), theirs: compare(&other, &exact) })
}

#[test]
fn rounded_activations_are_no_noisier_than_onnx_runtimes() {
    let mut failures = vec![];
    let mut compared = HashMap::new();
    for golden in golden_models().unwrap() {
        let Some((rounding, theirs)) = &golden.rounded else { continue };
        *compared.entry(format!("{rounding:?}")).or_insert(0) += 1;
        for storage in [WeightStorage::InPlace, WeightStorage::Resident] {
            match noise(&golden, *rounding, storage, theirs) {
                Ok(noise) if noise.is_alike() => println!("{} {rounding:?} {storage:?}: {noise}", golden.name),
                Ok(noise) => failures.push(format!("{} {rounding:?} {storage:?}: {noise}", golden.name)),
                Err(why) => failures.push(format!("{}: {why}", golden.name)),
            }
        }
    }
    assert_eq!(compared.len(), 4, "kinds of rounding among the goldens: {compared:?}");
    assert!(failures.is_empty(), "noisier:\n{}", failures.join("\n"));
}

#[test]
fn a_changed_weight_is_noticed() {
    let mut golden = golden_models().unwrap().into_iter().find(|g| g.greedy_exact).expect("a float32 golden");
    golden.golden.prompts.truncate(1);
    golden.golden.prompts[0].logits[0] += golden.max_relative * 40.0;
    assert!(check(&golden, true).is_err());
}

#[test]
fn noise_beyond_the_references_is_noticed() {
    let golden = golden_models().unwrap().into_iter().find(|g| g.name == "quantised/int4-b32").expect("an int4 golden");
    let of = |theirs: &Golden| noise(&golden, Rounding::Int8Blocks, WeightStorage::Resident, theirs).unwrap();
    assert!(of(&golden.rounded.as_ref().unwrap().1).is_alike());
    let without_noise = &golden.golden;
    assert!(!of(without_noise).is_alike());
}

#[test]
fn the_goldens_cover_every_layout_and_length() {
    let models = golden_models().unwrap();
    let (mut layouts, mut lengths) = (BTreeSet::new(), BTreeSet::new());
    for golden in models.iter().filter(|g| g.precision == "float32") {
        layouts.insert(golden.layout.as_str());
        assert!(golden.greedy_exact && golden.max_relative <= 1e-3, "{} is held loosely", golden.name);
        let prompts = &golden.golden.prompts;
        assert!(prompts.iter().all(|p| p.greedy.len() == 64), "{}: 64 tokens after each prompt", golden.name);
        let of_model: BTreeSet<usize> = prompts.iter().map(|p| p.ids.len()).collect();
        assert!(of_model.is_superset(&[1, 7, 128].into()), "{}: prompts of {of_model:?} tokens", golden.name);
        lengths.extend(of_model);
    }
    assert_eq!(layouts, ["community", "genai", "optimum"].into());
    assert!(lengths.contains(&700), "prompts of {lengths:?} tokens");
    let precisions: BTreeSet<&str> = models.iter().map(|g| g.precision.as_str()).collect();
    assert_eq!(precisions, ["float16", "float32", "int4", "int8"].into());
}
