//! Who waits for a step, who leads the next one, and what runs together.

use kinglet_engine::{CacheId, CancelToken, EngineError, LogitsWanted, SequenceStep, TokenId};
use std::collections::{HashMap, VecDeque};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// Upper limits of a batched step of several threads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Tokens.
    pub(super) rows: usize,
    /// Rows of logits.
    pub(super) logits: usize,
}

/// One sequence of a step that waits.
#[derive(Debug)]
struct OwnedStep {
    cache: CacheId,
    tokens: Vec<TokenId>,
    logits: LogitsWanted,
}

/// A step that waits, or that another thread runs.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) id: u64,
    steps: Vec<OwnedStep>,
    cancel: CancelToken,
    /// The thread that waits for it.
    thread: ThreadId,
}

impl Ticket {
    pub(super) fn steps(&self) -> impl Iterator<Item = SequenceStep<'_>> {
        self.steps.iter().map(|step| SequenceStep { cache: step.cache, tokens: &step.tokens, logits: step.logits.clone() })
    }

    pub(super) fn cancel(&self) -> &CancelToken {
        &self.cancel
    }

    /// Rows of logits that it gives.
    pub(super) fn logits(&self) -> usize {
        self.size().logits
    }

    fn size(&self) -> Size {
        step_size(self.steps())
    }
}

/// How large a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    sequences: usize,
    rows: usize,
    /// Rows of logits.
    pub(super) logits: usize,
}

impl Size {
    /// Whether each of its sequences has one token, as where answers are decoded.
    fn is_decode(self) -> bool {
        self.rows == self.sequences
    }
}

pub(super) fn step_size<'a>(steps: impl Iterator<Item = SequenceStep<'a>>) -> Size {
    steps.fold(Size { sequences: 0, rows: 0, logits: 0 }, |size, step| Size {
        sequences: size.sequences + 1,
        rows: size.rows + step.tokens.len(),
        logits: size.logits + step.logits.rows(step.tokens.len()),
    })
}

/// State of a queued step.
#[derive(Debug)]
pub(super) enum Fate {
    /// Waiting or running.
    Pending,
    /// Its thread leads the next step.
    Leads,
    /// Its logits, `[rows, vocab]`, or why there are none.
    Answered(Result<Vec<f32>, EngineError>),
}

/// The batch in progress: cancelling any member raises `cancel` for all of it.
#[derive(Debug)]
struct Running {
    cancel: CancelToken,
    members: Vec<CancelToken>,
}

/// Steps of all threads. The one that leads is not among those that wait.
#[derive(Debug, Default)]
pub(super) struct Queue {
    next_id: u64,
    leader: Option<u64>,
    /// In the order in which they came.
    waiting: VecDeque<Ticket>,
    answers: HashMap<u64, Result<Vec<f32>, EngineError>>,
    running: Option<Running>,
    /// Caches of the last step that may be back soon, with the threads that had them in it, and until when that is worth waiting for.
    expected: HashMap<CacheId, ThreadId>,
    until: Option<Instant>,
}

