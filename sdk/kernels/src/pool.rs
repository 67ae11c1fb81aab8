//! The worker pool.
//!
//! A token passes through some two hundred parallel loops of ten to a thousand microseconds each, so that starting one must cost
//! less than a microsecond; and on a phone or a shared machine any worker may lose its core at any moment, so that no thread may
//! wait for a worker that was not scheduled. Hence:
//!
//! * Workers *join* an open job when they happen to see it. The caller works on the job itself, closes it when no item is left, and
//!   waits only for those that joined: a worker without a core costs nothing.
//! * Each worker takes the items of a stretch of its own one after the other, so that what lies together is read by one core; when
//!   it has none left it steals items from the others' stretches.
//! * A worker that is preempted stays out of jobs for a while: see [`preemption`].
//! * A waiting thread spins for some tens of microseconds, then sleeps. An idle pool uses no processor time.
//!
//! The state of a pool is one word:
//!
//! ```text
//!   63 ........ 32   17        16     15 ...... 0
//!   number of job    CALLER    OPEN   workers inside
//!                    SLEEPS
//! ```
//!
//! A job is written while the word says closed and empty, so that no worker can be looking at it; a worker reads it only between
//! joining (which succeeds only while OPEN) and leaving, and the caller keeps it alive until the count is zero.

mod preemption;

use std::any::Any;
use std::cell::UnsafeCell;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, Instant};

use self::preemption::{Caller, LongWaits, Preemption};
use crate::cpu::Isa;

const INSIDE: u64 = 0xffff;
const OPEN: u64 = 1 << 16;
const CALLER_SLEEPS: u64 = 1 << 17;
const JOB: u32 = 32;

/// Turns of a spinning wait before sleeping: some tens of microseconds.
const SPINS: u32 = 4000;

/// How kernels run: on how many threads, with which instruction set.
pub struct Pool {
    shared: Arc<Shared>,
    workers: Vec<JoinHandle<()>>,
    isa: Isa,
    caller: Mutex<Caller>,
}

struct Shared {
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// Whether a caller is between opening and closing a job.
    taken: AtomicBool,
    sleeping: AtomicU32,
    stop: AtomicBool,
    long_waits: LongWaits,
    began: Instant,
    /// Nanoseconds after `began` until which the last worker is to stay out.
    vacant_until: AtomicU64,
}

/// The closure that workers run, and the calling thread, which waits for them. The lifetime of `body` is erased; the module's
/// documentation says what keeps it valid.
struct Job {
    body: *const (dyn Fn(usize) + Sync),
    caller: Thread,
}

// SAFETY: `job` is the only field that is not Sync by itself. It is written only by the caller that holds `taken`, while the state
// is closed and empty, and read only by workers that joined after that; the state's release and acquire order the two. `body`
// points to a Sync closure.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is to a Sync closure, and Thread is Send.
unsafe impl Send for Shared {}

impl Pool {
    /// A pool of `threads` threads, the caller being one of them, with the best instruction set of this machine. Zero counts as
    /// one; where the system refuses a thread, the pool has fewer (see [`Pool::threads`]).
    pub fn new(threads: usize) -> Pool {
        Pool::with_isa(threads, Isa::best())
    }

