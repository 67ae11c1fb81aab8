//! The forms in which a conversation arrives: transcript lines, JSON messages, one message alone.

use super::{Conversation, Speaker, Turn};
use serde_json::Value;
use std::fmt;

/// Where a conversation could not be read, and what was expected there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConversationError {
    /// A line of a transcript begins with no speaker.
    #[error(
        "line {line}: expected `speaker: text`, for example `customer: ..` or `agent: ..`, but found `{found}`; \
         begin the line with a space if it continues the message above"
    )]
    UnlabelledLine {
        /// Number of the line, from 1.
        line: usize,
        /// How the line begins.
        found: String,
    },
    /// More than two sides.
    #[error("{place}: expected `{first}` or `{second}`, but found a third speaker, `{found}`; a conversation has two sides")]
    ThirdSpeaker {
        /// Where the third appears.
        place: Place,
        /// The name found.
        found: String,
        /// The side that spoke first.
        first: String,
        /// The side that spoke second.
        second: String,
    },
    /// Text that begins like JSON and is none.
    #[error(
        "line {line}, column {column}: expected JSON messages such as [{{\"role\": \"customer\", \"content\": \"..\"}}]: {reason}"
    )]
    Json {
        /// Number of the line, from 1.
        line: usize,
        /// Number of the column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// JSON of another shape than messages.
    #[error("{place}: expected {expected}, but found {found}")]
    JsonMessage {
        /// Which part of the JSON.
        place: Place,
        /// What should stand there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
}

/// A place in what was read, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A line of a transcript.
    Line(usize),
    /// A message of a JSON array.
    Message(usize),
    /// The JSON value as a whole.
    Whole,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Message(number) => write!(f, "message {number}"),
            Self::Whole => f.write_str("the conversation"),
        }
    }
}

pub(super) fn any(text: &str) -> Result<Conversation, ConversationError> {
    let text = text.trim_start_matches('\u{feff}');
    if text.trim_start().starts_with(['[', '{']) {
        return json(text);
    }
    if is_transcript(text) {
        return lines(text);
    }
    let whole = text.trim();
    Ok(if whole.is_empty() { Conversation::default() } else { Conversation::single(whole) })
}

/// Lines are a transcript if one of them names a side by a usual name, or the first two both begin with a name:
/// `Note: we close at six` alone is a message.
fn is_transcript(text: &str) -> bool {
    let mut labelled = text.lines().filter(|l| !l.trim().is_empty()).map(split_label);
    let usual = |label: &str| {
        let label = label.to_lowercase();
        usual_role(&label).is_some() || ["me", "them"].contains(&label.as_str())
    };
    match labelled.next() {
        None => false,
        Some(first) => {
            let second_too = labelled.clone().next().is_some_and(|l| l.is_some());
            (first.is_some() && second_too) || first.into_iter().chain(labelled.flatten()).any(|(label, _)| usual(label))
        }
    }
}

/// `Anna B: hello` gives the label and the text; no label where the part before the colon does not look like a name.
fn split_label(line: &str) -> Option<(&str, &str)> {
    let (label, text) = line.split_once(':')?;
    let name = label.trim_end();
    let begins_well = name.chars().next().is_some_and(char::is_alphabetic);
    let is_name = |c: char| c.is_alphanumeric() || " _-.'#".contains(c);
    let text_is_apart = text.is_empty() || text.starts_with(char::is_whitespace);
    let fits = name.chars().count() <= 24 && name.split_whitespace().count() <= 3;
    (begins_well && fits && text_is_apart && name.chars().all(is_name)).then(|| (name, text.trim()))
}

pub(super) fn lines(text: &str) -> Result<Conversation, ConversationError> {
    let mut said: Vec<Said> = vec![];
    for (i, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let continues = line.starts_with([' ', '\t']);
        match (split_label(line), said.last_mut()) {
            (Some((name, text)), _) => said.push(Said { place: Place::Line(i + 1), name: name.into(), text: text.into() }),
            (None, Some(last)) if continues => {
                last.text.push('\n');
                last.text.push_str(line.trim());
            }
            (None, _) => match split_label(line.trim_start()) {
                Some((name, text)) => said.push(Said { place: Place::Line(i + 1), name: name.into(), text: text.into() }),
                None => return Err(ConversationError::UnlabelledLine { line: i + 1, found: beginning(line.trim()) }),
            },
        }
    }
    assemble(said)
}

