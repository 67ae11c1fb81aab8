//! `kinglet detokenize`: token ids to text.

use crate::arguments::{Common, Ids, beginning};
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Output;
use clap::Args;
use serde::{Deserialize, Serialize};

/// Text of token ids, from the arguments or from stdin
///
/// On stdin: numbers separated by spaces, commas or lines, or the JSON that `kinglet tokenize --json` writes.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet detokenize 100 200 300
  kinglet detokenize --ids 100,200,300 --skip-special --json
  printf 'Hello there' | kinglet tokenize --json | kinglet detokenize")]
pub(crate) struct Arguments {
    /// Token ids
    #[arg(value_name = "ID")]
    tokens: Vec<Ids>,
    /// Token ids in one argument, separated by commas
    #[arg(long, value_name = "IDS", conflicts_with = "tokens")]
    ids: Option<Ids>,
    /// Leave special tokens out
    #[arg(long)]
    skip_special: bool,
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// Token ids as JSON: a list, or the object that `kinglet tokenize --json` writes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Given {
    List(Vec<u32>),
    Object { ids: Vec<u32> },
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let ids = match (&arguments.ids, arguments.tokens.as_slice()) {
        (Some(Ids(ids)), _) => ids.clone(),
        (None, []) => parse(&Source::Stdin.text()?)?,
        (None, given) => given.iter().flat_map(|Ids(ids)| ids).copied().collect(),
    };
    let text = common.open()?.detokenize(&ids, !arguments.skip_special)?;
    if common.json {
        return out.json(&Text { text: &text });
    }
    out.text(&text)?;
    if out.is_terminal() && !text.ends_with('\n') { out.line("") } else { Ok(()) }
}

fn parse(text: &str) -> Result<Vec<u32>, Failure> {
    let text = text.trim();
    if text.starts_with(['[', '{']) {
        return match serde_json::from_str(text) {
            Ok(Given::List(ids) | Given::Object { ids }) => Ok(ids),
            Err(_) => {
                let found = beginning(text);
                Err(Failure::failed(format!(
                    "stdin begins like JSON, but is no list of token ids: `{found}`; write [1,2,3] or {{\"ids\":[1,2,3]}}"
                )))
            }
        };
    }
    text.parse().map(|Ids(ids)| ids).map_err(|reason| Failure::failed(format!("stdin holds no token ids: {reason}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_in_several_forms() {
        struct Case(&'static str, Option<Vec<u32>>);
        for Case(text, ids) in [
            Case("", Some(vec![])),
            Case("1 2\n3\n", Some(vec![1, 2, 3])),
            Case("1,2", Some(vec![1, 2])),
            Case(" [1, 2] ", Some(vec![1, 2])),
            Case("{\"ids\":[7]}", Some(vec![7])),
            Case("{\"id\":[7]}", None),
            Case("[-1]", None),
            Case("[1.5]", None),
            Case("one two", None),
        ] {
            assert_eq!(parse(text).ok(), ids, "{text:?}");
        }
    }
}
