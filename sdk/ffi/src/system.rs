//! The system's own model, as the other language gives it: plain data out, sinks in.

use crate::KingletError;
use crate::cancel::Cancellation;
use crate::model::{Kinglet, Model};
use crate::options::{ChatMessage, OpenOptions};
use std::sync::Arc;

/// When the system's model is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SystemPolicy {
    /// Never.
    Never,
    /// First; the folder's model answers where it is unavailable, or fails before there is any text.
    Prefer,
    /// Second: where the folder's model cannot be opened or runs out of memory.
    Fallback,
    /// Always: no folder is opened.
    Only,
}

impl From<SystemPolicy> for kinglet::SystemPolicy {
    fn from(policy: SystemPolicy) -> kinglet::SystemPolicy {
        match policy {
            SystemPolicy::Never => kinglet::SystemPolicy::Never,
            SystemPolicy::Prefer => kinglet::SystemPolicy::Prefer,
            SystemPolicy::Fallback => kinglet::SystemPolicy::Fallback,
            SystemPolicy::Only => kinglet::SystemPolicy::Only,
        }
    }
}

/// Whether the system's model can be asked now.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SystemAvailability {
    /// Available now.
    Available,
    /// Available after a download, which the app has to request.
    Downloadable,
    /// Not yet available: the download is in progress.
    Downloading,
    /// Not available: the device, the system or the region has no such model.
    NotEligible,
    /// Not available: switched off by the user in the system's settings.
    SwitchedOff,
    /// Not yet available: the system is still preparing it by itself.
    NotReady,
    /// Not available: the system has to be updated.
    NeedsUpdate,
    /// Not available, for another or an unknown reason.
    Unknown {
        /// The reason, in one clause, without anything of prompts or answers.
        message: String,
    },
}

impl From<SystemAvailability> for kinglet::Availability {
    fn from(availability: SystemAvailability) -> kinglet::Availability {
        use kinglet::{Availability, UnavailableReason as Reason};
        let reason = match availability {
            SystemAvailability::Available => return Availability::Available,
            SystemAvailability::Downloadable => return Availability::Downloadable,
            SystemAvailability::Downloading => return Availability::Downloading,
            SystemAvailability::NotEligible => Reason::NotEligible,
            SystemAvailability::SwitchedOff => Reason::SwitchedOff,
            SystemAvailability::NotReady => Reason::NotReady,
            SystemAvailability::NeedsUpdate => Reason::NeedsUpdate,
            SystemAvailability::Unknown { message } => Reason::Unknown { message },
        };
        Availability::Unavailable { reason }
    }
}

impl From<kinglet::Availability> for SystemAvailability {
    fn from(availability: kinglet::Availability) -> SystemAvailability {
        use kinglet::{Availability, UnavailableReason as Reason};
        match availability {
            Availability::Available => SystemAvailability::Available,
            Availability::Downloadable => SystemAvailability::Downloadable,
            Availability::Downloading => SystemAvailability::Downloading,
            Availability::Unavailable { reason } => match reason {
                Reason::NotEligible => SystemAvailability::NotEligible,
                Reason::SwitchedOff => SystemAvailability::SwitchedOff,
                Reason::NotReady => SystemAvailability::NotReady,
                Reason::NeedsUpdate => SystemAvailability::NeedsUpdate,
                Reason::Unknown { message } => SystemAvailability::Unknown { message },
            },
        }
    }
}

/// Request to the system's model.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct SystemRequest {
    /// Instructions for the model.
    pub instructions: Option<String>,
    /// The conversation, oldest first; the last message is to be answered.
    pub messages: Vec<ChatMessage>,
    /// Temperature, 0 for the likeliest; none as the system does by itself.
    pub temperature: Option<f32>,
    /// Draw from this many of the likeliest tokens; none from all.
    pub top_k: Option<u32>,
    /// Draw from the likeliest tokens whose probabilities reach this sum; none from all.
    pub top_p: Option<f32>,
    /// The same seed gives the same answer, where the system can do that.
    pub seed: Option<u64>,
    /// Tokens that the answer has at most.
    pub max_new_tokens: u32,
}

