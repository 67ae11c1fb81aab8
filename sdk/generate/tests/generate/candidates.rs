//! Candidates against independent runs, in any room, through any trouble.

use crate::fixture::*;
use kinglet_engine::EngineError;
use kinglet_engine::fake::FakeModel;
use kinglet_generate::*;

const PROMPT: [TokenId; 5] = [3, 1, 4, 1, 5];
const END: TokenId = 11;

fn options(count: usize, sampling: SamplingOptions, first_token: FirstToken) -> CandidateOptions {
    CandidateOptions { count, max_new_tokens: 12, sampling, first_token, end_tokens: vec![END] }
}

/// Three ways to choose tokens; the last two end at different lengths.
fn ways() -> [CandidateOptions; 3] {
    [
        options(5, SamplingOptions::default(), FirstToken::Ranked),
        options(6, warm(9), FirstToken::Ranked),
        options(6, warm(3), FirstToken::Sampled),
    ]
}

/// Each candidate by itself, from the model's function alone.
fn independent(model: &FakeModel, options: &CandidateOptions) -> Vec<Candidate> {
    let first = model.logits(&PROMPT);
    let mut ranked: Vec<TokenId> = (0..VOCAB as TokenId).filter(|t| ![EOS, END].contains(t)).collect();
    let penalised = |t: TokenId| {
        let (logit, penalty) = (first[t as usize], options.sampling.repetition_penalty);
        if !PROMPT.contains(&t) {
            logit
        } else if logit < 0.0 {
            logit * penalty
        } else {
            logit / penalty
        }
    };
    ranked.sort_by(|a, b| penalised(*b).total_cmp(&penalised(*a)));
    (0..options.count).map(|i| alone(model, options, i, (options.first_token == FirstToken::Ranked).then(|| ranked[i]))).collect()
}

fn alone(model: &FakeModel, options: &CandidateOptions, index: usize, first: Option<TokenId>) -> Candidate {
    let mut sampler = Sampler::new(&options.sampling, &[], index as u64).unwrap();
    let (mut tokens, mut token_logprobs, mut finish) = (vec![], vec![], FinishReason::Length);
    while tokens.len() < options.max_new_tokens {
        let logits = model.logits(&[&PROMPT[..], &tokens].concat());
        let token = match first.filter(|_| tokens.is_empty()) {
            Some(first) => first,
            None => sampler.sample(&logits, History { prompt: &PROMPT, reply: &tokens }).unwrap(),
        };
        token_logprobs.push(logprob(&logits, token));
        if [EOS, END].contains(&token) {
            finish = FinishReason::EndOfTurn(token);
            break;
        }
        tokens.push(token);
    }
    Candidate { tokens, logprob: token_logprobs.iter().sum(), token_logprobs, finish }
}

fn same(found: &[Candidate], expected: &[Candidate]) -> bool {
    let close = |a: f64, b: f64| (a - b).abs() < 1e-5;
    let logprobs = |a: &Candidate, b: &Candidate| {
        a.token_logprobs.len() == b.token_logprobs.len()
            && a.token_logprobs.iter().zip(&b.token_logprobs).all(|(a, b)| close(*a, *b))
            && close(a.logprob, b.logprob)
    };
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| a.tokens == b.tokens && a.finish == b.finish && logprobs(a, b))
}

#[test]
fn the_comparison_notices_a_difference() {
    let expected = independent(&arbitrary_model(), &ways()[1]);
    assert!(same(&expected, &expected));
    let changes: [fn(&mut Vec<Candidate>); 5] = [
        |c| c.swap(0, 1),
        |c| c[2].logprob += 1e-4,
        |c| c[2].token_logprobs[0] -= 1e-4,
        |c| c[0].finish = FinishReason::ContextFull,
        |c| drop(c.pop()),
    ];
    for change in changes {
        let mut other = expected.clone();
        change(&mut other);
        assert!(!same(&other, &expected));
    }
}

