//! Prompts as they stand, without a chat template: one answer, or several at once.

use crate::prefix::{FixedPrefix, Remembering};
use crate::request::steps;
use crate::{CancelHandle, Error, GenerationOptions, Model, Prompt, Response, SamplingOptions};
use kinglet_generate::{CandidateOptions, Generation, RequestOptions, Session, Timing, candidates};
use std::time::Instant;

/// Continues prompts as they stand. What a prompt has in common with the one before is not computed again.
pub struct Completer {
    model: Model,
    session: Session,
    save: bool,
    /// The prompt of the answer in progress, where it is to be saved.
    prompt: Option<FixedPrefix>,
}

impl Model {
    /// Begins to continue prompts.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a tokenizer that is missing or unusable.
    pub fn completer(&self) -> Result<Completer, Error> {
        let session = Session::with_tokenizer(&self.local()?.generator, self.text()?.tokenizer.clone())?;
        Ok(Completer { model: self.clone(), session, save: false, prompt: None })
    }

    /// Begins to continue prompts of tokens: answers have no text, and no tokenizer is read.
    ///
    /// # Errors
    /// [`Error::Failed`] where the engine cannot make a cache.
    pub fn token_completer(&self) -> Result<Completer, Error> {
        Ok(Completer { model: self.clone(), session: Session::new(&self.local()?.generator)?, save: false, prompt: None })
    }
}

impl Completer {
    /// Saves prompts in the [`PrefixCache`](crate::PrefixCache), where there is one, and restores what was saved of them:
    /// prompts that begin with an earlier one go on from its end. Prompts are not saved by default.
    #[must_use]
    pub fn save_prompts(mut self, save: bool) -> Completer {
        self.save = save;
        self
    }

    /// Continues `prompt`. Nothing is computed before the first pull.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a prompt that is empty or does not fit the context, and for options out of range.
    pub fn complete(&mut self, prompt: impl Into<Prompt>, options: &GenerationOptions) -> Result<Response<'_>, Error> {
        let cancel = self.session.cancel_handle();
        cancel.reset();
        let tokens = self.model.prompt_tokens(prompt.into(), &cancel)?;
        let request = options.to_request(self.model.recommended_sampling());
        let request = RequestOptions { lower_cancel: false, ..request };
        self.prompt = if self.save { FixedPrefix::new(self.model.local()?, || tokens.clone()) } else { None };
        let started = Instant::now();
        if let Some(prompt) = &self.prompt {
            prompt.restore(&self.session);
        }
        let before = started.elapsed();
        let events = self.session.complete(&tokens, &request)?;
        let session = Generation::session;
        let engine = self.model.local()?.engine_name();
        Ok(Response::new(steps(Remembering { events, session, fixed: self.prompt.as_mut() }, before, engine)))
    }

    /// Ends the answer in progress from another thread, within one token. Each answer lowers it when it begins.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.session.cancel_handle())
    }
}

impl std::fmt::Debug for Completer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completer").field("cached", &self.session.cached_tokens().len()).finish_non_exhaustive()
    }
}

/// Options of [`Model::continuations`].
///
/// ```
/// let options = kinglet::ContinuationOptions::default();
/// assert_eq!((options.count, options.max_new_tokens), (3, 32));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ContinuationOptions {
    /// How many, at least 1.
    pub count: usize,
    /// Tokens that each has at most, at least 1.
    pub max_new_tokens: usize,
    /// How tokens after the first are chosen. The first tokens are the likeliest ones, a different one for each.
    pub sampling: SamplingOptions,
}

impl Default for ContinuationOptions {
    fn default() -> ContinuationOptions {
        ContinuationOptions { count: 3, max_new_tokens: 32, sampling: SamplingOptions::default() }
    }
}

/// One of several continuations of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Continuation {
    /// Its tokens, without an end token.
    pub tokens: Vec<u32>,
    /// The natural logarithm of its probability, an end token included.
    pub logprob: f64,
}

/// Result of [`Model::continuations`].
#[derive(Clone, Debug, PartialEq)]
pub struct Continuations {
    /// The likeliest first token first; fewer than asked for only where fewer tokens may come first.
    pub continuations: Vec<Continuation>,
    /// Tokens of all of them, end tokens included.
    pub new_tokens: usize,
    /// How long it took; `first_token` is the time until each had its first.
    pub timing: Timing,
}

impl Model {
    /// Several continuations of one prompt, which is read once; they are computed as one batch.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a prompt that is empty or does not fit and for options out of range,
    /// [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn continuations(
        &self,
        prompt: impl Into<Prompt>,
        options: &ContinuationOptions,
        cancel: &CancelHandle,
    ) -> Result<Continuations, Error> {
        let prompt = self.prompt_tokens(prompt.into(), &cancel.0)?;
        let ContinuationOptions { count, max_new_tokens, sampling } = options.clone();
        let options = CandidateOptions { count, max_new_tokens, sampling, ..CandidateOptions::default() };
        let set = candidates(&self.local()?.generator, &prompt, &options, &cancel.0)?;
        let continuations = set.candidates.into_iter().map(|c| Continuation { tokens: c.tokens, logprob: c.logprob }).collect();
        Ok(Continuations { continuations, new_tokens: set.usage.new_tokens, timing: set.timing })
    }
}
