//! A host at arm's length: what it does wrong comes back as a failure.

use crate::UnavailableReason;
use crate::line::{Said, line};
use crate::{Availability, DownloadProgress, DownloadSink, SystemAnswer, SystemFailure, SystemModel, SystemRequest};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A [`SystemModel`] whose panics are failures and whose work happens on threads of its own, so that a cancelled caller does not
/// wait for it. Clones are the same one.
#[derive(Clone)]
pub struct Host(Arc<dyn SystemModel>);

impl Host {
    /// Takes a model that the host app implements.
    pub fn new(model: Arc<dyn SystemModel>) -> Host {
        Host(model)
    }

    /// Its name; `unnamed` where the host fails to say it.
    pub fn name(&self) -> String {
        guarded("name", || self.0.name()).unwrap_or_else(|_| "unnamed".into())
    }

    /// Whether it can be asked now.
    pub fn availability(&self) -> Availability {
        guarded("availability", || self.0.availability()).unwrap_or_else(|message| {
            let reason = UnavailableReason::Unknown { message };
            Availability::Unavailable { reason }
        })
    }

    /// Answers `request` as it is pulled, and ends it soon after `cancelled` says so, whatever the host does.
    pub fn ask(&self, request: SystemRequest, cancelled: impl Fn() -> bool + Send + 'static) -> SystemAnswer {
        SystemAnswer::new(self.clone(), request, Box::new(cancelled))
    }

    /// Has it load what the first answer would have to load.
    ///
    /// # Errors
    /// [`SystemFailure::Failed`] where the host panics.
    pub fn prewarm(&self, instructions: Option<String>) -> Result<(), SystemFailure> {
        guarded("prewarm", || self.0.prewarm(instructions)).map_err(SystemFailure::failed)
    }

    /// Downloads the model, unless it is here, and waits for that. `progress` hears how far it is.
    ///
    /// # Errors
    /// [`SystemFailure::Unavailable`] where there is nothing to download, [`SystemFailure::Cancelled`] soon after `cancelled` says
    /// so, though the system may go on, and what the host fails with.
    pub fn download(
        &self,
        cancelled: impl Fn() -> bool,
        mut progress: impl FnMut(DownloadProgress),
    ) -> Result<(), SystemFailure> {
        match self.availability() {
            Availability::Available => return Ok(()),
            Availability::Downloadable | Availability::Downloading => {}
            unavailable => return Err(SystemFailure::Unavailable { message: format!("it {unavailable}") }),
        }
        let (speaking, listening) = line();
        let sink = Arc::new(DownloadSink(speaking));
        let failed = sink.clone();
        self.on_a_thread("download", move |model| model.download(sink), move |failure| failed.fail(failure))?;
        loop {
            match listening.hear(&cancelled) {
                None => return Err(SystemFailure::Cancelled),
                Some(Said::Piece(far)) => progress(far),
                Some(Said::End(end)) => return end,
            }
        }
    }

    /// Has the host do `work` on a detached thread; `failed` gets the failure of a panic.
    pub(crate) fn on_a_thread(
        &self,
        method: &'static str,
        work: impl FnOnce(&dyn SystemModel) + Send + 'static,
        failed: impl FnOnce(SystemFailure) + Send + 'static,
    ) -> Result<(), SystemFailure> {
        let model = self.0.clone();
        let thread = std::thread::Builder::new().name(format!("kinglet-system-{method}"));
        let spawned = thread.spawn(move || {
            if let Err(message) = guarded(method, || work(&*model)) {
                failed(SystemFailure::failed(message));
            }
        });
        spawned.map(drop).map_err(|error| SystemFailure::failed(format!("no thread can be started: {error}")))
    }
}

/// The result of `call`, or which of the host's methods panicked. The panic's message stays out of it, since it may hold a prompt.
fn guarded<T>(method: &str, call: impl FnOnce() -> T) -> Result<T, String> {
    // Nothing of Kinglet's is seen again that the call may have left half-done: sinks are kept whole by their locks.
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| format!("the host panicked in `{method}`"))
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Host").field(&self.name()).finish()
    }
}
