//! Scores and raw logits against the model's function, in any room, through any trouble.

use crate::fixture::*;
use kinglet_engine::fake::FakeModel;
use kinglet_engine::{CancelToken, EngineError, Model, RunnerOptions};
use kinglet_generate::*;
use proptest::prelude::*;

const PROMPT: [TokenId; 4] = [3, 1, 4, 1];

fn continuations() -> Vec<Vec<TokenId>> {
    vec![vec![5, 9, 2, 6, 5], vec![], vec![7], vec![5, 9, 0], (1..9).chain(1..9).collect(), vec![5, 9, 2, 6, 5]]
}

/// The sum of log-probabilities by the chain rule.
fn by_hand(model: &FakeModel, prompt: &[TokenId], continuation: &[TokenId]) -> Vec<f64> {
    let after = |n: usize| model.logits(&[prompt, &continuation[..n]].concat());
    continuation.iter().enumerate().map(|(n, &token)| logprob(&after(n), token)).collect()
}

fn right(model: &FakeModel, prompt: &[TokenId], continuations: &[Vec<TokenId>], scores: &[Score]) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
    scores.len() == continuations.len()
        && scores.iter().zip(continuations).all(|(score, tokens)| {
            let expected = by_hand(model, prompt, tokens);
            score.tokens == tokens.len()
                && score.token_logprobs.len() == tokens.len()
                && score.token_logprobs.iter().zip(&expected).all(|(a, b)| close(*a, *b))
                && close(score.logprob, expected.iter().sum())
        })
}

#[test]
fn the_comparison_notices_a_difference() {
    let bench = arbitrary();
    let scores = score(&bench.generator, &PROMPT, &continuations(), &never()).unwrap();
    assert!(right(&bench.model, &PROMPT, &continuations(), &scores));
    let mut other = scores.clone();
    other.swap(0, 3);
    assert!(!right(&bench.model, &PROMPT, &continuations(), &other));
    other = scores;
    other[4].logprob += 1e-4;
    assert!(!right(&bench.model, &PROMPT, &continuations(), &other));
}

#[test]
fn scores_are_sums_of_log_probabilities() {
    let bench = arbitrary();
    let scores = score(&bench.generator, &PROMPT, &continuations(), &never()).unwrap();
    assert!(right(&bench.model, &PROMPT, &continuations(), &scores), "{scores:?}");
    assert_eq!((scores[1].logprob, scores[1].tokens), (0.0, 0));
    assert_eq!(scores[0], scores[5]);
    let fed: usize = continuations().iter().map(|c| c.len().saturating_sub(1)).sum();
    assert_eq!(bench.control.tokens(), PROMPT.len() + fed, "the prompt and each continuation but its last token, once");
    assert_eq!((bench.control.steps(), bench.generator.kv_bytes()), (2 + 1, 0));
}

