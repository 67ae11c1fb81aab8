//! The messages of a conversation: one owner, any number of readers.

use crate::Message;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Messages of a conversation, completed turns only. Clones read the same conversation from any thread, also while an answer is in
/// progress.
#[derive(Clone, Debug, Default)]
pub struct Transcript(Arc<Mutex<Vec<Message>>>);

impl Transcript {
    pub(super) fn new(messages: Vec<Message>) -> Transcript {
        Transcript(Arc::new(Mutex::new(messages)))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Message>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The messages so far, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.lock().clone()
    }

    /// Adds a finished turn.
    pub(super) fn add(&self, asked: Message, answer: Message) {
        self.lock().extend([asked, answer]);
    }

    /// Forgets everything but the leading system messages.
    pub(super) fn reset(&self) {
        let mut messages = self.lock();
        let told = messages.iter().take_while(|message| message.role() == Some("system")).count();
        messages.truncate(told);
    }
}
