//! A conversation with a model.

mod local;
mod transcript;
mod turn;

pub use transcript::Transcript;

use crate::fallback::{Backend, Order, stands_in};
use crate::system::System;
use crate::{CancelHandle, EngineRefusal, Error, GenerationOptions, Message, Model, PromptRequest, Response, SavedPrefix};
use kinglet_generate::{GenerateError, OptionError};
use local::LocalSession;
use serde_json::{Map, Value};
use turn::{Asked, Responder, Turn};

/// Options of a [`Session`].
///
/// ```
/// let options = kinglet::SessionOptions::default();
/// assert!(options.instructions.is_none() && options.messages.is_empty());
/// assert_eq!(options.generation, kinglet::GenerationOptions::default());
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    /// Instructions: a system message before all others. With a [`PrefixCache`](crate::PrefixCache) it is read
    /// once, with the tools, and restored in later sessions.
    pub instructions: Option<String>,
    /// Earlier messages of the conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools that the model may call, as JSON schemas. The system's model takes none.
    pub tools: Option<Vec<Value>>,
    /// Name of the chat template; `None` takes the model's default.
    pub template: Option<String>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// How answers are made, unless a request says otherwise.
    pub generation: GenerationOptions,
}

/// A conversation: each turn reads only what is new. After a failed, cancelled or dropped answer it is as before that turn.
///
/// Where the system's model and a folder's may both answer, each turn is answered by one of them, as the
/// [policy](crate::SystemPolicy) says, with all that was said before, whoever said it.
pub struct Session {
    transcript: Transcript,
    local: Option<LocalSession>,
    system: Option<System>,
    order: Order,
    /// Why the folder's model is not there, where it was asked for.
    absent: Option<EngineRefusal>,
    tools: bool,
    generation: GenerationOptions,
    cancel: CancelHandle,
}

impl Model {
    /// Begins a conversation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a chat template, [`Error::BadModel`] for text files that cannot be used. Where
    /// the system's model may answer, it does so instead.
    pub fn session(&self, options: SessionOptions) -> Result<Session, Error> {
        let SessionOptions { instructions, messages, tools, template, variables, generation } = options;
        let system = instructions.map(|told| Message::new("system", told));
        let messages: Vec<Message> = system.into_iter().chain(messages).collect();
        let (with_tools, cancel) = (tools.is_some(), CancelHandle::default());
        let frame = PromptRequest { tools, template, variables, ..PromptRequest::default() };
        let local = self.local().ok().map(|local| LocalSession::new(local.clone(), frame, cancel.0.clone()));
        let mut session = Session {
            transcript: Transcript::new(messages),
            local,
            system: self.system().cloned(),
            order: self.order(),
            absent: self.absent().cloned(),
            tools: with_tools,
            generation,
            cancel,
        };
        session.begin_local()?;
        Ok(session)
    }
}

impl Session {
    /// Begins the conversation of the folder's model where that is asked first. Where it cannot hold one, the system's stands in.
    fn begin_local(&mut self) -> Result<(), Error> {
        let Some(local) = self.local.as_mut().filter(|_| self.order.first == Backend::Local) else { return Ok(()) };
        let Err(error) = local.begin(&self.transcript.messages()) else { return Ok(()) };
        if !self.system.as_ref().is_some_and(|system| stands_in(system, &error)) {
            return Err(error);
        }
        self.absent = Some(EngineRefusal { engine: local.engine().to_owned(), reason: error.to_string() });
        self.local = None;
        self.order = Order { first: Backend::System, spare: None };
        Ok(())
    }

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
        check(options)?;
        self.cancel.reset();
        let mut messages = self.transcript.messages();
        messages.push(Message::new("user", text));
        let asked = Asked { messages, options: options.clone(), tools: self.tools, cancel: self.cancel.0.clone() };
        let (mut local, mut system) = (self.local.as_mut().map(Responder::Local), self.system.as_ref().map(Responder::System));
        let mut responder = |backend| match backend {
            Backend::Local => local.take(),
            Backend::System => system.take(),
        };
        let (first, spare) = (responder(self.order.first), self.order.spare.and_then(responder));
        let Some(first) = first else { return Err(Error::unsupported("there is no model to answer; open one")) };
        let refused = self.absent.iter().cloned().collect();
        Ok(Response::new(Turn::new(first, spare, asked, self.transcript.clone(), refused)?))
    }

    /// Saves the prompt of the next answer in the [`PrefixCache`](crate::PrefixCache), where there is one, and not only what all prompts
    /// of the conversation begin with: for a conversation that is begun again with the same words, as a command does. Not so by
    /// default.
    #[must_use]
    pub fn save_prompts(mut self, save: bool) -> Session {
        if let Some(local) = &mut self.local {
            local.save_prompts(save);
        }
        self
    }

    /// The transcript: messages of completed turns only.
    pub fn messages(&self) -> Vec<Message> {
        self.transcript.messages()
    }

    /// The same to be read from anywhere, also while an answer is in progress.
    pub fn transcript(&self) -> Transcript {
        self.transcript.clone()
    }

    /// Ends the answer in progress from another thread, within one token or piece. Each answer lowers it when it begins.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// A session with the same conversation, which shares memory with this one.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] where there is no room for it.
    pub fn fork(&self) -> Result<Session, Error> {
        let cancel = CancelHandle::default();
        Ok(Session {
            transcript: Transcript::new(self.transcript.messages()),
            local: self.local.as_ref().map(|local| local.fork(cancel.0.clone())).transpose()?,
            system: self.system.clone(),
            order: self.order,
            absent: self.absent.clone(),
            tools: self.tools,
            generation: self.generation.clone(),
            cancel,
        })
    }

    /// Saves what was read and said so far in the [`PrefixCache`](crate::PrefixCache): a session that begins with the same
    /// instructions and [`messages`](Self::messages), in another process too, goes on from there and reads only what is new. The
    /// messages themselves are the application's to keep.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a prefix cache, and where the system's model alone answers; [`Error::Storage`] where nothing
    /// can be written.
    pub fn save(&self) -> Result<SavedPrefix, Error> {
        let local = self.local.as_ref().ok_or_else(|| Error::unsupported("the system's model keeps what it read to itself"))?;
        local.save()
    }

    /// Forgets what was said, and keeps the instructions.
    ///
    /// # Errors
    /// [`Error::Failed`] where the engine cannot make an empty cache.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.transcript.reset();
        self.local.as_mut().map_or(Ok(()), LocalSession::reset)
    }
}

/// Options in range, whoever answers.
fn check(options: &GenerationOptions) -> Result<(), Error> {
    options.sampling.iter().try_for_each(|sampling| sampling.validate()).map_err(GenerateError::from)?;
    if options.stop.iter().any(String::is_empty) {
        let expected = "text of at least one character";
        return Err(GenerateError::from(OptionError { field: "stop", value: "\"\"".into(), expected }).into());
    }
    Ok(())
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("messages", &self.messages().len()).finish_non_exhaustive()
    }
}
