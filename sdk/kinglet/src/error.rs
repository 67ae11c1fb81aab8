//! How Kinglet fails: each variant is a different thing for the caller to do.

use crate::Bytes;
use kinglet_bundle::BundleError;
use kinglet_engine::EngineError;
use kinglet_generate::GenerateError;
use kinglet_guard::{NoRoom, one_line};
use kinglet_system::SystemFailure;
use kinglet_tasks::TaskError;
use kinglet_text::TextError;
use std::fmt;
use std::path::PathBuf;

/// Source of an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why something was not done. The message is one clear sentence that says what to do; what lies behind it, down to the
/// operating system, is the chain of [`source`](std::error::Error::source). Names out of a model's files are shown on one line, so
/// that they cannot steer a terminal.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// There is no model where it was looked for: correct the path or the name, or put the model there.
    NotFound {
        /// The whole sentence.
        message: String,
        /// The folders that were looked for, in order.
        looked: Vec<PathBuf>,
    },
    /// The model's files are damaged, incomplete or contradict each other: get them again.
    BadModel(Cause),
    /// The model is sound, but this build does not run it or it cannot do what was asked: take another model or engine.
    Unsupported(Cause),
    /// The request makes no sense for this model: correct it.
    InvalidRequest(Cause),
    /// Exceeds the memory budget, or what the system gives: raise the budget, ask for less, or take a smaller model.
    OutOfMemory {
        /// Bytes that it would take at least.
        needed: Bytes,
        /// Bytes that it may take; 0 where the system gives no more, and does not say how much it would.
        budget: Bytes,
        /// The whole sentence: what is needed, and what would fit.
        advice: String,
    },
    /// The folder of the prefix cache, or of prepared weights, takes nothing: make room there or name another one. Answers come
    /// without it.
    Storage(Cause),
    /// The system's model is not there: download it, ask the user to switch it on, or answer without it; its
    /// [`Availability`](crate::Availability) says which.
    Unavailable(Cause),
    /// The system's model takes no request now, for a quota or since the app is in the background: ask again later.
    Busy(Cause),
    /// The guardrails of the system's model refuse the request or its answer: ask for something else. No other model is asked
    /// instead.
    Refused(Cause),
    /// A [`CancelHandle`](crate::CancelHandle) was raised, or the system cancelled the request. Nothing is wrong.
    Cancelled,
    /// The engine or the operating system failed: try again; if it fails again, report it.
    Failed(Cause),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = match self {
            Error::NotFound { message, .. } | Error::OutOfMemory { advice: message, .. } => message.clone(),
            Error::Cancelled => "cancelled".to_owned(),
            _ => self.cause().map(ToString::to_string).unwrap_or_default(),
        };
        f.write_str(&one_line(&message))
    }
}

impl std::error::Error for Error {
    /// The source of the cause, whose own message is this error's.
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.cause()?.source()
    }
}

impl Error {
    fn cause(&self) -> Option<&Cause> {
        use Error as E;
        match self {
            E::BadModel(cause) | E::Unsupported(cause) | E::InvalidRequest(cause) | E::Storage(cause) => Some(cause),
            E::Unavailable(cause) | E::Busy(cause) | E::Refused(cause) | E::Failed(cause) => Some(cause),
            E::NotFound { .. } | E::OutOfMemory { .. } | E::Cancelled => None,
        }
    }

    /// A request that makes no sense, with the sentence that says why.
    pub(crate) fn invalid(message: impl Into<String>) -> Error {
        Error::InvalidRequest(message.into().into())
    }

    /// Something that this model or build cannot do, with the sentence that says so.
    pub(crate) fn unsupported(message: impl Into<String>) -> Error {
        Error::Unsupported(message.into().into())
    }
}

