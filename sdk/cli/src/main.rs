//! The `kinglet` command.
//!
//! Knows: the facade, terminals, files that a user names. Must not know: engines, generation, tasks' insides. What scripts
//! may rely on: data on stdout, everything else on stderr, `--json` for machines, and the exit codes 0 (done), 1 (refused or
//! failed, with one sentence) and 2 (wrong usage).
#![forbid(unsafe_code)]

mod arguments;
mod conversation;
mod failure;
mod help;
mod input;
mod interrupt;
mod named;
mod npy;
mod output;
mod progress;
mod setup;
#[cfg(feature = "shipped-model")]
mod shipped;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = arguments::Cli::of_process();
    setup::start_logging(&cli.common);
    match verbs::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
