//! Drawing a token.

use super::filters::{drawable, largest};
use super::{History, SamplingOptions, scores_into};
use crate::softmax::best;
use crate::{GenerateError, OptionError};
use chacha20::{
    ChaCha8Rng,
    rand_core::{Rng, SeedableRng},
};
use kinglet_engine::TokenId;
use std::hash::{BuildHasher, RandomState};

/// The tokens that may be drawn after `history`, ascending, with their probabilities, which sum to 1. `logits`: `[vocab]`,
/// those of the position after the history; `suppress`: tokens that are never sampled. With a temperature of 0, only the
/// most likely token.
///
/// # Errors
/// [`GenerateError::InvalidOptions`], [`GenerateError::BadLogits`], [`GenerateError::NothingToSample`].
pub fn distribution(
    logits: &[f32],
    history: History<'_>,
    options: &SamplingOptions,
    suppress: &[TokenId],
) -> Result<Vec<(TokenId, f64)>, GenerateError> {
    options.validate()?;
    let mut scores = vec![];
    scores_into(&mut scores, logits, history, options, suppress)?;
    let mut weights = weights_of(&scores, options);
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    weights.iter_mut().for_each(|(_, weight)| *weight /= total);
    Ok(weights)
}

fn weights_of(scores: &[f32], options: &SamplingOptions) -> Vec<(TokenId, f64)> {
    if options.is_greedy() {
        largest(scores, 1).into_iter().map(|(_, id)| (id, 1.0)).collect()
    } else {
        drawable(scores, options)
    }
}

/// Draws tokens: the options, a position in a stream of random numbers, and nothing else. ChaCha with 8 rounds gives the
/// same numbers on every machine; one is used for each token, none in greedy sampling.
pub struct Sampler {
    options: SamplingOptions,
    suppress: Vec<TokenId>,
    seed: u64,
    rng: ChaCha8Rng,
    scores: Vec<f32>, // [vocab]
}

impl Sampler {
    /// A sampler at the start of stream `stream` of its seed: candidates decoded together take a stream each, all others 0.
    ///
    /// # Errors
    /// The option that is out of range.
    pub fn new(options: &SamplingOptions, suppress: &[TokenId], stream: u64) -> Result<Self, OptionError> {
        options.validate()?;
        let seed = options.seed.unwrap_or_else(drawn_seed);
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Ok(Self { options: options.clone(), suppress: suppress.to_vec(), seed, rng, scores: vec![] })
    }

    /// The seed asked for, or the one that was drawn.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The next token. `logits`: `[vocab]`, those of the position after `history`.
    ///
    /// # Errors
    /// [`GenerateError::BadLogits`], [`GenerateError::NothingToSample`]; no random number is used up then.
    pub fn sample(&mut self, logits: &[f32], history: History<'_>) -> Result<TokenId, GenerateError> {
        if self.options.is_greedy() && self.options.has_no_penalties() && self.suppress.is_empty() {
            return greedy(logits);
        }
        scores_into(&mut self.scores, logits, history, &self.options, &self.suppress)?;
        let weights = weights_of(&self.scores, &self.options);
        let point = if self.options.is_greedy() { 0.0 } else { unit(self.rng.next_u64()) };
        draw(&weights, point).ok_or(GenerateError::NothingToSample)
    }
}

impl std::fmt::Debug for Sampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sampler").field("options", &self.options).field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// The first of the most likely tokens.
fn greedy(logits: &[f32]) -> Result<TokenId, GenerateError> {
    let best = best(logits)?;
    let first = logits.iter().position(|&logit| logit == best).filter(|_| best > f32::NEG_INFINITY);
    first.map(|token| token as TokenId).ok_or(GenerateError::NothingToSample)
}

/// The token at `point` (`0..1`) of the weights laid end to end.
fn draw(weights: &[(TokenId, f64)], point: f64) -> Option<TokenId> {
    let target = point * weights.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut sum = 0.0;
    let found = weights.iter().find(|(_, weight)| {
        sum += weight;
        sum > target
    });
    found.or(weights.last()).map(|(id, _)| *id)
}

/// The 53 high bits as a fraction: `0 <= unit < 1`.
fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// Different in each call: the standard library keys its hash tables with numbers from the system.
fn drawn_seed() -> u64 {
    RandomState::new().hash_one(0u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warm(seed: u64) -> SamplingOptions {
        SamplingOptions { temperature: 1.0, seed: Some(seed), ..Default::default() }
    }

    fn tokens(options: &SamplingOptions, stream: u64, logits: &[f32], n: usize) -> Vec<TokenId> {
        let mut sampler = Sampler::new(options, &[], stream).unwrap();
        (0..n).map(|_| sampler.sample(logits, History::default()).unwrap()).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_the_best() {
        assert_eq!(tokens(&SamplingOptions::default(), 0, &[1.0, 3.0, 3.0, -1.0], 2), [1, 1]);
    }

    #[test]
    fn seeds_and_streams_name_their_tokens() {
        let logits = [0.0; 64];
        let first = tokens(&warm(7), 0, &logits, 20);
        assert_eq!(first, tokens(&warm(7), 0, &logits, 20));
        assert_ne!(first, tokens(&warm(8), 0, &logits, 20));
        assert_ne!(first, tokens(&warm(7), 1, &logits, 20));
    }

    #[test]
    fn a_drawn_seed_can_be_used_again() {
        let options = SamplingOptions { seed: None, ..warm(0) };
        let (mut a, b) = (Sampler::new(&options, &[], 0).unwrap(), Sampler::new(&options, &[], 0).unwrap());
        assert_ne!(a.seed(), b.seed());
        let drawn: Vec<_> = (0..9).map(|_| a.sample(&[0.0; 32], History::default()).unwrap()).collect();
        assert_eq!(drawn, tokens(&warm(a.seed()), 0, &[0.0; 32], 9));
    }

    #[test]
    fn points_fall_on_the_token_whose_weight_they_hit() {
        let weights = [(4, 1.0), (6, 2.0), (9, 1.0)];
        for (point, expected) in [(0.0, 4), (0.249, 4), (0.25, 6), (0.7499, 6), (0.75, 9), (0.99999, 9), (1.0, 9)] {
            assert_eq!(draw(&weights, point), Some(expected), "{point}");
        }
        assert_eq!(draw(&[], 0.5), None);
        assert!(unit(0) == 0.0 && unit(u64::MAX) < 1.0);
    }

    #[test]
    fn draws_follow_the_distribution() {
        let logits: Vec<f32> = [0.1f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect();
        let expected = distribution(&logits, History::default(), &warm(0), &[]).unwrap();
        let n = 40_000;
        let drawn = tokens(&warm(3), 0, &logits, n);
        for (id, probability) in expected {
            let share = drawn.iter().filter(|t| **t == id).count() as f64 / n as f64;
            // Four standard deviations of a share near one half.
            assert!((share - probability).abs() < 4.0 * (0.25 / n as f64).sqrt(), "{id}: {share} for {probability}");
        }
    }

    #[test]
    fn bad_options_are_named() {
        let nan = SamplingOptions { top_p: f32::NAN, ..Default::default() };
        let error = Sampler::new(&nan, &[], 0).unwrap_err();
        assert_eq!((error.field, error.to_string()), ("top_p", "top_p is NaN; it must be from 0 to 1".into()));
    }
}
