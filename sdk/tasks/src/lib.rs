//! Smart reply and reply ranking: a conversation in, ranked replies out.
#![forbid(unsafe_code)]

mod conversation;
mod language;
mod wording;

pub use conversation::{Conversation, ConversationError, Speaker, Turn};
