//! Text to token ids and back.

use std::fmt;

use kinglet_guard::{Kind, room};
use tokenizers::{AddedToken, Model};

use crate::added::{AddedTokens, Admission};
use crate::config::TokenizerConfig;
use crate::encode::encode;
use crate::files::{json_error, read_text};
use crate::length::check_added;
use crate::pipeline::{DecoderStage, Pipeline};
use crate::work::{Refusal, Work};
use crate::{Bounds, TextError, TextFiles};

/// How an encoding treats special tokens. The default treats the text as text alone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Specials {
    /// The tokenizer puts its begin-of-text and end-of-text tokens around the text, where its file says so.
    pub add: bool,
    /// Special-token text inside the text becomes the special token. Only for text that the program wrote itself: with
    /// `false`, what a user typed stays text.
    pub parse: bool,
}

impl Specials {
    /// Nothing added, nothing parsed: text from a user.
    pub const TEXT: Specials = Specials { add: false, parse: false };
    /// Nothing added, special tokens parsed: a rendered chat template, whose contents are trusted.
    pub const RENDERED: Specials = Specials { add: false, parse: true };
    /// Tokens added and parsed: a raw prompt as transformers' `tokenizer(text)` takes it.
    pub const PROMPT: Specials = Specials { add: true, parse: true };
}

/// The tokenizer of one model. Share it through an [`std::sync::Arc`].
///
/// Truncation and padding settings of the file are switched off: an encoding is always the whole text and nothing else.
pub struct Tokenizer {
    pipeline: Pipeline,
    added: AddedTokens,
    config: TokenizerConfig,
    /// Bytes of text that a token can stand for, apart from space that it swallows and characters that nothing stands for.
    bytes_per_token: usize,
}

/// Bytes that a character may have had before it was normalized, for each that it has: Unicode's composed form takes up to
/// three, and forms that add to it one more.
const SHRINKS: usize = 4;

/// Bytes that a text may have beyond those that tokens can stand for: space that is swallowed, characters that are left out.
const SPARE_BYTES: usize = 1 << 20;

/// Memory of the tables of a tokenizer while they are made: bytes for each byte of its file, and bytes beside that; measured for a
/// vocabulary of 4,000 tokens.
const BYTES_A_BYTE: u64 = 24;
const FIXED_BYTES: u64 = 5 << 20;

impl Tokenizer {
    /// Opens the tokenizer of a model folder.
    ///
    /// Where `tokenizer_config.json` lists flags of an added token (`added_tokens_decoder`) they win over those in
    /// `tokenizer.json`, and the tokens that it names (`eos_token` and so on) are special, as in transformers. A named
    /// token that the vocabulary does not have is left out, because the model has no row for it.
    ///
    /// # Errors
    /// [`TextError::Read`], [`TextError::Json`], [`TextError::Field`] and [`TextError::Tokenizer`] for files that cannot be used;
    /// [`TextError::NoRoom`].
    pub fn from_files(files: &TextFiles) -> Result<Tokenizer, TextError> {
        let config = TokenizerConfig::from_files(files)?;
        let path = &files.tokenizer_json;
        let unusable = |reason: String| TextError::Tokenizer { path: path.clone(), reason };
        let text = read_text(path, Kind::Tokenizer)?;
        room::check("the tokenizer", FIXED_BYTES + BYTES_A_BYTE * text.len() as u64)?;
        let outline = match kinglet_guard::json::parse(text.as_bytes()) {
            Ok(outline) => outline,
            Err(error) if error.is_data() => return Err(unusable(error.to_string())),
            Err(error) => return Err(json_error(path, &error)),
        };
        let (pipeline, tokens) = Pipeline::of(outline).map_err(unusable)?;
        let added = added_tokens(&pipeline, tokens, &config).map_err(unusable)?;
        let longest = pipeline.longest_token.max(added.longest()).max(1);
        let bytes_per_token = longest.saturating_mul(if pipeline.normalizers.is_empty() { 1 } else { SHRINKS });
        Ok(Tokenizer { pipeline, added, config, bytes_per_token })
    }

