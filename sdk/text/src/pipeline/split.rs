//! Pre-tokenizers: text into the words that the model looks at one by one.

use serde::Deserialize;
use serde_json::Value;
use tokenizers::pattern::Invert;
use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, PreTokenizerWrapper, SplitDelimiterBehavior};

use super::regex::BoundedRegex;
use super::{guarded, kind_of, library, unfolded};
use crate::work::Work;

/// The pre-tokenizers of a tokenizer, in order.
pub(crate) struct PreTokenizers(Vec<PreTokenizerStage>);

enum PreTokenizerStage {
    Split { pattern: BoundedRegex, behavior: SplitDelimiterBehavior, invert: bool },
    Library(PreTokenizerWrapper),
}

impl PreTokenizers {
    /// The pre-tokenizers that the file describes. An error is in words.
    pub(super) fn of(part: Value) -> Result<PreTokenizers, String> {
        let stages = unfolded(part, "pretokenizers")?;
        stages.into_iter().map(PreTokenizerStage::of).collect::<Result<_, _>>().map(PreTokenizers)
    }

    /// Cuts text into words.
    pub(crate) fn split(&self, text: &mut PreTokenizedString, work: &Work<'_>) -> tokenizers::Result<()> {
        let mut before = size(text);
        for stage in &self.0 {
            guarded(|| stage.split(text, work))?;
            let after = size(text);
            work.grow(before, after)?;
            before = after;
        }
        Ok(())
    }
}

/// Bytes of all pieces together.
fn size(text: &PreTokenizedString) -> usize {
    text.get_splits(OffsetReferential::Normalized, OffsetType::None).iter().map(|(piece, ..)| piece.len()).sum()
}

impl PreTokenizerStage {
    fn of(stage: Value) -> Result<PreTokenizerStage, String> {
        match kind_of(&stage) {
            "Split" => {
                let behavior = SplitDelimiterBehavior::deserialize(&stage["behavior"]);
                Ok(PreTokenizerStage::Split {
                    pattern: BoundedRegex::of(&stage["pattern"])?,
                    behavior: behavior.map_err(|error| format!("its pre-tokenizer `Split` cannot be used: {error}"))?,
                    invert: stage["invert"].as_bool().ok_or("its pre-tokenizer `Split` does not say whether to `invert`")?,
                })
            }
            "FixedLength" if stage["length"].as_u64() == Some(0) => {
                Err("its pre-tokenizer `FixedLength` has the length 0".to_owned())
            }
            _ => library("pre-tokenizer", stage).map(PreTokenizerStage::Library),
        }
    }

    /// Every step of the library writes at most four bytes for one.
    fn split(&self, text: &mut PreTokenizedString, work: &Work<'_>) -> tokenizers::Result<()> {
        match self {
            PreTokenizerStage::Library(stage) => stage.pre_tokenize(text),
            PreTokenizerStage::Split { pattern, behavior, invert } => {
                let search = pattern.within(work, None);
                text.split(|_, piece| match invert {
                    true => piece.split(Invert(&search), *behavior),
                    false => piece.split(&search, *behavior),
                })
            }
        }
    }
}
