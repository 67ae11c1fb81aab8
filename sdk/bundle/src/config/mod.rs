//! The JSON files beside a graph, and what they say about the model.

mod architecture;
mod families;
mod genai;
mod generation;
mod hugging_face;
mod json;

pub use architecture::{Architecture, SlidingWindow};
pub use generation::GenerationDefaults;

pub(crate) use genai::{Decoder, GenaiConfig};
pub(crate) use hugging_face::{GenerationConfig, ModelConfig};

use json::read_json;

use std::path::Path;

use crate::BundleError;

/// The file of onnxruntime-genai.
pub(crate) const GENAI_CONFIG: &str = "genai_config.json";
/// The file that describes a model to transformers.
pub(crate) const CONFIG: &str = "config.json";
/// The file with the model's own settings for generation.
pub(crate) const GENERATION_CONFIG: &str = "generation_config.json";

/// The configuration files of a folder, each `None` where it is absent.
#[derive(Debug, Default)]
pub(crate) struct ConfigFiles {
    pub(crate) genai: Option<GenaiConfig>,
    pub(crate) model: Option<ModelConfig>,
    pub(crate) generation: Option<GenerationConfig>,
}

impl ConfigFiles {
    /// Reads what `folder` holds.
    pub(crate) fn read(folder: &Path) -> Result<ConfigFiles, BundleError> {
        Ok(ConfigFiles {
            genai: read_json(&folder.join(GENAI_CONFIG))?,
            model: read_json(&folder.join(CONFIG))?,
            generation: read_json(&folder.join(GENERATION_CONFIG))?,
        })
    }

    /// Whether there is a file that describes the model's shape.
    pub(crate) fn any(&self) -> bool {
        self.genai.is_some() || self.model.is_some()
    }
}
