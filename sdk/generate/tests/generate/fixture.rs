//! Models whose answers can be worked out by hand, and a generator over them.

use kinglet_engine::fake::{FakeControl, FakeModel};
use kinglet_engine::{Model, RunnerOptions};
use kinglet_generate::{
    CancelToken, Event, GenerateError, Generation, Generator, GeneratorOptions, History, Outcome, RequestOptions, Sampler,
    SamplingOptions, TokenId,
};
use std::sync::Arc;

pub(crate) const VOCAB: usize = 12;
pub(crate) const EOS: TokenId = 0;

/// Every continuation has its own arbitrary logits in -4..4; the end token comes up now and then.
pub(crate) fn arbitrary_model() -> FakeModel {
    FakeModel::new(VOCAB, 4096, |tokens| (0..VOCAB as u32).map(|token| arbitrary_logit(tokens, token)).collect())
}

fn arbitrary_logit(tokens: &[TokenId], token: TokenId) -> f32 {
    let mix = |hash: u64, value: u32| (hash ^ u64::from(value + 1)).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29);
    let hash = mix(tokens.iter().fold(17, |hash, &t| mix(hash, t)), token).wrapping_mul(0xD134_2543_DE82_EF95);
    (hash >> 40) as f32 / (1u32 << 24) as f32 * 8.0 - 4.0
}

/// A generator over `model`, its steering handle, and the model as the oracle.
pub(crate) struct Bench {
    pub(crate) generator: Generator,
    pub(crate) control: Arc<FakeControl>,
    pub(crate) model: FakeModel,
}

pub(crate) fn bench(model: FakeModel, runner: RunnerOptions, options: GeneratorOptions) -> Bench {
    let generator = Generator::new(model.runner(&runner).unwrap(), options).unwrap();
    Bench { generator, control: model.control(), model }
}

/// Room for eight sequences of 64, prompts in chunks of 3, and [`EOS`].
pub(crate) fn arbitrary() -> Bench {
    bench(arbitrary_model(), runner_options(64, 8), generator_options())
}

pub(crate) fn runner_options(context: usize, sequences: usize) -> RunnerOptions {
    RunnerOptions { context, sequences, ..Default::default() }
}

pub(crate) fn generator_options() -> GeneratorOptions {
    GeneratorOptions { prefill_chunk: 3, eos: vec![EOS], ..Default::default() }
}

pub(crate) fn request(max_new_tokens: usize) -> RequestOptions {
    RequestOptions { max_new_tokens, ..Default::default() }
}

pub(crate) fn warm(seed: u64) -> SamplingOptions {
    SamplingOptions { temperature: 0.9, top_k: 6, repetition_penalty: 1.1, seed: Some(seed), ..Default::default() }
}

/// Expected reply of a request: sampled from the model's function alone, without runner, cache or chunks. The tokens without
/// the end token, and whether there was one.
pub(crate) fn expected(
    model: &FakeModel,
    prompt: &[TokenId],
    max_new_tokens: usize,
    sampling: &SamplingOptions,
    ends: &[TokenId],
) -> (Vec<TokenId>, bool) {
    let mut sampler = Sampler::new(sampling, &[], 0).unwrap();
    let mut sequence = prompt.to_vec();
    for _ in 0..max_new_tokens {
        let (given, reply) = sequence.split_at(prompt.len());
        let token = sampler.sample(&model.logits(&sequence), History { prompt: given, reply }).unwrap();
        if ends.contains(&token) {
            return (sequence.split_off(prompt.len()), true);
        }
        sequence.push(token);
    }
    (sequence.split_off(prompt.len()), false)
}

/// Pulls until the end.
pub(crate) fn outcome(generation: Generation<'_>) -> Result<Outcome, GenerateError> {
    let mut done = None;
    for event in generation {
        if let Event::Done(outcome) = event? {
            done = Some(outcome);
        }
    }
    Ok(done.expect("a generation ends with its outcome"))
}

/// `log_softmax(logits)[token]` by the definition, in f64.
pub(crate) fn logprob(logits: &[f32], token: TokenId) -> f64 {
    f64::from(logits[token as usize]) - logits.iter().map(|&l| f64::from(l).exp()).sum::<f64>().ln()
}

pub(crate) fn never() -> CancelToken {
    CancelToken::default()
}
