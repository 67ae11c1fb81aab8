//! `kinglet prepare`: what a model has to do once, done now and kept.

use super::milliseconds;
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Prepack a model's weights now and keep them, so that it is ready at once from then on
///
/// They take as much room on the disk as the model's own: in kinglet/weights of the user's cache, where `run`, `chat`, `reply`, `score`
/// and `logits` find them, or in another folder that those are given by --prepared-weights as well. What is kept already is verified,
/// and made anew where it is damaged.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet prepare models/goldcrest
  kinglet prepare models/goldcrest --prepared-weights weights
  kinglet chat models/goldcrest --prepared-weights weights")]
pub(crate) struct Arguments {
    /// A model's folder or name, as --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
}

/// JSON output of `kinglet prepare`.
#[derive(Serialize)]
struct Prepared {
    model: PathBuf,
    folder: PathBuf,
    took_ms: f64,
    /// The file; none for a model whose weights need no prepacking.
    file: Option<PathBuf>,
    /// Whether the file was there, and every byte of it is what was saved.
    verified: bool,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let common = &common.naming(arguments.named.as_ref())?;
    let folder = common.prepared_weights.clone().or_else(kinglet::users_prepared_weights).ok_or_else(|| {
        Failure::failed("no home folder is known to keep the weights in; set HOME, or give a folder with --prepared-weights")
    })?;
    let path = common.located()?;
    let started = Instant::now();
    let model = common.builder().prepared_weights(&folder).build()?.open(&path)?;
    let made = common.prepare(&model)?;
    let took_ms = milliseconds(started.elapsed());
    let file = model.prepared_file();
    let verified = !made && file.is_some();
    let what = match (&file, verified) {
        (Some(file), true) => format!("is prepared: `{}` is verified", file.display()),
        (Some(_), false) => format!("is prepared: `{}` holds its weights, {}", folder.display(), found_by(common)),
        (None, _) => "needs no preparing: its weights are read as they lie".to_owned(),
    };
    if common.json {
        return out.json(&Prepared { model: path, folder, took_ms, file, verified });
    }
    out.line(&format!("{} {what} ({took_ms:.0} ms)", path.display()))
}

/// Who finds the weights.
fn found_by(common: &Common) -> &'static str {
    match common.prepared_weights {
        Some(_) => "for verbs that are given it by --prepared-weights",
        None => "where other verbs find them",
    }
}
