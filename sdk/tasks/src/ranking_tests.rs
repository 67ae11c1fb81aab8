use super::*;
use crate::fixture::{
    AGENT, BEGIN, Bench, END, FIRST_RANK, PLAIN, RANKING, REPLY, SPEAKERS, bench, rank_logits, replying, tokens,
};
use kinglet_generate::log_sum_exp;

const REPLIES: &[(&str, f32)] = &[("The bus is late.", 1.0), ("A coffee, sure.", 0.5), ("Hello!", 2.0)];

fn talk(text: &str) -> Conversation {
    Conversation::parse(text).unwrap()
}

/// The log-probability of `reply` and its end after `prompt`, worked out from the model's function.
fn logprob(bench: &Bench, prompt: &[TokenId], reply: &str, text_tokens: usize) -> f64 {
    let mut so_far = prompt.to_vec();
    let mut sum = 0.0;
    for token in tokens(reply).into_iter().chain([END]) {
        let row = &bench.fake.logits(&so_far)[..text_tokens];
        sum += f64::from(row[token as usize]) - log_sum_exp(row);
        so_far.push(token);
    }
    sum
}

fn cosine(a: [f32; 4], b: [f32; 4]) -> f64 {
    let dot = |x: [f32; 4], y: [f32; 4]| (0..4).map(|i| f64::from(x[i]) * f64::from(y[i])).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn the_trained_score_is_the_recipes_formula() {
    let bench = bench(replying(REPLIES), SPEAKERS, RANKING, 256);
    let ranker = ReplyRanker::new(bench.model.clone());
    let candidates = ["The bus is late.", "A coffee, sure.", "Hello!"];
    let scores = ranker.score(&talk("Where is the bus?"), &candidates, &CancelToken::default()).unwrap();
    let prompt = tokens("<|begin|><|customer|>Where is the bus?<|end|><|agent|>");
    for (index, (text, found)) in candidates.iter().zip(&scores).enumerate() {
        let after = logprob(&bench, &prompt, text, FIRST_RANK as usize);
        let prior = logprob(&bench, &[BEGIN, AGENT], text, FIRST_RANK as usize);
        let alone: Vec<TokenId> = [REPLY].into_iter().chain(tokens(text)).chain([END]).collect();
        let cosine = cosine(rank_logits(&prompt), rank_logits(&alone));
        let expected = cosine / 0.5 + 0.25 * (after - prior) / (text.len() + 1) as f64;
        assert_eq!((found.index, found.tokens), (index, text.len() + 1));
        assert!((found.logprob - after).abs() < 1e-6, "{text}: {} {after}", found.logprob);
        assert!((f64::from(found.score) - expected).abs() < 1e-5, "{text}: {} {expected}", found.score);
    }
    assert!(scores[0].score > scores[1].score, "the bus fits the question about the bus");
}

#[test]
fn a_table_of_ngrams_counts_as_the_model_says() {
    let blended = RANKING.replace(r#""lm_weight""#, r#""blend": {"network": 0.5, "words": 2, "shared": 3}, "lm_weight""#);
    let table = || DualEncoder::read(dual_encoder::tests::file()).unwrap();
    let candidates = ["tea", "please"];
    let (asked, none) = (talk("Tea"), CancelToken::default());
    let by_words = table().scores(&asked.turn_taking(), &candidates);
    assert!(by_words.iter().any(|said| said.vectors != 0.0) && by_words.iter().any(|said| said.shared != 0.0), "{by_words:?}");
    let blended = ReplyRanker::new(bench(replying(REPLIES), SPEAKERS, &blended, 256).model);
    assert!(blended.wants_words());
    let without = blended.score(&asked, &candidates, &none).unwrap();
    blended.set_words(table());
    assert!(!blended.wants_words());
    let with = blended.score(&asked, &candidates, &none).unwrap();
    let plain = ReplyRanker::new(bench(replying(REPLIES), SPEAKERS, RANKING, 256).model);
    assert!(!plain.wants_words());
    let prompt = tokens("<|begin|><|customer|>Tea<|end|><|agent|>");
    for (index, text) in candidates.iter().enumerate() {
        let alone: Vec<TokenId> = [REPLY].into_iter().chain(tokens(text)).chain([END]).collect();
        let of_network = cosine(rank_logits(&prompt), rank_logits(&alone)) / 0.5;
        let said = by_words[index];
        let gained = -0.5 * of_network + 2.0 * f64::from(said.vectors) + 3.0 * f64::from(said.shared);
        let found = f64::from(with[index].score - without[index].score);
        assert!((found - gained).abs() < 1e-4, "{text}: {found} {gained}");
    }
}

#[test]
fn rank_tokens_take_no_probability_from_text() {
    let ranked = bench(replying(REPLIES), SPEAKERS, RANKING, 256);
    let whole = bench(replying(REPLIES), SPEAKERS, PLAIN, 256);
    let score = |bench: &Bench| {
        let ranker = ReplyRanker::new(bench.model.clone());
        ranker.score(&talk("Where is the bus?"), &["Hello!"], &CancelToken::default()).unwrap()[0].logprob
    };
    assert!(score(&ranked) > -5.0 && score(&whole) < -50.0, "{} {}", score(&ranked), score(&whole));
}

#[test]
fn the_plain_score_takes_prior_and_length_out() {
    // A model that prefers what the prompt spoke of: the prior differs from the likelihood.
    let fake = kinglet_engine::fake::FakeModel::new(crate::fixture::VOCAB, 4096, |tokens| {
        let mut row = vec![0.0; crate::fixture::VOCAB];
        tokens.iter().for_each(|&t| row[t as usize] = 2.0);
        row
    });
    let bench = bench(fake, SPEAKERS, PLAIN, 256);
    let ranker = ReplyRanker::new(bench.model.clone());
    let candidates = ["bus", "xyzzy", "b"];
    let scores = ranker.score(&talk("bus"), &candidates, &CancelToken::default()).unwrap();
    let prompt = tokens("<|begin|><|customer|>bus<|end|><|agent|>");
    for (text, found) in candidates.iter().zip(&scores) {
        let gain =
            logprob(&bench, &prompt, text, crate::fixture::VOCAB) - logprob(&bench, &[BEGIN, AGENT], text, crate::fixture::VOCAB);
        let expected = gain / ((text.len() + 1) as f64).sqrt();
        assert!((f64::from(found.score) - expected).abs() < 1e-5, "{text}: {} {expected}", found.score);
    }
    assert!(scores[0].score > scores[1].score);
}

#[test]
fn a_raw_prompt_that_opens_a_reply_scores_like_the_conversation() {
    let bench = bench(replying(REPLIES), SPEAKERS, RANKING, 256);
    let ranker = ReplyRanker::new(bench.model.clone());
    let candidates = ["The bus is late.", "A coffee, sure."];
    let none = CancelToken::default();
    let conversation = ranker.score(&talk("agent: Where is the bus?"), &candidates, &none).unwrap();
    let raw = ranker.score_prompt("<|begin|><|agent|>Where is the bus?<|end|><|customer|>", &candidates, &none).unwrap();
    assert_eq!(raw, conversation);
    let plain = ranker.score_prompt("Where is the bus", &["?", ""], &none).unwrap();
    assert_eq!((plain[0].tokens, plain[1].tokens, plain[1].logprob, plain[1].score), (1, 0, 0.0, 0.0));
}

#[test]
fn replies_seen_before_are_not_read_again() {
    let bench = bench(replying(REPLIES), SPEAKERS, RANKING, 256);
    let ranker = ReplyRanker::new(bench.model.clone());
    let candidates = ["The bus is late.", "A coffee, sure."];
    let fed = |text: &str| {
        let before = bench.control.tokens();
        let scores = ranker.score(&talk(text), &candidates, &CancelToken::default()).unwrap();
        (scores, bench.control.tokens() - before)
    };
    let (first, cold) = fed("Where is the bus?");
    let (second, warm) = fed("Where is the bus?");
    assert_eq!(first, second);
    assert!(warm * 3 < cold * 2, "{warm} of {cold} tokens");
    let fresh = ReplyRanker::new(bench.model.clone());
    let other_talk = "Any coffee left?";
    assert_eq!(fed(other_talk).0, fresh.score(&talk(other_talk), &candidates, &CancelToken::default()).unwrap());
}

#[test]
fn scores_do_not_depend_on_company_or_order() {
    let bench = bench(replying(REPLIES), SPEAKERS, RANKING, 256);
    let many: Vec<String> = (0..50).map(|i| format!("Reply number {i} about the {}", ["bus", "film"][i % 2])).collect();
    let score = |texts: &[String]| {
        let ranker = ReplyRanker::new(bench.model.clone());
        ranker.score(&talk("A film?"), texts, &CancelToken::default()).unwrap()
    };
    let together = score(&many);
    for index in [0, 15, 16, 49] {
        let alone = score(&many[index..=index])[0];
        assert_eq!(CandidateScore { index, ..alone }, together[index]);
    }
    assert_eq!(together.iter().map(|s| s.index).collect::<Vec<_>>(), (0..50).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_scored_says_why() {
    let bench = bench(replying(REPLIES), SPEAKERS, RANKING, 64);
    let ranker = ReplyRanker::new(bench.model.clone());
    let none = CancelToken::default();
    assert!(ranker.score::<&str>(&talk("hi"), &[], &none).unwrap().is_empty());
    let long = "x".repeat(40);
    let error = ranker.score(&talk("hi"), &["ok", &long], &none).unwrap_err();
    assert!(matches!(error, TaskError::CandidateTooLong { index: 1, tokens: 40, context: 64 }), "{error}");
    let raised = CancelToken::default();
    raised.cancel();
    assert!(matches!(ranker.score(&talk("hi"), &["ok"], &raised), Err(TaskError::Cancelled)));
    bench.control.fail_at(bench.control.steps());
    assert!(matches!(ranker.score(&talk("hi"), &["ok"], &none), Err(TaskError::Generate(_))));
    assert!(ranker.score(&talk("hi"), &["ok"], &none).is_ok(), "a failure leaves the ranker usable");
}
