//! A session over the fake engine: what it gives, what it feeds, and how it goes on after trouble.

use crate::fixture::*;
use kinglet_engine::fake::FakeModel;
use kinglet_engine::{CacheId, EngineError, Logits, Model, ModelInfo, Runner, SequenceStep};
use kinglet_generate::*;
use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const PROMPT: [TokenId; 7] = [3, 1, 4, 1, 5, 9, 2];

#[test]
fn events_come_in_order_and_tell_what_was_done() {
    let bench = bench(FakeModel::scripted(VOCAB, 7, vec![5, 6, 7], EOS), runner_options(64, 1), generator_options());
    let mut session = Session::new(&bench.generator).unwrap();
    assert_eq!(session.state(), SessionState::Idle);
    let mut generation = session.complete(&PROMPT, &request(10)).unwrap();
    assert_eq!(generation.state(), SessionState::Prefilling { done: 0, total: 7 });
    for done in [3, 6, 7] {
        assert_eq!(generation.next().unwrap().unwrap(), Event::Prefill { done, total: 7 });
    }
    for (new_tokens, token) in [(1, 5), (2, 6), (3, 7)] {
        assert_eq!(generation.next().unwrap().unwrap(), Event::Token { ids: vec![token], text: String::new() });
        assert_eq!(generation.state(), SessionState::Decoding { new_tokens });
    }
    let Some(Ok(Event::Done(outcome))) = generation.next() else { panic!("the outcome follows the tokens") };
    assert_eq!((outcome.finish, outcome.tokens), (FinishReason::EndOfTurn(EOS), vec![5, 6, 7]));
    assert_eq!(outcome.usage, Usage { prompt_tokens: 7, cached_tokens: 0, new_tokens: 4 });
    assert!(outcome.timing.first_token.unwrap() >= outcome.timing.prefill);
    assert!(generation.next().is_none() && generation.next().is_none());
    drop(generation);
    assert_eq!((session.state(), session.cached_tokens()), (SessionState::Idle, &[3, 1, 4, 1, 5, 9, 2, 5, 6, 7][..]));
}

#[test]
fn replies_are_those_of_the_model_in_chunks_of_any_size() {
    for chunk in [1, 2, 7, 256] {
        for sampling in [SamplingOptions::default(), warm(1), warm(2)] {
            let options = GeneratorOptions { prefill_chunk: chunk, ..generator_options() };
            let bench = bench(arbitrary_model(), runner_options(64, 1), options);
            let mut session = Session::new(&bench.generator).unwrap();
            let request = RequestOptions { sampling: sampling.clone(), ..request(20) };
            let found = outcome(session.complete(&PROMPT, &request).unwrap()).unwrap();
            let (tokens, ended) = expected(&bench.model, &PROMPT, 20, &sampling, &[EOS]);
            assert_eq!((&found.tokens, found.finish == FinishReason::EndOfTurn(EOS)), (&tokens, ended), "{chunk} {sampling:?}");
        }
    }
}

#[test]
fn the_seed_of_an_outcome_gives_it_again() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    let sampling = SamplingOptions { temperature: 2.0, ..Default::default() };
    let drawn = RequestOptions { sampling: sampling.clone(), ignore_eos: true, ..request(20) };
    let first = outcome(session.complete(&PROMPT, &drawn).unwrap()).unwrap();
    let again = RequestOptions { sampling: SamplingOptions { seed: Some(first.seed), ..sampling }, ..drawn.clone() };
    assert_eq!(outcome(session.complete(&PROMPT, &again).unwrap()).unwrap().tokens, first.tokens);
    assert_ne!(outcome(session.complete(&PROMPT, &drawn).unwrap()).unwrap().tokens, first.tokens);
}

