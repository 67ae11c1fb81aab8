//! Kinglet for Kotlin and Swift: the facade as uniffi carries it over.
//!
//! Knows: the facade, and how objects, records and errors cross into another language. Must not know: engines, files, or how the
//! other language shows any of it. The hand-written API of each language (`android/`, `ios/`) stands over what uniffi makes of
//! this crate, and no application sees the generated module.
//!
//! An object may be used from any thread, and closed at any time: what is in progress ends, and what comes later is
//! [`KingletError::Closed`]. An answer is pulled piece by piece ([`Generation::next`]), so that the language's own means of
//! structured concurrency end it; no callback runs on a thread that the language does not know.

#![deny(unsafe_code)]

mod cancel;
mod error;
mod file_range;
mod generation;
#[cfg(feature = "jni")]
mod jni;
mod model;
mod options;
mod pressure;
mod queue;
mod replies;
mod session;
#[cfg(feature = "jni")]
mod streams;
mod system;

pub use cancel::Cancellation;
pub use error::KingletError;
pub use file_range::FileRange;
pub use generation::{EngineRefusal, FinishReason, Generation, Piece, Usage};
pub use model::{Kinglet, Memory, Model, ModelInfo, PrepareProgress};
pub use options::{ChatMessage, EngineChoice, GenerationOptions, OpenOptions, Sampling, SessionSetup, WeightsChoice};
pub use pressure::{MemoryPressure, ThermalState};
pub use replies::{ReplyOptions, ReplyScore, ReplySource, ReplyStatus, SmartReplies, SuggestedReply, Talk, TalkTurn};
pub use session::Session;
pub use system::{
    DownloadProgress, SystemAnswer, SystemAvailability, SystemDownload, SystemFailure, SystemModel, SystemPolicy, SystemRequest,
};

uniffi::setup_scaffolding!();
