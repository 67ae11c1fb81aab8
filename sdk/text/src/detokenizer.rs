//! Text from tokens as they come.
//!
//! The text of a token depends on its neighbours: byte tokens make up characters together, SentencePiece drops the space in front
//! of the first word, WordPiece joins pieces. The pieces given out here, put together, are exactly what [`Tokenizer::decode`] makes
//! of all the tokens, and no piece ends inside a character. The work for a token does not grow with the text before it.

mod bytes;
mod window;

use std::sync::Arc;

use tokenizers::DecoderWrapper;

use self::bytes::ByteStream;
use self::window::Window;
use crate::pipeline::DecoderStage;
use crate::{TextError, Tokenizer};

/// Turns the tokens of one text into text, one by one. Cloning it forks the text.
#[derive(Debug, Clone)]
pub struct Detokenizer {
    tokenizer: Arc<Tokenizer>,
    skip_special: bool,
    state: State,
}

/// The two ways of decoding as one goes.
#[derive(Debug, Clone)]
enum State {
    /// Each token is some bytes and the text is those bytes: byte-level vocabularies.
    Bytes(ByteStream),
    /// The last tokens are decoded again together with each next one: all other vocabularies.
    Window(Window),
}

impl Detokenizer {
    /// A detokenizer at the start of a text. Special tokens give no text.
    pub fn new(tokenizer: Arc<Tokenizer>) -> Detokenizer {
        let state = State::new(&tokenizer);
        Detokenizer { tokenizer, skip_special: true, state }
    }

    /// The same, with special tokens shown as they stand in the vocabulary if `show` is set.
    #[must_use]
    pub fn show_special(mut self, show: bool) -> Detokenizer {
        self.skip_special = !show;
        self
    }

    /// How a special token is spelt that gives no text here.
    pub fn hidden(&self, id: u32) -> Option<String> {
        let shown = self.tokenizer.visible_token(id, self.skip_special).is_some();
        self.tokenizer.token(id).filter(|_| !shown)
    }

    /// Takes the next token and gives the text that is safe to show, which may be none. Ids outside the vocabulary stand
    /// for no text.
    ///
    /// In vocabularies with byte fallback, byte tokens give their text when the run of them ends, because one wrong byte
    /// changes how the whole run is read.
    ///
    /// # Errors
    /// [`TextError::Decode`] if the tokenizer's decoder refuses the token.
    pub fn push(&mut self, id: u32) -> Result<String, TextError> {
        let Some(token) = self.tokenizer.visible_token(id, self.skip_special) else { return Ok(String::new()) };
        match &mut self.state {
            State::Bytes(stream) => Ok(stream.push(&token)),
            State::Window(window) => window.push(&self.tokenizer, id, &token),
        }
    }

    /// Gives the text still held back, with U+FFFD for an incomplete character, and goes back to the start of a text.
    ///
    /// # Errors
    /// [`TextError::Decode`] if the tokenizer's decoder refuses the tokens.
    pub fn finish(&mut self) -> Result<String, TextError> {
        match std::mem::replace(&mut self.state, State::new(&self.tokenizer)) {
            State::Bytes(mut stream) => Ok(stream.finish()),
            State::Window(window) => window.finish(&self.tokenizer),
        }
    }
}

impl State {
    fn new(tokenizer: &Tokenizer) -> State {
        let stages = tokenizer.decoders();
        let library = stages.iter().map(|stage| match stage {
            DecoderStage::Library(decoder) => Some(decoder),
            DecoderStage::Replace { .. } => None,
        });
        let mut working = library.filter(|stage| !matches!(stage, Some(DecoderWrapper::Fuse(_))));
        let bytes_alone = matches!((working.next(), working.next()), (Some(Some(DecoderWrapper::ByteLevel(_))), None));
        if bytes_alone { State::Bytes(ByteStream::default()) } else { State::Window(Window::new(stages)) }
    }
}
