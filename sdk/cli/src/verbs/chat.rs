//! `kinglet chat`: a conversation at the terminal, with the model's template.

mod command;
mod lines;
mod talk;

use super::run::{Length, answer};
use crate::arguments::Common;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::named::Asked;
use crate::output::{BOLD, DIMMED, Output, tell};
use crate::setup::{Prefix, Sampling};
use clap::Args;
use command::{COMMANDS, Line, parse};
use kinglet::{GenerationOptions, SessionOptions, one_line};
use lines::Lines;
use std::io::{self, IsTerminal};
use talk::Talk;

/// Talk with the model, with its chat template
///
/// Each line is a message; the answer appears as it grows. `/help` lists the commands, such as `/clear` and `/system TEXT`; `/bye` or
/// Ctrl-D ends. Ctrl-C ends the answer in progress, and pressed again the program. Where a conversation outgrows the context, its
/// oldest messages are left out. Tokens are chosen as the model's makers recommend, unless options say otherwise. A prompt is answered
/// once.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet chat
  kinglet chat path/to/model --system \"You work in a bookshop.\"
  kinglet chat path/to/model \"Do you open on Sundays?\" --json
  kinglet chat --system \"$(cat house-rules.txt)\" --prefix-cache ~/.cache/kinglet")]
pub(crate) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// Instructions to the model, as a system message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    prefix: Prefix,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let (common, prompt) = arguments.asked.settle(common, false)?;
    let model = common.open_with(&arguments.prefix)?;
    let Length { tokens, stop } = &arguments.length;
    let sampling = Some(arguments.sampling.over(model.recommended_sampling(), common.seed));
    let generation = GenerationOptions { max_new_tokens: *tokens as usize, sampling, stop: stop.clone() };
    let options = SessionOptions { instructions: arguments.system.clone(), generation, ..SessionOptions::default() };
    let mut talk = Talk::new(model, options)?;
    let interrupt = Interrupt::watch();
    match prompt {
        Some(prompt) => say(&common, &mut talk, &prompt, &interrupt, out),
        None => converse(&common, &mut talk, &interrupt, out),
    }
}

/// Answers line after line.
fn converse(common: &Common, talk: &mut Talk, interrupt: &Interrupt, out: &mut Output) -> Result<(), Failure> {
    let person = io::stdin().is_terminal() && out.is_terminal() && !common.json;
    if person && !common.quiet {
        greet(common, talk, out)?;
    }
    let mark = person.then(|| out.paint(BOLD, ">"));
    let mut lines = Lines::new(mark);
    loop {
        if person {
            out.line("")?;
        }
        let Some(line) = lines.next(interrupt)? else { break };
        interrupt.user_spoke();
        let done = match parse(&line) {
            Line::End => return Ok(()),
            Line::Say(text) => say(common, talk, text, interrupt, out),
            command => obey(common, talk, command, person),
        };
        match done {
            // A failed turn need not end a person's conversation.
            Err(failure @ Failure::Failed(_)) if person => log::error!("{failure}"),
            ended => ended?,
        }
    }
    if person { out.line("") } else { Ok(()) }
}

/// Does what a command says. A person is told what came of it.
fn obey(common: &Common, talk: &mut Talk, command: Line<'_>, person: bool) -> Result<(), Failure> {
    let mut answer = None;
    match command {
        Line::Help => tell(common, COMMANDS),
        Line::Clear => {
            talk.clear()?;
            answer = person.then(|| "what was said is forgotten".to_owned());
        }
        Line::System(text) => {
            if !text.is_empty() {
                talk.instruct(text)?;
            }
            answer = (person || text.is_empty()).then(|| told(talk));
        }
        Line::Unknown(word) => log::warn!("`{}` is no command, and was not sent; /help lists the commands", one_line(word)),
        Line::Surplus(word) => log::warn!("`{word}` stands alone on its line; nothing was done or sent"),
        Line::Nothing | Line::End | Line::Say(_) => {}
    }
    answer.iter().for_each(|answer| tell(common, answer));
    Ok(())
}

/// Says who is there and how to end.
fn greet(common: &Common, talk: &Talk, out: &mut Output) -> Result<(), Failure> {
    let model = common.model();
    let folder = model.canonicalize().unwrap_or_else(|_| model.into());
    let name = folder.file_name().unwrap_or(folder.as_os_str()).to_string_lossy().into_owned();
    let hint = out.paint(DIMMED, "/help lists the commands, Ctrl-D ends");
    out.line(&format!("{}, {} tokens of context; {hint}", out.paint(BOLD, &one_line(&name)), talk.context()))
}

/// The instructions to the model, in a sentence.
fn told(talk: &Talk) -> String {
    match talk.instructions() {
        Some(text) => format!("the model is told: {}", one_line(text)),
        None => "the model is told nothing; /system TEXT tells it something".to_owned(),
    }
}

fn say(common: &Common, talk: &mut Talk, text: &str, interrupt: &Interrupt, out: &mut Output) -> Result<(), Failure> {
    talk.make_room(text)?;
    let cancel = talk.session().cancel_handle();
    let response = talk.session().respond(text)?;
    answer(common, response, (interrupt, cancel), out)
}
