//! A flag that another thread raises to end the work in hand.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Cloned freely; all clones are one flag. It lives outside every lock, so raising it never waits.
#[derive(Clone, Debug, Default)]
pub struct CancelToken(Arc<AtomicBool>);

impl CancelToken {
    /// Asks the holder of any clone to stop at its next check: inside a step an engine checks between operators.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`cancel`](Self::cancel) was called since the last [`reset`](Self::reset).
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Lowers the flag for the next piece of work.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }
}
