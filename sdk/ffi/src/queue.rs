//! Items that one thread makes and another takes, waiting for them with or without a thread of its own.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A queue with one end. What is put after the end is dropped.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    ended: bool,
    waiting: Option<Waker>,
}

/// Decision on an inspected item.
#[cfg(feature = "jni")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// The item is removed; on to the next.
    Taken,
    /// The item stays the first, and iteration ends.
    Stays,
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        let state = State { items: VecDeque::new(), ended: false, waiting: None };
        Queue { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl<T> Queue<T> {
    /// No code that could panic runs under the lock, so what a poisoned one holds is whole.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn put(&self, item: T) {
        self.change(|state| {
            if !state.ended {
                state.items.push_back(item);
            }
        });
    }

    /// Nothing follows what is in the queue.
    pub(crate) fn end(&self) {
        self.change(|state| state.ended = true);
    }

    /// Nothing follows at all: what was not taken is dropped.
    pub(crate) fn clear(&self) {
        self.change(|state| {
            state.items.clear();
            state.ended = true;
        });
    }

    fn change(&self, change: impl FnOnce(&mut State<T>)) {
        let mut state = self.lock();
        change(&mut state);
        let waiting = state.waiting.take();
        drop(state);
        self.changed.notify_all();
        if let Some(waker) = waiting {
            waker.wake();
        }
    }

    /// The next item, once there is one; none at the end.
    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        match state.items.pop_front() {
            Some(item) => Poll::Ready(Some(item)),
            None if state.ended => Poll::Ready(None),
            None => {
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// As [`poll`](Self::poll), with the calling thread waiting.
    pub(crate) fn take(&self) -> Option<T> {
        self.wait().items.pop_front()
    }

    /// Waits for an item, or for the end, and looks at those that are there, the first first, for as long as they are taken.
    #[cfg(feature = "jni")]
    pub(crate) fn take_while(&self, mut look: impl FnMut(&mut T) -> Next) {
        let mut state = self.wait();
        while state.items.front_mut().is_some_and(|item| look(item) == Next::Taken) {
            state.items.pop_front();
        }
    }

    /// The state once there is an item, or none will be.
    fn wait(&self) -> MutexGuard<'_, State<T>> {
        let undecided = |state: &mut State<T>| state.items.is_empty() && !state.ended;
        self.changed.wait_while(self.lock(), undecided).unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn items_come_in_order_and_end() {
        let queue = Arc::new(Queue::default());
        let maker = queue.clone();
        let thread = std::thread::spawn(move || {
            (0..1000).for_each(|i| maker.put(i));
            maker.end();
            maker.put(7);
        });
        let taken: Vec<i32> = std::iter::from_fn(|| queue.take()).collect();
        thread.join().unwrap();
        assert_eq!(taken, (0..1000).collect::<Vec<_>>());
        assert_eq!(queue.take(), None);
    }

    #[test]
    fn clearing_ends_whoever_waits() {
        let queue = Arc::new(Queue::<u8>::default());
        let waiting = queue.clone();
        let thread = std::thread::spawn(move || waiting.take());
        queue.clear();
        assert_eq!(thread.join().unwrap(), None);
    }
}
