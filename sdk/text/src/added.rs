//! The added tokens of a tokenizer, and a search that decides for each place whether one may be parsed there.
//!
//! The tokenizer library finds added tokens wherever their text stands, and makes its search anew with each call that adds
//! some. Text from a user must not become a control token, so the search is done here with a question at each find, and made
//! once for all of them. Ids and flags come out as the library gives them.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::ops::Range as ByteRange;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, MatchKind};
use regex::Regex;
use tokenizers::normalizer::Range;
use tokenizers::{AddedToken, Model, NormalizedString, OffsetReferential, OffsetType, PreTokenizedString, Token};

use crate::length::check_together;
use crate::pipeline::{Normalizers, Pipeline};
use crate::work::Work;

/// Which added tokens an encoding parses.
#[derive(Debug)]
pub(crate) enum Admission<'a> {
    /// All of them everywhere.
    All,
    /// Special ones nowhere, other added tokens everywhere.
    NoSpecials,
    /// All of them, except that a token of `controls` must stand in the text letter for letter, with none of the byte
    /// offsets `cuts` behind its first letter or at its end. They are in ascending order.
    Cuts {
        /// Ids of the tokens that steer the model, ascending.
        controls: &'a [u32],
        /// Byte offsets into the text.
        cuts: &'a [usize],
    },
}

impl Admission<'_> {
    /// A piece of text in parts that end at the cuts.
    pub(crate) fn cut(&self, piece: NormalizedString) -> Vec<NormalizedString> {
        let Admission::Cuts { cuts, .. } = self else { return vec![piece] };
        let mut parts = Vec::new();
        cut_at(piece, cuts, &mut parts);
        parts
    }
}

/// Appends the parts of `piece` that end at `cuts`. It is halved again and again, since each cut looks at all of it.
fn cut_at(piece: NormalizedString, cuts: &[usize], parts: &mut Vec<NormalizedString>) {
    let (from, to) = piece.offsets_original();
    let inside = &cuts[cuts.partition_point(|&cut| cut <= from)..cuts.partition_point(|&cut| cut < to)];
    let Some((&cut, middle)) = inside.get(inside.len() / 2).zip(Some(inside.len() / 2)) else {
        parts.push(piece);
        return;
    };
    let end = piece.convert_offsets(Range::Original(0..cut - from)).map_or(0, |range| range.end);
    let halves = [(0..end, &inside[..middle]), (end..piece.len(), &inside[middle + 1..])];
    for (range, cuts) in halves {
        if let Some(half) = piece.slice(Range::Normalized(range)).filter(|half| !half.is_empty()) {
            cut_at(half, cuts, parts);
        }
    }
}

/// A character of a word, for `single_word` tokens.
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\w").ok());

/// A part of a piece: with its token, or still to be encoded.
pub(crate) type Part = (NormalizedString, Option<Vec<Token>>);

/// The parts of a piece in order.
pub(crate) type Parts = Vec<Part>;

/// Most patterns of one automaton: making one takes time with the square of their number.
pub(crate) const PATTERNS: usize = 4096;

/// A search for added tokens: automata of at most [`PATTERNS`] patterns each, and the token that each pattern stands for.
struct Search {
    automata: Vec<AhoCorasick>,
    /// Token id of each pattern of all automata, one behind the other.
    ids: Vec<u32>,
}

/// Next match of each automaton of a search in one text, which each reads once.
struct Finds<'a> {
    search: &'a Search,
    text: &'a str,
    /// By automaton: where a token stands next and its number in [`Search::ids`]; `None` where none follows.
    next: Vec<Option<(ByteRange<usize>, usize)>>,
}

/// The added tokens of one tokenizer.
#[derive(Default)]
pub(crate) struct AddedTokens {
    /// The tokens by id, with the flags that they were given last.
    tokens: HashMap<u32, AddedToken>,
    /// Their ids by content.
    ids: HashMap<String, u32>,
    /// Contents that were special once, which a text without special tokens leaves out.
    hidden: HashSet<String>,
    /// The normalized form of tokens that are looked for in normalized text, where it is another.
    forms: HashMap<u32, String>,
    /// The largest id of an added token.
    largest_id: Option<u32>,
    /// Number of contents that the model does not have.
    beyond_model: usize,
    /// Tokens that are looked for in the text as it is.
    plain: Option<Search>,
    /// Tokens that are looked for in the normalized text, in their normalized form.
    normalized: Option<Search>,
}

