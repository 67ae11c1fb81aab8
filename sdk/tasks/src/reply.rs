//! What happens to candidate replies between the model and the caller: tidied, compared, chosen.
//!
//! Knows: text of replies and their scores. Must not know: models, conversations, where replies come from.

mod intent;
mod select;
mod shape;
mod similarity;

pub use intent::Intent;
pub(crate) use select::select;
pub(crate) use shape::{sentences, tidy};
pub(crate) use similarity::{is_duplicate, overlap, same_words};
