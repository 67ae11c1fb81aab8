//! `kinglet tokenize`: text to token ids.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Output;
use clap::Args;
use serde::Serialize;

/// Token ids of the text on stdin
///
/// Special tokens in the text count as such, and those that the model's tokenizer puts around a text are added: what a raw
/// prompt becomes. The text is taken as it is, with its last line break.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  printf 'Hello there' | kinglet tokenize
  printf '<|end|>' | kinglet tokenize --plain --json
  printf 'Hello there' | kinglet tokenize | kinglet detokenize")]
pub(crate) struct Arguments {
    /// Take all of it as text, as what a user types in a conversation: no special tokens
    #[arg(long)]
    plain: bool,
}

#[derive(Serialize)]
struct Tokens<'a> {
    ids: &'a [u32],
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let text = Source::Stdin.text()?;
    let ids = common.open()?.tokenize(&text, !arguments.plain)?;
    if common.json {
        return out.json(&Tokens { ids: &ids });
    }
    out.line(&ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
}
