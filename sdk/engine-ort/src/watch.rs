//! Ends a run whose cancel token is raised from another thread.
//!
//! The library is told to end a run by a call, and a token can only be asked. So one thread a runner asks, every few
//! milliseconds while there is work and not at all where there was none for a while. Steps pay a lock for it, no wake-up.

use kinglet_engine::CancelToken;
use ort::session::RunOptions;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often a token is asked.
const TICK: Duration = Duration::from_millis(4);
/// Ticks without work after which the thread waits to be woken.
const IDLE_TICKS: u32 = 25;

#[derive(Default)]
struct State {
    running: Option<(CancelToken, Arc<RunOptions>)>,
    asleep: bool,
    ended: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    wake: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that asks; it ends with the watch.
pub(crate) struct Watch {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// While it lives, a token that is raised ends the run.
pub(crate) struct Watched<'a>(&'a Shared);

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.0.state().running = None;
    }
}

impl Watch {
    /// # Errors
    /// The system's where it gives no thread.
    pub(crate) fn start() -> std::io::Result<Watch> {
        let shared = Arc::new(Shared::default());
        let thread = std::thread::Builder::new().name("kinglet-ort-cancel".into()).spawn({
            let shared = shared.clone();
            move || ask(&shared)
        })?;
        Ok(Watch { shared, thread: Some(thread) })
    }

    /// Watches a run that is about to begin.
    pub(crate) fn watch(&self, cancel: &CancelToken, options: &Arc<RunOptions>) -> Watched<'_> {
        let mut state = self.shared.state();
        state.running = Some((cancel.clone(), options.clone()));
        if std::mem::take(&mut state.asleep) {
            self.shared.wake.notify_one();
        }
        Watched(&self.shared)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.wake.notify_one();
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has nothing left to do either.
            let _ = thread.join();
        }
    }
}

fn ask(shared: &Shared) {
    let mut idle = 0;
    let mut state = shared.state();
    while !state.ended {
        match &state.running {
            Some((cancel, options)) => {
                idle = 0;
                if cancel.is_cancelled()
                    && let Err(error) = options.terminate()
                {
                    log::warn!("a run could not be ended: {error}");
                }
            }
            None => idle += 1,
        }
        state.asleep = idle > IDLE_TICKS;
        state = if state.asleep {
            shared.wake.wait(state).unwrap_or_else(PoisonError::into_inner)
        } else {
            shared.wake.wait_timeout(state, TICK).unwrap_or_else(PoisonError::into_inner).0
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::library::{Search, load};

    /// Options of runs, where the library is here; without one, a line that is counted says so.
    fn options() -> Option<Arc<RunOptions>> {
        let library = kinglet_testing::onnxruntime()?;
        load(&Search { given: Some(library) }).unwrap();
        Some(Arc::new(RunOptions::new().unwrap()))
    }

    /// Waits for the thread to let go of its clones or to take hold of them.
    fn eventually(what: &str, is_so: impl Fn() -> bool) {
        for _ in 0..2000 {
            if is_so() {
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        panic!("not within two seconds: {what}");
    }

    #[test]
    fn the_thread_sleeps_without_work_and_wakes_with_it() {
        let Some(options) = options() else { return };
        let watch = Watch::start().unwrap();
        let cancel = CancelToken::default();
        for _ in 0..2 {
            eventually("asleep", || watch.shared.state().asleep);
            let watched = watch.watch(&cancel, &options);
            assert!(!watch.shared.state().asleep);
            drop(watched);
            assert!(watch.shared.state().running.is_none());
        }
        drop(watch);
        assert_eq!(Arc::strong_count(&options), 1, "nothing is held when the watch has ended");
    }
}
