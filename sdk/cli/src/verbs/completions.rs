//! `kinglet completions`: what a shell completes.

use crate::failure::Failure;
use crate::help;
use crate::output::Output;
use clap::Args;
use clap_complete::Shell;

/// A script that has a shell complete verbs and options
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet completions bash > ~/.local/share/bash-completion/completions/kinglet
  kinglet completions zsh > ~/.zfunc/_kinglet
  kinglet completions fish > ~/.config/fish/completions/kinglet.fish")]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut help::command(true), "kinglet", &mut script);
    out.text(&String::from_utf8_lossy(&script))
}