#[test]
fn replies_end_where_they_are_told_to() {
    let script = FakeModel::scripted(VOCAB, 2, vec![5, 6], EOS);
    let bench = bench(script, runner_options(8, 1), generator_options());
    let mut session = Session::new(&bench.generator).unwrap();
    let mut finish = |options: &RequestOptions| {
        let outcome = outcome(session.complete(&[1, 2], options).unwrap()).unwrap();
        (outcome.finish, outcome.tokens, outcome.usage.new_tokens)
    };
    assert_eq!(finish(&request(0)), (FinishReason::Length, vec![], 0));
    assert_eq!(finish(&request(1)), (FinishReason::Length, vec![5], 1));
    assert_eq!(finish(&request(2)), (FinishReason::Length, vec![5, 6], 2));
    assert_eq!(finish(&request(3)), (FinishReason::EndOfTurn(EOS), vec![5, 6], 3));
    // The last token sampled needs no position: 2 + 7 - 1 fill the context of 8.
    let on = RequestOptions { ignore_eos: true, ..request(100) };
    assert_eq!(finish(&on), (FinishReason::ContextFull, vec![5, 6, 0, 0, 0, 0, 0], 7));
    let fits = RequestOptions { overflow: ContextOverflow::Refuse, ..request(7) };
    assert_eq!(finish(&fits).1, [5, 6]);
}

#[test]
fn what_cannot_be_done_is_refused_before_any_step() {
    let bench = bench(arbitrary_model(), runner_options(8, 1), generator_options());
    let mut session = Session::new(&bench.generator).unwrap();
    let mut refuse = |tokens: &[TokenId], options: RequestOptions| session.complete(tokens, &options).map(|_| ()).unwrap_err();
    assert!(matches!(refuse(&[], request(1)), GenerateError::EmptyPrompt));
    assert!(matches!(refuse(&[1; 9], request(1)), GenerateError::PromptTooLong { tokens: 9, context: 8 }));
    let strict = RequestOptions { overflow: ContextOverflow::Refuse, ..request(8) };
    let error = refuse(&[1, 2], strict);
    assert!(matches!(error, GenerateError::ReplyTooLong { prompt_tokens: 2, max_new_tokens: 8, context: 8 }), "{error}");
    let bad = RequestOptions { sampling: SamplingOptions { min_p: 2.0, ..Default::default() }, ..request(1) };
    assert!(matches!(refuse(&[1], bad), GenerateError::InvalidOptions(OptionError { field: "min_p", .. })));
    let stop = RequestOptions { stop: vec!["x".into()], ..request(1) };
    assert!(matches!(refuse(&[1], stop), GenerateError::InvalidOptions(OptionError { field: "stop", .. })));
    assert_eq!((bench.control.steps(), session.state()), (0, SessionState::Idle));
    let model = arbitrary_model();
    let chunks = GeneratorOptions { prefill_chunk: 0, ..Default::default() };
    assert!(Generator::new(model.runner(&runner_options(8, 1)).unwrap(), chunks).is_err());
}

#[test]
fn a_token_outside_the_vocabulary_is_the_engines_error_and_harms_nothing() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    let error = outcome(session.complete(&[1, 2, 3, 99], &request(3)).unwrap()).unwrap_err();
    assert!(matches!(error, GenerateError::Engine(EngineError::TokenOutOfRange { token: 99, vocab: VOCAB })));
    let found = outcome(session.complete(&PROMPT, &request(9)).unwrap()).unwrap();
    assert_eq!(found.tokens, expected(&bench.model, &PROMPT, 9, &SamplingOptions::default(), &[EOS]).0);
}

