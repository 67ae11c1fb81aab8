//! Smart reply: the request, its checks, and the way from a conversation to the replies shown.
//!
//! The way has five stations: [`screen`](screening::screen) refuses what must not or cannot be answered; candidates come
//! from the bank of the model, from the model itself, or from the caller's bank; those that are unfit, leak a secret, echo or make
//! something up are dropped ([`Admission`]); the rest are judged; the best that differ are chosen.
//!
//! A model with a bank of its own knows how surely a reply answers, and stays silent where none does ([`own_bank`]). Such a model may
//! judge what another one writes, beside its bank. With any other model alone the ranker orders what it wrote.

mod admission;
mod answer;
mod candidate;
mod own_bank;
mod request;
mod screening;
mod text;

pub use answer::{Reason, Reply, ReplyScores, ReplyTiming, ReplyUsage, SmartReply, Status};
pub use candidate::{Considered, Fate, ReplySource};
pub use request::{SmartReplyOptions, SmartReplyRequest, ValidSmartReply};
pub use text::{ReplyPrompt, WrittenReplies, replies_in_text};

use crate::bank::{NgramClassifier, ReadyBank, ReplyBank, normalised, probability, read_vectors, write_vectors};
use crate::conversation::Conversation;
use crate::error::TaskError;
use crate::extras::{BankSettings, ReplyRanking};
use crate::language::LanguageGate;
use crate::ranking::ReplyRanker;
use crate::reply::{select, tidy};
use crate::reply_model::{Prompt, ReplyModel};
use crate::safety::is_bad_news;
use admission::Admission;
use kinglet_generate::{
    CancelToken, CandidateOptions, FinishReason, FirstToken, PrefilledPrompt, SamplingOptions, TokenId, candidates_after,
};
use own_bank::Judged;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Time since any fixed moment.
type Clock = dyn Fn() -> Duration + Send + Sync;

/// Intents of the bank, the likeliest, of which a reply is looked for.
const INTENTS: usize = 12;

/// Suggests replies with one model. Threads may share it.
pub struct SmartReplier {
    ranker: ReplyRanker,
    clock: Box<Clock>,
    own: Option<OwnBank>,
}

/// The bank that comes with a model.
struct OwnBank {
    bank: ReplyBank,
    settings: BankSettings,
    ranking: ReplyRanking,
    /// A file of vectors made ahead.
    stored: Vec<u8>,
    ngrams: Option<Arc<NgramClassifier>>,
    /// Made at the first reply.
    ready: Mutex<Option<Arc<ReadyBank>>>,
}

/// A candidate that a model wrote.
struct Written {
    text: String,
    /// The mean log-probability of its tokens, the end token among them.
    token_logprob: f64,
}

/// What came of the candidates.
struct Outcome {
    scores: ReplyScores,
    replies: Vec<Reply>,
    usage: ReplyUsage,
    /// When candidates were there.
    proposed: Duration,
    considered: Vec<Considered>,
}

impl SmartReplier {
    /// A replier that tells the time by the system's monotonic clock.
    pub fn new(model: Arc<ReplyModel>) -> Self {
        let started = Instant::now();
        Self::with_clock(model, move || started.elapsed())
    }

    /// A replier that tells the time by `clock`, which gives the time since any fixed moment.
    pub fn with_clock(model: Arc<ReplyModel>, clock: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { ranker: ReplyRanker::new(model), clock: Box::new(clock), own: None }
    }

    /// The same with the bank that comes with the model, and the file of vectors made ahead for it ([`bank_vectors`](Self::bank_vectors)),
    /// empty where there is none: vectors that it lacks are computed at the first reply. `ngrams` is what the words of a message say of
    /// the bank's intents. A model whose `kinglet.json` has no `reply_bank` does not read the bank.
    #[must_use]
    pub fn with_bank(mut self, bank: ReplyBank, stored: Vec<u8>, ngrams: Option<NgramClassifier>) -> Self {
        let extras = self.model().extras();
        let settings = extras.reply_bank.clone().zip(extras.reply_ranking.clone());
        let ngrams = ngrams.map(Arc::new);
        self.own =
            settings.map(|(settings, ranking)| OwnBank { bank, settings, ranking, stored, ngrams, ready: Mutex::default() });
        self
    }

