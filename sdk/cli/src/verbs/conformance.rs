//! `kinglet conformance`: the vectors that a model's folder carries.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use clap::{Args, Subcommand};
use kinglet::{CancelHandle, Conformance, ConformanceReport, Model};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Make or check the vectors that say what a model must give
///
/// They are tokens of hard texts, prompts of conversations, and greedy answers with their logits, in `conformance.json` of the model's
/// folder. `kinglet doctor MODEL` checks them as well.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet conformance make models/goldcrest --engine ort
  kinglet conformance make models/goldcrest --reference vectors.json
  kinglet conformance check models/goldcrest --engine tract")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Write what the model gives on this engine, or what a reference says, into the model's folder
    Make(Make),
    /// Hold the model against its vectors
    Check(Check),
}

#[derive(Debug, Args)]
struct Make {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    folder: Option<PathBuf>,
    /// Take the vectors of this file, once the model has been held against them
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
    /// Where to write them [default: conformance.json in the model's folder]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Check {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    folder: Option<PathBuf>,
    /// Take the vectors of this file instead of those in the model's folder
    #[arg(long, value_name = "FILE")]
    reference: Option<PathBuf>,
}

/// JSON output after vectors were made.
#[derive(Serialize)]
struct Made<'a> {
    file: &'a Path,
    source: &'a str,
    texts: usize,
    chats: usize,
    greedy: usize,
}

/// JSON output of a check.
#[derive(Serialize)]
struct Checked<'a> {
    source: &'a str,
    texts: usize,
    chats: usize,
    tokens: usize,
    near_ties: usize,
    worst: f32,
    difference: Option<&'a str>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    match &arguments.what {
        What::Make(arguments) => make(common, arguments, out),
        What::Check(arguments) => check(common, arguments, out),
    }
}

fn make(common: &Common, arguments: &Make, out: &mut Output) -> Result<(), Failure> {
    let model = open(common, arguments.folder.as_ref())?;
    let vectors = match &arguments.reference {
        Some(file) => {
            let vectors = Conformance::read(file)?;
            agrees(&model.check_conformance(&vectors, &CancelHandle::default())?)?;
            vectors
        }
        None => {
            let progress = Progress::bar(common, 100, "answering");
            model.make_conformance(&CancelHandle::default(), |share| progress.set((share * 100.0) as u64))?
        }
    };
    let file = arguments.output.clone().map_or_else(|| model.conformance_file(), Ok)?;
    vectors.write(&file)?;
    let (texts, chats, greedy) = (vectors.texts.len(), vectors.chats.len(), vectors.greedy.len());
    if common.json {
        return out.json(&Made { file: &file, source: &vectors.source, texts, chats, greedy });
    }
    out.line(&format!("{}: {texts} texts, {chats} conversations, {greedy} answers, by {}", file.display(), vectors.source))
}

fn check(common: &Common, arguments: &Check, out: &mut Output) -> Result<(), Failure> {
    let model = open(common, arguments.folder.as_ref())?;
    let vectors = match &arguments.reference {
        Some(file) => Conformance::read(file)?,
        None => model.conformance()?.ok_or_else(|| {
            Failure::failed(
                "the model's folder carries no vectors; `kinglet conformance make` writes some, --reference names others",
            )
        })?,
    };
    let report = model.check_conformance(&vectors, &CancelHandle::default())?;
    if common.json {
        let ConformanceReport { texts, chats, tokens, near_ties, worst, difference } = &report;
        let (texts, chats, tokens, near_ties, worst) = (*texts, *chats, *tokens, *near_ties, *worst);
        out.json(&Checked {
            source: &vectors.source,
            texts,
            chats,
            tokens,
            near_ties,
            worst,
            difference: difference.as_deref(),
        })?;
    } else if report.difference.is_none() {
        out.line(&sentence(&report, &vectors))?;
    }
    agrees(&report)
}

fn open(common: &Common, folder: Option<&PathBuf>) -> Result<Model, Failure> {
    common.naming(folder)?.open()
}

/// A passed check in one sentence.
pub(super) fn sentence(report: &ConformanceReport, vectors: &Conformance) -> String {
    let ties = if report.near_ties == 0 { String::new() } else { format!(" and {} near ties", report.near_ties) };
    format!(
        "{} texts, {} conversations, {} tokens{ties} as by {}; logits within {:.1e} of the largest",
        report.texts, report.chats, report.tokens, vectors.source, report.worst
    )
}

/// # Errors
/// Where the report has a difference.
pub(super) fn agrees(report: &ConformanceReport) -> Result<(), Failure> {
    match &report.difference {
        None => Ok(()),
        Some(difference) => Err(Failure::failed(format!("the model does not give what its vectors say: {difference}"))),
    }
}
