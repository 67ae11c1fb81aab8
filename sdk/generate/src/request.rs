//! Options of one generation request.

use crate::{GenerateError, OptionError, SamplingOptions};
use kinglet_engine::TokenId;

/// Policy when the prompt and the longest reply asked for exceed the context. A prompt that does not fit by itself is
/// always refused with [`GenerateError::PromptTooLong`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ContextOverflow {
    /// Generate as long as there is room, then end with [`FinishReason::ContextFull`](crate::FinishReason::ContextFull).
    #[default]
    EndReply,
    /// Refuse with [`GenerateError::ReplyTooLong`] before any work.
    Refuse,
}

/// Options of one generation.
///
/// ```
/// use kinglet_generate::{ContextOverflow, RequestOptions, SamplingOptions};
/// let options = RequestOptions::default();
/// assert_eq!((options.max_new_tokens, options.sampling), (256, SamplingOptions::default()));
/// assert!(options.stop.is_empty() && options.end_tokens.is_empty() && !options.ignore_eos);
/// assert_eq!((options.overflow, options.lower_cancel), (ContextOverflow::EndReply, true));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct RequestOptions {
    /// Tokens to sample at most; 0 only reads the prompt, so that the next request finds it in the cache.
    pub max_new_tokens: usize,
    /// How tokens are chosen.
    pub sampling: SamplingOptions,
    /// The reply ends before the first of these to appear in its text. They need a session with a tokenizer.
    pub stop: Vec<String>,
    /// Tokens that end this reply besides the generator's.
    pub end_tokens: Vec<TokenId>,
    /// Go on after an end-of-turn token, as measurements do.
    pub ignore_eos: bool,
    /// Policy when prompt and reply may not fit the context.
    pub overflow: ContextOverflow,
    /// Whether the cancel flag is lowered first, as for work that begins here and not for work that is taken over.
    pub lower_cancel: bool,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            max_new_tokens: 256,
            sampling: SamplingOptions::default(),
            stop: vec![],
            end_tokens: vec![],
            ignore_eos: false,
            overflow: ContextOverflow::default(),
            lower_cancel: true,
        }
    }
}

impl RequestOptions {
    /// Checks the options against a prompt of `prompt_tokens`, a context of `context` positions, and whether the session
    /// can see text.
    pub(crate) fn check(&self, prompt_tokens: usize, context: usize, has_text: bool) -> Result<(), GenerateError> {
        self.sampling.validate()?;
        if let Some(stop) = self.stop.iter().find(|s| s.is_empty() || !has_text) {
            let expected = if has_text { "text of at least one character" } else { "absent in a session without a tokenizer" };
            return Err(OptionError { field: "stop", value: format!("{stop:?}"), expected }.into());
        }
        check_prompt(prompt_tokens, context)?;
        let max_new_tokens = self.max_new_tokens;
        // The last token sampled is never fed, so it needs no position.
        let too_long = max_new_tokens > context - prompt_tokens + 1;
        if too_long && self.overflow == ContextOverflow::Refuse {
            return Err(GenerateError::ReplyTooLong { prompt_tokens, max_new_tokens, context });
        }
        Ok(())
    }
}

/// A prompt has at least one token and fits the context.
pub(crate) fn check_prompt(tokens: usize, context: usize) -> Result<(), GenerateError> {
    match tokens {
        0 => Err(GenerateError::EmptyPrompt),
        _ if tokens > context => Err(GenerateError::PromptTooLong { tokens, context }),
        _ => Ok(()),
    }
}
