//! Several replies to one prompt: read once, forked, decoded as one batch.

use crate::generator::{Cache, Generator};
use crate::sampling::{largest, scores_into};
use crate::softmax::log_normaliser;
use crate::{FinishReason, GenerateError, History, OptionError, PrefilledPrompt, Sampler, SamplingOptions, Timing, Usage};
use kinglet_engine::{CancelToken, EngineError, LogitsWanted, SequenceStep, TokenId};
use std::collections::VecDeque;
use std::time::Instant;

/// How the first tokens of candidates differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FirstToken {
    /// Candidate `i` begins with the `i`-th most likely token that ends nothing. The candidates differ even in greedy
    /// sampling, and none is empty.
    #[default]
    Ranked,
    /// The first token is sampled as all others: candidates may be equal or empty.
    Sampled,
}

/// Options of [`candidates`].
///
/// ```
/// use kinglet_generate::{CandidateOptions, FirstToken, SamplingOptions};
/// let options = CandidateOptions::default();
/// assert_eq!((options.count, options.max_new_tokens), (3, 32));
/// assert_eq!((options.sampling, options.first_token), (SamplingOptions::default(), FirstToken::Ranked));
/// assert!(options.end_tokens.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateOptions {
    /// Candidates wanted, at least 1.
    pub count: usize,
    /// Tokens a candidate has at most, its end token included; at least 1.
    pub max_new_tokens: usize,
    /// How tokens are chosen. Candidate `i` draws from stream `i` of the seed, so it does not depend on the others.
    pub sampling: SamplingOptions,
    /// How first tokens are chosen.
    pub first_token: FirstToken,
    /// Tokens that end a candidate besides those that end any reply of the model.
    pub end_tokens: Vec<TokenId>,
}

impl Default for CandidateOptions {
    fn default() -> Self {
        Self {
            count: 3,
            max_new_tokens: 32,
            sampling: SamplingOptions::default(),
            first_token: FirstToken::default(),
            end_tokens: vec![],
        }
    }
}

impl CandidateOptions {
    fn check(&self) -> Result<(), OptionError> {
        self.sampling.validate()?;
        for (field, value) in [("count", self.count), ("max_new_tokens", self.max_new_tokens)] {
            if value == 0 {
                return Err(OptionError { field, value: value.to_string(), expected: "at least 1" });
            }
        }
        if self.count > 1 && self.first_token == FirstToken::Sampled && self.sampling.is_greedy() {
            let expected = "above 0 for several candidates with sampled first tokens: they would be the same";
            return Err(OptionError { field: "temperature", value: self.sampling.temperature.to_string(), expected });
        }
        Ok(())
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Its tokens, without the end token.
    pub tokens: Vec<TokenId>,
    /// The sum of `token_logprobs`.
    pub logprob: f64,
    /// The log-probability of each sampled token under the model's own distribution (softmax over the tokens of text,
    /// temperature 1, no penalty): `[tokens]`, and one more for the end token if there is one.
    pub token_logprobs: Vec<f64>,
    /// Why it ended: [`FinishReason::EndOfTurn`], [`FinishReason::Length`] or [`FinishReason::ContextFull`].
    pub finish: FinishReason,
}

/// Result of [`candidates`].
#[derive(Clone, Debug, PartialEq)]
pub struct CandidateSet {
    /// In the order of their streams. Fewer than asked for only if fewer tokens may come first.
    pub candidates: Vec<Candidate>,
    /// The prompt, read once, and the tokens of all candidates.
    pub usage: Usage,
    /// How long it took; `first_token` is the time until all candidates had their first.
    pub timing: Timing,
    /// The seed that was used.
    pub seed: u64,
}

/// Decodes several replies to `prompt` as one batch on forked caches. A reply that ends leaves the batch; replies that find
/// no room in the arena wait until others are done. All caches are released when it returns, however it ends.
///
/// # Errors
/// [`GenerateError::InvalidOptions`], [`GenerateError::EmptyPrompt`], [`GenerateError::PromptTooLong`],
/// [`GenerateError::BadLogits`], [`GenerateError::NothingToSample`], [`GenerateError::Cancelled`], and
/// [`GenerateError::Engine`], of which [`EngineError::CacheFull`] says that a single candidate found no room.
pub fn candidates(
    generator: &Generator,
    prompt: &[TokenId],
    options: &CandidateOptions,
    cancel: &CancelToken,
) -> Result<CandidateSet, GenerateError> {
    options.check()?;
    candidates_after(&mut PrefilledPrompt::new(generator, prompt, cancel)?, options, cancel)
}

/// As [`candidates`], after a prompt that was read.
///
/// # Errors
/// As [`candidates`].
pub fn candidates_after(
    prompt: &mut PrefilledPrompt,
    options: &CandidateOptions,
    cancel: &CancelToken,
) -> Result<CandidateSet, GenerateError> {
    options.check()?;
    let started = Instant::now();
    let mut batch = Batch::new(prompt, options, cancel)?;
    let seed = batch.begin()?;
    let begun = started.elapsed();
    batch.run()?;
    let candidates = batch.finished();
    let timing = Timing {
        first_token: Some(prompt.took() + begun),
        prefill: prompt.took(),
        decode: started.elapsed().saturating_sub(begun),
    };
    let new_tokens = candidates.iter().map(|candidate| candidate.token_logprobs.len()).sum();
    let usage = Usage { prompt_tokens: prompt.tokens().len(), cached_tokens: prompt.kept(), new_tokens };
    Ok(CandidateSet { candidates, usage, timing, seed })
}

/// An unfinished candidate. Its cache can be recomputed from its tokens, so it can wait without a cache slot.
struct GrowingCandidate {
    index: usize,
    sampler: Sampler,
    tokens: Vec<TokenId>,
    token_logprobs: Vec<f64>,
}

/// An active sequence: a candidate that is being decoded, with its cache slot.
struct ActiveSequence {
    candidate: GrowingCandidate,
    slot: CacheSlot,
    /// Tokens of the candidate that its cache holds.
    fed: usize,
}

/// Cache slot of an active sequence.
enum CacheSlot {
    /// In a fork of the prompt's cache.
    Fork(Cache),
    /// After the prompt in its own cache: takes no room for a fork, and can be done for one sequence at a time.
    Base,
}

struct Batch<'a> {
    prompt: &'a PrefilledPrompt,
    /// The prompt's.
    base: &'a Cache,
    options: &'a CandidateOptions,
    cancel: &'a CancelToken,
    /// Sequences decoded at once at most: lowered whenever the arena had no room for more.
    width: usize,
    waiting: VecDeque<GrowingCandidate>,
    done: Vec<(usize, Candidate)>,
}

