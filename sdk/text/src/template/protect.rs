//! Keeps control-token text in a conversation from becoming control tokens.
//!
//! A rendered prompt is one string in which the template's control tokens and the users' words can no longer be told
//! apart. So each control token's text in the caller's strings gets a mark behind its first character before the template
//! sees it. The mark breaks the token for every search, whatever the template then does to the string (trim, split, cut,
//! join), and leaves white space and everything else as it was. After rendering the marks are taken out, and their places
//! are handed to the tokenizer as cuts that no control token may hold: the words around them are encoded in their context,
//! as in a vocabulary without control tokens.
//!
//! A string whose end could be the beginning of a control token gets a mark there too, because a template may join it with
//! the next string.

use std::collections::HashSet;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{AhoCorasick, Anchored};
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use super::Variables;
use crate::added::PATTERNS;
use crate::{TextError, Tokenizer};

/// The characters that serve as marks: Unicode reserves them for a program's own use and never assigns them.
const MARKS: std::ops::RangeInclusive<char> = '\u{fdd0}'..='\u{fdef}';

/// Whether a character may be a mark, which `tojson` must then leave as it is.
pub(super) fn is_mark(c: char) -> bool {
    MARKS.contains(&c)
}

/// The added tokens that steer a chat.
pub(super) struct ControlTokens {
    ids: Vec<u32>,
    /// For strings of anyone but the assistant.
    all: Finder,
    /// For assistant messages and for roles.
    spoken: Finder,
    any_normalized: bool,
}

impl ControlTokens {
    /// The control tokens of a tokenizer for the template `source`: special tokens, and those other added tokens that the
    /// folder lists or the template's text contains. Tokens of white space are ordinary text.
    pub(super) fn of(tokenizer: &Tokenizer, source: &str) -> ControlTokens {
        let listed = tokenizer.config().control_tokens.as_ref();
        let listed: Option<HashSet<&str>> = listed.map(|listed| listed.iter().map(String::as_str).collect());
        let tokens = tokenizer.added().iter().filter(|(_, token)| !token.content.is_empty());
        let (special, others): (Vec<_>, Vec<_>) = tokens.partition(|(_, token)| token.special);
        let named = match listed {
            Some(listed) => others.into_iter().filter(|(_, token)| listed.contains(token.content.as_str())).collect(),
            None => contained(others, source),
        };
        let mut controls = [special, named].concat();
        controls.sort_unstable_by_key(|&(id, _)| id);
        let all = controls.iter().map(|(_, token)| token.content.as_str());
        let spoken = controls.iter().filter(|(_, token)| token.special || !reads(source, &token.content));
        ControlTokens {
            all: Finder::new(all.collect()),
            spoken: Finder::new(spoken.map(|(_, token)| token.content.as_str()).collect()),
            any_normalized: controls.iter().any(|(_, token)| token.normalized),
            ids: controls.iter().map(|&(id, _)| id).collect(),
        }
    }

    /// Ids of the control tokens, ascending.
    pub(super) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Whether one of them is looked for in normalized text, where other text may come to look like it.
    pub(super) fn any_normalized(&self) -> bool {
        self.any_normalized
    }

    /// Marks the control tokens in a caller's strings. Gives the mark, if there was anything to mark.
    pub(super) fn mark(&self, variables: &mut Variables) -> Result<Option<char>, TextError> {
        let all_of_it = [&variables.messages, &variables.tools, &variables.documents];
        let found =
            all_of_it.iter().any(|value| self.all.in_value(value)) || variables.extra.values().any(|v| self.all.in_value(v));
        if !found {
            return Ok(None);
        }
        let used =
            |mark: char| all_of_it.iter().any(|value| holds(value, mark)) || variables.extra.values().any(|v| holds(v, mark));
        let mark = MARKS.into_iter().find(|&mark| !used(mark)).ok_or(TextError::Unmarkable)?;
        for message in variables.messages.as_array_mut().into_iter().flatten() {
            self.mark_message(message, mark);
        }
        self.all.mark_value(&mut variables.tools, mark);
        self.all.mark_value(&mut variables.documents, mark);
        for (name, value) in &mut variables.extra {
            if !name.ends_with("_token") {
                self.all.mark_value(value, mark);
            }
        }
        Ok(Some(mark))
    }

    fn mark_message(&self, message: &mut Value, mark: char) {
        let assistant = matches!(message["role"].as_str(), Some("assistant" | "model"));
        let Some(fields) = message.as_object_mut() else { return };
        for (name, value) in fields {
            let finder = if assistant || name == "role" { &self.spoken } else { &self.all };
            finder.mark_value(value, mark);
        }
    }
}

/// Takes the marks out of a rendered prompt. Gives the prompt and the byte offsets in it at which they stood.
pub(super) fn take_out(rendered: &str, mark: Option<char>) -> (String, Vec<usize>) {
    let Some(mark) = mark else { return (rendered.to_owned(), Vec::new()) };
    let (mut text, mut cuts) = (String::with_capacity(rendered.len()), Vec::new());
    for (position, piece) in rendered.split(mark).enumerate() {
        if position > 0 && cuts.last() != Some(&text.len()) {
            cuts.push(text.len());
        }
        text.push_str(piece);
    }
    (text, cuts)
}

