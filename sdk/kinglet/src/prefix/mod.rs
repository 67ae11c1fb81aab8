//! The prefix cache: common prefixes of prompts are computed once, pooled in memory for this process and saved in a folder for
//! the next.
//!
//! `file` is the form of one file, `folder` keeps to the size and to whole files, and here is decided what is saved and when.
//! None of it knows how an engine writes its keys and values.

mod file;
mod folder;
mod session;

pub(crate) use session::{FixedPrefix, Remembering};

use crate::engines::Chosen;
use crate::local_model::LocalModel;
use crate::saved::{self, ModelKey};
use crate::{Bytes, CancelHandle, Error, Model, Prompt};
use file::Unread;
use folder::Folder;
use kinglet_bundle::Bundle;
use kinglet_engine::{EngineError, RunnerOptions};
use kinglet_generate::{GenerateError, Generator, Prefix};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// Prefixes of fewer tokens are computed about as fast as they are found.
const LEAST_TOKENS: usize = 16;

/// Folder in which prefixes of prompts are saved, so that they need not be computed again after a restart.
///
/// A session saves its instructions and tools when they were first read; each later session of the same model with the same
/// prefix restores them, in this process and in others, instead of computing them. Processes may share the folder. What is
/// damaged is removed and computed anew, and where nothing can be saved, answers come all the same.
///
/// An application that may be ended at any time, as on phones, saves a conversation with [`Session::save`](crate::Session::save).
///
/// Instructions and conversations can be read out of the files, which are for this user alone where the system knows such permissions.
///
/// ```
/// use kinglet::{Bytes, Kinglet, PrefixCache};
/// let cache = PrefixCache::new("cache/kinglet");
/// assert_eq!(cache.max_bytes, Bytes::mib(256));
/// let kinglet = Kinglet::builder().prefix_cache(cache).build()?;
/// # Ok::<(), kinglet::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixCache {
    /// The folder; it is made when something is first saved. Only files with names of the cache's own are touched in it.
    pub dir: PathBuf,
    /// Bytes that all files together may take. Those that were not used for longest are removed where there would be more.
    pub max_bytes: Bytes,
}

impl PrefixCache {
    /// Files of 256 MiB in `dir`.
    pub fn new(dir: impl Into<PathBuf>) -> PrefixCache {
        PrefixCache { dir: dir.into(), max_bytes: Bytes::mib(256) }
    }
}

/// Where a prefix came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PrefixSource {
    /// Found in the prefix pool in memory.
    Memory,
    /// Restored from a file.
    Disk,
    /// Computed, in whole or in part.
    Computed,
}

/// Result of [`Model::save_prefix`] or [`Session::save`](crate::Session::save).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SavedPrefix {
    /// Tokens it has.
    pub tokens: usize,
    /// Where it came from.
    pub source: PrefixSource,
    /// The size of its file; `None` where it has none, for want of a [`PrefixCache`] or of tokens (at least 16).
    pub file: Option<Bytes>,
}

/// The saved prefixes of one model, as it is opened.
#[derive(Debug)]
pub(crate) struct Prefixes {
    folder: Folder,
    /// Nothing more is saved once that failed.
    gave_up: AtomicBool,
}

impl Prefixes {
    /// Reads what tells this model from others. No folder is touched.
    pub(crate) fn new(cache: &PrefixCache, bundle: &Bundle, engine: &Chosen, options: &RunnerOptions) -> Prefixes {
        let key = key(bundle, engine, options);
        Prefixes { folder: Folder::new(cache.dir.clone(), cache.max_bytes.0, key), gave_up: AtomicBool::new(false) }
    }

    /// Restores the longest saved prefix of `tokens` to the prefix pool, if it is longer than the one there.
    fn restore(&self, generator: &Generator, tokens: &[u32]) {
        let known = generator.kept_tokens(tokens);
        let restored = self.folder.restore(tokens, known, |prefix, source| {
            let prefix = Prefix::restore(generator, prefix, source).map_err(|error| match &error {
                GenerateError::Engine(EngineError::SavedCache(reason)) => Unread::Damaged(reason.to_string()),
                _ => Unread::NotNow(error.to_string()),
            })?;
            Ok(prefix)
        });
        if let Some(Err(error)) = restored.map(|prefix| generator.add_prefix(&prefix)) {
            log::info!("a restored prefix is not used: {error}");
        }
    }

    /// Saves a prefix unless it is saved already, and gives the size of its file; `None` for one that is too short.
    fn save(&self, prefix: &Prefix) -> io::Result<Option<Bytes>> {
        let tokens = prefix.tokens();
        if tokens.len() < LEAST_TOKENS {
            return Ok(None);
        }
        if let Some(bytes) = self.folder.saved_bytes(tokens) {
            return Ok(Some(Bytes(bytes)));
        }
        let saved = self.folder.save(tokens, |out| {
            prefix.save(out).map_err(|error| match error {
                GenerateError::Engine(EngineError::Storage(error)) => error,
                other => io::Error::other(other),
            })
        })?;
        Ok(Some(Bytes(saved)))
    }

    /// Saves what a conversation holds, and says what came of it.
    ///
    /// # Errors
    /// [`Error::Storage`].
    pub(crate) fn save_held(&self, held: Option<&Prefix>) -> Result<SavedPrefix, Error> {
        let file = held.map_or(Ok(None), |held| self.save(held)).map_err(|error| self.unsaved(error))?;
        let tokens = held.map_or(0, |held| held.tokens().len());
        Ok(SavedPrefix { tokens, source: PrefixSource::Memory, file })
    }

