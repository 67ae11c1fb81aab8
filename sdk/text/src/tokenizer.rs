//! Text to token ids and back.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use kinglet_guard::Kind;
use serde::Deserialize;
use serde_json::Value;
use tokenizers::{AddedToken, DecoderWrapper};

use crate::added::{AddedTokens, Admission};
use crate::config::TokenizerConfig;
use crate::detokenizer::stages;
use crate::files::{field_error, json_error, read_text};
use crate::{TextError, TextFiles};

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
    inner: tokenizers::Tokenizer,
    added: AddedTokens,
    config: TokenizerConfig,
}

impl Tokenizer {
    /// Opens the tokenizer of a model folder.
    ///
    /// Where `tokenizer_config.json` lists flags of an added token (`added_tokens_decoder`) they win over those in
    /// `tokenizer.json`, and the tokens that it names (`eos_token` and so on) are special, as in transformers. A named
    /// token that the vocabulary does not have is left out, because the model has no row for it.
    ///
    /// # Errors
    /// [`TextError::Read`], [`TextError::Json`], [`TextError::Field`] and [`TextError::Tokenizer`] for files that cannot be used.
    pub fn from_files(files: &TextFiles) -> Result<Tokenizer, TextError> {
        let config = TokenizerConfig::from_files(files)?;
        let mut inner = open(files)?;
        let unusable =
            |error: tokenizers::Error| TextError::Tokenizer { path: files.tokenizer_json.clone(), reason: error.to_string() };
        inner.with_truncation(None).map_err(unusable)?;
        inner.with_padding(None);
        add_listed(&mut inner, &config).map_err(unusable)?;
        let special = named_special(&inner, &config);
        inner.add_special_tokens(special).map_err(unusable)?;
        let added =
            AddedTokens::of(&inner).map_err(|reason| TextError::Tokenizer { path: files.tokenizer_json.clone(), reason })?;
        Ok(Tokenizer { inner, added, config })
    }

    /// The token ids of `text`.
    ///
    /// # Errors
    /// [`TextError::Encode`] if the vocabulary has no token for part of the text.
    pub fn encode(&self, text: &str, specials: Specials) -> Result<Vec<u32>, TextError> {
        if specials.parse {
            let encoding = self.inner.encode_fast(text, specials.add).map_err(encode_error)?;
            return Ok(encoding.get_ids().to_vec());
        }
        self.encode_admitting(text, &Admission::NoSpecials, specials.add)
    }

    /// The token ids of `text`, in which only those added tokens are parsed that `admission` lets in.
    pub(crate) fn encode_admitting(&self, text: &str, admission: &Admission<'_>, add: bool) -> Result<Vec<u32>, TextError> {
        let encoding = self.added.encode(&self.inner, text, admission, add).map_err(encode_error)?;
        Ok(encoding.get_ids().to_vec())
    }

