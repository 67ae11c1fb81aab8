//! A prompt that was read once, for several questions.

use crate::GenerateError;
use crate::generator::{Cache, Generator, Prefilled};
use kinglet_engine::{CancelToken, EngineError, TokenId};
use std::time::{Duration, Instant};

/// A prompt whose keys and values are cached and after which the logits are known: what [`candidates_after`] and [`score_after`]
/// begin with. The cache is released when it is dropped.
///
/// [`candidates_after`]: crate::candidates_after
/// [`score_after`]: crate::score_after
pub struct PrefilledPrompt {
    tokens: Vec<TokenId>,
    cache: Cache,
    logits: Vec<f32>,
    kept: usize,
    took: Duration,
}

impl PrefilledPrompt {
    /// Reads `tokens`, as far as they are not in the [prefix pool](Generator::add_prefix).
    ///
    /// # Errors
    /// [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`], [`GenerateError::Cancelled`],
    /// [`GenerateError::Engine`].
    pub fn new(generator: &Generator, tokens: &[TokenId], cancel: &CancelToken) -> Result<Self, GenerateError> {
        let started = Instant::now();
        let Prefilled { cache, logits, kept } = generator.prefill(tokens, cancel)?;
        Ok(Self { tokens: tokens.to_vec(), cache, logits, kept, took: started.elapsed() })
    }

    /// The tokens, at least one.
    pub fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// The logits after the last token, `[vocab]`.
    pub fn logits(&self) -> &[f32] {
        &self.logits
    }

    /// The logits after the last token, `[vocab]`; the cache is released.
    pub fn into_logits(self) -> Vec<f32> {
        self.logits
    }

    /// Tokens that came from the prefix pool and were not computed.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// How long it took to read.
    pub(crate) fn took(&self) -> Duration {
        self.took
    }

    pub(crate) fn generator(&self) -> &Generator {
        self.cache.generator()
    }

    /// The cache, which holds the tokens and nothing else: what earlier work left behind them is dropped.
    pub(crate) fn cache(&self) -> Result<&Cache, EngineError> {
        self.cache.truncate(self.tokens.len())?;
        Ok(&self.cache)
    }
}

impl std::fmt::Debug for PrefilledPrompt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PrefilledPrompt").field("tokens", &self.tokens.len()).finish_non_exhaustive()
    }
}
