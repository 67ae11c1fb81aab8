//! Stdout: data for machines, text for people.

use crate::arguments::Common;
use crate::failure::Failure;
use anstream::{AutoStream, ColorChoice};
use anstyle::Style;
use serde::Serialize;
use std::io::{self, IsTerminal, Write};

/// Where a verb writes its result. Colours appear on a terminal only, and what a model wrote cannot steer the terminal.
pub(crate) struct Output {
    stream: Box<dyn Write>,
    colour: bool,
    terminal: bool,
}

impl Output {
    pub(crate) fn stdout() -> Output {
        let stdout = io::stdout();
        let colour = AutoStream::choice(&stdout) != ColorChoice::Never;
        let terminal = stdout.is_terminal();
        // Behind the automatic stream, escapes in the data itself would be lost.
        let stream: Box<dyn Write> = if terminal { Box::new(anstream::stdout()) } else { Box::new(stdout) };
        Output { stream, colour, terminal }
    }

    /// Writes one line of JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_string(value).map_err(io::Error::from)?;
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    /// Writes a line of our own words.
    pub(crate) fn line(&mut self, line: &str) -> Result<(), Failure> {
        Ok(writeln!(self.stream, "{line}")?)
    }

    /// Writes what a person is asked with, at the beginning of a line that they go on with.
    pub(crate) fn mark(&mut self, mark: &str) -> Result<(), Failure> {
        write!(self.stream, "{mark} ")?;
        Ok(self.stream.flush()?)
    }

    /// Writes text that came from a model or a user, at once. A pipe gets it as it is.
    pub(crate) fn text(&mut self, text: &str) -> Result<(), Failure> {
        let shown = if self.terminal { harmless(text) } else { text.to_owned() };
        self.stream.write_all(shown.as_bytes())?;
        Ok(self.stream.flush()?)
    }

    /// `text` in a style, where there are colours. It must not come from a model or a user.
    pub(crate) fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// Whether a person reads it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }
}

/// Writes a line of our own words for a person to stderr, unless they want errors alone.
pub(crate) fn tell(common: &Common, words: &str) {
    if !common.quiet {
        // Nothing is left to be told if not even stderr takes it.
        let _ = writeln!(anstream::stderr(), "{words}");
    }
}

/// A text without the characters that steer a terminal.
fn harmless(text: &str) -> String {
    let steers = |c: &char| c.is_control() && !matches!(c, '\n' | '\t');
    text.chars().filter(|c| !steers(c)).collect()
}

/// The style of what matters less.
pub(crate) const DIMMED: Style = Style::new().dimmed();
/// The style of what matters more.
pub(crate) const BOLD: Style = Style::new().bold();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_steer_a_terminal() {
        assert_eq!(harmless("a\x1b[31mb\r\u{9b}c\x07\n\td\u{7f}"), "a[31mbc\n\td");
        assert_eq!(harmless("caf\u{e9} \u{1f44d}"), "caf\u{e9} \u{1f44d}");
    }
}
