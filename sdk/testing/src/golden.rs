//! The committed goldens: tiny models in the layouts of the wild, and what the reference says of them.

use serde::Deserialize;
use std::path::{Path, PathBuf};

/// Why goldens could not be read.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// A file is missing or unreadable.
    #[error("{}: {source}; `cargo xtask goldens` makes the goldens anew", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// Description of the problem.
        reason: String,
    },
}

/// A tiny model and its reference.
#[derive(Clone, Debug)]
pub struct GoldenModel {
    /// Its path below the goldens, and the variant where the folder holds several.
    pub name: String,
    /// The model folder.
    pub folder: PathBuf,
    /// File of the variant to open, for example `model_q4`.
    pub variant: Option<String>,
    /// `genai`, `optimum` or `community`.
    pub layout: String,
    /// Storage of the weights, as the index names it.
    pub precision: String,
    /// Whether greedy tokens must be the reference's.
    pub greedy_exact: bool,
    /// Largest difference of logits allowed, as a part of the reference's largest logit.
    pub max_relative: f32,
    /// Sequences longer than this have other rotary angles (LongRoPE).
    pub longer_angles_after: Option<usize>,
    /// Results of the reference, multiplying with float activations.
    pub golden: Golden,
    /// Results of ONNX Runtime with the same graph as it runs by default, where it rounds more than the weights: how large that
    /// noise is elsewhere.
    pub rounded: Option<(Rounding, Golden)>,
}

/// Rounding in ONNX Runtime besides that of the weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Rounding {
    /// Activations to int8, a scale per row and block (`MatMulNBits` with `accuracy_level` 4).
    #[serde(rename = "int8 blocks")]
    Int8Blocks,
    /// Activations to int8, a scale per tensor (`DynamicQuantizeLinear` and `MatMulInteger`).
    #[serde(rename = "int8 dynamic")]
    Int8Dynamic,
    /// Everything to float16.
    #[serde(rename = "float16")]
    Float16,
    /// Everything to float16, and activations to int8 in blocks.
    #[serde(rename = "float16 and int8 blocks")]
    Float16AndInt8Blocks,
}

/// A reference's answers.
#[derive(Clone, Debug)]
pub struct Golden {
    /// Who gave them.
    pub source: String,
    /// Logits a position has.
    pub vocab: usize,
    /// One entry a prompt.
    pub prompts: Vec<GoldenPrompt>,
}

/// A prompt, what follows it, and logits on the way.
#[derive(Clone, Debug)]
pub struct GoldenPrompt {
    /// For messages.
    pub name: String,
    /// Token ids of the prompt.
    pub ids: Vec<u32>,
    /// The tokens that greedy decoding appends.
    pub greedy: Vec<u32>,
    /// Indices into `ids` whose logits are known.
    pub positions: Vec<usize>,
    /// `[positions, vocab]`.
    pub logits: Vec<f32>,
}

#[derive(Deserialize)]
struct Index {
    models: Vec<IndexEntry>,
}

#[derive(Deserialize)]
struct IndexEntry {
    path: String,
    layout: String,
    precision: String,
    golden: String,
    #[serde(default)]
    rounding: Option<Rounding>,
    #[serde(default)]
    golden_rounded: Option<String>,
    #[serde(default)]
    file: Option<String>,
    greedy_exact: bool,
    #[serde(default)]
    longer_angles_after: Option<usize>,
    tolerance: Tolerance,
}

#[derive(Deserialize)]
struct Tolerance {
    max_relative: f32,
}

#[derive(Deserialize)]
struct GoldenFile {
    source: String,
    logits_file: String,
    vocab: usize,
    prompts: Vec<PromptEntry>,
}

#[derive(Deserialize)]
struct PromptEntry {
    name: String,
    ids: Vec<u32>,
    greedy: Vec<u32>,
    positions: Vec<usize>,
    logits_offset: usize,
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).map(Path::to_path_buf).unwrap_or_default()
}

/// All models of the index.
///
/// # Errors
/// [`GoldenError`] if a file is missing or malformed.
pub fn golden_models() -> Result<Vec<GoldenModel>, GoldenError> {
    let root = repository().join("models/goldens");
    let index: Index = json(&root.join("index.json"))?;
    index.models.into_iter().map(|e| model(&root, e)).collect()
}

fn model(root: &Path, entry: IndexEntry) -> Result<GoldenModel, GoldenError> {
    let variant = entry.file.map(|f| f.trim_start_matches("onnx/").trim_end_matches(".onnx").to_owned());
    let suffix = variant.as_ref().map(|v| format!(":{v}")).unwrap_or_default();
    let rounded = entry.rounding.zip(entry.golden_rounded);
    Ok(GoldenModel {
        name: entry.path.clone() + &suffix,
        folder: root.join(&entry.path),
        variant,
        layout: entry.layout,
        precision: entry.precision,
        greedy_exact: entry.greedy_exact,
        longer_angles_after: entry.longer_angles_after,
        max_relative: entry.tolerance.max_relative,
        golden: golden(&root.join(&entry.golden))?,
        rounded: rounded.map(|(rounding, file)| Ok((rounding, golden(&root.join(file))?))).transpose()?,
    })
}

fn golden(path: &Path) -> Result<Golden, GoldenError> {
    let file: GoldenFile = json(path)?;
    let logits_path = path.with_file_name(&file.logits_file);
    let bytes = read(&logits_path)?;
    let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let prompt = |p: PromptEntry| {
        let range = p.logits_offset..p.logits_offset + p.positions.len() * file.vocab;
        let logits = values
            .get(range)
            .ok_or_else(|| GoldenError::Form { path: logits_path.clone(), reason: format!("no logits for `{}`", p.name) })?;
        Ok(GoldenPrompt { logits: logits.to_vec(), name: p.name, ids: p.ids, greedy: p.greedy, positions: p.positions })
    };
    let prompts = file.prompts.into_iter().map(prompt).collect::<Result<_, _>>()?;
    Ok(Golden { source: file.source, vocab: file.vocab, prompts })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, GoldenError> {
    std::fs::read(path).map_err(|source| GoldenError::Read { path: path.into(), source })
}

pub(crate) fn json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, GoldenError> {
    serde_json::from_slice(&read(path)?).map_err(|e| GoldenError::Form { path: path.into(), reason: e.to_string() })
}
