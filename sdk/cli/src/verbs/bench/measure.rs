//! The measurements: what is timed, and how often.

use crate::failure::Failure;
use kinglet::{CancelHandle, Completer, ContinuationOptions, GenerationOptions, Model, SamplingOptions, Usage};
use std::time::{Duration, Instant};

/// Token ids are drawn from these; a smaller vocabulary ends them earlier.
const TOKENS: std::ops::Range<u64> = 10..4000;
/// Tokens of one piece of an answer, after its first.
const PIECE: usize = 32;
/// Pieces of an answer.
const PIECES: usize = 3;
/// No further piece begins after this.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often several answers to one prompt are asked for.
const BATCH_ROUNDS: usize = 2;

/// Time and rate of several answers at once.
pub(super) struct Batch {
    /// Until the last one was complete, reading the prompt included.
    pub(super) seconds: f64,
    /// Tokens a second of all together, after the first of each.
    pub(super) rate: f64,
}

/// Measures one model. Each method gives `None` where the model's context is too small.
pub(super) struct Bench<'a> {
    model: &'a Model,
    random: u64,
}

impl<'a> Bench<'a> {
    /// Tokens of the answer that [`Bench::decode`] measures.
    pub(super) const ANSWER: usize = PIECES * (PIECE + 1);

    pub(super) fn new(model: &'a Model, seed: u64) -> Bench<'a> {
        Bench { model, random: seed }
    }

    /// Seconds from a prompt of `tokens` to the first token chosen, in an empty cache: the median of `rounds` after one
    /// that does not count.
    pub(super) fn first_token(&mut self, tokens: usize, rounds: usize) -> Result<Option<f64>, Failure> {
        if tokens > self.model.context() {
            return Ok(None);
        }
        let mut seconds = Vec::new();
        for round in 0..=rounds {
            let prompt = self.prompt(tokens);
            let mut completer = self.model.token_completer()?;
            let started = Instant::now();
            complete(&mut completer, &prompt, 1)?;
            if round > 0 {
                seconds.push(started.elapsed().as_secs_f64());
            }
        }
        Ok(median(seconds))
    }

    /// Tokens a second of one answer to a prompt of `tokens`: the median of three pieces of 32.
    pub(super) fn decode(&mut self, tokens: usize) -> Result<Option<f64>, Failure> {
        if tokens + Self::ANSWER > self.model.context() {
            return Ok(None);
        }
        let mut sequence = self.prompt(tokens);
        let mut completer = self.model.token_completer()?;
        let (mut rates, started) = (Vec::new(), Instant::now());
        while rates.len() < PIECES && started.elapsed() < PATIENCE {
            // The first token of a piece comes of reading what is before it; the piece is timed from there.
            let (answer, usage) = complete(&mut completer, &sequence, PIECE + 1)?;
            rates.extend(usage.decode_tokens_per_second());
            sequence.extend(answer);
        }
        Ok(median(rates))
    }

    /// So many answers of `length` tokens each to one prompt of `tokens`.
    pub(super) fn batch(&mut self, tokens: usize, answers: usize, length: usize) -> Result<Option<Batch>, Failure> {
        if tokens + length > self.model.context() {
            return Ok(None);
        }
        let options = ContinuationOptions { count: answers, max_new_tokens: length, sampling: SamplingOptions::default() };
        let (mut seconds, mut rates) = (Vec::new(), Vec::new());
        for _ in 0..BATCH_ROUNDS {
            let prompt = self.prompt(tokens);
            let started = Instant::now();
            let answers = self.model.continuations(prompt, &options, &CancelHandle::default())?;
            seconds.push(started.elapsed().as_secs_f64());
            let after_the_first = answers.new_tokens.saturating_sub(answers.continuations.len());
            rates.push(after_the_first as f64 / answers.timing.decode.as_secs_f64());
        }
        Ok(median(seconds).zip(median(rates)).map(|(seconds, rate)| Batch { seconds, rate }))
    }

    /// Makes everything ready for a piece of work to be profiled: what comes before it is done, and once is done already.
    pub(super) fn ready(&mut self, work: Work) -> Result<Option<Ready<'a>>, Failure> {
        if PROMPT + Self::ANSWER > self.model.context() {
            return Ok(None);
        }
        let mut sequence = self.prompt(PROMPT);
        let mut completer = self.model.token_completer()?;
        match work {
            Work::Prompt => {
                complete(&mut completer, &sequence, 1)?;
                sequence = self.prompt(PROMPT);
                completer = self.model.token_completer()?;
            }
            Work::Answer => sequence.extend(complete(&mut completer, &sequence, PIECE)?.0),
            Work::Answers => {}
        }
        Ok(Some(Ready { model: self.model, work, completer, sequence }))
    }

    /// Random tokens. The generator is the linear one of Knuth's MMIX: it need not be good, only the same everywhere.
    pub(super) fn prompt(&mut self, tokens: usize) -> Vec<u32> {
        let end = TOKENS.end.min(self.model.vocabulary() as u64).max(1);
        let start = TOKENS.start.min(end - 1);
        let mut draw = || {
            self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (start + (self.random >> 33) % (end - start)) as u32
        };
        (0..tokens).map(|_| draw()).collect()
    }
}

/// Tokens of the prompt of what is profiled, and the number of answers that come of it at once.
const PROMPT: usize = 128;
const ANSWERS: usize = 4;

/// Workloads that may be profiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Reading a prompt of 128 tokens, and choosing the first one of the answer.
    Prompt,
    /// 32 tokens of an answer to such a prompt.
    Answer,
    /// The prompt, and four answers of 16 tokens to it.
    Answers,
}

/// A piece of work that can begin.
pub(super) struct Ready<'a> {
    model: &'a Model,
    work: Work,
    completer: Completer,
    sequence: Vec<u32>,
}

impl Ready<'_> {
    pub(super) fn run(&mut self) -> Result<(), Failure> {
        match self.work {
            Work::Prompt => complete(&mut self.completer, &self.sequence, 1).map(|_| ()),
            Work::Answer => complete(&mut self.completer, &self.sequence, PIECE).map(|_| ()),
            Work::Answers => {
                let sampling = SamplingOptions::default();
                let options = ContinuationOptions { count: ANSWERS, max_new_tokens: PIECE / 2, sampling };
                self.model.continuations(self.sequence.clone(), &options, &CancelHandle::default())?;
                Ok(())
            }
        }
    }
}

/// The tokens that follow `sequence` greedily.
pub(super) fn complete(completer: &mut Completer, sequence: &[u32], tokens: usize) -> Result<(Vec<u32>, Usage), Failure> {
    let options = GenerationOptions { max_new_tokens: tokens, sampling: Some(SamplingOptions::default()), stop: vec![] };
    let answer = completer.complete(sequence, &options)?.finish()?;
    Ok((answer.tokens, answer.usage))
}

/// The middle one, or the mean of the middle two; `None` of nothing.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], None),
            (vec![3.0], Some(3.0)),
            (vec![3.0, 1.0], Some(2.0)),
            (vec![9.0, 1.0, 4.0], Some(4.0)),
            (vec![f64::INFINITY, 1.0, 2.0], Some(2.0)),
        ] {
            assert_eq!(median(values), expected);
        }
    }
}
