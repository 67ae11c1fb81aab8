//! The text of a reply as its tokens come.

use crate::GenerateError;
use kinglet_engine::TokenId;
use kinglet_text::{Detokenizer, StopMatcher, Tokenizer};
use std::sync::Arc;

/// Text that is certain, and the stop string that it ended before, if one did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) text: String,
    pub(crate) stop: Option<String>,
}

/// Decodes a reply, or stays silent in a session without a tokenizer.
pub(crate) struct ReplyText {
    decoder: Option<Decoder>,
    text: String,
}

#[derive(Clone)]
struct Decoder {
    detokenizer: Detokenizer,
    matcher: StopMatcher,
    stops: Vec<String>,
}

impl ReplyText {
    pub(crate) fn new(tokenizer: Option<&Arc<Tokenizer>>, stops: &[String]) -> Self {
        let decoder = tokenizer.map(|tokenizer| Decoder {
            detokenizer: Detokenizer::new(tokenizer.clone()),
            matcher: StopMatcher::new(stops.to_vec()),
            stops: stops.to_vec(),
        });
        Self { decoder, text: String::new() }
    }

    /// Takes the next token.
    pub(crate) fn push(&mut self, token: TokenId) -> Result<Piece, GenerateError> {
        let Some(decoder) = &mut self.decoder else { return Ok(Piece::default()) };
        let piece = match decoder.detokenizer.hidden(token) {
            Some(spelling) => decoder.hidden(&spelling)?,
            None => {
                let shown = decoder.detokenizer.push(token)?;
                decoder.matched(&shown)
            }
        };
        self.text.push_str(&piece.text);
        Ok(piece)
    }

    /// Flushes the text held back for stop strings and incomplete characters at the end of the reply. A second call gives nothing.
    pub(crate) fn finish(&mut self) -> Result<Piece, GenerateError> {
        let Some(decoder) = &mut self.decoder else { return Ok(Piece::default()) };
        let shown = decoder.detokenizer.finish()?;
        let mut piece = decoder.matched(&shown);
        piece.text.push_str(&decoder.matcher.flush());
        self.text.push_str(&piece.text);
        Ok(piece)
    }

    /// All text given out so far.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }
}

impl Decoder {
    /// A special token, which gives no text but may be, or end, a stop string. Where it ends one, what is held back of the
    /// text before it comes first.
    fn hidden(&mut self, spelling: &str) -> Result<Piece, GenerateError> {
        if self.stops.is_empty() {
            return Ok(Piece::default());
        }
        let mut ended = self.clone();
        let pending = ended.detokenizer.finish()?;
        let (before, _) = ended.matcher.push(&pending);
        let (behind, stop) = ended.matcher.push_hidden(spelling);
        if stop.is_some() {
            *self = ended;
            return Ok(self.piece(before + &behind, stop));
        }
        let (text, stop) = self.matcher.push_hidden(spelling);
        Ok(self.piece(text, stop))
    }

    fn matched(&mut self, shown: &str) -> Piece {
        let (text, stop) = self.matcher.push(shown);
        self.piece(text, stop)
    }

    fn piece(&self, text: String, stop: Option<usize>) -> Piece {
        Piece { text, stop: stop.and_then(|which| self.stops.get(which).cloned()) }
    }
}