impl Queue {
    /// Enters a step. It leads where nobody does, and waits otherwise.
    pub(super) fn enter(&mut self, steps: &[SequenceStep<'_>], cancel: &CancelToken) -> (u64, bool) {
        let id = self.next_id;
        self.next_id += 1;
        // A thread that comes back with some of its sequences, such as the candidates of a prompt, does not come with the others besides.
        let thread = thread::current().id();
        self.expected.retain(|cache, of| *of != thread && steps.iter().all(|step| step.cache != *cache));
        if self.leader.is_none() {
            self.leader = Some(id);
            return (id, true);
        }
        let owned =
            |step: &SequenceStep<'_>| OwnedStep { cache: step.cache, tokens: step.tokens.to_vec(), logits: step.logits.clone() };
        self.waiting.push_back(Ticket { id, steps: steps.iter().map(owned).collect(), cancel: cancel.clone(), thread });
        (id, false)
    }

    pub(super) fn fate(&mut self, id: u64) -> Fate {
        match self.answers.remove(&id) {
            Some(answer) => Fate::Answered(answer),
            None if self.leader == Some(id) => Fate::Leads,
            None => Fate::Pending,
        }
    }

    /// Takes a step back that waits; false where it runs.
    pub(super) fn leave(&mut self, id: u64) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|ticket| ticket.id != id);
        self.waiting.len() < before
    }

    /// How long the leader may still wait for sequences of the last step.
    pub(super) fn worth_waiting(&self) -> Option<Duration> {
        let until = self.until.filter(|_| !self.expected.is_empty())?;
        Some(until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// The steps that run together with the leader's: those of one token a sequence first, then others, each in the order in which
    /// they came.
    pub(super) fn join(&mut self, own: &[SequenceStep<'_>], limits: Limits) -> Vec<Ticket> {
        let mut all = step_size(own.iter().cloned());
        let mut joined = vec![];
        for decode in [true, false] {
            let mut at = 0;
            while let Some(ticket) = self.waiting.get(at) {
                let size = ticket.size();
                let (rows, logits) = (all.rows + size.rows, all.logits + size.logits);
                if size.is_decode() == decode && rows <= limits.rows && logits <= limits.logits {
                    (all.rows, all.logits) = (rows, logits);
                    joined.extend(self.waiting.remove(at));
                } else {
                    at += 1;
                }
            }
        }
        joined
    }

    /// Names what runs from now on, and gives the flag that ends it.
    pub(super) fn run(&mut self, own: &CancelToken, joined: &[Ticket]) -> CancelToken {
        if joined.is_empty() {
            self.running = None;
            return own.clone();
        }
        let cancel = CancelToken::default();
        let members = joined.iter().map(|ticket| ticket.cancel.clone()).chain([own.clone()]).collect();
        self.running = Some(Running { cancel: cancel.clone(), members });
        cancel
    }

    /// Ends what runs where one of its members was cancelled.
    pub(super) fn stop_if_cancelled(&self) {
        if let Some(running) = self.running.as_ref().filter(|running| running.members.iter().any(CancelToken::is_cancelled)) {
            running.cancel.cancel();
        }
    }

    pub(super) fn answer(&mut self, id: u64, answer: Result<Vec<f32>, EngineError>) {
        self.answers.insert(id, answer);
    }

    /// Steps that did not run wait again, before all others.
    pub(super) fn put_back(&mut self, tickets: Vec<Ticket>) {
        tickets.into_iter().rev().for_each(|ticket| self.waiting.push_front(ticket));
    }

    /// These sequences of this thread have run, and those of `joined`; they are expected back until then.
    pub(super) fn expect(&mut self, own: impl Iterator<Item = CacheId>, joined: &[Ticket], until: Instant) {
        let thread = thread::current().id();
        self.expected = own.map(|cache| (cache, thread)).collect();
        self.expected.extend(joined.iter().flat_map(|ticket| ticket.steps.iter().map(|step| (step.cache, ticket.thread))));
        self.until = Some(until);
    }

    /// A cache is gone, and with it its sequence.
    pub(super) fn forget(&mut self, cache: CacheId) {
        self.expected.remove(&cache);
    }

    /// The lead goes to whoever waits longest.
    pub(super) fn pass_on(&mut self) {
        self.running = None;
        self.leader = self.waiting.pop_front().map(|ticket| ticket.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(cache: u64, tokens: &[TokenId]) -> SequenceStep<'_> {
        SequenceStep { cache: CacheId(cache), tokens, logits: LogitsWanted::Last }
    }

    fn ids(tickets: &[Ticket]) -> Vec<u64> {
        tickets.iter().map(|ticket| ticket.id).collect()
    }

    #[test]
    fn decoding_joins_before_prompts_and_nobody_is_passed_over_for_long() {
        let (mut queue, cancel) = (Queue::default(), CancelToken::default());
        let limits = Limits { rows: 6, logits: 3 };
        assert_eq!(queue.enter(&[step(0, &[1])], &cancel), (0, true));
        for (cache, tokens) in [(1, &[1, 2, 3, 4][..]), (2, &[1]), (3, &[1, 2]), (4, &[1])] {
            assert!(!queue.enter(&[step(cache, tokens)], &cancel).1);
        }
        assert_eq!(ids(&queue.join(&[step(0, &[1])], limits)), [2, 4], "three rows of logits");
        queue.pass_on();
        assert!(matches!(queue.fate(1), Fate::Leads), "the one that came first");
        assert_eq!(ids(&queue.join(&[step(1, &[1, 2, 3, 4])], limits)), [3], "six rows");
        queue.pass_on();
        assert_eq!(queue.enter(&[step(0, &[1])], &cancel), (5, true), "nobody waits");
    }

    #[test]
    fn what_was_left_or_answered_is_gone() {
        let (mut queue, cancel) = (Queue::default(), CancelToken::default());
        queue.enter(&[step(0, &[1])], &cancel);
        queue.enter(&[step(1, &[1])], &cancel);
        queue.enter(&[step(2, &[1])], &cancel);
        assert!(queue.leave(1) && !queue.leave(1));
        queue.answer(2, Ok(vec![0.5]));
        assert!(matches!(queue.fate(2), Fate::Answered(Ok(values)) if values == [0.5]));
        assert!(matches!(queue.fate(2), Fate::Pending), "an answer is given once");
    }

    #[test]
    fn sequences_of_the_last_step_are_waited_for_until_they_are_back() {
        let (mut queue, cancel) = (Queue::default(), CancelToken::default());
        assert_eq!(queue.worth_waiting(), None);
        let later = Instant::now() + Duration::from_secs(60);
        let of_another = |cache: u64| {
            let mut other = Queue::default();
            other.enter(&[step(9, &[1])], &cancel);
            thread::scope(|scope| {
                scope.spawn(|| other.enter(&[step(cache, &[1])], &cancel)).join().unwrap();
            });
            other.join(&[], Limits { rows: 9, logits: 9 })
        };
        let joined: Vec<Ticket> = [1, 2].into_iter().flat_map(of_another).collect();
        queue.expect([CacheId(0)].into_iter(), &joined, later);
        queue.enter(&[step(7, &[1])], &cancel);
        assert_eq!(queue.expected.len(), 2, "this thread is here, with whatever sequence");
        assert!(queue.worth_waiting().is_some());
        queue.enter(&[step(1, &[1])], &cancel);
        queue.forget(CacheId(2));
        assert_eq!(queue.worth_waiting(), None);
        queue.expect([].into_iter(), &joined, Instant::now());
        assert_eq!(queue.worth_waiting(), None, "it took too long");
    }

    #[test]
    fn whoever_is_cancelled_ends_what_runs() {
        let (mut queue, own, other) = (Queue::default(), CancelToken::default(), CancelToken::default());
        queue.enter(&[step(0, &[1])], &own);
        queue.enter(&[step(1, &[1])], &other);
        let joined = queue.join(&[step(0, &[1])], Limits { rows: 9, logits: 9 });
        let running = queue.run(&own, &joined);
        queue.stop_if_cancelled();
        assert!(!running.is_cancelled());
        other.cancel();
        queue.stop_if_cancelled();
        assert!(running.is_cancelled());
        assert!(!queue.run(&own, &[]).is_cancelled(), "alone, it has its own flag");
    }
}