impl AddedTokens {
    /// Takes tokens in, as the library does: each with the id that its content has already, or else the next free one. One
    /// that is there gets the flags of the later one. [`ready`](Self::ready) has to follow the last call. An error is in words.
    pub(crate) fn add(
        &mut self,
        pipeline: &Pipeline,
        tokens: impl IntoIterator<Item = AddedToken>,
        work: &Work<'_>,
    ) -> Result<(), String> {
        let model_size = u32::try_from(pipeline.model.get_vocab_size()).map_err(|_| "its vocabulary is too large")?;
        let beyond = self.largest_id.filter(|&largest| largest >= model_size).map_or(Some(model_size), |id| id.checked_add(1));
        let mut next_id = beyond;
        for token in tokens {
            if token.content.is_empty() || self.ids.get(&token.content).is_some_and(|id| self.tokens.get(id) == Some(&token)) {
                continue;
            }
            let known = self.ids.get(&token.content).copied();
            let id = match known.or_else(|| pipeline.model.token_to_id(&token.content)) {
                Some(id) => id,
                None => {
                    let id = next_id.ok_or("one of its tokens has the largest id that there is")?;
                    next_id = id.checked_add(1);
                    self.beyond_model += 1;
                    id
                }
            };
            self.insert(id, token, &pipeline.normalizers, work)?;
        }
        Ok(())
    }

    fn insert(&mut self, id: u32, token: AddedToken, normalizers: &Normalizers, work: &Work<'_>) -> Result<(), String> {
        if token.normalized {
            let form = normal_form(normalizers, &token.content, work)?;
            if form != token.content {
                self.forms.insert(id, form);
            }
        }
        if token.special {
            self.hidden.insert(token.content.clone());
        }
        self.largest_id = self.largest_id.max(Some(id));
        self.ids.insert(token.content.clone(), id);
        self.tokens.insert(id, token);
        Ok(())
    }

    /// Makes the searches, when all tokens are there. An error is in words.
    pub(crate) fn ready(mut self) -> Result<AddedTokens, String> {
        let (mut plain, mut normalized) = (Vec::new(), Vec::new());
        for (&id, token) in &self.tokens {
            match token.normalized {
                true => normalized.push((self.forms.get(&id).unwrap_or(&token.content).clone(), id)),
                false => plain.push((token.content.clone(), id)),
            }
        }
        // A search takes a hundred times the bytes of its patterns, and a normalizer may have made them longer.
        check_together(plain.iter().chain(&normalized).map(|(pattern, _)| pattern.len()).sum())?;
        (self.plain, self.normalized) = (Search::new(plain)?, Search::new(normalized)?);
        Ok(self)
    }

    /// The id of an added token.
    pub(crate) fn id(&self, content: &str) -> Option<u32> {
        self.ids.get(content).copied()
    }

    /// An added token by its id.
    pub(crate) fn get(&self, id: u32) -> Option<&AddedToken> {
        self.tokens.get(&id)
    }

    /// Form of an added token that the decoder gets: the normalized one, where that is another.
    pub(crate) fn spelling(&self, id: u32) -> Option<&str> {
        let token = self.tokens.get(&id)?;
        Some(self.forms.get(&id).map_or(&token.content, |form| form))
    }

    /// Whether text without special tokens leaves this spelling out.
    pub(crate) fn is_hidden(&self, spelling: &str) -> bool {
        self.hidden.contains(spelling)
    }

    /// Number of added tokens that the model does not have.
    pub(crate) fn beyond_model(&self) -> usize {
        self.beyond_model
    }

    /// Bytes of the longest one.
    pub(crate) fn longest(&self) -> usize {
        self.ids.keys().map(String::len).max().unwrap_or(0)
    }

    /// Whether an id is a special token.
    pub(crate) fn is_special(&self, id: u32) -> bool {
        self.tokens.get(&id).is_some_and(|token| token.special)
    }

