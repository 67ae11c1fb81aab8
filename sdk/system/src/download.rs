//! A download in progress.

use crate::SystemFailure;
use crate::line::Speaking;

/// How far a download is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DownloadProgress {
    /// Bytes that are here.
    pub bytes: u64,
    /// Bytes that there are; `None` where the system does not tell.
    pub total: Option<u64>,
}

/// Where a host tells how a download goes. It may be told from any thread, and never waits. Letting go of it without an end is a
/// failure.
pub struct DownloadSink(pub(crate) Speaking<DownloadProgress, ()>);

impl DownloadSink {
    /// Tells how far it is; false where that is not received any more. The system may go on downloading then.
    pub fn progress(&self, progress: DownloadProgress) -> bool {
        self.0.say(progress)
    }

    /// The model is here. The first end counts.
    pub fn finish(&self) {
        self.0.end(Ok(()));
    }

    /// The download failed. The first end counts.
    pub fn fail(&self, failure: SystemFailure) {
        self.0.end(Err(failure));
    }
}

impl std::fmt::Debug for DownloadSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DownloadSink").field("heard", &self.0.is_heard()).finish_non_exhaustive()
    }
}
