//! Preemption by other threads: how it is detected, and how workers back off.
//!
//! A worker that loses its core in the middle of an item keeps the whole job waiting for it, for as long as the scheduler's turn
//! lasts: some milliseconds, where an item takes a hundredth of that. Such a worker is worse than none, and stays out of jobs for a
//! while: the others have its items then. (Working in bursts shorter than a turn was tried, and was slower than staying out.)
//!
//! A caller that loses its core again and again is no better off: its job is not done before it is, and with one worker less it
//! would have a core of its own. So it asks the last worker to stay out.
//!
//! Competition is noticed in two steps, since a long wait alone may have been for long work: a caller counts the waits that were
//! long, and a worker that sees the count change asks the system whether it was itself kept from running. Only Linux and Android
//! tell; elsewhere nothing changes.

use std::fs::File;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// A wait for workers, or a time that a worker was kept from running, that counts as long.
const LONG: Duration = Duration::from_micros(300);
/// Losses of the core that are taken for competition, each within `SOON` of the one before; a single one is a short task of the
/// system.
const LOSSES: u32 = 5;
/// Consecutive checks in which a caller was kept from running for more than a quarter of the time, until the last worker stays out.
const CALLER_LOSSES: u32 = 8;
/// Interval within which one loss of the core counts as following another.
const SOON: Duration = Duration::from_millis(100);
/// How long a worker stays out the first time.
const SHORTEST_REST: Duration = Duration::from_secs(1);
/// How long at most: each rest is twice the last where the competition is still there after it.
const LONGEST_REST: Duration = Duration::from_secs(8);

/// The long waits of a pool's callers.
#[derive(Default)]
pub(super) struct LongWaits(AtomicU32);