    /// As [`Pool::new`], with a chosen instruction set: for tests and comparisons.
    pub fn with_isa(threads: usize, isa: Isa) -> Pool {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            taken: AtomicBool::new(false),
            sleeping: AtomicU32::new(0),
            stop: AtomicBool::new(false),
            long_waits: LongWaits::default(),
            began: Instant::now(),
            vacant_until: AtomicU64::new(0),
        });
        let workers = (1..threads.min(INSIDE as usize))
            .map_while(|worker| {
                let shared = shared.clone();
                let is_last = worker + 1 == threads;
                thread::Builder::new().name(format!("kinglet-{worker}")).spawn(move || shared.work(worker, is_last)).ok()
            })
            .collect();
        Pool { shared, workers, isa, caller: Mutex::default() }
    }

    /// How many threads take part in a job, the caller included.
    pub fn threads(&self) -> usize {
        self.workers.len() + 1
    }

    /// The instruction set that kernels use.
    pub fn isa(&self) -> Isa {
        self.isa
    }

    /// Calls `f(item, worker)` once for every item of `0..items`, in any order, and returns when all calls have returned.
    /// `worker` is below [`Pool::threads`], and no two calls at the same time have the same one. A job started from inside `f`, or
    /// while another thread's job is open, runs on the calling thread alone.
    ///
    /// # Panics
    /// If `f` does: the first payload is raised again here, after all workers have left; items not yet started are skipped.
    pub fn for_each(&self, items: usize, f: impl Fn(usize, usize) + Sync) {
        if self.workers.is_empty() || items < 2 || self.shared.taken.swap(true, Ordering::Acquire) {
            return (0..items).for_each(|item| f(item, 0));
        }
        let stretches = Stretches::new(items, self.threads());
        let panic: Mutex<Option<Box<dyn Any + Send>>> = Mutex::new(None);
        let body = |worker: usize| {
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                while let Some(item) = stretches.take(worker) {
                    f(item, worker);
                }
            }));
            if let Err(payload) = outcome {
                stretches.close();
                panic.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(payload);
            }
        };
        self.open(&body, items - 1);
        body(0);
        self.shared.close();
        if let Some(rest) = self.caller.try_lock().ok().and_then(|mut caller| caller.done()) {
            let until = self.shared.began.elapsed() + rest;
            self.shared.vacant_until.store(until.as_nanos() as u64, Ordering::Relaxed);
        }
        self.shared.taken.store(false, Ordering::Release);
        if let Some(payload) = panic.into_inner().unwrap_or_else(PoisonError::into_inner) {
            resume_unwind(payload);
        }
    }

    /// Publishes a job and wakes at most `wanted` workers if any sleep.
    fn open(&self, body: &(dyn Fn(usize) + Sync), wanted: usize) {
        let shared = &*self.shared;
        let body: *const (dyn Fn(usize) + Sync + '_) = body;
        // SAFETY: only the lifetime changes. The pointer is used by workers inside this job only, and `for_each`, which owns the
        // closure, returns after `close` has seen the last of them leave.
        let body: *const (dyn Fn(usize) + Sync + 'static) = unsafe { std::mem::transmute(body) };
        // SAFETY: this thread holds `taken`, and the job before was closed and left by all, so nobody reads the cell.
        unsafe { *shared.job.get() = Some(Job { body, caller: thread::current() }) };
        let number = (shared.state.load(Ordering::Relaxed) >> JOB) + 1;
        shared.state.store(number << JOB | OPEN, Ordering::SeqCst);
        if shared.sleeping.load(Ordering::SeqCst) > 0 {
            self.workers.iter().take(wanted).for_each(|worker| worker.thread().unpark());
        }
    }
}

impl Shared {
    /// Lets no more workers in and waits for those inside.
    fn close(&self) {
        let mut state = self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut spins = 0;
        let mut waits = None;
        while state & INSIDE != 0 {
            if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                waits.get_or_insert_with(Instant::now);
                if self.state.fetch_or(CALLER_SLEEPS, Ordering::AcqRel) & INSIDE != 0 {
                    thread::park();
                }
            }
            state = self.state.load(Ordering::Acquire);
        }
        if let Some(began) = waits {
            self.long_waits.count(began.elapsed());
        }
    }

    /// A worker's life: join every job that is seen open, once; spin between jobs, then sleep.
    fn work(&self, worker: usize, is_last: bool) {
        let mut last = 0;
        let mut spins = 0;
        let mut preemption = Preemption::of_this_thread();
        while !self.stop.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Acquire);
            if is_open(state, last) {
                let vacant = if is_last { self.vacant() } else { None };
                if let Some(rest) = vacant.or_else(|| preemption.rest(&self.long_waits)) {
                    self.stay_out(rest);
                    preemption.rested();
                    continue;
                }
                if self.state.compare_exchange(state, state + 1, Ordering::AcqRel, Ordering::Relaxed).is_ok() {
                    last = state >> JOB;
                    self.run(worker);
                }
                spins = 0;
            } else if spins < SPINS {
                spins += 1;
                std::hint::spin_loop();
            } else {
                self.sleep(last);
                spins = 0;
            }
        }
    }

    /// For how long the last worker is still to stay out.
    fn vacant(&self) -> Option<Duration> {
        let until = Duration::from_nanos(self.vacant_until.load(Ordering::Relaxed));
        if until.is_zero() { None } else { until.checked_sub(self.began.elapsed()).filter(|left| !left.is_zero()) }
    }

    /// Sleeps through other wakers' calls.
    fn stay_out(&self, time: Duration) {
        let began = Instant::now();
        while let Some(left) = time.checked_sub(began.elapsed()).filter(|_| !self.stop.load(Ordering::SeqCst)) {
            thread::park_timeout(left);
        }
    }

    /// Runs the job that this worker has joined, then leaves it; the last to leave wakes a sleeping caller.
    fn run(&self, worker: usize) {
        // SAFETY: this worker has joined, so the cell holds this job and nobody writes it before the worker leaves.
        let Some(job) = (unsafe { &*self.job.get() }) else { return };
        // SAFETY: the caller keeps the closure alive until all who joined have left.
        unsafe { (*job.body)(worker) };
        let mut state = self.state.load(Ordering::Relaxed);
        loop {
            // The job may be gone as soon as the count is zero: take the handle before.
            let caller = (state & INSIDE == 1 && state & CALLER_SLEEPS != 0).then(|| job.caller.clone());
            match self.state.compare_exchange_weak(state, state - 1, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if let Some(caller) = caller {
                        caller.unpark();
                    }
                    return;
                }
                Err(seen) => state = seen,
            }
        }
    }

    /// Sleeps unless a job was opened meanwhile. `sleeping` is raised before the state is read, and `open` writes the state before
    /// it reads `sleeping`: one of the two sees the other.
    fn sleep(&self, last: u64) {
        self.sleeping.fetch_add(1, Ordering::SeqCst);
        if !is_open(self.state.load(Ordering::SeqCst), last) && !self.stop.load(Ordering::SeqCst) {
            thread::park();
        }
        self.sleeping.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Most stretches that the items of a job are cut into.
const STRETCHES: usize = 16;

/// The items of a job, in stretches that are taken from one item at a time.
struct Stretches {
    items: usize,
    count: usize,
    /// The next item of each.
    next: [Counter; STRETCHES],
}

/// Alone on its cache lines, also where two are fetched together.
#[derive(Default)]
#[repr(align(128))]
struct Counter(AtomicUsize);

impl Stretches {
    fn new(items: usize, threads: usize) -> Stretches {
        let stretches = Stretches { items, count: threads.min(STRETCHES), next: Default::default() };
        for (index, next) in stretches.next.iter().enumerate().take(stretches.count) {
            next.0.store(stretches.start(index), Ordering::Relaxed);
        }
        stretches
    }

    fn start(&self, index: usize) -> usize {
        self.items * index / self.count
    }

    /// An item of the worker's own stretch, else of the next one that has any.
    fn take(&self, worker: usize) -> Option<usize> {
        (worker..worker + self.count).map(|turn| turn % self.count).find_map(|index| {
            let end = self.start(index + 1);
            // Looking first keeps the counter from running away while others still work.
            let next = &self.next[index].0;
            if next.load(Ordering::Relaxed) >= end {
                return None;
            }
            Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&item| item < end)
        })
    }

    /// Leaves no item to take.
    fn close(&self) {
        self.next.iter().for_each(|next| next.0.store(self.items, Ordering::Relaxed));
    }
}

