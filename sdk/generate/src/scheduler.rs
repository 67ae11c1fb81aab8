//! The steps of one runner: who waits, what runs together, and what gives way where there is no room.
//!
//! A thread that wants a step while another one runs leaves it in a queue. Whoever runs the next step takes along what waits
//! there, as far as the limits of rows and logits go, so that the weights are read once for all of them; which rows share a step
//! changes no row. The scheduler has no thread of its own: the thread that came first leads, and hands the lead to the one that
//! has waited longest. A leader waits a moment for the sequences of the step before, which are being sampled.
//!
//! Knows: the runner, the prefix pool, pausing, throttling. Must not know: prompts, sampling, what logits are for.

mod queue;

use crate::prefix::PrefixPool;
use crate::throttle::Throttle;
use kinglet_engine::{CacheId, CancelToken, EngineError, Logits, Runner, SequenceStep, Trim};
use queue::{Fate, Limits, Queue, Ticket, step_size};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

/// How long a waiting thread goes without a look at cancel flags.
const LOOK: Duration = Duration::from_millis(10);
/// The part of a step's time that the next one waits for the sequences of that step.
const GATHER: u32 = 4;
/// The longest that it waits for them.
const LONGEST_GATHER: Duration = Duration::from_millis(5);
/// Bytes of logits that one step may give: with 150,000 tokens in the vocabulary, 55 rows.
const LOGITS_BYTES: usize = 32 << 20;

/// Runs steps for all threads of one runner.
pub(crate) struct Scheduler {
    work: Mutex<Work>,
    queue: Mutex<Queue>,
    /// A step came: for the leader that gathers.
    entered: Condvar,
    /// Steps were answered, or the lead was passed on: for those that wait.
    answered: Condvar,
    /// Memory that is to be given back as soon as nobody works.
    trim: Mutex<Option<Trim>>,
    throttle: Throttle,
    limits: Limits,
    engine: &'static str,
    vocab: usize,
}

/// The runner and its prefix pool; one thread at a time holds the lock.
struct Work {
    runner: Box<dyn Runner>,
    kept: PrefixPool,
}

impl Scheduler {
    /// `rows`: tokens that the steps of several threads may have together.
    pub(crate) fn new(runner: Box<dyn Runner>, rows: usize) -> Self {
        let (engine, vocab) = (runner.info().engine, runner.info().vocab);
        let logits = (LOGITS_BYTES / (size_of::<f32>() * vocab.max(1))).max(1);
        Self {
            work: Mutex::new(Work { runner, kept: PrefixPool::default() }),
            queue: Mutex::default(),
            entered: Condvar::new(),
            answered: Condvar::new(),
            trim: Mutex::new(None),
            throttle: Throttle::default(),
            limits: Limits { rows, logits },
            engine,
            vocab,
        }
    }

    pub(crate) fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Rows of logits that a step of many sequences may give.
    pub(crate) fn logits_rows(&self) -> usize {
        self.limits.logits
    }

    /// A turn with the runner, after which memory that was asked for meanwhile is given back.
    pub(crate) fn turn<T>(&self, work: impl FnOnce(&mut dyn Runner, &mut PrefixPool) -> T) -> T {
        // A runner and its prefixes are consistent between calls, so a lock poisoned by a panic elsewhere is still good.
        let mut guard = self.work.lock().unwrap_or_else(PoisonError::into_inner);
        let Work { runner, kept } = &mut *guard;
        let done = work(&mut **runner, kept);
        drop(guard);
        self.trim_if_idle();
        done
    }

    /// Releases a cache, whose sequence nobody waits for any more.
    pub(crate) fn release(&self, cache: CacheId) {
        self.queue().forget(cache);
        self.turn(|runner, _| runner.release(cache));
    }

    /// Releases memory: the prefix pool, and what [`Runner::trim`] releases. It never waits: during a step it is done behind it.
    pub(crate) fn trim(&self, depth: Trim) {
        let mut asked = self.asked();
        *asked = (*asked).max(Some(depth));
        drop(asked);
        self.trim_if_idle();
    }

