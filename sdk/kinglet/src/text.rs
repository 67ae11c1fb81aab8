//! The text side of a model: tokens from text, text from tokens, prompts from messages.

use crate::{Bytes, Error, Model, ProcessMemory};
use kinglet_bundle::Bundle;
use kinglet_generate::{CancelToken, gave_up};
use kinglet_text::{Bounds, ChatTemplate, Specials, TemplateInput, TextFiles, Tokenizer};
use serde_json::{Map, Value};
use std::sync::Arc;

pub use kinglet_text::{DateTime, Message};

/// Tokenizer and template of a model folder.
#[derive(Debug)]
pub(crate) struct Text {
    pub(crate) tokenizer: Arc<Tokenizer>,
    template: Option<Arc<ChatTemplate>>,
    /// Resident memory that reading them added to this process; 0 where the system does not tell.
    pub(crate) resident: Bytes,
}

impl Text {
    pub(crate) fn read(bundle: &Bundle) -> Result<Text, Error> {
        let before = ProcessMemory::look();
        let found = bundle.text_files();
        let files = TextFiles {
            tokenizer_json: found.tokenizer()?.into(),
            tokenizer_config: found.tokenizer_config.clone(),
            special_tokens_map: found.special_tokens_map.clone(),
            chat_template: found.chat_template.clone(),
            chat_template_json: found.chat_template_json.clone(),
            named_templates: found.additional_templates.clone(),
        };
        let tokenizer = Arc::new(Tokenizer::from_files(&files)?);
        let template = ChatTemplate::from_files(&files, &tokenizer)?.map(Arc::new);
        let added = before.zip(ProcessMemory::look()).map(|(before, now)| now.resident.0.saturating_sub(before.resident.0));
        Ok(Text { tokenizer, template, resident: Bytes(added.unwrap_or(0)) })
    }

    /// The chat template.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the folder has none.
    pub(crate) fn template(&self) -> Result<&Arc<ChatTemplate>, Error> {
        let message = "the model has no chat template, so it cannot hold a conversation; complete a prompt as it stands instead";
        self.template.as_ref().ok_or_else(|| Error::unsupported(message))
    }

    /// Names of the chat templates.
    pub(crate) fn templates(&self) -> Vec<String> {
        self.template.iter().flat_map(|template| template.named()).map(str::to_owned).collect()
    }
}

/// A conversation as chat templates take it.
///
/// ```
/// let request = kinglet::PromptRequest::default();
/// assert!(request.add_generation_prompt && request.messages.is_empty());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct PromptRequest {
    /// The messages, oldest first; at least one.
    pub messages: Vec<Message>,
    /// Whether the prompt ends with the beginning of an answer, for the model to go on from.
    pub add_generation_prompt: bool,
    /// Tools that the model may call, as JSON schemas.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from.
    pub documents: Option<Vec<Value>>,
    /// Name of the template; `None` takes the model's default.
    pub template: Option<String>,
    /// Further variables of the template, such as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// The local date and time that templates tell; `None` asks the system's clock.
    pub now: Option<DateTime>,
}

impl Default for PromptRequest {
    fn default() -> PromptRequest {
        PromptRequest {
            messages: vec![],
            add_generation_prompt: true,
            tools: None,
            documents: None,
            template: None,
            variables: Map::new(),
            now: None,
        }
    }
}

impl From<PromptRequest> for TemplateInput {
    fn from(request: PromptRequest) -> TemplateInput {
        TemplateInput {
            messages: request.messages,
            tools: request.tools,
            documents: request.documents,
            add_generation_prompt: request.add_generation_prompt,
            template: request.template,
            extra: request.variables,
            now: Some(request.now.unwrap_or_else(|| jiff::ZonedDateTime::now().datetime())),
        }
    }
}

/// Prompt of a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompt {
    /// Text, tokenised as a raw prompt: special tokens in it count, and those that the tokenizer adds are added.
    Text(String),
    /// Tokens as they stand.
    Tokens(Vec<u32>),
}

