//! One small decoder with its weights in every form that files have them in, and the logits of ONNX Runtime.

use crate::golden::{GoldenError, json, read, repository};
use kinglet_bundle::{Bundle, OpenOptions};
use kinglet_engine::TokenId;
use serde::Deserialize;
use std::path::PathBuf;

/// A decoder of which some weights are written in a form of their own.
#[derive(Clone, Debug)]
pub struct WeightForm {
    /// Name of the form: the graph is `model_NAME.onnx`.
    pub name: String,
    /// The folder of all forms.
    pub folder: PathBuf,
    /// The prompt.
    pub ids: Vec<TokenId>,
    /// `[ids, vocabulary]`, with float activations.
    pub logits: Vec<f32>,
}

impl WeightForm {
    /// The bundle of the form's graph.
    ///
    /// # Errors
    /// The bundle's error, in words.
    pub fn bundle(&self) -> Result<Bundle, String> {
        let options = OpenOptions { variant: Some(format!("model_{}", self.name)), ..Default::default() };
        Bundle::open(&self.folder, &options).map_err(|error| error.to_string())
    }
}

#[derive(Deserialize)]
struct FormsFile {
    ids: Vec<TokenId>,
    vocab: usize,
    forms: Vec<Entry>,
}

/// `offset` is where the logits begin, in bytes.
#[derive(Deserialize)]
struct Entry {
    name: String,
    offset: usize,
}

/// All forms.
///
/// # Errors
/// [`GoldenError`] if a file is missing or malformed.
pub fn weight_forms() -> Result<Vec<WeightForm>, GoldenError> {
    let folder = repository().join("models/goldens/weights");
    let FormsFile { ids, vocab, forms } = json(&folder.join("forms.json"))?;
    let path = folder.join("logits.bin");
    let data = read(&path)?;
    let form = |Entry { name, offset }: Entry| {
        let length = ids.len() * vocab * size_of::<f32>();
        let bytes = data.get(offset..offset + length);
        let bytes = bytes.ok_or_else(|| GoldenError::Form { path: path.clone(), reason: format!("no logits of {name}") })?;
        let logits = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(WeightForm { name, folder: folder.clone(), ids: ids.clone(), logits })
    };
    forms.into_iter().map(form).collect()
}
