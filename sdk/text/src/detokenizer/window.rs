//! Vocabularies whose tokens decode differently beside different neighbours.
//!
//! A window holds the last token whose text went out (the prefix) and the tokens after it. Both the prefix alone and the
//! whole window are decoded; what the second has more than the first is the text to give out. The prefix takes the place
//! of the start of the text, so that nothing that happens to a first token happens again.

use tokenizers::DecoderWrapper;

use crate::pipeline::DecoderStage;
use crate::{TextError, Tokenizer};

/// Tokens that may be held back for a decoder that mixes bytes with other steps; the text then goes out as it is.
const MAX_HELD: usize = 32;

#[derive(Debug, Clone)]
pub(super) struct Window {
    /// The prefix and the tokens after it, those without text left out.
    ids: Vec<u32>,
    /// Number of characters that each of `ids` has in the vocabulary; 0 for bytes, with which no window may begin.
    lengths: Vec<usize>,
    /// Number of tokens whose text went out.
    prefix: usize,
    /// The text of the prefix alone.
    prefix_text: String,
    /// Tokens such as `<0xE5>` are bytes.
    byte_fallback: bool,
    /// A byte-level step is mixed with others, so that text may end inside a character.
    byte_level: bool,
    /// Characters that may be stripped from the start of a text.
    stripped: usize,
}

impl Window {
    /// A window at the start of a text, for these decoders.
    pub(super) fn new(stages: &[DecoderStage]) -> Window {
        let decoders = || {
            stages.iter().filter_map(|stage| match stage {
                DecoderStage::Library(decoder) => Some(decoder),
                DecoderStage::Replace { .. } => None,
            })
        };
        let strip = |decoder: &DecoderWrapper| match decoder {
            DecoderWrapper::Strip(strip) => strip.start,
            _ => 0,
        };
        Window {
            ids: Vec::new(),
            lengths: Vec::new(),
            prefix: 0,
            prefix_text: String::new(),
            byte_fallback: decoders().any(|decoder| matches!(decoder, DecoderWrapper::ByteFallback(_))),
            byte_level: decoders().any(|decoder| matches!(decoder, DecoderWrapper::ByteLevel(_))),
            stripped: decoders().map(strip).fold(1, usize::saturating_add),
        }
    }

    /// Takes a token that has text and gives what is safe to show.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, id: u32, token: &str) -> Result<String, TextError> {
        let byte = self.byte_fallback && is_byte(token);
        self.ids.push(id);
        self.lengths.push(if byte { 0 } else { token.chars().count() });
        if byte {
            return Ok(String::new());
        }
        let text = tokenizer.decode(&self.ids, false)?;
        let may_go_on = self.byte_level && text.ends_with(char::REPLACEMENT_CHARACTER);
        if may_go_on && self.ids.len() - self.prefix < MAX_HELD {
            return Ok(String::new());
        }
        let piece = after(&self.prefix_text, &text);
        self.slide(tokenizer)?;
        Ok(piece)
    }

    /// Ends the text: gives what was held back.
    pub(super) fn finish(&self, tokenizer: &Tokenizer) -> Result<String, TextError> {
        Ok(after(&self.prefix_text, &tokenizer.decode(&self.ids, false)?))
    }

    /// Keeps the shortest end of the tokens that can stand for all of them.
    fn slide(&mut self, tokenizer: &Tokenizer) -> Result<(), TextError> {
        let mut start = self.ids.len();
        let mut chars = 0;
        while start > 0 && (chars < self.stripped || self.lengths.get(start) == Some(&0)) {
            start -= 1;
            chars += self.lengths[start];
        }
        self.ids.drain(..start);
        self.lengths.drain(..start);
        self.prefix = self.ids.len();
        self.prefix_text = tokenizer.decode(&self.ids, false)?;
        Ok(())
    }
}

/// The rest of `text` after `prefix`; where it does not begin with it, after their common beginning.
fn after(prefix: &str, text: &str) -> String {
    if let Some(rest) = text.strip_prefix(prefix) {
        return rest.to_owned();
    }
    let common = prefix
        .char_indices()
        .zip(text.chars())
        .find(|((_, a), b)| a != b)
        .map_or(prefix.len().min(text.len()), |((at, _), _)| at);
    text[common..].to_owned()
}

/// Whether a token stands for one byte under byte fallback.
fn is_byte(token: &str) -> bool {
    let digits = token.strip_prefix("<0x").and_then(|rest| rest.strip_suffix('>'));
    digits.is_some_and(|digits| digits.len() == 2 && u8::from_str_radix(digits, 16).is_ok())
}
