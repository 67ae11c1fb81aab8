//! How generation fails. Each variant is a different thing for the caller to do.

use kinglet_engine::{EngineError, TokenId};

/// An option outside the values it may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {expected}")]
pub struct OptionError {
    /// The field, as the options spell it.
    pub field: &'static str,
    /// The rejected value.
    pub value: String,
    /// Description of the valid values.
    pub expected: &'static str,
}

/// Why nothing, or nothing more, was generated. A session stays usable after any of these but
/// [`SessionFailed`](Self::SessionFailed).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GenerateError {
    /// An option is out of range: correct it.
    #[error("invalid option: {0}")]
    InvalidOptions(#[from] OptionError),
    /// There is nothing to continue.
    #[error("the prompt has no tokens; begin it with at least one, such as the beginning-of-text token")]
    EmptyPrompt,
    /// The prompt alone does not fit: shorten it or open a larger context.
    #[error("the prompt has {tokens} tokens, the context holds {context}; shorten the prompt or open a larger context")]
    PromptTooLong {
        /// Tokens of the prompt (with its continuation, where that is given).
        tokens: usize,
        /// Positions a sequence may hold.
        context: usize,
    },
    /// Prompt and reply together may not fit, and the request asked to be refused then
    /// ([`ContextOverflow::Refuse`](crate::ContextOverflow::Refuse)).
    #[error(
        "{prompt_tokens} prompt tokens and up to {max_new_tokens} reply tokens do not fit the context of {context}; \
         ask for fewer tokens, shorten the prompt or open a larger context"
    )]
    ReplyTooLong {
        /// Tokens of the prompt.
        prompt_tokens: usize,
        /// Tokens the reply may have.
        max_new_tokens: usize,
        /// Positions a sequence may hold.
        context: usize,
    },
    /// The model is broken for this input: its logits are no numbers.
    #[error("the logit of token {token} is {value}, not a number to sample by; the model or its precision is at fault")]
    BadLogits {
        /// The first token with such a logit.
        token: TokenId,
        /// NaN or positive infinity.
        value: f32,
    },
    /// Every token is suppressed or has no probability: loosen the list of suppressed tokens.
    #[error("every token is suppressed or has a logit of negative infinity; nothing is left to sample")]
    NothingToSample,
    /// The session's cache is lost; [`Session::reset`](crate::Session::reset) begins afresh.
    #[error("the session's cache was lost in an earlier failure; reset the session to go on")]
    SessionFailed,
    /// The [`CancelToken`](crate::CancelToken) was raised.
    #[error("cancelled")]
    Cancelled,
    /// A template, encoding or decoding failed; its own error says what to do.
    #[error(transparent)]
    Text(#[from] kinglet_text::TextError),
    /// The engine refused or failed; its own error says what to do.
    #[error(transparent)]
    Engine(EngineError),
}

impl From<EngineError> for GenerateError {
    fn from(error: EngineError) -> Self {
        match error {
            EngineError::Cancelled => Self::Cancelled,
            other => Self::Engine(other),
        }
    }
}
