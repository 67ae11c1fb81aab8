//! Chat templates: a conversation to a prompt, as Hugging Face transformers renders it.
//!
//! The engine is minijinja; the modules below bring it to what templates expect of Jinja2 inside Python. Messages are not
//! altered except as transformers does it: fields without a value are dropped, and a message's reasoning is found under
//! each of the names that templates use for it.
//!
//! Differences: Jinja2 fails on JSON of what `map` and `select` give, on comparisons between kinds, and on `join` of what is no
//! text, where this renders; it has `varargs`, a leading `+`, `{!r}` in formats, a few methods of strings and filters for web
//! pages, which fail here; what is joined to a string marked `safe` is escaped there; and `d['items']` of an object without that
//! field is the method of that name there, which is defined, and undefined here.

mod clock;
mod environment;
mod filters;
mod globals;
mod json;
mod kept;
mod methods;
mod operators;
mod printf;
mod protect;
mod source;
mod stack;
mod text;
mod values;

use std::fmt;
use std::sync::Arc;

use minijinja::{Environment, Value as JinjaValue};
use serde_json::{Map, Value};

use crate::added::Admission;
use crate::config::DEFAULT_TEMPLATE;
use crate::files::kind_of;
use crate::{Bounds, DateTime, Message, Specials, TextError, TextFiles, Tokenizer};

/// Input of a rendering.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TemplateInput {
    /// The conversation so far, at least one message.
    pub messages: Vec<Message>,
    /// Tools that the model may call, as JSON schemas.
    pub tools: Option<Vec<Value>>,
    /// Documents to answer from, for templates that take them.
    pub documents: Option<Vec<Value>>,
    /// Whether the prompt ends with the header of an assistant message, so that the model answers.
    pub add_generation_prompt: bool,
    /// Name of the template. With `None` it is `tool_use` where there are tools and such a template, else the default one.
    pub template: Option<String>,
    /// Further variables of the template, such as `enable_thinking`.
    pub extra: Map<String, Value>,
    /// The local date and time that the template's `strftime_now` tells. With `None` the template sees no clock: those
    /// that ask for one first use a date of their own, others fail.
    pub now: Option<DateTime>,
}

/// The chat templates of a model, compiled. Cheap to clone.
#[derive(Clone)]
pub struct ChatTemplate {
    environment: Arc<Environment<'static>>,
    /// Names and sources, each name once.
    templates: Arc<[(String, String)]>,
    /// Special tokens by name (`bos_token`), as the templates see them.
    special_tokens: Arc<[(String, String)]>,
}

