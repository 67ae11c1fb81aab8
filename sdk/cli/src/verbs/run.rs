//! `kinglet run`: one answer to one prompt.

use super::{milliseconds, rounded};
use crate::arguments::{Common, Ids};
use crate::failure::Failure;
use crate::input::argument_or_stdin;
use crate::interrupt::Interrupt;
use crate::named::Asked;
use crate::output::Output;
use crate::progress::Progress;
use crate::setup::{Prefix, Sampling};
use clap::Args;
use kinglet::{
    CancelHandle, Event, FinishReason, GenerationOptions, Model, Prompt, Response, SamplingOptions, SessionOptions, Usage,
};
use serde::Serialize;

/// Answer one prompt
///
/// The prompt is what a user says, in the model's chat template; with --raw, and by models without a template, it is completed as it
/// stands. Without a prompt, stdin is read. The likeliest token is taken each time, so that an answer is the same every time, unless
/// --temp says otherwise; `kinglet chat` chooses as the model's makers recommend.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet run \"Where does the tide come from?\"
  kinglet run path/to/model \"Where does the tide come from?\" -n 40
  kinglet run path/to/model --temp 0.8 --top-p 0.95 --seed 7 < prompt.txt
  kinglet run --raw \"The tide comes in\" --json
  kinglet run --raw --prefix-cache ~/.cache/kinglet < prompt.txt")]
pub(crate) struct Arguments {
    #[command(flatten)]
    asked: Asked,
    /// Complete the prompt as it stands, without the chat template; special tokens in it count as such
    #[arg(long)]
    raw: bool,
    /// The prompt as token ids, separated by commas: completed as it stands
    #[arg(long, value_name = "IDS", conflicts_with = "prompt")]
    ids: Option<Ids>,
    #[command(flatten)]
    length: Length,
    #[command(flatten)]
    sampling: Sampling,
    #[command(flatten)]
    prefix: Prefix,
}

/// When an answer ends, for `run` and `chat`.
#[derive(Debug, Args)]
pub(crate) struct Length {
    /// Tokens that the answer has at most
    #[arg(short = 'n', long = "max-tokens", visible_alias = "max-new-tokens", value_name = "TOKENS", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tokens: u32,
    /// End before this text appears; may be given several times
    #[arg(long, value_name = "TEXT")]
    pub(crate) stop: Vec<String>,
}

/// An answer, for machines.
#[derive(Serialize)]
struct Answer<'a> {
    text: &'a str,
    tokens: &'a [u32],
    finish: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    stop: Option<&'a str>,
    usage: Counts,
    timing: Times,
    seed: u64,
}

#[derive(Serialize)]
struct Counts {
    prompt_tokens: usize,
    cached_tokens: usize,
    new_tokens: usize,
}

#[derive(Serialize)]
struct Times {
    first_token_ms: Option<f64>,
    prefill_ms: f64,
    decode_ms: f64,
    prefill_tokens_per_second: Option<f64>,
    decode_tokens_per_second: Option<f64>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let (common, given) = arguments.asked.settle(common, arguments.ids.is_some())?;
    let prompt: Prompt = match &arguments.ids {
        Some(Ids(ids)) => ids.clone().into(),
        None => argument_or_stdin(given.as_deref())?.into(),
    };
    let Length { tokens, stop } = &arguments.length;
    let sampling = Some(arguments.sampling.over(&SamplingOptions::default(), common.seed));
    let options = GenerationOptions { max_new_tokens: *tokens as usize, sampling, stop: stop.clone() };
    let model = common.open_with(&arguments.prefix)?;
    match prompt {
        Prompt::Text(text) if !arguments.raw && model.has_template()? => reply(&common, &model, &text, options, out),
        prompt => complete(&common, &model, prompt, &options, out),
    }
}

/// Answers what a user says, in the model's chat template.
fn reply(common: &Common, model: &Model, text: &str, generation: GenerationOptions, out: &mut Output) -> Result<(), Failure> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Failure::failed("the prompt has no tokens: it is empty; give one as an argument or on stdin"));
    }
    let mut session = model.session(SessionOptions { generation, ..SessionOptions::default() })?.save_prompts(true);
    let (interrupt, cancel) = (Interrupt::watch(), session.cancel_handle());
    let response = session.respond(text)?;
    answer(common, response, (&interrupt, cancel), out)
}

/// Completes a prompt as it stands.
fn complete(
    common: &Common,
    model: &Model,
    prompt: Prompt,
    options: &GenerationOptions,
    out: &mut Output,
) -> Result<(), Failure> {
    let mut completer = model.completer()?.save_prompts(true);
    let (interrupt, cancel) = (Interrupt::watch(), completer.cancel_handle());
    let response = completer.complete(prompt, options)?;
    answer(common, response, (&interrupt, cancel), out)
}

/// Writes an answer as it grows, or as one object for machines.
///
/// # Errors
/// Errors of the answer; one that was cancelled is written as far as it came and then counts as a failure.
pub(crate) fn answer(
    common: &Common,
    mut response: Response<'_>,
    (interrupt, cancel): (&Interrupt, CancelHandle),
    out: &mut Output,
) -> Result<(), Failure> {
    interrupt.answer_begins(cancel);
    let written = write(common, &mut response, out);
    interrupt.answer_ends();
    match written? {
        FinishReason::Cancelled => Err(Failure::failed("cancelled")),
        _ => Ok(()),
    }
}

fn write(common: &Common, response: &mut Response<'_>, out: &mut Output) -> Result<FinishReason, Failure> {
    let mut progress = Some(Progress::spinner(common, "reading the prompt"));
    let mut text = String::new();
    while let Some(event) = response.next() {
        match event? {
            Event::Text(piece) => {
                if !common.json {
                    drop(progress.take());
                    out.text(&piece)?;
                }
                text.push_str(&piece);
            }
            Event::Done(usage) => {
                drop(progress.take());
                end(common, &text, response.tokens(), &usage, out)?;
                return Ok(usage.finish);
            }
        }
    }
    Err(Failure::failed("the answer ended without saying why; report this as a mistake in Kinglet"))
}

fn end(common: &Common, text: &str, tokens: &[u32], usage: &Usage, out: &mut Output) -> Result<(), Failure> {
    let rate = |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.0}"));
    log::info!(
        "{} prompt tokens ({} cached, {} a second), {} new tokens ({} a second), ended by {}",
        usage.prompt_tokens,
        usage.cached_tokens,
        rate(usage.prefill_tokens_per_second()),
        usage.new_tokens,
        rate(usage.decode_tokens_per_second()),
        usage.finish.as_str(),
    );
    if !common.json {
        return if text.ends_with('\n') { Ok(()) } else { out.line("") };
    }
    let stop = match &usage.finish {
        FinishReason::Stop { which } => Some(which.as_str()),
        _ => None,
    };
    out.json(&Answer {
        text,
        tokens,
        finish: usage.finish.as_str(),
        stop,
        usage: Counts { prompt_tokens: usage.prompt_tokens, cached_tokens: usage.cached_tokens, new_tokens: usage.new_tokens },
        timing: Times {
            first_token_ms: usage.timing.first_token.map(milliseconds),
            prefill_ms: milliseconds(usage.timing.prefill),
            decode_ms: milliseconds(usage.timing.decode),
            prefill_tokens_per_second: usage.prefill_tokens_per_second().map(|rate| rounded(rate, 2)),
            decode_tokens_per_second: usage.decode_tokens_per_second().map(|rate| rounded(rate, 2)),
        },
        seed: usage.seed,
    })
}
