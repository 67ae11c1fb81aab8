//! `cargo xtask deny`: licences, banned crates and sources of the dependencies, as deny.toml says.

use crate::process::{cargo, program, read, stream};
use crate::report::Report;
use clap::Args;
use std::path::{Path, PathBuf};

/// The version that judges, here and everywhere.
const VERSION: &str = "0.20.2";

#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Check for known vulnerabilities too: fetches the advisory database from the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let tool = match cargo_deny() {
        Ok(tool) => tool,
        Err(why) => return report.skip("cargo deny", &format!("cargo-deny {VERSION} is not here and was not installed: {why}")),
    };
    // The crates of other platforms are judged as well, and a build has not fetched those.
    if let Err(why) = stream(&mut cargo(&["fetch", "--locked"])) {
        return report.skip("cargo deny", &format!("not all dependencies are here to be judged, and {why}"));
    }
    report.check(
        "cargo deny",
        stream(program(&tool).args(["--offline", "check", "--hide-inclusion-graph", "licenses", "bans", "sources"])),
    );
    if arguments.advisories {
        report.check("cargo deny, advisories", stream(program(&tool).args(["check", "advisories"])));
    } else {
        report.note(
            "known vulnerabilities are not looked for: their database changes daily and is fetched from the network; \
             `cargo xtask deny --advisories` does both",
        );
    }
}

/// The program, installed outside the repository where it is not yet.
fn cargo_deny() -> Result<PathBuf, String> {
    let folder = tools()?;
    let installed = folder.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if let Some(found) = [installed.clone(), "cargo-deny".into()].into_iter().find(|tool| is_wanted(tool)) {
        return Ok(found);
    }
    eprintln!("\nInstalling cargo-deny {VERSION} in {}: once, in a minute or two.", folder.display());
    let package = format!("cargo-deny@{VERSION}");
    let mut install = cargo(&["install", "--locked", "--debug", "--force", "--root"]);
    // Its build is not wanted again, so that it need not stay in the build folder of this repository.
    stream(install.arg(&folder).arg(package).env_remove("CARGO_TARGET_DIR"))?;
    Ok(installed)
}

/// Whether it is a cargo-deny of [`VERSION`].
fn is_wanted(tool: &Path) -> bool {
    read(program(tool).arg("--version")).is_ok_and(|told| told.split_whitespace().last() == Some(VERSION))
}

/// Where tools are kept: `kinglet/tools` in the user's cache.
fn tools() -> Result<PathBuf, String> {
    Ok(kinglet_testing::cache_folder().ok_or("no home folder is known; set HOME")?.join("tools"))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_the_pinned_version_judges() {
        struct Case(&'static str, bool);
        let folder = std::env::temp_dir().join(format!("kinglet-deny-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let tool = folder.join("cargo-deny");
        assert!(!is_wanted(&tool));
        for Case(script, wanted) in [
            Case("echo cargo-deny 0.20.2", true),
            Case("echo cargo-deny 0.20.21", false),
            Case("echo cargo-deny 0.19.0", false),
            Case("echo cargo-deny 0.20.2; exit 1", false),
            Case("true", false),
        ] {
            std::fs::write(&tool, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).unwrap();
            assert_eq!(is_wanted(&tool), wanted, "{script}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }
}
