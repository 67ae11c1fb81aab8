//! Smart reply and reply ranking: a conversation in, ranked replies out.
//!
//! Knows: what a conversation is ([`Conversation`]), when it may be answered and in which languages, what a reply must not
//! hold, the bank that comes with a model ([`ReplyBank`]), how replies are ranked ([`ReplyRanker`]) and chosen ([`SmartReplier`]), how a model of text
//! alone is asked for them ([`replies_in_text`]), and what a model folder says of itself in
//! `kinglet.json` ([`ModelExtras`]).
//! Must not know: engines, files, the foreign-function interface.
//!
//! Each task takes a request, checks it once at the door and goes on with pure functions; the seed and the clock are
//! parameters. Messages and replies are never logged.
#![forbid(unsafe_code)]

mod bank;
mod conversation;
mod error;
mod extras;
#[cfg(test)]
mod fixture;
mod language;
mod ngrams;
mod ranking;
mod reply;
mod reply_model;
mod safety;
mod smart_reply;
mod task_model;
mod wording;

pub use bank::{BankError, NgramClassifier, ReplyBank};
pub use conversation::{Conversation, ConversationError, Place, Speaker, Turn};
pub use error::{ExtrasError, TaskError};
pub use extras::{BankSettings, Blend, ModelExtras, RankingBlend, ReplyFormat, ReplyRanking};
pub use kinglet_generate::CancelToken;
pub use ngrams::NgramError;
pub use ranking::{CandidateScore, DualEncoder, ReplyRanker};
pub use reply::Intent;
pub use reply_model::ReplyModel;
pub use safety::CrisisKind;
pub use smart_reply::{
    Considered, Fate, Reason, Reply, ReplyPrompt, ReplyScores, ReplySource, ReplyTiming, ReplyUsage, SmartReplier, SmartReply,
    SmartReplyOptions, SmartReplyRequest, Status, ValidSmartReply, WrittenReplies, replies_in_text,
};
pub use task_model::TaskModel;
