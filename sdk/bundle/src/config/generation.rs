//! How the model's makers would have it generate.

use std::path::Path;

use super::architecture::token_ids;
use super::{ConfigFiles, GENERATION_CONFIG};
use crate::BundleError;

/// The settings that a model's files recommend: `generation_config.json` first, then `search` of `genai_config.json`.
/// `None` where neither says anything. The values are as the files have them; the sampler checks them.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationDefaults {
    /// Whether to sample; otherwise the likeliest token is taken.
    pub do_sample: Option<bool>,
    /// Divisor of the logits.
    pub temperature: Option<f32>,
    /// How many of the likeliest tokens to choose among; 0 is all of them.
    pub top_k: Option<usize>,
    /// The probability that the tokens to choose among must reach together.
    pub top_p: Option<f32>,
    /// The least probability of a token, as a share of the likeliest one's.
    pub min_p: Option<f32>,
    /// Divisor of positive logits of tokens that have occurred, and factor of negative ones.
    pub repetition_penalty: Option<f32>,
    /// Tokens that must not be generated.
    pub suppress_ids: Vec<u32>,
    /// The greatest length of prompt and answer together, in tokens.
    pub max_length: Option<usize>,
}

impl GenerationDefaults {
    pub(crate) fn new(folder: &Path, files: &ConfigFiles) -> Result<GenerationDefaults, BundleError> {
        let own = files.generation.as_ref();
        let search = files.genai.as_ref().map(|genai| &genai.search);
        let suppressed = own.and_then(|own| own.suppress_tokens.as_deref()).unwrap_or_default();
        let top_k = own.and_then(|own| own.top_k).or(search.and_then(|search| search.top_k));
        Ok(GenerationDefaults {
            do_sample: own.and_then(|own| own.do_sample).or(search.and_then(|search| search.do_sample)),
            temperature: own.and_then(|own| own.temperature).or(search.and_then(|search| search.temperature)),
            // Negative is another way to say all.
            top_k: top_k.map(|top_k| top_k as usize),
            top_p: own.and_then(|own| own.top_p).or(search.and_then(|search| search.top_p)),
            min_p: own.and_then(|own| own.min_p).or(search.and_then(|search| search.min_p)),
            repetition_penalty: own
                .and_then(|own| own.repetition_penalty)
                .or(search.and_then(|search| search.repetition_penalty)),
            suppress_ids: token_ids(&folder.join(GENERATION_CONFIG), "suppress_tokens", suppressed)?,
            max_length: own.and_then(|own| own.max_length).or(search.and_then(|search| search.max_length)),
        })
    }
}
