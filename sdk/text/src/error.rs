//! Errors of tokenizers, detokenizers and templates, each variant a different thing for the caller to do.

use std::io;
use std::path::PathBuf;

use kinglet_guard::{NoRoom, ReadError, Shown, one_line};

/// A failure of the tokenizer, the detokenizer or a chat template.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TextError {
    /// A file of the model folder could not be read. Check that it is there and readable.
    #[error("The file {} could not be read: {source}. Check that it exists and that this user may read it.", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// A file of the model folder is not what it is taken for: no regular file, or larger than such a file may be. Put the right
    /// one in its place.
    #[error(transparent)]
    Unfit(ReadError),
    /// The system does not give the memory that a tokenizer takes. Free some, or take a smaller model.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// A file is not UTF-8 text. Download it again.
    #[error("The file {} is not UTF-8 text: byte {offset} belongs to no character. Download the file again.", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
    /// A file is not JSON. Download it again or correct it at the place given.
    #[error(
        "The file {} is not valid JSON at line {line}, column {column}: {reason}. Download the file again or correct it there.",
        path.display()
    )]
    Json {
        /// The file.
        path: PathBuf,
        /// Line of the mistake, from 1.
        line: usize,
        /// Column of the mistake, from 1 (0: before the first character of the line).
        column: usize,
        /// The parser's message, without the position.
        reason: String,
    },
    /// A file is JSON, but a field of it does not have the form it must have. Correct the field.
    #[error("In {} the field `{}` cannot be used: {}. Correct it or download the file again.", path.display(), Shown(field), one_line(reason))]
    Field {
        /// The file.
        path: PathBuf,
        /// The field, with dots between the levels.
        field: String,
        /// The problem with the field.
        reason: String,
    },
    /// `tokenizer.json` is JSON, but describes no tokenizer that this build knows.
    #[error("The file {} describes no tokenizer that can be used: {}. Export the tokenizer again as a fast tokenizer.", path.display(), one_line(reason))]
    Tokenizer {
        /// The file.
        path: PathBuf,
        /// Description of the problem.
        reason: String,
    },
    /// This text cannot be turned into tokens with this vocabulary.
    #[error("The text could not be turned into tokens: {reason}. The tokenizer of this model has no token for part of it.")]
    Encode {
        /// The tokenizer library's message.
        reason: String,
    },
    /// These token ids cannot be turned into text.
    #[error("The tokens could not be turned into text: {reason}. Check that they come from this model's vocabulary.")]
    Decode {
        /// The tokenizer library's message.
        reason: String,
    },
    /// The tokenizer's own steps do not come to an end with this text: they make it grow too far, take too long, or fail
    /// inside the library. The tokenizer is at fault.
    #[error(
        "The tokenizer of this model cannot be used for this text: {}. Export the tokenizer again, or use another model.",
        one_line(reason)
    )]
    TokenizerFailed {
        /// Description of the failure.
        reason: String,
    },
    /// The text is so long that it cannot be spelt in as many tokens as there is room for. Shorten it.
    #[error("The text has {bytes} bytes, and {most_tokens} tokens of this model stand for {most_bytes} at most. Shorten it.")]
    TooLong {
        /// Bytes of the text.
        bytes: usize,
        /// Bytes that would have been looked at.
        most_bytes: usize,
        /// Tokens that there is room for.
        most_tokens: usize,
    },
    /// The caller gave up.
    #[error("The work was cancelled.")]
    Cancelled,
    /// A chat template is no valid Jinja. The model cannot be used for chat as it is.
    #[error(
        "The chat template `{}` has an error in line {line}: {}. Correct the template or give another one.",
        Shown(template),
        one_line(reason)
    )]
    TemplateSyntax {
        /// Name of the template; `default` for the one that is used when none is named.
        template: String,
        /// Line in the template, from 1.
        line: usize,
        /// The template engine's message, or the limit that the source exceeds.
        reason: String,
    },
    /// The template itself refused the conversation with `raise_exception`. Change the conversation as the message says.
    #[error("The model's chat template refuses this conversation: {}", one_line(message))]
    TemplateRefused {
        /// The template's own message.
        message: String,
    },
    /// The template failed on this conversation, mostly because a field that it reads is missing.
    #[error(
        "The chat template `{}` failed in line {line}: {}. Check that the messages have the fields that it reads.",
        Shown(template),
        one_line(reason)
    )]
    TemplateFailed {
        /// Name of the template.
        template: String,
        /// Line in the template, from 1 (0: not known).
        line: usize,
        /// The template engine's message.
        reason: String,
    },
    /// The template did far more than a conversation of this length takes. It is at fault; give another one.
    #[error(
        "The chat template `{}` was stopped in line {line}: it does far more work than a conversation of this length takes, and may never end. Give another template, or a shorter conversation.",
        Shown(template)
    )]
    TemplateEndless {
        /// Name of the template.
        template: String,
        /// Line in the template, from 1 (0: not known).
        line: usize,
    },
    /// The system has no room for the stack on which a template is compiled or rendered. Free some, or shorten the
    /// conversation.
    #[error(
        "The chat template needs a thread with {mebibytes} MiB of address space, and the system gave none: {source}. Raise the limits of this process (`ulimit -v`, `ulimit -u`), or shorten the conversation."
    )]
    NoStack {
        /// Size of the stack, most of which is never touched.
        mebibytes: usize,
        /// The operating system's error.
        source: io::Error,
    },
    /// No template has the name that was asked for.
    #[error("There is no chat template named `{}`. This model has: {}. Name one of them or none.", Shown(name), one_line(&have.join(", ")))]
    NoSuchTemplate {
        /// The name asked for.
        name: String,
        /// The names there are.
        have: Vec<String>,
    },
    /// There is no message to render. Give at least one.
    #[error("The conversation is empty. Give at least one message.")]
    EmptyConversation,
    /// The conversation contains every character that could mark off control tokens. Remove those characters.
    #[error(
        "The conversation contains all of the noncharacters U+FDD0 to U+FDEF, and one of them is needed to keep control tokens apart. Remove them."
    )]
    Unmarkable,
    /// A message is not an object with a `role`. Correct the conversation.
    #[error(
        "Message {index} of the conversation cannot be used: {reason}. Each message is an object with a `role` and a `content`."
    )]
    Message {
        /// Position in the conversation, from 0.
        index: usize,
        /// The problem with the message.
        reason: String,
    },
}

impl From<ReadError> for TextError {
    fn from(error: ReadError) -> TextError {
        match error {
            ReadError::Missing { path } => TextError::Read { path, source: io::ErrorKind::NotFound.into() },
            ReadError::Unreadable { path, source } => TextError::Read { path, source },
            ReadError::NotText { path, offset } => TextError::NotText { path, offset },
            other => TextError::Unfit(other),
        }
    }
}