    /// The file of vectors that makes the first reply with the model's own bank fast; `None` where it has none.
    ///
    /// # Errors
    /// [`TaskError::Text`], [`TaskError::Generate`], [`TaskError::Cancelled`].
    pub fn bank_vectors(&self, cancel: &CancelToken) -> Result<Option<Vec<u8>>, TaskError> {
        let Some(own) = &self.own else { return Ok(None) };
        let texts: Vec<&str> = own.bank.texts().collect();
        let vectors = self.ranker.reply_vectors(&own.ranking, &texts, self.model().reply_end()?, cancel)?;
        let rows = texts.iter().zip(&vectors).map(|(text, vector)| (*text, &**vector));
        Ok(Some(write_vectors(own.ranking.columns().len(), rows)))
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
        self.reply_to(&request.validate()?, None, cancel)
    }

    /// As [`reply`](Self::reply), and `judge`, whose model has a bank, judges what this one writes: its bank fills in, and where
    /// neither is sure there is no reply. A model with a bank of its own judges by itself, and so does any where the judge does not
    /// speak the conversation's language.
    ///
    /// # Errors
    /// As [`reply`](Self::reply), from either model.
    pub fn reply_judged_by(
        &self,
        judge: &SmartReplier,
        request: SmartReplyRequest,
        cancel: &CancelToken,
    ) -> Result<SmartReply, TaskError> {
        self.reply_to(&request.validate()?, Some(judge), cancel)
    }

    fn reply_to(
        &self,
        request: &ValidSmartReply,
        judge: Option<&SmartReplier>,
        cancel: &CancelToken,
    ) -> Result<SmartReply, TaskError> {
        let begun = (self.clock)();
        let languages = request.options().languages.as_ref().unwrap_or(&self.model().extras().languages);
        if let Some(reason) = screening::screen(request.conversation(), &LanguageGate::new(languages)) {
            let total = (self.clock)().saturating_sub(begun);
            return Ok(SmartReply::without_replies(reason, ReplyUsage::default(), ReplyTiming { total, ..Default::default() }));
        }
        let screened = (self.clock)();
        let outcome = match (&request.options().bank, self.judge_of(request.conversation(), judge)) {
            (Some(bank), _) => self.of_callers_bank(request, bank, cancel)?,
            (None, Some((judge, own))) => self.of_own_bank(request, judge, own, cancel)?,
            (None, None) => self.of_model(request, cancel)?,
        };
        let Outcome { scores, replies, usage, proposed, considered } = outcome;
        let done = (self.clock)();
        let timing = ReplyTiming {
            generate: proposed.saturating_sub(screened),
            rank: done.saturating_sub(proposed),
            total: done.saturating_sub(begun),
        };
        log::debug!("{} of {} candidate replies chosen", replies.len(), usage.candidates);
        let considered = if request.options().explain { considered } else { vec![] };
        Ok(match replies.is_empty() {
            true => SmartReply { considered, scores, ..SmartReply::without_replies(Reason::NoGoodCandidate, usage, timing) },
            false => SmartReply { status: Status::Ok, reason: None, scores, replies, usage, timing, considered },
        })
    }

    fn model(&self) -> &ReplyModel {
        self.ranker.model()
    }

