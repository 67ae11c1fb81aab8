//! Filters and tests that mean something else in Jinja2 than in the template engine, or are missing there.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, State, Value};

use super::methods::{is_python_space, trim};

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("trim", trim_filter);
    environment.add_test("sequence", is_sequence);
    environment.add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_test("callable", is_callable);
}

/// `trim(chars=None)`: without characters, what Python takes for white space.
fn trim_filter(state: &State<'_, '_>, value: &Value, chars: Option<&str>) -> Result<String, Error> {
    let _ = state;
    let text = value.to_string();
    Ok(match chars {
        Some(chars) => trim(&text, |c| chars.contains(c)),
        None => trim(&text, is_python_space),
    })
}

/// Whatever has a length and an index: lists, but in Python also text and objects.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Undefined)
}

/// Macros and functions.
fn is_callable(value: &Value) -> bool {
    value.kind() == ValueKind::Plain
}
