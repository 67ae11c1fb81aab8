//! Smart reply: the request, its checks, and the way from a conversation to the replies shown.
//!
//! The way has five stations: [`screen`](screening::screen) refuses what must not or cannot be answered; candidates come
//! from the model or from the caller's bank; those that are unfit, leak a secret or echo are dropped; the ranker scores
//! the rest; the best that differ are chosen.

mod answer;
mod request;
mod screening;
mod text;

pub use answer::{Reason, Reply, ReplyScores, ReplyTiming, ReplyUsage, SmartReply, Status};
pub use request::{SmartReplyOptions, SmartReplyRequest, ValidSmartReply};
pub use text::{ReplyPrompt, WrittenReplies, replies_in_text};

use crate::conversation::Conversation;
use crate::error::TaskError;
use crate::language::LanguageGate;
use crate::model::ReplyModel;
use crate::ranking::ReplyRanker;
use crate::reply::{same_words, select, tidy};
use crate::safety::{Origin, Secrets, is_unfit};
use kinglet_generate::{CancelToken, CandidateOptions, FinishReason, FirstToken, ReadPrompt, SamplingOptions, candidates_after};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Time since any fixed moment.
type Clock = dyn Fn() -> Duration + Send + Sync;

/// Suggests replies with one model. Threads may share it.
pub struct SmartReplier {
    ranker: ReplyRanker,
    clock: Box<Clock>,
}

/// Replies before they are ranked.
struct Proposals {
    texts: Vec<String>,
    origin: Origin,
    usage: ReplyUsage,
    /// The prompt that they were generated after.
    read: Option<ReadPrompt>,
}

impl SmartReplier {
    /// A replier that tells the time by the system's monotonic clock.
    pub fn new(model: Arc<ReplyModel>) -> Self {
        let started = Instant::now();
        Self::with_clock(model, move || started.elapsed())
    }

    /// A replier that tells the time by `clock`, which gives the time since any fixed moment.
    pub fn with_clock(model: Arc<ReplyModel>, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { ranker: ReplyRanker::new(model), clock: Box::new(clock) }
    }

    /// What ranks the replies: for callers that rank their own with the same model.
    pub fn ranker(&self) -> &ReplyRanker {
        &self.ranker
    }

    /// Replies for the side whose turn it is. That there is no good one is an answer ([`Status`]), not an error. The same
    /// request and seed give the same replies.
    ///
    /// # Errors
    /// [`TaskError::InvalidOption`]; and [`TaskError::ContextTooSmall`], [`TaskError::Text`], [`TaskError::Generate`],
    /// [`TaskError::Cancelled`] from the model.
    pub fn reply(&self, request: SmartReplyRequest, cancel: &CancelToken) -> Result<SmartReply, TaskError> {
        self.reply_to(&request.validate()?, cancel)
    }

    fn reply_to(&self, request: &ValidSmartReply, cancel: &CancelToken) -> Result<SmartReply, TaskError> {
        let begun = (self.clock)();
        let languages = request.options().languages.as_ref().unwrap_or(&self.model().extras().languages);
        if let Some(reason) = screening::screen(request.conversation(), &LanguageGate::new(languages)) {
            let total = (self.clock)().saturating_sub(begun);
            return Ok(SmartReply::without_replies(reason, ReplyUsage::default(), ReplyTiming { total, ..Default::default() }));
        }
        let screened = (self.clock)();
        let proposals = self.propose(request, cancel)?;
        let proposed = (self.clock)();
        let usage = proposals.usage;
        let (replies, ranked) = self.choose(request, proposals, cancel)?;
        let usage = ReplyUsage { ranked, ..usage };
        let done = (self.clock)();
        let timing = ReplyTiming {
            generate: proposed.saturating_sub(screened),
            rank: done.saturating_sub(proposed),
            total: done.saturating_sub(begun),
        };
        log::debug!("{} of {} candidate replies chosen", replies.len(), usage.candidates);
        Ok(match replies.is_empty() {
            true => SmartReply::without_replies(Reason::NoGoodCandidate, usage, timing),
            false => SmartReply { status: Status::Ok, reason: None, scores: ReplyScores::Likelihoods, replies, usage, timing },
        })
    }

    fn model(&self) -> &ReplyModel {
        self.ranker.model()
    }

