//! `kinglet tokenize`: text to token ids.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::input::argument_or_stdin;
use crate::output::Output;
use clap::Args;
use serde::Serialize;

/// Token ids of a text
///
/// Special tokens in the text count as such, and those that the model's tokenizer puts around a text are added: what a raw
/// prompt becomes. Without a text, stdin is read, and taken as it is, with its last line break.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet tokenize \"Hello there\"
  kinglet tokenize \"Hello there\" --model path/to/model
  printf '<|end|>' | kinglet tokenize --plain --json
  printf 'Hello there' | kinglet tokenize | kinglet detokenize")]
pub(crate) struct Arguments {
    /// The text; stdin where none is given
    #[arg(value_name = "TEXT")]
    text: Option<String>,
    /// Take all of it as text, as what a user types in a conversation: no special tokens
    #[arg(long)]
    plain: bool,
}

#[derive(Serialize)]
struct Tokens<'a> {
    ids: &'a [u32],
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let text = argument_or_stdin(arguments.text.as_deref())?;
    let ids = common.open()?.tokenize(&text, !arguments.plain)?;
    if common.json {
        return out.json(&Tokens { ids: &ids });
    }
    out.line(&ids.iter().map(u32::to_string).collect::<Vec<_>>().join(" "))
}
