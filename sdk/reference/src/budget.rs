//! Use of an evaluation's limits.

use crate::{Limits, ReferenceError};
use std::cell::Cell;

/// Counts elements that are alive and work that was done, and refuses more than the limits.
pub(crate) struct Budget {
    limits: Limits,
    alive: Cell<usize>,
    work: Cell<u64>,
}

impl Budget {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, alive: Cell::new(0), work: Cell::new(0) }
    }

    /// Elements that are alive.
    pub(crate) fn alive(&self) -> usize {
        self.alive.get()
    }

    /// Says how many elements are alive, after some were dropped.
    pub(crate) fn set_alive(&self, elements: usize) {
        self.alive.set(elements);
    }

    /// Work that was counted.
    pub(crate) fn done(&self) -> u64 {
        self.work.get()
    }

    /// Makes room for so many elements, each of them written once.
    pub(crate) fn take(&self, elements: usize) -> Result<(), ReferenceError> {
        let alive = self.alive.get().saturating_add(elements);
        if alive > self.limits.elements {
            return Err(ReferenceError::TooLarge(format!("{} elements at once", self.limits.elements)));
        }
        self.alive.set(alive);
        self.work(elements as u64)
    }

    /// Counts work before it is done.
    pub(crate) fn work(&self, steps: u64) -> Result<(), ReferenceError> {
        let work = self.work.get().saturating_add(steps);
        if work > self.limits.work {
            return Err(ReferenceError::TooLarge(format!("{} steps of work", self.limits.work)));
        }
        self.work.set(work);
        Ok(())
    }
}
