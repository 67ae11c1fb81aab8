//! A step of decoding like the one before it takes no memory from the allocator.

use allocation_counter::measure;
use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::{CancelToken, LogitsWanted, Model, RunnerOptions, SequenceStep, Threads, WeightStorage};
use kinglet_testing::golden_models;
use kinglet_tract::{OpenOptions, TractModel};

/// Allocations of the calling thread in each of some steps of `sequences` sequences, after some that warm up.
fn allocations(name: &str, direct: bool, weights: WeightStorage, sequences: usize) -> Vec<u64> {
    let golden = golden_models().unwrap().into_iter().find(|g| g.name == name).expect("a golden model");
    let bundle = Bundle::open(&golden.folder, &BundleOptions { variant: golden.variant, ..Default::default() }).unwrap();
    let model = TractModel::open(&bundle, &OpenOptions { direct }).unwrap();
    let options = RunnerOptions { context: 256, threads: Threads::Exactly(2), weights, ..Default::default() };
    let mut runner = model.runner(&options).unwrap();
    let caches: Vec<_> = (0..sequences).map(|_| runner.create_cache().unwrap()).collect();
    let cancel = CancelToken::default();
    let mut step = |tokens: &[u32]| {
        let steps: Vec<_> = caches.iter().map(|&cache| SequenceStep { cache, tokens, logits: LogitsWanted::Last }).collect();
        measure(|| {
            runner.step(&steps, &cancel).unwrap();
        })
        .count_total
    };
    step(&[1, 2, 3, 4, 5]);
    (0..20).map(|_| step(&[7])).skip(4).collect()
}

#[test]
fn decoding_allocates_nothing() {
    for name in ["qwen2/genai", "quantised/int4-b32"] {
        for weights in [WeightStorage::InPlace, WeightStorage::Packed] {
            for sequences in [1, 4] {
                let counts = allocations(name, true, weights, sequences);
                assert!(counts.iter().all(|&count| count == 0), "{name} {weights:?} {sequences} sequences: {counts:?}");
            }
        }
    }
}

#[test]
fn the_counter_counts() {
    assert!(measure(|| drop(std::hint::black_box(vec![0u8; 100]))).count_total > 0);
    // tract's plan passes tensors between its nodes.
    let counts = allocations("quantised/int4-b32", false, WeightStorage::Packed, 1);
    assert!(counts.iter().any(|&count| count > 0), "{counts:?}");
}