    /// The text of these tokens. Ids outside the vocabulary stand for no text.
    ///
    /// # Errors
    /// [`TextError::Decode`] if the tokenizer's decoder refuses them.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TextError> {
        if !ids.iter().any(|&id| self.visible_token(id, skip_special).is_some()) {
            // Not every decoder of the library can decode nothing.
            return Ok(String::new());
        }
        self.inner.decode(ids, skip_special).map_err(|error| TextError::Decode { reason: error.to_string() })
    }

    /// The id of a token given as it stands in the vocabulary, such as `<|im_end|>`.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of an id as it stands in the vocabulary. This is not its text: see [`Tokenizer::decode`].
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// Number of tokens, added ones included. The model may have more rows than that.
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
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

    /// What the configuration says: names of special tokens, templates.
    pub(crate) fn config(&self) -> &TokenizerConfig {
        &self.config
    }

    /// The added tokens, for those who look for control tokens in text.
    pub(crate) fn added(&self) -> &AddedTokens {
        &self.added
    }

    /// The decoder, for the detokenizer to know its kind.
    pub(crate) fn decoder(&self) -> Option<&DecoderWrapper> {
        self.inner.get_decoder()
    }

    /// The token of an id as the decoder gets it; `None` where the id has no text.
    pub(crate) fn visible_token(&self, id: u32, skip_special: bool) -> Option<String> {
        let token = self.inner.id_to_token(id)?;
        let hidden = skip_special && self.inner.get_added_vocabulary().is_special_token(&token);
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

/// The part of `tokenizer.json` that the library takes on trust.
#[derive(Default, Deserialize)]
struct Outline {
    #[serde(default)]
    post_processor: Value,
}

/// A token that a template processor puts around texts without saying which ids it has.
fn undefined_token(processor: &Value) -> Option<&str> {
    if let Some(inner) = processor["processors"].as_array() {
        return inner.iter().find_map(undefined_token);
    }
    let pieces = [&processor["single"], &processor["pair"]].into_iter().flat_map(Value::as_array).flatten();
    let mut tokens = pieces.filter_map(|piece| piece["SpecialToken"]["id"].as_str());
    tokens.find(|&token| processor["special_tokens"].get(token).is_none())
}

/// What the library takes on trust, and the text as it takes it: without the numbers that only Python has.
fn outline(path: &Path, text: String) -> Result<(Outline, String), TextError> {
    let error = match serde_json::from_str(&text) {
        Ok(outline) => return Ok((outline, text)),
        Err(error) if error.is_data() => return Ok((Outline::default(), text)),
        Err(error) => error,
    };
    // Plain text has nothing more to replace.
    match kinglet_guard::json::plain(text.as_bytes()).map(String::from_utf8) {
        Some(Ok(plain)) if error.is_syntax() => outline(path, plain),
        _ => Err(json_error(path, &error)),
    }
}

/// Opens `tokenizer.json`. Its syntax is checked first, because the library takes it for granted in places.
fn open(files: &TextFiles) -> Result<tokenizers::Tokenizer, TextError> {
    let path = &files.tokenizer_json;
    let (outline, text) = outline(path, read_text(path, Kind::Tokenizer)?)?;
    if let Some(token) = undefined_token(&outline.post_processor) {
        let reason = format!("`{token}` is not among its `special_tokens`");
        return Err(field_error(path, "post_processor", &reason));
    }
    let unusable = |reason: String| TextError::Tokenizer { path: path.clone(), reason };
    let tokenizer = tokenizers::Tokenizer::from_str(&text).map_err(|error| unusable(error.to_string()))?;
    let cuts_the_end = |stage: &&DecoderWrapper| matches!(stage, DecoderWrapper::Strip(strip) if strip.stop > 0);
    if stages(tokenizer.get_decoder()).iter().any(cuts_the_end) {
        return Err(unusable("its decoder strips the end of each text, so that text cannot be shown as it comes".to_owned()));
    }
    Ok(tokenizer)
}

/// Adds the tokens that the configuration lists, with its flags. A token that the vocabulary lacks comes in only where it
/// gets the id that the configuration gives it.
fn add_listed(inner: &mut tokenizers::Tokenizer, config: &TokenizerConfig) -> tokenizers::Result<()> {
    for listed in &config.listed {
        let fits = match inner.token_to_id(&listed.token.content) {
            Some(_) => true,
            None => inner.get_vocab_size(true) == listed.id as usize,
        };
        if fits {
            inner.add_tokens([listed.token.clone()])?;
        }
    }
    Ok(())
}

/// The tokens that the configuration names, as special ones, with the flags that they have so far.
fn named_special(inner: &tokenizers::Tokenizer, config: &TokenizerConfig) -> Vec<AddedToken> {
    let flags = inner.get_added_tokens_decoder();
    let known = config.all_special().filter_map(|content| Some((content, inner.token_to_id(content)?)));
    let token = |(content, id)| flags.get(&id).cloned().unwrap_or_else(|| AddedToken::from(content, true)).special(true);
    known.map(token).collect()
}

fn encode_error(error: tokenizers::Error) -> TextError {
    TextError::Encode { reason: error.to_string() }
}
