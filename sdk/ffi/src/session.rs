//! A conversation.

use crate::KingletError;
use crate::error::{answering, closed};
use crate::generation::{Generation, Piece, Shared};
use crate::options::{ChatMessage, GenerationOptions};
use kinglet::{CancelHandle, Event, Transcript};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// A conversation: each turn reads only what is new. After a failed or cancelled answer it is as before that turn.
#[derive(Debug, uniffi::Object)]
pub struct Session {
    place: Arc<Place>,
}

/// Shared slot of the session: idle here, lent to the thread that answers, or closed.
#[derive(Debug)]
pub(crate) struct Place {
    slot: Mutex<Slot>,
    cancel: CancelHandle,
    transcript: Transcript,
}

#[derive(Debug)]
enum Slot {
    Idle(Box<kinglet::Session>),
    Answering(Weak<Shared>),
    Closed,
}

impl Place {
    fn lock(&self) -> MutexGuard<'_, Slot> {
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lends the session to an answer.
    fn lend(&self, shared: &Arc<Shared>) -> Result<Box<kinglet::Session>, KingletError> {
        let mut slot = self.lock();
        match std::mem::replace(&mut *slot, Slot::Answering(Arc::downgrade(shared))) {
            Slot::Idle(session) => Ok(session),
            other => {
                let error = if matches!(other, Slot::Closed) { closed("session") } else { answering() };
                *slot = other;
                Err(error)
            }
        }
    }

    /// Takes it back, unless it was closed meanwhile.
    fn give_back(&self, session: Box<kinglet::Session>) {
        let mut slot = self.lock();
        if matches!(*slot, Slot::Answering(_)) {
            *slot = Slot::Idle(session);
        }
    }

    /// Closes the session for good; an answer in progress ends.
    pub(crate) fn close(&self) {
        let before = std::mem::replace(&mut *self.lock(), Slot::Closed);
        if let Slot::Answering(shared) = before
            && let Some(shared) = shared.upgrade()
        {
            shared.cancel();
        }
    }
}

impl Session {
    pub(crate) fn new(session: kinglet::Session) -> Session {
        let (cancel, transcript) = (session.cancel_handle(), session.transcript());
        Session { place: Arc::new(Place { slot: Mutex::new(Slot::Idle(Box::new(session))), cancel, transcript }) }
    }

    pub(crate) fn place(&self) -> Weak<Place> {
        Arc::downgrade(&self.place)
    }

    fn with_idle<T>(&self, use_it: impl FnOnce(&mut kinglet::Session) -> Result<T, KingletError>) -> Result<T, KingletError> {
        match &mut *self.place.lock() {
            Slot::Idle(session) => use_it(session),
            Slot::Answering(_) => Err(answering()),
            Slot::Closed => Err(closed("session")),
        }
    }
}

#[uniffi::export]
impl Session {
    /// Answers what the user says. The answer is computed at once, by a thread of its own.
    ///
    /// # Errors
    /// [`KingletError::Busy`], [`KingletError::Closed`], and [`KingletError::Failed`] where the system has no further thread. What
    /// is wrong with the text or the options is what the first pull fails with.
    pub fn respond(&self, text: String, options: GenerationOptions) -> Result<Arc<Generation>, KingletError> {
        let shared = Arc::new(Shared::new(self.place.cancel.clone()));
        let session = self.place.lend(&shared)?;
        let (place, answer, options) = (self.place.clone(), shared.clone(), options.into());
        // A closure that is not run is dropped with the session in it: it goes through a slot that outlives a failed start.
        let lent = Arc::new(Mutex::new(Some(session)));
        let taken = lent.clone();
        let work = move || {
            if let Some(session) = taken.lock().unwrap_or_else(PoisonError::into_inner).take() {
                run(&place, session, text, &options, &answer);
            }
        };
        if let Err(error) = std::thread::Builder::new().name("kinglet-answer".into()).spawn(work) {
            if let Some(session) = lent.lock().unwrap_or_else(PoisonError::into_inner).take() {
                self.place.give_back(session);
            }
            return Err(KingletError::Failed(format!("no thread for the answer: {error}; end other work and try again")));
        }
        Ok(Arc::new(Generation::new(shared)))
    }