#[test]
fn candidates_are_those_of_independent_runs() {
    for options in ways() {
        let bench = arbitrary();
        let found = candidates(&bench.generator, &PROMPT, &options, &never()).unwrap();
        let expected = independent(&bench.model, &options);
        assert!(same(&found.candidates, &expected), "{options:?}\n{found:?}\n{expected:?}");
        let sampled: usize = expected.iter().map(|c| c.token_logprobs.len()).sum();
        assert_eq!(found.usage, Usage { prompt_tokens: 5, cached_tokens: 0, new_tokens: sampled });
        // The prompt is fed once, and of each candidate all tokens but the one that ended it.
        assert_eq!(bench.control.tokens(), 5 + sampled - expected.len(), "{options:?}");
        let longest = expected.iter().map(|c| c.token_logprobs.len()).max().unwrap();
        assert_eq!(bench.control.steps(), 2 + longest - 1, "one step serves all: {options:?}");
        assert_eq!(bench.generator.kv_bytes(), 0);
    }
}

#[test]
fn the_tokens_of_a_seed_do_not_depend_on_the_count() {
    let bench = arbitrary();
    let three = candidates(&bench.generator, &PROMPT, &options(3, warm(3), FirstToken::Sampled), &never()).unwrap();
    let six = candidates(&bench.generator, &PROMPT, &options(6, warm(3), FirstToken::Sampled), &never()).unwrap();
    assert_eq!((three.candidates[..].to_vec(), three.seed), (six.candidates[..3].to_vec(), 3));
}

/// Shrinks the arena position by position. Whatever fits gives the same; what does not fit is told by type.
#[test]
fn candidates_make_do_with_the_room_there_is() {
    for options in ways() {
        let expected = independent(&arbitrary_model(), &options);
        // A candidate alone holds the prompt and all its tokens but the one that ended it.
        let longest = expected.iter().map(|c| PROMPT.len() + c.token_logprobs.len() - 1).max().unwrap();
        for room in (PROMPT.len()..120).rev() {
            let bench = bench(arbitrary_model(), runner_options(room, 1), generator_options());
            let found = candidates(&bench.generator, &PROMPT, &options, &never());
            match found {
                Ok(found) if room >= longest => assert!(same(&found.candidates, &expected), "{room} {options:?}"),
                // The fake's arena of one sequence is also its context.
                Ok(found) => assert!(found.candidates.iter().any(|c| c.finish == FinishReason::ContextFull), "{room}"),
                Err(error) => panic!("{room}: {error}"),
            }
            assert_eq!(bench.generator.kv_bytes(), 0);
        }
    }
}

/// The same with a session that takes more and more of an arena of 64 positions.
#[test]
fn candidates_make_do_beside_a_session() {
    for options in ways() {
        let expected = independent(&arbitrary_model(), &options);
        let longest = expected.iter().map(|c| PROMPT.len() + c.token_logprobs.len() - 1).max().unwrap();
        for held in 1..=64 - longest {
            let bench = bench(arbitrary_model(), runner_options(64, 1), generator_options());
            let mut session = Session::new(&bench.generator).unwrap();
            outcome(session.complete(&vec![1; held], &request(0)).unwrap()).unwrap();
            let found = candidates(&bench.generator, &PROMPT, &options, &never()).unwrap();
            assert!(same(&found.candidates, &expected), "{held} {options:?}");
            assert_eq!(bench.generator.kv_bytes(), held * size_of::<TokenId>());
        }
    }
}

#[test]
fn without_room_for_one_candidate_the_arena_is_said_to_be_full() {
    let bench = bench(arbitrary_model(), runner_options(24, 1), generator_options());
    let mut session = Session::new(&bench.generator).unwrap();
    outcome(session.complete(&[1; 17], &request(0)).unwrap()).unwrap();
    let error = candidates(&bench.generator, &PROMPT, &ways()[0], &never()).unwrap_err();
    assert!(matches!(error, GenerateError::Engine(EngineError::CacheFull { .. })), "{error}");
    assert_eq!(bench.generator.kv_bytes(), 17 * size_of::<TokenId>(), "the session's cache is all that is left");
    drop(session);
    assert!(candidates(&bench.generator, &PROMPT, &ways()[0], &never()).is_ok());
}

