//! A conversation as a user gives it: an argument, a file, stdin, or part of a line of JSON.

use crate::failure::Failure;
use crate::input::Source;
use kinglet::{Conversation, ConversationError};
use serde_json::Value;
use std::path::Path;

/// Ends of names that only a file has.
const FILE_ENDS: [&str; 5] = [".txt", ".json", ".jsonl", ".log", ".md"];

/// The conversation that an argument stands for: a file, stdin (`-` or no argument), or else one message to answer.
///
/// # Errors
/// A sentence for a file that cannot be read, for an argument that can only be the name of a file that is not there, and
/// for text that is no conversation.
pub(crate) fn of_argument(argument: Option<&str>) -> Result<Conversation, Failure> {
    let Some(argument) = argument.filter(|argument| *argument != "-") else { return read(Source::Stdin) };
    let path = Path::new(argument);
    if path.exists() {
        return read(Source::File(path));
    }
    if is_file_name(argument) {
        return Err(Failure::failed(format!(
            "there is no file `{argument}`; check the path, or write a message of several words"
        )));
    }
    match Conversation::parse(argument) {
        // Brackets begin a message as well, `[sighs] fine`.
        Err(ConversationError::Json { .. }) if !looks_like_json(argument) => Ok(Conversation::single(argument)),
        Err(error) => Err(Failure::failed(format!("the message is no conversation: {error}"))),
        Ok(conversation) => Ok(conversation),
    }
}

/// The conversation in a file or on stdin.
///
/// # Errors
/// A sentence for a file that cannot be read, and for text that is no conversation.
pub(crate) fn read(source: Source<'_>) -> Result<Conversation, Failure> {
    parse(&source.text()?).map_err(|reason| Failure::failed(format!("{source} holds no conversation: {reason}")))
}

/// The conversation in a list of messages.
///
/// # Errors
/// A sentence that says where, and what was expected there.
pub(crate) fn of_json(turns: &Value) -> Result<Conversation, String> {
    Conversation::parse_json(&turns.to_string()).map_err(|error| error.to_string())
}

fn parse(text: &str) -> Result<Conversation, String> {
    Conversation::parse(text).map_err(|error| error.to_string())
}

/// Whether a bracket is followed by what follows it in JSON alone.
fn looks_like_json(text: &str) -> bool {
    let inner = text.trim_start().trim_start_matches(['[', '{']).trim_start();
    inner.is_empty() || inner.starts_with(['"', ']', '}'])
}

fn is_file_name(argument: &str) -> bool {
    !argument.contains(char::is_whitespace) && FILE_ENDS.iter().any(|end| argument.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_is_a_message_unless_it_names_a_file() {
        assert_eq!(of_argument(Some("see notes.txt")).unwrap(), Conversation::single("see notes.txt"));
        assert_eq!(of_argument(Some("hello")).unwrap(), Conversation::single("hello"));
        assert_eq!(of_argument(Some("[hi] are you coming?")).unwrap(), Conversation::single("[hi] are you coming?"));
        assert!(of_argument(Some(r#"[{"role": "user""#)).unwrap_err().to_string().contains("expected JSON messages"));
        assert_eq!(of_argument(Some("customer: a\nagent: b")).unwrap().turns.len(), 2);
        let missing = of_argument(Some("no-such-file.json")).unwrap_err();
        assert!(missing.to_string().contains("no-such-file.json"), "{missing}");
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "user: a\nassistant: b\nuser: c").unwrap();
        assert_eq!(of_argument(file.path().to_str()).unwrap().turns.len(), 3);
    }
}
