//! Texts as n-grams, and tables in files with a row of 4-bit values for each n-gram.
//!
//! `models/recipes/goldcrest/ngrams.py` takes texts apart in the same way.

use std::ops::Range;

/// Why bytes are no table of n-grams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NgramError {
    /// It does not begin as one.
    #[error("it does not begin with its name and its sizes")]
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
    /// A number that is none or too large, an n-gram without mass, or keys that do not rise.
    #[error("one of its numbers is not finite, too large, counts for nothing, or stands in the wrong place")]
    Number,
}

/// FNV-1a of 64 bits.
pub(crate) fn key(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Runs of letters, digits and apostrophes, in small letters and every digit a 0; each other sign alone.
pub(crate) fn words(text: &str) -> Vec<String> {
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

/// The words of a message and its runs of two to `most` words, its beginning and its end among them, each behind a mark.
pub(crate) fn runs(said: &[String], mark: &str, most: usize, mut take: impl FnMut(&str)) {
    let framed: Vec<&str> = std::iter::once("^").chain(said.iter().map(String::as_str)).chain(["$"]).collect();
    said.iter().for_each(|word| take(&format!("{mark}{word}")));
    (2..=most).for_each(|length| framed.windows(length).for_each(|run| take(&format!("{mark}{}", run.join(" ")))));
}

/// The parts of a file, one behind the other.
#[derive(Debug)]
pub(crate) struct Parts {
    end: usize,
}

impl Parts {
    /// The next part, of `rows` times `bytes`; `None` where that is more than can be.
    pub(crate) fn next(&mut self, rows: usize, bytes: usize) -> Option<Range<usize>> {
        let from = self.end;
        self.end = rows.checked_mul(bytes)?.checked_add(from)?;
        Some(from..self.end)
    }
}

/// Bytes of a head: a name and four sizes.
const HEAD: usize = 20;

/// The sizes behind the name that a file must have, and the parts behind that head.
///
/// # Errors
/// [`NgramError::Head`]
pub(crate) fn head(bytes: &[u8], name: &[u8; 4]) -> Result<([usize; 4], Parts), NgramError> {
    let head = bytes.get(name.len()..HEAD).filter(|_| bytes.starts_with(name)).ok_or(NgramError::Head)?;
    let numbers = head.as_chunks::<4>().0;
    let sizes = std::array::from_fn(|at| u32::from_le_bytes(numbers[at]) as usize);
    Ok((sizes, Parts { end: HEAD }))
}

/// Numbers of 4 bytes, little endian.
pub(crate) fn floats(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks::<4>().0.iter().map(|four| f32::from_le_bytes(*four))
}

/// No number of a table is larger, so that sums of their products stay finite.
const LARGEST: f32 = 1e6;

/// Whether a number of a table may be there; NaN may not.
pub(crate) fn is_in_range(number: f32) -> bool {
    number.abs() <= LARGEST
}

/// Where a table lies in a file: rows of values of 4 bits, less 8 and times the scale of the row.
#[derive(Debug)]
pub(crate) struct Rows {
    columns: usize,
    /// `[rows]` f32
    scales: Range<usize>,
    /// `[rows, columns / 2]` u8: two values, the first in the low half.
    levels: Range<usize>,
}

impl Rows {
    /// The next two parts of a file.
    pub(crate) fn next(parts: &mut Parts, rows: usize, columns: usize) -> Option<Self> {
        let (scales, levels) = (parts.next(rows, size_of::<f32>())?, parts.next(rows, columns / 2)?);
        Some(Self { columns, scales, levels })
    }

    /// Whether all scales are [in range](is_in_range).
    pub(crate) fn are_in_range(&self, bytes: &[u8]) -> bool {
        floats(&bytes[self.scales.clone()]).all(is_in_range)
    }

    /// Adds a row, `weight` times, to `sum` `[columns]`.
    pub(crate) fn add(&self, bytes: &[u8], row: usize, weight: f32, sum: &mut [f32]) {
        let scale = weight * f32::from_le_bytes(bytes[self.scales.clone()].as_chunks().0[row]);
        let half = self.columns / 2;
        let levels = &bytes[self.levels.clone()][row * half..(row + 1) * half];
        for (pair, byte) in sum.chunks_exact_mut(2).zip(levels) {
            pair[0] += scale * (f32::from(byte & 15) - 8.0);
            pair[1] += scale * (f32::from(byte >> 4) - 8.0);
        }
    }
}
