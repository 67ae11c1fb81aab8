//! `cargo xtask goldens`: makes the committed golden models anew, in Python environments of their own.

use crate::process::{program, root, stream, works};
use crate::report::Report;
use clap::Args;
use std::path::{Path, PathBuf};

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
    /// What to make: names that models/goldens/make.py knows [default: everything]
    groups: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    report.check("goldens", make(arguments));
}

fn make(arguments: &Arguments) -> Result<(), String> {
    let home = std::env::home_dir().ok_or("no home folder is known; set HOME")?;
    let scratch = home.join(".cache").join("kinglet-goldens");
    let environment = |given: &Option<PathBuf>, name: &str, requirements: &str| match given {
        Some(python) => Ok(python.clone()),
        None => environment(&scratch.join(name), &root().join("models/goldens").join(requirements)),
    };
    let python = environment(&arguments.python, "venv", "requirements.txt")?;
    let optimum = environment(&arguments.optimum, "venv-optimum", "requirements-optimum.txt")?;
    let mut command = program(python);
    command.arg("models/goldens/make.py").arg("--scratch").arg(&scratch).arg("--optimum").arg(optimum);
    stream(command.args(&arguments.groups))
}

/// The Python of the environment in `folder`, made if it is not there or if `requirements` has changed since.
fn environment(folder: &Path, requirements: &Path) -> Result<PathBuf, String> {
    let wanted =
        std::fs::read_to_string(requirements).map_err(|error| format!("{} cannot be read: {error}", requirements.display()))?;
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = folder.join("installed-requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let base = ["python3", "python"]
        .into_iter()
        .find(|name| works(program(name).args(["-c", "import venv, sys; assert sys.version_info >= (3, 11)"])));
    let base = base
        .ok_or("the goldens are made by Python: install Python 3.11 or later with its venv module, or name one with --python")?;
    stream(program(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    stream(program(&python).args(["-m", "pip", "install", "--requirement"]).arg(requirements))?;
    std::fs::write(&installed, wanted).map_err(|error| format!("{} cannot be written: {error}", installed.display()))?;
    Ok(python)
}
