//! A sequence that lives on between requests.

use crate::generation::Generation;
use crate::generator::{Cache, Generator};
use crate::prefix::{Prefix, common_prefix};
use crate::{GenerateError, RequestOptions};
use kinglet_engine::{CancelToken, TokenId};
use kinglet_text::Tokenizer;
use std::sync::Arc;

/// State of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionState {
    /// Nothing: ready for a request.
    Idle,
    /// Reading a prompt.
    Prefilling {
        /// Prompt tokens in the cache.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// Sampling a reply.
    Decoding {
        /// Tokens sampled so far.
        new_tokens: usize,
    },
    /// The cache is lost: only [`Session::reset`] leaves this state. Engines that keep the contract never bring it about.
    Failed,
}

/// A key/value cache and the tokens in it. Each request says the whole sequence that it continues; what the cache holds of
/// its prefix is not computed again.
///
/// A request that fails, is cancelled or is dropped half-way leaves the session [`Idle`](SessionState::Idle), with every
/// token of the steps that ended well still in the cache.
pub struct Session {
    pub(crate) cache: Cache,
    /// Tokens in the cache, `[positions]`.
    pub(crate) tokens: Vec<TokenId>,
    pub(crate) state: SessionState,
    pub(crate) cancel: CancelToken,
    pub(crate) tokenizer: Option<Arc<Tokenizer>>,
    /// The logits after `tokens`, `[vocab]`, where the last step asked for them.
    pub(crate) logits: Vec<f32>,
}

impl Session {
    /// An empty session that knows token ids only: its replies have no text.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] if the runner cannot make a cache.
    pub fn new(generator: &Generator) -> Result<Self, GenerateError> {
        let cache = generator.empty_cache()?;
        Ok(Self {
            cache,
            tokens: vec![],
            state: SessionState::Idle,
            cancel: CancelToken::default(),
            tokenizer: None,
            logits: vec![],
        })
    }

    /// An empty session whose replies are decoded and may end at stop strings.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_tokenizer(generator: &Generator, tokenizer: Arc<Tokenizer>) -> Result<Self, GenerateError> {
        Ok(Self { tokenizer: Some(tokenizer), ..Self::new(generator)? })
    }

    /// The same session, whose work is ended by `cancel`: a flag that it shares with others.
    #[must_use]
    pub fn cancelled_by(self, cancel: CancelToken) -> Self {
        Self { cancel, ..self }
    }

    /// The generator that it shares with others.
    pub fn generator(&self) -> &Generator {
        self.cache.generator()
    }

    /// State of the session; [`Idle`](SessionState::Idle) or [`Failed`](SessionState::Failed) between requests.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The tokens in the cache: a request that begins with them reads only what follows.
    pub fn cached_tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    /// A flag that ends the request in progress within one token, while reading the prompt as well. It can be raised from
    /// any thread without waiting. Each request lowers it when it starts, so raising it between requests has no effect, unless
    /// its options say otherwise.
    pub fn cancel_handle(&self) -> CancelToken {
        self.cancel.clone()
    }

    /// Continues `tokens`, the whole sequence. Nothing is computed before the first pull from the [`Generation`].
    ///
    /// # Errors
    /// [`GenerateError::InvalidOptions`], [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`],
    /// [`GenerateError::ReplyTooLong`], [`GenerateError::SessionFailed`], [`GenerateError::Engine`].
    pub fn complete(&mut self, tokens: &[TokenId], options: &RequestOptions) -> Result<Generation<'_>, GenerateError> {
        if self.state == SessionState::Failed {
            return Err(GenerateError::SessionFailed);
        }
        options.check(tokens.len(), self.generator().context(), self.tokenizer.is_some())?;
        if options.lower_cancel {
            self.cancel.reset();
        }
        self.keep_beginning_of(tokens)?;
        Generation::new(self, tokens, options)
    }

    /// Cuts the cache to its longest common prefix with `prompt`, at most all but the last token of that: this one is
    /// fed again to get its logits. Where the prefix pool holds more of `prompt`, the session goes on from there.
    fn keep_beginning_of(&mut self, prompt: &[TokenId]) -> Result<(), GenerateError> {
        let fed = &prompt[..prompt.len() - 1];
        let keep = common_prefix(&self.tokens, fed);
        if let Some((cache, kept)) = self.generator().cache_beyond(keep, fed)? {
            self.cache = cache;
            self.tokens = fed[..kept].to_vec();
            return Ok(());
        }
        self.cut(keep).inspect_err(|_| self.state = SessionState::Failed)
    }

    /// The first `len` tokens with the cache that holds them, or all if there are fewer; `None` where there are none.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] where the engine cannot share them.
    pub fn prefix(&self, len: usize) -> Result<Option<Prefix>, GenerateError> {
        let tokens = &self.tokens[..len.min(self.tokens.len())];
        if tokens.is_empty() {
            return Ok(None);
        }
        let cache = self.cache.fork()?;
        cache.truncate(tokens.len())?;
        Ok(Some(Prefix::new(tokens.to_vec(), cache)))
    }

    /// Truncates the cache to `keep` positions, whatever a failed step may have left behind them.
    fn cut(&mut self, keep: usize) -> Result<(), GenerateError> {
        let held = self.cache.len()?;
        if held < keep {
            return Err(GenerateError::SessionFailed);
        }
        if held > keep {
            self.cache.truncate(keep)?;
        }
        self.tokens.truncate(keep);
        Ok(())
    }

    /// A session with the same content, which shares memory with this one where the engine can. Its cancel flag is its own.
    ///
    /// # Errors
    /// [`GenerateError::SessionFailed`], [`GenerateError::Engine`].
    pub fn fork(&self) -> Result<Self, GenerateError> {
        if self.state == SessionState::Failed {
            return Err(GenerateError::SessionFailed);
        }
        let cache = self.cache.fork()?;
        Ok(Self {
            cache,
            tokens: self.tokens.clone(),
            state: SessionState::Idle,
            cancel: CancelToken::default(),
            tokenizer: self.tokenizer.clone(),
            logits: vec![],
        })
    }

    /// Empties the session, which is then as new.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] if the runner cannot make a cache; the session is as it was then.
    pub fn reset(&mut self) -> Result<(), GenerateError> {
        self.cache = self.generator().empty_cache()?;
        self.tokens.clear();
        self.state = SessionState::Idle;
        Ok(())
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("state", &self.state).field("cached", &self.tokens.len()).finish_non_exhaustive()
    }
}