    /// One step, which may run together with those of other threads. `read` sees the logits, `[rows, vocab]`; it must not touch
    /// caches of this runner.
    ///
    /// # Errors
    /// Those of the engine for these sequences; [`EngineError::Cancelled`] soon after `cancel` is raised.
    pub(crate) fn step<R>(
        &self,
        sequences: &[SequenceStep<'_>],
        cancel: &CancelToken,
        read: impl FnOnce(Logits<'_>) -> R,
    ) -> Result<R, EngineError> {
        let (id, leads) = self.queue().enter(sequences, cancel);
        if !leads {
            self.entered.notify_one();
            if let Some(answer) = self.wait(id, cancel) {
                return answer.map(|values| read(Logits::new(self.vocab, &values)));
            }
        }
        let lead = Lead { scheduler: self, unanswered: vec![] };
        self.throttle.wait(cancel)?;
        self.gather();
        lead.run(sequences, cancel, read)
    }

    /// Waits until another thread has run the step; `None` where it is this thread's turn to lead.
    fn wait(&self, id: u64, cancel: &CancelToken) -> Option<Result<Vec<f32>, EngineError>> {
        let mut queue = self.queue();
        loop {
            match queue.fate(id) {
                Fate::Answered(answer) => return Some(answer),
                Fate::Leads => return None,
                Fate::Pending if cancel.is_cancelled() && queue.leave(id) => return Some(Err(EngineError::Cancelled)),
                Fate::Pending => queue.stop_if_cancelled(),
            }
            queue = self.answered.wait_timeout(queue, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for the sequences of the step before, unless they take too long.
    fn gather(&self) {
        let mut queue = self.queue();
        while let Some(left) = queue.worth_waiting() {
            queue = self.entered.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// One step of the engine, of which `joined` are other threads'; `read` sees the logits, `[rows, vocab]`.
    fn attempt<R>(
        &self,
        runner: &mut dyn Runner,
        kept: &mut PrefixPool,
        steps: &[SequenceStep<'_>],
        joined: &[Ticket],
        cancel: &CancelToken,
        read: impl FnOnce(&[f32]) -> R,
    ) -> Result<R, EngineError> {
        loop {
            let began = Instant::now();
            let error = match runner.step(steps, cancel) {
                Ok(logits) => {
                    let took = began.elapsed();
                    self.throttle.took(took);
                    let until = Instant::now() + (took / GATHER).min(LONGEST_GATHER);
                    self.queue().expect(steps.iter().map(|step| step.cache), joined, until);
                    return Ok(read(logits.values()));
                }
                Err(error) => error,
            };
            if !makes_room(&error, runner, kept) {
                return Err(error);
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn asked(&self) -> MutexGuard<'_, Option<Trim>> {
        self.trim.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what is to be given back, unless somebody works: who ends that comes here again.
    fn trim_if_idle(&self) {
        while self.asked().is_some() {
            let mut work = match self.work.try_lock() {
                Ok(work) => work,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            let Some(depth) = self.asked().take() else { return };
            let Work { runner, kept } = &mut *work;
            while kept.give_way(&mut **runner) {}
            runner.trim(depth);
        }
    }
}

/// Whether a pooled prefix was evicted for a step that failed for want of room.
fn makes_room(error: &EngineError, runner: &mut dyn Runner, kept: &mut PrefixPool) -> bool {
    matches!(error, EngineError::CacheFull { .. }) && kept.give_way(runner)
}

/// Leads one step, and passes the lead on when it is dropped, however the step ended.
struct Lead<'a> {
    scheduler: &'a Scheduler,
    /// Members of the step that have no answer yet.
    unanswered: Vec<u64>,
}

impl Lead<'_> {
    /// Runs the leader's own sequences, and with them what joins them.
    fn run<R>(
        mut self,
        own: &[SequenceStep<'_>],
        cancel: &CancelToken,
        read: impl FnOnce(Logits<'_>) -> R,
    ) -> Result<R, EngineError> {
        let scheduler = self.scheduler;
        let read = |values: &[f32]| read(Logits::new(scheduler.vocab, values));
        scheduler.turn(|runner, kept| {
            let joined = scheduler.queue().join(own, scheduler.limits);
            self.unanswered = joined.iter().map(|ticket| ticket.id).collect();
            match self.together(runner, kept, own, cancel, joined)? {
                Some(values) => Ok(read(&values)),
                None => {
                    scheduler.queue().run(cancel, &[]);
                    scheduler.attempt(runner, kept, own, &[], cancel, read)
                }
            }
        })
    }

    /// One step of the leader's sequences and of those that joined them, and the leader's logits, `[rows, vocab]`; none where
    /// nobody is left with whom to share it. The others have been answered then, each by itself if the engine refused the whole.
    fn together(
        &mut self,
        runner: &mut dyn Runner,
        kept: &mut PrefixPool,
        own: &[SequenceStep<'_>],
        cancel: &CancelToken,
        mut joined: Vec<Ticket>,
    ) -> Result<Option<Vec<f32>>, EngineError> {
        let scheduler = self.scheduler;
        let vocab = scheduler.vocab;
        let own_values = step_size(own.iter().cloned()).logits * vocab;
        while !joined.is_empty() {
            let steps: Vec<SequenceStep<'_>> = own.iter().cloned().chain(joined.iter().flat_map(Ticket::steps)).collect();
            let running = scheduler.queue().run(cancel, &joined);
            let made = scheduler.attempt(runner, kept, &steps, &joined, &running, |values| {
                let (own_values, mut rest) = values.split_at(own_values);
                for ticket in &joined {
                    let (values, others) = rest.split_at(ticket.logits() * vocab);
                    self.answer(ticket.id, Ok(values.to_vec()));
                    rest = others;
                }
                scheduler.answered.notify_all();
                own_values.to_vec()
            });
            match made {
                Ok(values) => return Ok(Some(values)),
                // All caches are as they were; whoever was not cancelled begins again.
                Err(EngineError::Cancelled) => {
                    let (gone, left) = joined.into_iter().partition(|ticket: &Ticket| ticket.cancel().is_cancelled());
                    let gone: Vec<Ticket> = gone;
                    gone.iter().for_each(|ticket| self.answer(ticket.id, Err(EngineError::Cancelled)));
                    joined = left;
                    if cancel.is_cancelled() {
                        self.unanswered.clear();
                        scheduler.queue().put_back(joined);
                        return Err(EngineError::Cancelled);
                    }
                }
                Err(_) => {
                    for ticket in joined.drain(..) {
                        let steps: Vec<SequenceStep<'_>> = ticket.steps().collect();
                        let made = scheduler.attempt(
                            runner,
                            kept,
                            &steps,
                            std::slice::from_ref(&ticket),
                            ticket.cancel(),
                            <[f32]>::to_vec,
                        );
                        self.answer(ticket.id, made);
                    }
                    scheduler.answered.notify_all();
                }
            }
        }
        Ok(None)
    }

    fn answer(&mut self, id: u64, answer: Result<Vec<f32>, EngineError>) {
        self.unanswered.retain(|other| *other != id);
        self.scheduler.queue().answer(id, answer);
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut queue = self.scheduler.queue();
        for id in self.unanswered.drain(..) {
            let source = "the step that it shared broke off".into();
            queue.answer(id, Err(EngineError::Backend { engine: self.scheduler.engine, node: None, source }));
        }
        queue.pass_on();
        drop(queue);
        self.scheduler.answered.notify_all();
    }
}
