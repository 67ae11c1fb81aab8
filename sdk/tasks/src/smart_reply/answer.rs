//! What comes back.

use super::candidate::{Considered, ReplySource};
use crate::safety::CrisisKind;
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Duration;

/// The replies, or why there are none.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SmartReply {
    /// What came of it.
    pub status: Status,
    /// Why there is no reply; `None` with [`Status::Ok`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// What their scores are.
    #[serde(skip_serializing_if = "ReplyScores::are_likelihoods")]
    pub scores: ReplyScores,
    /// The replies, in the order in which to show them; at least one with [`Status::Ok`], otherwise none. A refusal stands behind
    /// an acceptance that is about as sure.
    pub replies: Vec<Reply>,
    /// What it took.
    pub usage: ReplyUsage,
    /// How long it took.
    pub timing: ReplyTiming,
    /// What was considered, best first, and what became of it: only where the options ask for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub considered: Vec<Considered>,
}

/// What the scores of replies are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyScores {
    /// What the ranker makes of them, by vectors that were trained or by the likelihood of their tokens: no probabilities.
    #[default]
    Likelihoods,
    /// The probability that one could send them, from 0 to 1: of a model that comes with a bank of replies.
    Probabilities,
    /// Their places in the order in which a model of text alone wrote them: 0, -1, -2 and so on. `min_token_logprob`, `min_score`
    /// and `max_gap` have no meaning for these.
    AsWritten,
}

impl ReplyScores {
    fn are_likelihoods(&self) -> bool {
        *self == Self::Likelihoods
    }
}

/// What came of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// There are replies.
    Ok,
    /// There is nothing to answer, or nothing good enough to say.
    NoReply,
    /// The conversation speaks of a crisis: a person should answer.
    Unsafe,
    /// The conversation is in a language that the model does not speak.
    UnsupportedLanguage,
}

impl Status {
    /// A stable word for machines: `ok`, `no_reply`, `unsafe` or `unsupported_language`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NoReply => "no_reply",
            Self::Unsafe => "unsafe",
            Self::UnsupportedLanguage => "unsupported_language",
        }
    }
}

/// Why there is no reply. Its `Display` is a sentence, its JSON the word of [`code`](Self::code).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The conversation has no text, or its last messages are punctuation.
    NothingToAnswer,
    /// The model wrote, or the bank holds, nothing that fits and may be said.
    NoGoodCandidate,
    /// A message speaks of a crisis.
    Crisis(CrisisKind),
    /// The latest messages are in this language, an ISO 639-1 code.
    Language(&'static str),
}

impl Reason {
    /// The status that goes with it.
    pub fn status(self) -> Status {
        match self {
            Self::NothingToAnswer | Self::NoGoodCandidate => Status::NoReply,
            Self::Crisis(_) => Status::Unsafe,
            Self::Language(_) => Status::UnsupportedLanguage,
        }
    }

    /// A stable word for machines: `nothing_to_answer`, `no_good_candidate`, the kind of crisis or the code of a language.
    pub fn code(self) -> &'static str {
        match self {
            Self::NothingToAnswer => "nothing_to_answer",
            Self::NoGoodCandidate => "no_good_candidate",
            Self::Crisis(kind) => kind.as_str(),
            Self::Language(tag) => tag,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingToAnswer => f.write_str("The conversation holds nothing to answer."),
            Self::NoGoodCandidate => f.write_str("No reply is good enough to suggest."),
            Self::Crisis(kind) => write!(f, "A message speaks of {kind}; a person should answer it."),
            Self::Language(tag) => write!(f, "The conversation is in a language that the model does not speak (`{tag}`)."),
        }
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// One suggested reply.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Reply {
    /// One line.
    pub text: String,
    /// How well it fits, higher is better; comparable within one answer.
    pub score: f32,
    /// Where it comes from.
    pub source: ReplySource,
}

/// What a request took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplyUsage {
    /// Tokens of the prompt that candidates were written after, or by which the model's own bank was judged; 0 with a caller's bank.
    pub prompt_tokens: usize,
    /// Tokens of all candidates written.
    pub new_tokens: usize,
    /// Candidates written, or lines of the bank.
    pub candidates: usize,
    /// Those of them that were fit to be ranked.
    pub ranked: usize,
}

/// How long a request took; in JSON, milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ReplyTiming {
    /// Reading the conversation and writing candidates.
    #[serde(rename = "generate_ms", serialize_with = "milliseconds")]
    pub generate: Duration,
    /// Filtering, ranking and choosing.
    #[serde(rename = "rank_ms", serialize_with = "milliseconds")]
    pub rank: Duration,
    /// All of it, with the checks before.
    #[serde(rename = "total_ms", serialize_with = "milliseconds")]
    pub total: Duration,
}

fn milliseconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64((time.as_secs_f64() * 1e6).round() / 1e3)
}

impl SmartReply {
    pub(super) fn without_replies(reason: Reason, usage: ReplyUsage, timing: ReplyTiming) -> Self {
        let scores = ReplyScores::Likelihoods;
        Self { status: reason.status(), reason: Some(reason), scores, replies: vec![], usage, timing, considered: vec![] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_is_the_contract() {
        let timing = ReplyTiming { generate: Duration::from_micros(1500), rank: Duration::ZERO, total: Duration::from_millis(2) };
        let replies = vec![Reply { text: "Yes.".into(), score: -0.5, source: ReplySource::Model }];
        let ok = SmartReply {
            status: Status::Ok,
            reason: None,
            scores: ReplyScores::Likelihoods,
            replies,
            usage: ReplyUsage::default(),
            timing,
            considered: vec![],
        };
        let json = serde_json::to_value(&ok).unwrap();
        let expected = serde_json::json!({
            "status": "ok",
            "replies": [{"text": "Yes.", "score": -0.5, "source": "model"}],
            "usage": {"prompt_tokens": 0, "new_tokens": 0, "candidates": 0, "ranked": 0},
            "timing": {"generate_ms": 1.5, "rank_ms": 0.0, "total_ms": 2.0}
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn reasons_name_themselves() {
        struct Case {
            reason: Reason,
            json: &'static str,
            says: &'static str,
        }
        let cases = [
            Case {
                reason: Reason::Crisis(CrisisKind::SelfHarm),
                json: r#"["unsafe","self_harm"]"#,
                says: "self-harm or suicide",
            },
            Case {
                reason: Reason::Crisis(CrisisKind::Emergency),
                json: r#"["unsafe","emergency"]"#,
                says: "a person should answer",
            },
            Case { reason: Reason::Language("es"), json: r#"["unsupported_language","es"]"#, says: "`es`" },
            Case { reason: Reason::NothingToAnswer, json: r#"["no_reply","nothing_to_answer"]"#, says: "nothing to answer" },
            Case { reason: Reason::NoGoodCandidate, json: r#"["no_reply","no_good_candidate"]"#, says: "good enough" },
        ];
        for Case { reason, json, says } in cases {
            assert_eq!(serde_json::to_string(&(reason.status(), reason)).unwrap(), json);
            assert_eq!(serde_json::to_value(reason.status()).unwrap(), reason.status().as_str());
            assert!(reason.to_string().contains(says), "{reason}");
        }
    }
}