#[test]
fn a_request_feeds_only_what_the_cache_does_not_hold() {
    struct Case {
        name: &'static str,
        then: Vec<TokenId>,
        cached: usize,
    }
    let bench = arbitrary();
    let reply = {
        let mut session = Session::new(&bench.generator).unwrap();
        outcome(session.complete(&PROMPT, &RequestOptions { ignore_eos: true, ..request(4) }).unwrap()).unwrap().tokens
    };
    let with = |tail: &[TokenId]| [&PROMPT[..], &reply, tail].concat();
    let cases = [
        // The last of four tokens was sampled and never fed.
        Case { name: "next turn", then: with(&[8, 8, 8]), cached: 7 + 3 },
        Case { name: "the same sequence", then: with(&[])[..10].to_vec(), cached: 9 },
        Case { name: "the prompt once more", then: PROMPT.to_vec(), cached: 6 },
        Case { name: "a shorter one", then: PROMPT[..3].to_vec(), cached: 2 },
        Case { name: "another end", then: vec![3, 1, 4, 7, 7, 7, 7, 7, 7, 7, 7, 7], cached: 3 },
        Case { name: "another altogether", then: vec![7, 7], cached: 0 },
    ];
    for case in cases {
        let mut session = Session::new(&bench.generator).unwrap();
        outcome(session.complete(&PROMPT, &RequestOptions { ignore_eos: true, ..request(4) }).unwrap()).unwrap();
        let before = bench.control.tokens();
        let found = outcome(session.complete(&case.then, &request(1)).unwrap()).unwrap();
        let usage = Usage { prompt_tokens: case.then.len(), cached_tokens: case.cached, new_tokens: 1 };
        assert_eq!(found.usage, usage, "{}", case.name);
        assert_eq!(bench.control.tokens() - before, case.then.len() - case.cached, "{}", case.name);
        assert_eq!(session.cached_tokens(), case.then, "{}", case.name);
        let (tokens, ended) = expected(&bench.model, &case.then, 1, &SamplingOptions::default(), &[EOS]);
        assert_eq!((found.tokens, found.finish == FinishReason::EndOfTurn(EOS)), (tokens, ended), "{}", case.name);
    }
}

#[test]
fn a_prompt_can_be_read_ahead() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&PROMPT[..5], &request(0)).unwrap()).unwrap();
    assert_eq!(outcome(session.complete(&PROMPT, &request(2)).unwrap()).unwrap().usage.cached_tokens, 5);
}

/// Bytes of the cache are those of the tokens that the session believes to be there.
fn consistent(bench: &Bench, session: &Session) -> bool {
    session.state() == SessionState::Idle && bench.generator.kv_bytes() == size_of_val(session.cached_tokens())
}

#[test]
fn a_session_goes_on_after_a_failure_at_any_step() {
    for sampling in [SamplingOptions::default(), warm(4)] {
        let options = RequestOptions { sampling, ignore_eos: true, ..request(6) };
        let undisturbed = arbitrary();
        let mut session = Session::new(&undisturbed.generator).unwrap();
        let right = outcome(session.complete(&PROMPT, &options).unwrap()).unwrap();
        let steps = undisturbed.control.steps();
        assert_eq!(steps, 3 + 5);
        for step in 0..steps {
            let bench = arbitrary();
            let mut session = Session::new(&bench.generator).unwrap();
            bench.control.fail_at(step);
            let mut generation = session.complete(&PROMPT, &options).unwrap();
            let error = generation.find_map(Result::err).expect("the failure is told");
            assert!(matches!(error, GenerateError::Engine(EngineError::Backend { .. })), "{error}");
            assert!(generation.next().is_none(), "nothing follows an error");
            drop(generation);
            assert!(consistent(&bench, &session), "after failing at step {step}");
            let again = outcome(session.complete(&PROMPT, &options).unwrap()).unwrap();
            assert_eq!(
                (again.tokens, again.finish),
                (right.tokens.clone(), right.finish.clone()),
                "after failing at step {step}"
            );
            assert_eq!(again.usage.cached_tokens, (step * 3).min(6), "what step {step} found is kept");
        }
    }
}

#[test]
fn a_request_can_be_cancelled_during_any_step() {
    let options = RequestOptions { ignore_eos: true, ..request(6) };
    let undisturbed = arbitrary();
    let mut session = Session::new(&undisturbed.generator).unwrap();
    let right = outcome(session.complete(&PROMPT, &options).unwrap()).unwrap().tokens;
    for step in 0..undisturbed.control.steps() {
        let bench = arbitrary();
        let mut session = Session::new(&bench.generator).unwrap();
        bench.control.cancel_at(step, session.cancel_handle());
        let cancelled = outcome(session.complete(&PROMPT, &options).unwrap()).unwrap();
        assert_eq!(cancelled.finish, FinishReason::Cancelled);
        assert_eq!(cancelled.tokens, right[..step.saturating_sub(2)], "cancelled in step {step}");
        assert_eq!(bench.control.steps(), step + 1, "no step follows a cancellation");
        assert!(consistent(&bench, &session), "cancelled in step {step}");
        assert_eq!(outcome(session.complete(&PROMPT, &options).unwrap()).unwrap().tokens, right, "cancelled in step {step}");
    }
}

