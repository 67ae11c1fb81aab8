//! How an engine fails. Each variant is a different thing for the caller to do.

use crate::{CacheId, SavedCacheError, TokenId};
use kinglet_guard::{NoRoom, Shown};
use std::io;

/// Why an engine could not open a model or run a step. After any of these every cache of the runner has the length it had
/// before the call, and the runner can go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The graph holds something this engine does not run.
    #[error("node `{}` ({}): {reason}", Shown(node), Shown(op_type))]
    UnsupportedNode {
        /// The node's name in the ONNX file, or its first output where it has none.
        node: String,
        /// The ONNX operator.
        op_type: String,
        /// Description of the unsupported property.
        reason: String,
    },
    /// The graph as a whole does not fit what the engine expects of a decoder.
    #[error("unsupported graph: {0}")]
    UnsupportedGraph(String),
    /// A file of the model is damaged or does not hold what it declares.
    #[error("the model's files are inconsistent: {0}")]
    BadModel(String),
    /// A token id at or beyond the vocabulary's size.
    #[error("token {token} is outside the vocabulary of {vocab} tokens")]
    TokenOutOfRange {
        /// The offending token.
        token: TokenId,
        /// Number of tokens in the vocabulary.
        vocab: usize,
    },
    /// A sequence would grow beyond the context that the runner was made for.
    #[error("the sequence needs {needed} positions, the context holds {context}; shorten the input or open a larger context")]
    ContextFull {
        /// Positions the sequence would hold after the step.
        needed: usize,
        /// Positions a sequence may hold.
        context: usize,
    },
    /// All pages of the key/value arena are in use.
    #[error("the key/value cache is full ({budget_bytes} bytes); release a cache or give the runner a larger budget")]
    CacheFull {
        /// Bytes the arena may take.
        budget_bytes: usize,
    },
    /// The system does not give the memory that a step or a model takes.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// The cache was released, or belongs to another runner.
    #[error("{0:?} is not a cache of this runner")]
    UnknownCache(CacheId),
    /// A step or truncation that makes no sense as asked; the message says which argument.
    #[error("invalid request: {0}")]
    InvalidRequest(String),
    /// The bytes to be restored are no saved cache of this model, or are damaged.
    #[error("the saved cache cannot be used: {0}; remove it and compute the sequence anew")]
    SavedCache(#[from] SavedCacheError),
    /// Prepared weights are not those of this model, or not for this machine.
    #[error("the saved weights cannot be used: {0}; remove them and prepare the model anew")]
    SavedWeights(String),
    /// A cache or prepared weights could not be saved to, or restored from, where the caller wanted it.
    #[error("a cache or prepared weights could not be saved or restored ({0}); check the disk")]
    Storage(#[source] io::Error),
    /// The engine's own library is not on this machine; the cause says what was looked for and how to get it.
    #[error("the engine `{engine}` cannot run here: {source}")]
    NoLibrary {
        /// Name of the engine.
        engine: &'static str,
        /// The cause: the places that were searched, and how to get the library.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine's own library has no such provider of computation, or that refuses the machine.
    #[error("the engine `{engine}` has no provider `{provider}` here: {reason}")]
    NoProvider {
        /// Name of the engine.
        engine: &'static str,
        /// Name of the provider.
        provider: &'static str,
        /// Why, and what to do.
        reason: String,
    },
    /// The [`CancelToken`](crate::CancelToken) was raised.
    #[error("cancelled")]
    Cancelled,
    /// The engine's own library failed while running.
    #[error("{engine} failed{}: {source}", .node.as_ref().map(|n| format!(" at node `{}`", Shown(n))).unwrap_or_default())]
    Backend {
        /// Name of the engine.
        engine: &'static str,
        /// The node that was running, where known.
        node: Option<String>,
        /// The library's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}
