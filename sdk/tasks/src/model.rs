//! A model as reply tasks see it: how a conversation becomes its prompt, and what begins and ends a reply.

use crate::conversation::{Conversation, Speaker, Turn};
use crate::error::{ExtrasError, TaskError};
use crate::extras::{ModelExtras, ReplyFormat};
use kinglet_generate::{Generator, TokenId};
use kinglet_text::{ChatTemplate, DateTime, Message, Specials, TemplateInput, TextError, Tokenizer};
use std::sync::Arc;

/// What a general chat model is told if the conversation brings no instructions.
const INSTRUCTIONS: &str = "You answer text messages for a person, as that person would: in a few words, kindly, to the point.";

/// What it is shown of that, a message and its reply each, where the conversation brings no instructions and the context has room.
pub(crate) const EXAMPLES: [[&str; 2]; 4] = [
    ["Can you help me carry a table on Saturday?", "Sure, happy to help."],
    ["I didn't get the flat in the end", "Oh no, I'm sorry. That's really disappointing."],
    ["thanks so much for dinner!!", "You're welcome, it was lovely to have you."],
    ["When does the meeting start?", "I'm not sure, let me check."],
];

/// Least context that has room for the examples.
const ROOM_FOR_EXAMPLES: usize = 512;

/// Characters that a token stands for at most, generously: longer text is cut before it is tokenized at all.
const CHARS_PER_TOKEN: usize = 24;

/// Everything that reply tasks need of a model. Share it through an [`Arc`].
#[derive(Clone)]
pub struct ReplyModel {
    generator: Generator,
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    extras: ModelExtras,
    now: Option<DateTime>,
    reply_token: Option<TokenId>,
}

/// A conversation as the model reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// The whole of it, with what opens the reply.
    pub(crate) tokens: Vec<TokenId>,
    /// The same without the conversation: what begins every prompt and what opens the reply.
    pub(crate) opening: Vec<TokenId>,
    /// The token that ends the reply, if there is one.
    pub(crate) end: Option<TokenId>,
    /// Whether the prompt ends with the opening of a reply, as all rendered conversations do.
    pub(crate) opens_reply: bool,
}

impl ReplyModel {
    /// Puts the parts of one model together.
    ///
    /// # Errors
    /// [`TaskError::Extras`] if `extras` names tokens that the model does not have.
    pub fn new(
        generator: Generator,
        tokenizer: Arc<Tokenizer>,
        template: ChatTemplate,
        extras: ModelExtras,
    ) -> Result<Self, TaskError> {
        let mut reply_token = None;
        if let Some(ranking) = &extras.reply_ranking {
            let (last, vocab) = (ranking.rank_tokens[1], generator.info().vocab);
            if last as usize >= vocab {
                return Err(ExtrasError::BeyondVocabulary { last, vocab }.into());
            }
            let token = tokenizer.token_id(&ranking.reply_token).filter(|&id| (id as usize) < vocab);
            reply_token = Some(token.ok_or_else(|| ExtrasError::UnknownToken(ranking.reply_token.clone()))?);
        }
        Ok(Self { generator, tokenizer, template, extras, now: None, reply_token })
    }

    /// The same model, whose template is told this local time. Without it, templates that ask for the date use one of their
    /// own or fail.
    #[must_use]
    pub fn at(mut self, now: DateTime) -> Self {
        self.now = Some(now);
        self
    }

    /// What runs the model.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// The content of its `kinglet.json`.
    pub fn extras(&self) -> &ModelExtras {
        &self.extras
    }

    /// The tokens that the prompt of every conversation with the same instructions begins with, whatever is said in it, as far
    /// as no message has to be left out. None where the template refuses it.
    pub fn fixed_tokens(&self, conversation: &Conversation) -> Vec<TokenId> {
        let asks = conversation.next_speaker().other();
        let after =
            |said: &str| self.render(&[Turn::new(asks, said)], conversation.instructions.as_deref(), true).unwrap_or_default();
        // What two messages without a character in common leave alike is not theirs.
        let (mut tokens, other) = (after("a"), after("1"));
        tokens.truncate(tokens.iter().zip(&other).take_while(|(a, b)| a == b).count());
        tokens
    }

    /// What the model is told besides the conversation; `None` where it is told nothing.
    pub(crate) fn task(&self) -> Option<&str> {
        (self.extras.reply_format == ReplyFormat::Assistant).then_some(INSTRUCTIONS)
    }

    /// The token that ends a reply, if there is one.
    pub(crate) fn reply_end(&self) -> Result<Option<TokenId>, TaskError> {
        self.end_token(Speaker::Agent)
    }

