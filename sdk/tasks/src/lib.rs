//! Smart reply: a conversation in, ranked replies out