impl ChatTemplate {
    /// The templates of a model folder; `None` if it has none.
    ///
    /// `chat_template.jinja` wins over `tokenizer_config.json`, and that over `chat_template.json`.
    ///
    /// # Errors
    /// As [`ChatTemplate::from_sources`]; [`TextError::Read`], [`TextError::NotText`], [`TextError::Json`] and
    /// [`TextError::Field`] for files that cannot be used.
    pub fn from_files(files: &TextFiles, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>, TextError> {
        let templates = crate::config::read_templates(files)?;
        if templates.is_empty() {
            return Ok(None);
        }
        ChatTemplate::from_sources(templates, tokenizer.config().special_tokens.clone()).map(Some)
    }

    /// Compiles templates given as name and source, for special tokens given as name and text. The default template is
    /// named `default`.
    ///
    /// # Errors
    /// [`TextError::TemplateSyntax`] if one of them is no valid Jinja, is longer than 256 KiB or has a tag of more than 4 KiB;
    /// [`TextError::NoStack`].
    pub fn from_sources(
        templates: Vec<(String, String)>,
        special_tokens: Vec<(String, String)>,
    ) -> Result<ChatTemplate, TextError> {
        let mut environment = environment::chat_environment();
        for (name, text) in &templates {
            let wrong = |line, reason| TextError::TemplateSyntax { template: name.clone(), line, reason };
            let prepared = source::prepare(text).map_err(|long| wrong(long.line, long.reason.to_owned()))?;
            let compile = || environment.add_template_owned(name.clone(), prepared);
            stack::compile(text.len(), compile)?
                .map_err(|error| wrong(error.line().unwrap_or(0), environment::reason(&error)))?;
        }
        Ok(ChatTemplate {
            environment: Arc::new(environment),
            templates: templates.into(),
            special_tokens: special_tokens.into(),
        })
    }

    /// Names of the templates.
    pub fn named(&self) -> Vec<&str> {
        self.templates.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The prompt as text. To have tokens from it, use [`ChatTemplate::encode`]: in this text, what a user typed can no
    /// longer be told from what the template wrote.
    ///
    /// # Errors
    /// [`TextError::TemplateRefused`] if the template says no, [`TextError::TemplateFailed`] if it cannot work with these
    /// messages, [`TextError::TemplateEndless`] if it does not come to an end, [`TextError::NoSuchTemplate`],
    /// [`TextError::EmptyConversation`], [`TextError::Message`] and [`TextError::NoStack`].
    pub fn render(&self, input: &TemplateInput) -> Result<String, TextError> {
        self.render_variables(input, &Variables::of(input)?)
    }

    /// The prompt as tokens, in which only the template's own control tokens are control tokens.
    ///
    /// The text of a control token inside a message, a tool, a document or an extra variable stays text, and is encoded
    /// like any other text. Control tokens are the special tokens, and those other added tokens that the template writes
    /// (or that the folder lists as `chat_control_tokens`). In an assistant's message, added tokens that are not special
    /// and that the template looks for there, such as `</think>`, are the model's own and stay tokens.
    ///
    /// Where no message contains such text, the tokens are those that transformers' `apply_chat_template` gives.
    ///
    /// # Errors
    /// Those of [`ChatTemplate::render`] and [`Tokenizer::encode`]; [`TextError::Encode`] also where the vocabulary turns a
    /// user's text into a control token by itself, and [`TextError::Unmarkable`].
    pub fn encode(&self, tokenizer: &Tokenizer, input: &TemplateInput) -> Result<Vec<u32>, TextError> {
        self.encode_within(tokenizer, input, &Bounds::default())
    }

    /// The prompt as tokens, for a caller with so much room and patience.
    ///
    /// # Errors
    /// As [`encode`](Self::encode) and [`Tokenizer::encode_within`].
    pub fn encode_within(
        &self,
        tokenizer: &Tokenizer,
        input: &TemplateInput,
        bounds: &Bounds<'_>,
    ) -> Result<Vec<u32>, TextError> {
        let (_, source) = self.choose(input)?;
        let controls = protect::ControlTokens::of(tokenizer, source);
        let mut variables = Variables::of(input)?;
        let mark = controls.mark(&mut variables)?;
        bounds.check().map_err(|refusal| refusal.for_caller())?;
        let rendered = self.render_variables(input, &variables)?;
        let (text, cuts) = protect::take_out(&rendered, mark);
        if cuts.is_empty() && !controls.any_normalized() {
            return tokenizer.encode_within(&text, Specials::RENDERED, bounds);
        }
        tokenizer.encode_admitting(&text, &Admission::Cuts { controls: controls.ids(), cuts: &cuts }, false, bounds)
    }

    /// Whether the template that `input` asks for closes an assistant's turn with the tokenizer's end token. Its messages do
    /// not count.
    pub fn ends_turns(&self, tokenizer: &Tokenizer, input: &TemplateInput) -> bool {
        let messages = vec![Message::new("user", "a"), Message::new("assistant", "b")];
        let said = TemplateInput { messages, add_generation_prompt: false, ..input.clone() };
        let tokens = self.encode(tokenizer, &said).unwrap_or_default();
        let last = tokens.into_iter().rev().find(|&id| tokenizer.is_special(id));
        last.is_some() && last == tokenizer.eos()
    }

    fn render_variables(&self, input: &TemplateInput, variables: &Variables) -> Result<String, TextError> {
        let (name, _) = self.choose(input)?;
        let fuel = stack::fuel_for(variables);
        let mut environment = Environment::clone(&self.environment);
        environment.set_fuel(Some(fuel as u64));
        stack::render(fuel, || {
            let failed = |error: minijinja::Error| environment::failure(name, &error);
            let template = environment.get_template(name).map_err(failed)?;
            template.render(self.context(input, variables)).map_err(failed)
        })?
    }

    /// The variables that the template sees: the special tokens, then the caller's, then those that each template has.
    fn context(&self, input: &TemplateInput, variables: &Variables) -> JinjaValue {
        let mut context: Vec<(String, JinjaValue)> = Vec::new();
        context.extend(self.special_tokens.iter().map(|(name, text)| (name.clone(), JinjaValue::from(text.as_str()))));
        context.extend(input.now.map(|now| ("strftime_now".to_owned(), clock::strftime_now(now))));
        context.extend(variables.extra.iter().map(|(name, value)| (name.clone(), values::to_jinja(value))));
        let mut own = |name: &str, value: JinjaValue| context.push((name.to_owned(), value));
        own("messages", values::to_jinja(&variables.messages));
        own("tools", values::to_jinja(&variables.tools));
        own("documents", values::to_jinja(&variables.documents));
        own("add_generation_prompt", input.add_generation_prompt.into());
        JinjaValue::from_pairs(context)
    }

    /// Name and source of the template that `input` asks for.
    fn choose(&self, input: &TemplateInput) -> Result<(&str, &str), TextError> {
        let find = |name: &str| self.templates.iter().find(|(known, _)| known == name);
        let found = match &input.template {
            Some(name) => find(name),
            None => input.tools.as_ref().and_then(|_| find("tool_use")).or_else(|| find(DEFAULT_TEMPLATE)),
        };
        found.map(|(name, source)| (name.as_str(), source.as_str())).ok_or_else(|| TextError::NoSuchTemplate {
            name: input.template.clone().unwrap_or_else(|| DEFAULT_TEMPLATE.to_owned()),
            have: self.named().into_iter().map(str::to_owned).collect(),
        })
    }
}

impl fmt::Debug for ChatTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatTemplate").field("named", &self.named()).finish_non_exhaustive()
    }
}

