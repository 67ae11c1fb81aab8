//! An answer in progress, pulled piece by piece.

use crate::KingletError;
use crate::queue::Queue;
use kinglet::CancelHandle;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Streaming event of an answer.
#[derive(Clone, Debug, PartialEq, uniffi::Enum)]
pub enum Piece {
    /// More of the text, never half a character.
    Text {
        /// It.
        text: String,
    },
    /// The answer is complete; nothing follows.
    Done {
        /// Usage of the answer.
        usage: Usage,
    },
}

/// Usage of an answer: engine, token counts, finish reason and timing.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: u64,
    /// Those of them that were in the cache already.
    pub cached_tokens: u64,
    /// Tokens of the answer, an end token included.
    pub new_tokens: u64,
    /// Why it ended.
    pub finish: FinishReason,
    /// Milliseconds to the first token; none if there is none.
    pub first_token_ms: Option<f64>,
    /// Tokens a second after the first; none if there was no second one.
    pub tokens_per_second: Option<f64>,
    /// The seed that tokens were drawn with.
    pub seed: u64,
    /// Which engine answered: its name, or `system:` and the name of the system's model, which counts no tokens.
    pub engine: String,
    /// The engines that were asked before, and why they did not answer.
    pub refused: Vec<EngineRefusal>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FinishReason {
    /// A stop string appeared; the text ends before it.
    Stop,
    /// The model ended its turn.
    EndOfTurn,
    /// It has as many tokens as were asked for.
    Length,
    /// The context holds no further token.
    ContextFull,
    /// It was cancelled; the text so far is valid.
    Cancelled,
}

impl From<&kinglet::FinishReason> for FinishReason {
    fn from(reason: &kinglet::FinishReason) -> FinishReason {
        match reason {
            kinglet::FinishReason::Stop { .. } => FinishReason::Stop,
            kinglet::FinishReason::Length => FinishReason::Length,
            kinglet::FinishReason::ContextFull => FinishReason::ContextFull,
            kinglet::FinishReason::Cancelled => FinishReason::Cancelled,
            _ => FinishReason::EndOfTurn,
        }
    }
}

/// An engine that did not answer.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct EngineRefusal {
    /// Its name.
    pub engine: String,
    /// Why, in one sentence.
    pub reason: String,
}

impl From<kinglet::Usage> for Usage {
    fn from(usage: kinglet::Usage) -> Usage {
        Usage {
            prompt_tokens: usage.prompt_tokens as u64,
            cached_tokens: usage.cached_tokens as u64,
            new_tokens: usage.new_tokens as u64,
            finish: FinishReason::from(&usage.finish),
            first_token_ms: usage.timing.first_token.map(|time| time.as_secs_f64() * 1e3),
            tokens_per_second: usage.decode_tokens_per_second(),
            seed: usage.seed,
            engine: usage.engine,
            refused: usage.refused.into_iter().map(|r| EngineRefusal { engine: r.engine, reason: r.reason }).collect(),
        }
    }
}

/// State shared by the thread that computes an answer and the one that reads it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pieces: Queue<Result<Piece, KingletError>>,
    cancelled: AtomicBool,
    /// Ends a step in the middle. A session lowers it when an answer begins, so it alone would be raised in vain before.
    step: CancelHandle,
}

impl Shared {
    pub(crate) fn new(step: CancelHandle) -> Shared {
        Shared { pieces: Queue::default(), cancelled: AtomicBool::new(false), step }
    }

    pub(crate) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::SeqCst)
    }

    pub(crate) fn cancel(&self) {
        self.cancelled.store(true, Ordering::SeqCst);
        self.step.cancel();
    }
}

/// An answer in progress. It is computed by a thread of its own, whether it is pulled or not; let go of, it ends.
#[derive(Debug, uniffi::Object)]
pub struct Generation {
    shared: Arc<Shared>,
    #[cfg(feature = "jni")]
    stream: crate::streams::Stream,
}

impl Generation {
    pub(crate) fn new(shared: Arc<Shared>) -> Generation {
        Generation {
            #[cfg(feature = "jni")]
            stream: crate::streams::Stream::of(&shared),
            shared,
        }
    }
}

/// The number of the answer for `dev.kinglet.TextStream`.
#[cfg(feature = "jni")]
#[uniffi::export]
impl Generation {
    /// Handle of this answer, valid until the object is released.
    pub fn stream(&self) -> u64 {
        self.stream.number()
    }
}

#[uniffi::export]
impl Generation {
    /// The next piece, once there is one; none after the last.
    ///
    /// # Errors
    /// The error of the answer, once; nothing follows.
    pub async fn next(&self) -> Result<Option<Piece>, KingletError> {
        poll_fn(|context| self.shared.pieces.poll(context)).await.transpose()
    }

    /// As [`next`](Self::next), with the calling thread waiting.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub fn next_blocking(&self) -> Result<Option<Piece>, KingletError> {
        self.shared.pieces.take().transpose()
    }

    /// Ends the answer within a token; the last piece then says `cancelled`. It never waits.
    pub fn cancel(&self) {
        self.shared.cancel();
    }

    /// Ends the answer, and drops what was not pulled of it.
    pub fn end(&self) {
        self.shared.cancel();
        self.shared.pieces.clear();
    }
}

impl Drop for Generation {
    fn drop(&mut self) {
        self.end();
    }
}
