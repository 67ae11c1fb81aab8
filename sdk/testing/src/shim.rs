//! A library of ONNX Runtime that claims to have XNNPACK, and what comes of using that: the real library with a few functions of
//! its table replaced.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Behaviour of a session that uses the claimed provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misbehaviour {
    /// Nothing amiss: it computes on the CPU.
    None,
    /// The provider refuses to be registered.
    Refuses,
    /// The process is aborted at the first run.
    Crashes,
    /// The first run never ends.
    Hangs,
    /// The logits of every run have the opposite sign.
    Wrong,
    /// Every run takes 30 milliseconds more.
    Slow,
}

/// Functions of the library that the shim calls or replaces, and their places in the table `OrtApi`, which only ever grows at its
/// end; the number of functions that version 1.24 has comes last.
pub const SHIM_PLACES: [(&str, usize); 10] = [
    ("CreateStatus", 0),
    ("GetTensorMutableData", 51),
    ("GetTensorShapeElementCount", 64),
    ("GetTensorTypeAndShape", 65),
    ("GetAllocatorWithDefaultOptions", 78),
    ("GetAvailableProviders", 125),
    ("ReleaseAvailableProviders", 126),
    ("RunWithBinding", 133),
    ("GetBoundOutputValues", 140),
    ("SessionOptionsAppendExecutionProvider", 216),
];
/// Functions in the table that the crate `ort` asks for.
pub const SHIM_TABLE: usize = 415;

/// Compiles the shim of `library` in `folder`. `None`, and a line that is counted, where there is no compiler, and elsewhere than
/// on Linux.
///
/// # Errors
/// Errors of writing to the folder; a failure of the compiler.
pub fn misbehaving(folder: &Path, library: &Path, misbehaviour: Misbehaviour) -> io::Result<Option<PathBuf>> {
    let named = |ending: &str| folder.join(format!("{misbehaviour:?}{ending}").to_lowercase());
    let (source, made) = (named(".rs"), named(".so"));
    std::fs::write(&source, constants(library, misbehaviour) + include_str!("shim/library.rs"))?;
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "-A", "warnings", "--crate-type", "cdylib", "-o"]).arg(&made).arg(&source);
    match rustc.status() {
        Ok(status) if status.success() => Ok(Some(made)),
        Ok(status) if cfg!(target_os = "linux") => Err(io::Error::other(format!("rustc: {status}"))),
        _ => {
            println!("SKIPPED: a library that misbehaves is not compiled here");
            Ok(None)
        }
    }
}

/// The constants that the source refers to and does not define.
fn constants(library: &Path, misbehaviour: Misbehaviour) -> String {
    let places = SHIM_PLACES.map(|(name, place)| format!("const {name}: usize = {place};"));
    format!(
        "const LIBRARY: &str = {:?};\nconst BEHAVIOUR: &str = \"{misbehaviour:?}\";\nconst TABLE: usize = {SHIM_TABLE};\n{}\n",
        format!("{}\0", library.display()),
        places.join("\n")
    )
}
