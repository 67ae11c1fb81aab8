//! Filters and tests that mean something else in Jinja2 than in the template engine.

use minijinja::value::ValueKind;
use minijinja::{Environment, Error, Value};

use super::methods::is_python_space;
use super::text;

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("trim", trim);
    environment.add_filter("string", text::of);
    environment.add_filter("pprint", text::of);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_test("sequence", is_sequence);
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment.add_test("number", |value: &Value| matches!(value.kind(), ValueKind::Number | ValueKind::Bool));
    environment.add_test("callable", |value: &Value| value.kind() == ValueKind::Plain);
}

/// `trim(chars=None)`: without characters, what Python takes for white space.
fn trim(value: &Value, chars: Option<&str>) -> Result<String, Error> {
    let text = text::of(value)?;
    Ok(text.trim_matches(|c: char| chars.map_or_else(|| is_python_space(c), |chars| chars.contains(c))).to_owned())
}

/// HTML's special characters as the references that Python's markupsafe writes.
fn escape(value: &Value) -> Result<String, Error> {
    let text = text::of(value)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    Ok(text.replace('\'', "&#39;").replace('"', "&#34;"))
}

/// Whatever has a length and an index: lists, but in Python also text and objects.
fn is_sequence(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Map | ValueKind::String | ValueKind::Undefined)
}
