//! Sampling, sessions, candidates and scoring over any engine.
//!
//! Knows: how a token is chosen from logits ([`Sampler`]), what a sequence holds and which part of it the next request
//! can use again ([`Session`]), which prefixes are pooled for all sequences ([`Prefix`]), how a conversation becomes such a
//! sequence ([`TextSession`]), how several replies are decoded as one batch ([`candidates()`]), how likely a given reply is
//! ([`score()`]), how work is cancelled, and what it cost ([`Usage`], [`Timing`]).
//! Must not know: which engine runs, files, which task asks.
//!
//! A [`Generator`] is one runner shared by any number of sessions; its lock is held for one step at a time. Everything that
//! owns a key/value cache gives it back when it is dropped. Prompts and replies are never logged.
#![forbid(unsafe_code)]

mod batch_scorer;
mod candidates;
mod error;
mod generation;
mod generator;
mod outcome;
mod prefilled_prompt;
mod prefix;
mod reply_text;
mod request;
mod sampling;
mod scheduler;
mod score;
mod session;
mod softmax;
mod text_session;
mod throttle;

pub use candidates::{Candidate, CandidateOptions, CandidateSet, FirstToken, candidates, candidates_after};
pub use error::{GenerateError, OptionError};
pub use generation::Generation;
pub use generator::{Generator, GeneratorOptions};
pub use kinglet_engine::{CancelToken, TokenId, Trim};
pub use outcome::{Event, FinishReason, Outcome, Timing, Usage};
pub use prefilled_prompt::PrefilledPrompt;
pub use prefix::{Prefix, common_prefix, fixed_tokens};
pub use request::{ContextOverflow, RequestOptions};
pub use sampling::{History, Sampler, SamplingOptions, distribution};
pub use score::{Columns, Score, all_logits, last_logits, score, score_after, stepped_logits};
pub use session::{Session, SessionState};
pub use softmax::log_sum_exp;
pub use text_session::{TextSession, gave_up};