impl From<BundleError> for Error {
    fn from(error: BundleError) -> Error {
        use BundleError as E;
        match &error {
            E::NotFound { folder }
            | E::EmptyFolder { folder }
            | E::NoModel { folder, .. }
            | E::HubName { name: folder }
            | E::NotAFolder { path: folder, .. } => Error::NotFound { looked: vec![folder.clone()], message: error.to_string() },
            E::OtherFormat { .. } | E::UnknownArchitecture { .. } | E::Pipeline { .. } | E::UnsupportedVariant { .. } => {
                Error::Unsupported(error.into())
            }
            E::UnknownVariant { .. } => Error::InvalidRequest(error.into()),
            _ => Error::BadModel(error.into()),
        }
    }
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Error {
        use EngineError as E;
        match error {
            E::UnsupportedNode { .. } | E::UnsupportedGraph(_) | E::NoLibrary { .. } | E::NoProvider { .. } => {
                Error::Unsupported(error.into())
            }
            E::BadModel(_) => Error::BadModel(error.into()),
            E::TokenOutOfRange { .. } | E::ContextFull { .. } | E::InvalidRequest(_) => Error::InvalidRequest(error.into()),
            E::CacheFull { budget_bytes } => {
                let budget = Bytes(budget_bytes as u64);
                Error::OutOfMemory { needed: budget, budget, advice: error.to_string() }
            }
            E::NoRoom(none) => none.into(),
            E::Storage(_) => Error::Storage(error.into()),
            E::Cancelled => Error::Cancelled,
            _ => Error::Failed(error.into()),
        }
    }
}

impl From<NoRoom> for Error {
    fn from(none: NoRoom) -> Error {
        // The system does not say how much it would give.
        Error::OutOfMemory { needed: Bytes(none.bytes), budget: Bytes(0), advice: none.to_string() }
    }
}

impl From<TextError> for Error {
    fn from(error: TextError) -> Error {
        use TextError as E;
        match &error {
            E::NoRoom(none) => none.clone().into(),
            E::Read { .. }
            | E::Unfit(_)
            | E::NotText { .. }
            | E::Json { .. }
            | E::Field { .. }
            | E::Tokenizer { .. }
            | E::TokenizerFailed { .. }
            | E::TemplateSyntax { .. }
            | E::TemplateEndless { .. } => Error::BadModel(error.into()),
            E::NoStack { .. } => Error::Failed(error.into()),
            E::Cancelled => Error::Cancelled,
            _ => Error::InvalidRequest(error.into()),
        }
    }
}

impl From<GenerateError> for Error {
    fn from(error: GenerateError) -> Error {
        use GenerateError as E;
        match error {
            E::Text(error) => error.into(),
            E::Engine(error) => error.into(),
            E::Cancelled => Error::Cancelled,
            E::BadLogits { .. } => Error::BadModel(error.into()),
            E::SessionFailed => Error::Failed(error.into()),
            _ => Error::InvalidRequest(error.into()),
        }
    }
}

impl From<TaskError> for Error {
    fn from(error: TaskError) -> Error {
        use TaskError as E;
        match error {
            E::Text(error) => error.into(),
            E::Generate(error) => error.into(),
            E::Cancelled => Error::Cancelled,
            E::Extras(_) => Error::BadModel(error.into()),
            _ => Error::InvalidRequest(error.into()),
        }
    }
}

