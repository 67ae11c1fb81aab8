//! One turn of a conversation: who answers, and who does where that one fails.

use super::local::LocalSession;
use super::transcript::Transcript;
use crate::fallback::{Backend, told};
use crate::request::Step;
use crate::system::{System, answer, system_request};
use crate::{EngineRefusal, Error, FinishReason, GenerationOptions, Message};
use kinglet_generate::CancelToken;

type Steps<'a> = Box<dyn Iterator<Item = Result<Step, Error>> + 'a>;

/// Who may answer.
pub(super) enum Responder<'a> {
    Local(&'a mut LocalSession),
    System(&'a System),
}

/// Request of a turn.
pub(super) struct Asked {
    /// The conversation with the message that is to be answered, the last one.
    pub(super) messages: Vec<Message>,
    pub(super) options: GenerationOptions,
    /// Whether the conversation has tools, which the system's model does not take.
    pub(super) tools: bool,
    pub(super) cancel: CancelToken,
}

/// An answer in progress. The conversation grows when it is complete.
pub(super) struct Turn<'a> {
    steps: Steps<'a>,
    engine: String,
    /// Who answers.
    backend: Backend,
    /// Who answers where that one gives way.
    spare: Option<Responder<'a>>,
    asked: Asked,
    transcript: Transcript,
    text: String,
    begun: bool,
    /// Why the one before did not answer.
    failure: Option<Error>,
    refused: Vec<EngineRefusal>,
}

impl<'a> Responder<'a> {
    fn engine(&self) -> String {
        match self {
            Responder::Local(local) => local.engine().to_owned(),
            Responder::System(system) => system.engine.clone(),
        }
    }

    fn backend(&self) -> Backend {
        match self {
            Responder::Local(_) => Backend::Local,
            Responder::System(_) => Backend::System,
        }
    }

    fn answer(self, asked: &Asked) -> Result<Steps<'a>, Error> {
        match self {
            Responder::Local(local) => local.respond(&asked.messages, &asked.options),
            Responder::System(_) if asked.tools => {
                Err(Error::unsupported("the system's model takes no tools; leave them out, or ask a folder's model"))
            }
            Responder::System(system) => {
                Ok(Box::new(answer(system, system_request(&asked.messages, &asked.options)?, asked.cancel.clone())))
            }
        }
    }
}

impl<'a> Turn<'a> {
    /// `refused` are those who would have come before `first` and are not there.
    ///
    /// # Errors
    /// Those of `first` before it begins, unless `spare` may answer instead.
    pub(super) fn new(
        first: Responder<'a>,
        spare: Option<Responder<'a>>,
        asked: Asked,
        transcript: Transcript,
        refused: Vec<EngineRefusal>,
    ) -> Result<Turn<'a>, Error> {
        let (engine, backend) = (first.engine(), first.backend());
        let steps: Steps<'a> = match first.answer(&asked) {
            Err(error) if spare.is_some() && backend.gives_way(&error) => Box::new(std::iter::once(Err(error))),
            steps => steps?,
        };
        let (text, begun, failure) = (String::new(), false, None);
        Ok(Turn { steps, engine, backend, spare, asked, transcript, text, begun, failure, refused })
    }

    /// Has the other one answer after `error`, or gives the error that the caller is told.
    fn give_way(&mut self, error: Error) -> Result<(), Error> {
        self.steps = Box::new(std::iter::empty());
        if self.begun {
            return Err(error);
        }
        let next = if self.backend.gives_way(&error) { self.spare.take() } else { None };
        let Some(next) = next else { return Err(told(self.failure.take(), error)) };
        log::info!("{} answers instead of {}: {error}", next.engine(), self.engine);
        let engine = std::mem::replace(&mut self.engine, next.engine());
        self.refused.push(EngineRefusal { engine, reason: error.to_string() });
        self.failure = Some(error);
        self.backend = next.backend();
        self.steps = next.answer(&self.asked).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))));
        Ok(())
    }
}

impl Iterator for Turn<'_> {
    type Item = Result<Step, Error>;

    fn next(&mut self) -> Option<Result<Step, Error>> {
        loop {
            match self.steps.next()? {
                Ok(Step::Piece { ids, text }) => {
                    self.begun |= !ids.is_empty() || !text.is_empty();
                    self.text.push_str(&text);
                    return Some(Ok(Step::Piece { ids, text }));
                }
                Ok(Step::Done(mut usage)) => {
                    usage.refused.append(&mut self.refused);
                    if usage.finish != FinishReason::Cancelled {
                        let asked = self.asked.messages.pop();
                        asked
                            .into_iter()
                            .for_each(|asked| self.transcript.add(asked, Message::new("assistant", self.text.as_str())));
                    }
                    return Some(Ok(Step::Done(usage)));
                }
                Err(error) => {
                    if let Err(error) = self.give_way(error) {
                        return Some(Err(error));
                    }
                }
            }
        }
    }
}
