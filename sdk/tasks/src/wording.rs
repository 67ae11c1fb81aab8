//! Text as rules compare it: case, typography and spacing taken out.

use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

/// Lower case, compatibility forms unified, typographic quotes straightened, invisible characters dropped, white space
/// single. Punctuation stays.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.nfkc().flat_map(char::to_lowercase) {
        let c = match c {
            '\u{2018}' | '\u{2019}' | '\u{02bc}' | '\u{00b4}' | '`' => '\'',
            '\u{201c}' | '\u{201d}' | '\u{00ab}' | '\u{00bb}' => '"',
            '\u{2010}'..='\u{2014}' => '-',
            '\u{00ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' => continue,
            c if c.is_whitespace() || c.is_control() => ' ',
            c => c,
        };
        if c != ' ' || !out.ends_with([' ']) && !out.is_empty() {
            out.push(c);
        }
    }
    out.truncate(out.trim_end().len());
    out
}

/// The words of a text in [`plain`] form, apostrophes taken out: `Don't!` is `dont`.
pub(crate) fn words(text: &str) -> Vec<String> {
    plain(text).unicode_words().map(|word| word.replace('\'', "")).collect()
}

/// Whether a text holds nothing that could be answered: no letter, no digit and no pictograph.
pub(crate) fn is_mute(text: &str) -> bool {
    !text.chars().any(|c| c.is_alphanumeric() || is_pictograph(c))
}

/// Emoji and other symbols that stand for a word.
fn is_pictograph(c: char) -> bool {
    matches!(c, '\u{2600}'..='\u{27bf}' | '\u{2b50}'..='\u{2b55}' | '\u{1f000}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text() {
        struct Case {
            text: &'static str,
            plain: &'static str,
        }
        let cases = [
            Case { text: "", plain: "" },
            Case { text: "  Hello\t\n World ", plain: "hello world" },
            Case { text: "I\u{2019}m \u{201c}here\u{201d} \u{2014} now", plain: "i'm \"here\" - now" },
            Case { text: "ki\u{200b}ll \u{fb01}ve \u{ff11}\u{ff12}", plain: "kill five 12" },
            Case { text: "CAF\u{c9} cafe\u{301}", plain: "caf\u{e9} caf\u{e9}" },
        ];
        for Case { text, plain: expected } in cases {
            assert_eq!(plain(text), expected, "{text:?}");
        }
    }

    #[test]
    fn words_of_a_text() {
        assert_eq!(words("I don\u{2019}t -- know, 3.5%!"), ["i", "dont", "know", "3.5"]);
        assert!(words("... !? \u{1f44d}").is_empty());
    }

    #[test]
    fn mute_texts() {
        for mute in ["", " ", "...", "?!", "-- \u{2026}", "\u{200b}"] {
            assert!(is_mute(mute), "{mute:?}");
        }
        for speaking in ["a", "7", "\u{1f44d}", "\u{2764}", "?no", "\u{0e2a}"] {
            assert!(!is_mute(speaking), "{speaking:?}");
        }
    }
}
