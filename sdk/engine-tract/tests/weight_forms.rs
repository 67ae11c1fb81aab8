//! Every form in which weights are written, against ONNX Runtime on the same graph; and with packed weights and 8-bit activations.
#![allow(clippy::print_stdout, reason = "what the checks find belongs in the log of a test")]

use kinglet_engine::{Model, RunnerOptions, WeightStorage};
use kinglet_testing::{WeightForm, compare, conformance, weight_forms};
use kinglet_tract::{OpenOptions, TractModel};

/// Float sums: the largest difference, as a part of the largest logit.
const EXACT: f32 = 1e-4;
/// Activations rounded to 8 bits, and tiles' scales to 11: the root mean square of the difference, as a part of the logits'.
const ROUNDED: f32 = 0.03;

fn logits(form: &WeightForm, direct: bool, options: &RunnerOptions, chunk: usize) -> Result<Vec<f32>, String> {
    let model = TractModel::open(&form.bundle()?, &OpenOptions { direct }).map_err(|error| error.to_string())?;
    let options = RunnerOptions { context: 64, sequences: 1, ..options.clone() };
    let mut runner = model.runner(&options).map_err(|error| error.to_string())?;
    let all: Vec<usize> = (0..form.ids.len()).collect();
    conformance::logits(&mut *runner, &form.ids, &all, chunk)
}

fn exact(form: &WeightForm) -> Result<f32, String> {
    let mut worst = 0f32;
    for (direct, chunk) in [(false, form.ids.len()), (true, form.ids.len()), (true, 3)] {
        let got = logits(form, direct, &conformance::options(true), chunk)?;
        worst = worst.max(compare(&got, &form.logits).relative());
    }
    Ok(worst)
}

/// How far packed and in-place weights are off with rounded activations, and whether the two rows of a step are those of one alone.
fn rounded(form: &WeightForm, weights: WeightStorage) -> Result<f32, String> {
    let options = RunnerOptions { weights, ..conformance::options(false) };
    let got = logits(form, true, &options, form.ids.len())?;
    let alone = logits(form, true, &options, 1)?;
    if got != alone {
        return Err(format!("{weights:?}: rows depend on their neighbours"));
    }
    let rms = |values: &mut dyn Iterator<Item = f32>| values.map(|v| v * v).sum::<f32>().sqrt();
    let far = rms(&mut got.iter().zip(&form.logits).map(|(a, b)| a - b));
    Ok(far / rms(&mut form.logits.iter().copied()))
}

#[test]
fn every_form_gives_onnx_runtimes_logits() {
    let forms = weight_forms().unwrap();
    assert!(forms.len() >= 30, "only {} forms", forms.len());
    let mut failures = vec![];
    for form in &forms {
        match exact(form) {
            Ok(found) if found <= EXACT => println!("{}: {found:.1e}", form.name),
            Ok(found) => failures.push(format!("{}: {found:.1e} of the largest logit", form.name)),
            Err(why) => failures.push(format!("{}: {why}", form.name)),
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_form_is_as_good_with_rounded_activations() {
    let mut failures = vec![];
    for form in weight_forms().unwrap() {
        for storage in [WeightStorage::InPlace, WeightStorage::Packed] {
            match rounded(&form, storage) {
                Ok(found) if found <= ROUNDED => println!("{} {storage:?}: {found:.1e}", form.name),
                Ok(found) => failures.push(format!("{} {storage:?}: {found:.1e} of the logits", form.name)),
                Err(why) => failures.push(format!("{}: {why}", form.name)),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn logits_of_another_form_are_noticed() {
    let forms = weight_forms().unwrap();
    let of = |name: &str| forms.iter().find(|form| form.name == name).unwrap().clone();
    let other = WeightForm { logits: of("dq-int4").logits, ..of("dq-int8") };
    assert!(exact(&other).unwrap() > EXACT && rounded(&other, WeightStorage::Packed).unwrap() > ROUNDED);
}
