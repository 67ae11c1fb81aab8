//! Cargo's tools in pinned versions, installed outside the repository where they are not there yet, and the toolchain that
//! some of them need.

use crate::process::{cargo, program, read, stream, works};
use std::path::{Path, PathBuf};

/// The program `name` of the crate of that name, in exactly that version.
///
/// # Errors
/// A sentence where it is not there and cannot be installed.
pub(crate) fn installed(name: &str, version: &str) -> Result<PathBuf, String> {
    let folder = kinglet_testing::cache_folder().ok_or("no home folder is known; set HOME")?.join("tools");
    let installed = folder.join("bin").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if let Some(found) = [installed.clone(), name.into()].into_iter().find(|tool| is_wanted(tool, version)) {
        return Ok(found);
    }
    eprintln!("\nInstalling {name} {version} in {}: once, in a minute or two.", folder.display());
    let package = format!("{name}@{version}");
    let mut install = cargo(&["install", "--locked", "--debug", "--force", "--root"]);
    // Its build is not wanted again, so that it need not stay in the build folder of this repository.
    stream(install.arg(&folder).arg(package).env_remove("CARGO_TARGET_DIR"))?;
    Ok(installed)
}

/// The toolchain with the sanitizers.
pub(crate) const NIGHTLY: &str = "nightly";

/// Looks for [`NIGHTLY`].
///
/// # Errors
/// A sentence where it is not there.
pub(crate) fn nightly() -> Result<(), String> {
    let here = works(program("rustc").arg(format!("+{NIGHTLY}")).arg("--version"));
    here.then_some(()).ok_or_else(|| format!("sanitizers need a {NIGHTLY} toolchain: `rustup toolchain install {NIGHTLY}`"))
}

/// Looks for the sources of the standard library of [`NIGHTLY`], and asks rustup for them where they are not there.
///
/// # Errors
/// A sentence where they cannot be had.
pub(crate) fn sources() -> Result<(), String> {
    let sysroot = read(program("rustc").arg(format!("+{NIGHTLY}")).args(["--print", "sysroot"]))?;
    if Path::new(&sysroot).join("lib/rustlib/src/rust/library/std").is_dir() {
        return Ok(());
    }
    let added = stream(program("rustup").args(["component", "add", "rust-src", "--toolchain", NIGHTLY]));
    added.map_err(|why| format!("the hammer needs `rustup component add rust-src --toolchain {NIGHTLY}`: {why}"))
}

/// Whether it is there in that version.
fn is_wanted(tool: &Path, version: &str) -> bool {
    read(program(tool).arg("--version")).is_ok_and(|told| told.split_whitespace().last() == Some(version))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_pinned_version_is_taken() {
        struct Case(&'static str, bool);
        let folder = std::env::temp_dir().join(format!("kinglet-tool-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let tool = folder.join("cargo-deny");
        assert!(!is_wanted(&tool, "0.20.2"));
        for Case(script, wanted) in [
            Case("echo cargo-deny 0.20.2", true),
            Case("echo cargo-deny 0.20.21", false),
            Case("echo cargo-deny 0.19.0", false),
            Case("echo cargo-deny 0.20.2; exit 1", false),
            Case("true", false),
        ] {
            std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(is_wanted(&tool, "0.20.2"), wanted, "{script}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
