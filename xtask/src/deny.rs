//! `cargo xtask deny`: licences, banned crates and sources of the dependencies, as deny.toml says.

use crate::process::{cargo, stream, works};
use crate::report::Report;
use clap::Args;

#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Check for known vulnerabilities too: fetches the advisory database from the network
    #[arg(long)]
    advisories: bool,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    if !works(&mut cargo(&["deny", "--version"])) {
        report.skip("cargo deny", "cargo-deny is not installed; `cargo install --locked cargo-deny` installs it");
        return;
    }
    report.check("cargo deny", stream(&mut cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"])));
    if arguments.advisories {
        report.check("cargo deny, advisories", stream(&mut cargo(&["deny", "check", "advisories"])));
    } else {
        report.skip("cargo deny, advisories", "their database is on the network; `cargo xtask deny --advisories` fetches it");
    }
}
