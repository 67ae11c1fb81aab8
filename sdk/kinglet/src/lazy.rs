//! A part of a model that is made when it is first needed.

use crate::Error;
use std::sync::{Arc, Mutex, PoisonError};

/// Made at the first call that succeeds, and shared from then on.
pub(crate) struct Lazy<T>(Mutex<Option<Arc<T>>>);

impl<T> Lazy<T> {
    pub(crate) const fn new() -> Lazy<T> {
        Lazy(Mutex::new(None))
    }

    /// The part; `read` makes it. A failure is not kept: the next call tries again.
    pub(crate) fn get_or_read(&self, read: impl FnOnce() -> Result<T, Error>) -> Result<Arc<T>, Error> {
        // Nothing but the whole part is ever stored, so a lock poisoned by a panic elsewhere is still good.
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*kept {
            Some(part) => Ok(part.clone()),
            None => Ok(kept.insert(Arc::new(read()?)).clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_success_is_kept_and_a_failure_is_not() {
        let lazy = Lazy::new();
        assert!(lazy.get_or_read(|| Err(Error::invalid("no"))).is_err());
        assert_eq!(*lazy.get_or_read(|| Ok(1)).unwrap(), 1);
        assert_eq!(*lazy.get_or_read(|| Ok(2)).unwrap(), 1);
    }
}
