//! How likely the model holds given texts, and its raw logits.

use crate::batch_scorer::{BatchScorer, Wanted};
use crate::generator::Generator;
use crate::request::check_prompt;
use crate::softmax::log_normaliser;
use crate::{GenerateError, OptionError, PrefilledPrompt};
use kinglet_engine::{CancelToken, EngineError, LogitsWanted, SequenceStep, TokenId};
use kinglet_guard::room;
use std::ops::Range;

/// The log-likelihood of one continuation.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// The natural logarithm of the continuation's probability after the prompt: the sum of `token_logprobs`. Negative
    /// infinity if the model rules a token out.
    pub logprob: f64,
    /// Tokens of the continuation.
    pub tokens: usize,
    /// The log-probability of each token after those before it, `[tokens]`.
    pub token_logprobs: Vec<f64>,
}

/// The log-likelihood of each of `continuations` after `prompt`, in their order, under the model's own distribution: softmax
/// over all tokens of text, suppressed ones included, at temperature 1. An end token counts if the continuation holds
/// it. An empty continuation has a log-probability of 0.
///
/// The prompt is read once. Continuations share steps and may be more than the arena has room for at once. Each must fit
/// the context together with the prompt; its last token is judged but not fed and needs no position.
///
/// # Errors
/// [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`] (for a prompt, or a prompt and a continuation, that do
/// not fit), [`GenerateError::BadLogits`] and [`GenerateError::NothingToSample`] (the model is broken here),
/// [`GenerateError::Cancelled`], and [`GenerateError::Engine`], of which [`EngineError::CacheFull`] says that a single
/// continuation found no room.
pub fn score(
    generator: &Generator,
    prompt: &[TokenId],
    continuations: &[Vec<TokenId>],
    cancel: &CancelToken,
) -> Result<Vec<Score>, GenerateError> {
    check(generator, prompt.len(), continuations)?;
    score_after(&mut PrefilledPrompt::new(generator, prompt, cancel)?, continuations, cancel)
}

/// As [`score`], after a prompt that was read.
///
/// # Errors
/// As [`score`].
pub fn score_after(
    prompt: &mut PrefilledPrompt,
    continuations: &[Vec<TokenId>],
    cancel: &CancelToken,
) -> Result<Vec<Score>, GenerateError> {
    let (generator, len) = (prompt.generator(), prompt.tokens().len());
    check(generator, len, continuations)?;
    let (base, first_row) = (prompt.cache()?, prompt.logits());
    let first_sum = log_normaliser(generator.text(first_row))?;
    let mut logprobs: Vec<Vec<f64>> = continuations.iter().map(|tokens| vec![0.0; tokens.len()]).collect();
    for (tokens, logprobs) in continuations.iter().zip(&mut logprobs) {
        if let Some(&first) = tokens.first() {
            logprobs[0] = f64::from(first_row[first as usize]) - first_sum;
        }
    }
    let long: Vec<usize> = (0..continuations.len()).filter(|&i| continuations[i].len() > 1).collect();
    let fed: Vec<&[TokenId]> = long.iter().map(|&i| &continuations[i][..continuations[i].len() - 1]).collect();
    BatchScorer::new(base, len, Wanted::All, cancel).run(&fed, &mut |sequence, position, row| {
        let continuation = long[sequence];
        let token = continuations[continuation][position + 1];
        logprobs[continuation][position + 1] = f64::from(row[token as usize]) - log_normaliser(generator.text(row))?;
        Ok(())
    })?;
    Ok(logprobs.into_iter().map(Score::from_logprobs).collect())
}

/// Whether a prompt of `len` tokens and each continuation fit.
fn check(generator: &Generator, len: usize, continuations: &[Vec<TokenId>]) -> Result<(), GenerateError> {
    check_prompt(len, generator.context())?;
    for tokens in continuations {
        check_prompt(len + tokens.len().saturating_sub(1), generator.context())?;
        check_vocabulary(tokens, generator.text_vocab())?;
    }
    Ok(())
}

impl Score {
    fn from_logprobs(token_logprobs: Vec<f64>) -> Self {
        Self { logprob: token_logprobs.iter().sum(), tokens: token_logprobs.len(), token_logprobs }
    }
}

/// Columns of a row of logits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Columns<'a> {
    /// The whole vocabulary.
    All,
    /// A range of it.
    Range(Range<usize>),
    /// These tokens, in this order.
    Ids(&'a [TokenId]),
}