    /// The transcript: messages of completed turns only. An answer in progress is not part of it, and does not block the call.
    ///
    /// # Errors
    /// [`KingletError::Closed`].
    pub fn messages(&self) -> Result<Vec<ChatMessage>, KingletError> {
        match *self.place.lock() {
            Slot::Closed => Err(closed("session")),
            _ => Ok(self.place.transcript.messages().iter().map(ChatMessage::from).collect()),
        }
    }

    /// Whether an answer is in progress.
    pub fn is_responding(&self) -> bool {
        matches!(*self.place.lock(), Slot::Answering(_))
    }

    /// Forgets what was said, and keeps the instructions.
    ///
    /// # Errors
    /// [`KingletError::Busy`], [`KingletError::Closed`], [`KingletError::Failed`].
    pub fn reset(&self) -> Result<(), KingletError> {
        self.with_idle(|session| Ok(session.reset()?))
    }

    /// Saves what was read and said so far in the folder that [`OpenOptions`](crate::OpenOptions) names as `prefix_cache`: a session
    /// that begins with the same instructions and messages, also after a restart, reads only what is new. Gives the tokens it has.
    ///
    /// # Errors
    /// [`KingletError::Busy`], [`KingletError::Closed`], [`KingletError::Unsupported`] without that folder,
    /// [`KingletError::Storage`] where it takes nothing.
    pub fn save(&self) -> Result<u64, KingletError> {
        self.with_idle(|session| Ok(session.save()?.tokens as u64))
    }

    /// A session with the same conversation, which shares memory with this one.
    ///
    /// # Errors
    /// [`KingletError::Busy`], [`KingletError::Closed`], [`KingletError::OutOfMemory`].
    pub fn fork(&self) -> Result<Arc<Session>, KingletError> {
        self.with_idle(|session| Ok(Arc::new(Session::new(session.fork()?))))
    }

    /// Closes it: ends the answer in progress within a token, and frees the conversation's memory. Ending it twice does nothing more.
    pub fn end(&self) {
        self.place.close();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.place.close();
    }
}

/// Computes an answer, and gives the session back before the last piece is there: who has read it may ask again.
fn run(place: &Place, mut session: Box<kinglet::Session>, text: String, options: &kinglet::GenerationOptions, answer: &Shared) {
    let last = catch_unwind(AssertUnwindSafe(|| compute(&mut session, text, options, answer)));
    let last = match last {
        Ok(last) => {
            place.give_back(session);
            last
        }
        Err(_) => {
            place.close();
            Some(Err(KingletError::Failed("the engine failed in the middle of an answer; open the session again".into())))
        }
    };
    if let Some(last) = last {
        answer.pieces.put(last);
    }
    answer.pieces.end();
}

/// Puts all pieces but the last into the queue.
fn compute(
    session: &mut kinglet::Session,
    text: String,
    options: &kinglet::GenerationOptions,
    answer: &Shared,
) -> Option<Result<Piece, KingletError>> {
    let response = match session.respond_with(text, options) {
        Ok(response) => response,
        Err(error) => return Some(Err(error.into())),
    };
    // The session has lowered the handle; who cancelled before that is heard now.
    if answer.is_cancelled() {
        answer.cancel();
    }
    for event in response {
        match event {
            Ok(Event::Text(text)) => answer.pieces.put(Ok(Piece::Text { text })),
            Ok(Event::Done(usage)) => return Some(Ok(Piece::Done { usage: usage.into() })),
            Err(error) => return Some(Err(error.into())),
        }
    }
    None
}
