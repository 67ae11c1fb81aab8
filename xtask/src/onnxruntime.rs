//! `cargo xtask onnxruntime`: the library of ONNX Runtime that the tests use.

use crate::process::{listen, program, works};
use crate::report::Report;
use std::path::PathBuf;

/// The variable that tells the engine, and its tests, where the library is.
pub(crate) const VARIABLE: &str = "ORT_DYLIB_PATH";

pub(crate) fn run(report: &mut Report) {
    match library() {
        Ok(library) => {
            println!("{}", library.display());
            report.pass();
        }
        Err(why) => report.fail("onnxruntime", &why),
    }
}

/// The library in the user's cache, fetched where it is not there yet, and checked.
///
/// # Errors
/// A sentence where there is none for this machine, or it cannot be had.
pub(crate) fn library() -> Result<PathBuf, String> {
    if !cfg!(target_os = "linux") {
        return Err(format!("the wheel's library is fetched for Linux only; set {VARIABLE} to one of this system"));
    }
    let folder = kinglet_testing::onnxruntime_folder().ok_or("no home folder is known; set HOME")?;
    let python = ["python3", "python"].into_iter().find(|python| works(program(python).args(["-m", "pip", "--version"])));
    let python = python.ok_or("Python 3 with pip fetches the wheel, and is not here")?;
    let mut last = String::new();
    let mut fetch = program(python);
    fetch.arg("xtask/onnxruntime.py").arg(folder).arg(std::env::consts::ARCH);
    listen(&mut fetch, |line| line.clone_into(&mut last))?;
    Some(PathBuf::from(last)).filter(|library| library.is_file()).ok_or_else(|| "nothing was fetched".to_owned())
}