#[test]
fn impossible_tokens_have_no_probability_and_suppressed_ones_keep_theirs() {
    let model = FakeModel::new(4, 64, |_| vec![0.0, 0.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    let options = GeneratorOptions { suppress: vec![1], ..Default::default() };
    let bench = bench(model, runner_options(64, 1), options);
    let scores = score(&bench.generator, &[0], &[vec![1, 0], vec![1, 2]], &never()).unwrap();
    assert!((scores[0].logprob - 2.0 * 0.5f64.ln()).abs() < 1e-6);
    assert_eq!(scores[1].logprob, f64::NEG_INFINITY);
}

#[test]
fn logits_that_are_no_numbers_are_no_score() {
    for at in [1, 2] {
        let model = FakeModel::new(4, 64, move |tokens| vec![if tokens.len() == at { f32::NAN } else { 0.0 }; 4]);
        let bench = bench(model, runner_options(64, 1), GeneratorOptions::default());
        let error = score(&bench.generator, &[0], &[vec![1, 2], vec![3, 2]], &never()).unwrap_err();
        assert!(matches!(error, GenerateError::BadLogits { .. }), "{error}");
        assert_eq!(bench.generator.kv_bytes(), 0);
    }
}

#[test]
fn failures_and_cancellations_release_every_cache() {
    let small = || bench(arbitrary_model(), runner_options(64, 8), GeneratorOptions { batch_rows: 6, ..generator_options() });
    let undisturbed = small();
    score(&undisturbed.generator, &PROMPT, &continuations(), &never()).unwrap();
    assert!(undisturbed.control.steps() > 5, "long continuations take several steps");
    for step in 0..undisturbed.control.steps() {
        let bench = small();
        bench.control.fail_at(step);
        let error = score(&bench.generator, &PROMPT, &continuations(), &never()).unwrap_err();
        assert!(matches!(error, GenerateError::Engine(EngineError::Backend { .. })), "{step}: {error}");
        assert_eq!(bench.generator.kv_bytes(), 0, "failed at {step}");

        let (bench, token) = (small(), CancelToken::default());
        bench.control.cancel_at(step, token.clone());
        let error = score(&bench.generator, &PROMPT, &continuations(), &token).unwrap_err();
        assert!(matches!(error, GenerateError::Cancelled), "{step}: {error}");
        assert_eq!((bench.generator.kv_bytes(), bench.control.steps()), (0, step + 1), "cancelled at {step}");
    }
}

#[test]
fn what_does_not_fit_is_refused_by_type() {
    let bench = bench(arbitrary_model(), runner_options(8, 1), generator_options());
    let refuse = |prompt: &[TokenId], continuation: &[TokenId]| {
        score(&bench.generator, prompt, &[vec![1], continuation.to_vec()], &never()).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refuse(&[], &[1]), GenerateError::EmptyPrompt));
    assert!(matches!(refuse(&[1; 9], &[]), GenerateError::PromptTooLong { tokens: 9, context: 8 }));
    assert!(matches!(refuse(&PROMPT, &[1; 6]), GenerateError::PromptTooLong { tokens: 9, context: 8 }));
    assert!(score(&bench.generator, &PROMPT, &[vec![1; 5]], &never()).is_ok(), "the last token needs no position");
    let stranger = refuse(&PROMPT, &[12]);
    assert!(matches!(stranger, GenerateError::Engine(EngineError::TokenOutOfRange { token: 12, vocab: VOCAB })));
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&[1; 3], &request(0)).unwrap()).unwrap();
    let full = refuse(&PROMPT, &[1, 2, 3]);
    assert!(matches!(full, GenerateError::Engine(EngineError::CacheFull { .. })), "{full}");
}

