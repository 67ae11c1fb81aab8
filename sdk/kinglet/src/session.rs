//! A conversation with a model.

use crate::prefix::{FixedBeginning, Remembering};
use crate::{CancelHandle, Error, GenerationOptions, Message, Model, PromptRequest, Response, SamplingOptions};
use kinglet_generate::TextSession;
use serde_json::{Map, Value};

/// Options of a [`Session`].
///
/// ```
/// let options = kinglet::SessionOptions::default();
/// assert!(options.instructions.is_none() && options.messages.is_empty());
/// assert_eq!(options.generation, kinglet::GenerationOptions::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    /// What the model is told to be: a system message before all others. With a [`PrefixCache`](crate::PrefixCache) it is read
    /// once, with the tools, and restored in later sessions.
    pub instructions: Option<String>,
    /// What was said before, oldest first.
    pub messages: Vec<Message>,
    /// Tools that the model may call, as JSON schemas.
    pub tools: Option<Vec<Value>>,
    /// Name of the chat template; `None` takes the model's default.
    pub template: Option<String>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// How answers are made, unless a request says otherwise.
    pub generation: GenerationOptions,
}

/// A conversation: each turn reads only what is new. After a failed, cancelled or dropped answer it is as before that turn.
pub struct Session {
    inner: TextSession,
    fixed: Option<FixedBeginning>,
    generation: GenerationOptions,
    recommended: SamplingOptions,
}

impl Model {
    /// Begins a conversation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a chat template, [`Error::BadModel`] for text files that cannot be used.
    pub fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        let text = self.text()?;
        let SessionOptions { instructions, messages, tools, template, variables, generation } = options;
        let system = instructions.map(|told| Message::new("system", told));
        let messages = system.into_iter().chain(messages).collect();
        let request = PromptRequest { messages, tools, template, variables, ..PromptRequest::default() };
        let inner = TextSession::new(&self.0.generator, text.tokenizer.clone(), text.template()?.clone(), request.into())?;
        let fixed = FixedBeginning::new(self, || inner.fixed_tokens());
        Ok(Session { inner, fixed, generation, recommended: self.recommended_sampling().clone() })
    }
}

impl Session {
    /// Answers what the user says, with the session's own options. Nothing is computed before the first pull.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a conversation that is too long or that the template refuses, and for options out of
    /// range; [`Error::Failed`] after a failure that only [`reset`](Self::reset) mends.
    pub fn respond(&mut self, text: impl Into<String>) -> Result<Response<'_>, Error> {
        let generation = self.generation.clone();
        self.respond_with(text, &generation)
    }

    /// Answers what the user says.
    ///
    /// # Errors
    /// As [`respond`](Self::respond).
    pub fn respond_with(&mut self, text: impl Into<String>, options: &GenerationOptions) -> Result<Response<'_>, Error> {
        let request = options.to_request(&self.recommended);
        let before = self.fixed.as_ref().map(|fixed| fixed.recall(self.inner.session())).unwrap_or_default();
        let events = self.inner.respond(text, &request)?;
        let session = kinglet_generate::Response::session;
        Ok(Response::new(Remembering { events, session, fixed: self.fixed.as_mut() }, before))
    }

    /// What was said so far: finished turns only.
    pub fn messages(&self) -> &[Message] {
        &self.inner.conversation().messages
    }

    /// Ends the answer in progress from another thread, within one token. Each answer lowers it when it begins.
    pub fn cancel_handle(&self) -> CancelHandle {
        CancelHandle(self.inner.cancel_handle())
    }

    /// A session with the same conversation, which shares memory with this one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for it.
    pub fn fork(&self) -> Result<Session, Error> {
        let inner = self.inner.fork()?;
        let Session { fixed, generation, recommended, .. } = self;
        Ok(Session { inner, fixed: fixed.clone(), generation: generation.clone(), recommended: recommended.clone() })
    }

    /// Forgets what was said, and keeps the instructions.
    ///
    /// # Errors
    /// [`Error::Failed`] where the engine cannot make an empty cache.
    pub fn reset(&mut self) -> Result<(), Error> {
        let messages = &mut self.inner.conversation_mut().messages;
        messages.truncate(messages.iter().take_while(|message| message.role() == Some("system")).count());
        Ok(self.inner.reset_cache()?)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("messages", &self.messages().len()).finish_non_exhaustive()
    }
}
