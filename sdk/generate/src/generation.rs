//! One request, pulled event by event.

use crate::reply_text::{Piece, ReplyText};
use crate::session::{Session, SessionState};
use crate::{Event, FinishReason, GenerateError, History, Outcome, RequestOptions, Sampler, Timing, Usage};
use kinglet_engine::{EngineError, LogitsWanted, SequenceStep, TokenId};
use std::time::{Duration, Instant};

/// A request in progress: each pull runs one step of the engine at most. Ends after [`Event::Done`] or an error. Dropping
/// it early gives up the rest of the reply and nothing else.
pub struct Generation<'a> {
    session: &'a mut Session,
    prompt: Vec<TokenId>,
    reply: Vec<TokenId>,
    text: ReplyText,
    options: RequestOptions,
    sampler: Sampler,
    phase: Phase,
    usage: Usage,
    clock: Clock,
}

/// Work of the next pull.
enum Phase {
    /// Feeds a chunk of the prompt.
    Prefill,
    /// Feeds the last token of the reply, if there is one, and samples the next.
    Decode,
    /// Reports the end.
    Finish(FinishReason),
    /// Nothing: the end or an error was reported.
    Over,
}

impl<'a> Generation<'a> {
    /// The session's cache holds a prefix of `prompt` that leaves at least one token.
    pub(crate) fn new(session: &'a mut Session, prompt: &[TokenId], options: &RequestOptions) -> Result<Self, GenerateError> {
        let sampler = Sampler::new(&options.sampling, &session.generator().options().suppress, 0)?;
        let text = ReplyText::new(session.tokenizer.as_ref(), &options.stop);
        let usage = Usage { prompt_tokens: prompt.len(), cached_tokens: session.tokens.len(), new_tokens: 0 };
        session.state = SessionState::Prefilling { done: usage.cached_tokens, total: usage.prompt_tokens };
        Ok(Self {
            session,
            prompt: prompt.to_vec(),
            reply: vec![],
            text,
            options: options.clone(),
            sampler,
            phase: Phase::Prefill,
            usage,
            clock: Clock::default(),
        })
    }

    /// State of the session.
    pub fn state(&self) -> SessionState {
        self.session.state
    }

    /// The session that reads and writes.
    pub fn session(&self) -> &Session {
        self.session
    }

    fn advance(&mut self) -> Result<Option<Event>, GenerateError> {
        self.clock.start();
        match &self.phase {
            Phase::Prefill => self.prefill().map(Some),
            Phase::Decode => self.decode().map(Some),
            Phase::Finish(reason) => self.finish(reason.clone()).map(Some),
            Phase::Over => Ok(None),
        }
    }

    fn prefill(&mut self) -> Result<Event, GenerateError> {
        let (from, total) = (self.session.tokens.len(), self.prompt.len());
        let to = total.min(from + self.session.generator().options().prefill_chunk);
        let logits = if to == total { LogitsWanted::Last } else { LogitsWanted::None };
        self.session.feed(&self.prompt[from..to], logits)?;
        self.session.state = SessionState::Prefilling { done: to, total };
        if to == total {
            self.clock.prefill_done();
            self.session.state = SessionState::Decoding { new_tokens: 0 };
            self.phase = if self.options.max_new_tokens == 0 { Phase::Finish(FinishReason::Length) } else { Phase::Decode };
        }
        Ok(Event::Prefill { done: to, total })
    }

