//! The contract of models that the operating system brings, such as Gemini Nano and Apple's: text in, text out, by way of the
//! host app.
//!
//! Knows: what such a model is asked ([`SystemRequest`]), whether it is there ([`Availability`]), how it answers and fails
//! ([`TextSink`], [`SystemFailure`]), and how a host that panics, hangs or never ends is kept at a distance ([`Host`]).
//! Must not know: tokens, engines, files, tasks, and which systems there are.
//!
//! The host app implements [`SystemModel`]. Its methods take and give plain data and handles that are shared, so that it can be
//! implemented in Kotlin and Swift; the sinks are pushed into from any thread and pulled from by Kinglet.
//!
//! # What a host maps to what
//!
//! Left what this crate says; in the middle Apple's Foundation Models as of iOS 26 (`SystemLanguageModel.Availability` and
//! `LanguageModelSession.GenerationError`); right the GenAI Prompt API of ML Kit, which reaches Gemini Nano through AICore
//! (`FeatureStatus`, `GenAiException.ErrorCode`, `Candidate.FinishReason`).
//!
//! | | Foundation Models | ML Kit |
//! |---|---|---|
//! | [`Available`](Availability::Available) | `available` | `AVAILABLE` |
//! | [`Downloadable`](Availability::Downloadable) | | `DOWNLOADABLE` |
//! | [`Downloading`](Availability::Downloading) | | `DOWNLOADING` |
//! | [`NotEligible`](UnavailableReason::NotEligible) | `deviceNotEligible` | `UNAVAILABLE`, `NOT_AVAILABLE` |
//! | [`SwitchedOff`](UnavailableReason::SwitchedOff) | `appleIntelligenceNotEnabled` | |
//! | [`NotReady`](UnavailableReason::NotReady) | `modelNotReady`: the system downloads by itself, and cannot be asked to | |
//! | [`NeedsUpdate`](UnavailableReason::NeedsUpdate) | | `AICORE_INCOMPATIBLE`, `NEEDS_SYSTEM_UPDATE` |
//! | [`Refused`](SystemFailure::Refused) | `guardrailViolation`, `refusal` | `REQUEST_PROCESSING_ERROR`, `RESPONSE_GENERATION_ERROR`, `RESPONSE_PROCESSING_ERROR`: policy checks |
//! | [`ContextTooLong`](SystemFailure::ContextTooLong) | `exceededContextWindowSize`: 4,096 tokens of instructions, prompts and answers | `REQUEST_TOO_LARGE` |
//! | [`Busy`](SystemFailure::Busy) | `rateLimited`, `concurrentRequests` | `BUSY`, `PER_APP_BATTERY_USE_QUOTA_EXCEEDED`, `BACKGROUND_USE_BLOCKED` |
//! | [`Unavailable`](SystemFailure::Unavailable) | `assetsUnavailable` | `NOT_AVAILABLE`, `NOT_ENOUGH_DISK_SPACE` |
//! | [`Unsupported`](SystemFailure::Unsupported) | `unsupportedLanguageOrLocale`, `unsupportedGuide` | |
//! | [`Cancelled`](SystemFailure::Cancelled) | `CancellationError` | `CANCELLED` |
//! | [`Failed`](SystemFailure::Failed) | `decodingFailure`, anything else | anything else |
//! | [`Length`](SystemFinish::Length) | not told | `MAX_TOKENS` |
//!
//! Foundation Models streams snapshots of the whole answer, of which a host pushes what is added each time. ML Kit takes 1 to 256
//! tokens of answer at most, and one prompt, in which a host writes down the messages. Neither knows stop strings: Kinglet
//! finds them in the text.
#![forbid(unsafe_code)]

mod answer;
mod availability;
mod download;
mod failure;
pub mod fake;
mod host;
mod line;
mod model;
mod request;

pub use answer::{SystemAnswer, SystemEnd, SystemEvent, TextSink};
pub use availability::{Availability, UnavailableReason};
pub use download::{DownloadProgress, DownloadSink};
pub use failure::SystemFailure;
pub use host::Host;
pub use model::SystemModel;
pub use request::{SystemFinish, SystemMessage, SystemRequest, SystemRole, SystemSampling};
