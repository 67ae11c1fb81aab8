//! Memory that is given back in the middle of sequences: nothing they hold is lost, and what was made of weights is really gone.

use kinglet_bundle::{Bundle, Bytes, OpenOptions as BundleOptions};
use kinglet_engine::{CancelToken, Model, RunnerOptions, Trim, WeightStorage};
use kinglet_testing::{GoldenModel, conformance, golden_models};
use kinglet_tract::{OpenOptions, TractModel};

fn open(golden: &GoldenModel, direct: bool) -> TractModel {
    let options = BundleOptions { variant: golden.variant.clone(), ..Default::default() };
    TractModel::open(&Bundle::open(&golden.folder, &options).unwrap(), &OpenOptions { direct }).unwrap()
}

fn packed() -> RunnerOptions {
    RunnerOptions { weights: WeightStorage::Packed, ..conformance::options(false) }
}

#[test]
fn every_golden_model_gives_the_same_logits_bit_for_bit() {
    for direct in [false, true] {
        let failures = conformance::over(&golden_models().unwrap(), |golden| {
            conformance::trimming(&open(golden, direct), &packed()).map(|()| "given back".into())
        });
        assert!(failures.is_empty(), "direct {direct}: {}", failures.join("\n"));
    }
}

#[test]
fn packed_weights_are_gone_until_they_are_needed_and_mapped_ones_stay() {
    let goldens = golden_models().unwrap();
    let model = open(goldens.iter().find(|golden| golden.name.contains("int4")).expect("a quantised golden"), false);
    let mut runner = model.runner(&packed()).unwrap();
    let mut prepare = || runner.prepare(&CancelToken::default(), &mut |_| {}).unwrap();
    let mut saved = vec![];
    prepare();
    assert!(model.save_prepared(&mut saved).unwrap());

    runner.trim(Trim::Buffers);
    assert!(model.save_prepared(&mut vec![]).unwrap(), "weights are no buffers");
    runner.trim(Trim::Weights);
    assert!(!model.save_prepared(&mut vec![]).unwrap(), "they are gone");
    runner.prepare(&CancelToken::default(), &mut |_| {}).unwrap();
    assert!(model.save_prepared(&mut vec![]).unwrap(), "they are made again");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("prepared");
    std::fs::write(&file, saved).unwrap();
    // How often a runner that is new tells how far it is: weights that are there already are not made.
    let steps = |sound: bool| {
        model.restore_prepared(Box::new(Bytes::map(&file).unwrap()), Box::new(move |_| Ok(sound))).unwrap();
        assert!(!model.save_prepared(&mut vec![]).unwrap(), "nothing is saved that nobody has vouched for");
        let (mut runner, mut steps) = (model.runner(&packed()).unwrap(), 0);
        runner.prepare(&CancelToken::default(), &mut |_| steps += 1).unwrap();
        assert!(model.save_prepared(&mut vec![]).unwrap());
        runner.trim(Trim::Weights);
        steps
    };
    assert_eq!(steps(true), 0);
    assert!(model.save_prepared(&mut vec![]).unwrap(), "the system can take mapped ones by itself");
    assert!(steps(false) > 0, "what is not what was saved is made anew");
    assert!(!model.save_prepared(&mut vec![]).unwrap(), "and is the engine's own then");
}