impl Columns<'_> {
    fn check(&self, vocab: usize) -> Result<(), GenerateError> {
        match self {
            Self::Range(range) if range.start > range.end || range.end > vocab => {
                let value = format!("{range:?}");
                Err(OptionError { field: "columns", value, expected: "an ascending range inside the vocabulary" }.into())
            }
            Self::Ids(ids) => check_vocabulary(ids, vocab),
            _ => Ok(()),
        }
    }

    fn of(&self, row: &[f32]) -> Vec<f32> {
        match self {
            Self::All => row.to_vec(),
            Self::Range(range) => row[range.clone()].to_vec(),
            Self::Ids(ids) => ids.iter().map(|&id| row[id as usize]).collect(),
        }
    }
}

/// The logits after each of `prompts`, `[prompts][columns]`. Prompts share steps, and a prefix common to all of them is
/// read once; they may be more than the arena has room for at once.
///
/// # Errors
/// [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`], [`GenerateError::InvalidOptions`] for columns outside the
/// vocabulary, [`GenerateError::Cancelled`], and [`GenerateError::Engine`], of which [`EngineError::CacheFull`] says that a
/// single prompt found no room.
pub fn last_logits(
    generator: &Generator,
    prompts: &[Vec<TokenId>],
    columns: Columns<'_>,
    cancel: &CancelToken,
) -> Result<Vec<Vec<f32>>, GenerateError> {
    columns.check(generator.info().vocab)?;
    for prompt in prompts {
        check_prompt(prompt.len(), generator.context())?;
    }
    let shared = shared_beginning(prompts);
    let base = match shared {
        0 => generator.empty_cache()?,
        _ => generator.prefill(&prompts[0][..shared], cancel)?.cache,
    };
    let rests: Vec<&[TokenId]> = prompts.iter().map(|prompt| &prompt[shared..]).collect();
    let mut out = vec![vec![]; prompts.len()];
    BatchScorer::new(&base, shared, Wanted::Last, cancel).run(&rests, &mut |prompt, _, row| {
        out[prompt] = columns.of(row);
        Ok(())
    })?;
    Ok(out)
}

/// Tokens that begin all prompts and leave each at least one; 0 for a single prompt.
fn shared_beginning(prompts: &[Vec<TokenId>]) -> usize {
    let Some((first, others)) = prompts.split_first().filter(|(_, others)| !others.is_empty()) else { return 0 };
    let shortest = prompts.iter().map(Vec::len).min().unwrap_or(0);
    others
        .iter()
        .fold(shortest.saturating_sub(1), |shared, other| first[..shared].iter().zip(other).take_while(|(a, b)| a == b).count())
}

/// The logits of every position of `tokens`, `[tokens, vocab]` in row order: 4 bytes times the vocabulary for each token.
///
/// # Errors
/// As [`last_logits`].
pub fn all_logits(generator: &Generator, tokens: &[TokenId], cancel: &CancelToken) -> Result<Vec<f32>, GenerateError> {
    check_prompt(tokens.len(), generator.context())?;
    let base = generator.empty_cache()?;
    let mut out = room_for(tokens.len(), generator.info().vocab)?;
    BatchScorer::new(&base, 0, Wanted::All, cancel).run(&[tokens], &mut |_, _, row| {
        out.extend_from_slice(row);
        Ok(())
    })?;
    Ok(out)
}

/// As [`all_logits`], but the first `read` tokens are one step and each of the others is a step of its own, as those of an answer
/// are. A `read` of 0 is taken for 1.
///
/// # Errors
/// As [`last_logits`].
pub fn stepped_logits(
    generator: &Generator,
    tokens: &[TokenId],
    read: usize,
    cancel: &CancelToken,
) -> Result<Vec<f32>, GenerateError> {
    check_prompt(tokens.len(), generator.context())?;
    let cache = generator.empty_cache()?;
    let mut out = room_for(tokens.len(), generator.info().vocab)?;
    let (prompt, answer) = tokens.split_at(read.clamp(1, tokens.len()));
    for tokens in std::iter::once(prompt).chain(answer.chunks(1)) {
        let step = SequenceStep { cache: cache.id, tokens, logits: LogitsWanted::All };
        generator.scheduler().step(&[step], cancel, |rows| out.extend_from_slice(rows.values()))?;
    }
    Ok(out)
}

/// Room for the logits of so many tokens.
fn room_for(tokens: usize, vocab: usize) -> Result<Vec<f32>, EngineError> {
    let mut out = vec![];
    room::reserve(&mut out, tokens.saturating_mul(vocab), "the logits of all tokens")?;
    Ok(out)
}

/// Tokens that only index logits pass no engine's door, so they are checked here.
fn check_vocabulary(tokens: &[TokenId], vocab: usize) -> Result<(), GenerateError> {
    match tokens.iter().find(|&&token| token as usize >= vocab) {
        Some(&token) => Err(GenerateError::Engine(EngineError::TokenOutOfRange { token, vocab })),
        None => Ok(()),
    }
}
