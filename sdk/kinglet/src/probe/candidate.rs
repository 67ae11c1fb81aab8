//! The ways to run a model that a probe tries.

use crate::{Engine, Provider};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

/// A way to run a model: an engine, and for ONNX Runtime the execution provider.
///
/// ```
/// use kinglet::{Provider, probe::Candidate};
/// assert_eq!("ort/xnnpack".parse(), Ok(Candidate::Ort(Provider::Xnnpack)));
/// assert_eq!(Candidate::Tract.to_string(), "tract");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
#[non_exhaustive]
pub enum Candidate {
    /// The embedded engine.
    Tract,
    /// ONNX Runtime with one of its execution providers.
    Ort(Provider),
}

/// A text that names no candidate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no way to run a model; write `tract`, `ort/cpu` or another provider after `ort/`")]
pub struct CandidateError(String);

impl Candidate {
    /// The engine.
    pub fn engine(self) -> Engine {
        match self {
            Candidate::Tract => Engine::Tract,
            Candidate::Ort(_) => Engine::Ort,
        }
    }

    /// The execution provider, of ONNX Runtime.
    pub fn provider(self) -> Option<Provider> {
        match self {
            Candidate::Tract => None,
            Candidate::Ort(provider) => Some(provider),
        }
    }

    /// Whether it runs code of a device or its maker, which may end the process: an engine's own code for the CPU is what models
    /// run on in any case.
    pub fn is_risky(self) -> bool {
        self.provider().is_some_and(|provider| provider != Provider::Cpu)
    }
}

impl Display for Candidate {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Candidate::Tract => f.write_str("tract"),
            Candidate::Ort(provider) => write!(f, "ort/{provider}"),
        }
    }
}

impl FromStr for Candidate {
    type Err = CandidateError;

    fn from_str(text: &str) -> Result<Candidate, CandidateError> {
        let named = |name: &str| Provider::ALL.into_iter().find(|provider| provider.name() == name);
        match text.split_once('/') {
            None if text == "tract" => Ok(Candidate::Tract),
            Some(("ort", provider)) => named(provider).map(Candidate::Ort).ok_or_else(|| CandidateError(text.to_owned())),
            _ => Err(CandidateError(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Candidate {
    type Error = CandidateError;

    fn try_from(text: String) -> Result<Candidate, CandidateError> {
        text.parse()
    }
}

impl From<Candidate> for String {
    fn from(candidate: Candidate) -> String {
        candidate.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        let all = Provider::ALL.map(Candidate::Ort).into_iter().chain([Candidate::Tract]);
        for candidate in all {
            assert_eq!(candidate.to_string().parse(), Ok(candidate));
            assert_eq!(candidate.is_risky(), !["tract", "ort/cpu"].contains(&candidate.to_string().as_str()));
        }
        for text in ["", "ort", "ort/", "ort/gpu", "tract/cpu", "auto", "ort/cpu/cpu", "TRACT"] {
            assert!(text.parse::<Candidate>().is_err(), "{text}");
        }
    }
}
