//! Memory that is asked for between steps and during one.

use crate::fixture::*;
use kinglet_engine::fake::FakeModel;
use kinglet_generate::*;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

#[test]
fn between_steps_it_is_given_back_at_once_with_kept_beginnings() {
    let bench = arbitrary();
    let prefix = Prefix::compute(&bench.generator, &[3, 1, 4], &never()).unwrap();
    bench.generator.add_prefix(&prefix).unwrap();
    drop(prefix);
    assert_eq!(bench.generator.kept_tokens(&[3, 1, 4]), 3);
    bench.generator.trim(Trim::Buffers);
    assert_eq!((bench.control.trims(), bench.generator.kept_tokens(&[3, 1, 4])), (vec![Trim::Buffers], 0));
    assert_eq!(bench.generator.kv_bytes(), 0);
    bench.generator.trim(Trim::Weights);
    assert_eq!(bench.control.trims(), [Trim::Buffers, Trim::Weights]);
}

#[test]
fn during_a_step_nobody_waits_and_the_deepest_wish_is_served_behind_it() {
    let (begun, in_step) = channel();
    let (go_on, may_end) = channel::<()>();
    let may_end: Arc<Mutex<Receiver<()>>> = Arc::new(Mutex::new(may_end));
    let model = FakeModel::new(VOCAB, 64, move |_| {
        begun.send(()).unwrap();
        may_end.lock().unwrap().recv().unwrap();
        vec![0.0; VOCAB]
    });
    let bench = bench(model, runner_options(64, 8), generator_options());
    let generator = bench.generator.clone();
    let thread = std::thread::spawn(move || {
        let mut session = Session::new(&generator).unwrap();
        outcome(session.complete(&[1, 2], &request(1)).unwrap()).unwrap()
    });
    in_step.recv().unwrap();
    for depth in [Trim::Buffers, Trim::Weights, Trim::Buffers] {
        bench.generator.trim(depth);
    }
    assert_eq!(bench.control.trims(), [], "the step is not over");
    go_on.send(()).unwrap();
    thread.join().unwrap();
    assert_eq!(bench.control.trims(), [Trim::Weights]);
}

#[test]
fn a_pause_holds_answers_and_cancelling_ends_it() {
    let bench = arbitrary();
    bench.generator.pause();
    let cancel = CancelToken::default();
    let (generator, raised) = (bench.generator.clone(), cancel.clone());
    let thread = std::thread::spawn(move || {
        let mut session = Session::new(&generator).unwrap().cancelled_by(raised);
        outcome(session.complete(&[1, 2], &RequestOptions { lower_cancel: false, ..request(3) }).unwrap()).map(|done| done.finish)
    });
    cancel.cancel();
    assert_eq!(thread.join().unwrap().unwrap(), FinishReason::Cancelled);
    assert_eq!(bench.control.steps(), 0);
    bench.generator.resume();
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&[1, 2], &request(3)).unwrap()).unwrap();
    assert!(bench.control.steps() > 0);
}
