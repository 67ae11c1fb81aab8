//! The form of a reply: one line, whole sentences, not too long.

use crate::wording;
use std::borrow::Cow;
use unicode_segmentation::UnicodeSegmentation;

/// Abbreviations after which a full stop ends no sentence.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "ave", "blvd", "rd", "no", "vs", "etc", "e.g", "i.e", "a.m", "p.m", "u.s", "jr", "sr",
    "inc", "approx",
];

/// A reply as it can be shown: its first line that says anything, white space single, quotes and a speaker's name around it
/// removed, sentences that repeat themselves said once. `finished` tells whether the model ended it; otherwise, and beyond
/// `max_chars` characters, the reply ends with its last whole sentence. `None` if nothing is left to show, and where it goes round in
/// circles.
pub(crate) fn tidy(text: &str, finished: bool, max_chars: usize) -> Option<String> {
    let lines = text.lines().map(|line| line.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()));
    let mut lines = lines.map(|words| words.collect::<Vec<_>>().join(" ")).filter(|line| !wording::is_mute(line));
    let line = lines.next()?;
    let finished = finished || lines.next().is_some();
    let bare = without_frame(&line);
    let whole = without_repeats(bare);
    let fits = |text: &str| text.chars().count() <= max_chars;
    let shown = if finished && fits(&whole) { whole.into_owned() } else { whole_sentences(&whole, max_chars)? };
    (!wording::is_mute(&shown) && !shown.contains('\u{fffd}') && !goes_round(&shown)).then_some(shown)
}

/// Whether three words, not all the same, stand there twice: "I don't know, but I don't know that".
fn goes_round(text: &str) -> bool {
    let words = wording::words(text);
    let runs: Vec<&[String]> = words.windows(3).collect();
    let is_again = |(at, run): (usize, &&[String])| run.iter().any(|word| *word != run[0]) && runs[at + 1..].contains(run);
    runs.iter().enumerate().any(is_again)
}

/// Without a bullet, a mark that ends what was never begun, a speaker's name or quotes that enclose the whole.
fn without_frame(line: &str) -> &str {
    let mut bare = line.trim().trim_start_matches(['-', '*', '\u{2022}', '>', '.', ',', ';', ' ']);
    for name in ["agent:", "customer:", "assistant:", "user:", "reply:", "me:", "bot:"] {
        if bare.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            bare = bare[name.len()..].trim_start();
        }
    }
    for (open, close) in [('"', '"'), ('\u{201c}', '\u{201d}'), ('\'', '\'')] {
        if let Some(inner) = bare.strip_prefix(open).and_then(|rest| rest.strip_suffix(close))
            && !inner.contains(open)
        {
            bare = inner.trim();
        }
    }
    bare
}

/// A sentence that says the same as the one before it is left out.
fn without_repeats(text: &str) -> Cow<'_, str> {
    let sentences = sentences(text);
    let mut kept: Vec<&str> = vec![];
    for sentence in &sentences {
        let said = kept.iter().any(|before| wording::words(before) == wording::words(sentence));
        if !said || wording::is_mute(sentence) {
            kept.push(sentence);
        }
    }
    if kept.len() == sentences.len() { Cow::Borrowed(text) } else { Cow::Owned(kept.concat().trim().to_owned()) }
}

/// The sentences at the beginning that are whole and fit; `None` if not even the first does.
fn whole_sentences(text: &str, max_chars: usize) -> Option<String> {
    let mut end = 0;
    let mut at = 0;
    for sentence in sentences(text) {
        at += sentence.len();
        if text[..at].trim_end().chars().count() > max_chars {
            break;
        }
        if sentence.trim_end().trim_end_matches(['"', '\'', ')']).ends_with(['.', '!', '?', '\u{2026}']) {
            end = at;
        }
    }
    (end > 0).then(|| text[..end].trim_end().to_owned())
}

/// The sentences of a text, together the whole text; an abbreviation ends none.
pub(crate) fn sentences(text: &str) -> Vec<&str> {
    let mut found = vec![];
    let mut start = 0;
    let mut end = 0;
    for bound in text.split_sentence_bounds() {
        end += bound.len();
        let last =
            text[start..end].trim_end().strip_suffix('.').and_then(|s| s.split_whitespace().next_back()).unwrap_or_default();
        let initial = last.chars().count() == 1 && last.chars().all(char::is_uppercase) && last != "I";
        if !initial && !ABBREVIATIONS.contains(&last.to_lowercase().as_str()) {
            found.push(&text[start..end]);
            start = end;
        }
    }
    if start < end {
        found.push(&text[start..end]);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_tidied() {
        struct Case {
            text: &'static str,
            finished: bool,
            tidy: Option<&'static str>,
        }
        let whole = |text, tidy| Case { text, finished: true, tidy };
        let cut = |text, tidy| Case { text, finished: false, tidy };
        let cases = [
            whole("  Yes,\t that  works. ", Some("Yes, that works.")),
            whole("Sure thing", Some("Sure thing")),
            whole("\n\n...\nHello.\nSecond line", Some("Hello.")),
            whole("\"I am on my way.\"", Some("I am on my way.")),
            whole("\u{201c}Fine.\u{201d}", Some("Fine.")),
            whole("\"Yes\" or \"no\"", Some("\"Yes\" or \"no\"")),
            whole("Agent: Hello!", Some("Hello!")),
            whole("- It is open.", Some("It is open.")),
            whole("Thanks. Thanks. Thanks.", Some("Thanks.")),
            whole("It is open. Come in. It is open.", Some("It is open. Come in.")),
            whole("\u{1f44d}", Some("\u{1f44d}")),
            whole(". Fine, thanks.", Some("Fine, thanks.")),
            whole("I'm sorry, I don't know, but I don't know that.", None),
            whole("ha ha ha ha ha ha, I know, I know", Some("ha ha ha ha ha ha, I know, I know")),
            whole("", None),
            whole(" ?! ", None),
            whole("caf\u{fffd}", None),
            whole("This is far too long to be shown as one short suggestion", None),
            whole("Short one. This second sentence is far too long to fit beside it.", Some("Short one.")),
            cut("I have booked it. Would you", Some("I have booked it.")),
            cut("I would like to see", None),
            cut("See Dr. Smith at 3 p.m. on", None),
            cut("Ask Dr. Smith. He will", Some("Ask Dr. Smith.")),
            cut("It is 3.5 stars. A good", Some("It is 3.5 stars.")),
            cut("Done!\nNext line", Some("Done!")),
            cut("Is it? \"Yes.\" And", Some("Is it? \"Yes.\"")),
        ];
        for Case { text, finished, tidy: expected } in cases {
            assert_eq!(tidy(text, finished, 50).as_deref(), expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_tidy_reply_is_one_line_that_fits_and_stays(text in "(?s).{0,120}", finished: bool, max in 1_usize..80) {
            if let Some(reply) = tidy(&text, finished, max) {
                proptest::prop_assert!(!reply.contains('\n') && reply.trim() == reply);
                proptest::prop_assert!(reply.chars().count() <= max);
            }
        }
    }
}
