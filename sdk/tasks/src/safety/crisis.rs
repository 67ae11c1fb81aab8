//! Messages of crisis, recognised by their wording.
//!
//! A rule is a regular expression over the text in plain form (see [`wording::plain`]). Before the rules look, figures of
//! speech that borrow their words are taken out: `to die for`, `killing it`, `heart attack when I saw the bill`. The
//! rules want a person and an act, not a word: `suicide squad` is a film, `my phone died` a phone. Where a message could
//! be both, it counts as a crisis: the price is that no reply is suggested, and a person answers.

mod figures;
mod rules;

use super::constant;
use crate::wording;
use regex::{Regex, RegexSet};
use std::fmt;
use std::sync::LazyLock;

/// What kind of crisis a message speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CrisisKind {
    /// Suicide or harm to oneself.
    SelfHarm,
    /// Violence, coercion or sexual abuse by someone near.
    Abuse,
    /// An attack, a threat of one, or a weapon.
    Violence,
    /// Someone's life or health in danger: illness, accident, poisoning, fire.
    Emergency,
}

impl CrisisKind {
    /// A stable word for machines: `self_harm`, `abuse`, `violence` or `emergency`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SelfHarm => "self_harm",
            Self::Abuse => "abuse",
            Self::Violence => "violence",
            Self::Emergency => "emergency",
        }
    }
}

impl fmt::Display for CrisisKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SelfHarm => "self-harm or suicide",
            Self::Abuse => "abuse",
            Self::Violence => "violence",
            Self::Emergency => "an emergency",
        })
    }
}

/// The compiled rules, and the kind of each.
struct Rules {
    figures: Regex,
    kinds: Vec<CrisisKind>,
    set: RegexSet,
}

static RULES: LazyLock<Rules> = LazyLock::new(|| {
    let figures = figures::FIGURES.iter().map(|pattern| expand(pattern)).collect::<Vec<_>>().join("|");
    let rules = rules::RULES.iter().flat_map(|(kind, patterns)| patterns.iter().map(|pattern| (*kind, expand(pattern))));
    let (kinds, patterns): (Vec<CrisisKind>, Vec<String>) = rules.unzip();
    // Constant patterns, all compiled by a test.
    Rules {
        figures: constant(&format!(r"(?-u:\b)(?:{figures})(?-u:\b)")),
        kinds,
        set: RegexSet::new(patterns).unwrap_or_else(|e| unreachable!("{e}")),
    }
});

/// Fills in the abbreviations that patterns share, such as `<relative>`, and narrows the classes to ASCII, which keeps the
/// automata small.
fn expand(pattern: &str) -> String {
    // Twice, as an abbreviation may hold others.
    let fill = |text: String, _| rules::ABBREVIATIONS.iter().fold(text, |text, (name, full)| text.replace(name, full));
    (0..2).fold(pattern.to_owned(), fill).replace(r"\b", r"(?-u:\b)").replace(r"\w", "[a-z0-9_]").replace(r"\d", "[0-9]")
}

/// The kind of crisis that a message speaks of; the first in the order of [`CrisisKind`] where it speaks of several. A line
/// break may end a sentence or wrap it, so both readings count.
pub(crate) fn crisis(text: &str) -> Option<CrisisKind> {
    let wrapped = wording::plain(text);
    let ended = text.lines().map(wording::plain).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(". ");
    let first = |plain: &str| {
        let literal = RULES.figures.replace_all(plain, "~");
        RULES.set.matches(&literal).iter().next()
    };
    let both = [first(&wrapped), (ended != wrapped).then(|| first(&ended)).flatten()];
    both.into_iter().flatten().min().map(|rule| RULES.kinds[rule])
}

#[cfg(test)]
#[path = "crisis_tests.rs"]
mod tests;
