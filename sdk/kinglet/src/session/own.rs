//! The folder's model in a conversation.

use crate::own::Own;
use crate::prefix::{FixedBeginning, Remembering};
use crate::request::{Step, steps};
use crate::{Error, GenerationOptions, KeptPrefix, Message, PromptRequest};
use kinglet_generate::{CancelToken, RequestOptions, TextSession};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A conversation of tokens, begun when it is first needed.
pub(super) struct OwnSession {
    own: Arc<Own>,
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
    fixed: Option<FixedBeginning>,
}

impl OwnSession {
    pub(super) fn new(own: Arc<Own>, frame: PromptRequest, cancel: CancelToken) -> OwnSession {
        OwnSession { own, frame, cancel, begun: None, save: false }
    }

    /// Whether whole prompts are saved in the prefix cache.
    pub(super) fn save_prompts(&mut self, save: bool) {
        self.save = save;
    }

    /// The engine's name.
    pub(super) fn engine(&self) -> &'static str {
        self.own.engine_name()
    }

    /// Begins the conversation with what was said, unless it has begun.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a chat template, [`Error::BadModel`] for text files that cannot be used.
    pub(super) fn begin(&mut self, messages: &[Message]) -> Result<&mut Begun, Error> {
        let begun = match self.begun.take() {
            Some(begun) => begun,
            None => {
                let text = self.own.text()?;
                let request = PromptRequest { messages: messages.to_vec(), ..self.frame.clone() };
                let (tokenizer, template) = (text.tokenizer.clone(), text.template()?.clone());
                let session = TextSession::new(&self.own.generator, tokenizer, template, request.into())?;
                let fixed = FixedBeginning::new(&self.own, || session.fixed_tokens());
                Begun { session: session.cancelled_by(self.cancel.clone()), fixed }
            }
        };
        Ok(self.begun.insert(begun))
    }

    /// The steps of an answer to `asked` after `messages`. The cancel flag is left as it is.
    pub(super) fn respond(
        &mut self,
        messages: &[Message],
        asked: &Message,
        options: &GenerationOptions,
    ) -> Result<Box<dyn Iterator<Item = Result<Step, Error>> + '_>, Error> {
        let request = RequestOptions { lower_cancel: false, ..options.to_request(&self.own.sampling) };
        let (own, save) = (self.own.clone(), self.save);
        let Begun { session, fixed } = self.begin(messages)?;
        // Turns that another engine answered are read like any others.
        session.conversation_mut().messages = messages.to_vec();
        if save && own.prefixes.is_some() {
            let prompt = session.prompt(std::slice::from_ref(asked))?;
            *fixed = FixedBeginning::new(&own, || prompt);
        }
        let before = recall(&own, session, fixed.as_ref(), asked)?;
        let events = session.respond_to(vec![asked.clone()], &request)?;
        let session = kinglet_generate::Response::session;
        Ok(Box::new(steps(Remembering { events, session, fixed: fixed.as_mut() }, before, own.engine_name())))
    }

    /// Saves what the cache holds of the conversation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] without a prefix cache, [`Error::Storage`] where that cannot be written.
    pub(super) fn keep(&self) -> Result<KeptPrefix, Error> {
        let prefixes = self.own.prefixes()?;
        let held = match &self.begun {
            Some(Begun { session, .. }) => session.session().beginning(usize::MAX)?,
            None => None,
        };
        prefixes.keep(held.as_ref())
    }

    /// The same conversation, ended by another flag.
    pub(super) fn fork(&self, cancel: CancelToken) -> Result<OwnSession, Error> {
        let fork = |Begun { session, fixed }: &Begun| -> Result<Begun, Error> {
            Ok(Begun { session: session.fork()?.cancelled_by(cancel.clone()), fixed: fixed.clone() })
        };
        let begun = self.begun.as_ref().map(fork).transpose()?;
        Ok(OwnSession { own: self.own.clone(), frame: self.frame.clone(), cancel, begun, save: self.save })
    }

    /// Empties the cache.
    pub(super) fn reset(&mut self) -> Result<(), Error> {
        Ok(self.begun.as_mut().map_or(Ok(()), |begun| begun.session.reset_cache())?)
    }
}

/// Restores what is saved of the prompt with `asked`, where the session holds nothing of it yet, and of what all its prompts begin
/// with; gives the time that took.
fn recall(own: &Own, session: &TextSession, fixed: Option<&FixedBeginning>, asked: &Message) -> Result<Duration, Error> {
    let started = Instant::now();
    if own.prefixes.is_some() && session.session().cached_tokens().is_empty() {
        own.recall(&session.prompt(std::slice::from_ref(asked))?);
    }
    if let Some(fixed) = fixed {
        fixed.recall(session.session());
    }
    Ok(started.elapsed())
}
