//! Methods of Python's strings and lists that templates call.
//!
//! Those that differ from, or are missing in, the compatibility layer of the template engine are here; it does the rest.

use minijinja::value::{Kwargs, ValueKind, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat::unknown_method_callback;

/// Calls `method` of `value`.
pub(super) fn call(state: &mut State<'_, '_>, value: &Value, method: &str, args: &[Value]) -> Result<Value, Error> {
    let own = match (value.kind(), value.as_str()) {
        (ValueKind::String, Some(text)) => string_method(text, method, args)?,
        (ValueKind::Seq, _) => list_method(value, method, args)?,
        (ValueKind::Map, _) if method == "copy" => Some(value.clone()),
        _ => None,
    };
    own.map_or_else(|| unknown_method_callback(state, value, method, args), Ok)
}

/// The widest that a template may make a text by padding it.
pub(super) const MAX_WIDTH: usize = 1 << 16;

/// The white space that Python's `str.strip` and `str.split` know: Unicode's and four control characters.
pub(super) fn is_python_space(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn string_method(text: &str, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    let result = match method {
        "strip" | "lstrip" | "rstrip" => strip(text, method, args)?.into(),
        "split" | "rsplit" => split(text, method == "rsplit", args)?,
        "splitlines" => splitlines(text, args)?,
        "partition" | "rpartition" => partition(text, method == "rpartition", args)?,
        "removeprefix" => {
            let (prefix,): (&str,) = from_args(args)?;
            text.strip_prefix(prefix).unwrap_or(text).into()
        }
        "removesuffix" => {
            let (suffix,): (&str,) = from_args(args)?;
            text.strip_suffix(suffix).unwrap_or(text).into()
        }
        "startswith" | "endswith" | "find" | "rfind" | "count" => search(text, method, args)?,
        "index" | "rindex" => position(text, method == "rindex", args)?,
        "title" => title(text).into(),
        "swapcase" => swapcase(text).into(),
        "casefold" => text.to_lowercase().replace('ß', "ss").replace('ς', "σ").into(),
        "zfill" | "ljust" | "rjust" | "center" => pad(text, method, args)?.into(),
        "format" if has_wide_field(text) => return Err(too_wide()),
        _ => return Ok(None),
    };
    Ok(Some(result))
}

fn list_method(value: &Value, method: &str, args: &[Value]) -> Result<Option<Value>, Error> {
    match method {
        "copy" => Ok(Some(value.clone())),
        "index" => {
            let (wanted,): (&Value,) = from_args(args)?;
            for (index, item) in value.try_iter()?.checked().enumerate() {
                if item? == *wanted {
                    return Ok(Some(index.into()));
                }
            }
            Err(Error::new(ErrorKind::InvalidOperation, format!("{wanted:?} is not in the list")))
        }
        _ => Ok(None),
    }
}

fn strip(text: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    let (chars,): (Option<&str>,) = from_args(args)?;
    let drop = |c: char| chars.map_or_else(|| is_python_space(c), |chars| chars.contains(c));
    Ok(match method {
        "lstrip" => text.trim_start_matches(drop).to_owned(),
        "rstrip" => text.trim_end_matches(drop).to_owned(),
        _ => text.trim_matches(drop).to_owned(),
    })
}

/// `split(sep=None, maxsplit=-1)` and its twin from the right.
fn split(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator, most, named): (Option<Value>, Option<i64>, Kwargs) = from_args(args)?;
    let separator = separator.or(named.get("sep")?).filter(|separator| !separator.is_none());
    let most = most.or(named.get("maxsplit")?).and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    named.assert_all_used()?;
    let mut parts: Vec<&str> = match separator.as_ref().map(|separator| separator.as_str()) {
        None => split_space(text, most, from_right),
        Some(None | Some("")) => return Err(Error::new(ErrorKind::InvalidOperation, "split needs text to split at")),
        Some(Some(separator)) if from_right => text.rsplitn(most.saturating_add(1), separator).collect(),
        Some(Some(separator)) => text.splitn(most.saturating_add(1), separator).collect(),
    };
    if from_right {
        parts.reverse();
    }
    Ok(Value::from_iter(parts.into_iter().map(Value::from)))
}

/// Words between white space, and after `most` words the rest of the text, with the white space at its far end.
fn split_space(text: &str, most: usize, from_right: bool) -> Vec<&str> {
    let trim = |text| match from_right {
        true => str::trim_end_matches(text, is_python_space),
        false => str::trim_start_matches(text, is_python_space),
    };
    let mut words = Vec::new();
    let mut rest = trim(text);
    while !rest.is_empty() && words.len() < most {
        let (word, other) = match from_right {
            true => rest.rsplit_once(is_python_space).map_or((rest, ""), |(other, word)| (word, other)),
            false => rest.split_once(is_python_space).unwrap_or((rest, "")),
        };
        words.push(word);
        rest = trim(other);
    }
    words.extend(Some(rest).filter(|rest| !rest.is_empty()));
    words
}

/// `splitlines(keepends=False)`, with all line ends that Python knows.
fn splitlines(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (keep, named): (Option<bool>, Kwargs) = from_args(args)?;
    let keep = keep.or(named.get("keepends")?).unwrap_or(false);
    named.assert_all_used()?;
    Ok(lines(text, keep).into_iter().map(Value::from).collect())
}

/// The lines of a text, with or without what ends them.
pub(super) fn lines(text: &str, keep: bool) -> Vec<&str> {
    let ends = ['\n', '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}'];
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(ends) {
        let end = rest[at..].chars().next().map_or(1, char::len_utf8);
        let end = at + if rest[at..].starts_with("\r\n") { 2 } else { end };
        lines.push(&rest[..if keep { end } else { at }]);
        rest = &rest[end..];
    }
    lines.extend(Some(rest).filter(|rest| !rest.is_empty()));
    lines
}

/// So many spaces.
pub(super) fn spaces(count: usize) -> Result<String, Error> {
    if count > MAX_WIDTH { Err(too_wide()) } else { Ok(" ".repeat(count)) }
}

fn partition(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (separator,): (&str,) = from_args(args)?;
    let parts = match (if from_right { text.rsplit_once(separator) } else { text.split_once(separator) }, from_right) {
        (Some((before, after)), _) => [before, separator, after],
        (None, false) => [text, "", ""],
        (None, true) => ["", "", text],
    };
    Ok(Value::from(minijinja::value::Tuple::from(parts.map(Value::from))))
}

fn position(text: &str, from_right: bool, args: &[Value]) -> Result<Value, Error> {
    let (part,): (&str,) = from_args(args)?;
    let at = if from_right { text.rfind(part) } else { text.find(part) };
    let at = at.ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("the text `{part}` was not found")))?;
    Ok(text[..at].chars().count().into())
}

