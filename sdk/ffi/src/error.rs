//! Errors: each variant is another thing for the caller to do, the message is the whole sentence.

use kinglet::Error;

/// Why something was not done. Only the message crosses beside the variant: it says what to do.
#[derive(Debug, thiserror::Error, uniffi::Error)]
#[uniffi(flat_error)]
#[non_exhaustive]
pub enum KingletError {
    /// There is no model where it was looked for: correct the path, or put the model there.
    #[error("{0}")]
    NotFound(String),
    /// The model's files are damaged or incomplete: get them again.
    #[error("{0}")]
    BadModel(String),
    /// This build does not run the model, or the model cannot do what was asked: take another one.
    #[error("{0}")]
    Unsupported(String),
    /// The request makes no sense for this model: correct it.
    #[error("{0}")]
    InvalidRequest(String),
    /// Exceeds the memory budget, or what the system gives: raise the budget, ask for less, or take a smaller model.
    #[error("{0}")]
    OutOfMemory(String),
    /// A folder takes nothing: make room there or name another one.
    #[error("{0}")]
    Storage(String),
    /// The system's model is not there: download it, ask the user to switch it on, or answer without it.
    #[error("{0}")]
    Unavailable(String),
    /// The guardrails of the system's model refuse the request or its answer: ask for something else.
    #[error("{0}")]
    Refused(String),
    /// The request was cancelled. Nothing is wrong.
    #[error("cancelled")]
    Cancelled,
    /// The object was closed, or what it belongs to: make another one.
    #[error("{0}")]
    Closed(String),
    /// No request is possible now: wait until the session's answer is complete, or cancel it; or ask the system's model later.
    #[error("{0}")]
    Busy(String),
    /// The engine or the operating system failed: try again; if it fails again, report it.
    #[error("{0}")]
    Failed(String),
}

impl From<Error> for KingletError {
    fn from(error: Error) -> KingletError {
        let message = sentence(&error);
        match error {
            Error::NotFound { .. } => KingletError::NotFound(message),
            Error::BadModel(_) => KingletError::BadModel(message),
            Error::Unsupported(_) => KingletError::Unsupported(message),
            Error::InvalidRequest(_) => KingletError::InvalidRequest(message),
            Error::OutOfMemory { .. } => KingletError::OutOfMemory(message),
            Error::Storage(_) => KingletError::Storage(message),
            Error::Unavailable(_) => KingletError::Unavailable(message),
            Error::Busy(_) => KingletError::Busy(message),
            Error::Refused(_) => KingletError::Refused(message),
            Error::Cancelled => KingletError::Cancelled,
            _ => KingletError::Failed(message),
        }
    }
}

/// The sentence with all that lies behind it, down to the operating system, said once each.
fn sentence(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(behind) = cause {
        let words = behind.to_string();
        if !said.contains(&words) {
            said = format!("{said}: {words}");
        }
        cause = behind.source();
    }
    said
}

/// Error of a closed object.
pub(crate) fn closed(what: &str) -> KingletError {
    KingletError::Closed(format!("the {what} is closed; open another one"))
}

/// Error of a session with an answer in progress.
pub(crate) fn answering() -> KingletError {
    KingletError::Busy("the session is still answering; wait until its answer is complete, or cancel it".into())
}
