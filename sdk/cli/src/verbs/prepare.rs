//! `kinglet prepare`: what a model has to do once, done now and kept.

use super::milliseconds;
use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Instant;

/// Rearrange a model's weights now and keep them, so that it is ready at once from then on
///
/// They take as much room on the disk as the model's own. Other commands find them by the same --prepared-weights.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet prepare models/goldcrest --prepared-weights ~/.cache/kinglet
  kinglet chat --prepared-weights ~/.cache/kinglet")]
pub(crate) struct Arguments {
    /// A model's folder or name, as --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
}

/// What was done, for machines.
#[derive(Serialize)]
struct Prepared {
    model: PathBuf,
    folder: PathBuf,
    took_ms: f64,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let Some(folder) = &common.prepared_weights else {
        return Err(Failure::usage("there is no folder to keep the weights in; give one with --prepared-weights FOLDER"));
    };
    let path = common.model_or(arguments.named.as_ref())?;
    let started = Instant::now();
    let model = common.builder().build()?.open(&path)?;
    common.prepare(&model)?;
    let took_ms = milliseconds(started.elapsed());
    if common.json {
        return out.json(&Prepared { model: path, folder: folder.clone(), took_ms });
    }
    out.line(&format!("{} is prepared: `{}` holds its weights ({took_ms:.0} ms)", path.display(), folder.display()))
}
