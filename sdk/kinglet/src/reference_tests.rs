//! Models that agree with the interpreter, and engines that do not.

use super::*;
use crate::{Engine, Kinglet};
use kinglet_testing::golden_models;

const TOKENS: [u32; 5] = [3, 1, 4, 1, 5];

fn model(name: &str) -> Model {
    let golden = golden_models().unwrap().into_iter().find(|golden| golden.name == name).unwrap();
    let builder = Kinglet::builder().engine(Engine::Tract);
    let builder = golden.variant.iter().fold(builder, |builder, variant| builder.variant(variant));
    builder.build().unwrap().open(&golden.folder).unwrap()
}

#[test]
fn the_engine_agrees_with_the_interpreter_layer_by_layer() {
    struct Case {
        name: &'static str,
        at_least: usize,
    }
    for Case { name, at_least } in [
        Case { name: "qwen2/genai", at_least: 12 },
        Case { name: "llama/optimum", at_least: 8 },
        Case { name: "gemma2/optimum", at_least: 12 },
        Case { name: "phi3/genai-int4", at_least: 8 },
        Case { name: "community/decomposed:model_fp16", at_least: 8 },
        Case { name: "community/decomposed:model_int8", at_least: 8 },
    ] {
        let report = model(name).compare_with_reference(&TOKENS, &CancelHandle::default()).unwrap();
        assert_eq!(report.first, None, "{name}");
        assert_eq!(report.tokens, TOKENS.len(), "{name}");
        assert!(report.values >= at_least && report.left_out == 0, "{name}: {report:?}");
    }
}

/// Traced values of the model's engine, and the interpreter's tensors of the same names.
fn both(model: &Model) -> (Vec<TracedValue>, Vec<Tensor>) {
    let traced = model.trace(&TOKENS, &CancelHandle::default()).unwrap();
    let graph = model.local().unwrap().bundle.graph().unwrap();
    let names: Vec<&str> = traced.iter().map(|traced| traced.value.as_str()).collect();
    let given = decoder_inputs(&graph, model.local().unwrap().bundle.io(), &TOKENS);
    let values = evaluate(&graph, &given, &names, Limits::default()).unwrap();
    (traced, values)
}

#[test]
fn the_first_value_that_differs_is_named() {
    let (traced, values) = both(&model("qwen2/genai"));
    for at in 0..traced.len() {
        for wrong in [7.0, f32::NAN, f32::INFINITY] {
            let mut changed = traced.clone();
            let element = changed[at].elements.len() / 2;
            changed[at].elements[element] += wrong * 1e3;
            let report = compare(&changed, &values, FLOAT);
            let first = report.first.expect("a difference");
            assert_eq!((&first.node, &first.value, first.element), (&traced[at].node, &traced[at].value, element));
            assert_eq!(report.values, at + 1);
            assert!(first.relative > FLOAT);
        }
    }
}

#[test]
fn values_of_another_shape_are_counted_and_not_compared() {
    let (mut traced, values) = both(&model("qwen2/genai"));
    traced[0].elements.pop();
    let report = compare(&traced, &values, FLOAT);
    assert_eq!((report.left_out, report.values, report.first), (1, values.len() - 1, None));
}

#[test]
fn no_tokens_are_refused() {
    let error = model("qwen2/genai").compare_with_reference(&[], &CancelHandle::default()).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)), "{error}");
}
