//! Reply ranking: how well given replies fit a conversation.

mod dual_encoder;
mod memo;

pub use dual_encoder::DualEncoder;

use crate::bank::normalised;
use crate::conversation::Conversation;
use crate::error::TaskError;
use crate::extras::ReplyRanking;
use crate::reply_model::{Prompt, ReplyModel};
use dual_encoder::ByWords;
use kinglet_generate::{CancelToken, Columns, PrefilledPrompt, TokenId, last_logits, score, score_after};
use memo::Memo;
use serde::Serialize;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Replies whose vectors and priors are kept: 128 columns take half a kilobyte.
const KEPT_REPLIES: usize = 16_384;

/// Exponent of the length by which a plain likelihood is divided. Between a sum (0), which favours whatever is long and
/// specific, and a mean (1), which one telling word decides.
const LENGTH_EXPONENT: f64 = 0.5;

/// How well one candidate fits.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct CandidateScore {
    /// Its place in the list of candidates, from 0.
    pub index: usize,
    /// The natural logarithm of its probability after the conversation, with the end of the reply.
    pub logprob: f64,
    /// Its tokens, the end of the reply among them.
    pub tokens: usize,
    /// What replies are sorted by, higher is better. Comparable between candidates of one model only.
    pub score: f32,
}

/// Ranks replies with one model. Keeps what does not depend on the conversation, so ranking the same replies again is
/// cheaper. Threads may share it.
pub struct ReplyRanker {
    model: Arc<ReplyModel>,
    /// The table of n-grams that ranks beside the model, once it has been given.
    words: OnceLock<DualEncoder>,
    /// By text: the vector of the reply, of length 1, `[columns]`.
    vectors: Mutex<Memo<String, Arc<[f32]>>>,
    /// By opening and text: the log-probability of the reply without a conversation.
    priors: Mutex<Memo<(Vec<TokenId>, String), f64>>,
}

impl ReplyRanker {
    /// A ranker that has seen no reply.
    pub fn new(model: Arc<ReplyModel>) -> Self {
        let (vectors, priors) = (Mutex::new(Memo::new(KEPT_REPLIES)), Mutex::new(Memo::new(KEPT_REPLIES)));
        Self { model, words: OnceLock::new(), vectors, priors }
    }

    /// Whether a table of n-grams would change its scores and has not been given: the model's `kinglet.json` has a
    /// `reply_ranking.blend`.
    pub fn wants_words(&self) -> bool {
        let ranking = self.model.extras().reply_ranking.as_ref();
        ranking.is_some_and(|ranking| ranking.blend.is_some()) && self.words.get().is_none()
    }

    /// Gives it the table of n-grams that counts in its scores from then on, if it has none.
    pub fn set_words(&self, words: DualEncoder) {
        self.words.get_or_init(|| words);
    }

    /// The model it ranks with.
    pub fn model(&self) -> &Arc<ReplyModel> {
        &self.model
    }

    /// The score of each candidate as the next message of `conversation`, in the order of the candidates. Only the last
    /// [`Conversation::COUNTED_TURNS`] messages count, and fewer if the context holds no more.
    ///
    /// A model with `reply_ranking` in its `kinglet.json` scores by
    ///
    /// ```text
    /// fit + lm_weight * gain / tokens
    /// fit = cos(context vector, reply vector) / temperature
    /// gain = logp(reply | conversation) - logp(reply | no conversation)
    /// ```
    ///
    /// where the context vector is the logits of the rank tokens after the prompt, the reply vector those after the reply
    /// encoded alone between `reply_token` and the token that ends a reply, and `logp` is over text tokens only. Where it has a
    /// `blend` and a [`DualEncoder`], `fit` is `network * fit + words * by_vectors + shared * by_shared_words`. Any other model
    /// scores by `gain / sqrt(tokens)`. Taking the prior out keeps replies that fit everywhere from winning everywhere.
    ///
    /// # Errors
    /// [`TaskError::CandidateTooLong`], [`TaskError::ContextTooSmall`], [`TaskError::Text`] (for a conversation without any
    /// text, or one that the template refuses), [`TaskError::Generate`], [`TaskError::Cancelled`].
    pub fn score<S: AsRef<str>>(
        &self,
        conversation: &Conversation,
        candidates: &[S],
        cancel: &CancelToken,
    ) -> Result<Vec<CandidateScore>, TaskError> {
        self.score_with(None, conversation, candidates, cancel)
    }