/// Each letter after something that is no letter in upper case, the others in lower case.
fn title(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut in_word = false;
    for c in text.chars() {
        match in_word {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
        in_word = c.is_alphabetic();
    }
    out
}

fn swapcase(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_uppercase() {
            true => out.extend(c.to_lowercase()),
            false => out.extend(c.to_uppercase()),
        }
    }
    out
}

/// `zfill`, `ljust`, `rjust` and `center` to a width in characters.
fn pad(text: &str, method: &str, args: &[Value]) -> Result<String, Error> {
    let (width, fill): (usize, Option<char>) = from_args(args)?;
    if width > MAX_WIDTH {
        return Err(too_wide());
    }
    let missing = width.saturating_sub(text.chars().count());
    let fill = |count: usize| fill.unwrap_or(if method == "zfill" { '0' } else { ' ' }).to_string().repeat(count);
    Ok(match method {
        "ljust" => text.to_owned() + &fill(missing),
        "rjust" => fill(missing) + text,
        "center" => centered_by(text, missing, width, &fill),
        _ => {
            let sign = text.len() - text.trim_start_matches(['+', '-']).len();
            let (sign, digits) = text.split_at(sign.min(1));
            format!("{sign}{}{digits}", fill(missing))
        }
    })
}

/// `text.center(width, fill)`.
pub(super) fn centered(text: &str, width: usize, fill: char) -> Result<String, Error> {
    if width > MAX_WIDTH {
        return Err(too_wide());
    }
    let missing = width.saturating_sub(text.chars().count());
    Ok(centered_by(text, missing, width, &|count: usize| fill.to_string().repeat(count)))
}

fn centered_by(text: &str, missing: usize, width: usize, fill: &dyn Fn(usize) -> String) -> String {
    let left = missing / 2 + (missing & width & 1);
    fill(left) + text + &fill(missing - left)
}

/// `startswith`, `endswith`, `find`, `rfind` and `count` of `args[0]` in the part of the text from `args[1]` to `args[2]`, in
/// characters, counted from the end where they are negative.
fn search(text: &str, method: &str, args: &[Value]) -> Result<Value, Error> {
    let (wanted, from, to): (&Value, Option<Value>, Option<Value>) = from_args(args)?;
    let length = || text.chars().count();
    let place = |place: Option<Value>, other: usize| -> Result<usize, Error> {
        let Some(place) = place.filter(|place| !place.is_none()) else { return Ok(other) };
        let place = i64::try_from(place)?;
        let back = || length().saturating_sub(usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX));
        Ok(usize::try_from(place).unwrap_or_else(|_| back()))
    };
    let (from, to) = (place(from, 0)?, place(to, usize::MAX)?);
    let byte = |place: usize| text.char_indices().nth(place).map_or(text.len(), |(at, _)| at);
    let beyond = from > 0 && from > length() || from > to;
    let (start, end) = (byte(from), byte(to));
    let part = text.get(start..end).filter(|_| !beyond);
    let matches = |wanted: &str| match (method, part) {
        (_, None) => false,
        ("startswith", Some(part)) => part.starts_with(wanted),
        (_, Some(part)) => part.ends_with(wanted),
    };
    if matches!(method, "startswith" | "endswith") {
        if !wanted.is_tuple() {
            return Ok(Value::from(matches(needed(wanted)?)));
        }
        for wanted in wanted.try_iter()? {
            if matches(needed(&wanted)?) {
                return Ok(Value::from(true));
            }
        }
        return Ok(Value::from(false));
    }
    let wanted = needed(wanted)?;
    let found = part.and_then(|part| if method == "rfind" { part.rfind(wanted) } else { part.find(wanted) });
    Ok(match method {
        "count" => Value::from(part.map_or(0, |part| part.matches(wanted).count())),
        _ => found.map_or(Value::from(-1), |at| Value::from(from + text[start..start + at].chars().count())),
    })
}

/// The text that a method looks for.
fn needed(wanted: &Value) -> Result<&str, Error> {
    wanted.as_str().ok_or_else(|| Error::new(ErrorKind::InvalidOperation, format!("text is needed, {} was given", wanted.kind())))
}

/// Whether a format asks for a field of a million characters or more.
fn has_wide_field(format: &str) -> bool {
    let fields = format.split('{').skip(1).filter_map(|field| field.split('}').next()?.split_once(':'));
    let digits = |spec: &str| spec.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
    fields.into_iter().any(|(_, spec)| digits(spec) > Some(6))
}

fn too_wide() -> Error {
    Error::new(ErrorKind::InvalidOperation, "the text would be made too wide")
}