#[test]
fn a_cancellation_between_pulls_takes_effect_at_the_next_one() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    let handle = session.cancel_handle();
    handle.cancel();
    let options = RequestOptions { ignore_eos: true, ..request(6) };
    let mut generation = session.complete(&PROMPT, &options).unwrap();
    assert!(!handle.is_cancelled(), "raised between requests it has no effect");
    let before_tokens =
        generation.by_ref().take_while(|event| matches!(event, Ok(Event::Prefill { done, .. }) if *done < 7)).count();
    assert_eq!(before_tokens, 2);
    std::thread::scope(|scope| scope.spawn(|| handle.cancel()).join()).unwrap();
    let Some(Ok(Event::Done(outcome))) = generation.next() else { panic!("nothing comes between") };
    assert_eq!((outcome.finish, outcome.tokens.len(), outcome.usage.new_tokens), (FinishReason::Cancelled, 0, 0));
    assert_eq!(outcome.timing.first_token, None);
    assert!(generation.next().is_none());
}

#[test]
fn a_generation_may_be_dropped_after_any_event() {
    let bench = arbitrary();
    let options = RequestOptions { ignore_eos: true, ..request(6) };
    for pulls in 0..9 {
        let mut session = Session::new(&bench.generator).unwrap();
        session.complete(&PROMPT, &options).unwrap().take(pulls).for_each(|event| drop(event.unwrap()));
        assert!(consistent(&bench, &session), "dropped after {pulls}");
        let again = outcome(session.complete(&PROMPT, &options).unwrap()).unwrap();
        let right = expected(&bench.model, &PROMPT, 6, &SamplingOptions::default(), &[]).0;
        assert_eq!(again.tokens, right, "dropped after {pulls}");
    }
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn forks_go_separate_ways() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&PROMPT, &request(0)).unwrap()).unwrap();
    let mut fork = session.fork().unwrap();
    let fed = bench.control.tokens();
    let ways = [[&PROMPT[..], &[4]].concat(), [&PROMPT[..], &[5]].concat()];
    for (session, tokens) in [(&mut session, &ways[0]), (&mut fork, &ways[1])] {
        let found = outcome(session.complete(tokens, &RequestOptions { ignore_eos: true, ..request(5) }).unwrap()).unwrap();
        assert_eq!(found.tokens, expected(&bench.model, tokens, 5, &SamplingOptions::default(), &[]).0);
    }
    assert_eq!(bench.control.tokens() - fed, 2 * (1 + 4));
    session.cancel_handle().cancel();
    assert!(!fork.cancel_handle().is_cancelled());
    drop((session, fork));
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn sessions_on_several_threads_do_not_disturb_each_other() {
    let bench = arbitrary();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let (generator, model) = (bench.generator.clone(), &bench.model);
            scope.spawn(move || {
                let prompt = [seed as TokenId + 1, 2, 3, 4];
                let options = RequestOptions { sampling: warm(seed), ..request(30) };
                let mut session = Session::new(&generator).unwrap();
                for _ in 0..5 {
                    let found = outcome(session.complete(&prompt, &options).unwrap()).unwrap();
                    assert_eq!(found.tokens, expected(model, &prompt, 30, &warm(seed), &[EOS]).0);
                }
            });
        }
    });
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn suppressed_tokens_are_never_sampled() {
    let model = FakeModel::new(4, 64, |_| vec![1.0, 4.0, 3.0, 2.0]);
    let options = GeneratorOptions { suppress: vec![1, 77], eos: vec![3], ..Default::default() };
    let bench = bench(model, runner_options(64, 1), options);
    let mut session = Session::new(&bench.generator).unwrap();
    assert_eq!(outcome(session.complete(&[0], &request(3)).unwrap()).unwrap().tokens, [2, 2, 2]);
}

