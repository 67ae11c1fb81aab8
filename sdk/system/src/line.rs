//! A line from a host to Kinglet: pieces, then one end.

use crate::SystemFailure;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long a listener waits before it looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(10);

/// Message on a line.
pub(crate) enum Said<P, E> {
    Piece(P),
    End(Result<E, SystemFailure>),
}

/// The host's end. It never waits for the other one.
pub(crate) struct Speaking<P, E> {
    /// `None` once the end was said.
    sender: Mutex<Option<Sender<Said<P, E>>>>,
    hung_up: Arc<AtomicBool>,
}

/// Kinglet's end. Dropping it hangs up.
pub(crate) struct Listening<P, E> {
    receiver: Receiver<Said<P, E>>,
    hung_up: Arc<AtomicBool>,
}

pub(crate) fn line<P, E>() -> (Speaking<P, E>, Listening<P, E>) {
    let (sender, receiver) = channel();
    let hung_up = Arc::new(AtomicBool::new(false));
    (Speaking { sender: Mutex::new(Some(sender)), hung_up: hung_up.clone() }, Listening { receiver, hung_up })
}

impl<P, E> Speaking<P, E> {
    /// Whether pieces are received: false after the end and after the other side hung up.
    pub(crate) fn is_heard(&self) -> bool {
        !self.hung_up.load(Ordering::Acquire) && self.sender().is_some()
    }

    /// Sends a piece; false where it cannot be received.
    pub(crate) fn say(&self, piece: P) -> bool {
        let heard = !self.hung_up.load(Ordering::Acquire);
        heard && self.sender().as_ref().is_some_and(|sender| sender.send(Said::Piece(piece)).is_ok())
    }

    /// Says how it ended. The first end counts.
    pub(crate) fn end(&self, end: Result<E, SystemFailure>) {
        if let Some(sender) = self.sender().take() {
            // Who hung up has no use for it.
            let _ = sender.send(Said::End(end));
        }
    }

    fn sender(&self) -> std::sync::MutexGuard<'_, Option<Sender<Said<P, E>>>> {
        // Nothing in here can panic half-way.
        self.sender.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<P, E> Listening<P, E> {
    /// Waits for what is said next; `None` soon after `cancelled`. A host that lets go of its end without a word has failed.
    pub(crate) fn hear(&self, cancelled: &dyn Fn() -> bool) -> Option<Said<P, E>> {
        loop {
            if cancelled() {
                return None;
            }
            match self.receiver.recv_timeout(LOOK) {
                Ok(said) => return Some(said),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Some(Said::End(Err(SystemFailure::failed("the host gave it up without a word"))));
                }
            }
        }
    }
}

impl<P, E> Drop for Listening<P, E> {
    fn drop(&mut self) {
        self.hung_up.store(true, Ordering::Release);
    }
}