    /// The token that begins a reply whose vector is wanted, if the model ranks by vectors.
    pub(crate) fn reply_token(&self) -> Option<TokenId> {
        self.reply_token
    }

    /// The tokens of a text that somebody typed.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<TokenId>, TaskError> {
        Ok(self.tokenizer.encode(text, Specials::TEXT)?)
    }

    /// The text of a reply.
    pub(crate) fn decode(&self, tokens: &[TokenId]) -> Result<String, TaskError> {
        Ok(self.tokenizer.decode(tokens, true)?)
    }

    /// The prompt after which the side whose turn it is replies, with room for `reply` more tokens. What does not fit is
    /// left out from the oldest message on; if the last message alone is too long, its beginning is.
    pub(crate) fn prompt(&self, conversation: &Conversation, reply: usize) -> Result<Prompt, TaskError> {
        let context = self.generator.context();
        let too_small = || TaskError::ContextTooSmall { context, reply };
        let room = context.checked_sub(reply).ok_or_else(too_small)?;
        let counted = conversation.counted();
        let fits = |turns: &[Turn]| -> Result<Option<Vec<TokenId>>, TaskError> {
            if turns.iter().map(|t| t.text.len()).sum::<usize>() > room.saturating_mul(CHARS_PER_TOKEN) {
                return Ok(None);
            }
            let tokens = self.render(turns, counted.instructions.as_deref(), true)?;
            Ok((tokens.len() <= room).then_some(tokens))
        };
        for oldest in 0..counted.turns.len() {
            if let Some(tokens) = fits(&counted.turns[oldest..])? {
                return self.finish(tokens, counted.next_speaker());
            }
        }
        let last = counted.turns.last().ok_or(TextError::EmptyConversation)?;
        let tokens = longest_end(&last.text, |text| fits(&[Turn::new(last.speaker, text)]))?.ok_or_else(too_small)?;
        self.finish(tokens, counted.next_speaker())
    }

    fn finish(&self, tokens: Vec<TokenId>, next: Speaker) -> Result<Prompt, TaskError> {
        let opening = self.opening(next, &tokens)?;
        Ok(Prompt { opening, end: self.end_token(next)?, opens_reply: true, tokens })
    }

    /// The prompt that `text` is, special tokens parsed. If it ends with what opens a reply, it is scored like a
    /// conversation; otherwise its last token stands for the opening, and no token ends a continuation.
    pub(crate) fn raw_prompt(&self, text: &str) -> Result<Prompt, TaskError> {
        let tokens = self.tokenizer.encode(text, Specials::PROMPT)?;
        for next in [Speaker::Agent, Speaker::Customer] {
            let suffix = self.reply_opening(next)?;
            if !suffix.is_empty() && tokens.ends_with(&suffix) {
                return self.finish(tokens, next);
            }
        }
        let opening = self.begin(&tokens).into_iter().chain(tokens.last().copied()).collect();
        Ok(Prompt { opening, end: None, opens_reply: false, tokens })
    }

    /// What begins every prompt, then what opens the reply of `next`.
    fn opening(&self, next: Speaker, prompt: &[TokenId]) -> Result<Vec<TokenId>, TaskError> {
        let opening: Vec<TokenId> = self.begin(prompt).into_iter().chain(self.reply_opening(next)?).collect();
        Ok(if opening.is_empty() { prompt.last().copied().into_iter().collect() } else { opening })
    }

    /// The begin-of-text token, if the prompt has one.
    fn begin(&self, prompt: &[TokenId]) -> Option<TokenId> {
        prompt.first().copied().filter(|first| self.tokenizer.bos() == Some(*first))
    }

    /// What the template adds to open a reply of `next`: nothing with templates that do not.
    fn reply_opening(&self, next: Speaker) -> Result<Vec<TokenId>, TaskError> {
        let turns = [Turn::new(next.other(), "a")];
        let (without, with) = (self.render(&turns, None, false)?, self.render(&turns, None, true)?);
        let common = without.iter().zip(&with).take_while(|(a, b)| a == b).count();
        Ok(with[common..].to_vec())
    }

    /// The last special token of a rendered reply, or the end token that the tokenizer names.
    fn end_token(&self, next: Speaker) -> Result<Option<TokenId>, TaskError> {
        let text = [Turn::new(next.other(), "a"), Turn::new(next, "a")];
        let rendered = self.encode_messages(messages(&text, next, self.extras.reply_format), false)?;
        let opening = self.reply_opening(next)?;
        let special = rendered.iter().rev().copied().find(|&id| self.tokenizer.is_special(id) && !opening.contains(&id));
        Ok(special.or(self.tokenizer.eos()))
    }

    fn render(&self, turns: &[Turn], instructions: Option<&str>, opens_reply: bool) -> Result<Vec<TokenId>, TaskError> {
        let next = turns.last().map_or(Speaker::Agent, |turn| turn.speaker.other());
        let format = self.extras.reply_format;
        let mut turns = merged(turns, next, format);
        if format == ReplyFormat::Speakers {
            return self.encode_messages(messages(&turns, next, format), opens_reply);
        }
        let told = instructions.unwrap_or(INSTRUCTIONS);
        if instructions.is_none() && self.generator.context() >= ROOM_FOR_EXAMPLES {
            let sides = [next.other(), next];
            let examples = EXAMPLES.iter().flat_map(|talk| sides.into_iter().zip(talk));
            turns.splice(0..0, examples.map(|(side, said)| Turn::new(side, *said)));
        }
        let mut with_system = messages(&turns, next, format);
        with_system.insert(0, Message::new("system", told));
        match self.encode_messages(with_system, opens_reply) {
            // Some templates take no system message; the first message then carries the instructions.
            Err(TaskError::Text(TextError::TemplateRefused { .. } | TextError::TemplateFailed { .. })) => {
                if let Some(first) = turns.first_mut() {
                    first.text = format!("{told}\n\n{}", first.text);
                }
                self.encode_messages(messages(&turns, next, format), opens_reply)
            }
            rendered => rendered,
        }
    }

    fn encode_messages(&self, messages: Vec<Message>, add_generation_prompt: bool) -> Result<Vec<TokenId>, TaskError> {
        let input = TemplateInput { messages, add_generation_prompt, now: self.now, ..TemplateInput::default() };
        Ok(self.template.encode(&self.tokenizer, &input)?)
    }
}

