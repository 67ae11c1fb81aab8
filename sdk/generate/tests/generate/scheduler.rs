//! Steps of several threads that run together.

use crate::fixture::*;
use kinglet_engine::fake::FakeModel;
use kinglet_generate::*;
use proptest::prelude::*;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Request of one thread, and its delays.
#[derive(Clone, Debug)]
struct Visitor {
    prompt: Vec<TokenId>,
    /// Microseconds before it begins, and before each token after the first.
    pauses: [u64; 2],
    seed: u64,
}

fn visitors() -> impl Strategy<Value = Vec<Visitor>> {
    let prompt = prop::collection::vec(1..VOCAB as TokenId, 1..12);
    let visitor = (prompt, [0..2000u64, 0..300u64], any::<u64>());
    prop::collection::vec(visitor.prop_map(|(prompt, pauses, seed)| Visitor { prompt, pauses, seed }), 2..6)
}

/// Takes a while for each row, so that others arrive meanwhile.
fn slow(micros: u64) -> Bench {
    let quick = arbitrary_model();
    let model = FakeModel::new(VOCAB, 4096, move |tokens| {
        std::thread::sleep(Duration::from_micros(micros));
        quick.logits(tokens)
    });
    bench(model, runner_options(64, 8), generator_options())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn answers_do_not_depend_on_who_else_asks(visitors in visitors()) {
        let bench = slow(100);
        let quick = arbitrary_model();
        std::thread::scope(|scope| {
            for Visitor { prompt, pauses: [before, between], seed } in &visitors {
                let (generator, quick) = (bench.generator.clone(), &quick);
                scope.spawn(move || {
                    std::thread::sleep(Duration::from_micros(*before));
                    let mut session = Session::new(&generator).unwrap();
                    let options = RequestOptions { sampling: warm(*seed), ..request(12) };
                    let events = session.complete(prompt, &options).unwrap().inspect(|_| {
                        std::thread::sleep(Duration::from_micros(*between));
                    });
                    let found: Vec<Event> = events.map(Result::unwrap).collect();
                    let Some(Event::Done(outcome)) = found.last() else { panic!("{found:?}") };
                    assert_eq!(outcome.tokens, expected(quick, prompt, 12, &warm(*seed), &[EOS]).0);
                });
            }
        });
        prop_assert_eq!(bench.generator.kv_bytes(), 0);
    }
}

/// Has so many threads begin at the same moment, each with its number and a session of its own.
fn at_once(bench: &Bench, threads: usize, visit: impl Fn(TokenId, &mut Session) + Sync) {
    let together = Barrier::new(threads);
    std::thread::scope(|scope| {
        for number in 0..threads as TokenId {
            let (visit, together) = (&visit, &together);
            scope.spawn(move || {
                let mut session = Session::new(&bench.generator).unwrap();
                together.wait();
                visit(number, &mut session);
            });
        }
    });
}

/// An answer of that many tokens, whatever they are.
fn whole(tokens: usize) -> RequestOptions {
    RequestOptions { ignore_eos: true, ..request(tokens) }
}

/// Expected tokens of a whole answer.
fn right(prompt: &[TokenId], tokens: usize) -> Vec<TokenId> {
    expected(&arbitrary_model(), prompt, tokens, &SamplingOptions::default(), &[]).0
}

#[test]
fn sessions_at_once_share_their_steps() {
    let bench = slow(2000);
    let (threads, tokens) = (4, 20);
    at_once(&bench, threads, |number, session| {
        outcome(session.complete(&[number + 1, 2], &whole(tokens)).unwrap()).unwrap();
    });
    let (steps, alone) = (bench.control.steps(), threads * tokens);
    assert!(2 * steps < alone, "{steps} steps for {threads} sessions of {tokens}");
}

#[test]
fn whoever_is_cancelled_goes_and_the_others_are_answered() {
    let bench = slow(3000);
    let tokens = 12;
    at_once(&bench, 4, |number, session| {
        let (cancel, prompt) = (session.cancel_handle(), [number + 1, 2]);
        std::thread::scope(|inner| {
            if number == 0 {
                inner.spawn(move || {
                    std::thread::sleep(Duration::from_millis(25));
                    cancel.cancel();
                });
            }
            let found = outcome(session.complete(&prompt, &whole(tokens)).unwrap()).unwrap();
            let wanted = if number == 0 { FinishReason::Cancelled } else { FinishReason::Length };
            assert_eq!(found.finish, wanted, "{number}");
            assert!(right(&prompt, tokens).starts_with(&found.tokens), "{number}");
        });
    });
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn what_one_sequence_does_wrong_is_its_own_error() {
    let bench = slow(2000);
    at_once(&bench, 4, |number, session| {
        // A token that the model does not have, of the last one alone.
        let prompt = [number + 1, 3, 3, if number == 0 { 99 } else { 2 }];
        let found = session.complete(&prompt, &whole(8)).and_then(outcome);
        match number {
            0 => assert!(matches!(found, Err(GenerateError::Engine(_))), "{found:?}"),
            _ => assert_eq!(found.unwrap().tokens, right(&prompt, 8)),
        }
    });
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn an_engine_that_fails_once_fails_nobody_who_shares_a_step() {
    let bench = slow(2000);
    bench.control.fail_at(9);
    let failures = AtomicUsize::new(0);
    at_once(&bench, 3, |number, session| {
        let found = outcome(session.complete(&[number + 1, 2], &whole(12)).unwrap());
        failures.fetch_add(usize::from(found.is_err()), Ordering::SeqCst);
    });
    assert!(failures.into_inner() <= 1, "at most the one that was alone in its step");
}