impl From<kinglet::SystemRequest> for SystemRequest {
    fn from(request: kinglet::SystemRequest) -> SystemRequest {
        let role = |role| match role {
            kinglet::SystemRole::System => "system",
            kinglet::SystemRole::User => "user",
            kinglet::SystemRole::Assistant => "assistant",
        };
        let message = |said: kinglet::SystemMessage| ChatMessage { role: role(said.role).to_owned(), content: said.text };
        let sampling = request.sampling;
        SystemRequest {
            instructions: request.instructions,
            messages: request.messages.into_iter().map(message).collect(),
            temperature: sampling.map(|sampling| sampling.temperature),
            top_k: sampling.and_then(|sampling| sampling.top_k),
            top_p: sampling.and_then(|sampling| sampling.top_p),
            seed: sampling.and_then(|sampling| sampling.seed),
            max_new_tokens: request.max_new_tokens,
        }
    }
}

/// Why the system's model gave no answer; messages are one clause without anything of prompts or answers.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum SystemFailure {
    /// Its guardrails refuse what was asked or what would have been answered.
    Refused {
        /// Cause of the refusal.
        message: String,
    },
    /// Instructions, messages and answer are more than it can hold.
    ContextTooLong {
        /// The part that is too long.
        message: String,
    },
    /// Quota or rate limit exceeded, or the app is in the background.
    Busy {
        /// Why no request is possible now.
        message: String,
    },
    /// The model is not available, or no longer.
    Unavailable {
        /// The missing part.
        message: String,
    },
    /// The model does not support the request, such as its language.
    Unsupported {
        /// The unsupported feature.
        message: String,
    },
    /// The request was cancelled.
    Cancelled,
    /// Anything else.
    Failed {
        /// The failure.
        message: String,
    },
}

impl From<SystemFailure> for kinglet::SystemFailure {
    fn from(failure: SystemFailure) -> kinglet::SystemFailure {
        use kinglet::SystemFailure as F;
        match failure {
            SystemFailure::Refused { message } => F::Refused { message },
            SystemFailure::ContextTooLong { message } => F::ContextTooLong { message },
            SystemFailure::Busy { message } => F::Busy { message },
            SystemFailure::Unavailable { message } => F::Unavailable { message },
            SystemFailure::Unsupported { message } => F::Unsupported { message },
            SystemFailure::Cancelled => F::Cancelled,
            SystemFailure::Failed { message } => F::Failed { message },
        }
    }
}

/// Where the host puts an answer. It may be used from any thread and never waits; letting go of it without an end is a failure.
#[derive(Debug, uniffi::Object)]
pub struct SystemAnswer(Arc<kinglet::TextSink>);

#[uniffi::export]
impl SystemAnswer {
    /// More of the text; false where nobody listens any more, and the host ends its work.
    pub fn push(&self, text: String) -> bool {
        self.0.push(text)
    }

    /// The answer is complete; `at_limit` where it has as many tokens as were asked for. The first end counts.
    pub fn finish(&self, at_limit: bool) {
        self.0.finish(if at_limit { kinglet::SystemFinish::Length } else { kinglet::SystemFinish::Complete });
    }

    /// There is no answer, or no more of it. The first end counts.
    pub fn fail(&self, failure: SystemFailure) {
        self.0.fail(failure.into());
    }

    /// Whether nobody listens any more.
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// Where the host tells how a download goes. It may be used from any thread and never waits.
#[derive(Debug, uniffi::Object)]
pub struct SystemDownload(Arc<kinglet::DownloadSink>);

#[uniffi::export]
impl SystemDownload {
    /// Bytes that are here, and that there are, where the system tells; false where nobody listens any more.
    pub fn progress(&self, bytes: u64, total: Option<u64>) -> bool {
        self.0.progress(kinglet::DownloadProgress { bytes, total })
    }

