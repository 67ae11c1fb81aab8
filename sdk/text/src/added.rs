//! The added tokens of a tokenizer, and an encoding that decides for each place whether one may be parsed there.
//!
//! The tokenizer library finds added tokens wherever their text stands. Text from a user must not become a control token,
//! so the search is done here with a question at each find; everything after it (pre-tokenizer, model, post-processor) is
//! the library's. Text that was refused is encoded in its context like any other text.

use std::collections::HashMap;
use std::ops::Range as ByteRange;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, Input, MatchKind};
use regex::Regex;
use tokenizers::normalizer::Range;
use tokenizers::{
    AddedToken, Encoding, Model, NormalizedString, Normalizer, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
    Token,
};

/// Which added tokens an encoding parses.
#[derive(Debug)]
pub(crate) enum Admission<'a> {
    /// Special ones nowhere, other added tokens everywhere.
    NoSpecials,
    /// All of them, except that a token of `controls` must stand in the text letter for letter, with none of the byte
    /// offsets `cuts` behind its first letter or at its end. They are in ascending order.
    Cuts {
        /// Ids of the tokens that steer the model.
        controls: &'a [u32],
        /// Byte offsets into the text.
        cuts: &'a [usize],
    },
}

impl Admission<'_> {
    /// A piece of text in parts that end at the cuts.
    fn cut(&self, piece: NormalizedString) -> Vec<NormalizedString> {
        let Admission::Cuts { cuts, .. } = self else { return vec![piece] };
        let (from, to) = piece.offsets_original();
        let inside = cuts.iter().filter(|&&cut| from < cut && cut < to);
        let ends = inside.filter_map(|cut| Some(piece.convert_offsets(Range::Original(0..cut - from))?.end));
        let mut parts = Vec::new();
        let mut done = 0;
        for end in ends.chain([piece.len()]).collect::<Vec<_>>() {
            parts.extend(piece.slice(Range::Normalized(done..end)));
            done = end;
        }
        parts
    }
}

/// A character of a word, for `single_word` tokens.
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\w").ok());

/// A search for added tokens: patterns and the token that each stands for.
struct Search {
    automaton: AhoCorasick,
    /// Token id of each pattern.
    ids: Vec<u32>,
}

/// The added tokens of one tokenizer.
pub(crate) struct AddedTokens {
    tokens: HashMap<u32, AddedToken>,
    /// Tokens that are looked for in the text as it is.
    plain: Option<Search>,
    /// Tokens that are looked for in the normalized text, in their normalized form.
    normalized: Option<Search>,
}

impl AddedTokens {
    /// Collects the added tokens of `tokenizer`. An error is in words.
    pub(crate) fn of(tokenizer: &tokenizers::Tokenizer) -> Result<AddedTokens, String> {
        let tokens: HashMap<u32, AddedToken> = tokenizer.get_added_tokens_decoder().into_iter().collect();
        let (mut plain, mut normalized) = (Vec::new(), Vec::new());
        for (&id, token) in &tokens {
            if token.normalized {
                normalized.push((normal_form(tokenizer, &token.content)?, id));
            } else {
                plain.push((token.content.clone(), id));
            }
        }
        Ok(AddedTokens { plain: Search::new(plain)?, normalized: Search::new(normalized)?, tokens })
    }

