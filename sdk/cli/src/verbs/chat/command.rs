//! The commands of a conversation: lines that are not said to the model.

/// Output of `/help`.
pub(super) const COMMANDS: &str = "/help               show this
/clear, /reset      forget what was said
/system TEXT        tell the model what to be from now on; without a text, show what it is told
/bye, /exit, /quit  end, as Ctrl-D does
Everything else is said to the model. Ctrl-C ends the answer in progress.";

/// A line that was typed: a command, or a message for the model.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line<'a> {
    Nothing,
    Help,
    Clear,
    /// To tell the model this; with no text, to show what it is told.
    System(&'a str),
    End,
    /// A word that looks like a command and is none.
    Unknown(&'a str),
    /// A command with words after it that it does not take.
    Surplus(&'a str),
    Say(&'a str),
}

/// A line is a command where its first word is one, and is not said where it is one word that looks like a command. A path, a comment and a
/// sentence that begins with a slash are said.
pub(super) fn parse(line: &str) -> Line<'_> {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).map_or((line, ""), |(word, rest)| (word, rest.trim()));
    let command = match word {
        "" => return Line::Nothing,
        "/system" => return Line::System(rest),
        "/help" | "/?" => Line::Help,
        "/clear" | "/reset" => Line::Clear,
        "/bye" | "/exit" | "/quit" => Line::End,
        _ if rest.is_empty() && looks_like_a_command(word) => return Line::Unknown(word),
        _ => return Line::Say(line),
    };
    if rest.is_empty() { command } else { Line::Surplus(word) }
}

fn looks_like_a_command(word: &str) -> bool {
    word.strip_prefix('/').is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '?')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, expected) in [
            ("\n", Line::Nothing),
            (" \r\n", Line::Nothing),
            ("/help\n", Line::Help),
            ("/?", Line::Help),
            ("/clear\n", Line::Clear),
            (" /reset \n", Line::Clear),
            ("/bye\n", Line::End),
            ("/exit", Line::End),
            ("/quit", Line::End),
            ("/system  Be short. \n", Line::System("Be short.")),
            ("/system\n", Line::System("")),
            ("/reset it\n", Line::Surplus("/reset")),
            ("/exit code 1, what is that?", Line::Surplus("/exit")),
            ("/claer\n", Line::Unknown("/claer")),
            ("/", Line::Unknown("/")),
            ("/set-system", Line::Unknown("/set-system")),
            ("/etc/hosts", Line::Say("/etc/hosts")),
            ("/etc/x is broken\n", Line::Say("/etc/x is broken")),
            ("/r/rust or /r/programming?", Line::Say("/r/rust or /r/programming?")),
            ("/shrug is what he wrote", Line::Say("/shrug is what he wrote")),
            ("// what does this line do?", Line::Say("// what does this line do?")),
            ("//x", Line::Say("//x")),
            (" Hello \r\n", Line::Say("Hello")),
            ("what does /help do?", Line::Say("what does /help do?")),
        ] {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }
}
