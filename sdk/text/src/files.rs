//! Which files of a model folder speak of text, and how they are read.

use std::fs;
use std::path::{Path, PathBuf};

use kinglet_guard::Kind;
use serde_json::{Map, Value};

use crate::TextError;

/// The files of a model folder that a [`crate::Tokenizer`] and a [`crate::ChatTemplate`] are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextFiles {
    /// `tokenizer.json`, the fast tokenizer.
    pub tokenizer_json: PathBuf,
    /// `tokenizer_config.json`: names of the special tokens and, in older folders, the templates.
    pub tokenizer_config: Option<PathBuf>,
    /// `special_tokens_map.json`, which older folders have beside the configuration.
    pub special_tokens_map: Option<PathBuf>,
    /// `chat_template.jinja`, the default template.
    pub chat_template: Option<PathBuf>,
    /// `chat_template.json`, an object with the one field `chat_template`.
    pub chat_template_json: Option<PathBuf>,
    /// Further templates by name, from `additional_chat_templates/*.jinja`.
    pub named_templates: Vec<(String, PathBuf)>,
}

impl TextFiles {
    /// The text files that `folder` has under their usual names. Only `tokenizer.json` is taken for granted.
    ///
    /// Names of further templates are the file names without `.jinja`, in alphabetical order.
    pub fn in_folder(folder: &Path) -> TextFiles {
        let present = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        TextFiles {
            tokenizer_json: folder.join("tokenizer.json"),
            tokenizer_config: present("tokenizer_config.json"),
            special_tokens_map: present("special_tokens_map.json"),
            chat_template: present("chat_template.jinja"),
            chat_template_json: present("chat_template.json"),
            named_templates: named_templates(&folder.join("additional_chat_templates")),
        }
    }
}

/// The `.jinja` files of `folder` by name; none where there is no such folder.
fn named_templates(folder: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut named: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let name = path.file_name()?.to_str()?.strip_suffix(".jinja")?.to_owned();
            Some((name, path))
        })
        .collect();
    named.sort();
    named
}

/// Reads a file of a kind as UTF-8 text, without a byte order mark.
pub(crate) fn read_text(path: &Path, kind: Kind) -> Result<String, TextError> {
    Ok(kinglet_guard::read_text(path, kind)?)
}

/// The error for text of `path` that is no JSON.
pub(crate) fn json_error(path: &Path, error: &serde_json::Error) -> TextError {
    TextError::Json {
        path: path.to_owned(),
        line: error.line(),
        column: error.column(),
        reason: without_position(&error.to_string()),
    }
}

/// Reads a file that must hold a JSON object.
pub(crate) fn read_object(path: &Path, kind: Kind) -> Result<Map<String, Value>, TextError> {
    let text = read_text(path, kind)?;
    match kinglet_guard::json::parse(text.as_bytes()).map_err(|error| json_error(path, &error))? {
        Value::Object(object) => Ok(object),
        other => Err(field_error(path, "(the whole file)", &format!("an object is needed, {} was found", kind_of(&other)))),
    }
}

/// A field that does not have the form it must have.
pub(crate) fn field_error(path: &Path, field: &str, reason: &str) -> TextError {
    TextError::Field { path: path.to_owned(), field: field.to_owned(), reason: reason.to_owned() }
}

/// The kind of a JSON value in words.
pub(crate) fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The parser's message without the position, which the error carries on its own.
fn without_position(message: &str) -> String {
    message.rfind(" at line ").map_or(message, |at| &message[..at]).to_owned()
}