impl std::fmt::Debug for ReplyModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyModel").field("generator", &self.generator).field("extras", &self.extras).finish_non_exhaustive()
    }
}

/// Messages of one side that follow each other as one. In the assistant format the conversation begins with the user's
/// first, as many templates insist.
fn merged(turns: &[Turn], next: Speaker, format: ReplyFormat) -> Vec<Turn> {
    let skipped = turns.iter().take_while(|turn| format == ReplyFormat::Assistant && turn.speaker == next).count();
    let mut merged: Vec<Turn> = vec![];
    for turn in &turns[skipped..] {
        match merged.last_mut() {
            Some(before) if before.speaker == turn.speaker => before.text = format!("{}\n{}", before.text, turn.text),
            _ => merged.push(turn.clone()),
        }
    }
    merged
}

/// The turns under the roles of the format.
fn messages(turns: &[Turn], next: Speaker, format: ReplyFormat) -> Vec<Message> {
    let role = |speaker: Speaker| match format {
        ReplyFormat::Speakers => speaker.name(),
        ReplyFormat::Assistant if speaker == next => "assistant",
        ReplyFormat::Assistant => "user",
    };
    turns.iter().map(|turn| Message::new(role(turn.speaker), turn.text.as_str())).collect()
}

/// What `fits` gives for the longest end of `text` that it takes: cut before a word or, if not even the last word fits,
/// inside it. The whole text is known not to fit.
fn longest_end<T>(text: &str, fits: impl Fn(&str) -> Result<Option<T>, TaskError>) -> Result<Option<T>, TaskError> {
    let words: Vec<usize> = text.split_whitespace().map(|word| word.as_ptr() as usize - text.as_ptr() as usize).collect();
    let last_word = words.last().copied().unwrap_or(0);
    let letters: Vec<usize> = text[last_word..].char_indices().map(|(at, _)| last_word + at).collect();
    match first_that_fits(text, &words, &fits)? {
        Some(fitting) => Ok(Some(fitting)),
        None => first_that_fits(text, &letters, &fits),
    }
}

/// What `fits` gives for the end of `text` from the first of `starts` that it takes, found by halving; not from `starts[0]`.
fn first_that_fits<T>(
    text: &str,
    starts: &[usize],
    fits: impl Fn(&str) -> Result<Option<T>, TaskError>,
) -> Result<Option<T>, TaskError> {
    let (mut too_early, mut late) = (0, starts.len());
    let mut best = None;
    while too_early + 1 < late {
        let middle = too_early + (late - too_early) / 2;
        match fits(&text[starts[middle]..])? {
            Some(fitting) => (best, late) = (Some(fitting), middle),
            None => too_early = middle,
        }
    }
    Ok(best)
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
