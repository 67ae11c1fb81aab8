//! `cargo xtask goldens`: makes the committed golden models anew, in Python environments of their own.

use crate::process::{program, stream};
use crate::python::{cache, environment};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Makes the golden models and their reference outputs anew. Needs Python 3.11 or later with venv, and the network for the
/// first run, which installs pinned packages in environments outside the repository.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has everything of models/goldens/requirements.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A Python that has everything of models/goldens/requirements-optimum.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    optimum: Option<PathBuf>,
    /// Groups to make: names that models/goldens/make.py knows [default: everything]
    groups: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    report.check("goldens", make(arguments));
}

fn make(arguments: &Arguments) -> Result<(), String> {
    let scratch = cache("kinglet-goldens")?;
    let python = environment(arguments.python.as_deref(), &scratch.join("venv"), "goldens/requirements.txt")?;
    let optimum = environment(arguments.optimum.as_deref(), &scratch.join("venv-optimum"), "goldens/requirements-optimum.txt")?;
    let mut command = program(python);
    command.arg("models/goldens/make.py").arg("--scratch").arg(&scratch).arg("--optimum").arg(optimum);
    stream(command.args(&arguments.groups))
}
