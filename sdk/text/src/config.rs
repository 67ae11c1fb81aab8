//! `tokenizer_config.json` and the files around it, in their older and newer forms.
//!
//! Special tokens are strings or objects with flags; templates are a string, a list of named ones, or files of their own.

use std::path::Path;

use kinglet_guard::Kind;
use serde_json::{Map, Value};
use tokenizers::AddedToken;

use crate::files::{field_error, kind_of, read_object, read_text};
use crate::length::check_token;
use crate::{TextError, TextFiles};

/// Name of the template that is used when none is asked for.
pub(crate) const DEFAULT_TEMPLATE: &str = "default";

/// More templates in files of their own than any model has.
const MOST_TEMPLATES: usize = 100;

/// The names that every tokenizer may give to special tokens.
const STANDARD_NAMES: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// An added token with the id that the configuration gives it.
#[derive(Debug, Clone)]
pub(crate) struct ListedToken {
    pub(crate) id: u32,
    pub(crate) token: AddedToken,
}

/// Special tokens and templates, from the configuration files.
#[derive(Debug, Clone, Default)]
pub(crate) struct TokenizerConfig {
    /// Special tokens by name (`bos_token`), as templates see them.
    pub(crate) special_tokens: Vec<(String, String)>,
    /// Special tokens without a name.
    pub(crate) extra_special: Vec<String>,
    /// `added_tokens_decoder`, by ascending id.
    pub(crate) listed: Vec<ListedToken>,
    /// `chat_control_tokens`: the added tokens that steer a chat, where the folder lists them.
    pub(crate) control_tokens: Option<Vec<String>>,
}

impl TokenizerConfig {
    /// Reads the files that are there.
    pub(crate) fn from_files(files: &TextFiles) -> Result<TokenizerConfig, TextError> {
        let mut config = TokenizerConfig::default();
        if let Some(path) = &files.tokenizer_config {
            config.read_config(path)?;
        }
        if let Some(path) = files.special_tokens_map.as_deref().filter(|_| config.listed.is_empty()) {
            config.read_special_tokens(path, &read_object(path, Kind::TokenizerConfiguration)?)?;
        }
        Ok(config)
    }

    /// The text of a special token given by name.
    pub(crate) fn special_token(&self, name: &str) -> Option<&str> {
        self.special_tokens.iter().find(|(known, _)| known == name).map(|(_, content)| content.as_str())
    }

    /// All special tokens that the configuration names, each as it stands in the vocabulary.
    pub(crate) fn all_special(&self) -> impl Iterator<Item = &str> {
        self.special_tokens.iter().map(|(_, content)| content).chain(&self.extra_special).map(String::as_str)
    }

    fn read_config(&mut self, path: &Path) -> Result<(), TextError> {
        let object = read_object(path, Kind::TokenizerConfiguration)?;
        self.read_special_tokens(path, &object)?;
        self.listed = listed_tokens(path, &object)?;
        self.control_tokens = match object.get("chat_control_tokens") {
            None | Some(Value::Null) => None,
            Some(list) => Some(token_list(path, "chat_control_tokens", list)?),
        };
        Ok(())
    }

    /// Takes over every `.._token` of an object; what was known under the same name before gives way.
    fn read_special_tokens(&mut self, path: &Path, object: &Map<String, Value>) -> Result<(), TextError> {
        for (name, value) in object.iter().filter(|(name, _)| name.ends_with("_token")) {
            self.name_token(path, name, value)?;
        }
        let mut extra = object.get("extra_special_tokens").filter(|extra| !is_empty(extra));
        extra = extra.or_else(|| object.get("additional_special_tokens")).filter(|extra| !is_empty(extra));
        match extra {
            None => {}
            Some(Value::Object(named)) => {
                for (name, value) in named {
                    self.name_token(path, name, value)?;
                }
            }
            Some(list) => self.extra_special = token_list(path, "extra_special_tokens", list)?,
        }
        Ok(())
    }

    fn name_token(&mut self, path: &Path, name: &str, value: &Value) -> Result<(), TextError> {
        let content = match token_content(value) {
            Some(content) => content.to_owned(),
            None if value.is_null() || !STANDARD_NAMES.contains(&name) => return Ok(()),
            None => return Err(field_error(path, name, &format!("a token is needed, {} was found", kind_of(value)))),
        };
        check_token(&content).map_err(|reason| field_error(path, name, &reason))?;
        self.special_tokens.retain(|(known, _)| known != name);
        self.special_tokens.push((name.to_owned(), content));
        Ok(())
    }
}