    fn decode(&mut self) -> Result<Event, GenerateError> {
        if let Some(&last) = self.reply.last() {
            self.session.feed(&[last], LogitsWanted::Last)?;
        }
        if self.session.cancel.is_cancelled() {
            return Err(GenerateError::Cancelled);
        }
        let history = History { prompt: &self.prompt, reply: &self.reply };
        let token = self.sampler.sample(&self.session.logits, history)?;
        self.clock.token();
        self.usage.new_tokens += 1;
        self.session.state = SessionState::Decoding { new_tokens: self.usage.new_tokens };
        let ends = self.session.generator().options().eos.contains(&token) || self.options.end_tokens.contains(&token);
        if ends && !self.options.ignore_eos {
            return self.finish(FinishReason::EndOfTurn(token));
        }
        self.reply.push(token);
        let Piece { text, stop } = self.text.push(token)?;
        if let Some(reason) = stop.map(|which| FinishReason::Stop { which }).or_else(|| self.limit()) {
            self.phase = Phase::Finish(reason);
        }
        Ok(Event::Token { ids: vec![token], text })
    }

    /// Why no further token can follow, if so.
    fn limit(&self) -> Option<FinishReason> {
        let full = self.session.tokens.len() == self.session.generator().context();
        if self.usage.new_tokens == self.options.max_new_tokens {
            Some(FinishReason::Length)
        } else {
            full.then_some(FinishReason::ContextFull)
        }
    }

    /// Gives out the text that was held back, if there is any, and then the outcome.
    fn finish(&mut self, reason: FinishReason) -> Result<Event, GenerateError> {
        let Piece { text, stop } = self.text.finish()?;
        let finish = stop.map_or(reason, |which| FinishReason::Stop { which });
        if !text.is_empty() {
            self.phase = Phase::Finish(finish);
            return Ok(Event::Token { ids: vec![], text });
        }
        self.end();
        log::debug!("reply ended ({}): {:?}", finish.as_str(), self.usage);
        Ok(Event::Done(Outcome {
            finish,
            usage: self.usage,
            timing: self.clock.timing(),
            text: self.text.take(),
            tokens: std::mem::take(&mut self.reply),
            seed: self.sampler.seed(),
        }))
    }

    fn end(&mut self) {
        self.phase = Phase::Over;
        if self.session.state != SessionState::Failed {
            self.session.state = SessionState::Idle;
        }
    }
}

impl Iterator for Generation<'_> {
    type Item = Result<Event, GenerateError>;

    fn next(&mut self) -> Option<Self::Item> {
        let event = match self.advance() {
            Err(GenerateError::Cancelled) => self.finish(FinishReason::Cancelled).map(Some),
            event => event,
        };
        event.inspect_err(|_| self.end()).transpose()
    }
}

impl std::iter::FusedIterator for Generation<'_> {}

impl Drop for Generation<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl Session {
    /// Feeds `tokens` after what the cache holds. If that fails, the cache and what is known of it stay as they were.
    fn feed(&mut self, tokens: &[TokenId], logits: LogitsWanted) -> Result<(), EngineError> {
        let Self { cache, logits: out, cancel, .. } = self;
        cache.generator().scheduler().step(&[SequenceStep { cache: cache.id, tokens, logits }], cancel, |rows| {
            out.clear();
            out.extend_from_slice(rows.values());
        })?;
        self.tokens.extend_from_slice(tokens);
        Ok(())
    }
}

/// The moments of a request that its [`Timing`] speaks of.
#[derive(Debug, Default)]
struct Clock {
    started: Option<Instant>,
    prefilled: Option<Instant>,
    first_token: Option<Instant>,
    last_token: Option<Instant>,
}

impl Clock {
    fn start(&mut self) {
        self.started.get_or_insert_with(Instant::now);
    }

    fn prefill_done(&mut self) {
        self.prefilled = Some(Instant::now());
    }

    fn token(&mut self) {
        let now = Instant::now();
        self.first_token.get_or_insert(now);
        self.last_token = Some(now);
    }

    fn timing(&self) -> Timing {
        let between = |from: Option<Instant>, to: Option<Instant>| Some(to?.duration_since(from?));
        Timing {
            first_token: between(self.started, self.first_token),
            prefill: between(self.started, self.prefilled).unwrap_or(Duration::ZERO),
            decode: between(self.first_token, self.last_token).unwrap_or(Duration::ZERO),
        }
    }
}
