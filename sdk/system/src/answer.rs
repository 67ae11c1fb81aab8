//! An answer in progress: the host pushes text in, Kinglet pulls events out.

use crate::line::{Listening, Said, Speaking, line};
use crate::{Host, SystemFailure, SystemFinish, SystemRequest};
use kinglet_text::StopMatcher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Bytes that a token stands for at most, generously: an answer that is longer is ended, for a host that never ends it.
const BYTES_PER_TOKEN: usize = 64;

/// Where a host pushes the text of an answer. It may be pushed into from any thread, and never waits. Letting go of it without an
/// end is a failure.
pub struct TextSink {
    line: Speaking<String, SystemFinish>,
    /// Bytes that the answer may still have.
    room: AtomicUsize,
}

impl TextSink {
    /// More of the text, of any length; false once the answer is not read any more, since it was cancelled, dropped, complete, or
    /// longer than was asked for. The host ends its work then.
    pub fn push(&self, text: String) -> bool {
        let take = |room: usize| room.checked_sub(text.len());
        if self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err() {
            self.line.end(Ok(SystemFinish::Length));
        }
        self.line.say(text)
    }

    /// The answer is complete. The first end counts.
    pub fn finish(&self, finish: SystemFinish) {
        self.line.end(Ok(finish));
    }

    /// There is no answer, or no more of it. The first end counts.
    pub fn fail(&self, failure: SystemFailure) {
        self.line.end(Err(failure));
    }

    /// Whether the answer is not read any more: for hosts that look while nothing is to be pushed.
    pub fn is_cancelled(&self) -> bool {
        !self.line.is_heard()
    }
}

impl std::fmt::Debug for TextSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TextSink").field("heard", &self.line.is_heard()).finish_non_exhaustive()
    }
}

/// Events of an answer in progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemEvent {
    /// More of the text, never empty.
    Text(String),
    /// The answer is complete; nothing follows.
    Done(SystemEnd),
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SystemEnd {
    /// The model ended it.
    Complete,
    /// The answer is as long as was asked for.
    Length,
    /// This stop string appeared; the text ends before it.
    Stop(String),
    /// The answer was cancelled.
    Cancelled,
}

/// An answer, pulled event by event. The host is asked at the first pull; dropping the answer hangs up.
pub struct SystemAnswer {
    host: Host,
    cancelled: Box<dyn Fn() -> bool + Send>,
    stops: Vec<String>,
    matcher: StopMatcher,
    state: State,
}

enum State {
    Asked(SystemRequest),
    Answering(Listening<String, SystemFinish>),
    /// All text is out, and the end is left to be told.
    Ended(SystemEnd),
    Over,
}

impl SystemAnswer {
    pub(crate) fn new(host: Host, request: SystemRequest, cancelled: Box<dyn Fn() -> bool + Send>) -> SystemAnswer {
        let stops = request.stop.clone();
        let matcher = StopMatcher::new(stops.clone());
        SystemAnswer { host, cancelled, stops, matcher, state: State::Asked(request) }
    }

    /// Asks the host, on a thread of its own.
    fn ask(&self, request: SystemRequest) -> Result<Listening<String, SystemFinish>, SystemFailure> {
        let availability = self.host.availability();
        if !availability.is_available() {
            return Err(SystemFailure::Unavailable { message: format!("it {availability}") });
        }
        let (speaking, listening) = line();
        let room = (request.max_new_tokens as usize).saturating_mul(BYTES_PER_TOKEN);
        let sink = Arc::new(TextSink { line: speaking, room: AtomicUsize::new(room) });
        let failed = sink.clone();
        self.host.on_a_thread("respond", move |model| model.respond(request, sink), move |failure| failed.fail(failure))?;
        Ok(listening)
    }

    /// Turns a piece, the end, or a cancellation (`said` is `None`) into an event; gives `None` where no further text is certain
    /// yet.
    fn take(&mut self, said: Option<Said<String, SystemFinish>>) -> Option<Result<SystemEvent, SystemFailure>> {
        let (text, end) = match said {
            None => (self.matcher.flush(), SystemEnd::Cancelled),
            Some(Said::Piece(piece)) => match self.matcher.push(&piece) {
                (text, Some(which)) => (text, SystemEnd::Stop(self.stops.get(which).cloned().unwrap_or_default())),
                (text, None) => return (!text.is_empty()).then_some(Ok(SystemEvent::Text(text))),
            },
            Some(Said::End(Ok(SystemFinish::Complete))) => (self.matcher.flush(), SystemEnd::Complete),
            Some(Said::End(Ok(SystemFinish::Length))) => (self.matcher.flush(), SystemEnd::Length),
            Some(Said::End(Err(failure))) => {
                self.state = State::Over;
                return Some(Err(failure));
            }
        };
        if text.is_empty() {
            self.state = State::Over;
            return Some(Ok(SystemEvent::Done(end)));
        }
        self.state = State::Ended(end);
        Some(Ok(SystemEvent::Text(text)))
    }
}

impl Iterator for SystemAnswer {
    type Item = Result<SystemEvent, SystemFailure>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Asked(_) if (self.cancelled)() => return Some(Ok(SystemEvent::Done(SystemEnd::Cancelled))),
                State::Asked(request) => match self.ask(request) {
                    Ok(listening) => self.state = State::Answering(listening),
                    Err(failure) => return Some(Err(failure)),
                },
                State::Answering(listening) => {
                    let said = listening.hear(&*self.cancelled);
                    self.state = State::Answering(listening);
                    if let Some(event) = self.take(said) {
                        return Some(event);
                    }
                }
                State::Ended(end) => return Some(Ok(SystemEvent::Done(end))),
                State::Over => return None,
            }
        }
    }
}

impl std::iter::FusedIterator for SystemAnswer {}

impl std::fmt::Debug for SystemAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemAnswer").field("host", &self.host).finish_non_exhaustive()
    }
}
