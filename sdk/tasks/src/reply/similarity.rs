//! How alike two replies are.

use super::Intent;
use super::intent::expanded;
use std::collections::BTreeSet;

/// Replies with this share of words in common are duplicates ..
const DUPLICATE_OVERLAP: f32 = 0.75;
/// .. and so are those whose letters differ in at most this share.
const DUPLICATE_EDITS: f64 = 0.15;

/// Words that turn a reply into its opposite.
const OPPOSITES: &[&str] = &["not", "no", "never", "none", "nothing", "without"];

/// Whether two replies are the same but for case, punctuation and contractions.
pub(crate) fn same_words(a: &str, b: &str) -> bool {
    expanded(a) == expanded(b)
}

/// Whether showing both would look like showing one twice. Replies that do different things (see [`Intent`]), or of which
/// one is negated, are no duplicates however alike they look.
pub(crate) fn is_duplicate(a: &str, b: &str) -> bool {
    let (words_a, words_b) = (expanded(a), expanded(b));
    if words_a == words_b && !words_a.is_empty() {
        return true;
    }
    let opposites = |words: &[String]| words.iter().filter(|w| OPPOSITES.contains(&w.as_str())).count();
    if opposites(&words_a) != opposites(&words_b) || Intent::of(a) != Intent::of(b) {
        return false;
    }
    let letters = strsim::normalized_levenshtein(&words_a.join(" "), &words_b.join(" "));
    shared(&words_a, &words_b) >= DUPLICATE_OVERLAP || letters >= 1.0 - DUPLICATE_EDITS
}

/// The share of words in common, from 0 to 1: the intersection over the union of their sets.
pub(crate) fn overlap(a: &str, b: &str) -> f32 {
    shared(&expanded(a), &expanded(b))
}

fn shared(a: &[String], b: &[String]) -> f32 {
    let (a, b): (BTreeSet<&String>, BTreeSet<&String>) = (a.iter().collect(), b.iter().collect());
    let all = a.union(&b).count();
    if all == 0 { 1.0 } else { a.intersection(&b).count() as f32 / all as f32 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duplicates() {
        let same = [
            ("Yes.", "yes"),
            ("I'll check that.", "I will check that!"),
            ("Have a great day!", "Have a great day"),
            ("Have a great day.", "Have a great day ahead."),
            ("Thank you very much.", "Thank you so very much."),
            ("What time would you like?", "What time would you like it?"),
            ("A table for 2 at 7 pm in San Jose.", "A table for 4 at 7 pm in San Jose."),
            ("Your reservation is confirmed", "Your reservations is confirmed"),
        ];
        for (a, b) in same {
            assert!(is_duplicate(a, b) && is_duplicate(b, a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn no_duplicates() {
        let different = [
            ("Yes.", "No."),
            ("I can do that.", "I can't do that."),
            ("Yes, it is open.", "No, it is open."),
            ("It is open.", "Is it open?"),
            ("Great, thanks.", "Have a great day."),
            ("What time?", "What city?"),
            ("There is a table.", "There is no table."),
            ("\u{1f44d}", "OK"),
        ];
        for (a, b) in different {
            assert!(!is_duplicate(a, b) && !is_duplicate(b, a), "{a:?} {b:?}");
        }
    }

    #[test]
    fn overlap_is_a_share() {
        assert_eq!(overlap("a b c", "b c d"), 0.5);
        assert_eq!(overlap("same here", "Same here!"), 1.0);
        assert_eq!(overlap("one", "two"), 0.0);
    }
}