impl LongWaits {
    /// A caller has waited for workers.
    pub(super) fn count(&self, time: Duration) {
        if time > LONG {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A thread's losses of its core, and the backoff that follows from them.
pub(super) struct Preemption {
    delay: RunDelay,
    waits: u32,
    losses: u32,
    last_loss: Option<Instant>,
    rest: Duration,
    /// When the last rest was over.
    rested: Option<Instant>,
}

impl Preemption {
    /// For the calling thread.
    pub(super) fn of_this_thread() -> Preemption {
        Preemption { delay: RunDelay::of_this_thread(), waits: 0, losses: 0, last_loss: None, rest: SHORTEST_REST, rested: None }
    }

    /// How long a worker is to stay out of jobs, from now; `None` to go on.
    pub(super) fn rest(&mut self, waits: &LongWaits) -> Option<Duration> {
        let count = waits.0.load(Ordering::Relaxed);
        if count == self.waits {
            return None;
        }
        self.waits = count;
        (self.delay.growth() > LONG && self.is_competition()).then(|| self.next_rest())
    }

    /// How long the last worker is to stay out for a caller; called at intervals, each call judges the time since the one before.
    fn rest_of_another(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let since = now - self.last_loss.replace(now)?;
        let lost = self.delay.growth() > since / 4;
        let resting = self.rested.is_some_and(|until| until > now);
        self.losses = if lost && !resting { self.losses + 1 } else { 0 };
        if self.losses < CALLER_LOSSES {
            return None;
        }
        let rest = self.next_rest();
        (self.rested, self.losses) = (Some(now + rest), 0);
        Some(rest)
    }

    /// Counts a loss of the core.
    fn is_competition(&mut self) -> bool {
        let soon = self.last_loss.replace(Instant::now()).is_some_and(|last| last.elapsed() < SOON);
        self.losses = if soon { self.losses + 1 } else { 1 };
        self.losses >= LOSSES
    }

    fn next_rest(&mut self) -> Duration {
        let again = self.rested.is_some_and(|rested| rested.elapsed() < self.rest);
        self.rest = if again { (self.rest * 2).min(LONGEST_REST) } else { SHORTEST_REST };
        self.rest
    }

    /// A rest is over.
    pub(super) fn rested(&mut self) {
        self.rested = Some(Instant::now());
        self.losses = 0;
        // To have been kept waiting by others at the end of the rest says nothing.
        self.delay.growth();
    }
}

/// Preemption of the thread that calls a pool; tracked anew when another one calls.
#[derive(Default)]
pub(super) struct Caller {
    jobs: u32,
    preemption: Option<(ThreadId, Preemption)>,
}

/// Jobs between two questions to the system: some milliseconds of work.
const JOBS: u32 = 64;

impl Caller {
    /// A job of the calling thread is done. How long the last worker is to stay out from now, if at all.
    pub(super) fn done(&mut self) -> Option<Duration> {
        self.jobs += 1;
        if self.jobs < JOBS {
            return None;
        }
        self.jobs = 0;
        let this = thread::current().id();
        match &mut self.preemption {
            Some((thread, preemption)) if *thread == this => preemption.rest_of_another(),
            other => {
                *other = Some((this, Preemption::of_this_thread()));
                None
            }
        }
    }
}

/// How long the system has kept a thread waiting that could have run.
struct RunDelay {
    file: Option<File>,
    seen: Duration,
}

impl RunDelay {
    fn of_this_thread() -> RunDelay {
        let mut delay = RunDelay { file: File::open("/proc/thread-self/schedstat").ok(), seen: Duration::ZERO };
        delay.growth();
        delay
    }

    /// Of a system that does not tell.
    #[cfg(test)]
    fn none() -> RunDelay {
        RunDelay { file: None, seen: Duration::ZERO }
    }

    /// By how much it has grown since the last call; zero where the system does not tell.
    fn growth(&mut self) -> Duration {
        let total = self.file.as_ref().and_then(read_delay).unwrap_or(self.seen);
        total.saturating_sub(std::mem::replace(&mut self.seen, total))
    }
}

#[cfg(unix)]
fn read_delay(file: &File) -> Option<Duration> {
    use std::os::unix::fs::FileExt;
    let mut line = [0; 96];
    let length = file.read_at(&mut line, 0).ok()?;
    parse(std::str::from_utf8(&line[..length]).ok()?)
}

#[cfg(not(unix))]
fn read_delay(_: &File) -> Option<Duration> {
    None
}

/// The second of the nanoseconds in `/proc/PID/schedstat`: running, waiting, and the number of turns.
#[cfg(unix)]
fn parse(line: &str) -> Option<Duration> {
    Some(Duration::from_nanos(line.split_whitespace().nth(1)?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn delays_are_the_second_number() {
        assert_eq!(parse("48217 77283 12\n"), Some(Duration::from_nanos(77_283)));
        assert_eq!(parse("48217"), None);
        assert_eq!(parse("a b c"), None);
    }

    #[test]
    fn a_worker_rests_longer_while_competition_lasts() {
        let mut preemption = Preemption::of_this_thread();
        assert_eq!(preemption.next_rest(), SHORTEST_REST);
        for doubled in 1..10 {
            preemption.rested();
            assert_eq!(preemption.next_rest(), (SHORTEST_REST * 2u32.pow(doubled)).min(LONGEST_REST));
        }
        preemption.rested = Instant::now().checked_sub(LONGEST_REST);
        assert_eq!(preemption.next_rest(), SHORTEST_REST, "the competition had gone");
    }

    #[test]
    fn a_passing_loss_of_the_core_is_no_competition() {
        let mut preemption = Preemption::of_this_thread();
        assert_eq!([(); 6].map(|()| preemption.is_competition()), [false, false, false, false, true, true]);
        preemption.last_loss = Instant::now().checked_sub(SOON);
        assert!(!preemption.is_competition());
    }

    #[test]
    fn waits_for_work_are_no_competition() {
        let (waits, mut preemption) =
            (LongWaits::default(), Preemption { delay: RunDelay::none(), ..Preemption::of_this_thread() });
        waits.count(LONG / 2);
        assert_eq!((preemption.rest(&waits), preemption.waits), (None, 0));
        waits.count(LONG * 10);
        assert_eq!((preemption.rest(&waits), preemption.waits), (None, 1), "nobody was kept from running");
    }
}
