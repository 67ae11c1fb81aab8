//! Replies from a model that gives text alone: several are asked for in one prompt, a line each, and taken apart.

use super::admission::Admission;
use super::{Reason, Reply, ReplyScores, ReplyTiming, ReplyUsage, SmartReply, SmartReplyRequest, Status, ValidSmartReply};
use super::{ReplySource, screening};
use crate::conversation::Conversation;
use crate::error::TaskError;
use crate::language::LanguageGate;
use crate::reply::{select, tidy};
use std::time::Duration;

/// Characters of a conversation that count, its end: with a token a character, as in Chinese, they fit a context of 4,096.
const MOST_CHARS: usize = 3000;

/// What a model of text is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyPrompt {
    /// What it is told to be and to do.
    pub instructions: String,
    /// The conversation, a line for each message, and whose reply is wanted.
    pub message: String,
    /// Tokens that all replies together may have.
    pub max_new_tokens: usize,
    /// Temperature of sampling.
    pub temperature: f32,
    /// Nucleus of sampling.
    pub top_p: f32,
    /// The seed.
    pub seed: u64,
}

/// What it wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenReplies {
    /// The text, a reply a line.
    pub text: String,
    /// Whether it came to an end by itself; otherwise the last line may be cut off.
    pub finished: bool,
}

/// Replies for the side whose turn it is, written by `ask`, under the same rules of safety and language as those of
/// [`SmartReplier`](super::SmartReplier). Without likelihoods they are ranked by the order in which they were written. `clock` gives
/// the time since any fixed moment. Of a bank nothing is known here: it needs likelihoods.
///
/// # Errors
/// [`TaskError::InvalidOption`], and those of `ask`.
pub fn replies_in_text<E: From<TaskError>>(
    request: SmartReplyRequest,
    clock: impl Fn() -> Duration,
    ask: impl FnOnce(ReplyPrompt) -> Result<WrittenReplies, E>,
) -> Result<SmartReply, E> {
    let request = request.validate()?;
    let begun = clock();
    let total = || clock().saturating_sub(begun);
    let languages = request.options().languages.as_deref().unwrap_or_default();
    let scores = ReplyScores::AsWritten;
    if let Some(reason) = screening::screen(request.conversation(), &LanguageGate::new(languages)) {
        let timing = ReplyTiming { total: total(), ..ReplyTiming::default() };
        return Ok(SmartReply { scores, ..SmartReply::without_replies(reason, ReplyUsage::default(), timing) });
    }
    let written = ask(prompt(&request))?;
    let generate = total();
    let candidates = lines(&written, request.options().max_chars);
    let mut admission = Admission::new(request.conversation(), None);
    let fit: Vec<&String> = candidates.iter().filter(|text| admission.refuses(text, ReplySource::Model).is_none()).collect();
    let ranked = fit.iter().zip(0_u16..).map(|(text, place)| ((*text).clone(), -f32::from(place))).collect();
    let chosen = select(ranked, request.options().count, request.options().diversity);
    let replies: Vec<Reply> = chosen.into_iter().map(|(text, score)| Reply { text, score, source: ReplySource::Model }).collect();
    let usage = ReplyUsage { candidates: candidates.len(), ranked: fit.len(), ..ReplyUsage::default() };
    let timing = ReplyTiming { generate, rank: total().saturating_sub(generate), total: total() };
    Ok(match replies.is_empty() {
        true => SmartReply { scores, ..SmartReply::without_replies(Reason::NoGoodCandidate, usage, timing) },
        false => SmartReply { status: Status::Ok, reason: None, scores, replies, usage, timing, considered: vec![] },
    })
}

fn prompt(request: &ValidSmartReply) -> ReplyPrompt {
    let (conversation, options) = (request.conversation(), request.options());
    let (next, wanted) = (conversation.next_speaker(), options.candidates);
    let told = conversation.instructions.as_deref().map(|told| format!("{told}\n\n")).unwrap_or_default();
    let task = format!(
        "Suggest {wanted} different replies that the {next} could send next, in the language of the conversation. \
         Each is one short, friendly sentence, on a line of its own. Write the replies alone: no numbers, no quotes, no names."
    );
    ReplyPrompt {
        instructions: format!("{told}{task}"),
        message: format!("{}\n\n{wanted} replies of the {next}, one a line:", transcript(conversation)),
        max_new_tokens: wanted * options.max_new_tokens,
        temperature: options.temperature,
        top_p: options.top_p,
        seed: options.seed,
    }
}

/// The end of a conversation, a line for each message, whatever lines a message has: none can pass for several.
fn transcript(conversation: &Conversation) -> String {
    let mut lines: Vec<String> = vec![];
    let mut room = MOST_CHARS;
    for turn in conversation.turns.iter().rev() {
        let words: Vec<&str> = turn.text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|w| !w.is_empty()).collect();
        let text = words.join(" ");
        let length = text.chars().count();
        if length > room && !lines.is_empty() {
            break;
        }
        let end: String = text.chars().skip(length.saturating_sub(room)).collect();
        lines.push(format!("{}: {end}", turn.speaker));
        room = room.saturating_sub(length);
    }
    lines.reverse();
    lines.join("\n")
}

/// The replies in a text: its lines, without numbers before them, a sentence that announces them, and whatever else is no part of
/// a reply.
fn lines(written: &WrittenReplies, max_chars: usize) -> Vec<String> {
    let mut lines: Vec<&str> = written.text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let last = lines.len().saturating_sub(1);
    let cut = (!written.finished).then_some(last);
    let announced = lines.first().is_some_and(|line| line.ends_with(':')) && lines.len() > 1;
    let mut replies = vec![];
    for (i, line) in lines.iter_mut().enumerate().skip(usize::from(announced)) {
        let place = i + 1 - usize::from(announced);
        let bare = without_number(line, place).trim_matches('*');
        replies.extend(tidy(bare, cut != Some(i), max_chars));
    }
    replies
}

/// A line without the number of its place: `2. Yes.`, `2) Yes.`. Other numbers belong to what it says.
fn without_number(line: &str, place: usize) -> &str {
    let rest = line.strip_prefix(&place.to_string()).and_then(|rest| rest.strip_prefix(['.', ')', ':']));
    rest.filter(|rest| rest.starts_with(char::is_whitespace)).map_or(line, str::trim_start)
}

#[cfg(test)]
#[path = "text_tests.rs"]
mod tests;