    /// The token ids of `text`.
    ///
    /// # Errors
    /// [`TextError::Encode`] if the vocabulary has no token for part of the text, [`TextError::TokenizerFailed`] if the
    /// tokenizer's own steps come to no end with it.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>, TextError> {
        self.encode_within(text, specials, &Bounds::default())
    }

    /// The token ids of `text`, for a caller with so much room and patience.
    ///
    /// # Errors
    /// As [`encode`](Self::encode); [`TextError::TooLong`] for a text that no tokens of that number can spell, before it is
    /// looked at, and [`TextError::Cancelled`].
    pub fn encode_within(&self, text: &str, specials: Specials, bounds: &Bounds<'_>) -> Result<Vec<u32>, TextError> {
        let admission = if specials.parse { Admission::All } else { Admission::NoSpecials };
        self.encode_admitting(text, &admission, specials.add, bounds)
    }

    /// The token ids of `text`, in which only those added tokens are parsed that `admission` lets in.
    pub(crate) fn encode_admitting(
        &self,
        text: &str,
        admission: &Admission<'_>,
        add: bool,
        bounds: &Bounds<'_>,
    ) -> Result<Vec<u32>, TextError> {
        if let Some(most_tokens) = bounds.most_tokens {
            let most_bytes = most_tokens.saturating_mul(self.bytes_per_token).saturating_add(SPARE_BYTES);
            if text.len() > most_bytes {
                return Err(TextError::TooLong { bytes: text.len(), most_bytes, most_tokens });
            }
        }
        let work = Work::on(text.len(), *bounds);
        encode(&self.pipeline, &self.added, text, admission, add, &work)
            .map_err(|error| failure(&error, |reason| TextError::Encode { reason }))
    }

    /// The text of these tokens. Ids outside the vocabulary stand for no text.
    ///
    /// # Errors
    /// [`TextError::Decode`] if the tokenizer's decoder refuses them, [`TextError::TokenizerFailed`] if its steps come to no
    /// end with them.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TextError> {
        let tokens: Vec<String> = ids.iter().filter_map(|&id| self.visible_token(id, skip_special)).collect();
        if tokens.is_empty() {
            return Ok(String::new());
        }
        let decoded = self.pipeline.decoders.decode(tokens);
        decoded.map_err(|error| failure(&error, |reason| TextError::Decode { reason }))
    }

    /// The id of a token given as it stands in the vocabulary, such as `<|im_end|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.added.id(token).or_else(|| self.pipeline.model.token_to_id(token))
    }

    /// The token of an id as it stands in the vocabulary. This is not its text: see [`Tokenizer::decode`].
    pub fn token(&self, id: u32) -> Option<String> {
        self.added.spelling(id).map(str::to_owned).or_else(|| self.pipeline.model.id_to_token(id))
    }

    /// Number of tokens, added ones included. The model may have more rows than that.
    pub fn vocab_size(&self) -> usize {
        self.pipeline.model.get_vocab_size() + self.added.beyond_model()
    }

    /// The begin-of-text token.
    pub fn bos(&self) -> Option<u32> {
        self.named("bos_token")
    }

    /// The end-of-text token that the tokenizer's configuration names. A model may have further ones that end a turn.
    pub fn eos(&self) -> Option<u32> {
        self.named("eos_token")
    }

    /// The padding token.
    pub fn pad(&self) -> Option<u32> {
        self.named("pad_token")
    }

    /// Whether an id is a special token, which `decode` leaves out if asked to.
    pub fn is_special(&self, id: u32) -> bool {
        self.added.is_special(id)
    }

    /// Content of the configuration files: names of special tokens, templates.
    pub(crate) fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// The added tokens, for the search for control tokens in text.
    pub(crate) fn added(&self) -> &AddedTokens {
        &self.added
    }

    /// The decoders, for the detokenizer to know their kinds.
    pub(crate) fn decoders(&self) -> &[DecoderStage] {
        self.pipeline.decoders.stages()
    }

    /// The token of an id as the decoder gets it; `None` where the id has no text.
    pub(crate) fn visible_token(&self, id: u32, skip_special: bool) -> Option<String> {
        let token = self.token(id)?;
        let hidden = skip_special && self.added.is_hidden(&token);
        (!hidden).then_some(token)
    }

    fn named(&self, name: &str) -> Option<u32> {
        self.token_id(self.config.special_token(name)?)
    }
}

impl fmt::Debug for Tokenizer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokenizer").field("vocab_size", &self.vocab_size()).finish_non_exhaustive()
    }
}

/// The added tokens of the file, then those that the configuration lists, then those that it names. An error is in words.
fn added_tokens(pipeline: &Pipeline, tokens: Vec<AddedToken>, config: &TokenizerConfig) -> Result<AddedTokens, String> {
    let listed = config.listed.iter().map(|listed| &listed.token);
    let contents = || tokens.iter().chain(listed.clone()).map(|token| token.content.as_str());
    check_added(contents())?;
    let bytes = contents().map(str::len).fold(0, usize::saturating_add);
    let work = Work::on(bytes, Bounds::default());
    let mut added = AddedTokens::default();
    added.add(pipeline, tokens, &work)?;
    add_listed(&mut added, pipeline, config, &work)?;
    let special = named_special(&added, pipeline, config);
    added.add(pipeline, special, &work)?;
    added.ready()
}

/// Adds the tokens that the configuration lists, with its flags. A token that the vocabulary lacks comes in only where it
/// gets the id that the configuration gives it.
fn add_listed(added: &mut AddedTokens, pipeline: &Pipeline, config: &TokenizerConfig, work: &Work<'_>) -> Result<(), String> {
    let model = &pipeline.model;
    for listed in &config.listed {
        let content = &listed.token.content;
        let fits = added.id(content).is_some()
            || model.token_to_id(content).is_some()
            || model.get_vocab_size() + added.beyond_model() == listed.id as usize;
        if fits {
            added.add(pipeline, [listed.token.clone()], work)?;
        }
    }
    Ok(())
}

/// The tokens that the configuration names, as special ones, with the flags that they have so far.
fn named_special(added: &AddedTokens, pipeline: &Pipeline, config: &TokenizerConfig) -> Vec<AddedToken> {
    let id = |content: &str| added.id(content).or_else(|| pipeline.model.token_to_id(content));
    let known = config.all_special().filter_map(|content| Some((content, id(content)?)));
    let token = |(content, id)| added.get(id).cloned().unwrap_or_else(|| AddedToken::from(content, true)).special(true);
    known.map(token).collect()
}

/// The error for a step that did not come to its end; for other reasons, the one that `other` makes of the library's words.
fn failure(error: &tokenizers::Error, other: impl FnOnce(String) -> TextError) -> TextError {
    match error.downcast_ref::<Refusal>() {
        Some(refusal) => refusal.for_caller(),
        None => other(error.to_string()),
    }
}
