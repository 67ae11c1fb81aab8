//! The model: words to tokens by a vocabulary.

use serde::Deserialize;
use serde_json::{Map, Value};
use tokenizers::ModelWrapper;
use tokenizers::models::bpe::BPE;
use tokenizers::models::unigram::Unigram;
use tokenizers::models::wordlevel::WordLevel;
use tokenizers::models::wordpiece::WordPiece;

use super::{guarded, kind_of};
use crate::length::check_token;

/// Characters of a word that a WordPiece model may look at: its work grows with the cube of them. Models in use say 100.
const MAX_WORD_CHARS: u64 = 1_000;

/// The model that the file describes, and the bytes of its longest token. An error is in words.
pub(super) fn of(part: Value) -> Result<(ModelWrapper, usize), String> {
    let longest = longest_token(&part["vocab"]);
    // The library makes a tree of some vocabularies, as deep as their longest token, and drops it level by level.
    check_token(longest)?;
    let longest = longest.len();
    check_merges(&part, longest)?;
    if part["max_input_chars_per_word"].as_u64().is_some_and(|chars| chars > MAX_WORD_CHARS) {
        return Err(format!("its model looks at words of more than {MAX_WORD_CHARS} characters"));
    }
    let model = match kind_of(&part) {
        "BPE" => made::<BPE>(part).map(ModelWrapper::BPE),
        "WordPiece" => made::<WordPiece>(part).map(ModelWrapper::WordPiece),
        "WordLevel" => made::<WordLevel>(part).map(ModelWrapper::WordLevel),
        "Unigram" => made::<Unigram>(part).map(ModelWrapper::Unigram),
        _ => guarded(|| serde_json::from_value(part).map_err(Into::into)),
    };
    Ok((model.map_err(|error| format!("its model is not known: {error}"))?, longest))
}

/// A model of a known kind.
fn made<T: for<'de> Deserialize<'de>>(mut part: Value) -> tokenizers::Result<T> {
    // The library reads the name of the kind from text alone.
    part.as_object_mut().and_then(|fields| fields.remove("type"));
    guarded(|| serde_json::from_value(part).map_err(Into::into))
}

/// The token that has the most bytes; empty where there is none.
fn longest_token(vocabulary: &Value) -> &str {
    let longest = match vocabulary {
        Value::Object(tokens) => tokens.keys().map(String::as_str).max_by_key(|token| token.len()),
        Value::Array(tokens) => tokens.iter().filter_map(|token| token[0].as_str()).max_by_key(|token| token.len()),
        _ => None,
    };
    longest.unwrap_or_default()
}

/// Merges whose second part can do without its prefix, and whose result is no longer than the longest token: the library
/// writes it into as many bytes.
fn check_merges(part: &Value, longest: usize) -> Result<(), String> {
    let Some(merges) = part["merges"].as_array() else { return Ok(()) };
    let prefix = part["continuing_subword_prefix"].as_str().unwrap_or_default().len();
    let empty = Map::new();
    let vocabulary = part["vocab"].as_object().unwrap_or(&empty);
    for (rank, merge) in merges.iter().enumerate() {
        let parts = match merge {
            Value::String(both) => both.split_once(' '),
            both => both[0].as_str().zip(both[1].as_str()),
        };
        let Some((first, second)) = parts.filter(|(a, b)| vocabulary.contains_key(*a) && vocabulary.contains_key(*b)) else {
            // The library says what is wrong with it.
            continue;
        };
        let fits = second.get(prefix..).is_some_and(|second| first.len() + second.len() <= longest);
        if !fits {
            return Err(format!("merge {rank} of its model makes no token of the vocabulary"));
        }
    }
    Ok(())
}