#[test]
fn failures_and_cancellations_release_every_cache() {
    let undisturbed = arbitrary();
    candidates(&undisturbed.generator, &PROMPT, &ways()[1], &never()).unwrap();
    for step in 0..undisturbed.control.steps() {
        let bench = arbitrary();
        bench.control.fail_at(step);
        let error = candidates(&bench.generator, &PROMPT, &ways()[1], &never()).unwrap_err();
        assert!(matches!(error, GenerateError::Engine(EngineError::Backend { .. })), "{step}: {error}");
        assert_eq!(bench.generator.kv_bytes(), 0, "failed at {step}");

        let (bench, token) = (arbitrary(), CancelToken::default());
        bench.control.cancel_at(step, token.clone());
        let error = candidates(&bench.generator, &PROMPT, &ways()[1], &token).unwrap_err();
        assert!(matches!(error, GenerateError::Cancelled), "{step}: {error}");
        assert_eq!((bench.generator.kv_bytes(), bench.control.steps()), (0, step + 1), "cancelled at {step}");
    }
}

#[test]
fn first_tokens_are_distinct_and_end_nothing() {
    let model =
        FakeModel::new(
            4,
            64,
            |tokens| if tokens.len() == 1 { vec![9.0, 8.0, 7.0, f32::NEG_INFINITY] } else { vec![9.0, 0.0, 0.0, 0.0] },
        );
    let bench = bench(model, runner_options(64, 8), GeneratorOptions { eos: vec![0], ..Default::default() });
    let greedy = |end_tokens: Vec<TokenId>| {
        let options = CandidateOptions { count: 4, end_tokens, ..Default::default() };
        let found = candidates(&bench.generator, &[1], &options, &never()).unwrap();
        found.candidates.into_iter().map(|c| (c.tokens, c.finish)).collect::<Vec<_>>()
    };
    let end = FinishReason::EndOfTurn(0);
    assert_eq!(greedy(vec![]), [(vec![1], end.clone()), (vec![2], end.clone())]);
    assert_eq!(greedy(vec![1]), [(vec![2], end)]);
}

#[test]
fn a_sampled_first_token_may_end_a_candidate() {
    let model = FakeModel::new(3, 64, |_| vec![9.0, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    let bench = bench(model, runner_options(64, 8), GeneratorOptions { eos: vec![0], ..Default::default() });
    let options = CandidateOptions { sampling: warm(1), first_token: FirstToken::Sampled, ..Default::default() };
    let found = candidates(&bench.generator, &[1], &options, &never()).unwrap().candidates;
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|c| c.tokens.is_empty() && c.logprob == 0.0 && c.finish == FinishReason::EndOfTurn(0)));
}

#[test]
fn candidates_end_at_the_context() {
    let bench = bench(FakeModel::scripted(VOCAB, 5, vec![7; 50], EOS), runner_options(8, 4), generator_options());
    let options = CandidateOptions { count: 2, ..Default::default() };
    let found = candidates(&bench.generator, &PROMPT, &options, &never()).unwrap().candidates;
    // 5 prompt tokens and 3 of the reply fill 8 positions; a fourth is sampled and not fed.
    assert!(found.iter().all(|c| c.tokens.len() == 4 && c.finish == FinishReason::ContextFull), "{found:?}");
}

#[test]
fn what_makes_no_sense_is_refused() {
    let bench = arbitrary();
    let refuse = |prompt: &[TokenId], options: CandidateOptions| {
        candidates(&bench.generator, prompt, &options, &never()).map(|_| ()).unwrap_err()
    };
    let field = |error| match error {
        GenerateError::InvalidOptions(error) => error.field,
        other => panic!("{other}"),
    };
    assert_eq!(field(refuse(&PROMPT, CandidateOptions { count: 0, ..Default::default() })), "count");
    assert_eq!(field(refuse(&PROMPT, CandidateOptions { max_new_tokens: 0, ..Default::default() })), "max_new_tokens");
    let alike = CandidateOptions { first_token: FirstToken::Sampled, ..Default::default() };
    assert_eq!(field(refuse(&PROMPT, alike)), "temperature");
    assert!(matches!(refuse(&[], CandidateOptions::default()), GenerateError::EmptyPrompt));
    assert!(matches!(refuse(&[1; 65], CandidateOptions::default()), GenerateError::PromptTooLong { tokens: 65, context: 64 }));
    assert_eq!(bench.control.steps(), 0);
}
