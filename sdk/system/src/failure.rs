//! How a system's model fails: each variant is a different thing for the caller to do.

/// Why a system's model gave no answer. Messages come from the host, in one clause, without anything of prompts or answers: they
/// may be logged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SystemFailure {
    /// The guardrails of the system, or the model itself, refuse what was asked or what would have been answered.
    #[error("the system's model refuses to answer ({message}); ask for something else")]
    Refused {
        /// The reason of the refusal.
        message: String,
    },
    /// Instructions, messages and answer are more than the model can hold.
    #[error("the conversation is too long for the system's model ({message}); shorten it or begin another session")]
    ContextTooLong {
        /// The part that was too long.
        message: String,
    },
    /// The model is asked too much, too often, or while the app is in the background.
    #[error("the system's model takes no request now ({message}); ask again later")]
    Busy {
        /// The work in progress, or the quota that is used up.
        message: String,
    },
    /// The model is not there, or not any more.
    #[error("the system's model is unavailable ({message}); see its availability")]
    Unavailable {
        /// The missing part.
        message: String,
    },
    /// The model cannot do what was asked, such as answer in a language that it does not speak.
    #[error("the system's model cannot do that ({message}); use another model")]
    Unsupported {
        /// The missing capability.
        message: String,
    },
    /// The request was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// Anything else.
    #[error("the system's model failed ({message}); try again, and report it if it fails again")]
    Failed {
        /// Description of the failure.
        message: String,
    },
}

impl SystemFailure {
    /// A failure of Kinglet's or the host's own.
    pub(crate) fn failed(message: impl Into<String>) -> SystemFailure {
        SystemFailure::Failed { message: message.into() }
    }
}
