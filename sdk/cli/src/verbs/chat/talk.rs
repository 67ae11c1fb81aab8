//! A conversation that may be told something else, emptied, and cut where it outgrows the context.

use crate::failure::Failure;
use kinglet::{Message, Model, PromptRequest, Session, SessionOptions};

/// The part of the context that the beginning of an answer finds free.
const FREE: usize = 8;

/// A session with what it takes to begin it anew.
pub(super) struct Talk {
    model: Model,
    options: SessionOptions,
    session: Session,
}

impl Talk {
    /// Begins a conversation.
    ///
    /// # Errors
    /// Errors of [`Model::session`].
    pub(super) fn new(model: Model, options: SessionOptions) -> Result<Talk, Failure> {
        let session = model.session(options.clone())?;
        Ok(Talk { model, options, session })
    }

    pub(super) fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Positions that the conversation may hold.
    pub(super) fn context(&self) -> usize {
        self.model.context()
    }

    /// Instructions to the model: the system message.
    pub(super) fn instructions(&self) -> Option<&str> {
        self.options.instructions.as_deref()
    }

    /// Tells the model what to be from now on; what was said stays.
    pub(super) fn instruct(&mut self, text: &str) -> Result<(), Failure> {
        let options = SessionOptions { instructions: Some(text.to_owned()), ..self.options.clone() };
        self.session = self.model.session(SessionOptions { messages: self.said(), ..options.clone() })?;
        self.options = options;
        Ok(())
    }

    /// Forgets what was said.
    pub(super) fn clear(&mut self) -> Result<(), Failure> {
        Ok(self.session.reset()?)
    }

    /// Leaves the oldest messages out where the conversation, with `text` to be said, outgrows the context: until half of it is free, so
    /// that this need not be done again at the next message.
    pub(super) fn make_room(&mut self, text: &str) -> Result<(), Failure> {
        let (context, said) = (self.context(), self.said());
        // A message that does not fit alone is refused where it is said.
        if said.is_empty() || self.tokens(&said, text)? <= context - context / FREE {
            return Ok(());
        }
        let mut left_out = 0;
        while left_out < said.len() && (left_out == 0 || self.tokens(&said[left_out..], text)? > context / 2) {
            left_out += 1;
            left_out += said[left_out..].iter().take_while(|message| message.role() != Some("user")).count();
        }
        log::warn!(
            "the conversation outgrows the context of {context} tokens: its {left_out} oldest messages are left out; --ctx gives more \
             room, up to what the model was made for"
        );
        let messages = said[left_out..].to_vec();
        self.session = self.model.session(SessionOptions { messages, ..self.options.clone() })?;
        Ok(())
    }

    /// Messages without what the model is told.
    fn said(&self) -> Vec<Message> {
        self.session.messages().iter().filter(|message| message.role() != Some("system")).cloned().collect()
    }

    /// Tokens of a conversation with one more message.
    fn tokens(&self, said: &[Message], text: &str) -> Result<usize, Failure> {
        let told = self.options.instructions.iter().map(|told| Message::new("system", told.as_str()));
        let messages = told.chain(said.iter().cloned()).chain([Message::new("user", text)]).collect();
        Ok(self.model.render_tokens(&PromptRequest { messages, ..PromptRequest::default() })?.len())
    }
}
