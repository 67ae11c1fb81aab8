//! Results of a generation: events, finish reason, token usage and timing.

use kinglet_engine::TokenId;
use std::time::Duration;

/// One pull from a [`Generation`](crate::Generation).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A chunk of the prompt was read.
    Prefill {
        /// Prompt tokens in the cache, those found there included.
        done: usize,
        /// Tokens of the prompt.
        total: usize,
    },
    /// The reply grew.
    Token {
        /// The tokens sampled; none where only text that was held back is given out at the end.
        ids: Vec<TokenId>,
        /// Text that is now certain: may be empty while a character or a possible stop string is incomplete, and always is
        /// in a session without a tokenizer.
        text: String,
    },
    /// The reply is complete; no event follows.
    Done(Outcome),
}

/// A finished reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it ended.
    pub finish: FinishReason,
    /// Tokens read and written.
    pub usage: Usage,
    /// How long it took.
    pub timing: Timing,
    /// The whole text: all [`Event::Token`] texts joined. Empty in a session without a tokenizer.
    pub text: String,
    /// The tokens sampled, without the end-of-turn token. Those of a stop string are among them.
    pub tokens: Vec<TokenId>,
    /// The seed that was used: the one asked for, or the one drawn. With it the request gives the same tokens again.
    pub seed: u64,
}

/// Why a reply ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FinishReason {
    /// A stop string appeared; the text ends before it.
    Stop {
        /// The stop string.
        which: String,
    },
    /// The model sampled this end token.
    EndOfTurn(TokenId),
    /// The model ended its turn, and does not tell by which token.
    Ended,
    /// As many tokens as were asked for.
    Length,
    /// The context holds no further token.
    ContextFull,
    /// The [`CancelToken`](crate::CancelToken) was raised; the tokens so far are valid.
    Cancelled,
}

impl FinishReason {
    /// A stable word for machines: `stop`, `end_of_turn`, `length`, `context_full` or `cancelled`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stop { .. } => "stop",
            Self::EndOfTurn(_) | Self::Ended => "end_of_turn",
            Self::Length => "length",
            Self::ContextFull => "context_full",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Tokens a request read and wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were in the cache already and were not computed again.
    pub cached_tokens: usize,
    /// Tokens sampled, end-of-turn tokens included.
    pub new_tokens: usize,
}

/// How long a request took, between its first pull and its end. Time between pulls counts as well: a caller that is slow to
/// pull is slow to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the first pull to the first sampled token; `None` if there is none.
    pub first_token: Option<Duration>,
    /// Reading the prompt.
    pub prefill: Duration,
    /// From the first token to the last.
    pub decode: Duration,
}

impl Timing {
    /// Prompt tokens computed a second; `None` if none were, or in no measurable time.
    pub fn prefill_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        rate(usage.prompt_tokens - usage.cached_tokens, self.prefill)
    }

    /// Tokens a second after the first; `None` if there was no second one, or in no measurable time.
    pub fn decode_tokens_per_second(&self, usage: &Usage) -> Option<f64> {
        rate(usage.new_tokens.saturating_sub(1), self.decode)
    }
}

fn rate(tokens: usize, time: Duration) -> Option<f64> {
    (tokens > 0 && !time.is_zero()).then(|| tokens as f64 / time.as_secs_f64())
}
