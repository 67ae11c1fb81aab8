//! Which of the words after a verb is the model, and which the prompt.

use crate::arguments::Common;
use crate::failure::Failure;
use clap::Args;
use kinglet::{DEFAULT_MODEL, Kinglet};
use std::path::{Path, PathBuf, is_separator};

/// Ends of names that only a model's file has.
const MODEL_ENDS: [&str; 3] = [".gguf", ".onnx", ".safetensors"];

/// A model and a prompt, for the verbs that take both.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// The model: a folder or a name, as for --model. A word alone that names no model is the prompt
    #[arg(value_name = "MODEL")]
    first: Option<PathBuf>,
    /// The prompt
    #[arg(value_name = "PROMPT")]
    second: Option<String>,
    /// The prompt, whatever it looks like
    #[arg(short, long, conflicts_with = "second")]
    prompt: Option<String>,
}

impl Asked {
    /// The options with the model that is named, and the prompt; `given` where that comes otherwise.
    ///
    /// # Errors
    /// Wrong usage, where two models or two prompts are named.
    pub(crate) fn settle(&self, common: &Common, given: bool) -> Result<(Common, Option<String>), Failure> {
        let Asked { first, second, prompt } = self;
        if given && second.is_some() {
            return Err(Failure::usage("two prompts are given; leave one out"));
        }
        let alone = second.is_none() && prompt.is_none() && !given;
        match first {
            Some(word) if alone && (common.model.is_some() || !can_only_be_a_model(word)) => {
                let text = word.to_str().ok_or_else(|| Failure::failed("the prompt is no UTF-8 text; convert it to UTF-8"))?;
                Ok((common.clone(), Some(text.to_owned())))
            }
            model => Ok((common.naming(model.as_ref())?, second.clone().or_else(|| prompt.clone()))),
        }
    }
}

/// Whether a word alone is a model: one that is there, or a path without spaces.
fn can_only_be_a_model(word: &Path) -> bool {
    let text = word.to_string_lossy();
    is_model(word) || (text.contains(is_separator) && !text.contains(char::is_whitespace))
}

/// Whether a word names a model: a folder, a name that is found, or a file as models come in.
pub(crate) fn is_model(word: &Path) -> bool {
    let text = word.to_string_lossy().to_ascii_lowercase();
    let is_file = MODEL_ENDS.iter().any(|end| text.ends_with(end)) && !text.contains(char::is_whitespace);
    let is_found = || Kinglet::builder().build().and_then(|kinglet| kinglet.find(word)).is_ok_and(|folder| folder.is_dir());
    is_file || word == Path::new(DEFAULT_MODEL) || word.is_dir() || is_found()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        common: Common,
        #[command(flatten)]
        asked: Asked,
    }

    fn settled(words: &[&str], given: bool) -> Result<(Option<String>, Option<String>), Failure> {
        let line = Line::try_parse_from(["kinglet"].iter().chain(words)).unwrap();
        let (common, prompt) = line.asked.settle(&line.common, given)?;
        Ok((common.model.map(|model| model.display().to_string()), prompt))
    }

    #[test]
    fn a_word_alone_is_the_prompt_unless_it_can_only_be_a_model() {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path().to_str().unwrap();
        for (words, model, prompt) in [
            (&[] as &[&str], None, None),
            (&["goldcrest"], Some("goldcrest"), None),
            (&[here], Some(here), None),
            (&["no/such/folder"], Some("no/such/folder"), None),
            (&["owner/name"], Some("owner/name"), None),
            (&["wren.GGUF"], Some("wren.GGUF"), None),
            (&["model.onnx"], Some("model.onnx"), None),
            (&["Hello"], None, Some("Hello")),
            (&["What is and/or?"], None, Some("What is and/or?")),
            (&["Explain model.onnx"], None, Some("Explain model.onnx")),
            (&["-m", "wren", "goldcrest"], Some("wren"), Some("goldcrest")),
            (&["wren", "Hello"], Some("wren"), Some("Hello")),
            (&["wren", "-p", "Hello"], Some("wren"), Some("Hello")),
            (&["-p", "no/such/folder"], None, Some("no/such/folder")),
        ] {
            let expected = (model.map(str::to_owned), prompt.map(str::to_owned));
            assert_eq!(settled(words, false).unwrap(), expected, "{words:?}");
        }
        assert_eq!(settled(&["wren"], true).unwrap(), (Some("wren".into()), None), "the prompt comes as ids");
    }

    #[test]
    fn two_of_either_are_wrong_usage() {
        for (words, given) in [(&["a", "b"] as &[&str], true), (&["a", "b", "-m", "c"], false)] {
            assert!(matches!(settled(words, given), Err(Failure::Usage(_))), "{words:?}");
        }
    }
}
