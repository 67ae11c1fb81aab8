//! The system's model beside the local one: when it is asked, and its report.

mod answer;
mod reply;
mod request;

pub(crate) use answer::answer;
pub(crate) use reply::reply;
pub(crate) use request::system_request;

use crate::{CancelHandle, Error, Kinglet, Model};
use kinglet_system::{Availability, DownloadProgress, Host};
use serde::Serialize;

/// When the system's model is asked. Who begins an answer ends it: once there is text, a failure is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SystemPolicy {
    /// Never.
    Never,
    /// First. Where it is unavailable, or fails before there is any text, the folder's model answers; not where it
    /// [refuses](Error::Refused): that is its answer.
    Prefer,
    /// Second: where the folder's model cannot be opened, or runs out of memory before there is any text.
    Fallback,
    /// Always: no folder is opened.
    Only,
}

/// The system's model, and when it is asked.
#[derive(Clone, Debug)]
pub(crate) struct System {
    pub(crate) host: Host,
    pub(crate) policy: SystemPolicy,
    /// `system:` and its name.
    pub(crate) engine: String,
}

impl System {
    pub(crate) fn new(host: Host, policy: SystemPolicy) -> System {
        let engine = format!("system:{}", host.name());
        System { host, policy, engine }
    }
}

/// Report on the system's model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SystemReport {
    /// `system:` and its name.
    pub engine: String,
    /// When it is asked.
    pub policy: SystemPolicy,
    /// Whether it can be asked now.
    pub availability: Availability,
    /// Why there is no model of a folder beside it, where one was to be opened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<String>,
}

impl SystemReport {
    pub(crate) fn of(system: &System) -> SystemReport {
        let System { host, policy, engine } = system;
        SystemReport { engine: engine.clone(), policy: *policy, availability: host.availability(), instead_of: None }
    }
}

impl Model {
    /// Report on the system's model; `None` where none may be asked.
    pub fn system_report(&self) -> Option<SystemReport> {
        let report = SystemReport::of(self.system()?);
        Some(SystemReport { instead_of: self.absent().map(|absent| absent.reason.clone()), ..report })
    }
}

impl Kinglet {
    /// Whether the system's model can be asked now; `None` where none may be asked.
    pub fn system_availability(&self) -> Option<Availability> {
        self.settings().system.as_ref().map(|system| system.host.availability())
    }

    /// Downloads the system's model, unless it is here, and waits for that. `progress` hears how far it is.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where there is no such model or the system cannot be asked to, [`Error::Unavailable`] where it is
    /// not to be had, [`Error::Cancelled`] soon after `cancel` is raised, though the system may go on, and [`Error::Failed`].
    pub fn download_system(&self, cancel: &CancelHandle, progress: impl FnMut(DownloadProgress)) -> Result<(), Error> {
        let message = "no system's model may be asked; name one by `Builder::system_model`";
        let system = self.settings().system.as_ref().ok_or_else(|| Error::unsupported(message))?;
        Ok(system.host.download(|| cancel.is_cancelled(), progress)?)
    }
}
