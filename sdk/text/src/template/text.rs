//! Values as text: what Python's `str` and `repr` make of them.

use std::sync::LazyLock;

use minijinja::value::ValueKind;
use minijinja::{Error, ErrorKind, Value};
use regex::Regex;

/// Values nested more deeply than this are refused; Python's own limit is of that order.
pub(super) const MAX_DEPTH: usize = 200;

/// Bytes of a value's text, far more than any model's context holds.
const MAX_BYTES: usize = 64 << 20;

/// Characters that `repr` does not print as they are; the space is none of them.
static UNPRINTABLE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[\p{C}\p{Z}&&[^ ]]").ok());

/// `str(value)`.
pub(super) fn of(value: &Value) -> Result<String, Error> {
    match value.kind() {
        ValueKind::Number | ValueKind::Seq | ValueKind::Iterable | ValueKind::Map => {
            let mut out = String::new();
            write_repr(&mut out, value, 0)?;
            Ok(out)
        }
        _ => Ok(value.to_string()),
    }
}

/// `repr(value)`.
pub(super) fn repr(value: &Value) -> Result<String, Error> {
    let mut out = String::new();
    write_repr(&mut out, value, 0)?;
    Ok(out)
}

/// Fails where a value's text would go beyond what a prompt can hold.
pub(super) fn check(out: &str, depth: usize) -> Result<(), Error> {
    let reason = match (depth <= MAX_DEPTH, out.len() <= MAX_BYTES) {
        (true, true) => return Ok(()),
        (false, _) => "a value is nested too deeply to be written",
        (true, false) => "the text of a value is too long",
    };
    Err(Error::new(ErrorKind::InvalidOperation, reason))
}

/// `repr(value)`, as `str` writes what lists and objects hold.
fn write_repr(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    check(out, depth)?;
    match value.kind() {
        ValueKind::Number => out.push_str(&number(value)),
        ValueKind::String => out.push_str(&quoted(value.as_str().unwrap_or_default())),
        ValueKind::Undefined => out.push_str("Undefined"),
        ValueKind::Seq | ValueKind::Iterable => write_items(out, value, depth)?,
        ValueKind::Map => write_pairs(out, value, depth)?,
        _ => out.push_str(&value.to_string()),
    }
    Ok(())
}

/// A list in brackets, or a tuple in parentheses, with a comma behind its only item.
fn write_items(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    let (open, close) = if value.is_tuple() { ('(', ')') } else { ('[', ']') };
    out.push(open);
    let mut count = 0;
    for item in value.try_iter()?.checked() {
        out.push_str(if count == 0 { "" } else { ", " });
        write_repr(out, &item?, depth + 1)?;
        count += 1;
    }
    out.push_str(if value.is_tuple() && count == 1 { "," } else { "" });
    out.push(close);
    Ok(())
}

fn write_pairs(out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
    out.push('{');
    for (position, key) in value.try_iter()?.checked().enumerate() {
        let key = key?;
        out.push_str(if position == 0 { "" } else { ", " });
        write_repr(out, &key, depth + 1)?;
        out.push_str(": ");
        write_repr(out, &value.get_item(&key)?, depth + 1)?;
    }
    out.push('}');
    Ok(())
}

/// A number as Python writes it.
pub(super) fn number(value: &Value) -> String {
    match f64::try_from(value.clone()) {
        Ok(float) if !value.is_integer() => python_float(float),
        _ => value.to_string(),
    }
}

/// The shortest form that reads back as the same number, with an exponent where Python uses one.
fn python_float(float: f64) -> String {
    if !float.is_finite() {
        return if float.is_nan() {
            "nan"
        } else if float > 0.0 {
            "inf"
        } else {
            "-inf"
        }
        .to_owned();
    }
    let scientific = format!("{float:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if float != 0.0 && !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.abs());
    }
    let plain = float.to_string();
    if plain.contains('.') { plain } else { plain + ".0" }
}

/// Text in quotes: single ones, unless it has such and no double ones.
fn quoted(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\\' => out.push_str("\\\\"),
            c if c == quote => out.extend(['\\', c]),
            c if c.is_ascii_graphic() || c == ' ' || is_printable(c) => out.push(c),
            c => match u32::from(c) {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
    out
}

fn is_printable(c: char) -> bool {
    UNPRINTABLE.as_ref().is_none_or(|unprintable| super::protect::is_mark(c) || !unprintable.is_match(c.encode_utf8(&mut [0; 4])))
}
