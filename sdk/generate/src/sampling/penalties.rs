//! From logits to scores: penalties on tokens that came before, and tokens that are never sampled.

use super::SamplingOptions;
use crate::GenerateError;
use crate::softmax::check_logits;
use kinglet_engine::TokenId;

/// The tokens before the one to sample.
#[derive(Clone, Copy, Debug, Default)]
pub struct History<'a> {
    /// Tokens that were given.
    pub prompt: &'a [TokenId],
    /// Tokens that were sampled after them.
    pub reply: &'a [TokenId],
}

/// Writes the scores that tokens are ranked by into `scores`, `[vocab]`: `logits` (`[vocab]`) after the repetition, frequency
/// and presence penalty, in this order; negative infinity for `suppress`. Finite or negative infinity throughout, and
/// finite at least once.
///
/// # Errors
/// [`GenerateError::BadLogits`] for a logit that is NaN or positive infinity, [`GenerateError::NothingToSample`] if
/// everything is negative infinity.
pub(crate) fn scores_into(
    scores: &mut Vec<f32>,
    logits: &[f32],
    history: History<'_>,
    options: &SamplingOptions,
    suppress: &[TokenId],
) -> Result<(), GenerateError> {
    check_logits(logits)?;
    scores.clear();
    scores.extend_from_slice(logits);
    repetition(scores, logits, history, options.repetition_penalty);
    frequency_and_presence(scores, history.reply, options);
    for &token in suppress {
        if let Some(score) = scores.get_mut(token as usize) {
            *score = f32::NEG_INFINITY;
        }
    }
    if scores.iter().all(|&s| s == f32::NEG_INFINITY) { Err(GenerateError::NothingToSample) } else { Ok(()) }
}

/// Reads the unpenalised logits, so that a token which occurs twice is penalised once.
fn repetition(scores: &mut [f32], logits: &[f32], history: History<'_>, penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    for &token in history.prompt.iter().chain(history.reply) {
        if let Some(&logit) = logits.get(token as usize) {
            scores[token as usize] = bounded(if logit < 0.0 { logit * penalty } else { logit / penalty });
        }
    }
}

/// `score - count * frequency_penalty - presence_penalty` for every token of the reply.
fn frequency_and_presence(scores: &mut [f32], reply: &[TokenId], options: &SamplingOptions) {
    if options.frequency_penalty == 0.0 && options.presence_penalty == 0.0 {
        return;
    }
    let mut sorted = reply.to_vec();
    sorted.sort_unstable();
    for same in sorted.chunk_by(|a, b| a == b) {
        if let Some(score) = scores.get_mut(same[0] as usize) {
            *score = bounded(*score - same.len() as f32 * options.frequency_penalty - options.presence_penalty);
        }
    }
}

/// Arithmetic on finite logits may overflow: upwards that would be no score, so it stays at the largest.
fn bounded(score: f32) -> f32 {
    score.min(f32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(logits: &[f32], history: History<'_>, options: &SamplingOptions, suppress: &[TokenId]) -> Vec<f32> {
        let mut out = vec![];
        scores_into(&mut out, logits, history, options, suppress).unwrap();
        out
    }

    #[test]
    fn each_penalty_follows_its_formula() {
        struct Case {
            name: &'static str,
            options: SamplingOptions,
            expected: [f32; 4],
        }
        let none = SamplingOptions::default();
        // Token 0 is in the prompt; token 1 once, token 2 twice in the reply; token 3 nowhere.
        let history = History { prompt: &[0, 0], reply: &[2, 1, 2] };
        let cases = [
            Case { name: "none", options: none.clone(), expected: [2.0, -2.0, 4.0, 1.0] },
            Case {
                name: "repetition",
                options: SamplingOptions { repetition_penalty: 2.0, ..none.clone() },
                expected: [1.0, -4.0, 2.0, 1.0],
            },
            Case {
                name: "presence",
                options: SamplingOptions { presence_penalty: 0.5, ..none.clone() },
                expected: [2.0, -2.5, 3.5, 1.0],
            },
            Case {
                name: "frequency",
                options: SamplingOptions { frequency_penalty: 0.5, ..none.clone() },
                expected: [2.0, -2.5, 3.0, 1.0],
            },
            Case {
                name: "all, repetition first",
                options: SamplingOptions {
                    repetition_penalty: 2.0,
                    presence_penalty: 0.25,
                    frequency_penalty: -0.5,
                    ..none.clone()
                },
                expected: [1.0, -3.75, 2.75, 1.0],
            },
        ];
        for case in cases {
            assert_eq!(scores(&[2.0, -2.0, 4.0, 1.0], history, &case.options, &[]), case.expected, "{}", case.name);
        }
    }

    #[test]
    fn suppressed_tokens_go_whatever_the_penalties_and_strangers_are_ignored() {
        let options = SamplingOptions { presence_penalty: -5.0, repetition_penalty: 0.5, ..Default::default() };
        let history = History { prompt: &[77], reply: &[1, 99] };
        assert_eq!(scores(&[1.0, 2.0], history, &options, &[1, 50]), [1.0, f32::NEG_INFINITY]);
    }

    #[test]
    fn overflow_stays_a_number() {
        let options = SamplingOptions { repetition_penalty: f32::MIN_POSITIVE, ..Default::default() };
        let out = scores(&[1.0, -1.0, 3e38], History { prompt: &[0, 1, 2], reply: &[] }, &options, &[]);
        assert_eq!((out[0], out[2]), (f32::MAX.min(1.0 / f32::MIN_POSITIVE), f32::MAX));
        assert!(out[1] <= 0.0);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let mut out = vec![];
        let mut refuse = |logits: &[f32], suppress: &[TokenId]| {
            scores_into(&mut out, logits, History::default(), &SamplingOptions::default(), suppress).unwrap_err()
        };
        assert!(matches!(refuse(&[0.0, f32::NAN], &[]), GenerateError::BadLogits { token: 1, value } if value.is_nan()));
        assert!(matches!(refuse(&[f32::INFINITY], &[]), GenerateError::BadLogits { token: 0, value: f32::INFINITY }));
        assert!(matches!(refuse(&[f32::NEG_INFINITY; 3], &[]), GenerateError::NothingToSample));
        assert!(matches!(refuse(&[1.0, 2.0], &[0, 1]), GenerateError::NothingToSample));
        assert!(matches!(refuse(&[], &[]), GenerateError::NothingToSample));
    }
}
