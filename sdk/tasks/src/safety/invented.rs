//! Statements of a written reply that the conversation does not hold.
//!
//! A model that writes a reply speaks in someone's name, and knows of that person nothing but the conversation. What it
//! adds of its own is made up: a number, a time, a name, a place, or something that is said to be done. The rules know
//! wordings of English and are for replies of any model. Asking, promising, feeling and thinking are no statements of
//! fact; an answer may take up what the conversation asks about, so `Yes, I locked it` is no invention after `did you
//! lock it`, and is one after `can you lock it`.
//!
//! Where a reply could be read both ways, it counts as invented: the price is a suggestion less.

mod actions;
mod claims;
mod names;
mod numbers;
mod places;
mod said;
mod sentences;
mod times;
mod verbs;

use crate::conversation::Conversation;
use said::Said;
use sentences::Sentence;
use std::fmt;

/// What a reply made up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Invention {
    /// A number, price, share or telephone number, in digits or words.
    Number,
    /// A time of day, a day, a date, or a length of time.
    Time,
    /// Of a person, company or product.
    Name,
    /// Where something or someone is, or an address.
    Place,
    /// Something said to be done, or to be so.
    Action,
}

impl Invention {
    /// A stable word for machines: `number`, `time`, `name`, `place` or `action`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Time => "time",
            Self::Name => "name",
            Self::Place => "place",
            Self::Action => "action",
        }
    }
}

impl fmt::Display for Invention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What `reply` states that `conversation` does not hold, its instructions included; the first kind found where there are
/// several.
pub(crate) fn invented(conversation: &Conversation, reply: &str) -> Option<Invention> {
    let said = Said::in_conversation(conversation);
    let sentences = Sentence::all(reply);
    let quantity = sentences.iter().find_map(|sentence| numbers::invented(sentence, &said));
    quantity
        .or_else(|| sentences.iter().any(|s| times::are_invented(s, &said)).then_some(Invention::Time))
        .or_else(|| sentences.iter().any(|s| places::are_invented(s, &said)).then_some(Invention::Place))
        .or_else(|| sentences.iter().find_map(|s| names::invented(s, &said)))
        .or_else(|| sentences.iter().any(|s| actions::are_invented(s, &said)).then_some(Invention::Action))
}

#[cfg(test)]
#[path = "invented_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "invented_data.rs"]
mod data;
