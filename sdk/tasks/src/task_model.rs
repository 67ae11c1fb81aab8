//! A model as any task sees it: prompts by its chat template, the tokens around a turn, the budget of tokens, the prefix that prompts
//! share.

use crate::error::TaskError;
use kinglet_generate::{Generator, TokenId, common_prefix, fixed_tokens};
use kinglet_text::{ChatTemplate, DateTime, Message, Specials, TemplateInput, Tokenizer};
use std::sync::{Arc, Mutex, PoisonError};

/// Characters that a token stands for at most, generously: longer text is cut before it is tokenized at all.
const CHARS_PER_TOKEN: usize = 24;

/// A model for tasks: the generator with its tokenizer and chat template. Clones share what was found out about the template.
#[derive(Clone)]
pub struct TaskModel {
    generator: Generator,
    tokenizer: Arc<Tokenizer>,
    template: ChatTemplate,
    now: Option<DateTime>,
    /// Tokens around a turn, by who asks and who answers; two of them, one for each side, in most tasks.
    turns: Arc<Mutex<Vec<KnownTurn>>>,
}

/// The roles that ask and answer, and the tokens around a turn of the one that answers.
type KnownTurn = ([String; 2], Arc<TurnTokens>);

/// The tokens around the turn of the side that answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TurnTokens {
    /// What the template adds to open the turn: none with templates that add nothing.
    pub(crate) opening: Vec<TokenId>,
    /// The token that ends the turn: the last special token of a rendered one, else the end token that the tokenizer names.
    pub(crate) end: Option<TokenId>,
}

impl TaskModel {
    /// A model whose templates are told no time: those that ask for the date use one of their own or fail.
    pub fn new(generator: Generator, tokenizer: Arc<Tokenizer>, template: ChatTemplate) -> Self {
        Self { generator, tokenizer, template, now: None, turns: Arc::default() }
    }

    /// The same model, whose template is told this local time.
    #[must_use]
    pub fn at(self, now: DateTime) -> Self {
        Self { now: Some(now), turns: Arc::default(), ..self }
    }

    /// The generator that runs it.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    pub(crate) fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The tokens of a text that somebody typed.
    pub(crate) fn encode(&self, text: &str) -> Result<Vec<TokenId>, TaskError> {
        Ok(self.tokenizer.encode(text, Specials::TEXT)?)
    }

    /// The text of generated tokens.
    pub(crate) fn decode(&self, tokens: &[TokenId]) -> Result<String, TaskError> {
        Ok(self.tokenizer.decode(tokens, true)?)
    }

    /// The prompt that the template makes of `messages`, with or without what opens the next turn.
    pub(crate) fn render(&self, messages: Vec<Message>, opens_turn: bool) -> Result<Vec<TokenId>, TaskError> {
        let input = TemplateInput { messages, add_generation_prompt: opens_turn, now: self.now, ..TemplateInput::default() };
        Ok(self.template.encode(&self.tokenizer, &input)?)
    }

