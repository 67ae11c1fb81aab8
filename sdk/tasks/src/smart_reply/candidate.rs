//! A reply on its way to being shown: where it comes from, how well it fits, and what became of it.

use crate::safety::Invention;
use serde::{Serialize, Serializer};
use std::fmt;

/// Where a reply comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplySource {
    /// A bank of replies.
    Bank,
    /// The model wrote it.
    #[default]
    Model,
}

impl ReplySource {
    /// A stable word for machines: `bank` or `model`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bank => "bank",
            Self::Model => "model",
        }
    }
}

/// A reply that was considered, for those who want to know why it is shown or not.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Considered {
    /// The reply.
    pub text: String,
    /// Where it comes from.
    pub source: ReplySource,
    /// What it does, in the words of the bank's headings; `None` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// How well it fits; `None` where it was dropped before that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a candidate. Its `Display` is a few words, its JSON those of [`code`](Self::code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fate {
    /// It is shown.
    Shown,
    /// It is the same as another one, or as what was just said.
    Echo,
    /// It is unfit for anyone.
    Unfit,
    /// It holds a secret of the conversation, or one that is made up.
    Secret,
    /// It states something that the conversation does not hold; which kind.
    Invented(&'static str),
    /// It speaks of the task or of the model.
    AboutTheTask,
    /// The model itself does not take it for likely.
    Unlikely,
    /// Its score is below what is shown, or too far below the best.
    BelowThreshold,
    /// It is no answer to bad news.
    NotForBadNews,
    /// A better one does the same.
    SameIntent,
    /// There are enough better ones.
    NotNeeded,
}

impl Fate {
    /// A stable word for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Shown => "shown",
            Self::Echo => "echo",
            Self::Unfit => "unfit",
            Self::Secret => "secret",
            Self::Invented(_) => "invented",
            Self::AboutTheTask => "about_the_task",
            Self::Unlikely => "unlikely",
            Self::BelowThreshold => "below_threshold",
            Self::NotForBadNews => "not_for_bad_news",
            Self::SameIntent => "same_intent",
            Self::NotNeeded => "not_needed",
        }
    }
}

impl From<Invention> for Fate {
    fn from(invention: Invention) -> Self {
        Self::Invented(invention.as_str())
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Shown => "shown",
            Self::Echo => "said already",
            Self::Unfit => "unfit",
            Self::Secret => "holds a secret",
            Self::Invented(kind) => return write!(f, "makes up: {kind}"),
            Self::AboutTheTask => "speaks of the task",
            Self::Unlikely => "unlikely for the model",
            Self::BelowThreshold => "not sure enough",
            Self::NotForBadNews => "not for bad news",
            Self::SameIntent => "a better one does the same",
            Self::NotNeeded => "enough better ones",
        })
    }
}

impl Serialize for Fate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}
