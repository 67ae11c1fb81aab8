//! Which of the three layouts a folder has, and where its graphs are.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::{CONFIG, ConfigFiles, GENAI_CONFIG};
use crate::error::{BundleError, FileError, GUIDE};
use crate::file_range::FileRanges;
use crate::files::{file_name, files_in};
use crate::location::inside;
use crate::variant::{Variant, variants_among};

/// How a folder is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Output of the model builder of onnxruntime-genai: `genai_config.json`, which names the graph.
    Genai,
    /// Output of Optimum: `model.onnx` beside `config.json`.
    Optimum,
    /// Repositories of onnx-community for transformers.js: graphs of several precisions in a folder `onnx`.
    Community,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Layout::Genai => "onnxruntime-genai",
            Layout::Optimum => "Optimum",
            Layout::Community => "onnx-community",
        })
    }
}

/// The folder in which onnx-community keeps graphs.
const GRAPHS: &str = "onnx";
/// How many folders are looked into for a hint.
const HINT_FOLDERS: usize = 100;

/// A layout, and the graphs that it offers.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) layout: Layout,
    pub(crate) variants: Vec<Variant>,
}

/// Tells the layout of `folder` and lists its graphs. A `genai_config.json` counts if the graph that it names is there,
/// or if there is no other.
pub(crate) fn detect(folder: &Path, configs: &ConfigFiles, given: &FileRanges) -> Result<Found, BundleError> {
    let in_graphs = graphs_in(&folder.join(GRAPHS), given)?;
    if let Some(genai) = &configs.genai {
        let name = genai.model.decoder.as_ref().and_then(|decoder| decoder.filename.as_deref());
        let lacks = BundleError::ConfigLacks { path: folder.join(GENAI_CONFIG), field: "model.decoder.filename" };
        let file = inside(folder, name.ok_or(lacks)?)?;
        if file.is_file() || given.get(&file).is_some() || in_graphs.is_empty() {
            let siblings = with_given(file.parent().unwrap_or(folder), given)?;
            return Ok(Found { layout: Layout::Genai, variants: vec![Variant::at(&file, None, &siblings, given)] });
        }
    }
    let (layout, variants) = match in_graphs.is_empty() {
        false => (Layout::Community, in_graphs),
        true => (Layout::Optimum, graphs_in(folder, given)?),
    };
    let Some(first) = variants.first() else {
        return Err(BundleError::NoModel { folder: folder.into(), hint: hint(folder) });
    };
    if configs.model.is_none() {
        return Err(no_config(folder, &first.file));
    }
    Ok(Found { layout, variants })
}

fn graphs_in(folder: &Path, given: &FileRanges) -> Result<Vec<Variant>, FileError> {
    Ok(variants_among(&with_given(folder, given)?, given))
}

/// The files in a folder and those for which a range is given, sorted; none where there is no such folder.
fn with_given(folder: &Path, given: &FileRanges) -> Result<Vec<PathBuf>, FileError> {
    let mut files = if folder.is_dir() { files_in(folder)? } else { Vec::new() };
    files.extend(given.in_folder(folder).cloned());
    files.sort();
    files.dedup();
    Ok(files)
}

fn no_config(folder: &Path, model: &Path) -> BundleError {
    let above = folder.parent().filter(|above| above.join(CONFIG).is_file());
    let hint = match above {
        Some(above) => format!("the folder above has one: open `{}`", above.display()),
        None => "download it from where the model came from".into(),
    };
    BundleError::NoConfig { folder: folder.into(), model: model.into(), hint }
}

/// Advice for a folder without a graph, judging by its content.
fn hint(folder: &Path) -> String {
    if let Some(nested) = nested_model(folder) {
        return format!("a folder in it does: open `{}`", nested.display());
    }
    let files = files_in(folder).unwrap_or_default();
    let has = |end: &str| files.iter().any(|file| file_name(file).ends_with(end));
    if has(".onnx") {
        "it has graphs under other names: rename the decoder's to model.onnx".into()
    } else if has(".safetensors") || has(".bin") {
        format!(
            "it has the weights for PyTorch: export them with `optimum-cli export onnx` or the model builder of onnxruntime-genai; {GUIDE} says how"
        )
    } else if has(".gguf") {
        format!("it has a GGUF file, which is another format: download the model in ONNX form; {GUIDE} says from where")
    } else {
        "download a model into it".into()
    }
}

/// A folder below this one that holds a model: repositories often keep one for each device.
fn nested_model(folder: &Path) -> Option<PathBuf> {
    let mut waiting = vec![folder.to_path_buf()];
    for _ in 0..HINT_FOLDERS {
        let next = waiting.pop()?;
        let holds_graph = || graphs_in(&next, &FileRanges::default()).is_ok_and(|graphs| !graphs.is_empty());
        if next != folder && (next.join(GENAI_CONFIG).is_file() || (next.join(CONFIG).is_file() && holds_graph())) {
            return Some(next);
        }
        let entries = next.read_dir().ok()?.flatten();
        let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path());
        let mut below: Vec<PathBuf> = below.collect();
        below.sort_by(|a, b| b.cmp(a));
        waiting.extend(below);
    }
    None
}
