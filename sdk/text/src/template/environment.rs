//! The template engine, set up as transformers sets up Jinja2.

use std::fmt;

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Output, State, Value};

use super::{filters, globals, json, kept, methods, operators, text};
use crate::TextError;

/// The message of `raise_exception`, as the source of the engine's error.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Filters that the engine has and Jinja2 has not, and that build values which take long to iterate over.
const FOREIGN_FILTERS: [&str; 2] = ["chain", "zip"];

/// An environment for chat templates, with no template in it and no limit of work.
pub(super) fn chat_environment() -> Environment<'static> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_formatter(write_as_python);
    environment.set_unknown_method_callback(methods::call);
    // Errors then name the variable that was missing.
    environment.set_debug(true);
    environment.add_function("raise_exception", raise_exception);
    environment.add_filter("tojson", json::tojson);
    filters::add(&mut environment);
    globals::add(&mut environment);
    operators::add(&mut environment);
    kept::add(&mut environment);
    for name in FOREIGN_FILTERS {
        environment.remove_filter(name);
    }
    environment.remove_global("debug");
    environment
}

/// The error for a failed rendering: the template's own refusal, work without end, or what went wrong in which line.
pub(super) fn failure(template: &str, error: &Error) -> TextError {
    let line = error.line().unwrap_or(0);
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(inner) = cause {
        if let Some(Refused(message)) = inner.downcast_ref() {
            return TextError::TemplateRefused { message: message.clone() };
        }
        if inner.downcast_ref().is_some_and(|error: &Error| error.kind() == ErrorKind::OutOfFuel) {
            return TextError::TemplateEndless { template: template.to_owned(), line };
        }
        cause = inner.source();
    }
    TextError::TemplateFailed { template: template.to_owned(), line, reason: reason(error) }
}

/// Message of an error, without the place, which our errors carry on their own.
pub(super) fn reason(error: &Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

fn raise_exception(message: &Value) -> Result<Value, Error> {
    let message = text::of(message)?;
    Err(Error::new(ErrorKind::InvalidOperation, "raise_exception").with_source(Refused(message)))
}

/// Writes a value as Python's `str` gives it.
fn write_as_python(out: &mut Output<'_>, _: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    let written = match value.as_str() {
        Some(text) => out.write_str(text),
        None => out.write_str(&text::of(value)?),
    };
    written.map_err(|_| Error::new(ErrorKind::WriteFailure, "the prompt could not be written"))
}
