//! The interface that a host app implements.

use crate::{Availability, DownloadSink, SystemFailure, SystemRequest, TextSink};
use std::sync::Arc;

/// A model of the operating system, as the host app gives it to Kinglet.
///
/// Kinglet calls it from threads of its own and from those of its callers, also several at once. A panic in it becomes a failure
/// of the request where panics unwind.
///
/// ```
/// use kinglet_system::{Availability, SystemFinish, SystemModel, SystemRequest, TextSink};
/// use std::sync::Arc;
///
/// struct Echo;
///
/// impl SystemModel for Echo {
///     fn name(&self) -> String {
///         "echo".into()
///     }
///     fn availability(&self) -> Availability {
///         Availability::Available
///     }
///     fn respond(&self, request: SystemRequest, answer: Arc<TextSink>) {
///         for word in request.messages.iter().flat_map(|message| message.text.split_inclusive(' ')) {
///             if !answer.push(word.into()) {
///                 return; // nobody listens any more
///             }
///         }
///         answer.finish(SystemFinish::Complete);
///     }
/// }
/// ```
pub trait SystemModel: Send + Sync {
    /// A short name for reports, such as `gemini-nano`.
    fn name(&self) -> String;

    /// Whether it can be asked now. Kinglet asks before each request.
    fn availability(&self) -> Availability;

    /// Answers `request`. Pieces of text are pushed into `answer` as they come, then it is finished or failed, here or later from
    /// another thread: a host may block, or start a task and return. When a push gives `false`, the host ends its work.
    fn respond(&self, request: SystemRequest, answer: Arc<TextSink>);

    /// Downloads the model where it is [`Downloadable`](Availability::Downloadable), or waits for a download in progress. Tells
    /// `download` how far it is and how it ended, here or later from another thread. By default it fails: not every system can be
    /// asked to.
    fn download(&self, download: Arc<DownloadSink>) {
        let message = "the system downloads it by itself".into();
        download.fail(SystemFailure::Unsupported { message });
    }

    /// Loads what the first answer would have to load, for sessions that begin with `instructions`. By default nothing.
    fn prewarm(&self, instructions: Option<String>) {
        let _ = instructions;
    }
}
