//! `config.json` and `generation_config.json`, the fields that are used here.
//!
//! Source: the configuration classes of transformers 5.23; OpenELM's from its own repository, which names things
//! differently.

use serde::Deserialize;

use super::json::{OneOrMany, Tokens};

/// `config.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ModelConfig {
    pub(crate) model_type: Option<String>,
    pub(crate) is_encoder_decoder: Option<bool>,
    #[serde(alias = "model_dim")]
    pub(crate) hidden_size: Option<OneOrMany>,
    #[serde(alias = "num_transformer_layers")]
    pub(crate) num_hidden_layers: Option<OneOrMany>,
    #[serde(alias = "num_query_heads")]
    pub(crate) num_attention_heads: Option<OneOrMany>,
    #[serde(alias = "num_kv_heads")]
    pub(crate) num_key_value_heads: Option<OneOrMany>,
    pub(crate) head_dim: Option<OneOrMany>,
    pub(crate) intermediate_size: Option<OneOrMany>,
    pub(crate) vocab_size: Option<OneOrMany>,
    #[serde(alias = "max_context_length")]
    pub(crate) max_position_embeddings: Option<OneOrMany>,
    pub(crate) sliding_window: Option<i64>,
    pub(crate) use_sliding_window: Option<bool>,
    pub(crate) layer_types: Option<Vec<String>>,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
}

/// `generation_config.json`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct GenerationConfig {
    pub(crate) do_sample: Option<bool>,
    pub(crate) temperature: Option<f32>,
    pub(crate) top_k: Option<f64>,
    pub(crate) top_p: Option<f32>,
    pub(crate) min_p: Option<f32>,
    pub(crate) repetition_penalty: Option<f32>,
    pub(crate) max_length: Option<usize>,
    pub(crate) suppress_tokens: Option<Vec<i64>>,
    #[serde(flatten)]
    pub(crate) tokens: Tokens,
}
