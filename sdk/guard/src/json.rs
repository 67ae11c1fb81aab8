//! JSON as Python writes it: with the numbers `NaN`, `Infinity` and `-Infinity`, which JSON does not have.
//!
//! They are read as `null`. Source: `json` of Python, which writes them unless it is told not to, and reads them.

use serde::de::DeserializeOwned;

/// Numbers that Python writes and JSON does not have.
const BEYOND: [&[u8]; 3] = [b"NaN", b"Infinity", b"-Infinity"];
/// The value that is read in their place.
const NOTHING: &[u8] = b"null";
/// UTF-8 byte order mark, which some editors put before a text.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads JSON text. Nesting deeper than 127 levels is an error, as is anything that Python would not read.
///
/// # Errors
/// The first syntax or data error, with its line.
pub fn parse<T: DeserializeOwned>(text: &[u8]) -> serde_json::Result<T> {
    let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
    // Nearly all files are plain JSON, and are read once.
    serde_json::from_slice(text).or_else(|error| match plain(text) {
        Some(plain) if error.is_syntax() => serde_json::from_slice(&plain),
        _ => Err(error),
    })
}

/// `text` as plain JSON, its lines as they were; `None` where it holds nothing that Python adds.
pub fn plain(text: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let (mut copied, mut at, mut found) = (0, 0, false);
    while at < text.len() {
        if text[at] == b'"' {
            at = behind_string(text, at);
            continue;
        }
        match BEYOND.into_iter().find(|word| stands_at(text, at, word)) {
            Some(word) => {
                plain.extend_from_slice(&text[copied..at]);
                plain.extend_from_slice(NOTHING);
                at += word.len();
                (copied, found) = (at, true);
            }
            None => at += 1,
        }
    }
    plain.extend_from_slice(&text[copied..]);
    found.then_some(plain)
}

/// The place behind a string that begins at `start`.
fn behind_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

/// Whether `word` stands at a place, and is no part of a longer one.
fn stands_at(text: &[u8], at: usize, word: &[u8]) -> bool {
    let joins = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(byte));
    text[at..].starts_with(word)
        && !joins(text.get(at + word.len()))
        && !joins(at.checked_sub(1).and_then(|before| text.get(before)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    #[test]
    fn numbers_that_only_python_has_stand_for_nothing() {
        struct Case(&'static str, Option<Value>);
        for Case(text, expected) in [
            Case("Infinity", Some(Value::Null)),
            Case("[NaN,-Infinity , Infinity]", Some(json!([null, null, null]))),
            Case(r#"{"a": Infinity, "b": 1}"#, Some(json!({"a": null, "b": 1}))),
            Case(r#"{"NaN": "Infinity \" NaN", "c\\": NaN}"#, Some(json!({"NaN": "Infinity \" NaN", "c\\": null}))),
            Case("\u{feff}{}", Some(json!({}))),
            Case("[1e400]", None),
            Case("[--Infinity]", None),
            Case("[+Infinity]", None),
            Case("[NaN1]", None),
            Case("[Nan]", None),
            Case("[infinity]", None),
            Case("{NaN: 1}", None),
            Case("\"NaN", None),
            Case("\"NaN\\", None),
            Case("", None),
        ] {
            assert_eq!(parse::<Value>(text.as_bytes()).ok(), expected, "{text}");
        }
    }

    #[test]
    fn a_mistake_is_found_in_its_line_behind_such_numbers() {
        let error = parse::<Value>(b"{\"a\": NaN,\n\"b\": -Infinity,\n\"c\": wrong}").unwrap_err();
        assert_eq!(error.line(), 3);
    }

    #[test]
    fn nesting_without_end_is_an_error() {
        let nested = |depth: usize| parse::<Value>(format!("{}{}", "[".repeat(depth), "]".repeat(depth)).as_bytes());
        assert!(nested(127).is_ok());
        assert!(nested(128).is_err());
        assert!(nested(1_000_000).is_err());
    }

    proptest! {
        #[test]
        fn plain_json_stays_as_it_is(words in proptest::collection::vec("[a-zA-Z \\\\\"]{0,12}", 0..6)) {
            let value = json!({"words": words, "more": [1.5, null, true, {"x": words.len()}]});
            let text = value.to_string();
            prop_assert_eq!(plain(text.as_bytes()), None);
            prop_assert_eq!(parse::<Value>(text.as_bytes()).unwrap(), value);
        }

        #[test]
        fn any_bytes_end_in_an_answer(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse::<Value>(&bytes);
            let _ = plain(&bytes);
        }
    }
}
