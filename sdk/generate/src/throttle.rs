//! How fast steps may follow each other: a pause, and a share of the time for devices that run hot.

use kinglet_engine::{CancelToken, EngineError};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a waiting step goes without a look at its cancel flag.
const LOOK: Duration = Duration::from_millis(10);

/// Steps wait while it is paused, and rest after each other where they may use a share of the time alone.
#[derive(Debug)]
pub(crate) struct Throttle {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    paused: bool,
    /// Of the time, what steps may use; above 0, at most 1.
    share: f64,
    /// When the next step may begin.
    rest: Option<Instant>,
}

impl Default for Throttle {
    fn default() -> Throttle {
        Throttle { state: Mutex::new(State { paused: false, share: 1.0, rest: None }), changed: Condvar::new() }
    }
}

impl Throttle {
    pub(crate) fn pause(&self, paused: bool) {
        self.lock().paused = paused;
        self.changed.notify_all();
    }

    /// `share` of the time is for steps, and the rest for cooling down.
    pub(crate) fn set_share(&self, share: f64) {
        let mut state = self.lock();
        state.share = share.clamp(0.01, 1.0);
        if state.share == 1.0 {
            state.rest = None;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits until a step may begin.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] soon after `cancel` is raised.
    pub(crate) fn wait(&self, cancel: &CancelToken) -> Result<(), EngineError> {
        let mut state = self.lock();
        loop {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let left = state.rest.map(|rest| rest.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero());
            let wait = match left {
                _ if state.paused => LOOK,
                Some(left) => left.min(LOOK),
                None => return Ok(()),
            };
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A step took so long.
    pub(crate) fn took(&self, step: Duration) {
        let mut state = self.lock();
        if state.share < 1.0 {
            state.rest = Instant::now().checked_add(step.mul_f64(1.0 / state.share - 1.0));
        }
    }

    /// Nothing that could panic runs under the lock.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc::channel;

    #[test]
    fn a_paused_step_begins_when_the_pause_ends_or_is_cancelled() {
        let throttle = Arc::new(Throttle::default());
        throttle.pause(true);
        let (waiting, cancel) = (throttle.clone(), CancelToken::default());
        let (sender, ended) = channel();
        let thread = std::thread::spawn(move || sender.send(waiting.wait(&CancelToken::default()).is_ok()));
        assert!(ended.recv_timeout(Duration::from_millis(50)).is_err(), "it waits");
        throttle.pause(false);
        assert_eq!(ended.recv(), Ok(true));
        thread.join().unwrap().unwrap();

        throttle.pause(true);
        let (waiting, raised) = (throttle.clone(), cancel.clone());
        let thread = std::thread::spawn(move || waiting.wait(&raised));
        cancel.cancel();
        assert!(matches!(thread.join().unwrap(), Err(EngineError::Cancelled)));
    }

    #[test]
    fn a_share_makes_steps_rest_after_each_other() {
        let throttle = Throttle::default();
        let none = CancelToken::default();
        throttle.took(Duration::from_secs(100));
        assert!(throttle.wait(&none).is_ok(), "all of the time: nothing to rest for");
        throttle.set_share(0.25);
        let began = Instant::now();
        throttle.took(Duration::from_millis(20));
        throttle.wait(&none).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(60), "three times as long as the step");
        throttle.took(Duration::from_secs(100));
        throttle.set_share(1.0);
        assert!(throttle.wait(&none).is_ok(), "what was still to rest is forgotten");
    }
}
