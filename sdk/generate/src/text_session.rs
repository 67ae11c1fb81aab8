//! A conversation as a sequence of tokens: messages in, streamed text out.

use crate::generator::Generator;
use crate::prefix::fixed_tokens;
use crate::session::Session;
use crate::{GenerateError, Generation, RequestOptions};
use kinglet_engine::{CancelToken, TokenId};
use kinglet_text::{Bounds, ChatTemplate, Message, TemplateInput, Tokenizer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A [`Session`] that is asked in messages. Each turn is given the whole conversation, renders it by the model's chat template, and
/// computes only what the cache does not hold of it yet. Whose the messages are is the caller's affair.
#[derive(Debug)]
pub struct TextSession {
    session: Session,
    tokenizer: Arc<Tokenizer>,
    template: Arc<ChatTemplate>,
    /// Tools, template and variables of each turn, without messages.
    frame: TemplateInput,
    /// The token that closes a turn, where it is not among those of the generator.
    turn_end: Option<TokenId>,
}

impl TextSession {
    /// A session whose prompts have the tools, template and variables of `frame`; its messages and `add_generation_prompt` do not count.
    /// A reply also ends with the tokenizer's end token where the template closes turns with it, unless the generator knows no end tokens
    /// at all.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] if the runner cannot make a cache.
    pub fn new(
        generator: &Generator,
        tokenizer: Arc<Tokenizer>,
        template: Arc<ChatTemplate>,
        frame: TemplateInput,
    ) -> Result<Self, GenerateError> {
        let session = Session::with_tokenizer(generator, tokenizer.clone())?;
        let known = &generator.options().eos;
        let unknown = tokenizer.eos().filter(|end| !known.is_empty() && !known.contains(end));
        let turn_end = unknown.filter(|_| template.ends_turns(&tokenizer, &frame));
        let frame = TemplateInput { messages: vec![], add_generation_prompt: true, ..frame };
        Ok(Self { session, tokenizer, template, frame, turn_end })
    }

    /// See [`Session::cancelled_by`].
    #[must_use]
    pub fn cancelled_by(self, cancel: CancelToken) -> Self {
        Self { session: self.session.cancelled_by(cancel), ..self }
    }

    /// The token session below: state, cached tokens, raw completion.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// See [`Session::cancel_handle`].
    pub fn cancel_handle(&self) -> CancelToken {
        self.session.cancel_handle()
    }

    /// Answers the conversation `messages`, oldest first.
    ///
    /// # Errors
    /// [`GenerateError::Text`] if the template refuses the conversation, and those of [`Session::complete`].
    pub fn respond(&mut self, messages: &[Message], options: &RequestOptions) -> Result<Generation<'_>, GenerateError> {
        if options.lower_cancel {
            self.session.cancel.reset();
        }
        let prompt = self.prompt(messages)?;
        let mut options = RequestOptions { lower_cancel: false, ..options.clone() };
        options.end_tokens.extend(self.turn_end);
        self.session.complete(&prompt, &options)
    }

    /// The tokens that [`respond`](Self::respond) reads.
    ///
    /// # Errors
    /// [`GenerateError::Text`] if the template refuses the conversation.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<TokenId>, GenerateError> {
        let cancelled = gave_up(&self.session.cancel);
        let bounds = Bounds { most_tokens: Some(self.session.generator().context()), cancelled: Some(&cancelled) };
        Ok(self.template.encode_within(&self.tokenizer, &self.input(messages.to_vec()), &bounds)?)
    }

    /// The tokens that every prompt of the conversation begins with, whatever is said: the leading system messages of `messages` and the
    /// tools as the template writes them. None where the template takes no user's message after them.
    pub fn fixed_tokens(&self, messages: &[Message]) -> Vec<TokenId> {
        let told = messages.iter().take_while(|message| message.role() == Some("system"));
        fixed_tokens(|said| {
            let input = self.input(told.clone().cloned().chain([Message::new("user", said)]).collect());
            self.template.encode(&self.tokenizer, &input).unwrap_or_default()
        })
    }

    fn input(&self, messages: Vec<Message>) -> TemplateInput {
        TemplateInput { messages, ..self.frame.clone() }
    }

    /// A session that shares the memory of what is cached with this one, where the engine can.
    ///
    /// # Errors
    /// As [`Session::fork`].
    pub fn fork(&self) -> Result<Self, GenerateError> {
        Ok(Self {
            session: self.session.fork()?,
            tokenizer: self.tokenizer.clone(),
            template: self.template.clone(),
            frame: self.frame.clone(),
            turn_end: self.turn_end,
        })
    }

    /// Empties the cache: the next turn reads its conversation anew.
    ///
    /// # Errors
    /// As [`Session::reset`].
    pub fn reset_cache(&mut self) -> Result<(), GenerateError> {
        self.session.reset()
    }
}

/// How long a prompt's tokens may take before cancelling ends their making.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether a caller has given up while the tokens of a prompt are made. Of what takes a moment only, the answer itself hears it,
/// and ends as one that was cancelled.
pub fn gave_up(cancel: &CancelToken) -> impl Fn() -> bool + Sync + '_ {
    let began = Instant::now();
    move || cancel.is_cancelled() && began.elapsed() > PATIENCE
}
