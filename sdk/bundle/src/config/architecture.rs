//! The facts of a model's architecture, put together from its configuration files.

use std::path::Path;

use super::json::OneOrMany;
use super::{CONFIG, ConfigFiles, Decoder, GENAI_CONFIG, GENERATION_CONFIG, ModelConfig, families};
use crate::BundleError;

/// No count in a model's description is greater than this: it is above the longest context and the largest vocabulary
/// in use, and products of two of them are far from overflowing.
const GREATEST_COUNT: i64 = 1 << 24;

/// Facts of a model from its configuration files. A fact that they leave out is `None`; the graph has the last word on shapes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Architecture {
    /// The family, such as `qwen2`: `model_type` of `config.json`, `model.type` of `genai_config.json`.
    pub model_type: String,
    /// The width of the residual stream.
    pub hidden_size: Option<usize>,
    /// The number of transformer layers.
    pub layers: Option<usize>,
    /// Query heads a layer; `None` also where layers differ (OpenELM).
    pub attention_heads: Option<usize>,
    /// Key and value heads a layer; as many as query heads where the files do not say otherwise.
    pub kv_heads: Option<usize>,
    /// The width of one head; `hidden_size / attention_heads` where the files do not say.
    pub head_dim: Option<usize>,
    /// The width inside the feed-forward part; `genai_config.json` does not have it.
    pub intermediate_size: Option<usize>,
    /// The number of tokens that logits are computed for.
    pub vocab_size: Option<usize>,
    /// The longest context that the model was made for, in tokens.
    pub max_context: Option<usize>,
    /// Layers that see only the last positions.
    pub sliding_window: Option<SlidingWindow>,
    /// Tokens that end an answer, from the first of `generation_config.json`, `genai_config.json` and `config.json` that
    /// names any: the first is what transformers obeys, and `config.json` often lacks the end-of-turn token.
    pub eos_ids: Vec<u32>,
    /// The file that `eos_ids` comes from; `None` where no file names any.
    pub eos_source: Option<&'static str>,
    /// The token that begins a text; from the same files in the same order.
    pub bos_id: Option<u32>,
    /// The token that fills up a batch; from the same files in the same order.
    pub pad_id: Option<u32>,
}

impl Architecture {
    /// The usual obstacle to running a model of this type, such as a mixture of experts; `None` where none is known. Advisory: the
    /// graph decides.
    pub fn hindrance(&self) -> Option<&'static str> {
        families::hindrance(&self.model_type)
    }

    /// The error for a model that has no graph, where its type says why.
    pub(crate) fn no_graph(&self) -> Option<BundleError> {
        self.hindrance().map(|reason| families::refusal(&self.model_type, reason))
    }

    /// The error for a model whose graph is no decoder; `None` for known types, and where no file names the type.
    pub(crate) fn no_decoder(&self) -> Option<BundleError> {
        if self.model_type.is_empty() { None } else { families::no_decoder(&self.model_type) }
    }
}

/// Layers that see only the last positions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlidingWindow {
    /// How many positions they see, the current one included.
    pub positions: usize,
    /// Which layers they are; `None` where the files do not say.
    pub layers: Option<Vec<usize>>,
}

impl Architecture {
    /// Puts the facts together. A shape comes from `genai_config.json` where that has it, else from `config.json`.
    pub(crate) fn new(folder: &Path, files: &ConfigFiles) -> Result<Architecture, BundleError> {
        let model_type = model_type(folder, files)?;
        let (no_decoder, no_model) = (Decoder::default(), ModelConfig::default());
        let genai = files.genai.as_ref().map(|genai| &genai.model);
        let decoder = genai.and_then(|genai| genai.decoder.as_ref()).unwrap_or(&no_decoder);
        let model = files.model.as_ref().unwrap_or(&no_model);
        let count = |field, first: Option<&OneOrMany>, second: &Option<OneOrMany>| count(folder, field, first, second.as_ref());

        let hidden_size = count("hidden_size", decoder.hidden_size.as_ref(), &model.hidden_size)?;
        let attention_heads = count("num_attention_heads", decoder.num_attention_heads.as_ref(), &model.num_attention_heads)?;
        let kv_heads = count("num_key_value_heads", decoder.num_key_value_heads.as_ref(), &model.num_key_value_heads)?;
        let head_dim = count("head_dim", decoder.head_size.as_ref(), &model.head_dim)?;
        let context_length = genai.and_then(|genai| genai.context_length.as_ref());
        let (eos_ids, eos_source) = tokens(folder, files, Token::Eos)?;
        Ok(Architecture {
            model_type,
            hidden_size,
            layers: count("num_hidden_layers", decoder.num_hidden_layers.as_ref(), &model.num_hidden_layers)?,
            attention_heads,
            kv_heads: kv_heads.or(attention_heads),
            head_dim: head_dim.or_else(|| Some(hidden_size? / attention_heads?)).filter(|width| *width > 0),
            intermediate_size: count("intermediate_size", None, &model.intermediate_size)?,
            vocab_size: count("vocab_size", genai.and_then(|genai| genai.vocab_size.as_ref()), &model.vocab_size)?,
            max_context: count("the context length", context_length, &model.max_position_embeddings)?,
            sliding_window: sliding_window(decoder, model),
            eos_ids,
            eos_source,
            bos_id: tokens(folder, files, Token::Bos)?.0.first().copied(),
            pad_id: tokens(folder, files, Token::Pad)?.0.first().copied(),
        })
    }
}

