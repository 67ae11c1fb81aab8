//! A conversation: messages in, streamed text out.

use crate::generator::Generator;
use crate::prefix::common;
use crate::session::Session;
use crate::{Event, FinishReason, GenerateError, Generation, RequestOptions};
use kinglet_engine::{CancelToken, TokenId};
use kinglet_text::{Bounds, ChatTemplate, Message, TemplateInput, Tokenizer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A [`Session`] that speaks in messages. Each turn renders the whole conversation by the model's chat template; what the
/// cache holds of it is not computed again, so a turn reads only what is new.
#[derive(Debug)]
pub struct TextSession {
    session: Session,
    tokenizer: Arc<Tokenizer>,
    template: Arc<ChatTemplate>,
    conversation: TemplateInput,
    /// The token that closes a turn, where it is not among those of the generator.
    turn_end: Option<TokenId>,
}

impl TextSession {
    /// A session that begins with `conversation`: its messages (a system message, say), tools and template variables.
    /// `add_generation_prompt` is always on. A reply also ends with the tokenizer's end token where the template closes turns
    /// with it, unless the generator knows no end tokens at all.
    ///
    /// # Errors
    /// [`GenerateError::Engine`] if the runner cannot make a cache.
    pub fn new(
        generator: &Generator,
        tokenizer: Arc<Tokenizer>,
        template: Arc<ChatTemplate>,
        conversation: TemplateInput,
    ) -> Result<Self, GenerateError> {
        let session = Session::with_tokenizer(generator, tokenizer.clone())?;
        let known = &generator.options().eos;
        let unknown = tokenizer.eos().filter(|end| !known.is_empty() && !known.contains(end));
        let turn_end = unknown.filter(|_| template.ends_turns(&tokenizer, &conversation));
        Ok(Self { session, tokenizer, template, conversation, turn_end })
    }

    /// See [`Session::cancelled_by`].
    #[must_use]
    pub fn cancelled_by(self, cancel: CancelToken) -> Self {
        Self { session: self.session.cancelled_by(cancel), ..self }
    }

    /// The conversation so far: finished turns only.
    pub fn conversation(&self) -> &TemplateInput {
        &self.conversation
    }

    /// The conversation, to be changed before the next turn: edited or dropped messages, other tools.
    pub fn conversation_mut(&mut self) -> &mut TemplateInput {
        &mut self.conversation
    }

    /// The token session below: state, cached tokens, raw completion.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// See [`Session::cancel_handle`].
    pub fn cancel_handle(&self) -> CancelToken {
        self.session.cancel_handle()
    }

    /// Answers a user's message. See [`respond_to`](Self::respond_to).
    ///
    /// # Errors
    /// As [`respond_to`](Self::respond_to).
    pub fn respond(&mut self, text: impl Into<String>, options: &RequestOptions) -> Result<Response<'_>, GenerateError> {
        self.respond_to(vec![Message::new("user", text)], options)
    }

    /// Answers `messages`, which follow the conversation so far; none asks for a reply to the conversation as it stands.
    /// They and the reply join the conversation when the reply is complete. After an error, a cancellation or a
    /// [`Response`] dropped half-way the conversation is as before the call.
    ///
    /// # Errors
    /// [`GenerateError::Text`] if the template refuses the conversation, and those of [`Session::complete`].
    pub fn respond_to(&mut self, messages: Vec<Message>, options: &RequestOptions) -> Result<Response<'_>, GenerateError> {
        if options.lower_cancel {
            self.session.cancel.reset();
        }
        let prompt = self.prompt(&messages)?;
        let mut options = RequestOptions { lower_cancel: false, ..options.clone() };
        options.end_tokens.extend(self.turn_end);
        let generation = self.session.complete(&prompt, &options)?;
        Ok(Response { generation, conversation: &mut self.conversation, asked: messages })
    }

    /// The tokens that [`respond_to`](Self::respond_to) would read with `messages`.
    ///
    /// # Errors
    /// [`GenerateError::Text`] if the template refuses the conversation.
    pub fn prompt(&self, messages: &[Message]) -> Result<Vec<TokenId>, GenerateError> {
        let mut input = self.conversation.clone();
        input.messages.extend(messages.iter().cloned());
        input.add_generation_prompt = true;
        let cancelled = gave_up(&self.session.cancel);
        let bounds = Bounds { most_tokens: Some(self.session.generator().context()), cancelled: Some(&cancelled) };
        Ok(self.template.encode_within(&self.tokenizer, &input, &bounds)?)
    }

    /// The tokens that every prompt of the conversation begins with, whatever is said: its leading system messages and tools as
    /// the template writes them. None where the template takes no user's message after them.
    pub fn fixed_tokens(&self) -> Vec<TokenId> {
        let mut input = self.conversation.clone();
        input.messages.truncate(input.messages.iter().take_while(|message| message.role() == Some("system")).count());
        input.add_generation_prompt = true;
        let mut after = |said: &str| {
            input.messages.push(Message::new("user", said));
            let tokens = self.template.encode(&self.tokenizer, &input);
            input.messages.pop();
            tokens.unwrap_or_default()
        };
        // What two messages without a character in common leave alike is not theirs.
        let (mut tokens, other) = (after("a"), after("1"));
        tokens.truncate(common(&tokens, &other));
        tokens
    }

    /// A session with the same conversation, which shares memory with this one where the engine can.
    ///
    /// # Errors
    /// As [`Session::fork`].
    pub fn fork(&self) -> Result<Self, GenerateError> {
        Ok(Self {
            session: self.session.fork()?,
            tokenizer: self.tokenizer.clone(),
            template: self.template.clone(),
            conversation: self.conversation.clone(),
            turn_end: self.turn_end,
        })
    }

    /// Empties the cache; the conversation stays and is read anew in the next turn.
    ///
    /// # Errors
    /// As [`Session::reset`].
    pub fn reset_cache(&mut self) -> Result<(), GenerateError> {
        self.session.reset()
    }
}

/// The events of one turn, pulled as from a [`Generation`].
pub struct Response<'a> {
    generation: Generation<'a>,
    conversation: &'a mut TemplateInput,
    asked: Vec<Message>,
}

impl Response<'_> {
    /// The token session that answers.
    pub fn session(&self) -> &Session {
        self.generation.session()
    }
}

impl Iterator for Response<'_> {
    type Item = Result<Event, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = self.generation.next()?;
        if let Ok(Event::Done(outcome)) = &event
            && outcome.finish != FinishReason::Cancelled
        {
            self.conversation.messages.append(&mut self.asked);
            self.conversation.messages.push(Message::new("assistant", outcome.text.as_str()));
        }
        Some(event)
    }
}

impl std::iter::FusedIterator for Response<'_> {}

/// How long a prompt's tokens may take before cancelling ends their making.
const PATIENCE: Duration = Duration::from_millis(100);

/// Whether a caller has given up while the tokens of a prompt are made. Of what takes a moment only, the answer itself hears it,
/// and ends as one that was cancelled.
pub fn gave_up(cancel: &CancelToken) -> impl Fn() -> bool + Sync + '_ {
    let began = Instant::now();
    move || cancel.is_cancelled() && began.elapsed() > PATIENCE
}
