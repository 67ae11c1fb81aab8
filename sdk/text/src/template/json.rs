//! `tojson` as transformers gives it to templates: Python's `json.dumps`, not Jinja's, which escapes for HTML.

use minijinja::value::{Kwargs, Rest, ValueKind, ValueOrKwargs, from_args};
use minijinja::{Error, ErrorKind, Value};

use super::protect::is_mark;
use super::text;

/// The layout of the text.
struct Style {
    /// One level's indentation; all on one line if `None`.
    indent: Option<String>,
    item_separator: String,
    key_separator: String,
    ensure_ascii: bool,
    sort_keys: bool,
}

/// The filter `tojson(ensure_ascii=False, indent=None, separators=None, sort_keys=False)`.
pub(super) fn tojson(value: &Value, args: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let args: Vec<Value> = args.0.into_iter().map(ValueOrKwargs::into_value).collect();
    let (ensure_ascii, indent, separators, sort_keys, named): (
        Option<Value>,
        Option<Value>,
        Option<Value>,
        Option<Value>,
        Kwargs,
    ) = from_args(&args)?;
    let flag = |given: Option<Value>, name| -> Result<bool, Error> {
        Ok(given.or(named.get::<Option<Value>>(name)?).is_some_and(|flag| flag.is_true()))
    };
    let indent = indent.or(named.get("indent")?).filter(|indent| !indent.is_none());
    let separators = separators.or(named.get("separators")?).filter(|separators| !separators.is_none());
    let (item_separator, key_separator) = match separators {
        Some(pair) => (separator(&pair, 0)?, separator(&pair, 1)?),
        None if indent.is_some() => (",".to_owned(), ": ".to_owned()),
        None => (", ".to_owned(), ": ".to_owned()),
    };
    let style = Style {
        indent: indent.map(|indent| indentation(&indent)).transpose()?,
        item_separator,
        key_separator,
        ensure_ascii: flag(ensure_ascii, "ensure_ascii")?,
        sort_keys: flag(sort_keys, "sort_keys")?,
    };
    named.assert_all_used()?;
    let mut out = String::new();
    style.write(&mut out, value, 0)?;
    Ok(out)
}

impl Style {
    fn write(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        text::check(out, depth)?;
        match value.kind() {
            ValueKind::None => out.push_str("null"),
            ValueKind::Bool => out.push_str(if value.is_true() { "true" } else { "false" }),
            ValueKind::Number => out.push_str(&json_number(value)),
            ValueKind::String => self.write_string(out, value.as_str().unwrap_or_default()),
            ValueKind::Seq | ValueKind::Iterable => self.write_list(out, value, depth)?,
            ValueKind::Map => self.write_object(out, value, depth)?,
            other => return Err(refused(&format!("a value of the kind {other} has no JSON form"))),
        }
        Ok(())
    }

    fn write_list(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        out.push('[');
        let mut empty = true;
        for item in value.try_iter()?.checked() {
            self.begin_item(out, empty, depth + 1);
            self.write(out, &item?, depth + 1)?;
            empty = false;
        }
        self.end(out, ']', empty, depth);
        Ok(())
    }

    fn write_object(&self, out: &mut String, value: &Value, depth: usize) -> Result<(), Error> {
        let mut keys = value.try_iter()?.checked().collect::<Result<Vec<_>, _>>()?;
        if self.sort_keys {
            keys.sort();
        }
        out.push('{');
        for (position, key) in keys.iter().enumerate() {
            self.begin_item(out, position == 0, depth + 1);
            self.write_string(out, &key_text(key)?);
            out.push_str(&self.key_separator);
            self.write(out, &value.get_item(key)?, depth + 1)?;
        }
        self.end(out, '}', keys.is_empty(), depth);
        Ok(())
    }

    fn begin_item(&self, out: &mut String, first: bool, depth: usize) {
        if !first {
            out.push_str(&self.item_separator);
        }
        self.new_line(out, depth);
    }

    fn end(&self, out: &mut String, close: char, empty: bool, depth: usize) {
        if !empty {
            self.new_line(out, depth);
        }
        out.push(close);
    }

    fn new_line(&self, out: &mut String, depth: usize) {
        if let Some(indent) = &self.indent {
            out.push('\n');
            out.push_str(&indent.repeat(depth));
        }
    }

    fn write_string(&self, out: &mut String, text: &str) {
        out.push('"');
        for c in text.chars() {
            match c {
                '"' => out.push_str("\\\""),
                '\\' => out.push_str("\\\\"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                c if c < ' ' || (self.ensure_ascii && c >= '\u{7f}' && !is_mark(c)) => push_escaped(out, c),
                c => out.push(c),
            }
        }
        out.push('"');
    }
}

/// `\uXXXX`, twice for characters outside the first plane.
fn push_escaped(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        out.push_str(&format!("\\u{unit:04x}"));
    }
}

/// A number as Python's JSON has it, which knows infinities.
fn json_number(value: &Value) -> String {
    match text::number(value).as_str() {
        "nan" => "NaN".to_owned(),
        "inf" => "Infinity".to_owned(),
        "-inf" => "-Infinity".to_owned(),
        finite => finite.to_owned(),
    }
}

/// An object's key as text.
fn key_text(key: &Value) -> Result<String, Error> {
    match key.kind() {
        ValueKind::String => Ok(key.as_str().unwrap_or_default().to_owned()),
        ValueKind::None => Ok("null".to_owned()),
        ValueKind::Bool => Ok(if key.is_true() { "true" } else { "false" }.to_owned()),
        ValueKind::Number => Ok(json_number(key)),
        other => Err(refused(&format!("a value of the kind {other} cannot be a key"))),
    }
}

fn separator(pair: &Value, index: usize) -> Result<String, Error> {
    let part = pair.get_item_by_index(index)?;
    part.as_str().map(str::to_owned).ok_or_else(|| refused("`separators` must be two strings"))
}

fn indentation(indent: &Value) -> Result<String, Error> {
    match indent.as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Ok(" ".repeat(usize::try_from(i64::try_from(indent.clone())?.max(0)).unwrap_or(0).min(64))),
    }
}

fn refused(reason: &str) -> Error {
    Error::new(ErrorKind::BadSerialization, format!("tojson: {reason}"))
}