#[test]
fn logits_that_are_no_numbers_end_the_request_and_not_the_session() {
    let model = FakeModel::new(4, 64, |tokens| if tokens.len() == 4 { vec![f32::NAN; 4] } else { vec![0.0, 1.0, 0.0, 0.0] });
    let bench = bench(model, runner_options(64, 1), GeneratorOptions::default());
    let mut session = Session::new(&bench.generator).unwrap();
    let events: Vec<_> = session.complete(&[2, 2], &request(9)).unwrap().collect();
    assert!(matches!(events.last(), Some(Err(GenerateError::BadLogits { token: 0, .. }))), "{events:?}");
    assert_eq!(events.len(), 1 + 2 + 1);
    assert!(consistent(&bench, &session));
    assert_eq!(outcome(session.complete(&[2, 2], &request(2)).unwrap()).unwrap().tokens, [1, 1]);
}

#[test]
fn a_full_arena_is_told_and_a_later_try_succeeds() {
    let bench = bench(arbitrary_model(), runner_options(10, 1), generator_options());
    let mut first = Session::new(&bench.generator).unwrap();
    outcome(first.complete(&PROMPT, &request(0)).unwrap()).unwrap();
    let mut second = Session::new(&bench.generator).unwrap();
    let error = outcome(second.complete(&PROMPT, &request(1)).unwrap()).unwrap_err();
    assert!(matches!(error, GenerateError::Engine(EngineError::CacheFull { .. })));
    drop(first);
    assert_eq!(outcome(second.complete(&PROMPT, &request(1)).unwrap()).unwrap().usage.cached_tokens, 3);
}

/// A runner that loses its caches when told to: an engine that breaks the contract.
struct Forgetful {
    inner: Box<dyn Runner>,
    lost: Arc<AtomicBool>,
}

impl Runner for Forgetful {
    fn info(&self) -> &ModelInfo {
        self.inner.info()
    }
    fn context(&self) -> usize {
        self.inner.context()
    }
    fn create_cache(&mut self) -> Result<CacheId, EngineError> {
        self.lost.store(false, Ordering::SeqCst);
        self.inner.create_cache()
    }
    fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        self.inner.fork(cache)
    }
    fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        self.inner.truncate(cache, len)
    }
    fn release(&mut self, cache: CacheId) {
        self.inner.release(cache);
    }
    fn cache_len(&self, cache: CacheId) -> Result<usize, EngineError> {
        if self.lost.load(Ordering::SeqCst) { Err(EngineError::UnknownCache(cache)) } else { self.inner.cache_len(cache) }
    }
    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        self.inner.save(cache, len, out)
    }
    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        self.inner.restore(source)
    }
    fn kv_bytes(&self) -> usize {
        self.inner.kv_bytes()
    }
    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError> {
        self.inner.step(sequences, cancel)
    }
}

#[test]
fn a_lost_cache_fails_the_session_until_it_is_reset() {
    let model = arbitrary_model();
    let lost = Arc::new(AtomicBool::new(false));
    let runner = Forgetful { inner: model.runner(&runner_options(64, 1)).unwrap(), lost: lost.clone() };
    let generator = Generator::new(Box::new(runner), generator_options()).unwrap();
    let mut session = Session::new(&generator).unwrap();
    outcome(session.complete(&PROMPT, &request(2)).unwrap()).unwrap();
    lost.store(true, Ordering::SeqCst);
    assert!(matches!(session.complete(&PROMPT, &request(2)), Err(GenerateError::Engine(EngineError::UnknownCache(_)))));
    assert_eq!(session.state(), SessionState::Failed);
    assert!(matches!(session.complete(&PROMPT, &request(2)), Err(GenerateError::SessionFailed)));
    assert!(matches!(session.fork(), Err(GenerateError::SessionFailed)));
    session.reset().unwrap();
    assert_eq!((session.state(), session.cached_tokens().len()), (SessionState::Idle, 0));
    let found = outcome(session.complete(&PROMPT, &request(2)).unwrap()).unwrap();
    assert_eq!(found.tokens, expected(&model, &PROMPT, 2, &SamplingOptions::default(), &[EOS]).0);
    drop(session);
    assert_eq!(generator.kv_bytes(), 0);
}
