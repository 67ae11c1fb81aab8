//! Names and texts out of files, as messages show them.

use std::fmt::{self, Display, Write};

/// Characters of a name that are shown; of a longer one, its beginning and its end.
const SHOWN_CHARS: usize = 120;
/// The same of a name that one among many others is told by.
const BRIEF_CHARS: usize = 40;
/// Characters of a whole message that are shown.
const MESSAGE_CHARS: usize = 4000;

/// A name or a short text out of a file, for a message: on one line, without characters that steer a terminal or turn the
/// direction of writing, and of at most 120 characters.
///
/// ```
/// use kinglet_guard::Shown;
/// assert_eq!(Shown("/layers.0/MatMul").to_string(), "/layers.0/MatMul");
/// assert_eq!(Shown("a\u{1b}[31mb").to_string(), "a\\u{1b}[31mb");
/// assert!(Shown(&"x".repeat(5000)).to_string().chars().count() < 160);
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a>(pub &'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_cut(f, self.0, SHOWN_CHARS)
    }
}

/// A short name out of a file, such as a code: as [`Shown`], of at most 40 characters.
pub fn brief(name: &str) -> String {
    let mut shown = String::new();
    // Writing to a string does not fail.
    let _ = write_cut(&mut shown, name, BRIEF_CHARS);
    shown
}

/// A message as it is shown: as [`Shown`], and longer.
pub fn one_line(message: &str) -> String {
    let mut shown = String::with_capacity(message.len());
    // Writing to a string does not fail.
    let _ = write_cut(&mut shown, message, MESSAGE_CHARS);
    shown
}

/// Writes a text, without its middle where it has more than `limit` characters.
fn write_cut(out: &mut impl Write, text: &str, limit: usize) -> fmt::Result {
    // No text of fewer bytes has more characters.
    let chars = if text.len() <= limit { text.len() } else { text.chars().count() };
    if chars <= limit {
        return text.chars().try_for_each(|c| write_char(out, c));
    }
    let end = limit / 4;
    text.chars().take(limit - end).try_for_each(|c| write_char(out, c))?;
    write!(out, "\u{2026} ({} characters left out) \u{2026}", chars - limit)?;
    text.chars().skip(chars - end).try_for_each(|c| write_char(out, c))
}

fn write_char(out: &mut impl Write, c: char) -> fmt::Result {
    if steers(c) { write!(out, "{}", c.escape_unicode()) } else { out.write_char(c) }
}

/// Whether a character does something else than to stand where it is: control characters, line and paragraph separators, marks
/// and overrides of direction (Unicode Standard Annex 9), characters without width, and noncharacters that are no text.
fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
        || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_steers_is_escaped_and_text_stays() {
        struct Case(&'static str, &'static str);
        for Case(text, shown) in [
            Case("", ""),
            Case("caf\u{e9} \u{4f60}\u{597d} \u{1f44d} a\\b `c`", "caf\u{e9} \u{4f60}\u{597d} \u{1f44d} a\\b `c`"),
            Case("a\nb\rc\td", "a\\u{a}b\\u{d}c\\u{9}d"),
            Case("\u{1b}]0;t\u{7}\u{9b}2J\u{7f}\0", "\\u{1b}]0;t\\u{7}\\u{9b}2J\\u{7f}\\u{0}"),
            Case("exe.\u{202e}fdp\u{2066}\u{200f}\u{feff}", "exe.\\u{202e}fdp\\u{2066}\\u{200f}\\u{feff}"),
            Case("a\u{2028}b\u{200b}c", "a\\u{2028}b\\u{200b}c"),
        ] {
            assert_eq!(Shown(text).to_string(), shown);
            assert_eq!(one_line(text), shown);
        }
    }

    #[test]
    fn what_is_long_is_cut_in_its_middle_and_says_so() {
        let long = format!("begin{}end", "\u{e9}".repeat(10_000));
        let shown = Shown(&long).to_string();
        assert!(shown.starts_with("begin\u{e9}") && shown.ends_with("\u{e9}end") && shown.contains("9888 characters"), "{shown}");
        assert_eq!(Shown(&"x".repeat(SHOWN_CHARS)).to_string().len(), SHOWN_CHARS);
        assert!(one_line(&long).chars().count() < MESSAGE_CHARS + 50);
        let shown = brief(&long);
        assert!(shown.starts_with("begin\u{e9}") && shown.contains("9968 characters") && shown.chars().count() < 90, "{shown}");
    }

    proptest! {
        #[test]
        fn nothing_shown_steers(text in any::<String>()) {
            prop_assert!(!one_line(&text).chars().any(steers));
        }
    }
}
