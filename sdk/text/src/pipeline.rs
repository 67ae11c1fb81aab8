//! The steps between a text and its tokens, as `tokenizer.json` describes them: normalizers, pre-tokenizers, a model, a
//! post-processor, decoders.
//!
//! Each step is the tokenizer library's; what is done here is to doubt the file. Sequences are unfolded, so that the size of
//! a text is looked at after each step; patterns are searched with a bound on the work ([`regex`]); what the library takes on
//! trust, and would panic on, is checked before it is given ([`charsmap`], [`model`], [`post`]). A panic that is left becomes
//! an error ([`guarded`]), where panics unwind; in a program that is built with `panic = "abort"` the checks alone hold.

mod charsmap;
mod decode;
mod model;
mod normalize;
mod post;
mod regex;
mod split;

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use serde::Deserialize;
use serde_json::Value;
use tokenizers::{AddedToken, ModelWrapper, PostProcessorWrapper};

pub(crate) use self::decode::{DecoderStage, Decoders};
pub(crate) use self::normalize::Normalizers;
pub(crate) use self::split::PreTokenizers;
use crate::work::Refusal;

/// Steps of one kind. Tokenizers in use have up to ten.
const MAX_STAGES: usize = 64;

/// The top level of `tokenizer.json`, its parts not yet parsed.
#[derive(Deserialize)]
pub(crate) struct Outline {
    #[serde(default)]
    version: Value,
    #[serde(default)]
    added_tokens: Vec<AddedTokenWithId>,
    #[serde(default)]
    normalizer: Value,
    #[serde(default)]
    pre_tokenizer: Value,
    #[serde(default)]
    post_processor: Value,
    #[serde(default)]
    decoder: Value,
    #[serde(default)]
    model: Value,
}

/// An entry of `added_tokens`. Its id says nothing: a token has the id that the model gives it, or else the next free one.
#[derive(Deserialize)]
struct AddedTokenWithId {
    #[serde(rename = "id")]
    _id: u32,
    #[serde(flatten)]
    token: AddedToken,
}

/// A tokenizer's steps.
pub(crate) struct Pipeline {
    pub(crate) normalizers: Normalizers,
    pub(crate) pre_tokenizers: PreTokenizers,
    pub(crate) model: ModelWrapper,
    pub(crate) post_processor: Option<PostProcessorWrapper>,
    pub(crate) decoders: Decoders,
    /// Bytes of the longest token of the model, as it is spelt in the vocabulary.
    pub(crate) longest_token: usize,
}

impl Pipeline {
    /// The steps that `outline` describes, and its added tokens. An error is in words.
    pub(crate) fn of(outline: Outline) -> Result<(Pipeline, Vec<AddedToken>), String> {
        match &outline.version {
            Value::Null => {}
            Value::String(version) if version == "1.0" => {}
            other => return Err(format!("its version is {other}, and 1.0 is known")),
        }
        if outline.model.is_null() {
            return Err("it has no `model`".to_owned());
        }
        let (model, longest_token) = model::of(outline.model)?;
        let pipeline = Pipeline {
            normalizers: Normalizers::of(outline.normalizer)?,
            pre_tokenizers: PreTokenizers::of(outline.pre_tokenizer)?,
            model,
            post_processor: post::of(outline.post_processor)?,
            decoders: Decoders::of(outline.decoder)?,
            longest_token,
        };
        Ok((pipeline, outline.added_tokens.into_iter().map(|added| added.token).collect()))
    }
}

/// The steps of a part, sequences unfolded: `inner` names the field that a sequence has them in.
fn unfolded(part: Value, inner: &str) -> Result<Vec<Value>, String> {
    let mut stages = Vec::new();
    // Last step first, so that the next one is always at the end.
    let mut open = vec![part];
    while let Some(part) = open.pop() {
        match part {
            Value::Null => {}
            Value::Object(mut fields) if fields.get(inner).is_some_and(Value::is_array) => {
                let Some(Value::Array(parts)) = fields.remove(inner) else { continue };
                open.extend(parts.into_iter().rev());
            }
            stage => stages.push(stage),
        }
        if stages.len() + open.len() > MAX_STAGES {
            return Err(format!("one of its parts has more than {MAX_STAGES} `{inner}`"));
        }
    }
    Ok(stages)
}

/// The step that the library makes of `stage`.
fn library<T: for<'de> Deserialize<'de>>(part: &str, stage: Value) -> Result<T, String> {
    let made = guarded(|| serde_json::from_value(stage).map_err(Into::into));
    made.map_err(|error| format!("its {part} is not known: {error}"))
}

/// The kind of a step.
fn kind_of(stage: &Value) -> &str {
    stage["type"].as_str().unwrap_or_default()
}

/// Runs a call into the tokenizer library; a panic becomes [`Refusal::Panicked`].
pub(crate) fn guarded<T>(call: impl FnOnce() -> tokenizers::Result<T>) -> tokenizers::Result<T> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|panic| Err(Refusal::Panicked { words: words(&*panic) }.into()))
}

/// Message of a panic.
fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error() {
        let error = guarded(|| -> tokenizers::Result<()> { std::panic::panic_any("no \u{1f600}") }).unwrap_err();
        assert!(error.to_string().contains("no \u{1f600}"), "{error}");
        assert_eq!(guarded(|| Ok(7)).unwrap(), 7);
    }

    #[test]
    fn sequences_are_unfolded_in_order_up_to_a_limit() {
        let part = serde_json::json!({ "type": "Sequence", "x": [1, { "x": [2, { "x": [] }, null, 3] }, 4] });
        assert_eq!(unfolded(part, "x").unwrap(), [1, 2, 3, 4].map(Value::from));
        let many = |count: usize| serde_json::json!({ "x": vec![1; count] });
        assert_eq!(unfolded(many(MAX_STAGES), "x").unwrap().len(), MAX_STAGES);
        assert!(unfolded(many(MAX_STAGES + 1), "x").is_err());
    }
}
