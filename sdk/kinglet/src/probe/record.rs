//! Results of a probe, in the form stored in a file.

use super::Candidate;
use serde::{Deserialize, Serialize};

/// The number of the form of the file.
pub(super) const FORM: u32 = 1;

/// Results of a probe of one model on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The form of the file: 1.
    pub form: u32,
    /// The version of Kinglet.
    pub kinglet: String,
    /// The version of ONNX Runtime's library; `None` where there was none.
    pub onnxruntime: Option<String>,
    /// The model's fingerprint.
    pub model: String,
    /// The machine: architecture, system, processor, how many, and the kernels' instruction set.
    pub machine: String,
    /// Whether quantised weights were multiplied with float32 activations.
    pub exact: bool,
    /// When it was taken, in UTC, such as `2026-11-30T09:15:00Z`.
    pub taken: String,
    /// The fastest candidate with the right logits; `None` where nothing runs the model.
    pub fastest: Option<Candidate>,
    /// Results of the candidates, in the order in which they were tried.
    pub candidates: Vec<Row>,
}

/// Result of one candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The candidate.
    pub candidate: Candidate,
    /// Verdict on it.
    pub verdict: Verdict,
    /// Why, in one sentence, where there is something to say.
    pub reason: Option<String>,
    /// When it was tried: earlier than the record where it ended the process, or never ended, and was not tried again.
    pub tried: String,
    /// Measurements; `None` where it did not finish.
    pub figures: Option<Figures>,
}

/// Measurements of one candidate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Milliseconds until the model was ready for its first prompt.
    pub open_ms: f64,
    /// Tokens a second of a prompt of 128.
    pub prefill_tokens_per_second: f64,
    /// Tokens a second of an answer of 32 to it.
    pub decode_tokens_per_second: f64,
    /// How far its logits are from those of the first candidate that ran, as a part of their spread; `None` for that one itself,
    /// and where they are no finite numbers.
    pub relative_difference: Option<f64>,
    /// Positions with the same likeliest token as there.
    pub same_first: Option<usize>,
    /// Positions that were compared.
    pub positions: usize,
}

/// Verdict on a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Verdict {
    /// The fastest with the right logits.
    Fastest,
    /// Right logits, but not the fastest.
    Slower,
    /// Its logits are not those of the first candidate that ran.
    Wrong,
    /// Does not run the model, or is not installed.
    Refused,
    /// Failed while running.
    Failed,
    /// Crashed its process.
    Crashed,
    /// Did not finish within the timeout.
    Hung,
}

impl Verdict {
    /// Its name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Fastest => "fastest",
            Verdict::Slower => "slower",
            Verdict::Wrong => "wrong",
            Verdict::Refused => "refused",
            Verdict::Failed => "failed",
            Verdict::Crashed => "crashed",
            Verdict::Hung => "hung",
        }
    }

    /// Whether trying it again may harm: it ended its process, or never ended.
    pub(super) fn is_harmful(self) -> bool {
        matches!(self, Verdict::Crashed | Verdict::Hung)
    }
}

/// Model and machine of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) model: String,
    pub(super) machine: String,
    pub(super) exact: bool,
}

impl Record {
    /// Why it says nothing of `subject` here and now, in one sentence; `onnxruntime` finds the version of the library, where
    /// there is one.
    pub(super) fn misfit(&self, subject: &Subject, onnxruntime: impl FnOnce() -> Option<String>) -> Option<String> {
        let ours = env!("CARGO_PKG_VERSION");
        if self.kinglet != ours {
            return Some(format!("it was taken by Kinglet {}, and this is {ours}", self.kinglet));
        }
        if self.model != subject.model {
            return Some("it is about other files of the model".into());
        }
        if self.machine != subject.machine {
            return Some(format!("it was taken on another machine ({}), and this is {}", self.machine, subject.machine));
        }
        if self.exact != subject.exact {
            return Some("it is about another way to multiply".into());
        }
        let found = onnxruntime();
        (self.onnxruntime != found).then(|| {
            let version = |version: &Option<String>| version.clone().unwrap_or_else(|| "none".into());
            format!("it was taken with ONNX Runtime {}, and here is {}", version(&self.onnxruntime), version(&found))
        })
    }

    /// First defect of its content, in one sentence.
    pub(super) fn damage(&self) -> Option<String> {
        if self.form != FORM {
            return Some(format!("it has form {}, and this build reads form {FORM}", self.form));
        }
        let times = self.candidates.iter().map(|row| &row.tried).chain([&self.taken]);
        if times.into_iter().any(|time| time.parse::<jiff::Timestamp>().is_err()) {
            return Some("it holds a time that is none".into());
        }
        let best = self.candidates.iter().find(|row| row.verdict == Verdict::Fastest).map(|row| row.candidate);
        (best != self.fastest).then(|| "it contradicts itself".into())
    }
}
