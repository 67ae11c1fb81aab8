//! Filters and tests that mean something else in Jinja2 than in the template engine.

use std::sync::LazyLock;

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use regex::Regex;

use super::methods::{centered, is_python_space};
use super::text;

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("trim", trim);
    environment.add_filter("string", text::of);
    environment.add_filter("pprint", text::of);
    environment.add_filter("escape", escape);
    environment.add_filter("e", escape);
    environment.add_filter("forceescape", escape);
    environment.add_filter("int", int);
    environment.add_filter("float", float);
    environment.add_filter("center", center);
    environment.add_filter("truncate", truncate);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("indent", indent);
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

/// `int(default=0, base=10)`: what Python's `int` makes of it, or else its `float`, or else the default.
fn int(value: &Value, default: Option<Value>, base: Option<u32>, named: Kwargs) -> Result<Value, Error> {
    let default = default.or(named.get("default")?).unwrap_or_else(|| Value::from(0));
    let base = base.or(named.get("base")?).unwrap_or(10);
    named.assert_all_used()?;
    defined(value)?;
    let float = match value.kind() {
        ValueKind::Bool => return Ok(Value::from(i64::from(value.is_true()))),
        ValueKind::Number if value.is_integer() => return Ok(value.clone()),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => {
            let text = value.as_str().unwrap_or_default();
            if let Some(whole) = python_int(text, base) {
                return Ok(Value::from(whole));
            }
            python_float(text)
        }
        _ => None,
    };
    #[allow(clippy::cast_possible_truncation)]
    let whole = float.filter(|float| float.is_finite()).map(|float| Value::from(float.trunc() as i128));
    Ok(whole.unwrap_or(default))
}

/// `float(default=0.0)`.
fn float(value: &Value, default: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let default = default.or(named.get("default")?).unwrap_or_else(|| Value::from(0.0));
    named.assert_all_used()?;
    defined(value)?;
    let float = match value.kind() {
        ValueKind::Bool => Some(f64::from(u8::from(value.is_true()))),
        ValueKind::Number => f64::try_from(value.clone()).ok(),
        ValueKind::String => python_float(value.as_str().unwrap_or_default()),
        _ => None,
    };
    Ok(float.map_or(default, Value::from))
}

/// Text as `int(text, base)` reads it: white space around it, a sign, single underscores between digits.
fn python_int(text: &str, base: u32) -> Option<i128> {
    let text = text.trim_matches(is_python_space);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let prefix = match base {
        2 => ["0b", "0B"],
        8 => ["0o", "0O"],
        16 => ["0x", "0X"],
        3..=36 => ["", ""],
        _ => return None,
    };
    let digits =
        prefix.iter().filter(|prefix| !prefix.is_empty()).find_map(|prefix| digits.strip_prefix(prefix)).unwrap_or(digits);
    let whole = i128::from_str_radix(&without_underscores(digits)?, base).ok().filter(|_| !digits.starts_with(['-', '+']))?;
    Some(if text.starts_with('-') { -whole } else { whole })
}

/// Text as `float(text)` reads it.
fn python_float(text: &str) -> Option<f64> {
    without_underscores(text.trim_matches(is_python_space))?.parse().ok()
}

/// The text without the underscores that stand between digits; `None` where one stands elsewhere.
fn without_underscores(text: &str) -> Option<String> {
    let parts: Vec<&str> = text.split('_').collect();
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let between = |pair: &[&str]| digit(pair[0].chars().next_back()) && digit(pair[1].chars().next());
    parts.windows(2).all(between).then(|| parts.concat())
}

/// `center(width=80)`.
fn center(value: &Value, width: Option<usize>, named: Kwargs) -> Result<String, Error> {
    let width = width.or(named.get("width")?).unwrap_or(80);
    named.assert_all_used()?;
    centered(&text::of(value)?, width, ' ')
}

/// `truncate(length=255, killwords=False, end="...", leeway=5)`.
fn truncate(
    value: &str,
    length: Option<usize>,
    killwords: Option<bool>,
    end: Option<String>,
    named: Kwargs,
) -> Result<String, Error> {
    let length = length.or(named.get("length")?).unwrap_or(255);
    let killwords = killwords.or(named.get("killwords")?).unwrap_or(false);
    let end = end.or(named.get("end")?).unwrap_or_else(|| "...".to_owned());
    let leeway = named.get::<Option<usize>>("leeway")?.unwrap_or(5);
    named.assert_all_used()?;
    let kept = length.checked_sub(end.chars().count());
    let kept = kept.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, "truncate: the end is longer than the length"))?;
    if value.chars().count() <= length.saturating_add(leeway) {
        return Ok(value.to_owned());
    }
    let mut text: String = value.chars().take(kept).collect();
    if let Some(space) = text.rfind(' ').filter(|_| !killwords) {
        text.truncate(space);
    }
    Ok(text + &end)
}

/// `indent(width=4, first=False, blank=False)`; the width may be the text to put in front.
fn indent(state: &State<'_, '_>, value: &str, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args: Vec<Value> = args.0.into_iter().map(ValueOrKwargs::into_value).collect();
    let (width, first, blank, named): (Option<Value>, Option<bool>, Option<bool>, Kwargs) = from_args(&args)?;
    let width = width.or(named.get("width")?);
    let first = first.or(named.get("first")?).unwrap_or(false);
    let blank = blank.or(named.get("blank")?).unwrap_or(false);
    named.assert_all_used()?;
    let indentation = match width.as_ref().map(|width| (width, width.as_str())) {
        None => " ".repeat(4),
        Some((_, Some(text))) => text.to_owned(),
        Some((width, None)) => {
            super::methods::spaces(usize::try_from(i64::try_from(width.clone())?.max(0)).unwrap_or(usize::MAX))?
        }
    };
    let text = value.to_owned() + "\n";
    let lines = super::methods::lines(&text, false);
    state.consume_fuel((indentation.len().saturating_mul(lines.len()) / 64) as u64)?;
    let mut out = String::with_capacity(value.len());
    for (position, line) in lines.into_iter().enumerate() {
        out.push_str(if position > 0 { "\n" } else { "" });
        let indented = if position == 0 { first } else { blank || !line.is_empty() };
        out.push_str(if indented { &indentation } else { "" });
        out.push_str(line);
    }
    Ok(out)
}

/// Number of words, of letters, digits and underscores.
fn wordcount(value: &Value) -> Result<usize, Error> {
    let text = text::of(value)?;
    Ok(WORDS.as_ref().map_or(0, |words| words.find_iter(&text).count()))
}

/// A word, as Python's `re` defines it.
static WORDS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{Alphabetic}\p{N}_]+").ok());

/// An error for a value that is not there: a number cannot be made of it, whatever the default.
fn defined(value: &Value) -> Result<(), Error> {
    if value.is_undefined() { Err(Error::from(ErrorKind::UndefinedError)) } else { Ok(()) }
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
