//! Log-likelihoods and raw logits of given tokens.

use crate::{CancelHandle, Error, Model, Prompt};
use kinglet_generate::{Columns, all_logits, last_logits, score};

/// How likely the model holds a text after a prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Likelihood {
    /// The natural logarithm of its probability.
    pub logprob: f64,
    /// Tokens it has.
    pub tokens: usize,
}

impl Likelihood {
    /// `exp(-logprob / tokens)`: 1 for a text that the model was sure of, the size of the vocabulary for one that it could
    /// only have guessed. `None` without tokens.
    ///
    /// ```
    /// let likelihood = kinglet::Likelihood { logprob: -2.0 * 8f64.ln(), tokens: 2 };
    /// assert!((likelihood.perplexity().unwrap() - 8.0).abs() < 1e-9);
    /// ```
    pub fn perplexity(&self) -> Option<f64> {
        (self.tokens > 0).then(|| (-self.logprob / self.tokens as f64).exp())
    }
}

impl std::ops::Add for Likelihood {
    type Output = Likelihood;

    fn add(self, other: Likelihood) -> Likelihood {
        Likelihood { logprob: self.logprob + other.logprob, tokens: self.tokens + other.tokens }
    }
}

/// Which positions of a prompt logits are wanted for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Positions {
    /// The last.
    #[default]
    Last,
    /// All.
    All,
}

/// Raw logits, float32 `[positions, vocabulary]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Logits {
    /// Positions that were asked for.
    pub positions: usize,
    /// Logits a position has.
    pub vocabulary: usize,
    /// `[positions, vocabulary]`, row by row.
    pub values: Vec<f32>,
}

impl Model {
    /// How likely each of `continuations` is after `prompt`, in their order. They are computed as one batch and share the
    /// prompt.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a prompt that is empty, or that does not fit together with a continuation;
    /// [`Error::Cancelled`].
    pub fn likelihoods(
        &self,
        prompt: impl Into<Prompt>,
        continuations: &[Vec<u32>],
        cancel: &CancelHandle,
    ) -> Result<Vec<Likelihood>, Error> {
        let prompt = self.prompt_tokens(prompt.into(), &cancel.0)?;
        let scores = score(&self.local()?.generator, &prompt, continuations, &cancel.0)?;
        Ok(scores.into_iter().map(|score| Likelihood { logprob: score.logprob, tokens: score.tokens }).collect())
    }

    /// How likely `tokens` are as a whole, each after those before it; the first stands for nothing. A text longer than the
    /// context is read in windows that overlap by half, so that each token has at least half a context before it.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a token outside the vocabulary, [`Error::Cancelled`].
    pub fn likelihood(&self, tokens: &[u32], cancel: &CancelHandle) -> Result<Likelihood, Error> {
        self.local()?;
        let mut whole = Likelihood { logprob: 0.0, tokens: 0 };
        for Window { from, judged, to } in windows(tokens.len(), self.context()) {
            let continuation = [tokens[judged..to].to_vec()];
            whole = self.likelihoods(&tokens[from..judged], &continuation, cancel)?.into_iter().fold(whole, |a, b| a + b);
        }
        Ok(whole)
    }

    /// The raw logits of `tokens`.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for no tokens, more than the context holds, or one outside the vocabulary;
    /// [`Error::Cancelled`].
    pub fn logits(&self, tokens: &[u32], positions: Positions, cancel: &CancelHandle) -> Result<Logits, Error> {
        let vocabulary = self.vocabulary();
        let values = match positions {
            Positions::All => all_logits(&self.local()?.generator, tokens, &cancel.0)?,
            Positions::Last => {
                let rows = last_logits(&self.local()?.generator, &[tokens.to_vec()], Columns::All, &cancel.0)?;
                rows.into_iter().flatten().collect()
            }
        };
        Ok(Logits { positions: values.len() / vocabulary, vocabulary, values })
    }
}

/// A part of a text: the tokens `from..to` are read and `judged..to` of them count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: usize,
    judged: usize,
    to: usize,
}

/// Windows of at most `context` positions (the last token of a window is judged and not fed, so it takes none) that judge
/// every token but the first exactly once.
fn windows(tokens: usize, context: usize) -> Vec<Window> {
    let longest = context.saturating_add(1).max(2);
    let step = (longest / 2).max(1);
    let mut windows = Vec::new();
    let mut judged = 1;
    while judged < tokens {
        let from = if judged == 1 { 0 } else { judged.saturating_sub(longest - step) };
        let to = tokens.min(from + longest);
        windows.push(Window { from, judged, to });
        judged = to;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_judge_every_token_once_and_fit_the_context() {
        for context in [1, 2, 3, 7, 8, 100] {
            for tokens in 0..60 {
                let windows = windows(tokens, context);
                let judged: Vec<usize> = windows.iter().flat_map(|window| window.judged..window.to).collect();
                assert_eq!(judged, (1..tokens.max(1)).collect::<Vec<_>>(), "{tokens} tokens in {context}");
                for Window { from, judged, to } in windows {
                    assert!(from < judged && judged < to, "{tokens} tokens in {context}");
                    assert!(to - from - 1 <= context, "{tokens} tokens in {context}");
                    assert!(from == 0 || judged - from > context / 2, "{tokens} tokens in {context}: {from} {judged} {to}");
                }
            }
        }
    }
}
