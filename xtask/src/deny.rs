//! `cargo xtask deny`: licences, banned crates and sources of the dependencies, as deny.toml says.

use crate::process::{cargo, program, stream};
use crate::report::Report;
use crate::tool;
use clap::Args;

/// The version that judges, here and everywhere.
const VERSION: &str = "0.20.2";

#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Check for known vulnerabilities too: fetches the advisory database from the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let tool = match tool::installed("cargo-deny", VERSION) {
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