    /// The tokens around a turn of the role `answers` after one of `asks`: rendered once for each pair of roles.
    pub(crate) fn turn(&self, asks: &str, answers: &str) -> Result<Arc<TurnTokens>, TaskError> {
        let known = || self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, turn)) = known().iter().find(|(roles, _)| roles == &[asks, answers]) {
            return Ok(turn.clone());
        }
        let asked = vec![Message::new(asks, "a")];
        let answered = [asked.clone(), vec![Message::new(answers, "a")]].concat();
        let (closed, mut open) = (self.render(asked.clone(), false)?, self.render(asked, true)?);
        let opening = open.split_off(common_prefix(&closed, &open));
        let rendered = self.render(answered, false)?;
        let special = rendered.into_iter().rev().find(|&id| self.tokenizer.is_special(id) && !opening.contains(&id));
        let turn = Arc::new(TurnTokens { opening, end: special.or(self.tokenizer.eos()) });
        known().push(([asks.to_owned(), answers.to_owned()], turn.clone()));
        Ok(turn)
    }

    /// The begin-of-text token, if the prompt has one.
    pub(crate) fn begin(&self, prompt: &[TokenId]) -> Option<TokenId> {
        prompt.first().copied().filter(|first| self.tokenizer.bos() == Some(*first))
    }

    /// Tokens that a prompt may have where `answer` more follow.
    ///
    /// # Errors
    /// [`TaskError::ContextTooSmall`] where the answer alone is longer than the context.
    pub(crate) fn room(&self, answer: usize) -> Result<usize, TaskError> {
        let context = self.generator.context();
        context.checked_sub(answer).ok_or(TaskError::ContextTooSmall { context, reply: answer })
    }

    /// The tokens that `render` makes of `texts` without the oldest of them, as many as fit in `room` tokens; of the last one alone, its
    /// end. `None` where not even that fits. `render` is given the first text that stays and, where it was cut, its rest.
    pub(crate) fn fit(
        &self,
        texts: &[&str],
        room: usize,
        render: impl Fn(usize, Option<&str>) -> Result<Vec<TokenId>, TaskError>,
    ) -> Result<Option<Vec<TokenId>>, TaskError> {
        let fits = |length: usize, first: usize, rest: Option<&str>| {
            if length > room.saturating_mul(CHARS_PER_TOKEN) {
                return Ok(None);
            }
            let tokens = render(first, rest)?;
            Ok((tokens.len() <= room).then_some(tokens))
        };
        for first in 0..texts.len() {
            if let Some(tokens) = fits(texts[first..].iter().map(|text| text.len()).sum(), first, None)? {
                return Ok(Some(tokens));
            }
        }
        let Some(last) = texts.last() else { return Ok(None) };
        longest_end(last, |rest| fits(rest.len(), texts.len() - 1, Some(rest)))
    }

    /// The common prefix of all prompts that `render` makes of what is said, whatever that is; none where it makes none.
    pub(crate) fn fixed_tokens(&self, render: impl Fn(&str) -> Result<Vec<TokenId>, TaskError>) -> Vec<TokenId> {
        fixed_tokens(|said| render(said).unwrap_or_default())
    }
}

impl std::fmt::Debug for TaskModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TaskModel").field("generator", &self.generator).finish_non_exhaustive()
    }
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
mod tests {
    use super::*;
    use crate::fixture::{AGENT, BEGIN, CUSTOMER, END, SPEAKERS, bench, replying, tokens};

    fn model(context: usize) -> TaskModel {
        bench(replying(&[]), SPEAKERS, "{}", context).model.model().clone()
    }

    #[test]
    fn a_turn_is_rendered_once_for_each_side() {
        let model = model(64);
        let (agent, customer) = (model.turn("customer", "agent").unwrap(), model.turn("agent", "customer").unwrap());
        assert_eq!((&agent.opening[..], agent.end), (&[AGENT][..], Some(END)));
        assert_eq!((&customer.opening[..], customer.end), (&[CUSTOMER][..], Some(END)));
        let shared = model.clone().turn("customer", "agent").unwrap();
        assert!(Arc::ptr_eq(&agent, &shared), "clones share it");
        assert!(
            !Arc::ptr_eq(&agent, &model.at(DateTime::default()).turn("customer", "agent").unwrap()),
            "another time may be another turn"
        );
    }

    #[test]
    fn the_newest_texts_fit_and_a_long_one_keeps_its_end() {
        let model = model(64);
        let render = |first: usize, rest: Option<&str>| {
            let texts = ["one", "two", "three four"];
            Ok(tokens(&rest.map_or_else(|| texts[first..].join("|"), str::to_owned)))
        };
        let fit = |room| model.fit(&["one", "two", "three four"], room, render).unwrap();
        assert_eq!(fit(18), Some(tokens("one|two|three four")));
        assert_eq!(fit(17), Some(tokens("two|three four")));
        assert_eq!(fit(10), Some(tokens("three four")));
        assert_eq!(fit(9), Some(tokens("four")));
        assert_eq!(fit(3), Some(tokens("our")));
        assert_eq!(fit(0), None);
        assert_eq!(model.fit(&[], 9, |_, _| Ok(vec![])).unwrap(), None);
        assert!(matches!(model.room(65), Err(TaskError::ContextTooSmall { context: 64, reply: 65 })));
        assert_eq!((model.room(64).unwrap(), model.begin(&[BEGIN, 1])), (0, Some(BEGIN)));
    }

    #[test]
    fn prompts_share_what_does_not_depend_on_what_is_said() {
        let fixed = model(64).fixed_tokens(|said| Ok(tokens(&format!("<|begin|>Be kind. {said}"))));
        assert_eq!(fixed, tokens("<|begin|>Be kind. "));
    }
}