impl<'a> Batch<'a> {
    fn new(prompt: &'a PrefilledPrompt, options: &'a CandidateOptions, cancel: &'a CancelToken) -> Result<Self, EngineError> {
        let base = prompt.cache()?;
        Ok(Self { prompt, base, options, cancel, width: options.count, waiting: VecDeque::new(), done: vec![] })
    }

    fn generator(&self) -> &'a Generator {
        self.prompt.generator()
    }

    /// Gives every candidate its first token. Returns the seed.
    fn begin(&mut self) -> Result<u64, GenerateError> {
        let (suppress, logits) = (&self.generator().options().suppress, self.prompt.logits());
        let mut sampling = self.options.sampling.clone();
        let seed = Sampler::new(&sampling, suppress, 0)?.seed();
        sampling.seed = Some(seed);
        let ranked = match self.options.first_token {
            FirstToken::Ranked => Some(self.ranked_first_tokens(logits)?),
            FirstToken::Sampled => None,
        };
        for index in 0..ranked.as_ref().map_or(self.options.count, Vec::len) {
            let sampler = Sampler::new(&sampling, suppress, index as u64)?;
            let mut candidate = GrowingCandidate { index, sampler, tokens: vec![], token_logprobs: vec![] };
            let token = match &ranked {
                Some(tokens) => tokens[index],
                None => candidate.sampler.sample(logits, History { prompt: self.prompt.tokens(), reply: &[] })?,
            };
            if let Some(candidate) = self.extend(candidate, token, logits)? {
                self.waiting.push_back(candidate);
            }
        }
        Ok(seed)
    }

    /// The most likely tokens to begin with, best first.
    fn ranked_first_tokens(&self, logits: &[f32]) -> Result<Vec<TokenId>, GenerateError> {
        let generator = self.generator().options();
        let barred: Vec<_> =
            [&generator.suppress, &generator.eos, &self.options.end_tokens].into_iter().flatten().copied().collect();
        let mut scores = vec![];
        scores_into(&mut scores, logits, History { prompt: self.prompt.tokens(), reply: &[] }, &self.options.sampling, &barred)?;
        let best = largest(&scores, self.options.count);
        Ok(best.into_iter().filter(|(score, _)| *score > f32::NEG_INFINITY).map(|(_, token)| token).collect())
    }

    /// Adds the token that was chosen by `logits`. The candidate comes back unless it is complete.
    fn extend(
        &mut self,
        mut candidate: GrowingCandidate,
        token: TokenId,
        logits: &[f32],
    ) -> Result<Option<GrowingCandidate>, GenerateError> {
        candidate.token_logprobs.push(f64::from(logits[token as usize]) - log_normaliser(self.generator().text(logits))?);
        let ends = self.generator().options().eos.contains(&token) || self.options.end_tokens.contains(&token);
        if !ends {
            candidate.tokens.push(token);
        }
        let finish = if ends {
            FinishReason::EndOfTurn(token)
        } else if candidate.tokens.len() == self.options.max_new_tokens {
            FinishReason::Length
        } else if self.prompt.tokens().len() + candidate.tokens.len() > self.generator().context() {
            FinishReason::ContextFull
        } else {
            return Ok(Some(candidate));
        };
        let GrowingCandidate { index, tokens, token_logprobs, .. } = candidate;
        self.done.push((index, Candidate { tokens, logprob: token_logprobs.iter().sum(), token_logprobs, finish }));
        Ok(None)
    }

    /// Decodes until every candidate is done, as many at once as there is room for.
    fn run(&mut self) -> Result<(), GenerateError> {
        while !self.waiting.is_empty() {
            let mut active = self.activate()?;
            while !active.is_empty() {
                active = self.step(active)?;
            }
            self.base.truncate(self.prompt.tokens().len())?;
        }
        Ok(())
    }

    /// The candidates that are decoded next, each with a cache slot.
    fn activate(&mut self) -> Result<Vec<ActiveSequence>, GenerateError> {
        loop {
            let count = self.width.min(self.waiting.len());
            let slots = match count {
                1 => Ok(vec![CacheSlot::Base]),
                _ => (0..count).map(|_| self.base.fork().map(CacheSlot::Fork)).collect(),
            };
            match slots {
                Ok(slots) => {
                    let candidates = self.waiting.drain(..count);
                    return Ok(candidates
                        .zip(slots)
                        .map(|(candidate, slot)| ActiveSequence { candidate, slot, fed: 0 })
                        .collect());
                }
                Err(EngineError::CacheFull { .. }) => self.width = count / 2,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// One token for each active sequence. Those that go on come back.
    fn step(&mut self, active: Vec<ActiveSequence>) -> Result<Vec<ActiveSequence>, GenerateError> {
        let steps: Vec<_> = active.iter().map(|sequence| sequence.step(self.base)).collect();
        let logits = match self.generator().scheduler().step(&steps, self.cancel, |rows| rows.values().to_vec()) {
            Ok(logits) => logits,
            Err(EngineError::CacheFull { .. }) if !matches!(active[..], [ActiveSequence { slot: CacheSlot::Base, .. }]) => {
                return Ok(self.make_room(active));
            }
            Err(error) => return Err(error.into()),
        };
        let mut going = vec![];
        for (ActiveSequence { mut candidate, slot, .. }, row) in
            active.into_iter().zip(logits.chunks(self.generator().info().vocab))
        {
            let fed = candidate.tokens.len();
            let token = candidate.sampler.sample(row, History { prompt: self.prompt.tokens(), reply: &candidate.tokens })?;
            going.extend(self.extend(candidate, token, row)?.map(|candidate| ActiveSequence { candidate, slot, fed }));
        }
        Ok(going)
    }

    /// Sends the second half of the active sequences back to wait; one that was alone waits for the prompt's own cache.
    fn make_room(&mut self, mut active: Vec<ActiveSequence>) -> Vec<ActiveSequence> {
        self.width = (active.len() / 2).max(1);
        for sequence in active.split_off(active.len() / 2).into_iter().rev() {
            self.waiting.push_front(sequence.candidate);
        }
        active
    }

    fn finished(mut self) -> Vec<Candidate> {
        self.done.sort_by_key(|(index, _)| *index);
        self.done.into_iter().map(|(_, candidate)| candidate).collect()
    }
}

impl ActiveSequence {
    fn step<'a>(&'a self, base: &'a Cache) -> SequenceStep<'a> {
        let cache = match &self.slot {
            CacheSlot::Fork(fork) => fork.id,
            CacheSlot::Base => base.id,
        };
        SequenceStep { cache, tokens: &self.candidate.tokens[self.fed..], logits: LogitsWanted::Last }
    }
}
