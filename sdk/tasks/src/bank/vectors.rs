//! Vectors of replies made ahead, as they lie in a file.
//!
//! ```text
//! "KBV1"  columns: u32  rows: u32  then rows of  key of the reply's text: u64, [columns] i8      little endian
//! ```
//!
//! A vector of length 1 is stored times 127, and scaled to length 1 again when it is read: that turns it by less than a degree.
//! Rows are found by their texts, so a bank may be changed: what has no vector is computed when it is asked for first.

use super::normalised;
use crate::ngrams::key;
use std::collections::HashMap;

const MAGIC: &[u8; 4] = b"KBV1";
const HEAD: usize = 12;
const SCALE: f32 = 127.0;

/// Vectors by the keys of texts. `None` where the bytes are not such a file, or one of other columns.
pub(crate) fn read<'t>(bytes: &[u8], columns: usize, texts: impl Iterator<Item = &'t str>) -> Option<HashMap<String, Vec<f32>>> {
    let number = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?) as usize);
    let rows = number(8)?;
    let row = columns.checked_add(8)?;
    let fits = bytes.starts_with(MAGIC) && number(4)? == columns && rows.checked_mul(row)?.checked_add(HEAD)? == bytes.len();
    if !fits {
        return None;
    }
    let rows = bytes[HEAD..].chunks_exact(row).filter_map(|row| {
        let (name, values) = row.split_first_chunk::<8>()?;
        Some((u64::from_le_bytes(*name), values))
    });
    let stored: HashMap<u64, &[u8]> = rows.collect();
    let vector = |values: &&[u8]| normalised(&values.iter().map(|&v| f32::from(v.cast_signed())).collect::<Vec<_>>());
    Some(texts.filter_map(|text| Some((text.to_owned(), stored.get(&key(text)).map(vector)?))).collect())
}

/// The bytes of a file with these vectors, each of length 1.
pub(crate) fn write<'v>(columns: usize, rows: impl ExactSizeIterator<Item = (&'v str, &'v [f32])>) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((columns as u32).to_le_bytes());
    bytes.extend((rows.len() as u32).to_le_bytes());
    for (text, vector) in rows {
        bytes.extend(key(text).to_le_bytes());
        bytes.extend(vector.iter().map(|x| (x * SCALE).round() as i8 as u8));
    }
    bytes
}