    /// As [`score`](Self::score). `read` is a prompt of the same conversation, if there is one: it is not read again unless it
    /// leaves too little room for the candidates.
    pub(crate) fn score_with<S: AsRef<str>>(
        &self,
        read: Option<PrefilledPrompt>,
        conversation: &Conversation,
        candidates: &[S],
        cancel: &CancelToken,
    ) -> Result<Vec<CandidateScore>, TaskError> {
        let prompt = self.model.prompt(conversation, self.longest(candidates)? + 1)?;
        let by_words = self.by_words(conversation, candidates);
        match read.filter(|read| read.tokens() == prompt.tokens) {
            Some(read) => self.score_read(read, &prompt, &by_words, candidates, cancel),
            None => self.score_unread(&prompt, &by_words, candidates, cancel),
        }
    }

    /// What the words say of each candidate: `[candidates]`, or nothing without a table of n-grams.
    fn by_words<S: AsRef<str>>(&self, conversation: &Conversation, candidates: &[S]) -> Vec<ByWords> {
        let texts: Vec<&str> = candidates.iter().map(AsRef::as_ref).collect();
        self.words.get().map(|words| words.scores(&conversation.turn_taking(), &texts)).unwrap_or_default()
    }

    /// The score of each candidate after a prompt as it stands. A prompt that ends with what opens a reply in the model's
    /// template is scored as a conversation; after any other one a candidate is plain text that need not end there.
    ///
    /// # Errors
    /// As [`score`](Self::score); a prompt that is too long is not cut but refused.
    pub fn score_prompt<S: AsRef<str>>(
        &self,
        prompt: &str,
        candidates: &[S],
        cancel: &CancelToken,
    ) -> Result<Vec<CandidateScore>, TaskError> {
        let prompt = self.model.raw_prompt(prompt)?;
        self.score_unread(&prompt, &[], candidates, cancel)
    }

    /// Tokens of the longest candidate, if it leaves at least half of the context to the conversation.
    fn longest<S: AsRef<str>>(&self, candidates: &[S]) -> Result<usize, TaskError> {
        let context = self.model.generator().context();
        let mut longest = 0;
        for (index, text) in candidates.iter().enumerate() {
            let tokens = self.model.model().encode(text.as_ref())?.len();
            if tokens + 1 > context / 2 {
                return Err(TaskError::CandidateTooLong { index, tokens, context });
            }
            longest = longest.max(tokens);
        }
        Ok(longest)
    }

    fn score_unread<S: AsRef<str>>(
        &self,
        prompt: &Prompt,
        by_words: &[ByWords],
        candidates: &[S],
        cancel: &CancelToken,
    ) -> Result<Vec<CandidateScore>, TaskError> {
        if candidates.is_empty() {
            return Ok(vec![]);
        }
        let read = PrefilledPrompt::new(self.model.generator(), &prompt.tokens, cancel)?;
        self.score_read(read, prompt, by_words, candidates, cancel)
    }

    /// `read` has read the tokens of `prompt`. Its cache is released before anything else is computed. `by_words`: `[candidates]`, or
    /// empty.
    fn score_read<S: AsRef<str>>(
        &self,
        mut read: PrefilledPrompt,
        prompt: &Prompt,
        by_words: &[ByWords],
        candidates: &[S],
        cancel: &CancelToken,
    ) -> Result<Vec<CandidateScore>, TaskError> {
        let texts: Vec<&str> = candidates.iter().map(AsRef::as_ref).collect();
        let continuations = self.continuations(prompt, &texts)?;
        let ranking = self.model.extras().reply_ranking.as_ref();
        let scores = score_after(&mut read, &continuations, cancel)?;
        let after_prompt = read.into_logits();
        let priors = self.priors(prompt, &texts, &continuations, cancel)?;
        let cosines = match ranking.filter(|_| prompt.opens_reply) {
            Some(ranking) => Some(self.cosines(ranking, &after_prompt, &texts, prompt.end, cancel)?),
            None => None,
        };
        let scored = continuations.iter().enumerate().map(|(index, continuation)| {
            let (logprob, tokens) = (scores[index].logprob, continuation.len());
            let gain = logprob - priors[index];
            let score = match (ranking, &cosines) {
                (Some(ranking), Some(cosines)) => {
                    fit(ranking, cosines[index], by_words.get(index)) + ranking.lm_weight * gain / tokens.max(1) as f64
                }
                _ => likelihood_score(gain, tokens),
            };
            CandidateScore { index, logprob, tokens, score: score as f32 }
        });
        Ok(scored.collect())
    }