    /// Whether an id is a special token.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.tokens.get(&id).is_some_and(|token| token.special)
    }

    /// All added tokens with their ids, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &AddedToken)> {
        self.tokens.iter().map(|(&id, token)| (id, token))
    }

    /// Encodes `text`, parsing those added tokens that `admission` lets in.
    ///
    /// Where the model itself makes a control token out of text that was not admitted, as Unigram models do, that text is
    /// encoded in parts; if even these are control tokens, it fails.
    pub(crate) fn encode(
        &self,
        tokenizer: &tokenizers::Tokenizer,
        text: &str,
        admission: &Admission<'_>,
        add: bool,
    ) -> tokenizers::Result<Encoding> {
        let mut pieces = PreTokenizedString::from(text);
        pieces.split(|_, piece| self.split(piece, self.plain.as_ref(), admission))?;
        pieces.split(|_, mut piece| {
            if let Some(normalizer) = tokenizer.get_normalizer() {
                normalizer.normalize(&mut piece)?;
            }
            self.split(piece, self.normalized.as_ref(), admission)
        })?;
        if let Some(pre_tokenizer) = tokenizer.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces)?;
        }
        let tokenized = |mut pieces: PreTokenizedString| -> tokenizers::Result<_> {
            let admitted = self.controls_in(&pieces, admission);
            tokenizer.get_model().tokenize_in_pretokenized(&mut pieces, None)?;
            Ok((self.controls_in(&pieces, admission) == admitted, pieces))
        };
        let (mut guarded, mut done) = tokenized(pieces.clone())?;
        if !guarded {
            pieces.split(|_, piece| Ok(admission.cut(piece)))?;
            (guarded, done) = tokenized(pieces)?;
        }
        if !guarded {
            return Err("the vocabulary has a control token that also stands for ordinary text, and the text has it".into());
        }
        let encoding = done.into_encoding(None, 0, OffsetType::None)?;
        tokenizer.post_process(encoding, None, add)
    }

    /// Cuts the admitted tokens out of one piece.
    fn split(
        &self,
        piece: NormalizedString,
        search: Option<&Search>,
        admission: &Admission<'_>,
    ) -> tokenizers::Result<Vec<(NormalizedString, Option<Vec<Token>>)>> {
        let Some(search) = search else { return Ok(vec![(piece, None)]) };
        let text = piece.get();
        let (mut parts, mut done, mut from) = (Vec::new(), 0, 0);
        while let Some(found) = search.automaton.find(Input::new(text).range(from..)) {
            let id = search.ids[found.pattern()];
            let token = &self.tokens[&id];
            from = found.end();
            if !stands_alone(token, text, found.range()) {
                continue;
            }
            if !self.admits(admission, id, &piece, found.range()) {
                if let Admission::Cuts { .. } = admission {
                    from = found.start() + text[found.start()..].chars().next().map_or(1, char::len_utf8);
                }
                continue;
            }
            let taken = with_spaces(token, text, found.range(), done);
            parts.extend((done < taken.start).then_some((None, done..taken.start)));
            (done, from) = (taken.end, taken.end);
            parts.push((Some(id), taken));
        }
        parts.extend((done < text.len()).then_some((None, done..text.len())));
        parts.into_iter().map(|(id, range)| part(&piece, id, range)).collect()
    }

    /// Number of control tokens that `pieces` has so far for their own text. A token for unknown text, which may be a control
    /// token as well, stands for other text.
    fn controls_in(&self, pieces: &PreTokenizedString, admission: &Admission<'_>) -> usize {
        let Admission::Cuts { controls, .. } = admission else { return 0 };
        let stands_for_itself = |text: &str, token: &Token| {
            let content = self.tokens.get(&token.id).map(|added| added.content.as_str());
            controls.contains(&token.id) && text.get(token.offsets.0..token.offsets.1) == content
        };
        let splits = pieces.get_splits(OffsetReferential::Normalized, OffsetType::None);
        splits
            .iter()
            .map(|(text, _, tokens)| tokens.iter().flatten().filter(|token| stands_for_itself(text, token)).count())
            .sum()
    }

    /// Whether the token `id`, found at `range` of the normalized `piece`, may be parsed there.
    fn admits(&self, admission: &Admission<'_>, id: u32, piece: &NormalizedString, range: ByteRange<usize>) -> bool {
        match admission {
            Admission::NoSpecials => !self.is_special(id),
            Admission::Cuts { controls, .. } if !controls.contains(&id) => true,
            Admission::Cuts { cuts, .. } => {
                let Some(inner) = piece.convert_offsets(Range::Normalized(range)) else { return false };
                let written = piece.get_original().get(inner.clone());
                let Some(at) = written.and_then(|written| written.find(&self.tokens[&id].content)) else { return false };
                let start = piece.offsets_original().0 + inner.start + at;
                let end = start + self.tokens[&id].content.len();
                let next_cut = cuts.partition_point(|&cut| cut <= start);
                cuts.get(next_cut).is_none_or(|&cut| cut > end)
            }
        }
    }
}

impl Search {
    fn new(mut patterns: Vec<(String, u32)>) -> Result<Option<Search>, String> {
        patterns.retain(|(pattern, _)| !pattern.is_empty());
        if patterns.is_empty() {
            return Ok(None);
        }
        patterns.sort_by_key(|&(_, id)| id);
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(patterns.iter().map(|(pattern, _)| pattern))
            .map_err(|error| error.to_string())?;
        Ok(Some(Search { automaton, ids: patterns.into_iter().map(|(_, id)| id).collect() }))
    }
}

/// A token's text as the normalizer leaves it.
fn normal_form(tokenizer: &tokenizers::Tokenizer, content: &str) -> Result<String, String> {
    let mut form = NormalizedString::from(content);
    if let Some(normalizer) = tokenizer.get_normalizer() {
        normalizer.normalize(&mut form).map_err(|error| error.to_string())?;
    }
    Ok(form.get().to_owned())
}

/// One part of a piece: a token, or text still to be encoded.
fn part(
    piece: &NormalizedString,
    id: Option<u32>,
    range: ByteRange<usize>,
) -> tokenizers::Result<(NormalizedString, Option<Vec<Token>>)> {
    let slice = piece.slice(Range::Normalized(range)).ok_or("an added token was found across the middle of a character")?;
    let token = id.map(|id| vec![Token::new(id, slice.get().to_owned(), (0, slice.get().len()))]);
    Ok((slice, token))
}

/// A `single_word` token counts only where no letter or digit touches it.
fn stands_alone(token: &AddedToken, text: &str, range: ByteRange<usize>) -> bool {
    let is_word =
        |c: Option<char>| c.is_some_and(|c| WORD.as_ref().is_some_and(|word| word.is_match(c.encode_utf8(&mut [0; 4]))));
    !token.single_word || !(is_word(text[..range.start].chars().next_back()) || is_word(text[range.end..].chars().next()))
}

/// The range with the spaces that an `lstrip` or `rstrip` token swallows, none of them before `done`.
fn with_spaces(token: &AddedToken, text: &str, range: ByteRange<usize>, done: usize) -> ByteRange<usize> {
    let start = if token.lstrip { text[..range.start].trim_end().len().max(done) } else { range.start };
    let rest = &text[range.end..];
    let end = if token.rstrip { range.end + (rest.len() - rest.trim_start().len()) } else { range.end };
    start..end
}
