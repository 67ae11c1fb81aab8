//! Prefixes that are pooled, saved and restored: what they spare, and that nothing else changes.

use crate::fixture::*;
use kinglet_engine::{EngineError, SavedCacheError};
use kinglet_generate::*;

const PREFIX: [TokenId; 5] = [3, 1, 4, 1, 5];

fn compute(bench: &Bench, tokens: &[TokenId]) -> Prefix {
    Prefix::compute(&bench.generator, tokens, &never()).unwrap()
}

fn saved(bench: &Bench, tokens: &[TokenId]) -> Vec<u8> {
    let mut bytes = vec![];
    compute(bench, tokens).save(&mut bytes).unwrap();
    bytes
}

/// The outcome of a request in a new session.
fn ask(bench: &Bench, prompt: &[TokenId]) -> Outcome {
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(prompt, &RequestOptions { sampling: warm(5), ..request(12) }).unwrap()).unwrap()
}

#[test]
fn a_restored_beginning_spares_its_tokens_and_changes_no_answer() {
    let (first, second) = (arbitrary(), arbitrary());
    let bytes = saved(&first, &PREFIX);
    let restored = Prefix::restore(&second.generator, &PREFIX, &mut bytes.as_slice()).unwrap();
    second.generator.add_prefix(&restored).unwrap();
    drop(restored);
    for (prompt, spared) in
        [(&[3, 1, 4, 1, 5, 9, 2][..], 5), (&[3, 1, 4, 1, 5], 4), (&[3, 1, 4, 7], 3), (&[3], 0), (&[8, 1, 4, 1, 5], 0)]
    {
        let before = second.control.tokens();
        let (fresh, found) = (ask(&first, prompt), ask(&second, prompt));
        assert_eq!((&found.tokens, &found.finish), (&fresh.tokens, &fresh.finish), "{prompt:?}");
        assert_eq!((fresh.usage.cached_tokens, found.usage.cached_tokens), (0, spared), "{prompt:?}");
        let fed = prompt.len() - spared + found.usage.new_tokens - 1;
        assert_eq!(second.control.tokens() - before, fed, "{prompt:?}");
    }
}

#[test]
fn candidates_and_scores_go_on_from_a_kept_beginning() {
    let (first, second) = (arbitrary(), arbitrary());
    second.generator.add_prefix(&compute(&second, &PREFIX)).unwrap();
    let prompt = [3, 1, 4, 1, 5, 9];
    let options = CandidateOptions { max_new_tokens: 6, sampling: warm(3), ..Default::default() };
    let found = |bench: &Bench| candidates(&bench.generator, &prompt, &options, &never()).unwrap();
    let (fresh, kept) = (found(&first), found(&second));
    assert_eq!(kept.candidates, fresh.candidates);
    assert_eq!((fresh.usage.cached_tokens, kept.usage.cached_tokens), (0, 5));
    let scores = |bench: &Bench| score(&bench.generator, &prompt, &[vec![1, 2], vec![7]], &never()).unwrap();
    assert_eq!(scores(&second), scores(&first));
}

#[test]
fn a_session_keeps_its_own_where_that_is_more() {
    let bench = arbitrary();
    let mut session = Session::new(&bench.generator).unwrap();
    let first = outcome(session.complete(&[3, 1, 4, 1, 5, 9, 2], &request(2)).unwrap()).unwrap();
    let prefix = session.prefix(5).unwrap().unwrap();
    assert_eq!(prefix.tokens(), PREFIX);
    bench.generator.add_prefix(&prefix).unwrap();
    assert_eq!((bench.generator.kept_tokens(&[3, 1, 7]), bench.generator.kept_tokens(&PREFIX)), (2, 5));
    let next: Vec<_> = [3, 1, 4, 1, 5, 9, 2].into_iter().chain(first.tokens).chain([6]).collect();
    let again = outcome(session.complete(&next, &request(1)).unwrap()).unwrap();
    assert!(again.usage.cached_tokens >= 7, "{:?}", again.usage);
    session.reset().unwrap();
    assert!(session.prefix(5).unwrap().is_none());
    assert_eq!(outcome(session.complete(&[3, 1, 4, 1, 5, 8], &request(1)).unwrap()).unwrap().usage.cached_tokens, 5);
}

#[test]
fn kept_beginnings_give_way_where_there_is_no_room() {
    let bench = bench(arbitrary_model(), runner_options(16, 1), generator_options());
    bench.generator.add_prefix(&compute(&bench, &PREFIX)).unwrap();
    assert!(bench.generator.kv_bytes() > 0);
    let prompt: Vec<TokenId> = (0..14).map(|i| 1 + i % 9).collect();
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&prompt, &request(1)).unwrap()).unwrap();
    assert_eq!(bench.generator.kept_tokens(&PREFIX), 0);
    let full = Session::new(&bench.generator).unwrap().complete(&prompt, &request(1)).unwrap().last().unwrap();
    assert!(matches!(full, Err(GenerateError::Engine(EngineError::CacheFull { .. }))), "nothing is left to give way");
}

#[test]
fn what_is_not_as_it_was_saved_is_refused_and_leaves_nothing() {
    let bench = arbitrary();
    let bytes = saved(&bench, &PREFIX);
    let restore = |tokens: &[TokenId], bytes: &[u8]| match Prefix::restore(&bench.generator, tokens, &mut &*bytes) {
        Err(GenerateError::Engine(EngineError::SavedCache(error))) => error,
        other => panic!("{other:?}"),
    };
    assert_eq!(restore(&PREFIX[..4], &bytes), SavedCacheError::BadLength(5));
    assert_eq!(restore(&PREFIX, &bytes[..bytes.len() - 1]), SavedCacheError::Truncated);
    assert_eq!(restore(&PREFIX, b"no cache at all, not even half of one"), SavedCacheError::NoSavedCache);
    assert_eq!(bench.generator.kv_bytes(), 0);
    assert!(Prefix::restore(&bench.generator, &PREFIX, &mut bytes.as_slice()).is_ok(), "the same bytes, untouched");
}
