//! `kinglet list`: the models that names lead to.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::output::{BOLD, DIMMED, Output};
use clap::Args;
use kinglet::{DEFAULT_MODEL, FoundModel, one_line};

/// Models that are found by their names
///
/// Names are looked up in the folders that KINGLET_MODELS names, in kinglet/models of the user's data directory, and in `models` beside
/// the command, beside the working directory and above either. Nothing is downloaded: docs/models.md says how to get a model.
#[derive(Debug, Args)]
#[command(
    visible_alias = "ls",
    after_help = "Examples:
  kinglet list
  kinglet list --json
  KINGLET_MODELS=~/models kinglet list"
)]
pub(crate) struct Arguments {}

pub(crate) fn run(common: &Common, _: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let models = common.builder().build()?.models();
    if common.json {
        return out.json(&models);
    }
    let width = models.iter().map(|model| model.name.chars().count()).max().unwrap_or(0).max(DEFAULT_MODEL.len());
    let head = row(width, ["name", "size", "precision", "layout", "folder"]);
    out.line(&out.paint(BOLD, &head))?;
    models.iter().try_for_each(|model| show(model, width, out))?;
    if cfg!(feature = "shipped-model") && models.iter().all(|model| model.name != DEFAULT_MODEL) {
        out.line(&row(width, [DEFAULT_MODEL, "-", "-", "-", "in the command itself"]))?;
    }
    Ok(())
}

fn show(model: &FoundModel, width: usize, out: &mut Output) -> Result<(), Failure> {
    let (size, folder) = (model.bytes.to_string(), one_line(&model.folder.display().to_string()));
    let (precision, layout) = (model.precision.unwrap_or("-"), model.layout.as_deref().unwrap_or("-"));
    out.line(&row(width, [&one_line(&model.name), &size, precision, layout, &folder]))?;
    match &model.problem {
        Some(problem) => out.line(&out.paint(DIMMED, &format!("{:<width$}  {}", "", one_line(problem)))),
        None => Ok(()),
    }
}

fn row(width: usize, [name, size, precision, layout, folder]: [&str; 5]) -> String {
    format!("{name:<width$}  {size:>9}  {precision:<12}  {layout:<17}  {folder}")
}
