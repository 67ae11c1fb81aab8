//! Python environments of developer commands, outside the repository, made from pinned requirements and kept.

use crate::process::{program, root, stream, works};
use std::path::{Path, PathBuf};

/// A folder of the user's cache that belongs to one command.
///
/// # Errors
/// A sentence if no home folder is known.
pub(crate) fn cache(name: &str) -> Result<PathBuf, String> {
    let home = std::env::home_dir().ok_or("no home folder is known; set HOME")?;
    Ok(home.join(".cache").join(name))
}

/// The Python that was named, or that of the environment in `folder`, made if it is not there or if `requirements` (a path below
/// `models`) has changed since.
///
/// # Errors
/// A sentence if there is no Python 3.11, or if the packages cannot be installed.
pub(crate) fn environment(given: Option<&Path>, folder: &Path, requirements: &str) -> Result<PathBuf, String> {
    if let Some(python) = given {
        return Ok(python.to_owned());
    }
    let requirements = root().join("models").join(requirements);
    let wanted =
        std::fs::read_to_string(&requirements).map_err(|error| format!("{} cannot be read: {error}", requirements.display()))?;
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let installed = folder.join("installed-requirements.txt");
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == wanted) {
        return Ok(python);
    }
    let base = ["python3", "python"]
        .into_iter()
        .find(|name| works(program(name).args(["-c", "import venv, sys; assert sys.version_info >= (3, 11)"])));
    let base =
        base.ok_or("Python does this: install Python 3.11 or later with its venv module, or name an environment with --python")?;
    stream(program(base).args(["-m", "venv", "--clear"]).arg(folder))?;
    stream(program(&python).args(["-m", "pip", "install", "--requirement"]).arg(&requirements))?;
    std::fs::write(&installed, wanted).map_err(|error| format!("{} cannot be written: {error}", installed.display()))?;
    Ok(python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_named_is_taken_as_it_is() {
        let named = Path::new("/somewhere/python");
        assert_eq!(environment(Some(named), Path::new("/no/such/folder"), "no/such/file").as_deref(), Ok(named));
    }

    #[test]
    fn requirements_that_are_not_there_are_an_error() {
        let error = environment(None, Path::new("/no/such/folder"), "no/such/file").unwrap_err();
        assert!(error.contains("cannot be read"), "{error}");
    }

    #[test]
    fn every_command_finds_its_requirements() {
        for file in ["goldens/requirements.txt", "goldens/requirements-optimum.txt", "real/requirements.txt"] {
            assert!(root().join("models").join(file).is_file(), "{file}");
        }
    }
}
