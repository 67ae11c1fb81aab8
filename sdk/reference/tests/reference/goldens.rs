//! Every golden model, by the interpreter alone.

use kinglet_reference::{Data, Limits, Tensor, decoder_inputs, evaluate};
use kinglet_testing::{Golden, GoldenModel, GoldenPrompt, Rounding, compare, conformance, golden_models};

/// Tokens of a prompt that is quick.
const SHORT: usize = 16;

/// The logits of all rows that the graph gives, `[rows, vocab]`, which are the last.
fn logits(golden: &GoldenModel, ids: &[u32]) -> Result<Vec<f32>, String> {
    let bundle = conformance::bundle(golden)?;
    let graph = bundle.graph().map_err(|error| error.to_string())?;
    let given = decoder_inputs(&graph, bundle.io(), ids);
    let made = evaluate(&graph, &given, &[bundle.io().logits.as_str()], Limits::default()).map_err(|error| error.to_string())?;
    match made.into_iter().next() {
        Some(Tensor { data: Data::Float(logits), .. }) => Ok(logits),
        other => Err(format!("{other:?} are no logits")),
    }
}

/// The largest difference to the golden, as a part of its largest logit.
fn agreement(golden: &GoldenModel, prompt: &GoldenPrompt) -> Result<f32, String> {
    let (vocab, logits) = (known(golden).vocab, logits(golden, &prompt.ids)?);
    let left_out = prompt.ids.len() - logits.len() / vocab;
    let known = prompt.positions.iter().zip(prompt.logits.chunks_exact(vocab)).filter(|(position, _)| **position >= left_out);
    let (ours, theirs): (Vec<_>, Vec<_>) =
        known.map(|(position, theirs)| (&logits[(position - left_out) * vocab..][..vocab], theirs)).unzip();
    let relative = compare(&ours.concat(), &theirs.concat()).relative();
    if relative <= golden.max_relative { Ok(relative) } else { Err(format!("`{}` differs by {relative:.1e}", prompt.name)) }
}

/// The golden of the graph as written: with activations rounded where nodes of their own do it, and not where a product may.
fn known(golden: &GoldenModel) -> &Golden {
    match &golden.rounded {
        Some((Rounding::Int8Dynamic, rounded)) => rounded,
        _ => &golden.golden,
    }
}

fn short(golden: &GoldenModel) -> impl Iterator<Item = &GoldenPrompt> {
    known(golden).prompts.iter().filter(|prompt| prompt.ids.len() <= SHORT)
}

#[test]
fn every_golden_model_gives_the_references_logits() {
    let models = golden_models().unwrap();
    let failures = conformance::over(&models, |golden| {
        let found = short(golden).map(|prompt| agreement(golden, prompt)).collect::<Result<Vec<_>, _>>()?;
        let worst = found.iter().copied().fold(0.0, f32::max);
        if found.is_empty() { Err("no short prompt".into()) } else { Ok(format!("{} prompts, {worst:.1e}", found.len())) }
    });
    assert!(failures.is_empty(), "{} of {} fail:\n{}", failures.len(), models.len(), failures.join("\n"));
}

#[test]
fn another_logit_is_noticed() {
    let golden = golden_models().unwrap().remove(0);
    let mut prompt = short(&golden).next().unwrap().clone();
    assert!(agreement(&golden, &prompt).is_ok());
    let largest = prompt.logits.iter().fold(0.0_f32, |largest, logit| largest.max(logit.abs()));
    prompt.logits[0] += largest * golden.max_relative * 2.0;
    assert!(agreement(&golden, &prompt).is_err());
}
