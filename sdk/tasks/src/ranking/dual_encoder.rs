//! Which reply answers a conversation, by their words alone: the cosine of a sum of vectors of n-grams for the conversation and another for
//! the reply (Henderson et al. 2017), and what the two have in common, as in TF-IDF.
//!
//! ```text
//! "KRN1"  n-grams N: u32  columns: u32  messages M: u32  buckets: u32      little endian, as everything that follows
//! keys     [N] u32: the low halves of the keys of the n-grams, rising
//! scales   [M + 1, N] f32
//! levels   [M + 1, N, columns / 2] u8: two values of 4 bits, the first in the low half, less 8 and times the scale of the row; the first
//!          N rows are for the last message, those after them for the one before it, the last N for a reply
//! scale    f32: of the weights
//! weights  [buckets] u8: of a shared word
//! near     [M] f32: how much it counts that a message, so far back, shares a word
//! gates    [2, columns] f32
//! addends  [2] f32
//! ```
//!
//! `models/recipes/goldcrest/dual_encoder.py` writes it.

use crate::bank::normalised;
use crate::ngrams::{NgramError, Rows, floats, head, is_in_range, key, runs, words};
use std::ops::Range;

const MAGIC: &[u8; 4] = b"KRN1";

/// Messages that such a table may tell apart.
const MOST_MESSAGES: usize = 16;

/// Letters that make the beginning of a word.
const STEM: usize = 5;

/// The logarithm of a gate is at most this much above or below 0.
const WIDEST_GATE: f32 = 5.0;

/// A table of n-grams that ranks replies.
#[derive(Debug)]
pub struct DualEncoder {
    bytes: Vec<u8>,
    /// Rising.
    keys: Vec<u32>,
    columns: usize,
    rows: Rows,
    scale: f32,
    /// Where the weights of shared words lie in the bytes, `[buckets]` u8.
    weights: Range<usize>,
    /// `[messages]`
    near: Vec<f32>,
    /// `[2, columns]`
    gates: Vec<f32>,
    /// `[2]`
    addends: Vec<f32>,
}

/// What the words say of a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ByWords {
    /// By the vectors.
    pub(crate) vectors: f32,
    /// By what the reply has in common with the conversation.
    pub(crate) shared: f32,
}

