//! Normalizers: text to the form that the vocabulary is spelt in.

use serde_json::Value;
use tokenizers::normalizers::Precompiled;
use tokenizers::{NormalizedString, Normalizer, NormalizerWrapper};

use super::regex::BoundedRegex;
use super::{charsmap, guarded, kind_of, library, unfolded};
use crate::work::Work;

/// The normalizers of a tokenizer, in order.
#[derive(Default)]
pub(crate) struct Normalizers(Vec<NormalizerStage>);

enum NormalizerStage {
    Replace {
        pattern: BoundedRegex,
        content: String,
    },
    /// A map of sequences, with the bytes of its longest replacement.
    Mapped {
        map: Box<Precompiled>,
        longest: usize,
    },
    /// Text put in front of each piece that is not empty, by the library.
    Prepend {
        stage: NormalizerWrapper,
        bytes: usize,
    },
    Library(NormalizerWrapper),
}

impl Normalizers {
    /// The normalizers that the file describes. An error is in words.
    pub(super) fn of(part: Value) -> Result<Normalizers, String> {
        let stages = unfolded(part, "normalizers")?;
        stages.into_iter().map(NormalizerStage::of).collect::<Result<_, _>>().map(Normalizers)
    }

    /// Whether text stays as it is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Brings `text` into the vocabulary's form.
    pub(crate) fn normalize(&self, text: &mut NormalizedString, work: &Work<'_>) -> tokenizers::Result<()> {
        for stage in &self.0 {
            let before = text.len();
            guarded(|| stage.normalize(text, work))?;
            work.grow(before, text.len())?;
        }
        Ok(())
    }
}

impl NormalizerStage {
    fn of(stage: Value) -> Result<NormalizerStage, String> {
        match kind_of(&stage) {
            "Replace" => {
                let content = stage["content"].as_str().ok_or("its normalizer `Replace` has no `content`")?.to_owned();
                Ok(NormalizerStage::Replace { pattern: BoundedRegex::of(&stage["pattern"])?, content })
            }
            "Precompiled" => {
                let map = stage["precompiled_charsmap"].as_str();
                let (map, longest) = charsmap::of(map.ok_or("its normalizer `Precompiled` has no map")?)?;
                Ok(NormalizerStage::Mapped { map: Box::new(map), longest })
            }
            _ => {
                let bytes = stage["prepend"].as_str().map(str::len);
                let stage = library("normalizer", stage)?;
                Ok(match bytes {
                    Some(bytes) => NormalizerStage::Prepend { stage, bytes },
                    None => NormalizerStage::Library(stage),
                })
            }
        }
    }

    /// Every step of the library that is not looked at here writes at most 33 bytes for one.
    fn normalize(&self, text: &mut NormalizedString, work: &Work<'_>) -> tokenizers::Result<()> {
        match self {
            NormalizerStage::Replace { pattern, content } => text.replace(&pattern.within(work, Some(content)), content),
            NormalizerStage::Mapped { map, longest } => {
                work.allows(charsmap::growth(map, *longest, text.get()))?;
                map.normalize(text)
            }
            NormalizerStage::Prepend { stage, bytes } => {
                work.allows(*bytes)?;
                stage.normalize(text)
            }
            NormalizerStage::Library(stage) => stage.normalize(text),
        }
    }
}
