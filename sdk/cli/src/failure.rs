//! How the command ends when it does not end well.

use anstyle::{AnsiColor, Style};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Why the command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Wrong usage: exit code 2.
    Usage(String),
    /// A refusal or failure: exit code 1.
    Failed(String),
    /// The reader of the output has closed it, and wants no more: exit code 0.
    ReaderGone,
}

impl Failure {
    /// Wrong usage, in one sentence.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::Usage(message.into())
    }

    /// A refusal or failure, in one sentence.
    pub(crate) fn failed(message: impl Into<String>) -> Failure {
        Failure::Failed(message.into())
    }

    /// Writes the sentence to stderr and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        let (message, code) = match self {
            Failure::Usage(message) => (format!("{message}\n\nFor more information, try '--help'."), 2),
            Failure::Failed(message) => (message.clone(), 1),
            Failure::ReaderGone => return ExitCode::SUCCESS,
        };
        let red = Style::new().bold().fg_color(Some(AnsiColor::Red.into()));
        // Nothing is left to be told if not even stderr takes it.
        let _ = writeln!(anstream::stderr(), "{red}error:{red:#} {message}");
        ExitCode::from(code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Usage(message) | Failure::Failed(message) => f.write_str(message),
            Failure::ReaderGone => f.write_str("the reader of the output has gone away"),
        }
    }
}

impl From<kinglet::Error> for Failure {
    fn from(error: kinglet::Error) -> Failure {
        let mut source = std::error::Error::source(&error);
        while let Some(cause) = source {
            log::debug!("caused by: {cause}");
            source = cause.source();
        }
        Failure::Failed(error.to_string())
    }
}

/// Of writing to stdout: everything else is told with the file's name where it happens.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            ErrorKind::BrokenPipe => Failure::ReaderGone,
            _ => {
                Failure::Failed(format!("the output could not be written ({error}); check the disk or the program that reads it"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_gone_is_no_failure() {
        assert!(matches!(Failure::from(io::Error::from(ErrorKind::BrokenPipe)), Failure::ReaderGone));
        assert!(matches!(Failure::from(io::Error::from(ErrorKind::StorageFull)), Failure::Failed(_)));
    }
}
