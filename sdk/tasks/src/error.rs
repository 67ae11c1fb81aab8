//! How a task fails. Each variant is a different thing for the caller to do.

use kinglet_generate::{GenerateError, TokenId};
use kinglet_text::TextError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// An option is out of range: correct it.
    #[error("{field} is {value}; it must be {expected}")]
    InvalidOption {
        /// The field, as the options spell it.
        field: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// `kinglet.json` does not fit the model beside it: correct the file.
    #[error("the model's kinglet.json cannot be used: {0}")]
    Extras(#[from] ExtrasError),
    /// A reply to be ranked is so long that no conversation fits beside it: shorten it or open a larger context.
    #[error(
        "candidate {index} has {tokens} tokens, which leaves no room for a conversation in the context of {context}; shorten it"
    )]
    CandidateTooLong {
        /// Its place in the list, from 0.
        index: usize,
        /// Its tokens.
        tokens: usize,
        /// Positions a sequence may hold.
        context: usize,
    },
    /// Not even the end of the last message fits: open a larger context.
    #[error("the context of {context} positions is too small for one message and a reply of {reply} tokens; open a larger one")]
    ContextTooSmall {
        /// Positions a sequence may hold.
        context: usize,
        /// Positions kept for the reply.
        reply: usize,
    },
    /// The [`CancelToken`](kinglet_generate::CancelToken) was raised.
    #[error("cancelled")]
    Cancelled,
    /// The model's tokenizer or chat template failed; its own error says what to do.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model failed; its own error says what to do.
    #[error(transparent)]
    Generate(GenerateError),
}

impl From<GenerateError> for TaskError {
    fn from(error: GenerateError) -> Self {
        match error {
            GenerateError::Cancelled => Self::Cancelled,
            other => Self::Generate(other),
        }
    }
}

/// What is wrong with a `kinglet.json`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExtrasError {
    /// It is no JSON, or a field has another type.
    #[error("line {line}, column {column}: {reason}")]
    Json {
        /// Number of the line, from 1.
        line: usize,
        /// Number of the column, from 1.
        column: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A number is out of range.
    #[error("`{field}` is {value}; it must be {expected}")]
    Range {
        /// The field, with the object it is in.
        field: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// The tokenizer has no such token.
    #[error("`reply_ranking.reply_token` is `{0}`, which the tokenizer does not have")]
    UnknownToken(String),
    /// The rank tokens are not in the vocabulary.
    #[error("`reply_ranking.rank_tokens` ends with {last}, the model has {vocab} tokens")]
    BeyondVocabulary {
        /// The last rank token.
        last: TokenId,
        /// Logits a position has.
        vocab: usize,
    },
}
