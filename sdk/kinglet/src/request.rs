//! Options of one request, and its events, usage and answer.

use crate::{EngineRefusal, Error};
use kinglet_generate::{CancelToken, GenerateError, RequestOptions};
use std::time::Duration;

pub use kinglet_generate::{FinishReason, SamplingOptions, Timing};

/// Options of one answer.
///
/// ```
/// let options = kinglet::GenerationOptions::default();
/// assert_eq!((options.max_new_tokens, options.sampling), (256, None));
/// assert!(options.stop.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct GenerationOptions {
    /// Tokens that an answer has at most; 0 only reads the prompt, so that the next request finds it in the cache.
    pub max_new_tokens: usize,
    /// How tokens are chosen; `None` is as the model's makers recommend ([`Model::recommended_sampling`](crate::Model::recommended_sampling)).
    pub sampling: Option<SamplingOptions>,
    /// The answer ends before the first of these to appear in its text.
    pub stop: Vec<String>,
}

impl Default for GenerationOptions {
    fn default() -> GenerationOptions {
        GenerationOptions { max_new_tokens: 256, sampling: None, stop: vec![] }
    }
}

impl GenerationOptions {
    pub(crate) fn to_request(&self, recommended: &SamplingOptions) -> RequestOptions {
        RequestOptions {
            max_new_tokens: self.max_new_tokens,
            sampling: self.sampling.as_ref().unwrap_or(recommended).clone(),
            stop: self.stop.clone(),
            ..RequestOptions::default()
        }
    }
}

/// Ends a piece of work from another thread. Clones are one handle; raising it never waits.
#[derive(Clone, Debug, Default)]
pub struct CancelHandle(pub(crate) CancelToken);

impl CancelHandle {
    /// Asks the work in progress to end: an answer within one token, everything else within one step.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it was raised since the last request of its session began, or since the last [`reset`](Self::reset).
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Lowers it, for the next piece of work. A session does so by itself.
    pub fn reset(&self) {
        self.0.reset();
    }
}

/// Streaming event of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// More of the text, never half a character.
    Text(String),
    /// The answer is complete; nothing follows.
    Done(Usage),
}

/// Usage of an answer: engine, token counts, finish reason and timing.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// Which engine answered: its name, or `system:` and the name of the system's model, which counts no tokens and names no seed:
    /// those are 0 then.
    pub engine: String,
    /// The engines that were asked before, and why they did not answer.
    pub refused: Vec<EngineRefusal>,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Those of them that were in the cache already.
    pub cached_tokens: usize,
    /// Tokens of the answer, an end token included.
    pub new_tokens: usize,
    /// Why the answer ended.
    pub finish: FinishReason,
    /// How long it took.
    pub timing: Timing,
    /// The seed that tokens were drawn with: with it, the same request gives the same answer.
    pub seed: u64,
}

impl Usage {
    fn counts(&self) -> kinglet_generate::Usage {
        kinglet_generate::Usage {
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            new_tokens: self.new_tokens,
        }
    }

    /// Prompt tokens computed a second; `None` if none were, or in no measurable time.
    pub fn prefill_tokens_per_second(&self) -> Option<f64> {
        self.timing.prefill_tokens_per_second(&self.counts())
    }

    /// Tokens a second after the first; `None` if there was no second one, or in no measurable time.
    pub fn decode_tokens_per_second(&self) -> Option<f64> {
        self.timing.decode_tokens_per_second(&self.counts())
    }
}

/// A whole answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// The tokens, without an end token; none of a system's model.
    pub tokens: Vec<u32>,
    /// Usage of the answer.
    pub usage: Usage,
}

/// Result of one pull from an answer in progress.
pub(crate) enum Step {
    /// Tokens, and text that is certain: either may be empty.
    Piece { ids: Vec<u32>, text: String },
    /// The answer is complete.
    Done(Usage),
}

/// The steps of an engine's answer; `before` is time that went by before the first pull and counts as reading the prompt.
pub(crate) fn steps<'a>(
    events: impl Iterator<Item = Result<kinglet_generate::Event, GenerateError>> + 'a,
    before: Duration,
    engine: &'static str,
) -> impl Iterator<Item = Result<Step, Error>> + 'a {
    use kinglet_generate::Event as E;
    events.filter_map(move |event| match event {
        Ok(E::Token { ids, text }) => Some(Ok(Step::Piece { ids, text })),
        Ok(E::Done(outcome)) => {
            let Timing { first_token, prefill, decode } = outcome.timing;
            let first_token = first_token.map(|time| time + before);
            Some(Ok(Step::Done(Usage {
                engine: engine.to_owned(),
                refused: vec![],
                prompt_tokens: outcome.usage.prompt_tokens,
                cached_tokens: outcome.usage.cached_tokens,
                new_tokens: outcome.usage.new_tokens,
                finish: outcome.finish,
                timing: Timing { first_token, prefill: prefill + before, decode },
                seed: outcome.seed,
            })))
        }
        Ok(_) => None,
        Err(error) => Some(Err(error.into())),
    })
}

/// An answer in progress: each pull computes as much as the next piece of text needs. Dropping it gives up the rest.
#[must_use = "nothing is computed before the first pull"]
pub struct Response<'a> {
    steps: Box<dyn Iterator<Item = Result<Step, Error>> + 'a>,
    tokens: Vec<u32>,
}

impl<'a> Response<'a> {
    pub(crate) fn new(steps: impl Iterator<Item = Result<Step, Error>> + 'a) -> Response<'a> {
        Response { steps: Box::new(steps), tokens: vec![] }
    }

    /// The tokens so far; none of a system's model.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// Computes the rest of the answer.
    ///
    /// # Errors
    /// Those of a pull.
    pub fn finish(mut self) -> Result<Answer, Error> {
        let mut text = String::new();
        while let Some(event) = self.next() {
            match event? {
                Event::Text(piece) => text.push_str(&piece),
                Event::Done(usage) => return Ok(Answer { text, tokens: self.tokens, usage }),
            }
        }
        Err(Error::invalid("the answer was already complete; finish it before its last event"))
    }
}

impl Iterator for Response<'_> {
    type Item = Result<Event, Error>;

    fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            match self.steps.next()? {
                Ok(Step::Piece { ids, text }) => {
                    self.tokens.extend(ids);
                    if !text.is_empty() {
                        return Some(Ok(Event::Text(text)));
                    }
                }
                Ok(Step::Done(usage)) => return Some(Ok(Event::Done(usage))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl std::iter::FusedIterator for Response<'_> {}
