//! One runner, shared.

use crate::request::check_prompt;
use crate::{GenerateError, OptionError};
use kinglet_engine::{
    CacheId, CancelToken, EngineError, Logits, LogitsWanted, ModelInfo, OperatorTime, Runner, SequenceStep, TokenId,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a [`Generator`] knows of its model beyond what the engine says.
///
/// ```
/// let options = kinglet_generate::GeneratorOptions::default();
/// assert_eq!((options.prefill_chunk, options.batch_rows), (256, 512));
/// assert!(options.suppress.is_empty() && options.eos.is_empty() && options.text_vocab.is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GeneratorOptions {
    /// Tokens of a prompt that one step reads, at least 1: other sessions get their turn, and progress is told, in between.
    pub prefill_chunk: usize,
    /// Tokens of all sequences that one step of scoring reads, at least 1.
    pub batch_rows: usize,
    /// Tokens that are never sampled, as `suppress_tokens` of generation_config.json. Ids beyond the vocabulary are ignored.
    pub suppress: Vec<TokenId>,
    /// Logits from this id on are no tokens of text but other outputs of the model, such as rank outputs: every distribution
    /// leaves them out, and they are never sampled. None: the whole vocabulary is text.
    pub text_vocab: Option<usize>,
    /// Tokens that end a reply, as `eos_token_id` of generation_config.json.
    pub eos: Vec<TokenId>,
}

impl Default for GeneratorOptions {
    fn default() -> Self {
        Self { prefill_chunk: 256, batch_rows: 512, suppress: vec![], text_vocab: None, eos: vec![] }
    }
}

/// One runner shared by all sessions, candidates and scores of a model; clones are the same one. Threads that use it at
/// once take turns step by step.
#[derive(Clone)]
pub struct Generator(Arc<Shared>);

struct Shared {
    runner: Mutex<Box<dyn Runner>>,
    info: ModelInfo,
    context: usize,
    options: GeneratorOptions,
}

impl Generator {
    /// Takes the runner over.
    ///
    /// # Errors
    /// [`GenerateError::InvalidOptions`] for a chunk, a batch or a text of no tokens.
    pub fn new(runner: Box<dyn Runner>, mut options: GeneratorOptions) -> Result<Self, GenerateError> {
        let text_vocab = options.text_vocab.unwrap_or(usize::MAX);
        for (field, value) in
            [("prefill_chunk", options.prefill_chunk), ("batch_rows", options.batch_rows), ("text_vocab", text_vocab)]
        {
            if value == 0 {
                return Err(OptionError { field, value: value.to_string(), expected: "at least 1" }.into());
            }
        }
        let (info, context) = (runner.info().clone(), runner.context());
        options.suppress.extend((text_vocab.min(info.vocab)..info.vocab).map(|id| id as TokenId));
        Ok(Self(Arc::new(Shared { runner: Mutex::new(runner), info, context, options })))
    }

    /// The model's facts.
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// Positions one sequence may hold.
    pub fn context(&self) -> usize {
        self.0.context
    }

    /// What it was made with.
    pub fn options(&self) -> &GeneratorOptions {
        &self.0.options
    }

    /// Tokens of text: what distributions are over.
    pub fn text_vocab(&self) -> usize {
        self.0.options.text_vocab.map_or(self.0.info.vocab, |text| text.min(self.0.info.vocab))
    }

    /// The logits, `[vocab]`, of the tokens of text, `[text_vocab]`.
    pub(crate) fn text<'l>(&self, logits: &'l [f32]) -> &'l [f32] {
        &logits[..self.text_vocab()]
    }

    /// Does now what the first step would have to do before it can run; `progress` hears how much is done, from 0 to 1.
    ///
    /// # Errors
    /// What the engine fails with; [`EngineError::Cancelled`] soon after `cancel` is raised.
    pub fn prepare(&self, cancel: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<(), EngineError> {
        self.runner().prepare(cancel, progress)
    }

    /// Begins to time the engine's operators, from nothing.
    pub fn start_profile(&self) {
        self.runner().start_profile();
    }

    /// Ends that, and tells what was timed.
    pub fn take_profile(&self) -> Vec<OperatorTime> {
        self.runner().take_profile()
    }

    /// Bytes that all key/value caches take now. Waits for a step in progress.
    pub fn kv_bytes(&self) -> usize {
        self.runner().kv_bytes()
    }

    /// A runner is consistent between calls, so a lock poisoned by a panic elsewhere is still good.
    fn runner(&self) -> MutexGuard<'_, Box<dyn Runner>> {
        self.0.runner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn empty_cache(&self) -> Result<Cache, EngineError> {
        let id = self.runner().create_cache()?;
        Ok(Cache { generator: self.clone(), id })
    }

    /// One step under the lock. `read` sees the logits, `[rows, vocab]`; it must not touch this generator's caches.
    pub(crate) fn step<R>(
        &self,
        sequences: &[SequenceStep<'_>],
        cancel: &CancelToken,
        read: impl FnOnce(Logits<'_>) -> R,
    ) -> Result<R, EngineError> {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        self.runner().step(sequences, cancel).map(read)
    }

    /// A cache that holds `prompt`, and the logits after it, `[vocab]`. Reads it in chunks.
    pub(crate) fn prefill(&self, prompt: &[TokenId], cancel: &CancelToken) -> Result<(Cache, Vec<f32>), GenerateError> {
        check_prompt(prompt.len(), self.context())?;
        let cache = self.empty_cache()?;
        let mut last = vec![];
        for (tokens, is_last) in chunks(prompt, self.options().prefill_chunk) {
            let logits = if is_last { LogitsWanted::Last } else { LogitsWanted::None };
            self.step(&[SequenceStep { cache: cache.id, tokens, logits }], cancel, |rows| last.extend_from_slice(rows.values()))?;
        }
        Ok((cache, last))
    }
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Generator").field("info", &self.0.info).field("context", &self.0.context).finish_non_exhaustive()
    }
}

/// `tokens` in pieces of at most `size`, each with whether it is the last.
pub(crate) fn chunks(tokens: &[TokenId], size: usize) -> impl Iterator<Item = (&[TokenId], bool)> {
    let pieces = tokens.len().div_ceil(size);
    tokens.chunks(size).enumerate().map(move |(i, piece)| (piece, i + 1 == pieces))
}

/// A cache of the runner, released when dropped.
pub(crate) struct Cache {
    generator: Generator,
    pub(crate) id: CacheId,
}

impl Cache {
    pub(crate) fn fork(&self) -> Result<Self, EngineError> {
        let id = self.generator.runner().fork(self.id)?;
        Ok(Self { generator: self.generator.clone(), id })
    }

    pub(crate) fn truncate(&self, len: usize) -> Result<(), EngineError> {
        self.generator.runner().truncate(self.id, len)
    }

    /// Positions it holds.
    pub(crate) fn len(&self) -> Result<usize, EngineError> {
        self.generator.runner().cache_len(self.id)
    }

    pub(crate) fn generator(&self) -> &Generator {
        &self.generator
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.generator.runner().release(self.id);
    }
}
