//! Models of published shapes with random weights: every one of them runs on our operators, and nothing in it grows or fades over
//! its layers.

use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::{CancelToken, LogitsWanted, Model, RunnerOptions, SequenceStep, Threads, TokenId, WeightStorage};
use kinglet_testing::{Shape, compare};
use kinglet_tract::{OpenOptions, TractModel};

/// More positions than a window of the narrowed shapes.
const POSITIONS: usize = 100;

fn open(shape: &Shape) -> (tempfile::TempDir, TractModel) {
    let folder = tempfile::tempdir().unwrap();
    shape.write(folder.path(), 5).unwrap();
    let bundle = Bundle::open(folder.path(), &BundleOptions::default()).unwrap();
    let model = TractModel::open(&bundle, &OpenOptions::default()).unwrap_or_else(|error| panic!("{}: {error}", shape.name));
    (folder, model)
}

/// Logits of all positions of a text, `[POSITIONS, vocabulary]`.
fn logits(model: &TractModel, weights: WeightStorage, exact: bool) -> Vec<f32> {
    let options =
        RunnerOptions { threads: Threads::Exactly(2), weights, exact_activations: exact, context: 128, ..Default::default() };
    let mut runner = model.runner(&options).unwrap();
    runner.prepare(&CancelToken::default(), &mut |_| {}).unwrap();
    let tokens: Vec<TokenId> = (0..POSITIONS as u32).map(|i| i * 37 % 512).collect();
    let cache = runner.create_cache().unwrap();
    let step = [SequenceStep { cache, tokens: &tokens, logits: LogitsWanted::All }];
    runner.step(&step, &CancelToken::default()).unwrap().values().to_vec()
}

fn deviation(values: &[f32]) -> f32 {
    let count = values.len() as f32;
    let mean = values.iter().sum::<f32>() / count;
    (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / count).sqrt()
}

#[test]
fn logits_of_every_shape_are_alive() {
    for shape in Shape::all_published() {
        let shape = shape.narrowed();
        let (_folder, model) = open(&shape);
        assert_eq!(model.info().foreign_ops, [""; 0], "{}", shape.name);
        assert_eq!((model.info().layers, model.info().vocab), (shape.layers.len(), shape.vocabulary));
        let exact = logits(&model, WeightStorage::InPlace, true);
        assert_eq!(exact.len(), POSITIONS * shape.vocabulary);
        assert!(exact.iter().all(|logit| logit.is_finite()), "{}: a logit is not finite", shape.name);
        for row in exact.chunks(shape.vocabulary) {
            assert!((0.3..3.0).contains(&deviation(row)), "{}: logits spread by {}", shape.name, deviation(row));
        }
        // Different tokens in different places give different logits.
        let (first, last) = (&exact[..shape.vocabulary], &exact[exact.len() - shape.vocabulary..]);
        assert!(compare(first, last).rms > 0.3 * deviation(first), "{}: positions are alike", shape.name);
        for weights in [WeightStorage::InPlace, WeightStorage::Packed] {
            let rounded = logits(&model, weights, false);
            let noise = compare(&rounded, &exact).rms / deviation(&exact);
            assert!(noise > 0.0 && noise < 0.2, "{}, {weights:?}: noise {noise}", shape.name);
        }
    }
}
