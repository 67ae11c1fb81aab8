//! `kinglet score`: how likely the model holds given texts.

mod batch;
mod perplexity;

use crate::arguments::Common;
use crate::conversation;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::{BOLD, Output};
use crate::progress::Progress;
use clap::{ArgGroup, Args};
use kinglet::CancelHandle;
use std::path::PathBuf;

/// Log-likelihood of candidates after a prompt or a conversation
///
/// Scores keep the order of the candidates. `logprob` is the natural logarithm of a candidate's probability, `score` what
/// reply ranking sorts by: length and prior taken out. --batch takes lines
/// {"turns":[{"speaker","text"}],"candidates":[..]}; where they hold an "answer", the place of the right candidate counted
/// from 0, a summary goes to stderr. --perplexity takes a text, or lines {"turns":[..]}.
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("what").required(true).args(["prompt", "conversation", "batch", "perplexity"]),
    after_help = "Examples:
  kinglet score -p \"The capital of France is\" --candidates cities.txt
  kinglet score path/to/model -p \"The capital of France is\" --candidates cities.txt
  kinglet score --conversation talk.txt --candidates replies.txt --json
  kinglet score --batch cases.jsonl > scores.jsonl
  kinglet score --perplexity dialogues.jsonl"
)]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model
    #[arg(value_name = "MODEL")]
    named: Option<PathBuf>,
    /// The text that candidates follow, as it stands
    #[arg(short, long, value_name = "PROMPT", requires = "candidates")]
    prompt: Option<String>,
    /// The conversation that candidates answer, in the forms that `kinglet reply` takes
    #[arg(long, value_name = "FILE", requires = "candidates")]
    conversation: Option<PathBuf>,
    /// The candidates, one a line; blank lines are skipped
    #[arg(long, value_name = "FILE", conflicts_with_all = ["batch", "perplexity"])]
    candidates: Option<PathBuf>,
    /// Many conversations with candidates, one a line
    #[arg(long, value_name = "FILE")]
    batch: Option<PathBuf>,
    /// A text, or dialogues one a line, to give the perplexity per token of
    #[arg(long, value_name = "FILE")]
    perplexity: Option<PathBuf>,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let common = &common.naming(arguments.named.as_ref())?;
    if let Some(file) = &arguments.batch {
        return batch::run(common, Source::of(file), out);
    }
    if let Some(file) = &arguments.perplexity {
        return perplexity::run(common, Source::of(file), out);
    }
    let file = arguments.candidates.as_deref().ok_or_else(|| Failure::usage("name a file of candidates with --candidates"))?;
    let source = Source::of(file);
    let candidates: Vec<String> = source.lines()?.into_iter().map(|(_, line)| line).collect();
    if candidates.is_empty() {
        return Err(Failure::failed(format!("{source} holds no candidates; write one on each line")));
    }
    let conversation = arguments.conversation.as_deref().map(|file| conversation::read(Source::of(file))).transpose()?;
    let model = common.open_ready()?;
    let scores = {
        let _progress = Progress::spinner(common, "scoring");
        let cancel = CancelHandle::default();
        match &conversation {
            Some(conversation) => model.score_replies(conversation, &candidates, &cancel)?,
            None => model.score_completions(arguments.prompt.as_deref().unwrap_or_default(), &candidates, &cancel)?,
        }
    };
    if common.json {
        return out.json(&scores);
    }
    let head = format!("{:>9} {:>9} {:>6}  candidate", "score", "logprob", "tokens");
    let head = out.paint(BOLD, &head);
    out.line(&head)?;
    for (score, candidate) in scores.iter().zip(&candidates) {
        out.text(&format!("{:>9.3} {:>9.3} {:>6}  {candidate}\n", score.score, score.logprob, score.tokens))?;
    }
    Ok(())
}
