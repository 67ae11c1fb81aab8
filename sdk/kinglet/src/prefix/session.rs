//! Sessions and the prefix cache: restored before an answer, saved after the first.

use super::LEAST_TOKENS;
use crate::local_model::LocalModel;
use kinglet_generate::{Event, GenerateError, Session, common_prefix};
use std::sync::Arc;

/// The prefix of all prompts of a session.
#[derive(Clone)]
pub(crate) struct FixedPrefix {
    local: Arc<LocalModel>,
    tokens: Vec<u32>,
    /// Nothing is left to be saved.
    settled: bool,
}

impl FixedPrefix {
    /// `None` where there is no prefix cache, or too little to be worth it.
    pub(crate) fn new(local: &Arc<LocalModel>, tokens: impl FnOnce() -> Vec<u32>) -> Option<FixedPrefix> {
        local.prefixes.as_ref()?;
        let tokens = tokens();
        (tokens.len() >= LEAST_TOKENS).then(|| FixedPrefix { local: local.clone(), tokens, settled: false })
    }

    /// Restores what is saved, unless the session holds it.
    pub(crate) fn restore(&self, session: &Session) {
        if self.held(session) < self.tokens.len() {
            self.local.restore(&self.tokens);
        }
    }

    /// Tokens of the prefix that the session's cache holds.
    fn held(&self, session: &Session) -> usize {
        common_prefix(&self.tokens, session.cached_tokens())
    }

    /// Adds what the session holds of the prefix to the prefix pool, and saves it.
    fn remember(&mut self, session: &Session) {
        let held = self.held(session);
        // A prompt that was cancelled half-way may go on later.
        if held < self.tokens.len() && held == session.cached_tokens().len() {
            return;
        }
        self.settled = true;
        let (generator, Some(prefixes)) = (&self.local.generator, &self.local.prefixes) else { return };
        if held < LEAST_TOKENS {
            return;
        }
        match session.prefix(held) {
            Ok(Some(prefix)) => {
                if generator.kept_tokens(&self.tokens) < held
                    && let Err(error) = generator.add_prefix(&prefix)
                {
                    log::info!("a prefix is not kept: {error}");
                }
                prefixes.try_to_save(&prefix);
            }
            Ok(None) => {}
            Err(error) => log::info!("a prefix is not saved: {error}"),
        }
    }
}

/// The events of an answer, after which the fixed prefix is pooled and saved.
pub(crate) struct Remembering<'a, I> {
    pub(crate) events: I,
    pub(crate) session: fn(&I) -> &Session,
    pub(crate) fixed: Option<&'a mut FixedPrefix>,
}

impl<I: Iterator<Item = Result<Event, GenerateError>>> Iterator for Remembering<'_, I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let event = self.events.next()?;
        if let (Ok(Event::Done(_)), Some(fixed)) = (&event, self.fixed.as_mut().filter(|fixed| !fixed.settled)) {
            fixed.remember((self.session)(&self.events));
        }
        Some(event)
    }
}
