//! Log-likelihoods of replies after a prompt, over the tokens that text can have.

use crate::error::TaskError;
use kinglet_generate::{CancelToken, Columns, Generator, TokenId, last_logits, log_sum_exp, score};
use std::collections::HashMap;

/// Continuations whose logits are held in memory at once.
const GROUP: usize = 16;

/// What reading the continuations of a prompt gave.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    /// The log-probability of each continuation, `[continuations]`.
    pub(crate) logprobs: Vec<f64>,
    /// The logits after the prompt, `[vocab]`; empty if the whole vocabulary is text.
    pub(crate) after_prompt: Vec<f32>,
}

/// The log-probability of each of `continuations`, none of them empty, after `prompt`. With `text_tokens`, the probabilities
/// are those among the first so many tokens of the vocabulary: a model with rank tokens was trained like that, and what it
/// gives the others means nothing.
pub(crate) fn read(
    generator: &Generator,
    prompt: &[TokenId],
    continuations: &[Vec<TokenId>],
    text_tokens: Option<usize>,
    cancel: &CancelToken,
) -> Result<Reading, TaskError> {
    let Some(text_tokens) = text_tokens else {
        let scores = score(generator, prompt, continuations, cancel)?;
        return Ok(Reading { logprobs: scores.into_iter().map(|s| s.logprob).collect(), after_prompt: vec![] });
    };
    let mut reading = Reading::default();
    for group in continuations.chunks(GROUP) {
        let beginnings = Beginnings::of(prompt, group);
        let rows = last_logits(generator, &beginnings.prompts, Columns::All, cancel)?;
        for continuation in group {
            reading.logprobs.push(beginnings.logprob(&rows, continuation, text_tokens));
        }
        reading.after_prompt = rows.into_iter().next().unwrap_or_default();
    }
    Ok(reading)
}

/// All beginnings of some continuations, each once; the empty one is the first.
struct Beginnings<'a> {
    /// Place of each beginning in `prompts`.
    places: HashMap<&'a [TokenId], usize>,
    /// The prompt and one beginning each.
    prompts: Vec<Vec<TokenId>>,
}

impl<'a> Beginnings<'a> {
    fn of(prompt: &[TokenId], continuations: &'a [Vec<TokenId>]) -> Self {
        let mut beginnings = Self { places: HashMap::new(), prompts: vec![] };
        for continuation in continuations {
            for len in 0..continuation.len() {
                let beginning = &continuation[..len];
                beginnings.places.entry(beginning).or_insert_with(|| {
                    beginnings.prompts.push([prompt, beginning].concat());
                    beginnings.prompts.len() - 1
                });
            }
        }
        beginnings
    }

    /// `rows`: the logits after each beginning, `[beginnings][vocab]`.
    fn logprob(&self, rows: &[Vec<f32>], continuation: &[TokenId], text_tokens: usize) -> f64 {
        let token_logprob = |(len, &token): (usize, &TokenId)| {
            let text = &rows[self.places[&continuation[..len]]][..text_tokens];
            text.get(token as usize).map_or(f64::NEG_INFINITY, |&logit| f64::from(logit) - log_sum_exp(text))
        };
        continuation.iter().enumerate().map(token_logprob).sum()
    }
}