    /// All added tokens with their ids, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &AddedToken)> {
        self.tokens.iter().map(|(&id, token)| (id, token))
    }

    /// Cuts the admitted tokens out of a piece of text as it is.
    pub(crate) fn split_plain(
        &self,
        piece: NormalizedString,
        admission: &Admission<'_>,
        work: &Work<'_>,
    ) -> tokenizers::Result<Parts> {
        self.split(piece, self.plain.as_ref(), admission, work)
    }

    /// Cuts the admitted tokens out of a piece of normalized text.
    pub(crate) fn split_normalized(
        &self,
        piece: NormalizedString,
        admission: &Admission<'_>,
        work: &Work<'_>,
    ) -> tokenizers::Result<Parts> {
        self.split(piece, self.normalized.as_ref(), admission, work)
    }

    fn split(
        &self,
        piece: NormalizedString,
        search: Option<&Search>,
        admission: &Admission<'_>,
        work: &Work<'_>,
    ) -> tokenizers::Result<Parts> {
        let Some(search) = search else { return Ok(vec![(piece, None)]) };
        let text = piece.get();
        let (mut parts, mut done, mut from) = (Vec::new(), 0, 0);
        let mut finds = Finds::new(search, text);
        while let Some((found, id)) = finds.first(from) {
            let token = &self.tokens[&id];
            from = found.end;
            if !stands_alone(token, text, found.clone()) {
                continue;
            }
            if !self.admits(admission, id, &piece, found.clone()) {
                if let Admission::Cuts { .. } = admission {
                    from = found.start + text[found.start..].chars().next().map_or(1, char::len_utf8);
                }
                continue;
            }
            let taken = with_spaces(token, text, found, done);
            parts.extend((done < taken.start).then_some((None, done..taken.start)));
            // As in the library, the search goes on in the spaces that were swallowed: they may be tokens once more, and
            // swallow the same spaces.
            if taken.start < done {
                work.grow(0, taken.len())?;
            }
            done = taken.end;
            parts.push((Some(id), taken));
        }
        parts.extend((done != text.len()).then_some((None, done..text.len())));
        parts.into_iter().map(|(id, range)| part(&piece, id, range)).collect()
    }

    /// Number of control tokens that `pieces` has so far for their own text. A token for unknown text, which may be a control
    /// token as well, stands for other text.
    pub(crate) fn controls_in(&self, pieces: &PreTokenizedString, admission: &Admission<'_>) -> usize {
        let Admission::Cuts { controls, .. } = admission else { return 0 };
        let stands_for_itself = |text: &str, token: &Token| {
            let content = self.tokens.get(&token.id).map(|added| added.content.as_str());
            controls.binary_search(&token.id).is_ok() && text.get(token.offsets.0..token.offsets.1) == content
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
            Admission::All => true,
            Admission::NoSpecials => !self.is_special(id),
            Admission::Cuts { controls, .. } if controls.binary_search(&id).is_err() => true,
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
        let automata = patterns.chunks(PATTERNS).map(|patterns| {
            AhoCorasick::builder()
                .match_kind(MatchKind::LeftmostLongest)
                // The other kind takes time with the square of a token that begins like its own end.
                .kind(Some(AhoCorasickKind::ContiguousNFA))
                .build(patterns.iter().map(|(pattern, _)| pattern))
                .map_err(|error| error.to_string())
        });
        Ok(Some(Search { automata: automata.collect::<Result<_, _>>()?, ids: patterns.iter().map(|&(_, id)| id).collect() }))
    }

    /// Where the `automaton`th automaton finds a token first at or behind `from`, and its number in `ids`.
    fn find(&self, automaton: usize, text: &str, from: usize) -> Option<(ByteRange<usize>, usize)> {
        let found = self.automata[automaton].find(Input::new(text).range(from..))?;
        Some((found.range(), automaton * PATTERNS + found.pattern().as_usize()))
    }
}

impl<'a> Finds<'a> {
    fn new(search: &'a Search, text: &'a str) -> Finds<'a> {
        let next = (0..search.automata.len()).map(|automaton| search.find(automaton, text, 0)).collect();
        Finds { search, text, next }
    }

    /// The first token at or behind `from`, and the longest of those that begin there. `from` never falls.
    fn first(&mut self, from: usize) -> Option<(ByteRange<usize>, u32)> {
        for (automaton, next) in self.next.iter_mut().enumerate() {
            if next.as_ref().is_some_and(|(range, _)| range.start < from) {
                *next = self.search.find(automaton, self.text, from);
            }
        }
        let finds = self.next.iter().flatten();
        let (range, pattern) = finds.min_by_key(|(range, _)| (range.start, Reverse(range.end)))?;
        Some((range.clone(), self.search.ids[*pattern]))
    }
}

/// A token's text as the normalizers leave it.
fn normal_form(normalizers: &Normalizers, content: &str, work: &Work<'_>) -> Result<String, String> {
    if normalizers.is_empty() {
        return Ok(content.to_owned());
    }
    let mut form = NormalizedString::from(content);
    normalizers.normalize(&mut form, work).map_err(|error| error.to_string())?;
    Ok(form.get().to_owned())
}

/// One part of a piece: a token, or text still to be encoded.
fn part(piece: &NormalizedString, id: Option<u32>, range: ByteRange<usize>) -> tokenizers::Result<Part> {
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
