//! One runner, shared.

use crate::prefix::Prefix;
use crate::request::check_prompt;
use crate::scheduler::Scheduler;
use crate::{GenerateError, OptionError};
use kinglet_engine::{
    CacheId, CancelToken, EngineError, LogitsWanted, ModelInfo, OperatorTime, Runner, SavedCacheError, SequenceStep, TokenId,
    Trim,
};
use std::io::{Read, Write};
use std::sync::Arc;

/// Options of a [`Generator`]: batch sizes and token ids of its model that the engine does not report.
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
    /// Tokens of all sequences that share a step, at least 1: of scoring, and of sessions at once.
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

/// One runner shared by all sessions, candidates and scores of a model; clones are the same one. Steps of threads that use it at
/// once run together, which changes no answer.
#[derive(Clone)]
pub struct Generator(Arc<Shared>);

struct Shared {
    scheduler: Scheduler,
    info: ModelInfo,
    context: usize,
    options: GeneratorOptions,
}

/// Result of [`Generator::prefill`].
pub(crate) struct Prefilled {
    /// Holds the prompt.
    pub(crate) cache: Cache,
    /// After the prompt, `[vocab]`.
    pub(crate) logits: Vec<f32>,
    /// Tokens of the prompt that came from the prefix pool and were not computed.
    pub(crate) kept: usize,
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
        let scheduler = Scheduler::new(runner, options.batch_rows);
        Ok(Self(Arc::new(Shared { scheduler, info, context, options })))
    }

    /// The model's facts.
    pub fn info(&self) -> &ModelInfo {
        &self.0.info
    }

    /// Positions one sequence may hold.
    pub fn context(&self) -> usize {
        self.0.context
    }

    /// The options it was created with.
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
    /// Those of the engine; [`EngineError::Cancelled`] soon after `cancel` is raised.
    pub fn prepare(&self, cancel: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<(), EngineError> {
        self.scheduler().turn(|runner, _| runner.prepare(cancel, progress))
    }

    /// Begins to time the engine's operators, from nothing.
    pub fn start_profile(&self) {
        self.scheduler().turn(|runner, _| runner.start_profile());
    }

    /// Ends that, and tells what was timed.
    pub fn take_profile(&self) -> Vec<OperatorTime> {
        self.scheduler().turn(|runner, _| runner.take_profile())
    }

    /// Bytes that all key/value caches take now, those of the prefix pool included. Waits for a step in progress.
    pub fn kv_bytes(&self) -> usize {
        self.scheduler().turn(|runner, _| runner.kv_bytes())
    }

    /// Adds a prefix to the prefix pool: every sequence that begins with it, or with a part of it, goes on from there and shares
    /// its memory. The pool holds eight; where there is no room for a step, the least recently used are evicted.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] where the engine cannot share it.
    pub fn add_prefix(&self, prefix: &Prefix) -> Result<(), GenerateError> {
        self.scheduler().turn(|runner, kept| {
            let id = runner.fork(prefix.cache().id)?;
            kept.add(prefix.tokens().to_vec(), id).into_iter().for_each(|cache| runner.release(cache));
            Ok(())
        })
    }

    /// Length of the longest prefix of `tokens` in the prefix pool.
    pub fn kept_tokens(&self, tokens: &[TokenId]) -> usize {
        self.scheduler().turn(|_, kept| kept.common(tokens))
    }

    /// Releases memory: the prefix pool, and what [`Runner::trim`] releases. It never waits: during a step it is done behind it.
    pub fn trim(&self, depth: Trim) {
        self.scheduler().trim(depth);
    }

    /// Has steps wait until [`resume`](Self::resume); the one in progress ends first. Cancelling ends the waiting.
    pub fn pause(&self) {
        self.scheduler().throttle().pause(true);
    }

    /// Ends a pause, however often it was asked for.
    pub fn resume(&self) {
        self.scheduler().throttle().pause(false);
    }

    /// The share of the time that steps may use, from 0.01 to 1: between two of them, the device rests. Answers stay the same.
    pub fn set_share(&self, share: f64) {
        self.scheduler().throttle().set_share(share);
    }

    pub(crate) fn scheduler(&self) -> &Scheduler {
        &self.0.scheduler
    }

    pub(crate) fn empty_cache(&self) -> Result<Cache, EngineError> {
        let id = self.scheduler().turn(|runner, _| runner.create_cache())?;
        Ok(Cache { generator: self.clone(), id })
    }

    /// A fork of the pooled prefix that has most tokens in common with `prompt`, truncated to them, and how many they are; `None`
    /// where that is not more than `known`.
    pub(crate) fn cache_beyond(&self, known: usize, prompt: &[TokenId]) -> Result<Option<(Cache, usize)>, EngineError> {
        let found = self.scheduler().turn(|runner, kept| {
            let Some((prefix, len)) = kept.longest(prompt).filter(|(_, len)| *len > known) else { return Ok(None) };
            let id = runner.fork(prefix)?;
            if let Err(error) = runner.truncate(id, len) {
                runner.release(id);
                return Err(error);
            }
            Ok(Some((id, len)))
        })?;
        Ok(found.map(|(id, len)| (Cache { generator: self.clone(), id }, len)))
    }

    /// A cache of `len` positions with what was saved.
    pub(crate) fn restore(&self, len: usize, source: &mut dyn Read) -> Result<Cache, EngineError> {
        let id = self.scheduler().turn(|runner, _| runner.restore(source))?;
        let cache = Cache { generator: self.clone(), id };
        match cache.len()? {
            held if held == len => Ok(cache),
            held => Err(SavedCacheError::BadLength(held as u32).into()),
        }
    }

    /// Reads `prompt` in chunks, from the end of its longest pooled prefix.
    pub(crate) fn prefill(&self, prompt: &[TokenId], cancel: &CancelToken) -> Result<Prefilled, GenerateError> {
        check_prompt(prompt.len(), self.context())?;
        let (cache, kept) = match self.cache_beyond(0, &prompt[..prompt.len() - 1])? {
            Some(found) => found,
            None => (self.empty_cache()?, 0),
        };
        let mut last = vec![];
        for (tokens, is_last) in chunks(&prompt[kept..], self.options().prefill_chunk) {
            let logits = if is_last { LogitsWanted::Last } else { LogitsWanted::None };
            self.scheduler().step(&[SequenceStep { cache: cache.id, tokens, logits }], cancel, |rows| {
                last.extend_from_slice(rows.values())
            })?;
        }
        Ok(Prefilled { cache, logits: last, kept })
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
        let id = self.generator.scheduler().turn(|runner, _| runner.fork(self.id))?;
        Ok(Self { generator: self.generator.clone(), id })
    }

    pub(crate) fn truncate(&self, len: usize) -> Result<(), EngineError> {
        self.generator.scheduler().turn(|runner, _| runner.truncate(self.id, len))
    }

    /// Positions it holds.
    pub(crate) fn len(&self) -> Result<usize, EngineError> {
        self.generator.scheduler().turn(|runner, _| runner.cache_len(self.id))
    }

    /// Writes its first `len` positions.
    pub(crate) fn save(&self, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        self.generator.scheduler().turn(|runner, _| runner.save(self.id, len, out))
    }

    pub(crate) fn generator(&self) -> &Generator {
        &self.generator
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.generator.scheduler().release(self.id);
    }
}