pub(super) fn json(text: &str) -> Result<Conversation, ConversationError> {
    let value: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).map_err(|e| ConversationError::Json {
        line: e.line(),
        column: e.column(),
        reason: e.to_string().split(" at line ").next().unwrap_or_default().to_owned(),
    })?;
    let expected = "an array of messages, or an object with such an array under `messages` or `turns`";
    let messages = match &value {
        Value::Object(object) => object.get("messages").or_else(|| object.get("turns")),
        array => Some(array),
    };
    let Some(Value::Array(messages)) = messages else {
        return Err(ConversationError::JsonMessage { place: Place::Whole, expected, found: describe(&value) });
    };
    let said: Result<Vec<Said>, _> = messages.iter().enumerate().map(|(i, m)| json_message(Place::Message(i + 1), m)).collect();
    assemble(said?)
}

/// A message before its speaker was matched to a side.
struct Said {
    place: Place,
    name: String,
    text: String,
}

fn json_message(place: Place, message: &Value) -> Result<Said, ConversationError> {
    let wrong = |expected, found: &Value| ConversationError::JsonMessage { place, expected, found: describe(found) };
    let Value::Object(fields) = message else {
        return Err(wrong("an object such as {\"role\": \"customer\", \"content\": \"..\"}", message));
    };
    let name = match fields.get("role").or_else(|| fields.get("speaker")) {
        Some(Value::String(name)) if !name.trim().is_empty() => name.trim().to_owned(),
        Some(other) => return Err(wrong("a name under `role` or `speaker`", other)),
        None => return Err(wrong("a field `role` or `speaker`", message)),
    };
    let text = match fields.get("content").or_else(|| fields.get("text")) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) => String::new(),
        Some(Value::Array(parts)) => parts
            .iter()
            .map(|part| {
                part.get("text")
                    .and_then(Value::as_str)
                    .ok_or_else(|| wrong("parts of the form {\"type\": \"text\", \"text\": \"..\"}", part))
            })
            .collect::<Result<Vec<_>, _>>()?
            .join("\n"),
        Some(other) => return Err(wrong("a string under `content` or `text`", other)),
        None => return Err(wrong("a field `content` or `text`", message)),
    };
    Ok(Said { place, name, text })
}

/// What stands in the JSON, in few words.
fn describe(value: &Value) -> String {
    match value {
        Value::Object(fields) if fields.is_empty() => "an empty object".into(),
        Value::Object(fields) => {
            format!(
                "an object with {}",
                fields.keys().take(4).map(|k| format!("`{}`", beginning(k))).collect::<Vec<_>>().join(", ")
            )
        }
        Value::Array(_) => "an array".into(),
        Value::String(text) => format!("the string \"{}\"", beginning(text)),
        Value::Null => "null".into(),
        number_or_bool => format!("`{number_or_bool}`"),
    }
}

/// The first characters, for an error message.
fn beginning(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((cut, _)) => format!("{}..", &text[..cut]),
        None => text.to_owned(),
    }
}

/// A role that says by its name which side it is.
fn usual_role(lower_case: &str) -> Option<Speaker> {
    match lower_case {
        "customer" | "user" | "client" | "guest" | "patient" | "caller" | "buyer" | "human" => Some(Speaker::Customer),
        "agent" | "assistant" | "bot" | "support" | "operator" | "staff" | "seller" | "doctor" | "model" | "ai" => {
            Some(Speaker::Agent)
        }
        _ => None,
    }
}

/// Matches names to sides. A usual role keeps its side and any other name takes the side that is left; of two other names
/// `me` is the agent (the one for whom replies are suggested), otherwise the first to speak is the customer.
fn assemble(said: Vec<Said>) -> Result<Conversation, ConversationError> {
    let mut conversation = Conversation::default();
    let mut names: Vec<(String, Option<Speaker>)> = vec![];
    let mut by: Vec<(usize, String)> = vec![];
    for Said { place, name, text } in said {
        let lower = name.to_lowercase();
        if lower == "system" || lower == "developer" {
            let told = conversation.instructions.get_or_insert_default();
            *told = [told.as_str(), text.trim()].join("\n").trim().to_owned();
            continue;
        }
        let key = usual_role(&lower).map_or(lower.clone(), |side| side.name().to_owned());
        let index = match names.iter().position(|(known, _)| *known == key) {
            Some(index) => index,
            None if names.len() < 2 => {
                names.push((key, usual_role(&lower)));
                names.len() - 1
            }
            None => {
                let [first, second] = [0, 1].map(|i| beginning(&names[i].0));
                return Err(ConversationError::ThirdSpeaker { place, found: beginning(&name), first, second });
            }
        };
        by.push((index, text));
    }
    let first_side = match names.as_slice() {
        [(_, Some(side)), ..] => *side,
        [_, (_, Some(side))] => side.other(),
        [(name, None), ..] if name == "me" => Speaker::Agent,
        _ => Speaker::Customer,
    };
    let side = |index: usize| if index == 0 { first_side } else { first_side.other() };
    conversation.turns = by.into_iter().map(|(index, text)| Turn { speaker: side(index), text }).collect();
    Ok(conversation)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
