//! Whether a system's model can be asked.

use serde::Serialize;
use std::fmt;

/// Whether a system's model can be asked now. Its `Display` is a clause that goes on after the model's name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum Availability {
    /// The model can be asked.
    Available,
    /// The model has to be downloaded first: see [`SystemModel::download`](crate::SystemModel::download).
    Downloadable,
    /// The model is being downloaded.
    Downloading,
    /// The model cannot be asked.
    Unavailable {
        /// Why.
        #[serde(flatten)]
        reason: UnavailableReason,
    },
}

/// Why a system's model cannot be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum UnavailableReason {
    /// The device, the system or the region has no such model: nothing helps.
    NotEligible,
    /// The user has it switched off in the system's settings, and may switch it on.
    SwitchedOff,
    /// The system still prepares it by itself: look again later.
    NotReady,
    /// The system, or the part of it that runs the model, has to be updated.
    NeedsUpdate,
    /// The host could not find out.
    Unknown {
        /// Description of the problem, in one clause, without anything of prompts or answers.
        message: String,
    },
}

impl Availability {
    /// Whether it can be asked now.
    pub fn is_available(&self) -> bool {
        *self == Availability::Available
    }
}

impl fmt::Display for Availability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Availability::Available => f.write_str("is available"),
            Availability::Downloadable => f.write_str("is not downloaded yet; download it first"),
            Availability::Downloading => f.write_str("is being downloaded; wait for that"),
            Availability::Unavailable { reason } => write!(f, "is unavailable: {reason}"),
        }
    }
}

impl fmt::Display for UnavailableReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnavailableReason::NotEligible => f.write_str("this device has none; use a model of your own"),
            UnavailableReason::SwitchedOff => f.write_str("it is switched off in the system's settings"),
            UnavailableReason::NotReady => f.write_str("the system still prepares it; ask again later"),
            UnavailableReason::NeedsUpdate => f.write_str("the system has to be updated first"),
            UnavailableReason::Unknown { message } => f.write_str(message),
        }
    }
}