#[test]
fn last_logits_are_the_models_and_share_what_prompts_share() {
    let bench = arbitrary();
    let prompts = vec![vec![1, 2, 3, 4, 5], vec![1, 2, 3, 9], vec![1, 2, 3, 4, 5, 6, 7, 8, 9, 10], vec![1, 2, 3]];
    let rows: Vec<Vec<f32>> = prompts.iter().map(|prompt| bench.model.logits(prompt)).collect();
    let found = last_logits(&bench.generator, &prompts, Columns::All, &never()).unwrap();
    assert_eq!(found, rows);
    let lengths: usize = prompts.iter().map(Vec::len).sum();
    assert_eq!(bench.control.tokens(), lengths - 3 * 2, "two tokens begin all prompts and leave each one of its own");
    let some: Vec<Vec<f32>> = rows.iter().map(|row| row[2..5].to_vec()).collect();
    assert_eq!(last_logits(&bench.generator, &prompts, Columns::Range(2..5), &never()).unwrap(), some);
    let picked: Vec<Vec<f32>> = rows.iter().map(|row| vec![row[7], row[0]]).collect();
    assert_eq!(last_logits(&bench.generator, &prompts, Columns::Ids(&[7, 0]), &never()).unwrap(), picked);
    assert_eq!(last_logits(&bench.generator, &prompts[..1], Columns::All, &never()).unwrap(), rows[..1]);
    assert!(last_logits(&bench.generator, &[], Columns::All, &never()).unwrap().is_empty());
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn columns_outside_the_vocabulary_are_refused() {
    let bench = arbitrary();
    #[expect(clippy::reversed_empty_ranges, reason = "what is refused here")]
    for columns in [Columns::Range(3..13), Columns::Range(5..3)] {
        let error = last_logits(&bench.generator, &[vec![1]], columns, &never()).unwrap_err();
        assert!(matches!(error, GenerateError::InvalidOptions(OptionError { field: "columns", .. })), "{error}");
    }
    let error = last_logits(&bench.generator, &[vec![1]], Columns::Ids(&[3, 12]), &never()).unwrap_err();
    assert!(matches!(error, GenerateError::Engine(EngineError::TokenOutOfRange { token: 12, .. })), "{error}");
    assert!(matches!(last_logits(&bench.generator, &[vec![]], Columns::All, &never()), Err(GenerateError::EmptyPrompt)));
}

#[test]
fn all_logits_are_those_of_every_position() {
    for batch_rows in [1, 3, 512] {
        let bench = bench(arbitrary_model(), runner_options(64, 1), GeneratorOptions { batch_rows, ..generator_options() });
        let tokens = [5, 3, 5, 8, 9, 7, 9];
        let expected: Vec<f32> = (1..=tokens.len()).flat_map(|n| bench.model.logits(&tokens[..n])).collect();
        assert_eq!(all_logits(&bench.generator, &tokens, &never()).unwrap(), expected);
        for read in [0, 1, 4, 7, 9] {
            assert_eq!(stepped_logits(&bench.generator, &tokens, read, &never()).unwrap(), expected, "{read}");
        }
        assert_eq!(bench.generator.kv_bytes(), 0);
    }
}

fn tokens(min: usize, max: usize) -> impl Strategy<Value = Vec<TokenId>> {
    prop::collection::vec(0..VOCAB as TokenId, min..max)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever the batches and the arena: the same scores. An arena with room for one sequence is enough.
    #[test]
    fn scores_do_not_depend_on_batches_and_room(
        prompt in tokens(1, 12),
        continuations in prop::collection::vec(tokens(0, 9), 0..12),
        batch_rows in 1usize..40,
        prefill_chunk in 1usize..9,
        sequences in 1usize..6,
    ) {
        let options = GeneratorOptions { batch_rows, prefill_chunk, ..Default::default() };
        let bench = bench(arbitrary_model(), runner_options(20, sequences), options);
        let scores = score(&bench.generator, &prompt, &continuations, &never()).unwrap();
        prop_assert!(right(&bench.model, &prompt, &continuations, &scores));
        prop_assert_eq!(bench.generator.kv_bytes(), 0);
    }

    #[test]
    fn last_logits_do_not_depend_on_batches_and_room(
        prefix in tokens(0, 5),
        ends in prop::collection::vec(tokens(1, 12), 0..12),
        batch_rows in 1usize..40,
        sequences in 1usize..6,
    ) {
        let options = GeneratorOptions { batch_rows, ..Default::default() };
        let bench = bench(arbitrary_model(), runner_options(17, sequences), options);
        let prompts: Vec<_> = ends.iter().map(|end| [&prefix[..], end].concat()).collect();
        let expected: Vec<_> = prompts.iter().map(|prompt| bench.model.logits(prompt)).collect();
        prop_assert_eq!(last_logits(&bench.generator, &prompts, Columns::All, &never()).unwrap(), expected);
        prop_assert_eq!(bench.generator.kv_bytes(), 0);
    }
}

#[test]
fn outputs_that_are_no_text_are_left_out_of_distributions() {
    // Logits 0, ln 3, and two outputs that would take nearly all of the probability.
    let model = FakeModel::new(4, 64, |_| vec![0.0, 3f32.ln(), 50.0, 60.0]);
    let runner = model.runner(&RunnerOptions::default()).unwrap();
    let options = GeneratorOptions { text_vocab: Some(2), ..GeneratorOptions::default() };
    let generator = Generator::new(runner, options).unwrap();
    let none = CancelToken::default();
    let scores = score(&generator, &[0], &[vec![1], vec![0, 1]], &none).unwrap();
    assert!((scores[0].logprob - 0.75f64.ln()).abs() < 1e-6, "{scores:?}");
    assert!((scores[1].logprob - (0.25f64 * 0.75).ln()).abs() < 1e-6, "{scores:?}");
    assert!(score(&generator, &[0], &[vec![2]], &none).is_err(), "an output that is no text cannot be scored as text");
    let greedy = CandidateOptions { count: 1, max_new_tokens: 3, ..CandidateOptions::default() };
    assert_eq!(candidates(&generator, &[0], &greedy, &none).unwrap().candidates[0].tokens, [1, 1, 1]);
    let none_left = GeneratorOptions { text_vocab: Some(0), ..GeneratorOptions::default() };
    assert!(Generator::new(model.runner(&RunnerOptions::default()).unwrap(), none_left).is_err());
}
