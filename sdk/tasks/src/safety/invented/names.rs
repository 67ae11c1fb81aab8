//! Names of people, companies, products and towns.

use super::Invention;
use super::said::Said;
use super::sentences::{Sentence, holds};
use std::collections::HashSet;
use std::sync::LazyLock;
use unicode_segmentation::UnicodeSegmentation;

/// Words that are names even in small letters.
struct Lists {
    people: HashSet<&'static str>,
    brands: HashSet<&'static str>,
    towns: HashSet<&'static str>,
    /// Capitalised by habit, without being the name of anyone.
    ordinary: HashSet<&'static str>,
}

static LISTS: LazyLock<Lists> = LazyLock::new(|| {
    let text = include_str!("names.txt");
    let section = |title: &str| {
        let lines = text.lines().skip_while(move |line| line.strip_prefix("# ") != Some(title)).skip(1);
        lines.take_while(|line| !line.starts_with("# ")).flat_map(str::split_ascii_whitespace).collect()
    };
    Lists { people: section("people"), brands: section("brands"), towns: section("towns"), ordinary: section("ordinary") }
});

/// A word of a sentence as it is written.
struct Word<'a> {
    text: &'a str,
    /// In small letters, without `'s`.
    low: String,
    /// Whether a sentence or a quotation begins here.
    is_start: bool,
}

/// The kind of the first name in a sentence that the conversation does not hold.
pub(super) fn invented(sentence: &Sentence, said: &Said) -> Option<Invention> {
    let words = words(&sentence.raw);
    let shouts = words.iter().filter(|word| word.text.chars().count() > 1).all(|word| is_shouted(word.text));
    // A title tells nothing by its capitals.
    let within: Vec<&Word<'_>> = words.iter().skip(1).filter(|word| word.low.split('\'').next() != Some("i")).collect();
    let is_title = within.len() >= 3 && within.iter().filter(|word| is_capital(word.text)).count() * 10 >= within.len() * 7;
    let lists = &*LISTS;
    for (i, word) in words.iter().enumerate() {
        let low = word.low.as_str();
        if said.word(low) || said.word(&format!("{low}'s")) || said.word(&low.replace('\'', "")) {
            continue;
        }
        if lists.people.contains(low) || lists.brands.contains(low) {
            return Some(Invention::Name);
        }
        if lists.towns.contains(low) {
            return Some(Invention::Place);
        }
        let before = i.checked_sub(1).map_or("", |before| words[before].low.as_str());
        let has_shape = is_capital(word.text) && !word.is_start && !shouts && !is_title;
        // One word in capitals is stressed, unless it is short and stands where a name does: `from MIT`.
        let is_stressed = is_shouted(word.text) && !(word.text.len() <= 4 && holds("the from at in by for with of on", before));
        if has_shape && !is_stressed && low.chars().count() > 1 && !is_ordinary(low) {
            return Some(if holds("in near to from at around", before) { Invention::Place } else { Invention::Name });
        }
    }
    None
}

fn words(raw: &str) -> Vec<Word<'_>> {
    let mut words = vec![];
    let mut end = 0;
    for (at, text) in raw.unicode_word_indices() {
        let gap = &raw[end..at];
        let breaks =
            |c: char| !c.is_alphanumeric() && !c.is_whitespace() && !matches!(c, ',' | '\'' | '-' | '&' | '@' | '/' | '#');
        let low = text.to_lowercase();
        let low = low.strip_suffix("'s").map_or(low.clone(), str::to_owned);
        // A full stop within a sentence is that of an abbreviation.
        words.push(Word { text, low, is_start: words.is_empty() || gap.replace('.', "").contains(breaks) });
        end = at + text.len();
    }
    words
}

fn is_capital(word: &str) -> bool {
    word.starts_with(char::is_uppercase) && !word.contains(|c: char| c.is_ascii_digit())
}

fn is_shouted(word: &str) -> bool {
    !word.contains(char::is_lowercase)
}

/// A word that writers capitalise without naming anyone: `I'm`, `Mum`, `English`, days and months.
fn is_ordinary(low: &str) -> bool {
    let stem = low.split('\'').next().unwrap_or(low);
    let single = stem.strip_suffix('s').unwrap_or(stem);
    [low, stem, single].iter().any(|word| LISTS.ordinary.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_listed_in_two_ways() {
        let lists = &*LISTS;
        for (list, others) in [
            (&lists.people, [&lists.brands, &lists.towns, &lists.ordinary]),
            (&lists.towns, [&lists.brands, &lists.people, &lists.ordinary]),
        ] {
            assert!(list.len() > 50);
            let twice: Vec<_> = list.iter().filter(|name| others.iter().any(|other| other.contains(*name))).collect();
            assert!(twice.is_empty(), "{twice:?}");
        }
    }
}
