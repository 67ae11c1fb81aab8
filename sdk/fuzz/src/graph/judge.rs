//! Runs an opened graph in every way there is, and holds the ways against each other.

use kinglet_bundle::Bundle;
use kinglet_bundle::onnx::{Dim, Graph};
use kinglet_engine::{CancelToken, LogitsWanted, Model, RunnerOptions, SequenceStep, Threads, TokenId};
use kinglet_reference::{Data, Limits, Tensor, evaluate};
use kinglet_tract::{OpenOptions, TractModel};
use std::collections::HashMap;

const TOKENS: [TokenId; 7] = [3, 17, 42, 5, 60, 9, 33];
/// Tokens of the first of two steps.
const FIRST: usize = 4;
/// Largest difference allowed, as a part of the largest logit.
const TOLERANCE: f32 = 2e-3;

/// Opens and runs. A file that another way cannot open or run is a disagreement too.
pub(super) fn run(bundle: &Bundle, name: &str) {
    judged(bundle, name);
}

/// Whether the reference interpreter computed the graph, so that there was something to compare.
fn judged(bundle: &Bundle, name: &str) -> bool {
    let planned = logits(bundle, &OpenOptions { walk: false });
    let walked = logits(bundle, &OpenOptions { walk: true });
    let (planned, walked) = match (planned, walked) {
        (Some(planned), Some(walked)) => (planned, walked),
        (None, None) => return false,
        (planned, _) => {
            panic!("{name}: {} runs it, the other way does not", if planned.is_some() { "the plan" } else { "the walk" })
        }
    };
    hold(name, "plan and walk", &planned, &walked);
    let Some(expected) = bundle.graph().ok().and_then(|graph| reference(bundle, &graph)) else { return false };
    hold(name, "plan and reference", &planned, &expected);
    true
}

/// All logits of two steps, `[positions, vocab]`; none where the model is refused.
fn logits(bundle: &Bundle, options: &OpenOptions) -> Option<Vec<f32>> {
    let model = TractModel::open(bundle, options).ok()?;
    let vocab = model.info().vocab as TokenId;
    let tokens = TOKENS.map(|token| token % vocab.max(1));
    let options =
        RunnerOptions { context: 32, sequences: 1, threads: Threads::Exactly(1), exact_activations: true, ..Default::default() };
    let mut runner = model.runner(&options).ok()?;
    let cache = runner.create_cache().ok()?;
    let mut all = vec![];
    for piece in [&tokens[..FIRST], &tokens[FIRST..]] {
        let step = SequenceStep { cache, tokens: piece, logits: LogitsWanted::All };
        all.extend_from_slice(runner.step(&[step], &CancelToken::default()).ok()?.values());
    }
    Some(all)
}

/// What the graph says in one run over all tokens; none where the interpreter does not know it, or takes too long.
fn reference(bundle: &Bundle, graph: &Graph) -> Option<Vec<f32>> {
    let io = bundle.io();
    let vocab = last_of_output(graph, &io.logits)?;
    let tokens: Vec<i64> = TOKENS.iter().map(|&token| i64::from(token) % (vocab.max(1) as i64)).collect();
    let rows = tokens.len();
    let mut given = HashMap::new();
    given.insert(io.input_ids.clone(), Tensor::ints([1, rows], tokens));
    for (name, values) in [(&io.attention_mask, vec![1; rows]), (&io.position_ids, (0..rows as i64).collect())] {
        if let Some(name) = name {
            given.insert(name.clone(), Tensor::ints([1, rows], values));
        }
    }
    for input in &graph.inputs {
        let is_past = io.past_key.layer_of(&input.name).or(io.past_value.layer_of(&input.name)).is_some();
        if let Some(dims) = input.dims.as_ref().filter(|_| is_past) {
            let sizes: Vec<usize> = dims
                .iter()
                .enumerate()
                .map(|(axis, dim)| match dim {
                    _ if axis == 0 => 1,
                    _ if axis == 2 => 0,
                    Dim::Known(size) => *size,
                    _ => 0,
                })
                .collect();
            given.insert(input.name.clone(), Tensor::floats(sizes, vec![]));
        }
    }
    let limits = Limits { elements: 1 << 22, work: 1 << 28 };
    let made = evaluate(graph, &given, &[&io.logits], limits).ok()?;
    match made.into_iter().next()?.data {
        Data::Float(values) => Some(values),
        _ => None,
    }
}

fn last_of_output(graph: &Graph, name: &str) -> Option<usize> {
    match graph.outputs.iter().find(|output| output.name == name)?.dims.as_ref()?.last()? {
        Dim::Known(size) => Some(*size),
        _ => None,
    }
}

/// Two ways must give the same numbers, where those are numbers: what overflows overflows somewhere else in another order.
fn hold(name: &str, ways: &str, a: &[f32], b: &[f32]) {
    if a.iter().chain(b).any(|value| !value.is_finite() || value.abs() > 1e6) {
        return;
    }
    assert_eq!(a.len(), b.len(), "{name}: {ways} give different numbers of logits");
    let largest = b.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
    let difference = a.iter().zip(b).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    assert!(difference <= TOLERANCE * largest, "{name}: {ways} differ by {difference} of {largest}");
}

/// Whether input of the target was compared with the reference.
#[cfg(test)]
pub(super) fn compared(bytes: &[u8]) -> bool {
    let mut choices = crate::bytes::Choices::new(bytes);
    let name = super::GOLDENS[choices.below(super::GOLDENS.len())];
    let bundle = Bundle::open(&crate::folder::golden(name), &kinglet_bundle::OpenOptions::default()).unwrap();
    judged(&bundle, name)
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "differ by")]
    fn other_numbers_are_seen() {
        super::hold("a model", "two ways", &[1.0, 2.0], &[1.0, 2.1]);
    }
}
