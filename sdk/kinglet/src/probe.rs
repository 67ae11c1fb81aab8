//! Which engine, and which execution provider of ONNX Runtime, runs a model fastest on this machine.
//!
//! A [`Probe`] tries each [`Candidate`], compares its logits with those of the first that runs, and keeps the fastest of those
//! that are right in a [`Record`]. Models that are opened with [`Engine::Auto`] and the same folder
//! ([`Builder::probe_records`](crate::Builder::probe_records)) are run by it from then on.
//!
//! A provider runs code of a device and its maker, which may end the process or never come back. How a candidate is tried is
//! therefore somebody's own matter, a [`Trial`]: the command line has a child process for each. Where there are none, as on
//! phones, [`InProcess`] leaves a mark on the disk while it tries a provider; a mark that is found later counts as a crash, and
//! the provider is not tried again.
//!
//! ```no_run
//! use kinglet::{CancelHandle, Kinglet, probe::{InProcess, ProbeOptions}};
//! let kinglet = Kinglet::builder().probe_records("data/probes").build()?;
//! let probe = kinglet.probe("goldcrest")?;
//! let mut trial = InProcess::new(&probe, CancelHandle::default());
//! let record = probe.run(&mut trial, &ProbeOptions::default(), |candidate| println!("trying {candidate}"))?;
//! println!("fastest: {:?}", record.fastest);
//! let model = kinglet.open("goldcrest")?; // runs on it
//! # Ok::<(), kinglet::Error>(())
//! ```

mod agreement;
mod candidate;
mod choice;
mod judge;
mod machine;
mod measure;
mod place;
mod record;
mod trial;

pub use agreement::Agreement;
pub use candidate::{Candidate, CandidateError};
pub use choice::Decision;
pub(crate) use choice::decide;
pub use measure::Measured;
pub use record::{Figures, Record, Row, Verdict};
pub use trial::{InProcess, Setback, Trial};

use crate::engines::library_version;
use crate::settings::Settings;
use crate::{Engine, Error, Kinglet, Provider};
use etcetera::BaseStrategy;
use judge::Judge;
use place::Place;
use record::FORM;
use std::path::{Path, PathBuf};

/// How a probe goes about.
///
/// ```
/// assert!(!kinglet::probe::ProbeOptions::default().again);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeOptions {
    /// Tries again what crashed or hung when it was last tried, which is otherwise remembered.
    pub again: bool,
}

/// The folder of the user's cache that the command keeps records in: `kinglet/probe`. `None` where no home folder is known.
pub fn users_records() -> Option<PathBuf> {
    etcetera::base_strategy::choose_native_strategy().ok().map(|base| base.cache_dir().join("kinglet").join("probe"))
}

/// A probe of one model on this machine.
#[derive(Debug)]
pub struct Probe {
    kinglet: Kinglet,
    model: PathBuf,
    place: Place,
    candidates: Vec<Candidate>,
    onnxruntime: Option<String>,
}

impl Kinglet {
    /// Begins to probe a model. ONNX Runtime's library is loaded, where there is one, to see which providers it has.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] where these settings name no folder for records; as [`open`](Self::open) for a model that is not
    /// there or damaged.
    pub fn probe(&self, path_or_name: impl AsRef<Path>) -> Result<Probe, Error> {
        let settings = self.settings();
        let folder = settings.probe_records.as_ref();
        let folder = folder.ok_or_else(|| Error::invalid("there is no folder for the record of a probe; name one"))?;
        let bundle = self.bundle(path_or_name.as_ref())?;
        let (providers, onnxruntime) = offered(settings);
        let candidates = std::iter::once(Candidate::Tract).chain(providers.into_iter().map(Candidate::Ort)).collect();
        let place = Place::new(folder, &bundle, settings.exact);
        Ok(Probe { kinglet: self.clone(), model: bundle.folder().into(), place, candidates, onnxruntime })
    }
}

/// The providers to try, and the version of the library. Where there is no library, trying the CPU says what was looked for.
fn offered(settings: &Settings) -> (Vec<Provider>, Option<String>) {
    if !Engine::AVAILABLE.contains(&Engine::Ort.name()) {
        return (vec![], None);
    }
    match crate::engines::providers(settings) {
        Some(providers) => (providers, library_version(settings)),
        None => (vec![Provider::Cpu], None),
    }
}

impl Probe {
    /// Candidates in the order they are tried: those on the CPU first.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The model's folder.
    pub fn model(&self) -> &Path {
        &self.model
    }

    /// The file of the record, which need not be there.
    pub fn file(&self) -> PathBuf {
        self.place.file()
    }

    /// Tries all candidates, one after the other, and writes the record. `progress` hears each before it is tried.
    ///
    /// # Errors
    /// [`Error::Cancelled`] where `trial` was cancelled, and nothing is written then; [`Error::Storage`] where the record cannot
    /// be.
    pub fn run(
        &self,
        trial: &mut dyn Trial,
        options: &ProbeOptions,
        mut progress: impl FnMut(Candidate),
    ) -> Result<Record, Error> {
        self.place.make()?;
        let now = in_seconds(jiff::Timestamp::now());
        let mut remembered = if options.again { vec![] } else { self.remembered() };
        let mut judge = Judge::default();
        for &candidate in &self.candidates {
            match remembered.iter().position(|row| row.candidate == candidate) {
                Some(place) => judge.recall(remembered.swap_remove(place)),
                None => {
                    progress(candidate);
                    let came = trial.attempt(candidate);
                    if came == Err(Setback::Cancelled) {
                        return Err(Error::Cancelled);
                    }
                    judge.hear(candidate, &now, came);
                }
            }
        }
        let record = self.record(judge, now);
        self.place.write(&record)?;
        Ok(record)
    }

    fn record(&self, judge: Judge, taken: String) -> Record {
        let (fastest, candidates) = judge.decide();
        let subject = self.place.subject.clone();
        Record {
            form: FORM,
            kinglet: env!("CARGO_PKG_VERSION").into(),
            onnxruntime: self.onnxruntime.clone(),
            model: subject.model,
            machine: subject.machine,
            exact: subject.exact,
            taken,
            fastest,
            candidates,
        }
    }

    /// Candidates that crashed or hung when last tried, by a record that is still valid or by a stale mark.
    fn remembered(&self) -> Vec<Row> {
        let record = self.place.read().filter(|record| record.misfit(&self.place.subject, || self.onnxruntime.clone()).is_none());
        let mut rows: Vec<Row> = record.map(|record| record.candidates).unwrap_or_default();
        rows.retain(|row| row.verdict.is_harmful());
        for &candidate in &self.candidates {
            let Some(began) = self.place.crashed(candidate) else { continue };
            rows.retain(|row| row.candidate != candidate);
            rows.push(Row {
                candidate,
                verdict: Verdict::Crashed,
                reason: Some("its process ended while it was being tried".into()),
                tried: in_seconds(began.try_into().unwrap_or_default()),
                figures: None,
            });
        }
        rows
    }
}

/// A time in UTC, to the second.
fn in_seconds(time: jiff::Timestamp) -> String {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[cfg(test)]
#[path = "probe/probe_tests.rs"]
mod tests;