    /// Saves a prefix if that is possible; the first time that it is not is told in the log.
    fn try_to_save(&self, prefix: &Prefix) {
        if self.gave_up.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = self.save(prefix) {
            self.gave_up.store(true, Ordering::Relaxed);
            log::warn!("{}", self.unsaved(error));
        }
    }

    fn unsaved(&self, error: io::Error) -> Error {
        let folder = self.folder.path().display();
        Error::Storage(format!("the prefix cache in `{folder}` cannot be written ({error}); make room there, allow a larger size or name another folder; answers come without it").into())
    }
}

/// Everything that keys and values depend on besides the tokens, and the version of what computed them.
fn key(bundle: &Bundle, engine: &Chosen, options: &RunnerOptions) -> ModelKey {
    let info = engine.model.info();
    let facts = [
        info.engine.to_owned(),
        info.precision.to_string(),
        format!("keys and values: {:?}", options.kv_type),
        format!("weights: {:?}", options.weights),
        format!("exact: {}", options.exact_activations),
        // Another instruction set or library rounds its sums otherwise.
        engine.arithmetic.clone(),
    ];
    saved::key(&bundle.fingerprint(), facts)
}

impl Model {
    /// Restores the longest prefix of `prompt` that the [`PrefixCache`] holds, and gives the number of its tokens that are in
    /// memory then. Every request whose prompt begins so goes on from there. Sessions do this by themselves; call it to have it
    /// done before there is a request.
    ///
    /// # Errors
    /// Those of [`tokenize`](Self::tokenize) for a prompt of text.
    pub fn restore_prefix(&self, prompt: impl Into<Prompt>) -> Result<usize, Error> {
        let tokens = self.prompt_tokens(prompt.into(), &CancelHandle::default().0)?;
        let local = self.local()?;
        local.restore(&tokens);
        Ok(local.generator.kept_tokens(&tokens))
    }

    /// Has `prompt` in memory, so that every request whose prompt begins with it goes on from there, and saves it where there
    /// is a [`PrefixCache`]. The prefix pool in memory holds eight, and evicts them where a request needs the room.
    ///
    /// ```
    /// use kinglet::{CancelHandle, Kinglet, PrefixSource};
    /// let model = Kinglet::builder().build()?.open("goldcrest")?;
    /// let kept = model.save_prefix("<|begin|><|customer|>Hello! ", &CancelHandle::default())?;
    /// assert_eq!((kept.source, kept.file), (PrefixSource::Computed, None));
    /// # Ok::<(), kinglet::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Storage`] where it cannot be saved: it is in the prefix pool all the same. [`Error::InvalidRequest`] for a prompt
    /// that is empty or does not fit the context, [`Error::OutOfMemory`], [`Error::Cancelled`].
    pub fn save_prefix(&self, prompt: impl Into<Prompt>, cancel: &CancelHandle) -> Result<SavedPrefix, Error> {
        let tokens = self.prompt_tokens(prompt.into(), &cancel.0)?;
        let local = self.local()?;
        let generator = &local.generator;
        let in_memory = || !tokens.is_empty() && generator.kept_tokens(&tokens) == tokens.len();
        let source = if in_memory() {
            PrefixSource::Memory
        } else {
            local.restore(&tokens);
            if in_memory() { PrefixSource::Disk } else { PrefixSource::Computed }
        };
        let prefixes = local.prefixes.as_ref().filter(|_| tokens.len() >= LEAST_TOKENS);
        let saved = prefixes.and_then(|prefixes| prefixes.folder.saved_bytes(&tokens)).map(Bytes);
        let done = SavedPrefix { tokens: tokens.len(), source, file: saved };
        if source != PrefixSource::Computed && saved.is_some() == prefixes.is_some() {
            return Ok(done);
        }
        let prefix = Prefix::compute(generator, &tokens, &cancel.0)?;
        generator.add_prefix(&prefix)?;
        let Some(prefixes) = prefixes else { return Ok(done) };
        Ok(SavedPrefix { file: prefixes.save(&prefix).map_err(|error| prefixes.unsaved(error))?, ..done })
    }

    /// Has the fixed prefix of all prompts of a task in memory, where there is a prefix cache and it is worth it. That it could not
    /// be saved is told in the log.
    ///
    /// # Errors
    /// [`Error::Cancelled`]; whatever else is wrong, the request itself will tell.
    pub(crate) fn keep_fixed(&self, tokens: impl FnOnce() -> Vec<u32>, cancel: &CancelHandle) -> Result<(), Error> {
        let local = self.local()?;
        if local.prefixes.is_none() {
            return Ok(());
        }
        let tokens = tokens();
        if tokens.len() < LEAST_TOKENS || local.generator.kept_tokens(&tokens) == tokens.len() {
            return Ok(());
        }
        match self.save_prefix(tokens, cancel) {
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Err(error @ Error::Storage(_)) => log::warn!("{error}"),
            Err(error) => log::debug!("a prefix is not kept: {error}"),
            Ok(_) => {}
        }
        Ok(())
    }
}

impl LocalModel {
    /// The saved prefixes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no prefix cache.
    pub(crate) fn prefixes(&self) -> Result<&Prefixes, Error> {
        let message = "there is no folder to keep it in; name one by `Builder::prefix_cache` when the model is opened";
        self.prefixes.as_ref().ok_or_else(|| Error::unsupported(message))
    }

    /// As [`Model::restore_prefix`], for tokens that are worth it.
    pub(crate) fn restore(&self, tokens: &[u32]) {
        if let Some(prefixes) = self.prefixes.as_ref().filter(|_| tokens.len() >= LEAST_TOKENS) {
            prefixes.restore(&self.generator, tokens);
        }
    }
}
