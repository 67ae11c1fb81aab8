//! Perplexity per token: of a text as it stands, or of dialogues in the model's chat template.

use crate::arguments::Common;
use crate::conversation;
use crate::failure::Failure;
use crate::input::Source;
use crate::output::Output;
use crate::progress::Progress;
use crate::verbs::rounded;
use kinglet::{CancelHandle, Conversation, Likelihood, Model};
use serde::Serialize;
use serde_json::Value;

/// JSON output of a perplexity.
#[derive(Serialize)]
struct Measured {
    perplexity: f64,
    tokens: usize,
    logprob: f64,
    texts: usize,
}

/// Content of the file.
enum Content {
    Text(String),
    /// With the number of its line.
    Dialogues(Vec<(usize, Conversation)>),
}

pub(super) fn run(common: &Common, source: Source<'_>, out: &mut Output) -> Result<(), Failure> {
    let content = parse(source.text()?).map_err(|reason| Failure::failed(format!("{source}: {reason}")))?;
    let model = common.open_ready()?;
    let texts = match &content {
        Content::Text(_) => 1,
        Content::Dialogues(dialogues) => dialogues.len(),
    };
    let whole = match content {
        Content::Text(text) => {
            let _progress = Progress::spinner(common, "reading");
            model.likelihood(&model.tokenize(&text, true)?, &CancelHandle::default())?
        }
        Content::Dialogues(dialogues) => of_dialogues(common, &model, &dialogues, source)?,
    };
    let Some(perplexity) = whole.perplexity() else {
        return Err(Failure::failed(format!("{source} holds fewer than two tokens; perplexity needs a longer text")));
    };
    let Likelihood { logprob, tokens } = whole;
    if common.json {
        return out.json(&Measured { perplexity: rounded(perplexity, 6), tokens, logprob: rounded(logprob, 6), texts });
    }
    out.line(&format!("perplexity {perplexity:.4} over {tokens} tokens of {texts} text{}", if texts == 1 { "" } else { "s" }))
}

fn of_dialogues(
    common: &Common,
    model: &Model,
    dialogues: &[(usize, Conversation)],
    source: Source<'_>,
) -> Result<Likelihood, Failure> {
    let progress = Progress::bar(common, dialogues.len() as u64, "reading");
    let mut whole = Likelihood { logprob: 0.0, tokens: 0 };
    for (number, dialogue) in dialogues {
        let read = || model.likelihood(&model.transcript_tokens(dialogue)?, &CancelHandle::default());
        whole = whole + read().map_err(|error| Failure::failed(format!("line {number} of {source}: {error}")))?;
        progress.advance();
    }
    Ok(whole)
}

/// Lines of JSON objects are dialogues, anything else is a text.
fn parse(text: String) -> Result<Content, String> {
    if !text.trim_start().starts_with('{') {
        return Ok(Content::Text(text));
    }
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let dialogue = |(index, line): (usize, &str)| {
        let number = index + 1;
        let value: Value = serde_json::from_str(line).map_err(|error| format!("line {number} is no JSON: {error}"))?;
        let turns = value.get("turns").ok_or_else(|| format!("line {number} holds no \"turns\""))?;
        Ok((number, conversation::of_json(turns).map_err(|reason| format!("line {number}: {reason}"))?))
    };
    lines.map(dialogue).collect::<Result<_, String>>().map(Content::Dialogues)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_objects_are_dialogues() {
        let line = r#"{"turns":[{"speaker":"customer","text":"a"}]}"#;
        let Ok(Content::Dialogues(dialogues)) = parse(format!("{line}\n\n{line}\n")) else { panic!("no dialogues") };
        assert_eq!(dialogues.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1, 3]);
        assert!(matches!(parse("[stage direction] Enter".to_owned()), Ok(Content::Text(_))));
        for (text, word) in [("{\"turn\":[]}", "turns"), ("{", "line 1"), ("{\"turns\":1}", "line 1")] {
            assert!(parse(text.to_owned()).map(|_| ()).unwrap_err().contains(word), "{text}");
        }
    }
}
