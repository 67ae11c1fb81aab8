//! `kinglet probe`: which engine and execution provider runs a model fastest here.

mod child;
pub(crate) mod handed;

use crate::arguments::{Common, Engine};
use crate::failure::Failure;
use crate::output::{BOLD, DIMMED, Output};
use crate::progress::Progress;
use anstyle::{AnsiColor, Style};
use child::Children;
use clap::Args;
use kinglet::probe::{Figures, Probe, ProbeOptions, Record, Row, Verdict};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Time the engines and execution providers that can run a model, and remember the fastest
///
/// Each runs in a process of its own, so that one that crashes or hangs does no harm. Its logits are compared with those of the
/// first that runs, and what is right and fastest is what `--engine auto` takes from then on; `kinglet inspect` says so. What
/// crashed or hung is not tried again unless --again asks for it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet probe models/goldcrest
  kinglet probe goldcrest --timeout 30 --json
  kinglet probe goldcrest --again --probe-records ~/records")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
    /// Seconds that one way to run the model may take before it counts as hanging
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    timeout: u32,
    /// Try again what crashed or hung when it was last tried
    #[arg(long)]
    again: bool,
}

/// JSON output of `kinglet probe`.
#[derive(Serialize)]
struct Found<'a> {
    folder: &'a Path,
    file: PathBuf,
    #[serde(flatten)]
    record: &'a Record,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    if common.engine != Engine::Auto || common.provider.is_some() {
        return Err(Failure::usage("a probe compares all engines and providers; leave out --engine and --provider"));
    }
    let common = &common.naming(arguments.named.as_ref())?;
    let probe = common.builder().build()?.probe(common.located()?)?;
    let record = try_all(common, arguments, &probe)?;
    if common.json {
        out.json(&Found { folder: probe.model(), file: probe.file(), record: &record })?;
    } else {
        show(&record, &probe, out)?;
    }
    match record.fastest {
        Some(_) => Ok(()),
        None => Err(Failure::failed("nothing runs the model as it should; what stands above says why")),
    }
}

fn try_all(common: &Common, arguments: &Arguments, probe: &Probe) -> Result<Record, Failure> {
    let candidates = probe.candidates();
    let progress = Progress::bar(common, candidates.len() as u64, "starting");
    let mut children = Children::new(common, probe.model(), Duration::from_secs(arguments.timeout.into()))?;
    let record = probe.run(&mut children, &ProbeOptions { again: arguments.again }, |candidate| {
        progress.say(&candidate.to_string());
        progress.set(candidates.iter().position(|known| *known == candidate).unwrap_or(0) as u64);
    })?;
    Ok(record)
}

fn show(record: &Record, probe: &Probe, out: &mut Output) -> Result<(), Failure> {
    record.candidates.iter().try_for_each(|row| {
        let verdict = out.paint(style(row.verdict), &format!("{:<8}", row.verdict.name()));
        out.line(&format!("{:<12} {verdict} {}", row.candidate.to_string(), details(row, record)))
    })?;
    let fastest = record.fastest.map_or_else(|| "nothing".to_owned(), |fastest| fastest.to_string());
    let label = out.paint(BOLD, "fastest");
    out.line(&format!("{label}: {fastest}, kept in {}", probe.file().display()))
}

fn style(verdict: Verdict) -> Style {
    let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
    match verdict {
        Verdict::Fastest => colour(AnsiColor::Green),
        Verdict::Slower | Verdict::Refused => DIMMED,
        _ => colour(AnsiColor::Red),
    }
}

/// Details of a candidate, in one line.
fn details(row: &Row, record: &Record) -> String {
    let mut parts: Vec<String> = row.figures.iter().map(rates).collect();
    match (&row.reason, &row.figures) {
        (Some(reason), _) => parts.push(reason.clone()),
        (None, Some(figures)) => parts.push(agreement(figures)),
        (None, None) => {}
    }
    if row.tried != record.taken {
        parts.push(format!("tried at {}; --again tries it again", row.tried));
    }
    parts.join("; ")
}

fn rates(figures: &Figures) -> String {
    let Figures { open_ms, prefill_tokens_per_second: prefill, decode_tokens_per_second: decode, .. } = figures;
    format!("{prefill:>8.1} tok/s of a prompt, {decode:>7.1} tok/s of an answer, ready in {open_ms:.0} ms")
}

fn agreement(figures: &Figures) -> String {
    match (figures.relative_difference, figures.same_first) {
        (Some(difference), Some(same)) => {
            format!(
                "logits differ by {:.2} % of their spread, {same} of {} first tokens are the same",
                difference * 100.0,
                figures.positions
            )
        }
        _ => "the others are compared with it".into(),
    }
}
