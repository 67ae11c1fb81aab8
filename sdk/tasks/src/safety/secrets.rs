//! Secrets: what a suggested reply must neither repeat nor invent.
//!
//! A reply with a secret is dropped whole. Masking half of it would leave a sentence that nobody wrote and, with a card's
//! last digits or a password's beginning, still part of the secret.

mod checks;
mod finders;

use crate::wording;
use finders::{Found, Kind, find};

/// Where a reply comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The model made it up, so a telephone number or address in it is made up as well.
    Generated,
    /// The caller wrote it: its contact data is meant to be told.
    Bank,
}

/// Digits in a row that give a number away, as the last four of a card do.
const TELLING_DIGITS: usize = 4;
/// Shortest secret that is looked for inside words.
const TELLING_LETTERS: usize = 4;

/// The secrets of a conversation.
#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets {
    /// Digits of card, account and telephone numbers, without separators.
    numbers: Vec<String>,
    /// Passwords, codes, keys and addresses, in plain form.
    words: Vec<String>,
}

impl Secrets {
    /// Finds the secrets of all texts.
    pub(crate) fn in_texts<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        let mut secrets = Self::default();
        for Found { kind, value } in texts.flat_map(find) {
            let digits: String = value.chars().filter(char::is_ascii_digit).collect();
            if digits.len() >= TELLING_DIGITS && kind != Kind::Email {
                secrets.numbers.push(digits);
            }
            if !kind.is_number() {
                secrets.words.push(wording::plain(&value));
            }
        }
        secrets
    }

    /// Whether `reply` repeats a secret of the conversation, or holds one of its own that its origin does not excuse.
    pub(crate) fn are_in(&self, reply: &str, origin: Origin) -> bool {
        let excused = |kind: Kind| origin == Origin::Bank && matches!(kind, Kind::Phone | Kind::Email);
        find(reply).any(|found| !excused(found.kind)) || self.repeats_number(reply) || self.repeats_word(reply)
    }

    /// A run of digits in the reply, separators taken out, that holds or is part of one of the numbers.
    fn repeats_number(&self, reply: &str) -> bool {
        let runs = finders::digit_runs(reply);
        runs.filter(|run| run.len() >= TELLING_DIGITS).any(|run| self.numbers.iter().any(|n| n.contains(&run) || run.contains(n)))
    }

    fn repeats_word(&self, reply: &str) -> bool {
        let plain = wording::plain(reply);
        let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
        self.words.iter().any(|word| {
            plain.match_indices(word.as_str()).any(|(at, _)| {
                let apart = is_edge(plain[..at].chars().next_back()) && is_edge(plain[at + word.len()..].chars().next());
                apart || word.chars().count() > TELLING_LETTERS
            })
        })
    }
}

#[cfg(test)]
#[path = "secrets_tests.rs"]
mod tests;