impl From<SystemFailure> for Error {
    fn from(failure: SystemFailure) -> Error {
        use SystemFailure as F;
        match failure {
            F::Refused { .. } => Error::Refused(failure.into()),
            F::ContextTooLong { .. } => Error::InvalidRequest(failure.into()),
            F::Busy { .. } => Error::Busy(failure.into()),
            F::Unavailable { .. } => Error::Unavailable(failure.into()),
            F::Unsupported { .. } => Error::Unsupported(failure.into()),
            F::Cancelled => Error::Cancelled,
            F::Failed { .. } => Error::Failed(failure.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_bundle::OtherFormat;
    use kinglet_tasks::ExtrasError;
    use std::error::Error as _;
    use std::io;

    #[test]
    fn each_failure_is_something_to_do() {
        struct Case(Error, &'static str);
        let variant = |error: &Error| match error {
            Error::NotFound { .. } => "not found",
            Error::BadModel(_) => "bad model",
            Error::Unsupported(_) => "unsupported",
            Error::InvalidRequest(_) => "invalid request",
            Error::OutOfMemory { .. } => "out of memory",
            Error::Storage(_) => "storage",
            Error::Unavailable(_) => "unavailable",
            Error::Busy(_) => "busy",
            Error::Refused(_) => "refused",
            Error::Cancelled => "cancelled",
            Error::Failed(_) => "failed",
        };
        let node = EngineError::UnsupportedNode { node: "n".into(), op_type: "Loop".into(), reason: "r".into() };
        for Case(error, expected) in [
            Case(BundleError::NotFound { folder: "a".into() }.into(), "not found"),
            Case(BundleError::EmptyFolder { folder: "a".into() }.into(), "not found"),
            Case(BundleError::HubName { name: "a/b".into() }.into(), "not found"),
            Case(BundleError::OtherFormat { path: "a.gguf".into(), format: OtherFormat::Gguf }.into(), "unsupported"),
            Case(BundleError::ConfigLacks { path: "a".into(), field: "f" }.into(), "bad model"),
            Case(BundleError::Pipeline { path: "a".into(), stages: 2 }.into(), "unsupported"),
            Case(node.into(), "unsupported"),
            Case(EngineError::NoProvider { engine: "e", provider: "p", reason: "r".into() }.into(), "unsupported"),
            Case(GenerateError::Engine(EngineError::TokenOutOfRange { token: 9, vocab: 3 }).into(), "invalid request"),
            Case(GenerateError::Engine(EngineError::CacheFull { budget_bytes: 7 }).into(), "out of memory"),
            Case(EngineError::NoRoom(NoRoom { what: "a step", bytes: 7 }).into(), "out of memory"),
            Case(GenerateError::EmptyPrompt.into(), "invalid request"),
            Case(GenerateError::Cancelled.into(), "cancelled"),
            Case(EngineError::Cancelled.into(), "cancelled"),
            Case(EngineError::Storage(io::ErrorKind::StorageFull.into()).into(), "storage"),
            Case(GenerateError::SessionFailed.into(), "failed"),
            Case(TextError::EmptyConversation.into(), "invalid request"),
            Case(TaskError::Text(TextError::EmptyConversation).into(), "invalid request"),
            Case(TaskError::Generate(GenerateError::SessionFailed).into(), "failed"),
            Case(TaskError::Cancelled.into(), "cancelled"),
            Case(TaskError::Extras(ExtrasError::UnknownToken("a".into())).into(), "bad model"),
            Case(TaskError::ContextTooSmall { context: 1, reply: 2 }.into(), "invalid request"),
            Case(SystemFailure::Refused { message: "m".into() }.into(), "refused"),
            Case(SystemFailure::ContextTooLong { message: "m".into() }.into(), "invalid request"),
            Case(SystemFailure::Busy { message: "m".into() }.into(), "busy"),
            Case(SystemFailure::Unavailable { message: "m".into() }.into(), "unavailable"),
            Case(SystemFailure::Unsupported { message: "m".into() }.into(), "unsupported"),
            Case(SystemFailure::Cancelled.into(), "cancelled"),
            Case(SystemFailure::Failed { message: "m".into() }.into(), "failed"),
            Case(TextError::NotText { path: "a".into(), offset: 0 }.into(), "bad model"),
            Case(TextError::TemplateEndless { template: "a".into(), line: 1 }.into(), "bad model"),
            Case(TextError::NoStack { mebibytes: 1, source: io::ErrorKind::OutOfMemory.into() }.into(), "failed"),
            Case(TextError::Field { path: "a".into(), field: "f".into(), reason: "r".into() }.into(), "bad model"),
        ] {
            assert_eq!(variant(&error), expected, "{error}");
        }
    }

    #[test]
    fn names_out_of_files_stay_on_one_line() {
        let name = "a\u{1b}[2Jb\nerror: all is well".to_owned();
        let node = EngineError::UnsupportedNode { node: name.clone(), op_type: name.clone(), reason: name.clone() };
        let nodes = [Error::from(node), Error::unsupported(name.clone()), EngineError::BadModel(name).into()];
        for error in nodes {
            let message = error.to_string();
            assert!(message.contains("a\\u{1b}[2Jb\\u{a}error") && message.lines().count() == 1, "{message}");
        }
    }

    #[test]
    fn the_chain_goes_down_to_the_system_and_says_nothing_twice() {
        let source = io::Error::new(io::ErrorKind::PermissionDenied, "denied");
        let error = Error::from(TextError::Read { path: "tokenizer.json".into(), source });
        assert!(error.to_string().contains("tokenizer.json"), "{error}");
        assert_eq!(error.source().map(ToString::to_string).as_deref(), Some("denied"));
    }
}
