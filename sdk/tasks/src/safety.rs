//! What must not be answered with a quip, and what a suggested reply must not contain.
//!
//! Knows: wordings of crisis, bad news, unfit content, secrets, statements that are made up, talk about the task. Must not know: models,
//! how replies are made or ranked.

mod bad_news;
mod content;
mod crisis;
mod invented;
mod meta;
mod secrets;

pub(crate) use bad_news::is_bad_news;
pub(crate) use content::is_unfit;
pub use crisis::CrisisKind;
pub(crate) use crisis::crisis;
pub(crate) use invented::{Invention, invented};
pub(crate) use meta::is_about_the_task;
pub(crate) use secrets::{Origin, Secrets};

use regex::Regex;

/// A pattern that the source holds, and a test compiles.
fn constant(pattern: &str) -> Regex {
    Regex::new(pattern).unwrap_or_else(|e| unreachable!("{e}"))
}
