//! The mutable half: caches of keys and values, and the step that reads and extends them.

use crate::{CancelToken, EngineError, ModelInfo, OperatorTime, TokenId, TracedValue, model::check_tokens};
use std::io::{Read, Write};

/// Names a cache of one runner. Ids are never used twice, so a stale one is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CacheId(pub u64);

/// Which positions of a sequence's tokens get logits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LogitsWanted {
    /// None: the tokens only extend the cache.
    None,
    /// The last one.
    #[default]
    Last,
    /// Every one.
    All,
    /// These, as ascending indices into the step's tokens.
    At(Vec<usize>),
}

impl LogitsWanted {
    /// Rows of logits that `tokens` tokens give.
    pub fn rows(&self, tokens: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => 1,
            Self::All => tokens,
            Self::At(at) => at.len(),
        }
    }

    /// The wanted indices into a step's `tokens` tokens, ascending.
    pub fn indices(&self, tokens: usize) -> Vec<usize> {
        match self {
            Self::None => vec![],
            Self::Last => vec![tokens - 1],
            Self::All => (0..tokens).collect(),
            Self::At(at) => at.clone(),
        }
    }
}

/// One sequence's share of a step.
#[derive(Clone, Debug)]
pub struct SequenceStep<'a> {
    /// The sequence's cache; a cache appears at most once in a step.
    pub cache: CacheId,
    /// Tokens that follow what the cache holds; at least one.
    pub tokens: &'a [TokenId],
    /// Positions to compute logits for.
    pub logits: LogitsWanted,
}

/// Logits of a step, float32 `[rows, vocab]`: the rows of the first sequence, then of the second, and so on. Borrowed from
/// the runner until its next call.
#[derive(Clone, Copy, Debug)]
pub struct Logits<'a> {
    vocab: usize,
    values: &'a [f32],
}

impl<'a> Logits<'a> {
    /// `values` is `[rows, vocab]`.
    ///
    /// # Panics
    /// If the length of `values` is not a multiple of `vocab`.
    pub fn new(vocab: usize, values: &'a [f32]) -> Self {
        assert!(vocab > 0 && values.len().is_multiple_of(vocab), "{} values are no rows of {vocab}", values.len());
        Self { vocab, values }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.values.len() / self.vocab
    }

    /// Whether no logits were asked for.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Logits a row has.
    pub fn vocab(&self) -> usize {
        self.vocab
    }

    /// Row `i`, `[vocab]`.
    ///
    /// # Panics
    /// If there is no row `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.vocab..][..self.vocab]
    }

    /// All rows, `[rows, vocab]`.
    pub fn values(&self) -> &'a [f32] {
        self.values
    }
}

/// How much memory a runner gives back when the system is short of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Trim {
    /// Memory that the next step allocates again as it goes: buffers, and the room of caches that were released.
    Buffers,
    /// The packed weights as well: the next step begins with the work of [`Runner::prepare`].
    Weights,
}

/// Runs a model over several sequences. Every call either does all it was asked or leaves all caches as they were.
pub trait Runner: Send {
    /// The model's facts.
    fn info(&self) -> &ModelInfo;

    /// Positions one sequence may hold.
    fn context(&self) -> usize;

