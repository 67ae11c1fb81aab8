//! How figures grow with the length of a prompt and with the number of answers.

use super::measure::{Batch, Bench};
use super::{Figures, line, put, put_memory};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{BOLD, Output};
use crate::progress::Progress;
use clap::Args;
use kinglet::{CancelHandle, Model, ProcessMemory};
use serde_json::json;

/// Tokens of the prompt that candidates answer, and of each answer.
const PROMPT: usize = 128;
const ANSWER: usize = 16;

/// Parameters that are varied
#[derive(Debug, Args)]
pub(super) struct Growth {
    /// Measure prompts of so many tokens and answers to them instead; the context is as large as they need
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = number(), conflicts_with_all = ["only", "profile"])]
    contexts: Vec<u32>,
    /// Measure so many answers at once to one prompt of 128 tokens, 16 tokens each, instead
    #[arg(long, value_name = "N,N", value_delimiter = ',', value_parser = number(), conflicts_with_all = ["only", "profile"])]
    candidates: Vec<u32>,
}

fn number() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..=1 << 20)
}

impl Growth {
    /// Whether anything is to be varied.
    pub(super) fn is_asked(&self) -> bool {
        !self.contexts.is_empty() || !self.candidates.is_empty()
    }

    /// The model with room for the longest prompt and the answer to it, which fill it where nothing else is measured.
    fn open(&self, common: &Common) -> Result<Model, Failure> {
        let mut builder = common.builder().end_tokens(false);
        if let Some(&longest) = self.contexts.iter().max().filter(|_| common.context.is_none()) {
            builder = builder.context(longest as usize + Bench::ANSWER);
        }
        if self.candidates.is_empty() {
            builder = builder.max_sequences(1);
        }
        Ok(builder.build()?.open(common.model())?)
    }
}

pub(super) fn run(common: &Common, growth: &Growth, out: &mut Output) -> Result<(), Failure> {
    let model = growth.open(common)?;
    // The tokenizer is reckoned with, so it has to be in memory.
    let predicted = model.report()?.engine.and_then(|engine| engine.memory.resident());
    model.prepare(&CancelHandle::default(), |_| {})?;
    let mut bench = Bench::new(&model, common.seed.unwrap_or(1));
    let progress = Progress::bar(common, (growth.contexts.len() + growth.candidates.len()) as u64, "growth");
    let (mut contexts, mut candidates) = (vec![], vec![]);
    for &tokens in &growth.contexts {
        progress.say(&format!("a prompt of {tokens} tokens"));
        contexts.extend(of_context(&mut bench, tokens)?);
        progress.advance();
    }
    for &count in &growth.candidates {
        progress.say(&format!("{count} answers at once"));
        candidates.extend(of_candidates(&mut bench, count)?);
        progress.advance();
    }
    let mut memory = Figures::new();
    put_memory(&mut memory, "rss_peak_mb", ProcessMemory::look().map(|memory| memory.peak));
    put_memory(&mut memory, "rss_predicted_mb", predicted);
    drop(progress);
    if common.json {
        let mut figures = Figures::from_iter([("contexts".into(), json!(contexts)), ("candidates".into(), json!(candidates))]);
        figures.extend(memory);
        return out.json(&figures);
    }
    for (title, rows) in [("   tokens   prefill    decode  tok/s", &contexts), ("candidates    seconds  tok/s", &candidates)] {
        if !rows.is_empty() {
            out.line(&out.paint(BOLD, title))?;
        }
        for row in rows {
            out.line(&row.values().map(|value| format!("{value:>9}")).collect::<Vec<_>>().join(" "))?;
        }
    }
    memory.iter().try_for_each(|(key, value)| line(out, key, value))
}

/// Tokens a second of reading a prompt of `tokens` and of answering it; `None` where it does not fit.
fn of_context(bench: &mut Bench<'_>, tokens: u32) -> Result<Option<Figures>, Failure> {
    let (prefill, decode) = (bench.first_token(tokens as usize, 1)?, bench.decode(tokens as usize)?);
    Ok(prefill.zip(decode).map(|(seconds, rate)| {
        let mut row = Figures::from_iter([("tokens".into(), tokens.into())]);
        put(&mut row, "prefill", f64::from(tokens) / seconds, 1);
        put(&mut row, "decode", rate, 2);
        row
    }))
}

/// Seconds, and tokens a second of all together, of so many answers; `None` where they do not fit.
fn of_candidates(bench: &mut Bench<'_>, count: u32) -> Result<Option<Figures>, Failure> {
    Ok(bench.batch(PROMPT, count as usize, ANSWER)?.map(|Batch { seconds, rate }| {
        let mut row = Figures::from_iter([("candidates".into(), count.into())]);
        put(&mut row, "seconds", seconds, 4);
        put(&mut row, "rate", rate, 1);
        row
    }))
}