/// The template sources of a folder by name, each name once.
///
/// Template files win over the configuration, and `chat_template.json` counts only where there is nothing else.
pub(crate) fn read_templates(files: &TextFiles) -> Result<Vec<(String, String)>, TextError> {
    if let Some((_, path)) = files.named_templates.get(MOST_TEMPLATES) {
        let folder = path.parent().unwrap_or(path);
        return Err(field_error(folder, "(the whole folder)", &format!("it holds more than {MOST_TEMPLATES} templates")));
    }
    let mut found = Vec::new();
    if let Some(path) = &files.tokenizer_config {
        found = templates(path, read_object(path, Kind::TokenizerConfiguration)?.get("chat_template").unwrap_or(&Value::Null))?;
    }
    let default = files.chat_template.iter().map(|path| (DEFAULT_TEMPLATE.to_owned(), path));
    let named = files.named_templates.iter().map(|(name, path)| (name.clone(), path));
    for (name, path) in default.chain(named) {
        let source = read_text(path, Kind::Template)?;
        found.retain(|(known, _)| *known != name);
        found.push((name, source));
    }
    if let Some(path) = files.chat_template_json.as_deref().filter(|_| found.is_empty()) {
        found = templates(path, read_object(path, Kind::Template)?.get("chat_template").unwrap_or(&Value::Null))?;
    }
    Ok(found)
}

/// The templates of a `chat_template` field: none, one, or a list of `{name, template}`.
fn templates(path: &Path, value: &Value) -> Result<Vec<(String, String)>, TextError> {
    let wrong = |value: &Value| {
        let reason =
            format!("a template or a list of objects with `name` and `template` is needed, {} was found", kind_of(value));
        field_error(path, "chat_template", &reason)
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(source) => Ok(vec![(DEFAULT_TEMPLATE.to_owned(), source.clone())]),
        Value::Array(list) => list
            .iter()
            .map(|entry| match (&entry["name"], &entry["template"]) {
                (Value::String(name), Value::String(source)) => Ok((name.clone(), source.clone())),
                _ => Err(wrong(entry)),
            })
            .collect(),
        other => Err(wrong(other)),
    }
}

/// `added_tokens_decoder`, an object from id to token.
fn listed_tokens(path: &Path, object: &Map<String, Value>) -> Result<Vec<ListedToken>, TextError> {
    let field = "added_tokens_decoder";
    let entries = match object.get(field) {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Object(entries)) => entries,
        Some(other) => return Err(field_error(path, field, &format!("an object is needed, {} was found", kind_of(other)))),
    };
    let mut listed = Vec::with_capacity(entries.len());
    for (id, value) in entries {
        let place = format!("{field}.{id}");
        let id = id.parse().map_err(|_| field_error(path, &place, "the name is not a token id"))?;
        let token = added_token(value).ok_or_else(|| field_error(path, &place, "an object with `content` is needed"))?;
        check_token(&token.content).map_err(|reason| field_error(path, &place, &reason))?;
        listed.push(ListedToken { id, token });
    }
    listed.sort_by_key(|listed| listed.id);
    Ok(listed)
}

/// A token with its flags. A flag that is absent is off, except `normalized`, which is then the opposite of `special`.
fn added_token(value: &Value) -> Option<AddedToken> {
    let content = value.as_object()?.get("content")?.as_str()?;
    let flag = |name: &str| value[name].as_bool();
    let special = flag("special").unwrap_or(false);
    Some(
        AddedToken::from(content, special)
            .single_word(flag("single_word").unwrap_or(false))
            .lstrip(flag("lstrip").unwrap_or(false))
            .rstrip(flag("rstrip").unwrap_or(false))
            .normalized(flag("normalized").unwrap_or(!special)),
    )
}

/// A list of tokens, each a string or an object with `content`.
fn token_list(path: &Path, field: &str, value: &Value) -> Result<Vec<String>, TextError> {
    let wrong = || field_error(path, field, "a list of tokens is needed");
    let content = |token: &Value| -> Result<String, TextError> {
        let content = token_content(token).ok_or_else(wrong)?;
        check_token(content).map_err(|reason| field_error(path, field, &reason))?;
        Ok(content.to_owned())
    };
    value.as_array().ok_or_else(wrong)?.iter().map(content).collect()
}

/// The text of a token given as a string or as an object with `content`.
fn token_content(value: &Value) -> Option<&str> {
    value.as_str().or_else(|| value.get("content")?.as_str())
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}