    /// Does what the first step would have to do before it can run, such as prepacking weights; nothing where that is done.
    /// `progress` hears how much is done, from 0 to 1.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] soon after `cancel` is raised: a later call begins again; [`EngineError::Backend`].
    fn prepare(&mut self, cancel: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<(), EngineError> {
        let _ = (cancel, progress);
        Ok(())
    }

    /// Gives memory back. Caches keep what they hold, and the next step gives what it would have given, later. An engine that has
    /// nothing to give does nothing.
    fn trim(&mut self, depth: Trim) {
        let _ = depth;
    }

    /// Begins to time operators, from nothing; an engine that cannot does nothing.
    fn start_profile(&mut self) {}

    /// Ends that, and tells what was timed, in no particular order; nothing where it was not begun.
    fn take_profile(&mut self) -> Vec<OperatorTime> {
        vec![]
    }

    /// Begins to keep the values of steps, from nothing; an engine that cannot does nothing.
    fn start_trace(&mut self) {}

    /// Ends that, and gives what was kept, in running order: the values that the graph has too, as far as the engine computes
    /// them by themselves. Nothing where it was not begun.
    fn take_trace(&mut self) -> Vec<TracedValue> {
        vec![]
    }

    /// An empty cache. It takes memory as it grows.
    ///
    /// # Errors
    /// [`EngineError::Backend`] if the engine cannot make one.
    fn create_cache(&mut self) -> Result<CacheId, EngineError>;

    /// A cache with the same content. Engines that can share bytes until one side grows do so.
    ///
    /// # Errors
    /// [`EngineError::UnknownCache`], [`EngineError::CacheFull`].
    fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError>;

    /// Shortens a cache to its first `len` positions.
    ///
    /// # Errors
    /// [`EngineError::UnknownCache`]; [`EngineError::InvalidRequest`] if it holds fewer.
    fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError>;

    /// Gives a cache's memory back. Unknown ids are ignored, so releasing twice is harmless.
    fn release(&mut self, cache: CacheId);

    /// Positions a cache holds.
    ///
    /// # Errors
    /// [`EngineError::UnknownCache`].
    fn cache_len(&self, cache: CacheId) -> Result<usize, EngineError>;

    /// Writes the first `len` positions of a cache: what they are ([`CacheFormat`](crate::CacheFormat)), and their keys and
    /// values as they lie in memory. Of later positions nothing is written.
    ///
    /// # Errors
    /// [`EngineError::UnknownCache`]; [`EngineError::InvalidRequest`] for a `len` of 0 or beyond what the cache holds;
    /// [`EngineError::Storage`] where `out` fails. What `out` has got by then is of no use.
    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError>;

    /// A cache with what [`save`](Self::save) wrote, read to its end and no further. Sequences go on from it as from the one
    /// that was saved, bit for bit. Of the keys and values themselves nothing is checked: before the cache is used, the caller
    /// makes sure that the bytes are those that were written, and that the same weights computed them.
    ///
    /// # Errors
    /// [`EngineError::SavedCache`] for what this model's runner did not save, [`EngineError::ContextFull`],
    /// [`EngineError::CacheFull`], [`EngineError::Storage`] where `source` fails. No memory is taken then.
    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError>;

    /// Bytes that all caches of the runner take now.
    fn kv_bytes(&self) -> usize;

    /// Feeds tokens to one or more sequences at once; the weights are read once for all of them. The result does not
    /// depend on which sequences share a step.
    ///
    /// # Errors
    /// Any [`EngineError`]; [`EngineError::Cancelled`] soon after `cancel` is raised. The caches then have the lengths
    /// they had before.
    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError>;
}

/// The check that every engine makes before it truncates a cache of `held` positions to `len`.
///
/// # Errors
/// [`EngineError::InvalidRequest`] for more than are held.
pub fn check_truncate(held: usize, len: usize) -> Result<(), EngineError> {
    if len > held {
        return Err(EngineError::InvalidRequest(format!("cannot truncate {held} positions to {len}")));
    }
    Ok(())
}

/// The check that every engine makes before it saves the first `len` positions of a cache that holds `held`.
///
/// # Errors
/// [`EngineError::InvalidRequest`] for more than are held.
pub fn check_save(held: usize, len: usize) -> Result<(), EngineError> {
    if len > held {
        return Err(EngineError::InvalidRequest(format!("cannot save {len} positions of {held}")));
    }
    Ok(())
}

/// The checks that every engine makes at its door before a step; `len_of` gives the length of a cache.
///
/// # Errors
/// [`EngineError::InvalidRequest`] for an empty step, empty tokens, a cache named twice or wanted rows out of order or
/// range; [`EngineError::TokenOutOfRange`], [`EngineError::ContextFull`], [`EngineError::UnknownCache`].
pub fn check_step(
    sequences: &[SequenceStep<'_>],
    vocab: usize,
    context: usize,
    len_of: impl Fn(CacheId) -> Result<usize, EngineError>,
) -> Result<(), EngineError> {
    let invalid = |why: &str| Err(EngineError::InvalidRequest(why.into()));
    if sequences.is_empty() {
        return invalid("a step needs at least one sequence");
    }
    for (i, s) in sequences.iter().enumerate() {
        if s.tokens.is_empty() {
            return invalid("a sequence's tokens are empty");
        }
        if sequences[..i].iter().any(|other| other.cache == s.cache) {
            return invalid("a cache appears twice in one step");
        }
        if let LogitsWanted::At(at) = &s.logits
            && (at.windows(2).any(|w| w[0] >= w[1]) || at.last().is_some_and(|&l| l >= s.tokens.len()))
        {
            return invalid("the wanted positions are not ascending indices into the tokens");
        }
        check_tokens(s.tokens, vocab)?;
        let needed = len_of(s.cache)? + s.tokens.len();
        if needed > context {
            return Err(EngineError::ContextFull { needed, context });
        }
    }
    Ok(())
}
