//! `kinglet chat`: a conversation at the terminal, with the model's template.

use super::run::{Length, answer};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::{BOLD, Output};
use crate::setup::{Prefix, Sampling};
use clap::Args;
use kinglet::{GenerationOptions, Session, SessionOptions};
use std::io::{self, BufRead, IsTerminal};

/// Talk with the model, with its chat template
///
/// Each line of stdin is a message; the answer appears as it grows. `/reset` forgets what was said, Ctrl-D ends. Ctrl-C ends
/// the answer in progress, and pressed again the program. Tokens are chosen as the model's makers recommend, unless options
/// say otherwise.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet chat
  kinglet chat --system \"You work in a bookshop.\" -m ~/models/some-model
  kinglet chat -p \"Do you open on Sundays?\" --json
  kinglet chat --system \"$(cat house-rules.txt)\" --prefix-cache ~/.cache/kinglet")]
pub(crate) struct Arguments {
    /// Answer this one message and end
    #[arg(short, long)]
    prompt: Option<String>,
    /// What the model is told to be
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    prefix: Prefix,
}

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
enum Line<'a> {
    Nothing,
    Reset,
    Say(&'a str),
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let model = common.open_with(&arguments.prefix)?;
    let Length { tokens, stop } = &arguments.length;
    let sampling = Some(arguments.sampling.over(model.recommended_sampling(), common.seed));
    let generation = GenerationOptions { max_new_tokens: *tokens as usize, sampling, stop: stop.clone() };
    let options = SessionOptions { instructions: arguments.system.clone(), generation, ..SessionOptions::default() };
    let mut session = model.session(options)?;
    let interrupt = Interrupt::watch();
    match &arguments.prompt {
        Some(prompt) => say(common, &mut session, prompt, &interrupt, out),
        None => talk(common, &mut session, &interrupt, out),
    }
}

/// Answers line after line.
fn talk(common: &Common, session: &mut Session, interrupt: &Interrupt, out: &mut Output) -> Result<(), Failure> {
    let person = io::stdin().is_terminal() && out.is_terminal() && !common.json;
    let mut stdin = io::stdin().lock();
    let mut line = Vec::new();
    for number in 1_u64.. {
        if person {
            out.text("\n")?;
            let mark = out.paint(BOLD, ">");
            out.mark(&mark)?;
        }
        line.clear();
        let read = stdin.read_until(b'\n', &mut line);
        if read.map_err(|error| Failure::failed(format!("stdin cannot be read ({error})")))? == 0 {
            break;
        }
        interrupt.user_spoke();
        let text = std::str::from_utf8(&line)
            .map_err(|_| Failure::failed(format!("line {number} of stdin is no UTF-8 text; convert it to UTF-8")))?;
        match parse(text) {
            Line::Nothing => {}
            Line::Reset => session.reset()?,
            Line::Say(text) => match say(common, session, text, interrupt, out) {
                // What goes wrong in one turn need not end a person's conversation.
                Err(failure @ Failure::Failed(_)) if person => log::error!("{failure}"),
                ended => ended?,
            },
        }
    }
    if person { out.line("") } else { Ok(()) }
}

fn say(common: &Common, session: &mut Session, text: &str, interrupt: &Interrupt, out: &mut Output) -> Result<(), Failure> {
    let cancel = session.cancel_handle();
    let response = session.respond(text)?;
    answer(common, response, (interrupt, cancel), out)
}

fn parse(line: &str) -> Line<'_> {
    match line.trim() {
        "" => Line::Nothing,
        "/reset" => Line::Reset,
        text => Line::Say(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        for (line, expected) in [
            ("\n", Line::Nothing),
            (" \r\n", Line::Nothing),
            ("/reset\n", Line::Reset),
            ("/reset it\n", Line::Say("/reset it")),
            (" Hello \r\n", Line::Say("Hello")),
        ] {
            assert_eq!(parse(line), expected, "{line:?}");
        }
    }
}
