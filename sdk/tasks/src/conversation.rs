//! A conversation between two sides, and what of it counts for the next reply.
//!
//! Knows: who spoke, what was said, whose turn it is. Must not know: models, prompts, tokens.

mod parse;

pub use parse::{ConversationError, Place};

/// One of the two sides. The side that is served is the customer, the side that serves is the agent; between friends the
/// one who begins is taken for the customer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Speaker {
    /// `customer`, `user`.
    Customer,
    /// `agent`, `assistant`.
    Agent,
}

impl Speaker {
    /// The side that listens while this one speaks.
    pub fn other(self) -> Self {
        match self {
            Self::Customer => Self::Agent,
            Self::Agent => Self::Customer,
        }
    }

    /// `customer` or `agent`, as in transcripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Agent => "agent",
        }
    }
}

impl std::fmt::Display for Speaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Turn {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said; may span lines.
    pub text: String,
}

impl Turn {
    /// A message of `speaker`.
    pub fn new(speaker: Speaker, text: impl Into<String>) -> Self {
        Self { speaker, text: text.into() }
    }
}

/// Messages in the order they were said, and optionally what the replying side was told to be.
///
/// ```
/// use kinglet_tasks::{Conversation, Speaker};
/// let talk = Conversation::parse("customer: Is it open today?\nagent: Until six.")?;
/// assert_eq!(talk.turns.len(), 2);
/// assert_eq!(talk.next_speaker(), Speaker::Customer);
/// # Ok::<(), kinglet_tasks::ConversationError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// The messages, oldest first.
    pub turns: Vec<Turn>,
    /// Instructions of a `system` message, for models that were trained to read them.
    pub instructions: Option<String>,
}

/// Marks, embeddings, overrides and isolates of the Unicode Bidirectional Algorithm (UAX 9).
const DIRECTIONS: fn(char) -> bool =
    |sign| matches!(sign, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');

impl Conversation {
    /// Only this many of the latest messages count for a reply.
    pub const COUNTED_TURNS: usize = 10;

    /// A conversation of one message, said by the customer.
    pub fn single(text: impl Into<String>) -> Self {
        Self { turns: vec![Turn::new(Speaker::Customer, text)], instructions: None }
    }

    /// Reads whichever form `text` has: JSON if it begins with `[` or `{`, lines `speaker: text` if it begins with such a
    /// line, otherwise one message.
    ///
    /// # Errors
    /// [`ConversationError`], which says the place and what was expected there.
    pub fn parse(text: &str) -> Result<Self, ConversationError> {
        parse::any(text)
    }

    /// Reads lines `customer: ..`, `agent: ..`; `user`, `assistant`, `me` or any other two names will do. A line that
    /// begins with white space continues the message above it; empty lines separate nothing.
    ///
    /// # Errors
    /// [`ConversationError::UnlabelledLine`], [`ConversationError::ThirdSpeaker`].
    pub fn parse_lines(text: &str) -> Result<Self, ConversationError> {
        parse::lines(text)
    }

    /// Reads a JSON array of messages `{"role" or "speaker": .., "content" or "text": ..}`, or an object that holds such
    /// an array under `messages` or `turns`. The content may be a string or a list of parts `{"type": "text", "text"}`.
    ///
    /// # Errors
    /// [`ConversationError::Json`], [`ConversationError::JsonMessage`], [`ConversationError::ThirdSpeaker`].
    pub fn parse_json(text: &str) -> Result<Self, ConversationError> {
        parse::json(text)
    }

    /// The side that did not speak last. Where nobody spoke, the agent begins.
    pub fn next_speaker(&self) -> Speaker {
        self.turns.last().map_or(Speaker::Agent, |turn| turn.speaker.other())
    }

    /// What was said, where each side may have sent several messages in a row: one text for each time that it spoke.
    pub(crate) fn turn_taking(&self) -> Vec<String> {
        let by_side = self.turns.chunk_by(|a, b| a.speaker == b.speaker);
        by_side.map(|turns| turns.iter().map(|turn| turn.text.as_str()).collect::<Vec<_>>().join(" ")).collect()
    }

    /// What counts: the last [`COUNTED_TURNS`](Self::COUNTED_TURNS) messages that hold any text, trimmed, without signs that only
    /// turn the direction of writing.
    pub fn counted(&self) -> Self {
        let plain = |turn: &Turn| Turn::new(turn.speaker, turn.text.replace(DIRECTIONS, "").trim());
        let mut turns: Vec<Turn> = self.turns.iter().rev().map(plain).collect();
        turns.retain(|turn| !turn.text.is_empty());
        turns.truncate(Self::COUNTED_TURNS);
        turns.reverse();
        Self { turns, instructions: self.instructions.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_side_that_did_not_speak_last_replies() {
        struct Case {
            turns: &'static [(Speaker, &'static str)],
            next: Speaker,
        }
        use Speaker::{Agent, Customer};
        let cases = [
            Case { turns: &[], next: Agent },
            Case { turns: &[(Customer, "hi")], next: Agent },
            Case { turns: &[(Agent, "hi")], next: Customer },
            Case { turns: &[(Customer, "hi"), (Agent, "hello")], next: Customer },
            Case { turns: &[(Customer, "hi"), (Customer, "anyone?")], next: Agent },
        ];
        for Case { turns, next } in cases {
            let turns = turns.iter().map(|&(s, t)| Turn::new(s, t)).collect();
            assert_eq!(Conversation { turns, instructions: None }.next_speaker(), next);
        }
    }

    #[test]
    fn the_last_ten_messages_with_text_count() {
        let turns = (0..24).map(|i| Turn::new(Speaker::Customer, if i % 2 == 0 { format!(" m{i} ") } else { " \n".into() }));
        let counted = Conversation { turns: turns.collect(), instructions: None }.counted();
        let texts: Vec<_> = counted.turns.iter().map(|t| t.text.as_str()).collect();
        let turned = Conversation::single("\u{202e} are you coming?\u{2069}").counted();
        assert_eq!(turned, Conversation::single("are you coming?"));
        assert_eq!(texts, ["m4", "m6", "m8", "m10", "m12", "m14", "m16", "m18", "m20", "m22"]);
    }
}
