//! Which intents answer a message, by its words alone: the mean of the vectors of its hashed n-grams, each with a weight of its own, and
//! a linear layer (fastText, Joulin et al. 2016).
//!
//! ```text
//! "KBN1"  buckets: u32  columns: u32  intents: u32  bytes of names: u32      little endian, as everything that follows
//! names        one line for each intent
//! mass         [buckets] f32: how much an n-gram counts in the mean, above 0
//! scales       [buckets] f32
//! levels       [buckets, columns / 2] u8: two values of 4 bits, the first in the low half, less 8 and times the scale of the row
//! weights      [intents, columns] f32
//! addends      [intents] f32
//! ```
//!
//! `models/recipes/goldcrest/ngrams.py` writes it.

use crate::ngrams::{NgramError, Rows, floats, head, is_in_range, key, runs, words};
use std::ops::Range;

const MAGIC: &[u8; 4] = b"KBN1";

/// Messages that count, the last ones.
const MESSAGES: usize = 3;

/// The most that an n-gram may count, so that no message's sum is beyond float32.
const MOST_MASS: f32 = 1e6;

/// Letters in an n-gram of letters.
const LETTERS: [usize; 2] = [3, 4];

/// A table of n-grams that comes with a bank of replies.
#[derive(Debug)]
pub struct NgramClassifier {
    bytes: Vec<u8>,
    names: Vec<String>,
    buckets: usize,
    columns: usize,
    /// Where the mass lies in the bytes.
    mass: Range<usize>,
    rows: Rows,
    /// `[intents, columns]`
    weights: Vec<f32>,
    /// `[intents]`
    addends: Vec<f32>,
}

impl NgramClassifier {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`NgramError`]
    pub fn read(bytes: Vec<u8>) -> Result<Self, NgramError> {
        let ([buckets, columns, intents, names], mut parts) = head(&bytes, MAGIC)?;
        let wrong = NgramError::Size { found: bytes.len() };
        if buckets == 0 || columns == 0 || columns % 2 != 0 {
            return Err(wrong);
        }
        let mut parts = || {
            let float = size_of::<f32>();
            let (names, mass) = (parts.next(names, 1)?, parts.next(buckets, float)?);
            let rows = Rows::next(&mut parts, buckets, columns)?;
            Some((names, mass, rows, parts.next(intents, columns.checked_mul(float)?)?, parts.next(intents, float)?))
        };
        let (names, mass, rows, weights, addends) = parts().filter(|p| p.4.end == bytes.len()).ok_or(wrong)?;
        let text = std::str::from_utf8(&bytes[names]).map_err(|_| NgramError::Names)?;
        let names: Vec<String> = text.lines().map(str::to_owned).collect();
        if names.len() != intents {
            return Err(NgramError::Names);
        }
        let (weights, addends) = (floats(&bytes[weights]).collect::<Vec<_>>(), floats(&bytes[addends]).collect::<Vec<_>>());
        let is_positive = |mass: f32| mass > 0.0 && mass <= MOST_MASS;
        let are_in_range = rows.are_in_range(&bytes) && weights.iter().chain(&addends).all(|x| is_in_range(*x));
        if !are_in_range || !floats(&bytes[mass.clone()]).all(is_positive) {
            return Err(NgramError::Number);
        }
        Ok(Self { names, buckets, columns, mass, rows, weights, addends, bytes })
    }

    /// The intents that it knows, in the order of [`logits`](Self::logits).
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// How surely each intent answers the last of some messages, which take turns: `[intents]`.
    pub(super) fn logits(&self, talk: &[String]) -> Vec<f32> {
        let mut sum = vec![0f32; self.columns];
        let mut total = 0f32;
        ngrams(talk, |ngram| {
            let bucket = (key(ngram) % self.buckets as u64) as usize;
            let mass = f32::from_le_bytes(self.bytes[self.mass.clone()].as_chunks().0[bucket]);
            self.rows.add(&self.bytes, bucket, mass, &mut sum);
            total += mass;
        });
        let share = if total > 0.0 { 1.0 / total } else { 0.0 };
        let rows = self.weights.chunks_exact(self.columns).zip(&self.addends);
        rows.map(|(row, addend)| row.iter().zip(&sum).map(|(w, x)| w * x).sum::<f32>() * share + addend).collect()
    }
}

/// Of each of the last messages its words and pairs of words, marked by how far back it is; of the last one threes of words, and
/// letters, too.
fn ngrams(talk: &[String], mut take: impl FnMut(&str)) {
    if talk.len() == 1 {
        take("alone");
    }
    for (back, text) in talk.iter().rev().take(MESSAGES).enumerate() {
        let said = words(text);
        runs(&said, &format!("{back}|"), if back == 0 { 3 } else { 2 }, &mut take);
        for word in said.iter().filter(|_| back == 0) {
            let letters: Vec<char> = std::iter::once('<').chain(word.chars()).chain(['>']).collect();
            let of_length = LETTERS.iter().flat_map(|&n| letters.windows(n));
            of_length.for_each(|some| take(&std::iter::once('#').chain(some.iter().copied()).collect::<String>()));
        }
    }
}

#[cfg(test)]
#[path = "classifier_tests.rs"]
pub(super) mod tests;
