//! The map of the normalizer `Precompiled`, which SentencePiece makes: a double array of sequences of bytes, each with a
//! place in a text of replacements that end with a zero byte. The library follows the array wherever it points.
//!
//! Layout: `[u32 bytes of the array][u32 units..][replacements]`, little-endian. Of a unit, bit 8 says that a sequence ends
//! here, bits 0 to 7 and 31 are the byte that leads to it, bits 10 to 30 how far to go, times 256 where bit 9 is set. The
//! unit at the end of a sequence holds the place of its replacement in bits 0 to 30
//! (<https://github.com/s-yata/darts-clone>, <https://github.com/google/sentencepiece>).

use tokenizers::normalizers::Precompiled;
use unicode_segmentation::UnicodeSegmentation;

/// Bytes of a replacement. The longest that Unicode has in its own forms comes to 33.
const MAX_REPLACEMENT: usize = 256;

/// Bytes of a cluster of characters that are looked up together, as in the library.
const CLUSTER_BYTES: usize = 6;

/// The map given in base 64, and the bytes of its longest replacement. An error is in words.
pub(super) fn of(text: &str) -> Result<(Precompiled, usize), String> {
    let bytes = base64::decode(text).map_err(|_| damaged("it is not base 64"))?;
    let longest = check(&bytes)?;
    let map = Precompiled::from(&bytes).map_err(|error| damaged(&error.to_string()))?;
    Ok((map, longest))
}

/// An upper bound of the bytes that `text` becomes. `longest` is that of the map's replacements.
pub(super) fn growth(map: &Precompiled, longest: usize, text: &str) -> usize {
    // Without replacements that are much longer than what they replace, nothing has to be looked up.
    if longest <= 36 {
        return 0;
    }
    let of = |part: &str| map.transform(part).map_or(part.len(), str::len);
    let clusters = text.graphemes(true).map(|cluster| {
        let whole = Some(cluster).filter(|cluster| cluster.len() < CLUSTER_BYTES).and_then(|cluster| map.transform(cluster));
        whole.map_or_else(|| cluster.split_inclusive(|_| true).map(of).sum(), str::len)
    });
    clusters.fold(0, usize::saturating_add)
}

fn damaged(reason: &str) -> String {
    format!("the map of its normalizer `Precompiled` is damaged: {reason}")
}

/// Follows every way through the array and looks at where it ends. Gives the bytes of the longest replacement.
fn check(bytes: &[u8]) -> Result<usize, String> {
    let (head, rest) = bytes.split_first_chunk().ok_or_else(|| damaged("it has no array"))?;
    let array_bytes = u32::from_le_bytes(*head) as usize / 4 * 4;
    let (array, texts) = rest.split_at_checked(array_bytes).ok_or_else(|| damaged("its array is cut off"))?;
    let texts = std::str::from_utf8(texts).map_err(|_| damaged("its replacements are no text"))?;
    let (units, _) = array.as_chunks();
    let units: Vec<u32> = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
    let outside = || damaged("its array points outside of itself");
    let root = *units.first().ok_or_else(|| damaged("its array is empty"))?;
    let mut seen = vec![false; units.len()];
    let (mut open, mut longest) = (vec![offset(root)], 0);
    while let Some(base) = open.pop() {
        match seen.get_mut(base) {
            None => return Err(outside()),
            Some(true) => continue,
            Some(seen) => *seen = true,
        }
        for byte in 1..=255_u8 {
            let at = base ^ usize::from(byte);
            let unit = *units.get(at).ok_or_else(outside)?;
            if unit & 0x8000_00ff != u32::from(byte) {
                continue;
            }
            let next = at ^ offset(unit);
            if unit >> 8 & 1 == 1 {
                let place = *units.get(next).ok_or_else(outside)? & 0x7fff_ffff;
                longest = longest.max(replacement(texts, place as usize)?);
            }
            open.push(next);
        }
    }
    Ok(longest)
}

fn offset(unit: u32) -> usize {
    ((unit >> 10) as usize) << ((unit & 1 << 9) >> 6)
}

