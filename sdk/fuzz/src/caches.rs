//! Files that an engine wrote and reads again: the keys and values of a sequence, and packed weights.

use crate::bytes::{Choices, changed};
use crate::folder::golden;
use kinglet_bundle::{Bundle, OpenOptions};
use kinglet_engine::{CancelToken, LogitsWanted, Model, Runner, RunnerOptions, SequenceStep, Threads, WeightStorage};
use kinglet_tract::TractModel;
use std::sync::{LazyLock, Mutex};

fn open(name: &str) -> TractModel {
    let bundle = Bundle::open(&golden(name), &OpenOptions::default()).expect("a golden opens");
    TractModel::open(&bundle, &kinglet_tract::OpenOptions { direct: true }).expect("a golden opens")
}

fn options() -> RunnerOptions {
    RunnerOptions {
        context: 64,
        sequences: 4,
        threads: Threads::Exactly(1),
        weights: WeightStorage::Packed,
        ..Default::default()
    }
}

struct Saved {
    runner: Box<dyn Runner>,
    file: Vec<u8>,
}

static SAVED: LazyLock<Mutex<Saved>> = LazyLock::new(|| {
    let mut runner = open("qwen2/genai-separate").runner(&options()).expect("a runner");
    let cache = runner.create_cache().expect("room");
    let step = SequenceStep { cache, tokens: &[1, 2, 3, 4, 5], logits: LogitsWanted::None };
    runner.step(&[step], &CancelToken::default()).expect("a step");
    let mut file = vec![];
    runner.save(cache, 5, &mut file).expect("memory to write to");
    runner.release(cache);
    Mutex::new(Saved { runner, file })
});

pub(crate) fn run_saved(bytes: &[u8]) {
    let mut saved = SAVED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let file = changed(&saved.file, &mut Choices::new(bytes));
    let Ok(cache) = saved.runner.restore(&mut &file[..]) else { return };
    let step = SequenceStep { cache, tokens: &[6], logits: LogitsWanted::Last };
    let _ = saved.runner.step(&[step], &CancelToken::default()).map(|logits| logits.len());
    saved.runner.release(cache);
}

pub(crate) fn seeds_saved() -> Vec<Vec<u8>> {
    vec![vec![], vec![0, 0, 0, 4, 9], vec![1, 0, 1, 0], vec![3, 0, 0, 8, 0, 3]]
}

static PREPARED: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let model = open("mistral/genai-int4");
    model.runner(&options()).and_then(|mut runner| runner.prepare(&CancelToken::default(), &mut |_| {})).expect("prepared");
    let mut file = vec![];
    assert!(model.save_prepared(&mut file).expect("memory to write to"), "there is nothing to save");
    file
});

pub(crate) fn run_prepared(bytes: &[u8]) {
    let file = changed(&PREPARED, &mut Choices::new(bytes));
    let model = open("mistral/genai-int4");
    if model.restore_prepared(Box::new(file), Box::new(|_| Ok(true))).is_err() {
        return;
    }
    let Ok(mut runner) = model.runner(&options()) else { return };
    let Ok(cache) = runner.create_cache() else { return };
    let step = SequenceStep { cache, tokens: &[1, 2, 3], logits: LogitsWanted::Last };
    let _ = runner.step(&[step], &CancelToken::default()).map(|logits| logits.len());
}

pub(crate) fn seeds_prepared() -> Vec<Vec<u8>> {
    vec![vec![], vec![0, 0, 0, 4, 9], vec![1, 0, 1, 0], vec![3, 0, 0, 8, 0, 3]]
}