/// Those tokens, white space left out, that the template's text contains.
fn contained<'a>(mut tokens: Vec<(u32, &'a AddedToken)>, source: &str) -> Vec<(u32, &'a AddedToken)> {
    tokens.retain(|(_, token)| !token.content.trim().is_empty());
    let within = |tokens: &[(u32, &'a AddedToken)]| -> Vec<(u32, &'a AddedToken)> {
        let Ok(automaton) = AhoCorasick::new(tokens.iter().map(|(_, token)| &token.content)) else {
            return tokens.iter().filter(|(_, token)| source.contains(&token.content)).copied().collect();
        };
        let found: HashSet<usize> = automaton.find_overlapping_iter(source).map(|found| found.pattern().as_usize()).collect();
        tokens.iter().enumerate().filter(|(index, _)| found.contains(index)).map(|(_, &token)| token).collect()
    };
    tokens.chunks(PATTERNS).flat_map(within).collect()
}

/// Finds control tokens in strings, in a time that grows with the strings alone.
struct Finder {
    /// Bytes of the longest token.
    longest: usize,
    /// Automata of at most [`PATTERNS`] tokens each, read from their ends.
    backwards: Vec<NFA>,
    /// The same, as they are read.
    forwards: Vec<NFA>,
}

impl Finder {
    fn new(tokens: Vec<&str>) -> Finder {
        let longest = tokens.iter().map(|token| token.len()).max().unwrap_or(0);
        let (mut backwards, mut forwards) = (Vec::new(), Vec::new());
        for tokens in tokens.chunks(PATTERNS) {
            backwards.extend(NFA::new(tokens.iter().map(|token| token.bytes().rev().collect::<Vec<_>>())).ok());
            forwards.extend(NFA::new(tokens).ok());
        }
        Finder { longest, backwards, forwards }
    }

    /// Byte offsets at which marks belong in `text`, ascending: behind the first character of each token, and at the end
    /// where that may be the beginning of one.
    fn places(&self, text: &str) -> Vec<usize> {
        let mut places = self.starts(text);
        for place in &mut places {
            *place += text[*place..].chars().next().map_or(1, char::len_utf8);
        }
        places.extend([text.trim_end().len(), text.len()].into_iter().filter(|&end| self.begins_token(&text[..end])));
        places.sort_unstable();
        places.dedup();
        places
    }

    /// Where tokens begin, ascending.
    fn starts(&self, text: &str) -> Vec<usize> {
        let mut starts = Vec::new();
        for (automaton, mut state) in self.backwards.iter().filter_map(started) {
            for (at, byte) in text.bytes().enumerate().rev() {
                state = automaton.next_state(Anchored::No, state, byte);
                if automaton.is_match(state) {
                    starts.push(at);
                }
            }
        }
        starts.sort_unstable();
        starts
    }

    /// Whether the end of `text` is the beginning of a control token, or all of one.
    fn begins_token(&self, text: &str) -> bool {
        let end = &text.as_bytes()[text.len().saturating_sub(self.longest)..];
        self.forwards.iter().filter_map(started).any(|(automaton, start)| {
            end.iter().fold(start, |state, &byte| automaton.next_state(Anchored::No, state, byte)) != start
        })
    }

    fn in_value(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => !self.places(text).is_empty(),
            Value::Array(items) => items.iter().any(|item| self.in_value(item)),
            Value::Object(fields) => fields.iter().any(|(name, value)| !self.places(name).is_empty() || self.in_value(value)),
            _ => false,
        }
    }

    fn mark_value(&self, value: &mut Value, mark: char) {
        match value {
            Value::String(text) => self.mark_text(text, mark),
            Value::Array(items) => items.iter_mut().for_each(|item| self.mark_value(item, mark)),
            Value::Object(fields) => {
                let marked = std::mem::take(fields).into_iter().map(|(mut name, mut value)| {
                    self.mark_text(&mut name, mark);
                    self.mark_value(&mut value, mark);
                    (name, value)
                });
                *fields = marked.collect::<Map<_, _>>();
            }
            _ => {}
        }
    }

    fn mark_text(&self, text: &mut String, mark: char) {
        let places = self.places(text);
        if places.is_empty() {
            return;
        }
        let (mut marked, mut done) = (String::with_capacity(text.len() + places.len() * mark.len_utf8()), 0);
        for place in places {
            marked.push_str(&text[done..place]);
            marked.push(mark);
            done = place;
        }
        marked.push_str(&text[done..]);
        *text = marked;
    }
}

/// An automaton and the state that it begins with.
fn started(automaton: &NFA) -> Option<(&NFA, StateID)> {
    Some((automaton, automaton.start_state(Anchored::No).ok()?))
}

/// Whether a character occurs in the strings of a value.
fn holds(value: &Value, mark: char) -> bool {
    match value {
        Value::String(text) => text.contains(mark),
        Value::Array(items) => items.iter().any(|item| holds(item, mark)),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains(mark) || holds(value, mark)),
        _ => false,
    }
}

/// Whether a template looks for this token in a message: it stands alone in quotes before `in`, or in the parentheses of a
/// method that searches.
fn reads(source: &str, token: &str) -> bool {
    let searches = ["split", "rsplit", "partition", "rpartition", "startswith", "endswith", "find", "index", "replace", "count"];
    source.match_indices(token).any(|(at, _)| {
        let (before, after) = (&source[..at], &source[at + token.len()..]);
        let Some(quote) = before.chars().next_back().filter(|c| matches!(c, '"' | '\'')) else { return false };
        let Some(after) = after.strip_prefix(quote) else { return false };
        let mut words = after.split_whitespace();
        let operator = words.next();
        let is_in = operator == Some("in") || (operator == Some("not") && words.next() == Some("in"));
        let method = before[..before.len() - 1].trim_end().strip_suffix('(').map(str::trim_end);
        is_in || method.is_some_and(|method| searches.iter().any(|search| method.ends_with(search)))
    })
}
