//! Answers in progress by number, for those who cannot hold an object.

use crate::generation::Shared;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

static KNOWN: LazyLock<Mutex<HashMap<u64, Weak<Shared>>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicU64 = AtomicU64::new(1);

/// An entry of the table, for as long as it lives. No number is given twice.
#[derive(Debug)]
pub(crate) struct Stream(u64);

impl Stream {
    pub(crate) fn of(shared: &Arc<Shared>) -> Stream {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        known().insert(number, Arc::downgrade(shared));
        Stream(number)
    }

    pub(crate) fn number(&self) -> u64 {
        self.0
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        known().remove(&self.0);
    }
}

/// The answer with this number, if it is still known.
pub(crate) fn stream(number: u64) -> Option<Arc<Shared>> {
    known().get(&number)?.upgrade()
}

/// The table is whole between calls.
fn known() -> MutexGuard<'static, HashMap<u64, Weak<Shared>>> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}