impl From<&str> for Prompt {
    fn from(text: &str) -> Prompt {
        Prompt::Text(text.to_owned())
    }
}

impl From<String> for Prompt {
    fn from(text: String) -> Prompt {
        Prompt::Text(text)
    }
}

impl From<Vec<u32>> for Prompt {
    fn from(tokens: Vec<u32>) -> Prompt {
        Prompt::Tokens(tokens)
    }
}

impl From<&[u32]> for Prompt {
    fn from(tokens: &[u32]) -> Prompt {
        Prompt::Tokens(tokens.to_vec())
    }
}

impl Model {
    /// The tokens of `text`. With `specials`, special tokens in the text count as such and those that the tokenizer puts
    /// around a text are added, as for a raw prompt; without, all of it is text, as for what a user typed.
    ///
    /// # Errors
    /// [`Error::BadModel`] for a tokenizer that is missing or unusable, [`Error::InvalidRequest`] for text that the
    /// vocabulary has no tokens for.
    pub fn tokenize(&self, text: &str, specials: bool) -> Result<Vec<u32>, Error> {
        let specials = if specials { Specials::PROMPT } else { Specials::TEXT };
        Ok(self.text()?.tokenizer.encode(text, specials)?)
    }

    /// The text of `tokens`. With `specials`, special tokens appear as they stand in the vocabulary; without, they give none.
    ///
    /// # Errors
    /// [`Error::InvalidRequest`] for a token outside the vocabulary, [`Error::BadModel`] for a tokenizer that is missing or
    /// unusable.
    pub fn detokenize(&self, tokens: &[u32], specials: bool) -> Result<String, Error> {
        let tokenizer = &self.text()?.tokenizer;
        let vocabulary = self.vocabulary().max(tokenizer.vocab_size());
        if let Some(token) = tokens.iter().find(|&&token| token as usize >= vocabulary) {
            return Err(Error::invalid(format!("the token {token} is outside the vocabulary of {vocabulary} tokens")));
        }
        Ok(tokenizer.decode(tokens, !specials)?)
    }

    /// Whether the model has a chat template, without which it completes prompts and holds no conversation.
    ///
    /// # Errors
    /// [`Error::BadModel`] for text files that cannot be used, [`Error::Unsupported`] for a model without a folder.
    pub fn has_template(&self) -> Result<bool, Error> {
        Ok(self.text()?.template().is_ok())
    }

    /// The prompt that the model's chat template makes of a conversation.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a template, [`Error::InvalidRequest`] for a conversation that the template
    /// refuses, [`Error::BadModel`] for text files that cannot be used.
    pub fn render(&self, request: &PromptRequest) -> Result<String, Error> {
        Ok(self.text()?.template()?.render(&request.clone().into())?)
    }

    /// The prompt as tokens, in which what the messages say is never taken for a control token.
    ///
    /// # Errors
    /// As [`render`](Self::render).
    pub fn render_tokens(&self, request: &PromptRequest) -> Result<Vec<u32>, Error> {
        let text = self.text()?;
        Ok(text.template()?.encode(&text.tokenizer, &request.clone().into())?)
    }

    /// A prompt's tokens. A text that cannot fit the context is refused before it is looked at, and `cancel` ends the work.
    pub(crate) fn prompt_tokens(&self, prompt: Prompt, cancel: &CancelToken) -> Result<Vec<u32>, Error> {
        let text = match prompt {
            Prompt::Text(text) => text,
            Prompt::Tokens(tokens) => return Ok(tokens),
        };
        let cancelled = gave_up(cancel);
        let bounds = Bounds { most_tokens: Some(self.local()?.generator.context()), cancelled: Some(&cancelled) };
        Ok(self.text()?.tokenizer.encode_within(&text, Specials::PROMPT, &bounds)?)
    }
}
