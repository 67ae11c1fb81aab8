//! `kinglet template`: messages to the prompt that the model sees.

use crate::arguments::Common;
use crate::failure::Failure;
use crate::input::Source;
use crate::named::is_model;
use crate::output::Output;
use clap::Args;
use kinglet::{Message, PromptRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::path::PathBuf;

/// The prompt that the model's chat template makes of messages
///
/// The JSON is {"messages": [{"role", "content"}], "add_generation_prompt": true, "tools": [..]}; any further field is a
/// variable of the template, such as "enable_thinking". Without "add_generation_prompt" the prompt ends after the last
/// message.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  echo '{\"messages\":[{\"role\":\"user\",\"content\":\"Hi\"}],\"add_generation_prompt\":true}' | kinglet template
  kinglet template talk.json --json
  kinglet template path/to/model talk.json")]
pub(crate) struct Arguments {
    /// The model: a folder or a name, as for --model. A word alone that names no model is the file
    #[arg(value_name = "MODEL")]
    first: Option<PathBuf>,
    /// The JSON; stdin where none is given
    #[arg(value_name = "FILE")]
    second: Option<PathBuf>,
}

/// The fields of the JSON that have a meaning of their own.
#[derive(Deserialize)]
struct Request {
    messages: Vec<Message>,
    #[serde(default)]
    add_generation_prompt: bool,
    #[serde(default)]
    tools: Option<Vec<Value>>,
    #[serde(default)]
    documents: Option<Vec<Value>>,
    #[serde(flatten)]
    variables: Map<String, Value>,
}

#[derive(Serialize)]
struct Prompt<'a> {
    prompt: &'a str,
}

pub(crate) fn run(common: &Common, arguments: &Arguments, out: &mut Output) -> Result<(), Failure> {
    let (model, file) = match (&arguments.first, &arguments.second) {
        (Some(word), None) if common.model.is_some() || !is_model(word) => (None, Some(word)),
        (model, file) => (model.as_ref(), file.as_ref()),
    };
    let common = common.naming(model)?;
    let source = file.map_or(Source::Stdin, |file| Source::of(file));
    let request = parse(&source.text()?).map_err(|reason| Failure::failed(format!("{source} {reason}")))?;
    let prompt = common.open()?.render(&request)?;
    if common.json {
        return out.json(&Prompt { prompt: &prompt });
    }
    out.text(&prompt)?;
    if out.is_terminal() && !prompt.ends_with('\n') { out.line("") } else { Ok(()) }
}

fn parse(text: &str) -> Result<PromptRequest, String> {
    let request: Request = serde_json::from_str(text).map_err(|error| {
        format!("does not hold {{\"messages\": [..], \"add_generation_prompt\": true, \"tools\": [..]}}: {error}")
    })?;
    let Request { messages, add_generation_prompt, tools, documents, variables } = request;
    Ok(PromptRequest { messages, add_generation_prompt, tools, documents, variables, ..PromptRequest::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_without_a_meaning_of_their_own_are_variables() {
        let text =
            r#"{"messages":[{"role":"user","content":"a"}],"add_generation_prompt":true,"tools":[{}],"enable_thinking":false}"#;
        let request = parse(text).unwrap();
        assert_eq!(request.messages, [Message::new("user", "a")]);
        assert!(request.add_generation_prompt);
        assert_eq!(request.tools.map(|tools| tools.len()), Some(1));
        assert_eq!(request.variables, Map::from_iter([("enable_thinking".to_owned(), Value::Bool(false))]));
        assert!(!parse(r#"{"messages":[]}"#).unwrap().add_generation_prompt);
    }

    #[test]
    fn other_json_is_refused() {
        for text in ["", "[]", "{}", r#"{"messages":1}"#, r#"{"messages":["a"]}"#] {
            assert!(parse(text).unwrap_err().contains("messages"), "{text}");
        }
    }
}
