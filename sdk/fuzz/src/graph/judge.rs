//! Runs an opened graph in every way there is, and holds the ways against each other.

use kinglet_bundle::Bundle;
use kinglet_bundle::onnx::{Dim, Graph, Node};
use kinglet_engine::{CancelToken, LogitsWanted, Model, RunnerOptions, SequenceStep, Threads, TokenId};
use kinglet_reference::{Data, Limits, Tensor, evaluate};
use kinglet_tract::{OpenOptions, TractModel};
use std::collections::{HashMap, HashSet};

const TOKENS: [TokenId; 7] = [3, 17, 42, 5, 60, 9, 33];
/// Tokens of the first of two steps.
const FIRST: usize = 4;
/// Largest difference allowed, as a part of the largest logit.
const TOLERANCE: f32 = 2e-3;
/// Beyond this the squares of a row, which a norm sums, may be more than a float32 holds.
const SQUARED: f32 = 1e18;
/// Operators that sum the squares of their inputs, or square them for such a sum.
const SQUARING: [&str; 6] = [
    "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "RMSNormalization",
    "LayerNormalization",
    "SkipLayerNormalization",
    "Pow",
];
/// Limits of the interpreter for one graph.
const LIMITS: Limits = Limits { elements: 1 << 22, work: 1 << 28 };

/// Opens and runs. A file that another way cannot open or run is a disagreement too.
pub(super) fn run(bundle: &Bundle, name: &str) {
    judged(bundle, name);
}

/// Whether the reference interpreter computed the graph, so that there was something to compare.
fn judged(bundle: &Bundle, name: &str) -> bool {
    let planned = logits(bundle, &OpenOptions { direct: false });
    let direct = logits(bundle, &OpenOptions { direct: true });
    let (planned, direct) = match (planned, direct) {
        (Some(planned), Some(direct)) => (planned, direct),
        (None, None) => return false,
        (planned, _) => {
            panic!(
                "{name}: {} runs it, the other way does not",
                if planned.is_some() { "the plan" } else { "the direct executor" }
            )
        }
    };
    hold(name, "plan and direct executor", &planned, &direct);
    let Some(graph) = bundle.graph().ok() else { return false };
    let Some(given) = given(bundle, &graph) else { return false };
    let logits = bundle.io().logits.as_str();
    let Some(expected) = reference(&graph, &given, logits) else { return false };
    if difference(&planned, &expected).is_some_and(|(most, allowed)| most > allowed) && overflows(&graph, &given, logits) {
        return false;
    }
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

/// Inputs of the graph for all tokens in one run.
fn given(bundle: &Bundle, graph: &Graph) -> Option<HashMap<String, Tensor>> {
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
    Some(given)
}

/// Logits of the reference interpreter; `None` where it does not know the graph, or exceeds the limits.
fn reference(graph: &Graph, given: &HashMap<String, Tensor>, logits: &str) -> Option<Vec<f32>> {
    match evaluate(graph, given, &[logits], LIMITS).ok()?.into_iter().next()?.data {
        Data::Float(values) => Some(values),
        _ => None,
    }
}

/// Whether a norm on the way to the logits reads a value so large that its square overflows: it hides that engines, which sum in
/// float32, left the numbers where the interpreter, which sums in float64, did not.
fn overflows(graph: &Graph, given: &HashMap<String, Tensor>, logits: &str) -> bool {
    let squaring = graph.nodes.iter().filter(|node| SQUARING.contains(&node.op_type.as_str()));
    let squared: HashSet<&str> = squaring.flat_map(|node| &node.inputs).map(String::as_str).collect();
    let read: Vec<&str> = behind(graph, logits).into_iter().filter(|value| squared.contains(value)).collect();
    evaluate(graph, given, &read, LIMITS).is_ok_and(|values| {
        values.iter().any(|value| matches!(&value.data, Data::Float(v) if v.iter().any(|x| !x.is_finite() || x.abs() > SQUARED)))
    })
}

/// The values that nodes make and `value` depends on, itself first.
fn behind<'g>(graph: &'g Graph, value: &'g str) -> Vec<&'g str> {
    let makers: HashMap<&str, &Node> =
        graph.nodes.iter().flat_map(|node| node.outputs.iter().map(move |output| (output.as_str(), node))).collect();
    let (mut found, mut seen, mut at) = (vec![value], HashSet::from([value]), 0);
    while let Some(name) = found.get(at) {
        let inputs = makers.get(name).into_iter().flat_map(|node| &node.inputs).map(String::as_str);
        let new: Vec<&str> =
            inputs.filter(|input| !input.is_empty() && makers.contains_key(input)).filter(|input| seen.insert(input)).collect();
        found.extend(new);
        at += 1;
    }
    found
}

fn last_of_output(graph: &Graph, name: &str) -> Option<usize> {
    match graph.outputs.iter().find(|output| output.name == name)?.dims.as_ref()?.last()? {
        Dim::Known(size) => Some(*size),
        _ => None,
    }
}

/// Two ways must give the same numbers, where those are numbers: what overflows overflows somewhere else in another order.
fn hold(name: &str, ways: &str, a: &[f32], b: &[f32]) {
    let Some((most, allowed)) = difference(a, b) else { return };
    assert_eq!(a.len(), b.len(), "{name}: {ways} give different numbers of logits");
    assert!(most <= allowed, "{name}: {ways} differ by {most}, {allowed} is allowed");
}

/// The largest difference, and the largest that may be; none where there are values that are no numbers to compare.
fn difference(a: &[f32], b: &[f32]) -> Option<(f32, f32)> {
    if a.iter().chain(b).any(|value| !value.is_finite() || value.abs() > 1e6) {
        return None;
    }
    let largest = b.iter().fold(1e-3_f32, |largest, value| largest.max(value.abs()));
    let most = a.iter().zip(b).fold(0.0_f32, |most, (a, b)| most.max((a - b).abs()));
    Some((most, TOLERANCE * largest))
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
    use super::*;

    #[test]
    fn a_graph_of_ordinary_numbers_does_not_overflow() {
        for name in ["qwen2/genai-separate", "llama/optimum"] {
            let bundle = Bundle::open(&crate::folder::golden(name), &kinglet_bundle::OpenOptions::default()).unwrap();
            let graph = bundle.graph().unwrap();
            let given = given(&bundle, &graph).unwrap();
            let logits = bundle.io().logits.as_str();
            assert!(reference(&graph, &given, logits).is_some());
            assert!(behind(&graph, logits).len() > 10);
            assert!(!overflows(&graph, &given, logits), "{name}");
        }
    }

    #[test]
    #[should_panic(expected = "differ by")]
    fn other_numbers_are_seen() {
        hold("a model", "two ways", &[1.0, 2.0], &[1.0, 2.1]);
    }
}
