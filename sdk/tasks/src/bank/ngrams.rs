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
//! `models/recipes/goldcrest/ngrams.py` writes it, and takes messages apart in the same way.

use std::ops::Range;

const MAGIC: &[u8; 4] = b"KBN1";
const HEAD: usize = 20;

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
    /// Where in the bytes the mass, the scales and the levels lie.
    mass: Range<usize>,
    scales: Range<usize>,
    levels: Range<usize>,
    /// `[intents, columns]`
    weights: Vec<f32>,
    /// `[intents]`
    addends: Vec<f32>,
}

/// Why bytes are no such table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NgramError {
    /// It does not begin as one.
    #[error("it does not begin with `KBN1` and its sizes")]
    Head,
    /// The sizes that it names do not add up to its own.
    #[error("it has {found} bytes where its sizes ask for others")]
    Size {
        /// Bytes that are there.
        found: usize,
    },
    /// Names that are no UTF-8, or not as many as it says.
    #[error("its names are not one line of text for each intent")]
    Names,
    /// A number that is not finite, or an n-gram without mass.
    #[error("one of its numbers is not finite, or counts for nothing")]
    Number,
}

impl NgramClassifier {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// [`NgramError`]
    pub fn read(bytes: Vec<u8>) -> Result<Self, NgramError> {
        let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
        let head = || Some([number(4)?, number(8)?, number(12)?, number(16)?]);
        let [buckets, columns, intents, names] = head().filter(|_| bytes.starts_with(MAGIC)).ok_or(NgramError::Head)?;
        let wrong = NgramError::Size { found: bytes.len() };
        if buckets == 0 || columns == 0 || columns % 2 != 0 {
            return Err(wrong);
        }
        let mut end = HEAD;
        let mut part = |rows: usize, bytes: usize| {
            let from = end;
            end = rows.checked_mul(bytes)?.checked_add(end)?;
            Some(from..end)
        };
        let mut parts = || {
            let float = size_of::<f32>();
            let row = columns.checked_mul(float)?;
            Some([
                part(names, 1)?,
                part(buckets, float)?,
                part(buckets, float)?,
                part(buckets, columns / 2)?,
                part(intents, row)?,
                part(intents, float)?,
            ])
        };
        let [names, mass, scales, levels, weights, addends] = parts().filter(|p| p[5].end == bytes.len()).ok_or(wrong)?;
        let text = std::str::from_utf8(&bytes[names]).map_err(|_| NgramError::Names)?;
        let names: Vec<String> = text.lines().map(str::to_owned).collect();
        if names.len() != intents {
            return Err(NgramError::Names);
        }
        let (weights, addends) = (floats(&bytes[weights]).collect::<Vec<_>>(), floats(&bytes[addends]).collect::<Vec<_>>());
        let mut numbers = floats(&bytes[scales.clone()]).chain(weights.iter().copied()).chain(addends.iter().copied());
        let is_positive = |mass: f32| mass > 0.0 && mass <= MOST_MASS;
        if !numbers.all(f32::is_finite) || !floats(&bytes[mass.clone()]).all(is_positive) {
            return Err(NgramError::Number);
        }
        drop(numbers);
        Ok(Self { names, buckets, columns, mass, scales, levels, weights, addends, bytes })
    }

    /// The intents that it knows, in the order of [`logits`](Self::logits).
    pub(super) fn names(&self) -> &[String] {
        &self.names
    }

    /// How surely each intent answers the last of some messages, which take turns: `[intents]`.
    pub(super) fn logits(&self, talk: &[String]) -> Vec<f32> {
        let mut sum = vec![0f32; self.columns];
        let mut mass = 0f32;
        ngrams(talk, |ngram| mass += self.add((super::vectors::key(ngram) % self.buckets as u64) as usize, &mut sum));
        let share = if mass > 0.0 { 1.0 / mass } else { 0.0 };
        let rows = self.weights.chunks_exact(self.columns).zip(&self.addends);
        rows.map(|(row, addend)| row.iter().zip(&sum).map(|(w, x)| w * x).sum::<f32>() * share + addend).collect()
    }

    /// Adds the vector of a bucket times its mass, which it gives.
    fn add(&self, bucket: usize, sum: &mut [f32]) -> f32 {
        let of_bucket = |range: &Range<usize>| f32::from_le_bytes(self.bytes[range.clone()].as_chunks().0[bucket]);
        let mass = of_bucket(&self.mass);
        let scale = mass * of_bucket(&self.scales);
        let half = self.columns / 2;
        let levels = &self.bytes[self.levels.clone()][bucket * half..(bucket + 1) * half];
        for (pair, byte) in sum.chunks_exact_mut(2).zip(levels) {
            pair[0] += scale * (f32::from(byte & 15) - 8.0);
            pair[1] += scale * (f32::from(byte >> 4) - 8.0);
        }
        mass
    }
}

fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four))
}

/// Of each of the last messages its words and pairs of words, marked by how far back it is; of the last one threes of words, and
/// letters, too.
fn ngrams(talk: &[String], mut take: impl FnMut(&str)) {
    if talk.len() == 1 {
        take("alone");
    }
    for (back, text) in talk.iter().rev().take(MESSAGES).enumerate() {
        let said = words(text);
        let framed: Vec<&str> = std::iter::once("^").chain(said.iter().map(String::as_str)).chain(["$"]).collect();
        said.iter().for_each(|word| take(&format!("{back}|{word}")));
        framed.windows(2).for_each(|pair| take(&format!("{back}|{}", pair.join(" "))));
        if back > 0 {
            continue;
        }
        framed.windows(3).for_each(|three| take(&format!("{back}|{}", three.join(" "))));
        for word in &said {
            let letters: Vec<char> = std::iter::once('<').chain(word.chars()).chain(['>']).collect();
            let of_length = LETTERS.iter().flat_map(|&n| letters.windows(n));
            of_length.for_each(|some| take(&std::iter::once('#').chain(some.iter().copied()).collect::<String>()));
        }
    }
}

/// Runs of letters, digits and apostrophes, in small letters and every digit a 0; each other sign alone.
fn words(text: &str) -> Vec<String> {
    let mut found: Vec<String> = vec![];
    let mut is_open = false;
    for sign in text.replace('\u{2019}', "'").to_lowercase().chars() {
        let belongs = sign.is_alphanumeric() || sign == '\'';
        let sign = if sign.is_ascii_digit() { '0' } else { sign };
        match found.last_mut().filter(|_| belongs && is_open) {
            Some(word) => word.push(sign),
            None if sign.is_whitespace() => {}
            None => found.push(sign.into()),
        }
        is_open = belongs;
    }
    found
}

#[cfg(test)]
#[path = "ngrams_tests.rs"]
pub(super) mod tests;
