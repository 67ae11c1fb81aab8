//! Paths that are given for a model folder by mistake: a file of another format, or the name of a repository on a hub.

use std::fmt;
use std::path::{Component, Path};

/// A format in which models are passed on, and that Kinglet does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OtherFormat {
    /// A file `.gguf`, for llama.cpp.
    Gguf,
    /// A file `.safetensors`: weights without a graph, for PyTorch.
    Safetensors,
}

impl OtherFormat {
    /// The format that a path's ending stands for.
    pub fn of(path: &Path) -> Option<OtherFormat> {
        let ending = path.extension()?.to_str()?.to_ascii_lowercase();
        match ending.as_str() {
            "gguf" => Some(OtherFormat::Gguf),
            "safetensors" => Some(OtherFormat::Safetensors),
            _ => None,
        }
    }
}

/// A clause that goes on after the path: which format the file has, and what to do instead.
impl fmt::Display for OtherFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            OtherFormat::Gguf => {
                "is a GGUF file, the format of llama.cpp; Kinglet opens folders with an ONNX model: download the model in that \
                 form, or export it"
            }
            OtherFormat::Safetensors => {
                "holds weights for PyTorch, without a graph; Kinglet opens folders with an ONNX model: export it with the model \
                 builder of onnxruntime-genai or with Optimum"
            }
        })
    }
}

/// Whether a path that leads nowhere looks like a repository of a hub, `owner/name`: two plain words, of which the first is no folder
/// here.
pub(crate) fn is_hub_name(path: &Path) -> bool {
    let parts: Vec<&str> = path
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let plain = |part: &&str| part.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    parts.len() == 2 && path.components().count() == 2 && parts.iter().all(plain) && !Path::new(parts[0]).is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_endings() {
        for (path, format) in [
            ("a/b/model-Q4_K_M.gguf", Some(OtherFormat::Gguf)),
            ("MODEL.GGUF", Some(OtherFormat::Gguf)),
            ("model-00001-of-00002.safetensors", Some(OtherFormat::Safetensors)),
            ("model.onnx", None),
            ("gguf", None),
            ("", None),
        ] {
            assert_eq!(OtherFormat::of(Path::new(path)), format, "{path}");
        }
    }

    #[test]
    fn hub_names_are_two_plain_words() {
        for (path, expected) in [
            ("onnx-community/Qwen2.5-0.5B-Instruct", true),
            ("a/b", true),
            ("a", false),
            ("a/b/c", false),
            ("/a/b", false),
            ("./a/b", false),
            ("../a", false),
            ("a b/c", false),
            ("src/no-such-model", false),
        ] {
            assert_eq!(is_hub_name(Path::new(path)), expected, "{path}");
        }
    }
}
