//! How a candidate is tried.

use super::{Candidate, Measured, Probe};
use crate::{CancelHandle, Error};
use std::time::Duration;

/// Tries candidates, and comes back whatever they do.
pub trait Trial {
    /// Measures one candidate as [`Kinglet::measure`](crate::Kinglet::measure) does.
    ///
    /// # Errors
    /// A [`Setback`] that says what became of it.
    fn attempt(&mut self, candidate: Candidate) -> Result<Measured, Setback>;
}

/// Why a candidate was not measured, each with one sentence for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Setback {
    /// Does not run the model, or is not installed.
    Refused(String),
    /// Failed while running.
    Failed(String),
    /// Crashed its process.
    Crashed(String),
    /// Did not finish within this timeout.
    Hung(Duration),
    /// The user wants no more.
    Cancelled,
}

impl From<Error> for Setback {
    fn from(error: Error) -> Setback {
        match error {
            Error::Cancelled => Setback::Cancelled,
            Error::Unsupported(_) => Setback::Refused(error.to_string()),
            other => Setback::Failed(other.to_string()),
        }
    }
}

/// Tries candidates in this process. While a provider is tried, its mark lies beside the record: where it ends the process, or
/// hangs until the user or the system ends that, the mark stays, and the next probe counts the provider as crashed.
#[derive(Debug)]
pub struct InProcess<'p> {
    probe: &'p Probe,
    cancel: CancelHandle,
}

impl<'p> InProcess<'p> {
    /// For the candidates of `probe`; raising `cancel` ends the probe.
    pub fn new(probe: &'p Probe, cancel: CancelHandle) -> InProcess<'p> {
        InProcess { probe, cancel }
    }
}

impl Trial for InProcess<'_> {
    fn attempt(&mut self, candidate: Candidate) -> Result<Measured, Setback> {
        let mark = candidate.is_risky().then(|| self.probe.place.mark(candidate)).transpose()?;
        let came = self.probe.kinglet.measure(&self.probe.model, candidate, &self.cancel);
        if let Some(mark) = mark {
            mark.clear();
        }
        Ok(came?)
    }
}
