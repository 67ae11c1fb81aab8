//! A model held against the plain interpreter of ONNX graphs, value by value.

use crate::{CancelHandle, Error, Model};
use kinglet_bundle::onnx::{DataType, Graph};
use kinglet_engine::{KvType, LogitsWanted, RunnerOptions, SequenceStep, Threads, TracedValue, WeightStorage};
use kinglet_reference::{Data, Limits, ReferenceError, Tensor, decoder_inputs, evaluate};
use serde::Serialize;

/// Result of comparing a model with the reference interpreter.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReferenceReport {
    /// Tokens that were read.
    pub tokens: usize,
    /// Values of the graph that were compared: outputs of layers and what lies between them, and the logits.
    pub values: usize,
    /// Values that the engine keeps in another shape than the graph, and which were not compared.
    pub left_out: usize,
    /// The largest difference of an element before the first that is too large, as a part of its value's largest element.
    pub largest: f32,
    /// The difference from which on an element counts as another, as a part of its value's largest element.
    pub tolerance: f32,
    /// Where engine and interpreter first differ; `None` where they do not.
    pub first: Option<ReferenceDifference>,
}

/// Where an engine and the interpreter differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReferenceDifference {
    /// The graph's node.
    pub node: String,
    /// The value that it makes.
    pub value: String,
    /// The element that differs most, among all rows of the value.
    pub element: usize,
    /// Value of the engine.
    pub engine: f32,
    /// Value of the interpreter.
    pub reference: f32,
    /// Their distance as a part of the value's largest element; infinite where either is no number.
    pub relative: f32,
}

/// Allowed where everything is computed in float32.
const FLOAT: f32 = 1e-3;
/// Allowed where nodes of the graph round to half precision, which the engine need not.
const HALF: f32 = 1e-2;
/// Allowed where nodes of the graph round activations to 8 bits, which the engine does not with exact activations.
const EIGHT_BITS: f32 = 5e-2;

impl Model {
    /// Runs `tokens` from an empty conversation by the embedded engine, with exact activations, and by a plain interpreter of ONNX
    /// graphs, and compares what they compute on the way to the logits. Each weight is held as float32 while it is used, at most
    /// 2^28 elements at once, and every product is a simple loop: seconds for a model of a hundred million parameters and ten
    /// tokens.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where another engine than the embedded one has opened the model, or the interpreter does not know
    /// one of its nodes or would need more memory; [`Error::InvalidRequest`] for no tokens, too many, or one outside the
    /// vocabulary; [`Error::Cancelled`].
    pub fn compare_with_reference(&self, tokens: &[u32], cancel: &CancelHandle) -> Result<ReferenceReport, Error> {
        let local = self.local()?;
        let traced = self.trace(tokens, cancel)?;
        let graph = local.bundle.graph()?;
        let names: Vec<&str> = traced.iter().map(|traced| traced.value.as_str()).collect();
        let given = decoder_inputs(&graph, local.bundle.io(), tokens);
        let values = evaluate(&graph, &given, &names, Limits::default()).map_err(refused)?;
        Ok(ReferenceReport { tokens: tokens.len(), ..compare(&traced, &values, tolerance(&graph)) })
    }

    /// The values that the embedded engine computes.
    fn trace(&self, tokens: &[u32], cancel: &CancelHandle) -> Result<Vec<TracedValue>, Error> {
        let local = self.local()?;
        let options = RunnerOptions {
            context: tokens.len().max(1),
            sequences: 1,
            threads: Threads::Exactly(local.settings.thread_count()),
            kv_type: KvType::Float32,
            exact_activations: true,
            weights: WeightStorage::InPlace,
        };
        let mut runner = local.engine.model.runner(&options)?;
        runner.start_trace();
        let cache = runner.create_cache()?;
        runner.step(&[SequenceStep { cache, tokens, logits: LogitsWanted::All }], &cancel.0)?;
        let traced = runner.take_trace();
        if traced.is_empty() {
            let message = "gives no values but the logits; open the model with the embedded one to compare it";
            return Err(Error::unsupported(format!("the engine `{}` {message}", local.engine_name())));
        }
        Ok(traced)
    }
}

fn refused(error: ReferenceError) -> Error {
    let advice = match error {
        ReferenceError::TooLarge(_) => "the model is too large for the plain interpreter",
        _ => "the plain interpreter does not run the model",
    };
    Error::unsupported(format!("{advice}: {error}"))
}

/// Relative tolerance by the rounding (floating-point type) of the graph.
fn tolerance(graph: &Graph) -> f32 {
    let makes = |op_type: &str| graph.nodes.iter().any(|node| node.op_type == op_type);
    let half = |code: i64| [DataType::Float16, DataType::BFloat16].iter().any(|kind| i64::from(kind.to_onnx()) == code);
    let casts = graph.nodes.iter().any(|node| node.op_type == "Cast" && node.int("to").is_some_and(half));
    match () {
        () if makes("DynamicQuantizeLinear") || makes("QuantizeLinear") => EIGHT_BITS,
        () if casts => HALF,
        () => FLOAT,
    }
}

/// Compares values in running order, up to the first that differ.
fn compare(traced: &[TracedValue], values: &[Tensor], tolerance: f32) -> ReferenceReport {
    let mut report = ReferenceReport { tokens: 0, values: 0, left_out: 0, largest: 0.0, tolerance, first: None };
    for (ours, theirs) in traced.iter().zip(values) {
        let Data::Float(theirs) = &theirs.data else {
            report.left_out += 1;
            continue;
        };
        if theirs.len() != ours.elements.len() {
            report.left_out += 1;
            continue;
        }
        report.values += 1;
        let Some((element, relative)) = furthest(&ours.elements, theirs) else { continue };
        if relative > tolerance {
            let (node, value) = (ours.node.clone(), ours.value.clone());
            let (engine, reference) = (ours.elements[element], theirs[element]);
            report.first = Some(ReferenceDifference { node, value, element, engine, reference, relative });
            return report;
        }
        report.largest = report.largest.max(relative);
    }
    report
}

/// The element that differs most, and by how much as a part of the largest element; `None` for no elements.
fn furthest(ours: &[f32], theirs: &[f32]) -> Option<(usize, f32)> {
    let largest = theirs.iter().filter(|x| x.is_finite()).fold(f32::MIN_POSITIVE, |largest, x| largest.max(x.abs()));
    let relative = |(ours, theirs): (&f32, &f32)| match (ours - theirs).abs() / largest {
        _ if ours == theirs => 0.0,
        distance if distance.is_nan() => f32::INFINITY,
        distance => distance,
    };
    ours.iter().zip(theirs).map(relative).enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

#[cfg(test)]
#[path = "reference_tests.rs"]
mod tests;
