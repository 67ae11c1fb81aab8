//! Every tiny model of the goldens, opened from its folder, against what the reference says: logits in one go and in
//! chunks of 5, greedy continuation, with tract's plan and with our own walk.

#![allow(clippy::print_stdout, reason = "the differences found belong in the log")]

use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::{CancelToken, LogitsWanted, Model, Runner, RunnerOptions, SequenceStep, Threads, TokenId};
use kinglet_testing::{Difference, GoldenModel, GoldenPrompt, argmax, compare, golden_models};
use kinglet_tract::{OpenOptions, TractModel};

fn open(golden: &GoldenModel, walk: bool) -> Result<TractModel, String> {
    let options = BundleOptions { variant: golden.variant.clone(), ..Default::default() };
    let bundle = Bundle::open(&golden.folder, &options).map_err(|e| e.to_string())?;
    TractModel::open(&bundle, &OpenOptions { walk }).map_err(|e| e.to_string())
}

fn runner(model: &TractModel, exact_activations: bool) -> Box<dyn Runner> {
    let options =
        RunnerOptions { context: 1024, sequences: 2, threads: Threads::Exactly(2), exact_activations, ..Default::default() };
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
    let mut runner = runner(&model, true);
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

/// Differences from the exact reference over all known positions, as parts of its largest logit: ours with 8-bit
/// activations, and ONNX Runtime's with its own.
fn noise(golden: &GoldenModel) -> Result<Option<(Difference, Difference)>, String> {
    let Some(theirs) = &golden.golden_int8 else { return Ok(None) };
    let model = open(golden, true)?;
    let mut runner = runner(&model, false);
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
    Ok(Some((compare(&ours, &exact), compare(&other, &exact))))
}

#[test]
fn eight_bit_activations_are_no_noisier_than_onnx_runtimes() {
    let mut failures = vec![];
    let mut compared = 0;
    for golden in golden_models().unwrap() {
        match noise(&golden) {
            Ok(Some((ours, theirs))) => {
                compared += 1;
                println!(
                    "{}: ours max {:.1e} rms {:.1e}, ONNX Runtime max {:.1e} rms {:.1e}",
                    golden.name, ours.max, ours.rms, theirs.max, theirs.rms
                );
                // Blocks of activations differ where the weights' blocks are not of 32, so the noise is alike, not equal.
                if ours.rms > 1.5 * theirs.rms + 1e-6 || ours.max > 2.0 * theirs.max + 1e-6 {
                    failures.push(golden.name);
                }
            }
            Ok(None) => {}
            Err(why) => failures.push(format!("{}: {why}", golden.name)),
        }
    }
    assert!(compared > 0, "no golden holds ONNX Runtime's 8-bit answers");
    assert!(failures.is_empty(), "noisier: {failures:?}");
}

#[test]
fn a_changed_weight_is_noticed() {
    let mut golden = golden_models().unwrap().into_iter().find(|g| g.greedy_exact).expect("a float32 golden");
    golden.golden.prompts.truncate(1);
    golden.golden.prompts[0].logits[0] += golden.max_relative * 40.0;
    assert!(check(&golden, true).is_err());
}