    /// The model is here. The first end counts.
    pub fn finish(&self) {
        self.0.finish();
    }

    /// The download failed. The first end counts.
    pub fn fail(&self, failure: SystemFailure) {
        self.0.fail(failure.into());
    }
}

/// A model of the operating system, as the host app gives it. It is called from threads of Kinglet's own and of its callers, also
/// several at once; what it throws becomes a failure of the request.
#[uniffi::export(foreign)]
pub trait SystemModel: Send + Sync {
    /// A short name for reports, such as `gemini-nano`.
    fn name(&self) -> String;

    /// Whether it can be asked now; asked before each request.
    fn availability(&self) -> SystemAvailability;

    /// Answers `request` into `answer`, here or later from another thread.
    fn respond(&self, request: SystemRequest, answer: Arc<SystemAnswer>);

    /// Downloads the model, or waits for a download in progress.
    fn download(&self, download: Arc<SystemDownload>);

    /// Loads what the first answer would have to load, for sessions that begin with `instructions`.
    fn prewarm(&self, instructions: Option<String>);
}

/// The host at the facade's side.
struct Foreign(Arc<dyn SystemModel>);

impl kinglet::SystemModel for Foreign {
    fn name(&self) -> String {
        self.0.name()
    }

    fn availability(&self) -> kinglet::Availability {
        self.0.availability().into()
    }

    fn respond(&self, request: kinglet::SystemRequest, answer: Arc<kinglet::TextSink>) {
        self.0.respond(request.into(), Arc::new(SystemAnswer(answer)));
    }

    fn download(&self, download: Arc<kinglet::DownloadSink>) {
        self.0.download(Arc::new(SystemDownload(download)));
    }

    fn prewarm(&self, instructions: Option<String>) {
        self.0.prewarm(instructions);
    }
}

/// Hears how a download goes.
#[uniffi::export(foreign)]
pub trait DownloadProgress: Send + Sync {
    /// Bytes that are here, and that there are, where the system tells.
    fn on_progress(&self, bytes: u64, total: Option<u64>);
}

#[uniffi::export]
impl Kinglet {
    /// As the other constructor, with the system's model, and when it is asked.
    ///
    /// # Errors
    /// As there.
    #[uniffi::constructor]
    pub fn with_system_model(
        options: OpenOptions,
        system: Arc<dyn SystemModel>,
        policy: SystemPolicy,
    ) -> Result<Kinglet, KingletError> {
        let builder = options.builder().system_model(Arc::new(Foreign(system)), policy.into());
        Ok(Kinglet { kinglet: builder.build()? })
    }

    /// Opens the system's model alone, without a folder.
    ///
    /// # Errors
    /// [`KingletError::Unsupported`] where none may be asked.
    pub fn open_system(&self) -> Result<Arc<Model>, KingletError> {
        Ok(Arc::new(Model::new(self.kinglet.open_system()?)))
    }

    /// Whether the system's model can be asked now; none where none may be asked.
    pub fn system_availability(&self) -> Option<SystemAvailability> {
        self.kinglet.system_availability().map(SystemAvailability::from)
    }

    /// Downloads the system's model, unless it is here, and waits for that.
    ///
    /// # Errors
    /// [`KingletError::Unsupported`], [`KingletError::Unavailable`], [`KingletError::Cancelled`], [`KingletError::Failed`].
    pub fn download_system(
        &self,
        progress: Option<Arc<dyn DownloadProgress>>,
        cancellation: Arc<Cancellation>,
    ) -> Result<(), KingletError> {
        let hear = |far: kinglet::DownloadProgress| {
            if let Some(progress) = &progress {
                progress.on_progress(far.bytes, far.total);
            }
        };
        Ok(self.kinglet.download_system(&cancellation.handle, hear)?)
    }
}
