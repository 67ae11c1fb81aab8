//! The folder's model in a conversation.

use crate::own::Own;
use crate::prefix::{FixedBeginning, Remembering};
use crate::request::{Step, steps};
use crate::{Error, GenerationOptions, Message, PromptRequest};
use kinglet_generate::{CancelToken, RequestOptions, TextSession};
use std::sync::Arc;

/// A conversation of tokens, begun when it is first needed.
pub(super) struct OwnSession {
    own: Arc<Own>,
    /// Tools, template and variables of the conversation; its messages are the session's.
    frame: PromptRequest,
    cancel: CancelToken,
    begun: Option<(TextSession, Option<FixedBeginning>)>,
}

impl OwnSession {
    pub(super) fn new(own: Arc<Own>, frame: PromptRequest, cancel: CancelToken) -> OwnSession {
        OwnSession { own, frame, cancel, begun: None }
    }

    /// The engine's name.
    pub(super) fn engine(&self) -> &'static str {
        self.own.engine_name()
    }

    /// Begins the conversation with what was said, unless it has begun.
    pub(super) fn begin(&mut self, messages: &[Message]) -> Result<(), Error> {
        if self.begun.is_none() {
            let text = self.own.text()?;
            let request = PromptRequest { messages: messages.to_vec(), ..self.frame.clone() };
            let session =
                TextSession::new(&self.own.generator, text.tokenizer.clone(), text.template()?.clone(), request.into())?;
            let session = session.cancelled_by(self.cancel.clone());
            let fixed = FixedBeginning::new(&self.own, || session.fixed_tokens());
            self.begun = Some((session, fixed));
        }
        Ok(())
    }

    /// The steps of an answer to `asked` after `messages`. The cancel flag is left as it is.
    pub(super) fn respond(
        &mut self,
        messages: &[Message],
        asked: &Message,
        options: &GenerationOptions,
    ) -> Result<Box<dyn Iterator<Item = Result<Step, Error>> + '_>, Error> {
        self.begin(messages)?;
        let request = RequestOptions { lower_cancel: false, ..options.to_request(&self.own.sampling) };
        let engine = self.own.engine_name();
        let Some((session, fixed)) = &mut self.begun else { return Ok(Box::new(std::iter::empty())) };
        // Turns that another engine answered are read like any others.
        session.conversation_mut().messages = messages.to_vec();
        let before = fixed.as_ref().map(|fixed| fixed.recall(session.session())).unwrap_or_default();
        let events = session.respond_to(vec![asked.clone()], &request)?;
        let session = kinglet_generate::Response::session;
        Ok(Box::new(steps(Remembering { events, session, fixed: fixed.as_mut() }, before, engine)))
    }

    /// The same conversation, ended by another flag.
    pub(super) fn fork(&self, cancel: CancelToken) -> Result<OwnSession, Error> {
        let begun = self.begun.as_ref();
        let begun = begun.map(|(session, fixed)| Ok((session.fork()?.cancelled_by(cancel.clone()), fixed.clone())));
        let begun = begun.transpose().map_err(|error: kinglet_generate::GenerateError| Error::from(error))?;
        Ok(OwnSession { own: self.own.clone(), frame: self.frame.clone(), cancel, begun })
    }

    /// Empties the cache.
    pub(super) fn reset(&mut self) -> Result<(), Error> {
        Ok(self.begun.as_mut().map_or(Ok(()), |(session, _)| session.reset_cache())?)
    }
}