/// The model's type, after everything that a configuration can say against running it as a decoder. The name of the type says
/// nothing against it.
fn model_type(folder: &Path, files: &ConfigFiles) -> Result<String, BundleError> {
    let genai = files.genai.as_ref().map(|genai| &genai.model);
    let stages = genai.and_then(|genai| genai.decoder.as_ref()).and_then(|decoder| decoder.pipeline.as_ref());
    if let Some(stages) = stages.filter(|stages| !stages.is_empty()) {
        return Err(BundleError::Pipeline { path: folder.join(GENAI_CONFIG), stages: stages.len() });
    }
    let from_genai = genai.and_then(|genai| genai.model_type.clone());
    let from_model = files.model.as_ref().and_then(|model| model.model_type.clone());
    let model_type = from_genai.or(from_model).ok_or_else(|| match genai {
        Some(_) => BundleError::ConfigLacks { path: folder.join(GENAI_CONFIG), field: "model.type" },
        None => BundleError::ConfigLacks { path: folder.join(CONFIG), field: "model_type" },
    })?;
    if genai.is_some_and(|genai| genai.encoder.is_some())
        || files.model.as_ref().is_some_and(|model| model.is_encoder_decoder == Some(true))
    {
        return Err(families::has_encoder(&model_type));
    }
    if genai.is_some_and(|genai| genai.vision.is_some() || genai.speech.is_some()) {
        return Err(families::has_senses(&model_type));
    }
    Ok(model_type)
}

/// A count from `genai_config.json`, else from `config.json`.
fn count(
    folder: &Path,
    field: &'static str,
    genai: Option<&OneOrMany>,
    model: Option<&OneOrMany>,
) -> Result<Option<usize>, BundleError> {
    let (file, value) = match (genai, model) {
        (Some(value), _) => (GENAI_CONFIG, value),
        (None, Some(value)) => (CONFIG, value),
        (None, None) => return Ok(None),
    };
    if let Some(impossible) = value.numbers().iter().find(|number| !(1..=GREATEST_COUNT).contains(*number)) {
        return Err(BundleError::Config { path: folder.join(file), field, value: impossible.to_string() });
    }
    Ok(value.same().and_then(|number| usize::try_from(number).ok()))
}

/// The window that either file describes; a width of 0 or less is none, and none is wider than the longest context.
fn sliding_window(decoder: &Decoder, model: &ModelConfig) -> Option<SlidingWindow> {
    let width = |number: Option<i64>| {
        number.and_then(|number| usize::try_from(number.min(GREATEST_COUNT)).ok()).filter(|width| *width > 0)
    };
    if let Some(window) = &decoder.sliding_window {
        return Some(SlidingWindow { positions: width(window.window_size)?, layers: window.layers.clone() });
    }
    if model.use_sliding_window == Some(false) {
        return None;
    }
    let layers = model.layer_types.as_ref().map(|types| {
        types.iter().enumerate().filter(|(_, kind)| *kind == "sliding_attention").map(|(layer, _)| layer).collect::<Vec<_>>()
    });
    if layers.as_ref().is_some_and(Vec::is_empty) {
        return None;
    }
    Some(SlidingWindow { positions: width(model.sliding_window)?, layers })
}

/// A token with a role.
#[derive(Clone, Copy)]
enum Token {
    Eos,
    Bos,
    Pad,
}

/// The ids of a token from the first file that names any, and that file's name.
fn tokens(folder: &Path, files: &ConfigFiles, token: Token) -> Result<(Vec<u32>, Option<&'static str>), BundleError> {
    let field = match token {
        Token::Eos => "eos_token_id",
        Token::Bos => "bos_token_id",
        Token::Pad => "pad_token_id",
    };
    for (name, tokens) in [
        (GENERATION_CONFIG, files.generation.as_ref().map(|generation| &generation.tokens)),
        (GENAI_CONFIG, files.genai.as_ref().map(|genai| &genai.model.tokens)),
        (CONFIG, files.model.as_ref().map(|model| &model.tokens)),
    ] {
        let value = tokens.and_then(|tokens| match token {
            Token::Eos => tokens.eos_token_id.as_ref(),
            Token::Bos => tokens.bos_token_id.as_ref(),
            Token::Pad => tokens.pad_token_id.as_ref(),
        });
        let ids = token_ids(&folder.join(name), field, value.map(OneOrMany::numbers).unwrap_or_default())?;
        if !ids.is_empty() {
            return Ok((ids, Some(name)));
        }
    }
    Ok((Vec::new(), None))
}

/// Token ids as a file lists them; a negative one is a way to say that there is none.
pub(super) fn token_ids(path: &Path, field: &'static str, numbers: &[i64]) -> Result<Vec<u32>, BundleError> {
    let impossible = |number: i64| BundleError::Config { path: path.into(), field, value: number.to_string() };
    numbers.iter().filter(|number| **number >= 0).map(|number| u32::try_from(*number).map_err(|_| impossible(*number))).collect()
}
