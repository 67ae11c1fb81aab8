//! `kinglet rm`: a model's folder, removed.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::Output;
use clap::Args;
use kinglet::{Bytes, Kinglet};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

/// Remove a model's folder
///
/// Only a model that is found by its name in a folder of KINGLET_MODELS or in kinglet/models of the user's data directory; no links, and
/// no folder without a model. A person at the terminal is asked first.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet rm some-model
  kinglet rm some-model --yes --json")]
pub(crate) struct Arguments {
    /// The model's name, as `kinglet list` shows it
    #[arg(value_name = "NAME")]
    name: PathBuf,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// JSON output of `kinglet rm`.
#[derive(Serialize)]
struct Removed<'a> {
    folder: &'a Path,
    bytes: Bytes,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let model = Kinglet::builder().build()?.removable(&arguments.name)?;
    let (folder, bytes) = (model.folder().to_owned(), model.bytes());
    let shown = folder.display();
    if !arguments.yes && !confirmed(&format!("remove `{shown}` with its {bytes}?"))? {
        return Err(Failure::failed(format!("`{shown}` was kept")));
    }
    model.remove()?;
    if common.json {
        return out.json(&Removed { folder: &folder, bytes });
    }
    out.line(&format!("removed `{shown}`, {bytes}"))
}

/// Asks a person; only a clear yes counts.
fn confirmed(question: &str) -> Result<bool, Failure> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Failure::usage("nobody is there to be asked; say --yes to remove the model"));
    }
    let asked = |error: io::Error| Failure::failed(format!("the terminal cannot be asked ({error}); say --yes"));
    write!(anstream::stderr(), "{question} [y/N] ").map_err(asked)?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer).map_err(asked)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