    /// The tokens of each text and of the reply's end; a text without tokens counts as its end alone.
    fn continuations(&self, prompt: &Prompt, texts: &[&str]) -> Result<Vec<Vec<TokenId>>, TaskError> {
        let with_end = |text: &&str| {
            let mut tokens = self.model.model().encode(text)?;
            tokens.extend(prompt.end);
            Ok(tokens)
        };
        texts.iter().map(with_end).collect()
    }

    /// The log-probability of each continuation after the opening alone.
    fn priors(
        &self,
        prompt: &Prompt,
        texts: &[&str],
        continuations: &[Vec<TokenId>],
        cancel: &CancelToken,
    ) -> Result<Vec<f64>, TaskError> {
        let key = |index: usize| (prompt.opening.clone(), texts[index].to_owned());
        let kept: Vec<Option<f64>> = {
            let memo = locked(&self.priors);
            (0..texts.len()).map(|index| memo.get(&key(index)).copied()).collect()
        };
        let missing: Vec<usize> = (0..texts.len()).filter(|&index| kept[index].is_none()).collect();
        let wanted: Vec<Vec<TokenId>> = missing.iter().map(|&index| continuations[index].clone()).collect();
        let read = match wanted.is_empty() {
            true => vec![],
            false => score(self.model.generator(), &prompt.opening, &wanted, cancel)?,
        };
        let mut memo = locked(&self.priors);
        let mut priors: Vec<f64> = kept.into_iter().map(Option::unwrap_or_default).collect();
        for (index, score) in missing.into_iter().zip(read) {
            priors[index] = score.logprob;
            memo.insert(key(index), score.logprob);
        }
        Ok(priors)
    }

    /// The cosine of the context's vector and each reply's. `after_prompt`: `[vocab]`.
    fn cosines(
        &self,
        ranking: &ReplyRanking,
        after_prompt: &[f32],
        texts: &[&str],
        end: Option<TokenId>,
        cancel: &CancelToken,
    ) -> Result<Vec<f64>, TaskError> {
        let context = normalised(&after_prompt[ranking.columns()]);
        let replies = self.reply_vectors(ranking, texts, end, cancel)?;
        let dot = |reply: &Arc<[f32]>| context.iter().zip(reply.iter()).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
        Ok(replies.iter().map(dot).collect())
    }

    /// The vector of each reply, `[texts][columns]`, each of length 1.
    pub(crate) fn reply_vectors(
        &self,
        ranking: &ReplyRanking,
        texts: &[&str],
        end: Option<TokenId>,
        cancel: &CancelToken,
    ) -> Result<Vec<Arc<[f32]>>, TaskError> {
        let mut vectors: Vec<Option<Arc<[f32]>>> = {
            let memo = locked(&self.vectors);
            texts.iter().map(|text| memo.get(*text).cloned()).collect()
        };
        let missing: Vec<usize> = (0..texts.len()).filter(|&index| vectors[index].is_none()).collect();
        let mut prompts = vec![];
        for &index in &missing {
            let text = self.model.model().encode(texts[index])?;
            prompts.push(self.model.reply_token().into_iter().chain(text).chain(end).collect::<Vec<TokenId>>());
        }
        let rows = match prompts.is_empty() {
            true => vec![],
            false => last_logits(self.model.generator(), &prompts, Columns::Range(ranking.columns()), cancel)?,
        };
        let mut memo = locked(&self.vectors);
        for (index, row) in missing.into_iter().zip(rows) {
            let vector: Arc<[f32]> = normalised(&row).into();
            memo.insert(texts[index].to_owned(), vector.clone());
            vectors[index] = Some(vector);
        }
        Ok(vectors.into_iter().flatten().collect())
    }
}

impl std::fmt::Debug for ReplyRanker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ReplyRanker").field("model", &self.model).finish_non_exhaustive()
    }
}

/// How well a reply fits by the vectors of a model that was trained to rank, and by its words; `models/recipes/README.md` has the formula.
fn fit(ranking: &ReplyRanking, cosine: f64, by_words: Option<&ByWords>) -> f64 {
    let of_network = cosine / ranking.temperature;
    ranking.blend.zip(by_words).map_or(of_network, |(blend, by_words)| {
        blend.network * of_network + blend.words * f64::from(by_words.vectors) + blend.shared * f64::from(by_words.shared)
    })
}

/// The score of any other model.
fn likelihood_score(gain: f64, tokens: usize) -> f64 {
    gain / (tokens.max(1) as f64).powf(LENGTH_EXPONENT)
}

/// What is kept is whole between calls, so a lock poisoned by a panic elsewhere is still good.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "ranking_tests.rs"]
mod tests;
