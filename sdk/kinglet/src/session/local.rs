//! The folder's model in a conversation.

use crate::local_model::LocalModel;
use crate::prefix::{FixedPrefix, Remembering};
use crate::request::{Step, steps};
use crate::{Error, GenerationOptions, Message, PromptRequest, SavedPrefix};
use kinglet_generate::{CancelToken, Generation, RequestOptions, TextSession};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A conversation of tokens, begun when it is first needed.
pub(super) struct LocalSession {
    local: Arc<LocalModel>,
    /// Tools, template and variables of the conversation; its messages are the session's.
    frame: PromptRequest,
    cancel: CancelToken,
    begun: Option<Begun>,
    /// Whether whole prompts are saved in the prefix cache.
    save: bool,
}

/// A conversation that has begun.
pub(super) struct Begun {
    session: TextSession,
    fixed: Option<FixedPrefix>,
}

impl LocalSession {
    pub(super) fn new(local: Arc<LocalModel>, frame: PromptRequest, cancel: CancelToken) -> LocalSession {
        LocalSession { local, frame, cancel, begun: None, save: false }
    }

    /// Whether whole prompts are saved in the prefix cache.
    pub(super) fn save_prompts(&mut self, save: bool) {
        self.save = save;
    }

    /// The engine's name.
    pub(super) fn engine(&self) -> &'static str {
        self.local.engine_name()
    }

    /// Begins the conversation, whose leading system messages are fixed, unless it has begun.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a chat template, [`Error::BadModel`] for text files that cannot be used.
    pub(super) fn begin(&mut self, messages: &[Message]) -> Result<&mut Begun, Error> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => {
                let text = self.local.text()?;
                let (tokenizer, template) = (text.tokenizer.clone(), text.template()?.clone());
                let session = TextSession::new(&self.local.generator, tokenizer, template, self.frame.clone().into())?;
                let fixed = FixedPrefix::new(&self.local, || session.fixed_tokens(messages));
                Begun { session: session.cancelled_by(self.cancel.clone()), fixed }
            }
        };
        Ok(self.begun.insert(begun))
    }

    /// The steps of an answer to the conversation `messages`. The cancel flag is left as it is.
    pub(super) fn respond(
        &mut self,
        messages: &[Message],
        options: &GenerationOptions,
    ) -> Result<Box<dyn Iterator<Item = Result<Step, Error>> + '_>, Error> {
        let request = RequestOptions { lower_cancel: false, ..options.to_request(&self.local.sampling) };
        let (local, save) = (self.local.clone(), self.save);
        let Begun { session, fixed } = self.begin(messages)?;
        if save && local.prefixes.is_some() {
            let prompt = session.prompt(messages)?;
            *fixed = FixedPrefix::new(&local, || prompt);
        }
        let before = restore(&local, session, fixed.as_ref(), messages)?;
        let events = session.respond(messages, &request)?;
        Ok(Box::new(steps(
            Remembering { events, session: Generation::session, fixed: fixed.as_mut() },
            before,
            local.engine_name(),
        )))
    }

    /// Saves what the cache holds of the conversation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a prefix cache, [`Error::Storage`] where that cannot be written.
    pub(super) fn save(&self) -> Result<SavedPrefix, Error> {
        let prefixes = self.local.prefixes()?;
        let held = match &self.begun {
            Some(Begun { session, .. }) => session.session().prefix(usize::MAX)?,
            None => None,
        };
        prefixes.save_held(held.as_ref())
    }

    /// The same conversation, ended by another flag.
    pub(super) fn fork(&self, cancel: CancelToken) -> Result<LocalSession, Error> {
        let fork = |Begun { session, fixed }: &Begun| -> Result<Begun, Error> {
            Ok(Begun { session: session.fork()?.cancelled_by(cancel.clone()), fixed: fixed.clone() })
        };
        let begun = self.begun.as_ref().map(fork).transpose()?;
        Ok(LocalSession { local: self.local.clone(), frame: self.frame.clone(), cancel, begun, save: self.save })
    }

    /// Empties the cache.
    pub(super) fn reset(&mut self) -> Result<(), Error> {
        Ok(self.begun.as_mut().map_or(Ok(()), |begun| begun.session.reset_cache())?)
    }
}

/// Restores what is saved of the prompt of `messages`, where the session holds nothing of it yet, and of what all its prompts begin
/// with; gives the time that took.
fn restore(
    local: &LocalModel,
    session: &TextSession,
    fixed: Option<&FixedPrefix>,
    messages: &[Message],
) -> Result<Duration, Error> {
    let started = Instant::now();
    if local.prefixes.is_some() && session.session().cached_tokens().is_empty() {
        local.restore(&session.prompt(messages)?);
    }
    if let Some(fixed) = fixed {
        fixed.restore(session.session());
    }
    Ok(started.elapsed())
}
