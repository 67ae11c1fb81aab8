//! Measurement of one candidate.

use super::Candidate;
use crate::conformance::prompt;
use crate::{CancelHandle, Completer, Error, GenerationOptions, Kinglet, Logits, Model, SamplingOptions, Usage};
use kinglet_generate::stepped_logits;
use std::path::Path;
use std::time::{Duration, Instant};

/// Tokens of the prompt and of the answer that are timed; a model with a smaller context has fewer.
pub(super) const PROMPT: usize = 128;
pub(super) const ANSWER: usize = 32;
/// Tokens whose logits are compared: so many read at once, and so many one by one.
const READ: usize = 8;
const STEPPED: usize = 8;
/// Answers that are timed after one that is not; none begins after this time.
const ROUNDS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(10);

/// Measurements of one run of a model with one candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Until the model was ready for its first prompt.
    pub open: Duration,
    /// Tokens a second of a prompt of 128.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of an answer of 32 to it.
    pub decode_tokens_per_second: f64,
    /// The logits of 16 fixed tokens, of which eight are read at once and eight one by one.
    pub logits: Logits,
}

impl Kinglet {
    /// Opens a model in one way and measures it, in this process. What these settings say of engine, provider and records is not
    /// regarded.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`Error::Cancelled`] after `cancel` was raised, at the latest when the answer in progress is
    /// complete; what the model fails with.
    pub fn measure(
        &self,
        path_or_name: impl AsRef<Path>,
        candidate: Candidate,
        cancel: &CancelHandle,
    ) -> Result<Measured, Error> {
        let started = Instant::now();
        let model = self.in_one_way(candidate).open(path_or_name)?;
        match model.prepare(cancel, |_| {}) {
            // They are prepared all the same.
            Err(error @ Error::Storage(_)) => log::warn!("{error}"),
            prepared => prepared?,
        }
        let open = started.elapsed();
        let tokens = prompt((READ + STEPPED).min(model.context()), model.vocabulary());
        let values = stepped_logits(&model.local()?.generator, &tokens, READ, &cancel.0)?;
        let logits = Logits { positions: tokens.len(), vocabulary: model.vocabulary(), values };
        let (prefill, decode) = time(&model, cancel)?;
        Ok(Measured { open, prefill_tokens_per_second: prefill, decode_tokens_per_second: decode, logits })
    }
}

/// Tokens a second of prompts and of answers: medians.
fn time(model: &Model, cancel: &CancelHandle) -> Result<(f64, f64), Error> {
    let context = model.context();
    let answer = (ANSWER + 1).min(context / 2).max(2);
    let prompt = prompt(PROMPT.min(context.saturating_sub(answer).max(1)), model.vocabulary());
    let (mut prefill, mut decode, started) = (vec![], vec![], Instant::now());
    for round in 0..=ROUNDS {
        if cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        if started.elapsed() > PATIENCE && !decode.is_empty() {
            break;
        }
        let usage = respond(&mut model.token_completer()?, &prompt, answer)?;
        // The first round finds cold caches; where it took all the time that there is, it counts.
        if round > 0 || started.elapsed() > PATIENCE {
            prefill.extend(usage.prefill_tokens_per_second());
            decode.extend(usage.decode_tokens_per_second());
        }
    }
    Ok((median(prefill), median(decode)))
}

fn respond(completer: &mut Completer, prompt: &[u32], tokens: usize) -> Result<Usage, Error> {
    let options = GenerationOptions { max_new_tokens: tokens, sampling: Some(SamplingOptions::default()), stop: vec![] };
    Ok(completer.complete(prompt, &options)?.finish()?.usage)
}

/// The middle one, or the upper of the middle two; 0 of nothing.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [(vec![], 0.0), (vec![5.0], 5.0), (vec![3.0, 1.0, 2.0], 2.0), (vec![2.0, 1.0], 2.0)] {
            assert_eq!(median(values), expected);
        }
    }
}