    fn propose(&self, request: &ValidSmartReply, cancel: &CancelToken) -> Result<Proposals, TaskError> {
        match &request.options().bank {
            Some(bank) => {
                let usage = ReplyUsage { candidates: bank.len(), ..ReplyUsage::default() };
                Ok(Proposals { texts: bank.clone(), origin: Origin::Bank, usage, read: None })
            }
            None => self.generate(request, cancel),
        }
    }

    /// Candidates decoded as one batch: each begins with another of the likeliest first tokens and goes on by sampling.
    fn generate(&self, request: &ValidSmartReply, cancel: &CancelToken) -> Result<Proposals, TaskError> {
        let options = request.options();
        let prompt = self.model().prompt(request.conversation(), options.max_new_tokens)?;
        let asked = CandidateOptions {
            count: options.candidates,
            max_new_tokens: options.max_new_tokens,
            sampling: SamplingOptions {
                temperature: options.temperature,
                top_p: options.top_p,
                seed: Some(options.seed),
                ..SamplingOptions::default()
            },
            first_token: FirstToken::Ranked,
            end_tokens: prompt.end.into_iter().collect(),
        };
        let mut read = ReadPrompt::new(self.model().generator(), &prompt.tokens, cancel)?;
        let found = candidates_after(&mut read, &asked, cancel)?;
        let mut texts = vec![];
        for candidate in &found.candidates {
            let finished = matches!(candidate.finish, FinishReason::EndOfTurn(_));
            texts.extend(tidy(&self.model().decode(&candidate.tokens)?, finished, options.max_chars));
        }
        let usage = ReplyUsage {
            prompt_tokens: found.usage.prompt_tokens,
            new_tokens: found.usage.new_tokens,
            candidates: found.candidates.len(),
            ranked: 0,
        };
        Ok(Proposals { texts, origin: Origin::Generated, usage, read: Some(read) })
    }

    /// The replies to show, and how many were ranked.
    fn choose(
        &self,
        request: &ValidSmartReply,
        proposals: Proposals,
        cancel: &CancelToken,
    ) -> Result<(Vec<Reply>, usize), TaskError> {
        let (conversation, options) = (request.conversation(), request.options());
        let fit = admitted(conversation, &proposals.texts, proposals.origin);
        let scores = self.ranker.score_with(proposals.read, conversation, &fit, cancel)?;
        let likely = |logprob: f64, tokens: usize| {
            proposals.origin == Origin::Bank || logprob / tokens.max(1) as f64 >= f64::from(options.min_token_logprob)
        };
        let likely_enough = || scores.iter().filter(|s| s.score >= options.min_score && likely(s.logprob, s.tokens));
        let best = likely_enough().map(|s| s.score).fold(f32::NEG_INFINITY, f32::max);
        let good = likely_enough().filter(|s| proposals.origin == Origin::Bank || best - s.score <= options.max_gap);
        let ranked = good.map(|s| (fit[s.index].to_owned(), s.score)).collect();
        let chosen = select(ranked, options.count, options.diversity);
        Ok((chosen.into_iter().map(|(text, score)| Reply { text, score }).collect(), fit.len()))
    }
}

impl std::fmt::Debug for SmartReplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmartReplier").field("ranker", &self.ranker).finish_non_exhaustive()
    }
}

/// The texts, each once, that may be shown: fit for anyone, without secrets, and no echo of what either side said last.
fn admitted<'a>(conversation: &Conversation, texts: &'a [String], origin: Origin) -> Vec<&'a str> {
    let turns = &conversation.turns;
    let secrets = Secrets::in_texts(turns.iter().map(|turn| turn.text.as_str()));
    let last_of_each: Vec<&str> = [conversation.next_speaker(), conversation.next_speaker().other()]
        .into_iter()
        .filter_map(|side| turns.iter().rev().find(|turn| turn.speaker == side))
        .map(|turn| turn.text.as_str())
        .collect();
    let mut seen = HashSet::new();
    let texts = texts.iter().map(String::as_str).filter(|text| seen.insert(*text));
    texts
        .filter(|text| !last_of_each.iter().any(|said| same_words(said, text)))
        .filter(|text| !is_unfit(text) && !secrets.are_in(text, origin))
        .collect()
}

#[cfg(test)]
#[path = "smart_reply/tests.rs"]
mod tests;
