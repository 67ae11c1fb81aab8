//! `kinglet reply`: replies to a conversation, ranked.

use crate::arguments::Common;
use crate::conversation;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::{BOLD, DIMMED, Output};
use crate::progress::Progress;
use crate::setup::Prefix;
use clap::Args;
use kinglet::{Considered, Conversation, Fate, Model, Reply, ReplyScores, ReplyTiming, SmartReply, SmartReplyOptions, Status};
use serde::Serialize;
use std::path::PathBuf;

/// Up to three ranked replies for the side whose turn it is
///
/// A conversation is lines `customer: ..` and `agent: ..`, or JSON messages [{"role" or "speaker", "content" or "text"}].
/// An argument that is no file is one message to answer; without an argument, stdin is read. The last ten messages count.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet reply \"Do you want to grab lunch tomorrow?\"
  kinglet reply examples/cafe.txt
  printf 'customer: Hi\\nagent: Hello!\\ncustomer: Are you open?\\n' | kinglet reply --json
  kinglet reply examples/cafe.txt --bank examples/bank.txt -n 5
  kinglet reply \"mum is in hospital\" --explain
  kinglet reply \"are you coming tonight?\" --model smollm2 --judge none")]
pub(crate) struct Arguments {
    /// A message, a file with a conversation, or - for stdin
    #[arg(value_name = "TEXT|FILE|-")]
    conversation: Option<String>,
    /// Replies at most
    #[arg(short = 'n', long = "count", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    count: u8,
    /// Choose among the lines of this file instead of the model's own bank and of what it writes
    #[arg(long, value_name = "FILE")]
    bank: Option<PathBuf>,
    /// The model with a bank of replies that judges what this one writes and fills in where it writes nothing good: a folder or a
    /// name, or `none` [default: goldcrest, for models without a bank of their own]
    #[arg(long, value_name = "PATH|NAME")]
    judge: Option<PathBuf>,
    /// Show every candidate with its score, where it comes from, and why it was dropped
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    prefix: Prefix,
}

/// The answer, for machines.
#[derive(Serialize)]
struct Answer<'a> {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// Kind of the scores, where they are no likelihoods.
    #[serde(skip_serializing_if = "is_default")]
    scores: ReplyScores,
    replies: &'a [Reply],
    timing: ReplyTiming,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    considered: &'a [Considered],
}

fn is_default(scores: &ReplyScores) -> bool {
    *scores == ReplyScores::default()
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let conversation = conversation::of_argument(arguments.conversation.as_deref())?;
    let bank = arguments.bank.as_deref().map(|file| read_bank(Source::of(file))).transpose()?;
    let defaults = SmartReplyOptions::default();
    let options = SmartReplyOptions {
        count: arguments.count.into(),
        bank,
        seed: common.seed.unwrap_or(defaults.seed),
        explain: arguments.explain,
        ..defaults
    };
    let model = common.judged(common.open_with(&arguments.prefix)?, arguments.judge.as_deref())?;
    warn_of_length(&model, &conversation);
    let answer = {
        let _progress = Progress::spinner(common, "reading the conversation");
        model.smart_reply(&conversation, options)?
    };
    let usage = &answer.usage;
    log::info!(
        "{} prompt tokens, {} new tokens, {} candidates, {} ranked, {:?}",
        usage.prompt_tokens,
        usage.new_tokens,
        usage.candidates,
        usage.ranked,
        answer.timing.total
    );
    if common.json {
        let reason = answer.reason.map(|reason| reason.to_string());
        return out.json(&Answer {
            status: answer.status,
            reason,
            scores: answer.scores,
            replies: &answer.replies,
            timing: answer.timing,
            considered: &answer.considered,
        });
    }
    show(&answer, out)
}

/// Says so where a conversation is longer than the model can read: only its end counts then.
fn warn_of_length(model: &Model, conversation: &Conversation) {
    let (counted, context) = (conversation.counted(), model.context());
    // No token stands for less than a byte.
    let bytes: usize = counted.turns.iter().map(|turn| turn.text.len()).sum();
    let tokens = if bytes < context { 0 } else { model.transcript_tokens(&counted).map_or(0, |tokens| tokens.len()) };
    if tokens > context {
        log::warn!("the last messages have {tokens} tokens, and {context} fit; what they begin with is left out");
    }
}

fn show(answer: &SmartReply, out: &mut Output) -> Result<(), Failure> {
    if let Some(reason) = answer.reason {
        out.line(&format!("{}: {reason}", out.paint(BOLD, words(answer.status))))?;
        return explain(answer, out);
    }
    for (place, reply) in answer.replies.iter().enumerate() {
        let number = out.paint(BOLD, &format!("{:>2}", place + 1));
        let score = out.paint(DIMMED, &format!("{:.2}", reply.score));
        out.mark(&number)?;
        out.text(&format!(" {}  ", reply.text))?;
        out.line(&score)?;
    }
    explain(answer, out)
}

/// All candidates, those that are shown marked, with their scores and what became of them.
fn explain(answer: &SmartReply, out: &mut Output) -> Result<(), Failure> {
    for Considered { text, source, intent, score, fate } in &answer.considered {
        let score = score.map_or("   -  ".to_owned(), |score| format!("{score:6.2}"));
        let intent = intent.as_deref().map(|intent| format!(" {intent}")).unwrap_or_default();
        let mark = if *fate == Fate::Shown { "*" } else { " " };
        out.text(&format!("{mark} {score}  {text}  "))?;
        out.line(&out.paint(DIMMED, &format!("[{}{intent}: {fate}]", source.as_str())))?;
    }
    Ok(())
}

/// A status in words for people.
fn words(status: Status) -> &'static str {
    match status {
        Status::Ok => "replies",
        Status::NoReply => "no reply",
        Status::Unsafe => "unsafe",
        Status::UnsupportedLanguage => "unsupported language",
    }
}

fn read_bank(source: Source<'_>) -> Result<Vec<String>, Failure> {
    let replies: Vec<String> =
        source.lines()?.into_iter().map(|(_, line)| line.trim().to_owned()).filter(|line| !line.starts_with("# ")).collect();
    if replies.is_empty() {
        return Err(Failure::failed(format!("{source} holds no replies; write one on each line")));
    }
    Ok(replies)
}