/// Variables of a template, from the caller's input.
#[derive(Debug, Clone)]
struct Variables {
    messages: Value,
    tools: Value,
    documents: Value,
    extra: Map<String, Value>,
}

impl Variables {
    fn of(input: &TemplateInput) -> Result<Variables, TextError> {
        if input.messages.is_empty() {
            return Err(TextError::EmptyConversation);
        }
        let messages = input.messages.iter().enumerate().map(|(index, message)| template_message(index, message));
        let list = |values: &Option<Vec<Value>>| values.clone().map_or(Value::Null, Value::Array);
        Ok(Variables {
            messages: Value::Array(messages.collect::<Result<_, _>>()?),
            tools: list(&input.tools),
            documents: list(&input.documents),
            extra: input.extra.clone(),
        })
    }
}

/// A message as the template sees it: a checked role, no fields without a value, reasoning under all its names.
fn template_message(index: usize, message: &Message) -> Result<Value, TextError> {
    let fields = message.fields();
    if message.role().is_none() {
        let found = fields.get("role").map_or("none", kind_of);
        let reason = format!("its `role` must be a string, {found} was found");
        return Err(TextError::Message { index, reason });
    }
    let given: Map<String, Value> =
        fields.iter().filter(|(_, value)| !value.is_null()).map(|(k, v)| (k.clone(), v.clone())).collect();
    let names = ["reasoning_content", "thinking", "reasoning"];
    let Some(reasoning) = names.iter().find_map(|&name| given.get(name)).cloned() else { return Ok(Value::Object(given)) };
    let mut aliased = Map::new();
    aliased.insert("thinking".to_owned(), reasoning.clone());
    aliased.extend(given);
    aliased.insert("reasoning_content".to_owned(), reasoning);
    Ok(Value::Object(aliased))
}