/// Bytes of the replacement at `place`.
fn replacement(texts: &str, place: usize) -> Result<usize, String> {
    let rest = texts.get(place..).ok_or_else(|| damaged("a replacement begins inside a character or behind the end"))?;
    let bytes = rest.bytes().take(MAX_REPLACEMENT + 1).position(|byte| byte == 0);
    match bytes.or((rest.len() <= MAX_REPLACEMENT).then_some(rest.len())) {
        Some(bytes) => Ok(bytes),
        None => Err(damaged(&format!("a replacement has more than {MAX_REPLACEMENT} bytes"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokenizers::{NormalizedString, Normalizer};

    use super::*;

    /// A map that replaces `a` by `text`: the root's way lies in the second block of 256 units.
    fn map(text: &str) -> Vec<u8> {
        let mut units = vec![0_u32; 512];
        units[0] = 256 << 10;
        let a = 256 ^ usize::from(b'a');
        // One further, where the place of the replacement stands.
        units[a] = 1 << 10 | 1 << 8 | u32::from(b'a');
        units[a ^ 1] = 1 << 31;
        let array = units.iter().flat_map(|unit| unit.to_le_bytes());
        let head = u32::try_from(units.len() * 4).unwrap().to_le_bytes();
        head.into_iter().chain(array).chain(text.bytes()).chain([0]).collect()
    }

    fn opened(bytes: &[u8]) -> Result<(Precompiled, usize), String> {
        of(&base64::encode(bytes))
    }

    #[test]
    fn a_map_is_taken_and_its_growth_known() {
        let long = "x".repeat(100);
        let (map, longest) = opened(&map(&long)).unwrap();
        assert_eq!(longest, 100);
        assert_eq!(growth(&map, longest, "aéa"), 202);
        let mut text = NormalizedString::from("aéa");
        map.normalize(&mut text).unwrap();
        assert_eq!(text.get().len(), 202);
    }

    #[test]
    fn damaged_maps_are_refused() {
        struct Case(&'static str, Vec<u8>);
        let with = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut bytes = map("é");
            change(&mut bytes);
            bytes
        };
        let cases = [
            Case("nothing", vec![]),
            Case("no array", vec![0; 4]),
            Case("an array without end", [u32::MAX.to_le_bytes().to_vec(), vec![0; 9]].concat()),
            Case("a cut-off array", map("é")[..1000].to_vec()),
            Case("an array that points outside", with(&|bytes| bytes[5..8].fill(0xff))),
            Case("an incomplete block", {
                let bytes = map("é");
                [(260_u32 * 4).to_le_bytes().to_vec(), bytes[4..4 + 260 * 4].to_vec(), bytes[4 + 512 * 4..].to_vec()].concat()
            }),
            Case("replacements that are no text", with(&|bytes| bytes.push(0xff))),
            Case("a place inside a character", with(&|bytes| bytes[4 + 4 * (256 ^ usize::from(b'a') ^ 1)] = 1)),
            Case("a place behind the end", with(&|bytes| bytes[4 + 4 * (256 ^ usize::from(b'a') ^ 1)] = 99)),
            Case("a replacement that is too long", map(&"x".repeat(MAX_REPLACEMENT + 1))),
        ];
        for Case(name, bytes) in cases {
            let error = opened(&bytes).err().unwrap_or_else(|| panic!("{name} was taken"));
            assert!(error.contains("damaged"), "{name}: {error}");
        }
        assert!(of("AAAA").is_err() && of("no base 64").is_err());
    }

    proptest! {
        /// A map that passes the check cannot make the library panic.
        #[test]
        fn what_is_taken_can_be_used(changes in prop::collection::vec((4_usize..2052, any::<u8>()), 0..6), text in "[ab\\u{0}é]{0,8}") {
            let mut bytes = map("é");
            for (at, byte) in changes {
                bytes[at] = byte;
            }
            if let Ok((map, _)) = opened(&bytes) {
                let mut normalized = NormalizedString::from(text);
                map.normalize(&mut normalized).unwrap();
            }
        }
    }
}
