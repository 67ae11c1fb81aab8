//! `cargo xtask exporters`: what today's exporters write, opened by the command, as a table.

use crate::bench::release_build;
use crate::process::{program, stream};
use crate::python::{cache, environment};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Has exporters write tiny models of many families, opens them with the command, and writes docs/exporters.md.
///
/// Fails where a folder runs and gives other numbers than transformers and ONNX Runtime. Needs Python 3.11 or later with venv, and
/// the network for the first run, which installs pinned packages in environments outside the repository. What was exported once is
/// kept there; the first run takes hours, since an exporter traces each model for half a minute.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has everything of models/goldens/requirements.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A Python that has everything of models/goldens/requirements-optimum.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    optimum: Option<PathBuf>,
    /// Where exports are kept [default: ~/.cache/kinglet-exporters]
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    /// Judge the exports that are there and make none
    #[arg(long)]
    made_only: bool,
    /// Rows of the table that models/exporters/rows.py knows [default: everything]
    rows: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    report.check("exporters", hold(arguments));
}

fn hold(arguments: &Arguments) -> Result<(), String> {
    let (kept, goldens) = (cache("kinglet-exporters")?, cache("kinglet-goldens")?);
    let python = environment(arguments.python.as_deref(), &goldens.join("venv"), "goldens/requirements.txt")?;
    let optimum = environment(arguments.optimum.as_deref(), &goldens.join("venv-optimum"), "goldens/requirements-optimum.txt")?;
    let mut command = program(python);
    command.args(["models/exporters/make.py", "--write", "docs/exporters.md", "--kinglet"]).arg(release_build()?);
    command.arg("--scratch").arg(arguments.scratch.as_ref().unwrap_or(&kept)).arg("--optimum").arg(optimum);
    if arguments.made_only {
        command.arg("--made-only");
    }
    stream(command.args(&arguments.rows))
}
