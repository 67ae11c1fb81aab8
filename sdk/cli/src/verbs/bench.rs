//! `kinglet bench`: how fast a model runs here, and how much memory it takes.

mod growth;
mod measure;
mod prefix;
mod profile;

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{BOLD, Output};
use crate::progress::Progress;
use clap::{Args, ValueEnum};
use growth::Growth;
use kinglet::{Bytes, CancelHandle, Model, ProcessMemory};
use measure::{Batch, Bench};
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Instant;

/// Time loading, prefill, decoding and several answers at once, and measure memory
///
/// Greedy, on random token ids; end tokens do not end an answer. What does not fit the model's context is left out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet bench
  kinglet bench models/goldcrest --threads 1 --json
  kinglet bench --profile
  kinglet bench --contexts 128,1024,8192 --candidates 1,4,16
  ONLY=decode kinglet bench --json")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
    /// Measure only this
    #[arg(long, env = "ONLY", value_enum)]
    only: Option<Only>,
    /// Tell where the time goes instead: operators, and what they reach of the limits of this machine
    #[arg(long, conflicts_with = "only")]
    profile: bool,
    #[command(flatten)]
    growth: Growth,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Only {
    /// decode128
    Decode,
    /// Loading and its memory
    Load,
}

/// Figures by their keys, in the order in which they were taken.
type Figures = Map<String, Value>;

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let named = common.naming(arguments.named.as_ref())?;
    let common = &Common { model: Some(named.located()?), ..named };
    if arguments.growth.is_asked() {
        return growth::run(common, &arguments.growth, out);
    }
    let started = Instant::now();
    let model = common.builder().end_tokens(false).build()?.open(common.model())?;
    let mut figures = Figures::new();
    put(&mut figures, "load_s", started.elapsed().as_secs_f64(), 4);
    put_memory(&mut figures, "rss_load_mb", ProcessMemory::look().map(|memory| memory.resident));
    if arguments.profile {
        model.prepare(&CancelHandle::default(), |_| {})?;
        return profile::run(common, &model, &mut Bench::new(&model, common.seed.unwrap_or(1)), out);
    }
    let started = Instant::now();
    model.prepare(&CancelHandle::default(), |_| {})?;
    put(&mut figures, "prepare_s", started.elapsed().as_secs_f64(), 9);
    measure_all(common, arguments.only, &model, &mut figures)?;
    put_memory(&mut figures, "rss_peak_mb", ProcessMemory::look().map(|memory| memory.peak));
    // The prefix is measured in models of its own.
    drop(model);
    if arguments.only.is_none() {
        measure_prefix(common, &mut figures)?;
    }
    if common.json {
        return out.json(&figures);
    }
    figures.iter().try_for_each(|(key, value)| line(out, key, value))
}

/// A figure for people.
fn line(out: &mut Output, key: &str, value: &Value) -> Result<(), Failure> {
    let label = out.paint(BOLD, &format!("{key:<21}"));
    let (unit, meaning) = explained(key);
    out.line(&format!("{label} {value:>10} {unit:<6} {meaning}"))
}

fn measure_all(common: &Common, only: Option<Only>, model: &Model, figures: &mut Figures) -> Result<(), Failure> {
    if only == Some(Only::Load) {
        return Ok(());
    }
    let progress = Progress::bar(common, if only.is_some() { 1 } else { 6 }, "decode128");
    let mut bench = Bench::new(model, common.seed.unwrap_or(1));
    if only.is_none() {
        progress.say("prefill128");
        if let Some(seconds) = bench.first_token(128, 3)? {
            put(figures, "ttft128_ms", seconds * 1e3, 2);
            put(figures, "prefill128", 128.0 / seconds, 1);
        }
        progress.advance();
        progress.say("prefill512");
        if let Some(seconds) = bench.first_token(512, 2)? {
            put(figures, "prefill512", 512.0 / seconds, 1);
        }
        progress.advance();
    }
    for (key, prompt) in [("decode128", 128), ("decode1024", 1024)] {
        if only.is_some() && prompt != 128 {
            return Ok(());
        }
        progress.say(key);
        if let Some(rate) = bench.decode(prompt)? {
            put(figures, key, rate, 2);
        }
        progress.advance();
    }
    for (key, tokens) in [("batch4x16", 16), ("batch4x64", 64)] {
        progress.say(key);
        if let Some(Batch { seconds, rate }) = bench.batch(128, 4, tokens)? {
            put(figures, &format!("{key}_s"), seconds, 4);
            put(figures, key, rate, 1);
        }
        progress.advance();
    }
    Ok(())
}

fn measure_prefix(common: &Common, figures: &mut Figures) -> Result<(), Failure> {
    let _progress = Progress::spinner(common, "prefix");
    if let Some(found) = prefix::measure(common)? {
        put(figures, "prefix_restore_ms", found.restore_seconds * 1e3, 3);
        put(figures, "prefix_first_token_ms", found.first_token_seconds * 1e3, 3);
        put(figures, "prefix_bytes", found.bytes as f64, 0);
    }
    Ok(())
}

fn put(figures: &mut Figures, key: &str, value: f64, digits: i32) {
    figures.insert(key.to_owned(), super::rounded(value, digits).into());
}

/// Puts an amount of memory in MB of 1,048,576 bytes, as the peers' figures have it, where it is known.
fn put_memory(figures: &mut Figures, key: &str, bytes: Option<Bytes>) {
    if let Some(bytes) = bytes {
        put(figures, key, bytes.0 as f64 / f64::from(1 << 20), 1);
    }
}

/// The unit of a figure and what it means.
fn explained(key: &str) -> (&'static str, &'static str) {
    match key {
        "load_s" => ("s", "to be ready for a prompt"),
        "prepare_s" => ("s", "to prepack weights, before the first prompt"),
        "ttft128_ms" => ("ms", "from a prompt of 128 tokens to the first token of the answer"),
        "prefill128" => ("tok/s", "reading a prompt of 128 tokens"),
        "prefill512" => ("tok/s", "reading a prompt of 512 tokens"),
        "decode128" => ("tok/s", "one answer after a prompt of 128 tokens"),
        "decode1024" => ("tok/s", "one answer after a prompt of 1024 tokens"),
        "batch4x16_s" => ("s", "four answers of 16 tokens to one prompt of 128, the prompt included"),
        "batch4x64_s" => ("s", "four answers of 64 tokens to one prompt of 128, the prompt included"),
        "prefix_restore_ms" => ("ms", "a saved prefix of 512 tokens, from its file, in a model that was just opened"),
        "prefix_first_token_ms" => ("ms", "the same, and one token more read, to the first token of the answer"),
        "prefix_bytes" => ("bytes", "the file of that prefix"),
        "batch4x16" => ("tok/s", "the four together after the first token"),
        "batch4x64" => ("tok/s", "the four together after the first token"),
        "rss_load_mb" => ("MB", "resident once loaded"),
        "rss_peak_mb" => ("MB", "resident at most"),
        "rss_predicted_mb" => ("MB", "resident at most, as `kinglet inspect` reckons it"),
        _ => ("", ""),
    }
}