/// A slice of which each worker of a job uses its own element.
pub(crate) struct PerWorker<'a, T> {
    items: *mut T,
    len: usize,
    _borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: elements are reached through `get` alone, whose caller promises that no two threads use one at the same time.
unsafe impl<T: Send> Sync for PerWorker<'_, T> {}

impl<'a, T> PerWorker<'a, T> {
    pub(crate) fn new(items: &'a mut [T]) -> PerWorker<'a, T> {
        PerWorker { items: items.as_mut_ptr(), len: items.len(), _borrow: PhantomData }
    }

    /// The element of `worker`.
    ///
    /// # Safety
    /// Called from an item of the one job that this slice serves, with the item's worker, and no earlier result is still in use.
    #[allow(clippy::mut_from_ref)]
    pub(crate) unsafe fn get(&self, worker: usize) -> &mut T {
        assert!(worker < self.len);
        // SAFETY: within the slice; a pool runs no two items with the same worker at the same time.
        unsafe { &mut *self.items.add(worker) }
    }
}

/// Whether there is an open job other than the one numbered `last`.
fn is_open(state: u64, last: u64) -> bool {
    state & OPEN != 0 && state >> JOB != last
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for worker in self.workers.drain(..) {
            worker.thread().unpark();
            // A worker cannot panic: jobs catch what their items raise.
            let _ = worker.join();
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("threads", &self.threads()).field("isa", &self.isa).finish()
    }
}
