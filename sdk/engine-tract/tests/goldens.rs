//! Every tiny model of the goldens, opened from its folder, held to what every engine is held to: with a tract plan and with the
//! direct executor.

use kinglet_engine::{Model, RunnerOptions, WeightStorage};
use kinglet_testing::conformance::{self, Noise, noise};
use kinglet_testing::{Golden, GoldenModel, Rounding, golden_models};
use kinglet_tract::{OpenOptions, TractModel};
use std::collections::{BTreeSet, HashMap};

fn open(golden: &GoldenModel, direct: bool) -> Result<TractModel, String> {
    TractModel::open(&conformance::bundle(golden)?, &OpenOptions { direct }).map_err(|error| error.to_string())
}

fn how(direct: bool) -> &'static str {
    if direct { "direct" } else { "tract" }
}

/// Runs a check with both executors.
fn both_ways(check: impl Fn(&GoldenModel, &TractModel) -> Result<String, String>) {
    let models = golden_models().unwrap();
    assert!(!models.is_empty(), "the index of goldens is empty");
    let failures: Vec<String> = [false, true]
        .into_iter()
        .flat_map(|direct| {
            conformance::over(&models, |golden| {
                let found = open(golden, direct).and_then(|model| check(golden, &model));
                found.map(|what| format!("by {}: {what}", how(direct))).map_err(|why| format!("by {}: {why}", how(direct)))
            })
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} runs fail:\n{}", failures.len(), models.len() * 2, failures.join("\n"));
}

#[test]
fn every_golden_model_gives_the_references_logits_and_tokens() {
    both_ways(|golden, model| {
        let worst = conformance::agreement(golden, model, &conformance::options(true))?;
        let (prompts, info) = (golden.golden.prompts.len(), model.info());
        let (own, foreign) = (info.own_nodes, &info.foreign_ops);
        Ok(format!("{prompts} prompts, largest difference {worst:.1e}, {own} own nodes, left to tract: {foreign:?}"))
    });
}

#[test]
fn sequences_do_not_see_each_other() {
    both_ways(|_, model| {
        let worst = conformance::independence(model, &conformance::options(false), 0.0)?;
        Ok(format!("largest difference {worst:.1e}"))
    });
}

#[test]
fn refusals_leave_a_runner_usable() {
    both_ways(|_, model| conformance::refusals(model, &conformance::options(true)).map(|()| "as the contract says".into()));
}

/// With 8-bit activations, or without where ONNX Runtime rounds to float16 only.
fn noise_of(golden: &GoldenModel, rounding: Rounding, weights: WeightStorage, theirs: &Golden) -> Result<Noise, String> {
    let options = RunnerOptions { weights, ..conformance::options(rounding == Rounding::Float16) };
    noise(golden, theirs, &open(golden, true)?, &options)
}

#[test]
fn rounded_activations_are_no_noisier_than_onnx_runtimes() {
    let models = golden_models().unwrap();
    let mut compared = HashMap::new();
    let failures: Vec<String> = [WeightStorage::InPlace, WeightStorage::Packed]
        .into_iter()
        .flat_map(|storage| {
            conformance::over(models.iter().filter(|golden| golden.rounded.is_some()), |golden| {
                let Some((rounding, theirs)) = &golden.rounded else { return Err("no reference".into()) };
                *compared.entry(format!("{rounding:?}")).or_insert(0) += 1;
                let noise = noise_of(golden, *rounding, storage, theirs)?;
                let what = format!("{rounding:?} {storage:?}: {noise}");
                if noise.is_alike() { Ok(what) } else { Err(what) }
            })
        })
        .collect();
    assert_eq!(compared.len(), 4, "kinds of rounding among the goldens: {compared:?}");
    assert!(failures.is_empty(), "noisier:\n{}", failures.join("\n"));
}

#[test]
fn a_changed_weight_is_noticed() {
    let mut golden = golden_models().unwrap().into_iter().find(|g| g.greedy_exact).expect("a float32 golden");
    golden.golden.prompts.truncate(1);
    golden.golden.prompts[0].logits[0] += golden.max_relative * 40.0;
    assert!(conformance::agreement(&golden, &open(&golden, true).unwrap(), &conformance::options(true)).is_err());
}

#[test]
fn noise_beyond_the_references_is_noticed() {
    let golden = golden_models().unwrap().into_iter().find(|g| g.name == "quantised/int4-b32").expect("an int4 golden");
    let of = |theirs: &Golden| noise_of(&golden, Rounding::Int8Blocks, WeightStorage::Packed, theirs).unwrap();
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
    assert_eq!(precisions, ["bfloat16", "float16", "float32", "int4", "int8"].into());
}
