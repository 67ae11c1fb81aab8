//! Which texts may be shown at all, whoever wrote them.

use super::candidate::{Fate, ReplySource};
use crate::conversation::Conversation;
use crate::reply::{overlap, same_words, sentences};
use crate::reply_model::EXAMPLES;
use crate::safety::{Origin, Secrets, invented, is_about_the_task, is_unfit};
use std::collections::HashSet;

/// Admits the texts of one conversation, each once.
pub(super) struct Admission<'a> {
    conversation: &'a Conversation,
    /// What the model was told besides the conversation.
    task: Option<&'a str>,
    secrets: Secrets,
    /// What either side said last.
    last: Vec<&'a str>,
    seen: HashSet<String>,
}

/// From this share of words in common on, what a model wrote repeats a message.
const ECHO: f32 = 0.7;

impl<'a> Admission<'a> {
    pub(super) fn new(conversation: &'a Conversation, task: Option<&'a str>) -> Self {
        let turns = &conversation.turns;
        let last = [conversation.next_speaker(), conversation.next_speaker().other()]
            .into_iter()
            .filter_map(|side| turns.iter().rev().find(|turn| turn.speaker == side))
            .map(|turn| turn.text.as_str())
            .collect();
        let secrets = Secrets::in_texts(turns.iter().map(|turn| turn.text.as_str()));
        Self { conversation, task, secrets, last, seen: HashSet::new() }
    }

    /// Why a text may not be shown; `None` if it may: it is fit for anyone, holds no secret, is no echo of what either side said last,
    /// and, where a model wrote it, states nothing that the conversation does not hold.
    pub(super) fn refuses(&mut self, text: &str, source: ReplySource) -> Option<Fate> {
        let origin = match source {
            ReplySource::Bank => Origin::Bank,
            ReplySource::Model => Origin::Generated,
        };
        let is_echo = |said: &&str| same_words(said, text) || asks_again(said, text);
        if !self.seen.insert(text.to_owned()) || self.last.iter().any(is_echo) {
            return Some(Fate::Echo);
        }
        if source == ReplySource::Model && self.repeats(text) {
            return Some(Fate::Echo);
        }
        if is_unfit(text) {
            return Some(Fate::Unfit);
        }
        if self.secrets.are_in(text, origin) {
            return Some(Fate::Secret);
        }
        match source {
            ReplySource::Bank => None,
            ReplySource::Model if is_about_the_task(self.task, text) => Some(Fate::AboutTheTask),
            ReplySource::Model => invented(self.conversation, text).map(Fate::from),
        }
    }

    /// Whether a text says again what was just said, or one of the examples that the model was shown.
    fn repeats(&self, text: &str) -> bool {
        let long = text.split_whitespace().count() > 3;
        let shown = self.task.map_or(&[][..], |_| EXAMPLES.as_slice()).iter().map(|[said, _]| *said);
        long && self.last.iter().copied().chain(shown).any(|said| overlap(said, text) >= ECHO)
    }
}

/// Whether a text is a question that a message asks, among other things.
fn asks_again(message: &str, text: &str) -> bool {
    text.ends_with('?') && sentences(message).iter().any(|sentence| same_words(sentence, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_or_asked_is_not_said_again() {
        let fate = |said: &str, text: &str| {
            let conversation = Conversation::single(said);
            Admission::new(&conversation, None).refuses(text, ReplySource::Bank)
        };
        for (said, text, expected) in [
            ("Good luck!", "good luck", Some(Fate::Echo)),
            ("Long time no speak! How have you been?", "How have you been?", Some(Fate::Echo)),
            ("Long time no speak! How have you been?", "How are you?", None),
            ("Night night. Love you!", "Love you!", None),
        ] {
            assert_eq!(fate(said, text), expected, "{said:?} {text:?}");
        }
    }
}
