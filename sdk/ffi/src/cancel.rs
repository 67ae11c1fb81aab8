//! A handle that ends work from another thread.

use kinglet::CancelHandle;

/// Ends a piece of work from another thread: it stops within a step. It belongs to one call at a time, and waits for nobody.
#[derive(Debug, Default, uniffi::Object)]
pub struct Cancellation {
    pub(crate) handle: CancelHandle,
}

#[uniffi::export]
impl Cancellation {
    /// A handle for one call.
    #[uniffi::constructor]
    pub fn new() -> Cancellation {
        Cancellation::default()
    }

    /// Asks the work to end. What was cancelled before it began ends at once.
    pub fn cancel(&self) {
        self.handle.cancel();
    }

    /// Whether it was asked to end.
    pub fn is_cancelled(&self) -> bool {
        self.handle.is_cancelled()
    }
}