impl DualEncoder {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`NgramError`]
    pub fn read(bytes: Vec<u8>) -> Result<Self, NgramError> {
        let ([ngrams, columns, messages, buckets], mut parts) = head(&bytes, MAGIC)?;
        let wrong = NgramError::Size { found: bytes.len() };
        if columns == 0 || columns % 2 != 0 || buckets == 0 || !(1..=MOST_MESSAGES).contains(&messages) {
            return Err(wrong);
        }
        let mut parts = || {
            let float = size_of::<f32>();
            let keys = parts.next(ngrams, size_of::<u32>())?;
            let rows = Rows::next(&mut parts, ngrams.checked_mul(messages + 1)?, columns)?;
            let (scale, weights, near) = (parts.next(1, float)?, parts.next(buckets, 1)?, parts.next(messages, float)?);
            Some((keys, rows, scale, weights, near, parts.next(columns, 2 * float)?, parts.next(2, float)?))
        };
        let (keys, rows, scale, weights, near, gates, addends) = parts().filter(|p| p.6.end == bytes.len()).ok_or(wrong)?;
        let keys: Vec<u32> = bytes[keys].as_chunks().0.iter().map(|four| u32::from_le_bytes(*four)).collect();
        let of = |part: Range<usize>| floats(&bytes[part]).collect::<Vec<f32>>();
        let (scale, near, gates, addends) = (of(scale)[0], of(near), of(gates), of(addends));
        let mut numbers = std::iter::once(&scale).chain(&near).chain(&gates).chain(&addends);
        let rising = keys.windows(2).all(|two| two[0] < two[1]);
        if !rising || scale < 0.0 || !numbers.all(|x| is_in_range(*x)) || !rows.are_in_range(&bytes) {
            return Err(NgramError::Number);
        }
        Ok(Self { keys, columns, rows, scale, weights, near, gates, addends, bytes })
    }

    /// What the words say of each reply after some messages, which take turns, the last of which is to be answered: `[replies]`.
    pub(crate) fn scores(&self, talk: &[String], replies: &[&str]) -> Vec<ByWords> {
        let context = self.of_talk(talk);
        let gate = |at: usize| {
            let row = &self.gates[at * self.columns..(at + 1) * self.columns];
            let value = row.iter().zip(&context).map(|(w, x)| w * x).sum::<f32>() + self.addends[at];
            value.clamp(-WIDEST_GATE, WIDEST_GATE).exp()
        };
        let (by_vectors, by_shared) = (gate(0), gate(1));
        let said: Vec<Vec<usize>> = talk.iter().rev().take(self.near.len()).map(|text| self.shareable(text)).collect();
        let score = |reply: &&str| {
            let vector = self.of_reply(reply);
            let cosine: f32 = vector.iter().zip(&context).map(|(a, b)| a * b).sum();
            ByWords { vectors: by_vectors * cosine, shared: by_shared * self.shared(&said, reply) }
        };
        replies.iter().map(score).collect()
    }

    /// The vector of a conversation, of length 1: `[columns]`.
    fn of_talk(&self, talk: &[String]) -> Vec<f32> {
        let mut sum = vec![0f32; self.columns];
        let latest = talk.iter().rev().take(self.near.len()).enumerate();
        latest.for_each(|(back, text)| self.add(text, back, &mut sum));
        normalised(&sum)
    }

    /// The vector of a reply, of length 1: `[columns]`.
    fn of_reply(&self, text: &str) -> Vec<f32> {
        let mut sum = vec![0f32; self.columns];
        self.add(text, self.near.len(), &mut sum);
        normalised(&sum)
    }

    /// Adds the vectors that the n-grams of a message have at a place.
    fn add(&self, text: &str, place: usize, sum: &mut [f32]) {
        let said = words(text);
        let mut add = |ngram: &str| {
            if let Ok(row) = self.keys.binary_search(&(key(ngram) as u32)) {
                self.rows.add(&self.bytes, row + place * self.keys.len(), 1.0, sum);
            }
        };
        runs(&said, "", 2, &mut add);
        typing(text, said.len(), add);
    }

    /// The weights of the words that a reply shares with the messages, the last one first, by the length of the reply: below 1.
    fn shared(&self, said: &[Vec<usize>], reply: &str) -> f32 {
        let held = self.shareable(reply);
        let weight = |bucket: &usize| self.scale * f32::from(self.bytes[self.weights.clone()][*bucket]);
        let common =
            |message: &Vec<usize>| message.iter().filter(|bucket| held.binary_search(bucket).is_ok()).map(weight).sum::<f32>();
        let sum: f32 = said.iter().zip(&self.near).map(|(message, near)| near * common(message)).sum();
        (sum / (1.0 + held.iter().map(weight).sum::<f32>()).sqrt()).tanh()
    }

    /// Buckets of the words, of their beginnings, and of the pairs of words of a message: each once, rising.
    fn shareable(&self, text: &str) -> Vec<usize> {
        let said = words(text);
        let bucket = |ngram: &str| (key(ngram) % self.weights.len() as u64) as usize;
        let mut found: Vec<usize> = vec![];
        found.extend(said.iter().filter(|word| word.starts_with(char::is_alphanumeric)).map(|word| bucket(word)));
        found.extend(said.windows(2).map(|pair| bucket(&pair.join(" "))));
        let beginning = |word: &String| word.char_indices().nth(STEM).map(|(at, _)| bucket(&format!("{}-", &word[..at])));
        found.extend(said.iter().filter_map(beginning));
        found.sort_unstable();
        found.dedup();
        found
    }
}

/// How many words a message has, and how it is typed: whether it begins with a capital and has one, how it ends, how it says I, and
/// signs within.
fn typing(text: &str, words: usize, mut take: impl FnMut(&str)) {
    take(&format!("*{}", if words < 10 { words } else { words / 4 * 4 }));
    if let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) {
        take(if first.is_uppercase() { "=A" } else { "=a" });
        take(if text == text.to_lowercase() { "=lower" } else { "=mixed" });
        take(&if last.is_alphanumeric() { "=x".to_owned() } else { format!("={last}") });
        let within = &text[..text.len() - last.len_utf8()];
        [",", ".", "!", "?", "'"].iter().filter(|sign| within.contains(**sign)).for_each(|sign| take(&format!("+{sign}")));
    }
    ["I", "i"]
        .iter()
        .filter(|word| text.split_whitespace().any(|other| other == **word))
        .for_each(|word| take(&format!("={word}")));
}

#[cfg(test)]
#[path = "dual_encoder_tests.rs"]
pub(super) mod tests;
