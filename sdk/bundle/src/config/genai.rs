//! `genai_config.json`, the fields that are used here.
//!
//! Source: the configuration reference of onnxruntime-genai, and what its model builder 0.18 writes.

use serde::Deserialize;

use super::json::{OneOrMany, Tokens};

#[derive(Debug, Deserialize)]
pub(crate) struct GenaiConfig {
    pub(crate) model: Model,
    #[serde(default)]
    pub(crate) search: Search,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Model {
    #[serde(rename = "type")]
    pub(crate) model_type: Option<String>,
    pub(crate) decoder: Option<Decoder>,
    pub(crate) context_length: Option<OneOrMany>,
    pub(crate) vocab_size: Option<OneOrMany>,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
    /// Present where the model has such a part; what is in it is not read.
    pub(crate) encoder: Option<Part>,
    pub(crate) vision: Option<Part>,
    pub(crate) speech: Option<Part>,
}

/// A part of a model that is only looked for.
#[derive(Debug, Deserialize)]
pub(crate) struct Part {}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Decoder {
    pub(crate) filename: Option<String>,
    pub(crate) hidden_size: Option<OneOrMany>,
    pub(crate) head_size: Option<OneOrMany>,
    pub(crate) num_attention_heads: Option<OneOrMany>,
    pub(crate) num_key_value_heads: Option<OneOrMany>,
    pub(crate) num_hidden_layers: Option<OneOrMany>,
    pub(crate) sliding_window: Option<SlidingWindowConfig>,
    /// Graphs that run one after the other, each an object with one name.
    pub(crate) pipeline: Option<Vec<Part>>,
    #[serde(default)]
    pub(crate) inputs: Inputs,
    #[serde(default)]
    pub(crate) outputs: Outputs,
}

#[derive(Debug, Deserialize)]
pub(crate) struct SlidingWindowConfig {
    pub(crate) window_size: Option<i64>,
    pub(crate) layers: Option<Vec<usize>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Inputs {
    pub(crate) input_ids: Option<String>,
    pub(crate) attention_mask: Option<String>,
    pub(crate) position_ids: Option<String>,
    pub(crate) past_key_names: Option<String>,
    pub(crate) past_value_names: Option<String>,
}

#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Outputs {
    pub(crate) logits: Option<String>,
    pub(crate) present_key_names: Option<String>,
    pub(crate) present_value_names: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Search {
    pub(crate) do_sample: Option<bool>,
    pub(crate) temperature: Option<f32>,
    pub(crate) top_k: Option<f64>,
    pub(crate) top_p: Option<f32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) repetition_penalty: Option<f32>,
    pub(crate) max_length: Option<usize>,
}
