//! One model, 32 threads, everything at once: answers, cancelling, forks, dropped answers, replies, pauses, heat and memory
//! pressure. Two seconds of it are a test; `cargo xtask hammer` runs it under ThreadSanitizer for as long as one likes.

#![allow(clippy::print_stdout, reason = "the number of rounds belongs in the log")]

use kinglet::{
    CancelHandle, Conversation, Engine, Error, GenerationOptions, Kinglet, MemoryPressure, Model, SessionOptions,
    SmartReplyOptions, ThermalState, Threads,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const THREADS: usize = 32;
/// Seconds that it takes, from the variable or by default.
const SECONDS: (&str, u64) = ("KINGLET_HAMMER_SECONDS", 2);

/// Workload of one thread.
struct Share<'a> {
    model: &'a Model,
    over: &'a AtomicBool,
    done: &'a AtomicUsize,
}

impl Share<'_> {
    fn run(&self, thread: usize) {
        let mut round = thread;
        while !self.over.load(Ordering::Relaxed) {
            let outcome = match round % 8 {
                0..=2 => self.converse(round),
                3 => self.cancel(round),
                4 => self.fork(),
                5 => self.leave(),
                6 => self.replies(),
                _ => self.device(round),
            };
            match outcome {
                Ok(()) => _ = self.done.fetch_add(1, Ordering::Relaxed),
                // Room for sequences is finite, and 32 threads may fill it.
                Err(Error::OutOfMemory { .. } | Error::Cancelled | Error::Busy(_)) => {}
                Err(error) => panic!("thread {thread}, round {round}: {error}"),
            }
            round += THREADS / 4 + 1;
        }
    }

    fn options(tokens: usize) -> GenerationOptions {
        GenerationOptions { max_new_tokens: tokens, ..GenerationOptions::default() }
    }

    fn converse(&self, round: usize) -> Result<(), Error> {
        let mut session = self.model.session(SessionOptions::default())?;
        for text in ["Are you open today?", "And tomorrow?"] {
            session.respond_with(text, &Self::options(1 + round % 7))?.finish()?;
        }
        Ok(())
    }

    fn cancel(&self, round: usize) -> Result<(), Error> {
        let mut session = self.model.session(SessionOptions::default())?;
        let cancel = session.cancel_handle();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_micros(37 * (round % 50) as u64));
                cancel.cancel();
            });
            session.respond_with("Tell me everything.", &Self::options(40)).and_then(|answer| answer.finish()).map(drop)
        })
    }

    fn fork(&self) -> Result<(), Error> {
        let mut session = self.model.session(SessionOptions::default())?;
        session.respond_with("A table for two, please.", &Self::options(3))?.finish()?;
        let mut fork = session.fork()?;
        drop(session);
        fork.respond_with("At eight.", &Self::options(3))?.finish().map(drop)
    }

    /// An answer that nobody listens to any longer.
    fn leave(&self) -> Result<(), Error> {
        let mut session = self.model.session(SessionOptions::default())?;
        session.respond_with("What is on tonight?", &Self::options(20))?.next().transpose().map(drop)
    }

    fn replies(&self) -> Result<(), Error> {
        let conversation = Conversation::single("Is the table by the window free?");
        self.model.smart_reply_until(&conversation, SmartReplyOptions::default(), &CancelHandle::default()).map(drop)
    }

    fn device(&self, round: usize) -> Result<(), Error> {
        match round % 5 {
            0 => self.model.memory_pressure(MemoryPressure::Moderate),
            1 => self.model.memory_pressure(MemoryPressure::Critical),
            2 => {
                self.model.pause();
                std::thread::sleep(Duration::from_millis(1));
                self.model.resume();
            }
            3 => self.model.thermal(ThermalState::Fair),
            _ => self.model.thermal(ThermalState::Nominal),
        }
        Ok(())
    }
}

#[test]
fn everything_at_once_ends_and_the_model_answers_as_before() {
    let kinglet = Kinglet::builder().engine(Engine::Tract).threads(Threads::Exactly(4)).context(256).max_sequences(16);
    let model = kinglet.build().and_then(|kinglet| kinglet.open("goldcrest")).unwrap();
    let ask = || {
        let mut session = model.session(SessionOptions::default())?;
        session.respond_with("Are you open today?", &Share::options(8))?.finish()
    };
    let before = ask().unwrap().text;
    let seconds = std::env::var(SECONDS.0).ok().and_then(|text| text.parse().ok()).unwrap_or(SECONDS.1);
    let (over, done, began) = (AtomicBool::new(false), AtomicUsize::new(0), Instant::now());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let share = Share { model: &model, over: &over, done: &done };
            scope.spawn(move || share.run(thread));
        }
        std::thread::sleep(Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
    });
    println!("{} rounds on {THREADS} threads in {:.0?}", done.load(Ordering::Relaxed), began.elapsed());
    assert!(done.load(Ordering::Relaxed) > 0, "nothing was done");
    assert_eq!(ask().unwrap().text, before);
}
