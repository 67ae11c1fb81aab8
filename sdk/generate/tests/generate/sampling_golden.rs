//! Sampling against numbers from transformers and from an independent ChaCha (sampling_golden.py).

use kinglet_generate::{History, Sampler, SamplingOptions, TokenId, distribution};
use serde::Deserialize;

#[derive(Deserialize)]
struct Golden {
    sampling: Vec<Case>,
    seeds: Vec<Seed>,
}

#[derive(Deserialize)]
struct Case {
    options: Options,
    suppress: Vec<TokenId>,
    prompt: Vec<TokenId>,
    reply: Vec<TokenId>,
    logits: Vec<f32>,
    kept: Vec<TokenId>,
    probabilities: Vec<f64>,
}

#[derive(Deserialize)]
struct Seed {
    seed: u64,
    stream: u64,
    tokens: Vec<TokenId>,
}

#[derive(Debug, Deserialize)]
struct Options {
    temperature: Option<f32>,
    top_k: Option<usize>,
    top_p: Option<f32>,
    min_p: Option<f32>,
    repetition_penalty: Option<f32>,
}

impl Options {
    fn sampling(&self) -> SamplingOptions {
        let default = SamplingOptions::default();
        SamplingOptions {
            temperature: self.temperature.unwrap_or(1.0),
            top_k: self.top_k.unwrap_or(default.top_k),
            top_p: self.top_p.unwrap_or(default.top_p),
            min_p: self.min_p.unwrap_or(default.min_p),
            repetition_penalty: self.repetition_penalty.unwrap_or(default.repetition_penalty),
            ..default
        }
    }
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("sampling_golden.json")).unwrap()
}

/// Same tokens, and probabilities within what float32 scores allow.
fn agrees(case: &Case, options: &SamplingOptions) -> bool {
    let history = History { prompt: &case.prompt, reply: &case.reply };
    let found = distribution(&case.logits, history, options, &case.suppress).unwrap();
    let ids: Vec<TokenId> = found.iter().map(|(id, _)| *id).collect();
    ids == case.kept && found.iter().zip(&case.probabilities).all(|((_, p), expected)| (p - expected).abs() <= 1e-6 * expected)
}

#[test]
fn distributions_are_those_of_transformers() {
    for case in golden().sampling {
        assert!(agrees(&case, &case.options.sampling()), "{:?}", case.options);
    }
}

#[test]
fn the_comparison_notices_each_option() {
    let golden = golden();
    let case = golden.sampling.iter().find(|case| case.kept.len() == 6 && case.options.min_p.is_some()).unwrap();
    let right = case.options.sampling();
    assert!(agrees(case, &right));
    for wrong in [
        SamplingOptions { temperature: right.temperature * 1.001, ..right.clone() },
        SamplingOptions { top_k: 4, ..right.clone() },
        SamplingOptions { top_p: 0.5, ..right.clone() },
        SamplingOptions { min_p: 0.5, ..right.clone() },
        SamplingOptions { repetition_penalty: 1.16, ..right.clone() },
    ] {
        assert!(!agrees(case, &wrong), "{wrong:?}");
    }
}

#[test]
fn seeds_draw_the_tokens_that_chacha_says() {
    for Seed { seed, stream, tokens } in golden().seeds {
        let options = SamplingOptions { temperature: 1.0, seed: Some(seed), ..Default::default() };
        let mut sampler = Sampler::new(&options, &[], stream).unwrap();
        let drawn: Vec<_> = tokens.iter().map(|_| sampler.sample(&[0.0; 1000], History::default()).unwrap()).collect();
        assert_eq!(drawn, tokens, "seed {seed}, stream {stream}");
    }
}
