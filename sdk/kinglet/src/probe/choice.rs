//! Decision of a record for a model that is being opened.

use super::Candidate;
use super::place::Place;
use crate::engines::library_version;
use crate::settings::Settings;
use kinglet_bundle::Bundle;
use serde::Serialize;
use std::path::PathBuf;

/// Contribution of a probe's record to the choice of an engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Decision {
    /// The file of the record.
    pub record: PathBuf,
    /// When it was taken, in UTC.
    pub taken: String,
    /// The fastest candidate by the record.
    pub fastest: Option<Candidate>,
    /// The version of ONNX Runtime that it was taken with.
    pub onnxruntime: Option<String>,
    /// Why it did not decide, in one sentence; `None` where it did.
    pub unused: Option<String>,
}

impl Decision {
    /// The candidate that it decided for.
    pub(crate) fn candidate(&self) -> Option<Candidate> {
        self.fastest.filter(|_| self.unused.is_none())
    }
}

/// Decision of a model's record; `None` where there is none or the settings name no folder. ONNX Runtime's library is loaded,
/// to see its version, only where the record is for running the model by it, or where all of it is to be told (`all`): a record
/// that is for the embedded engine says what is done without a record.
pub(crate) fn decide(bundle: &Bundle, settings: &Settings, all: bool) -> Option<Decision> {
    let folder = settings.probe_records.as_ref().filter(|folder| folder.is_dir())?;
    let place = Place::new(folder, bundle, settings.exact);
    let record = place.read()?;
    let needed = all || record.fastest != Some(Candidate::Tract);
    let version = || if needed { library_version(settings) } else { record.onnxruntime.clone() };
    let unused = record.misfit(&place.subject, version).or_else(|| match record.fastest {
        None => Some("it found nothing that runs the model".into()),
        Some(fastest) => place.crashed(fastest).map(|_| format!("{fastest} ended its process when it was tried again")),
    });
    let (taken, fastest, onnxruntime) = (record.taken.clone(), record.fastest, record.onnxruntime.clone());
    Some(Decision { record: place.file(), taken, fastest, onnxruntime, unused })
}
