//! What a conversation holds, as replies are compared with it.

use super::numbers::{self, Reading};
use super::sentences::{Sentence, holds};
use super::{times, verbs};
use crate::conversation::Conversation;
use crate::wording;
use std::collections::HashSet;

/// What was said, and what is therefore no invention.
pub(super) struct Said {
    words: HashSet<String>,
    numbers: HashSet<Reading>,
    /// Indices of the times that [`times`] knows.
    times: HashSet<usize>,
    /// Verbs that were told or asked to be done.
    told: HashSet<String>,
    /// The groups of those that were asked (see [`verbs::group`]).
    asked: HashSet<String>,
    /// Whether it was asked what somebody did or has done.
    asks_what_was_done: bool,
}

impl Said {
    /// Of all messages and the instructions.
    pub(super) fn in_conversation(conversation: &Conversation) -> Self {
        let texts = conversation.turns.iter().map(|turn| turn.text.as_str()).chain(conversation.instructions.as_deref());
        let mut said = Self {
            words: HashSet::new(),
            numbers: HashSet::new(),
            times: HashSet::new(),
            told: HashSet::new(),
            asked: HashSet::new(),
            asks_what_was_done: false,
        };
        for text in texts {
            let plain = wording::plain(text);
            said.numbers.extend(numbers::loosely(&plain));
            said.times.extend(times::said(&plain));
            Sentence::all(text).iter().for_each(|sentence| said.add(sentence));
        }
        said
    }

    fn add(&mut self, sentence: &Sentence) {
        let words: Vec<&str> = sentence.clauses.iter().flat_map(|clause| &clause.words).map(String::as_str).collect();
        self.words.extend(words.iter().map(|word| (*word).to_owned()));
        let mut past = false;
        let mut negated = None;
        for (i, word) in words.iter().enumerate() {
            let of_you = holds("did have has had hav", word);
            self.asks_what_was_done |= of_you && words.get(i + 1).is_some_and(|next| holds("you not", next));
            past |= of_you;
            if holds("not never", word) {
                negated = Some(i);
            }
            // A question holds what it denies: `haven't you sent it?`
            if !sentence.asks && negated.is_some_and(|at| i - at <= 3) {
                continue;
            }
            let told = verbs::past(word).into_iter().filter(|lemma| past || lemma != word);
            let asked = if past { verbs::bases(word) } else { vec![] };
            for lemma in told.chain(asked) {
                // What is told tells of that verb alone: after `she rang`, nobody has called anyone.
                if past {
                    self.asked.insert(verbs::group(&lemma).to_owned());
                }
                self.told.insert(lemma);
            }
        }
    }

    /// Whether a word was said, in the singular or the plural.
    pub(super) fn word(&self, word: &str) -> bool {
        let single = word.strip_suffix('s').filter(|w| w.len() > 2);
        self.words.contains(word)
            || single.is_some_and(|word| self.words.contains(word))
            || self.words.contains(&format!("{word}s"))
            || self.words.contains(&format!("{word}es"))
    }

    /// Whether one of the readings of a number was said.
    pub(super) fn number(&self, readings: &[Reading]) -> bool {
        readings.iter().any(|reading| self.numbers.contains(reading))
    }

    /// Whether the time with this index was said.
    pub(super) fn time(&self, index: usize) -> bool {
        self.times.contains(&index)
    }

    /// Whether it was told or asked that one of these verbs was done.
    pub(super) fn done(&self, lemmas: &[String]) -> bool {
        let asked = self.asks_what_was_done && lemmas.iter().any(|lemma| lemma == "do");
        asked || lemmas.iter().any(|lemma| self.told.contains(lemma) || self.asked.contains(verbs::group(lemma)))
    }
}
