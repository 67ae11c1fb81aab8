//! A host without a system: it answers by a script, well or badly, and remembers what it was asked.

use crate::{Availability, DownloadProgress, DownloadSink, SystemFailure, SystemFinish, SystemModel, SystemRequest, TextSink};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// One thing that the fake does when it is asked.
#[derive(Clone, Debug)]
pub enum Act {
    /// Pushes a piece, and ends its work where the answer is not read any more.
    Say(String),
    /// Pushes a piece, and goes on in any case.
    Insist(String),
    /// Does nothing for this long.
    Wait(Duration),
    /// Ends the answer.
    Finish(SystemFinish),
    /// Fails.
    Fail(SystemFailure),
    /// Panics.
    Panic,
    /// Pushes this piece for ever, until the answer is not read any more.
    Repeat(String),
    /// Tells how far the download is.
    Progress(DownloadProgress),
    /// The model is in this state from now on.
    Become(Availability),
}

/// A model that answers by scripts: each request takes the next one, and the last one stays.
#[derive(Clone, Default)]
pub struct FakeSystemModel(Arc<Mutex<Inner>>);

struct Inner {
    availability: Availability,
    availability_panics: bool,
    answers: VecDeque<Vec<Act>>,
    download: Vec<Act>,
    requests: Vec<SystemRequest>,
    prewarmed: Vec<Option<String>>,
    unheard: usize,
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            availability: Availability::Available,
            availability_panics: false,
            answers: VecDeque::new(),
            download: vec![],
            requests: vec![],
            prewarmed: vec![],
            unheard: 0,
        }
    }
}

impl FakeSystemModel {
    /// A model that is available and answers every request by this script; without an end in it, the answer is given up.
    pub fn answering(script: impl IntoIterator<Item = Act>) -> FakeSystemModel {
        FakeSystemModel::default().then(script)
    }

    /// A model that says these pieces and finishes.
    pub fn saying<'a>(pieces: impl IntoIterator<Item = &'a str>) -> FakeSystemModel {
        FakeSystemModel::answering(said(pieces))
    }

    /// The request after those that have a script is answered by this one.
    #[must_use]
    pub fn then(self, script: impl IntoIterator<Item = Act>) -> FakeSystemModel {
        self.with(|inner| inner.answers.push_back(script.into_iter().collect()));
        self
    }

    /// Script of the download; without an end, the download is given up, unless the model has become available.
    #[must_use]
    pub fn downloading(self, script: impl IntoIterator<Item = Act>) -> FakeSystemModel {
        self.with(|inner| inner.download = script.into_iter().collect());
        self
    }

    /// Sets the state of the model from now on.
    pub fn become_state(&self, availability: Availability) {
        self.with(|inner| inner.availability = availability);
    }

    /// Makes [`SystemModel::availability`] panic.
    pub fn panic_at_availability(&self) {
        self.with(|inner| inner.availability_panics = true);
    }

    /// The requests so far, oldest first.
    pub fn requests(&self) -> Vec<SystemRequest> {
        self.with(|inner| inner.requests.clone())
    }

    /// The instructions that it was prewarmed for.
    pub fn prewarmed(&self) -> Vec<Option<String>> {
        self.with(|inner| inner.prewarmed.clone())
    }

    /// Number of pieces that were pushed and not received.
    pub fn unheard(&self) -> usize {
        self.with(|inner| inner.unheard)
    }

    fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn push(&self, answer: &TextSink, piece: &str) -> bool {
        let heard = answer.push(piece.to_owned());
        self.with(|inner| inner.unheard += usize::from(!heard));
        heard
    }
}

/// A script that says pieces and finishes.
pub fn said<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Act> {
    let says = pieces.into_iter().map(|piece| Act::Say(piece.to_owned()));
    says.chain([Act::Finish(SystemFinish::Complete)]).collect()
}

impl SystemModel for FakeSystemModel {
    fn name(&self) -> String {
        "fake".into()
    }

    #[allow(clippy::panic, reason = "a host that panics is what some tests are about")]
    fn availability(&self) -> Availability {
        if self.with(|inner| inner.availability_panics) {
            panic!("availability");
        }
        self.with(|inner| inner.availability.clone())
    }

    #[allow(clippy::panic, reason = "a host that panics is what some tests are about")]
    fn respond(&self, request: SystemRequest, answer: Arc<TextSink>) {
        let script = self.with(|inner| {
            inner.requests.push(request);
            if inner.answers.len() > 1 { inner.answers.pop_front() } else { inner.answers.front().cloned() }
        });
        for act in script.unwrap_or_default() {
            match act {
                Act::Say(piece) if !self.push(&answer, &piece) => return,
                Act::Say(_) | Act::Progress(_) => {}
                Act::Insist(piece) => _ = self.push(&answer, &piece),
                Act::Repeat(piece) => while self.push(&answer, &piece) {},
                Act::Wait(time) => std::thread::sleep(time),
                Act::Finish(finish) => answer.finish(finish),
                Act::Fail(failure) => answer.fail(failure),
                Act::Panic => panic!("respond"),
                Act::Become(availability) => self.become_state(availability),
            }
        }
    }

    #[allow(clippy::panic, reason = "a host that panics is what some tests are about")]
    fn download(&self, download: Arc<DownloadSink>) {
        for act in self.with(|inner| inner.download.clone()) {
            match act {
                Act::Progress(progress) => _ = download.progress(progress),
                Act::Become(availability) => self.become_state(availability),
                Act::Wait(time) => std::thread::sleep(time),
                Act::Finish(_) => download.finish(),
                Act::Fail(failure) => download.fail(failure),
                Act::Panic => panic!("download"),
                Act::Say(_) | Act::Insist(_) | Act::Repeat(_) => {}
            }
        }
    }

    fn prewarm(&self, instructions: Option<String>) {
        self.with(|inner| inner.prewarmed.push(instructions));
    }
}
