//! Decoders: what tokens are spelt like to text.

use serde_json::Value;
use tokenizers::{Decoder, DecoderWrapper};

use super::regex::BoundedRegex;
use super::{guarded, kind_of, library, unfolded};
use crate::work::{Bounds, Work};

/// The decoders of a tokenizer, in order.
pub(crate) struct Decoders {
    stages: Vec<DecoderStage>,
    /// Whether the file has a decoder at all: without one, spaces stand between tokens.
    any: bool,
}

/// One decoder.
pub(crate) enum DecoderStage {
    /// Text that is replaced in each token.
    Replace { pattern: BoundedRegex, content: String },
    /// A decoder of the library.
    Library(DecoderWrapper),
}

impl Decoders {
    /// The decoders that the file describes. An error is in words.
    pub(super) fn of(part: Value) -> Result<Decoders, String> {
        let any = !part.is_null();
        let stages: Vec<_> = unfolded(part, "decoders")?.into_iter().map(DecoderStage::of).collect::<Result<_, _>>()?;
        let cuts_the_end =
            |stage: &DecoderStage| matches!(stage, DecoderStage::Library(DecoderWrapper::Strip(strip)) if strip.stop > 0);
        if stages.iter().any(cuts_the_end) {
            return Err("its decoder strips the end of each text, so that text cannot be shown as it comes".to_owned());
        }
        Ok(Decoders { stages, any })
    }

    /// The decoders, for those who do their work piece by piece.
    pub(crate) fn stages(&self) -> &[DecoderStage] {
        &self.stages
    }

    /// The text of `tokens`, which are at least one.
    pub(crate) fn decode(&self, mut tokens: Vec<String>) -> tokenizers::Result<String> {
        let size = |tokens: &[String]| tokens.iter().map(String::len).sum::<usize>();
        let work = Work::on(size(&tokens), Bounds::default());
        for stage in &self.stages {
            let before = size(&tokens);
            tokens = guarded(|| stage.decode(tokens, &work))?;
            work.grow(before, size(&tokens))?;
        }
        Ok(tokens.join(if self.any { "" } else { " " }))
    }
}

impl DecoderStage {
    fn of(stage: Value) -> Result<DecoderStage, String> {
        if kind_of(&stage) == "Replace" {
            let content = stage["content"].as_str().ok_or("its decoder `Replace` has no `content`")?.to_owned();
            return Ok(DecoderStage::Replace { pattern: BoundedRegex::of(&stage["pattern"])?, content });
        }
        library("decoder", stage).map(DecoderStage::Library)
    }

    /// Every decoder of the library writes at most two bytes for one, and one for each token.
    fn decode(&self, tokens: Vec<String>, work: &Work<'_>) -> tokenizers::Result<Vec<String>> {
        match self {
            DecoderStage::Library(stage) => {
                if tokens.is_empty() {
                    // Not every decoder of the library can decode nothing.
                    return Ok(tokens);
                }
                stage.decode_chain(tokens)
            }
            DecoderStage::Replace { pattern, content } => {
                let search = pattern.within(work, Some(content));
                tokens.iter().map(|token| search.replaced(token).map_err(Into::into)).collect()
            }
        }
    }
}
