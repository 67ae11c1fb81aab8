//! Content that no suggested reply may have: slurs, sexual content, obscenities, insults, talk of crisis.
//!
//! This judges what would be said in a user's name, so it is stricter than what users may say themselves: a word that is
//! harmless in one sense (`dyke`, `spic`-and-span) costs a suggestion, a slur would cost more.

use super::constant;
use super::crisis::crisis;
use crate::wording;
use regex::Regex;
use std::collections::HashSet;
use std::sync::LazyLock;

static WORDS: LazyLock<HashSet<&str>> = LazyLock::new(|| listed().filter(|line| !line.contains(' ')).collect());
static PHRASES: LazyLock<Vec<&str>> = LazyLock::new(|| listed().filter(|line| line.contains(' ')).collect());

/// The lines of the list that are no comments.
fn listed() -> impl Iterator<Item = &'static str> {
    include_str!("unfit_words.txt").lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// Whether a reply holds an unfit word or phrase, or speaks of a crisis itself.
pub(crate) fn is_unfit(reply: &str) -> bool {
    let words = wording::words(&undisguised(reply));
    let joined = format!(" {} ", words.join(" "));
    words.iter().any(|word| is_unfit_word(word))
        || PHRASES.iter().any(|p| joined.contains(&format!(" {p} ")))
        || crisis(reply).is_some()
}

/// A listed word, also in the plural or with letters drawn out.
fn is_unfit_word(word: &str) -> bool {
    let listed = |word: &str| WORDS.contains(word) || word.strip_suffix('s').is_some_and(|w| WORDS.contains(w));
    let mut short = word.to_owned();
    let mut last = None;
    short.retain(|c| last.replace(c) != Some(c));
    listed(word) || (short.len() + 1 < word.len() && listed(&short))
}

/// Letters for the signs that stand for them inside a word: `sh1t`, `b!tch`, `a$$`, `f*ck`.
fn undisguised(text: &str) -> String {
    static DISGUISED: LazyLock<Regex> = LazyLock::new(|| {
        let pattern = r"[a-zA-Z]+(?:[0-9$!@*]+[a-zA-Z]+)+|[a-zA-Z]\$\$";
        constant(pattern)
    });
    DISGUISED
        .replace_all(text, |found: &regex::Captures<'_>| {
            let letter = |c| match c {
                '0' => 'o',
                '1' | '!' => 'i',
                '3' => 'e',
                '4' | '@' => 'a',
                '5' | '$' => 's',
                '*' => 'u',
                c => c,
            };
            found[0].chars().map(letter).collect::<String>()
        })
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfit_replies() {
        let unfit = [
            "Fuck that.",
            "what the f*ck",
            "This is sh1t!",
            "You b!tch",
            "FUUUUCK",
            "Go to hell.",
            "Shut up!",
            "You are an idiot.",
            "you're stupid",
            "Send nudes",
            "I want to have sex with you",
            "That is so gay lol",
            "He is a retard",
            "kill yourself",
            "I want to die",
            "Show me your tits",
            "You people are all the same.",
            "Go back to your country",
            "I hate you",
            "a$$hole",
        ];
        let missed: Vec<_> = unfit.iter().filter(|text| !is_unfit(text)).collect();
        assert!(missed.is_empty(), "{missed:#?}");
    }

    #[test]
    fn fit_replies() {
        let fit = [
            "Sure, I can help with that.",
            "I'd love a class in Scunthorpe.",
            "The cocktail bar opens at 6.",
            "Assess the assignment, please.",
            "It is a classic.",
            "That stupid printer again, sorry!",
            "The analysis is done.",
            "Pass me the bass guitar.",
            "It was a hell of a game!",
            "Dick Van Dyke was great.",
            "The title is Essex Road.",
            "See you at 7pm!",
            "B2B sales are up 3%.",
            "Good, well, see you soon!",
            "Gay pride is on Sunday.",
            "My dog had puppies.",
            "They sell grape juice.",
            "No, I hate rain.",
            "The coffee is to die for!",
            "Penalty shots win games.",
            "",
        ];
        let dropped: Vec<_> = fit.iter().filter(|text| is_unfit(text)).collect();
        assert!(dropped.is_empty(), "{dropped:#?}");
    }
}
