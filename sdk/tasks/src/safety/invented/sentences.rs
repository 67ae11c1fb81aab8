//! A text cut into sentences and clauses, as the rules read them.

use crate::safety::constant;
use crate::wording;
use regex::Regex;
use std::sync::LazyLock;
use unicode_segmentation::UnicodeSegmentation;

/// Whether a list of words, separated by white space, holds `word`.
pub(super) fn holds(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// One sentence of a text.
pub(super) struct Sentence {
    /// As it was written, quotes straightened.
    pub(super) raw: String,
    /// In plain form.
    pub(super) plain: String,
    /// The parts between its commas and conjunctions.
    pub(super) clauses: Vec<Clause>,
    /// Whether it ends as a question.
    pub(super) asks: bool,
}

/// A part of a sentence.
pub(super) struct Clause {
    /// Its words in plain form, contractions written out.
    pub(super) words: Vec<String>,
    /// The same, separated by single spaces.
    pub(super) text: String,
    /// Whether it is a question.
    pub(super) asks: bool,
    /// Whether it suggests something that the other side may decline.
    pub(super) proposes: bool,
}

/// Words with which a question begins.
const OPENERS: &str = "did do does don't is are am was were have has had can could will would should shall may might what \
                       when where which who whose why how any isn't aren't not";
/// Words that say nothing yet.
pub(super) const INTERJECTIONS: &str = "yes yeah yep yup ya ye no nope nah ok okay k sure oh ah aw haha lol hi hey hello sorry \
                                        thanks thank great good cool nice perfect well so and but or then of course \
                                        please omg wow certainly absolutely definitely right awesome alright";
/// Words that may be the subject of a clause of its own after `and`.
const SUBJECTS: &str = "i we he she it they you your the my our there that how what maybe let";

impl Sentence {
    /// The sentences of a text.
    pub(super) fn all(text: &str) -> Vec<Self> {
        static END: LazyLock<Regex> = LazyLock::new(|| constant(r#"[.!?\x{2026}]+["')]*(?:\s+|$)|[\r\n]+"#));
        let text = text.replace(['\u{2018}', '\u{2019}'], "'").replace(['\u{201c}', '\u{201d}'], "\"");
        let mut sentences = vec![];
        let mut begin = 0;
        for end in END.find_iter(&text) {
            if is_abbreviated(&text[begin..end.start()]) && end.end() < text.len() {
                continue;
            }
            sentences.extend(Self::new(&text[begin..end.start()], end.as_str().contains('?')));
            begin = end.end();
        }
        sentences.extend(Self::new(&text[begin..], false));
        sentences
    }

    fn new(raw: &str, asks: bool) -> Option<Self> {
        let plain = wording::plain(raw);
        let clauses = clauses(&plain, asks);
        (!plain.is_empty()).then(|| Self { raw: raw.to_owned(), plain, clauses, asks })
    }
}

/// Whether a text ends on a word that takes a stop: `Mr`, `p.m`.
fn is_abbreviated(text: &str) -> bool {
    let last = text.rsplit(char::is_whitespace).next().unwrap_or_default().to_lowercase();
    holds("mr mrs ms dr prof st a.m p.m e.g i.e", &last)
}

fn clauses(plain: &str, asks: bool) -> Vec<Clause> {
    static BREAK: LazyLock<Regex> = LazyLock::new(|| constant(r"[,;:()]+(?:\s|$)|\s-+\s|\s/\s"));
    let mut parts: Vec<Vec<String>> = vec![];
    for part in BREAK.split(plain) {
        let words = expanded(part);
        let mut clause: Vec<String> = vec![];
        for (i, word) in words.iter().enumerate() {
            let is_seam = holds("and but so or", word) && words.get(i + 1).is_some_and(|next| holds(SUBJECTS, next));
            if is_seam && !clause.is_empty() {
                parts.push(std::mem::take(&mut clause));
            }
            clause.push(word.clone());
        }
        parts.push(clause);
    }
    parts.retain(|words| !words.is_empty());
    let count = parts.len();
    let clause = |(i, words): (usize, Vec<String>)| {
        let open = unspoken(&words);
        let first = open.first().map_or("", String::as_str);
        // Many leave out the mark, so the order of the words counts as well.
        let asks = is_inverted(open) || asks && (i + 1 == count || holds(OPENERS, first));
        let text = words.join(" ");
        let proposes = asks || begins_as_proposal(&open.join(" "));
        Clause { words, text, asks, proposes }
    };
    parts.into_iter().enumerate().map(clause).collect()
}

/// The words after leading interjections.
pub(super) fn unspoken(words: &[String]) -> &[String] {
    let begin = words.iter().position(|word| !holds(INTERJECTIONS, word)).unwrap_or(words.len());
    &words[begin..]
}

/// `have you seen`, `where is`.
fn is_inverted(words: &[String]) -> bool {
    const AUXILIARIES: &str = "is are was were am do does did have has can could will would should shall";
    let [first, second, ..] = words else { return false };
    holds(AUXILIARIES, first) && holds("you i we he she it they there your", second)
        || holds("what when where which who why how", first) && holds(AUXILIARIES, second)
}

fn begins_as_proposal(text: &str) -> bool {
    const PROPOSALS: [&str; 18] = [
        "how about ",
        "what about ",
        "maybe ",
        "perhaps ",
        "let us ",
        "lets ",
        "shall ",
        "could we ",
        "can we ",
        "could you ",
        "can you ",
        "would ",
        "does ",
        "do you ",
        "are you ",
        "why not ",
        "we could ",
        "if ",
    ];
    PROPOSALS.iter().any(|opening| text.starts_with(opening))
}

/// The words of a text in plain form, contractions and short forms written out: `i've` is `i have`.
pub(super) fn expanded(plain: &str) -> Vec<String> {
    let mut words = vec![];
    for word in plain.unicode_words() {
        let full = match word {
            "ive" => "i have",
            "im" => "i am",
            "ill" => "i will",
            "u" | "ya" => "you",
            "ur" => "your",
            "youre" => "you are",
            "theyre" => "they are",
            "weve" => "we have",
            "thats" => "that is",
            "theres" => "there is",
            "heres" => "here is",
            "hes" => "he is",
            "shes" => "she is",
            "its" => "it is",
            "can't" | "cant" | "cannot" => "can not",
            "won't" | "wont" => "will not",
            "let's" => "let us",
            "dont" => "do not",
            "didnt" => "did not",
            "havent" => "have not",
            "hasnt" => "has not",
            "isnt" => "is not",
            "wasnt" => "was not",
            _ => "",
        };
        if full.is_empty() {
            split(word, &mut words);
        } else {
            words.extend(full.split(' ').map(str::to_owned));
        }
    }
    words
}

/// A word and what its apostrophe stands for. After a noun, `'s` is taken for a possessive.
fn split(word: &str, words: &mut Vec<String>) {
    const ENDINGS: [(&str, &str); 6] =
        [("n't", "not"), ("'ve", "have"), ("'ll", "will"), ("'re", "are"), ("'m", "am"), ("'d", "would")];
    if let Some((stem, rest)) = ENDINGS.iter().find_map(|(end, full)| Some((word.strip_suffix(end)?, *full))) {
        words.extend([stem.to_owned(), rest.to_owned()]);
        return;
    }
    let Some(stem) = word.strip_suffix("'s") else {
        words.push(word.to_owned());
        return;
    };
    words.push(stem.to_owned());
    if holds("it he she that there here what who where how everything everyone all", stem) {
        words.push("is".to_owned());
    }
}