    /// Whose bank judges: that of this model, or that of `judge`, if it speaks the conversation's language.
    fn judge_of<'a>(
        &'a self,
        conversation: &Conversation,
        judge: Option<&'a SmartReplier>,
    ) -> Option<(&'a SmartReplier, &'a OwnBank)> {
        let speaks = |judge: &&SmartReplier| {
            screening::screen(conversation, &LanguageGate::new(&judge.model().extras().languages)).is_none()
        };
        let judge = if self.own.is_some() { self } else { judge.filter(speaks)? };
        judge.own.as_ref().map(|own| (judge, own))
    }

    /// The caller's bank, ranked. After bad news only what comforts is shown, where the model's own bank can tell and there is any.
    fn of_callers_bank(&self, request: &ValidSmartReply, bank: &[String], cancel: &CancelToken) -> Result<Outcome, TaskError> {
        let usage = ReplyUsage { candidates: bank.len(), ..ReplyUsage::default() };
        let (mut shown, mut unfit) = (bank.to_vec(), vec![]);
        if let Some(own) = self.own.as_ref().filter(|_| tells_bad_news(request.conversation())) {
            let end = self.model().reply_end()?;
            let ready = self.ready(own, end, cancel)?;
            let texts: Vec<&str> = bank.iter().map(String::as_str).collect();
            let vectors = self.ranker.reply_vectors(&own.ranking, &texts, end, cancel)?;
            let comforts = vectors.iter().map(|vector| ready.is_comforting(ready.nearest(vector)));
            let (comforting, others): (Vec<_>, Vec<_>) = bank.iter().cloned().zip(comforts).partition(|(_, comforts)| *comforts);
            if !comforting.is_empty() {
                let texts = |some: Vec<(String, bool)>| some.into_iter().map(|(text, _)| text).collect();
                (shown, unfit) = (texts(comforting), texts(others));
            }
        }
        let mut outcome = self.ranked(request, shown, ReplySource::Bank, None, usage, cancel)?;
        let (source, fate) = (ReplySource::Bank, Fate::NotForBadNews);
        outcome.considered.extend(unfit.into_iter().map(|text| Considered { text, source, intent: None, score: None, fate }));
        Ok(outcome)
    }

    /// What the model writes, ranked by itself.
    fn of_model(&self, request: &ValidSmartReply, cancel: &CancelToken) -> Result<Outcome, TaskError> {
        let (written, read, usage) = self.written(request, None, cancel)?;
        let texts = written.into_iter().map(|written| written.text).collect();
        self.ranked(request, texts, ReplySource::Model, Some(read), usage, cancel)
    }

    /// The bank of `judge`, which may be this replier itself, and what this model writes, judged together.
    fn of_own_bank(
        &self,
        request: &ValidSmartReply,
        judge: &SmartReplier,
        own: &OwnBank,
        cancel: &CancelToken,
    ) -> Result<Outcome, TaskError> {
        let (conversation, options) = (request.conversation(), request.options());
        let prompt = judge.model().prompt(conversation, options.max_new_tokens)?;
        let read = PrefilledPrompt::new(judge.model().generator(), &prompt.tokens, cancel)?;
        let bank = judge.ready(own, prompt.end, cancel)?;
        let context = normalised(&read.logits()[own.ranking.columns()]);
        let mut judgement = bank.judge(&context, &conversation.turn_taking());
        judgement.is_bad_news |= tells_bad_news(conversation);
        let mut usage = ReplyUsage { prompt_tokens: prompt.tokens.len(), ..ReplyUsage::default() };
        let mut written = vec![];
        if !judgement.is_bad_news && own.settings.written_threshold.is_some() {
            let same = std::ptr::eq(self, judge).then_some((prompt.clone(), read));
            (written, _, usage) = self.written(request, same, cancel)?;
        }
        let proposed = (self.clock)();
        let mut admission = Admission::new(conversation, self.model().task());
        let tone = own_bank::tone_of(conversation);
        let admits = |text: &str| admission.refuses(text, ReplySource::Bank).is_none();
        let mut candidates = own_bank::of_each_intent(&bank, &judgement, tone, INTENTS, admits);
        usage.candidates += candidates.len();
        let mut considered = vec![];
        if !written.is_empty() {
            let (fit, dropped) = admitted(&mut admission, written, ReplySource::Model, |written| &written.text);
            considered = dropped;
            let texts: Vec<&str> = fit.iter().map(|written| written.text.as_str()).collect();
            let vectors = judge.ranker.reply_vectors(&own.ranking, &texts, prompt.end, cancel)?;
            candidates.extend(fit.iter().zip(vectors).map(|(written, vector)| {
                let intent = bank.nearest(&vector);
                let is_likely = written.token_logprob >= f64::from(options.min_token_logprob);
                Judged {
                    text: written.text.clone(),
                    source: ReplySource::Model,
                    intent,
                    score: probability(bank.logit(&context, &vector) + judgement.by_words(intent)),
                    fate: if is_likely { Fate::NotNeeded } else { Fate::Unlikely },
                }
            }));
        }
        usage.ranked = candidates.len();
        own_bank::decide(&bank, &mut candidates, judgement.is_bad_news, options.count);
        let shown = candidates.iter().filter(|candidate| candidate.fate == Fate::Shown);
        let replies = shown.map(|c| Reply { text: c.text.clone(), score: c.score, source: c.source }).collect();
        let judged: Vec<Considered> = candidates.into_iter().map(|candidate| candidate.considered(&bank)).collect();
        considered.splice(0..0, judged);
        Ok(Outcome { scores: ReplyScores::Probabilities, replies, usage, proposed, considered })
    }

    /// What the model writes, and its prompt as it was read: `read`, where that was done before.
    fn written(
        &self,
        request: &ValidSmartReply,
        read: Option<(Prompt, PrefilledPrompt)>,
        cancel: &CancelToken,
    ) -> Result<(Vec<Written>, PrefilledPrompt, ReplyUsage), TaskError> {
        let (prompt, mut read) = match read {
            Some(read) => read,
            None => {
                let prompt = self.model().prompt(request.conversation(), request.options().max_new_tokens)?;
                let read = PrefilledPrompt::new(self.model().generator(), &prompt.tokens, cancel)?;
                (prompt, read)
            }
        };
        let (written, usage) = self.write(request, &prompt, &mut read, cancel)?;
        Ok((written, read, usage))
    }

    /// The bank with its vectors, which are read or computed at the first call.
    fn ready(&self, own: &OwnBank, end: Option<TokenId>, cancel: &CancelToken) -> Result<Arc<ReadyBank>, TaskError> {
        let mut ready = own.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bank) = &*ready {
            return Ok(bank.clone());
        }
        let columns = own.ranking.columns().len();
        let mut known = read_vectors(&own.stored, columns, own.bank.texts()).unwrap_or_default();
        let missing: Vec<&str> = own.bank.texts().filter(|text| !known.contains_key(*text)).collect();
        if !missing.is_empty() {
            log::info!("the vectors of {} replies of the bank are computed; `bank.vectors` lacks them", missing.len());
            let computed = self.ranker.reply_vectors(&own.ranking, &missing, end, cancel)?;
            known.extend(missing.iter().zip(computed).map(|(text, vector)| ((*text).to_owned(), vector.to_vec())));
        }
        let vectors = own.bank.texts().flat_map(|text| known.get(text).cloned().unwrap_or_else(|| vec![0.0; columns])).collect();
        let bank = own.bank.clone().with_vectors(own.settings.clone(), columns, vectors).with_words(own.ngrams.clone());
        let bank = Arc::new(bank);
        *ready = Some(bank.clone());
        Ok(bank)
    }

    /// Candidates decoded as one batch: each begins with another of the likeliest first tokens and goes on by sampling.
    fn write(
        &self,
        request: &ValidSmartReply,
        prompt: &Prompt,
        read: &mut PrefilledPrompt,
        cancel: &CancelToken,
    ) -> Result<(Vec<Written>, ReplyUsage), TaskError> {
        let options = request.options();
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
        let found = candidates_after(read, &asked, cancel)?;
        let mut written = vec![];
        for candidate in &found.candidates {
            let finished = matches!(candidate.finish, FinishReason::EndOfTurn(_));
            let text = tidy(&self.model().model().decode(&candidate.tokens)?, finished, options.max_chars);
            let token_logprob = candidate.logprob / candidate.token_logprobs.len().max(1) as f64;
            written.extend(text.map(|text| Written { text, token_logprob }));
        }
        let usage = ReplyUsage {
            prompt_tokens: found.usage.prompt_tokens,
            new_tokens: found.usage.new_tokens,
            candidates: found.candidates.len(),
            ranked: 0,
        };
        Ok((written, usage))
    }

    /// The best of some texts, in the ranker's order.
    fn ranked(
        &self,
        request: &ValidSmartReply,
        texts: Vec<String>,
        source: ReplySource,
        read: Option<PrefilledPrompt>,
        usage: ReplyUsage,
        cancel: &CancelToken,
    ) -> Result<Outcome, TaskError> {
        let proposed = (self.clock)();
        let (conversation, options) = (request.conversation(), request.options());
        let mut admission = Admission::new(conversation, self.model().task());
        let (fit, dropped) = admitted(&mut admission, texts, source, |text| text);
        let scores = self.ranker.score_with(read, conversation, &fit, cancel)?;
        let likely = |logprob: f64, tokens: usize| {
            source == ReplySource::Bank || logprob / tokens.max(1) as f64 >= f64::from(options.min_token_logprob)
        };
        let likely_enough = || scores.iter().filter(|s| s.score >= options.min_score && likely(s.logprob, s.tokens));
        let best = likely_enough().map(|s| s.score).fold(f32::NEG_INFINITY, f32::max);
        let is_good = |score: f32| source == ReplySource::Bank || best - score <= options.max_gap;
        let ranked = likely_enough().filter(|s| is_good(s.score)).map(|s| (fit[s.index].clone(), s.score)).collect();
        let chosen = select(ranked, options.count, options.diversity);
        let fate = |text: &str, score: f32, logprob: f64, tokens: usize| {
            if chosen.iter().any(|(shown, _)| shown == text) {
                Fate::Shown
            } else if !likely(logprob, tokens) {
                Fate::Unlikely
            } else if score < options.min_score || !is_good(score) {
                Fate::BelowThreshold
            } else {
                Fate::NotNeeded
            }
        };
        let mut considered: Vec<Considered> = scores
            .iter()
            .map(|s| Considered {
                text: fit[s.index].clone(),
                source,
                intent: None,
                score: Some(s.score),
                fate: fate(&fit[s.index], s.score, s.logprob, s.tokens),
            })
            .collect();
        considered.sort_by(|a, b| b.score.unwrap_or_default().total_cmp(&a.score.unwrap_or_default()));
        considered.extend(dropped);
        let usage = ReplyUsage { ranked: fit.len(), ..usage };
        let replies = chosen.into_iter().map(|(text, score)| Reply { text, score, source }).collect();
        Ok(Outcome { scores: ReplyScores::Likelihoods, replies, usage, proposed, considered })
    }
}

/// The candidates that may be shown, and what became of the others.
fn admitted<T>(
    admission: &mut Admission<'_>,
    candidates: Vec<T>,
    source: ReplySource,
    text: impl Fn(&T) -> &String,
) -> (Vec<T>, Vec<Considered>) {
    let (mut fit, mut dropped) = (vec![], vec![]);
    for candidate in candidates {
        match admission.refuses(text(&candidate), source) {
            None => fit.push(candidate),
            Some(fate) => {
                dropped.push(Considered { text: text(&candidate).clone(), source, intent: None, score: None, fate });
            }
        }
    }
    (fit, dropped)
}

/// Whether the side that spoke last tells bad news, in what it has said since the other did.
fn tells_bad_news(conversation: &Conversation) -> bool {
    let speaker = conversation.next_speaker().other();
    let since = conversation.turns.iter().rev().take_while(|turn| turn.speaker == speaker);
    since.into_iter().any(|turn| is_bad_news(&turn.text))
}

impl std::fmt::Debug for SmartReplier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SmartReplier").field("ranker", &self.ranker).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "smart_reply/tests.rs"]
mod tests;
