//! A model as reply tasks see it: how a conversation becomes its prompt, and what begins and ends a reply.

use crate::conversation::{Conversation, Speaker, Turn};
use crate::error::{ExtrasError, TaskError};
use crate::extras::{ModelExtras, ReplyFormat};
use crate::task_model::{TaskModel, TurnTokens};
use kinglet_generate::{Generator, TokenId};
use kinglet_text::{Message, Specials, TextError};
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

/// A model as reply tasks see it. Share it through an [`Arc`].
#[derive(Clone)]
pub struct ReplyModel {
    model: TaskModel,
    extras: ModelExtras,
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
    /// The model with what its folder says of replies.
    ///
    /// # Errors
    /// [`TaskError::Extras`] if `extras` names tokens that the model does not have.
    pub fn new(model: TaskModel, extras: ModelExtras) -> Result<Self, TaskError> {
        let mut reply_token = None;
        if let Some(ranking) = &extras.reply_ranking {
            let (last, vocab) = (ranking.rank_tokens[1], model.generator().info().vocab);
            if last as usize >= vocab {
                return Err(ExtrasError::BeyondVocabulary { last, vocab }.into());
            }
            let token = model.tokenizer().token_id(&ranking.reply_token).filter(|&id| (id as usize) < vocab);
            reply_token = Some(token.ok_or_else(|| ExtrasError::UnknownToken(ranking.reply_token.clone()))?);
        }
        Ok(Self { model, extras, reply_token })
    }

    /// The model below.
    pub fn model(&self) -> &TaskModel {
        &self.model
    }

    /// The generator that runs it.
    pub fn generator(&self) -> &Generator {
        self.model.generator()
    }

    /// The content of its `kinglet.json`.
    pub fn extras(&self) -> &ModelExtras {
        &self.extras
    }

    /// The tokens that the prompt of every conversation with the same instructions begins with, whatever is said in it, as far
    /// as no message has to be left out. None where the template refuses it.
    pub fn fixed_tokens(&self, conversation: &Conversation) -> Vec<TokenId> {
        let asks = conversation.next_speaker().other();
        self.model.fixed_tokens(|said| self.render(&[Turn::new(asks, said)], conversation.instructions.as_deref()))
    }

    /// What the model is told besides the conversation; `None` where it is told nothing.
    pub(crate) fn task(&self) -> Option<&str> {
        (self.extras.reply_format == ReplyFormat::Assistant).then_some(INSTRUCTIONS)
    }

    /// The token that ends a reply, if there is one.
    pub(crate) fn reply_end(&self) -> Result<Option<TokenId>, TaskError> {
        Ok(self.turn(Speaker::Agent)?.end)
    }

    /// The token that begins a reply whose vector is wanted, if the model ranks by vectors.
    pub(crate) fn reply_token(&self) -> Option<TokenId> {
        self.reply_token
    }

    /// The prompt after which the side whose turn it is replies, with room for `reply` more tokens. What does not fit is
    /// left out from the oldest message on; if the last message alone is too long, its beginning is.
    pub(crate) fn prompt(&self, conversation: &Conversation, reply: usize) -> Result<Prompt, TaskError> {
        let room = self.model.room(reply)?;
        let counted = conversation.counted();
        let (turns, instructions) = (&counted.turns, counted.instructions.as_deref());
        let texts: Vec<&str> = turns.iter().map(|turn| turn.text.as_str()).collect();
        if texts.is_empty() {
            return Err(TextError::EmptyConversation.into());
        }
        let tokens = self.model.fit(&texts, room, |first, rest| match rest {
            Some(rest) => self.render(&[Turn::new(turns[first].speaker, rest)], instructions),
            None => self.render(&turns[first..], instructions),
        })?;
        let context = self.generator().context();
        self.finish(tokens.ok_or(TaskError::ContextTooSmall { context, reply })?, counted.next_speaker())
    }

    /// The prompt with what opens its reply: what begins every prompt, then what opens the reply of `next`.
    fn finish(&self, tokens: Vec<TokenId>, next: Speaker) -> Result<Prompt, TaskError> {
        let turn = self.turn(next)?;
        let mut opening: Vec<TokenId> = self.model.begin(&tokens).into_iter().chain(turn.opening.iter().copied()).collect();
        if opening.is_empty() {
            opening.extend(tokens.last());
        }
        Ok(Prompt { opening, end: turn.end, opens_reply: true, tokens })
    }

    /// The prompt that `text` is, special tokens parsed. If it ends with what opens a reply, it is scored like a
    /// conversation; otherwise its last token stands for the opening, and no token ends a continuation.
    pub(crate) fn raw_prompt(&self, text: &str) -> Result<Prompt, TaskError> {
        let tokens = self.model.tokenizer().encode(text, Specials::PROMPT)?;
        for next in [Speaker::Agent, Speaker::Customer] {
            let turn = self.turn(next)?;
            if !turn.opening.is_empty() && tokens.ends_with(&turn.opening) {
                return self.finish(tokens, next);
            }
        }
        let opening = self.model.begin(&tokens).into_iter().chain(tokens.last().copied()).collect();
        Ok(Prompt { opening, end: None, opens_reply: false, tokens })
    }

    /// The tokens around a turn of `next`.
    fn turn(&self, next: Speaker) -> Result<Arc<TurnTokens>, TaskError> {
        let format = self.extras.reply_format;
        self.model.turn(role(next.other(), next, format), role(next, next, format))
    }

    fn render(&self, turns: &[Turn], instructions: Option<&str>) -> Result<Vec<TokenId>, TaskError> {
        let next = turns.last().map_or(Speaker::Agent, |turn| turn.speaker.other());
        let format = self.extras.reply_format;
        let mut turns = merged(turns, next, format);
        if format == ReplyFormat::Speakers {
            return self.model.render(messages(&turns, next, format), true);
        }
        let told = instructions.unwrap_or(INSTRUCTIONS);
        if instructions.is_none() && self.generator().context() >= ROOM_FOR_EXAMPLES {
            let sides = [next.other(), next];
            let examples = EXAMPLES.iter().flat_map(|talk| sides.into_iter().zip(talk));
            turns.splice(0..0, examples.map(|(side, said)| Turn::new(side, *said)));
        }
        let mut with_system = messages(&turns, next, format);
        with_system.insert(0, Message::new("system", told));
        match self.model.render(with_system, true) {
            // Some templates take no system message; the first message then carries the instructions.
            Err(TaskError::Text(TextError::TemplateRefused { .. } | TextError::TemplateFailed { .. })) => {
                if let Some(first) = turns.first_mut() {
                    first.text = format!("{told}\n\n{}", first.text);
                }
                self.model.render(messages(&turns, next, format), true)
            }
            rendered => rendered,
        }
    }
}

impl std::fmt::Debug for ReplyModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyModel").field("model", &self.model).field("extras", &self.extras).finish_non_exhaustive()
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
    turns.iter().map(|turn| Message::new(role(turn.speaker, next, format), turn.text.as_str())).collect()
}

/// The role of a speaker where it is the turn of `next`.
fn role(speaker: Speaker, next: Speaker, format: ReplyFormat) -> &'static str {
    match format {
        ReplyFormat::Speakers => speaker.name(),
        ReplyFormat::Assistant if speaker == next => "assistant",
        ReplyFormat::Assistant => "user",
    }
}

#[cfg(test)]
#[path = "reply_model_tests.rs"]
mod tests;
