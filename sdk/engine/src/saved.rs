//! Header of a saved cache, before its keys and values: the format, so that a cache of another model or layout is refused.

use crate::{EngineError, KvType};
use std::io::{self, ErrorKind, Read, Write};

/// Magic bytes at the start of every saved cache.
const MAGIC: [u8; 8] = *b"kingletK";
/// Bytes of an engine's name, filled up with zeros.
const NAME_BYTES: usize = 8;
/// No cache has so many positions.
const LIMIT: u32 = 1 << 31;
/// Numbers between the name and the layers: version, key and value type, positions a page, layers.
const GENERAL: usize = 4;

/// Why a saved cache is of no use here. Whatever the reason: remove it and compute the sequence anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SavedCacheError {
    /// The magic bytes at the start are not there.
    #[error("it is no saved cache")]
    NoSavedCache,
    /// The bytes end too early.
    #[error("it ends too early")]
    Truncated,
    /// Another engine saved it.
    #[error("the engine `{saved}` saved it, not `{here}`")]
    OtherEngine {
        /// Name of the engine that saved it.
        saved: String,
        /// Name of the engine that was to restore it.
        here: &'static str,
    },
    /// Another model, another layout of pages, or another type of keys and values.
    #[error("its {what} is {saved} where {here} is needed")]
    Differs {
        /// Name of the property that differs.
        what: &'static str,
        /// Its value in the saved cache.
        saved: u32,
        /// Its value in this model's format.
        here: u32,
    },
    /// Zero positions, or 2^31 and more.
    #[error("it says that it holds {0} positions")]
    BadLength(u32),
}

/// How an engine keeps the keys and values of one model: all that must be the same where they are saved and restored. Models with
/// the same format and different weights are not told apart: the caller has to keep saved caches of different models apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheFormat {
    /// Name of the engine, at most 8 bytes.
    pub engine: &'static str,
    /// Counts the orders in which the engine has ever saved its numbers.
    pub version: u32,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Positions that are saved together.
    pub page_positions: u32,
    /// Each layer's number of key and value heads, values of a key head, values of a value head: `[layers, 3]`.
    pub layers: Vec<[u32; 3]>,
}

impl CacheFormat {
    /// Bytes that [`write`](Self::write) writes.
    pub fn bytes(&self) -> usize {
        MAGIC.len() + NAME_BYTES + (GENERAL + 3 * self.layers.len() + 1) * size_of::<u32>()
    }

    /// Writes the format, and how many positions follow.
    ///
    /// # Errors
    /// [`EngineError::InvalidRequest`] for no positions or 2^31 and more, [`EngineError::Storage`] where `out` fails.
    pub fn write(&self, positions: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        let invalid = || EngineError::InvalidRequest(format!("a cache of {positions} positions cannot be saved"));
        let positions = u32::try_from(positions).ok().filter(|positions| (1..LIMIT).contains(positions)).ok_or_else(invalid)?;
        let mut bytes = Vec::with_capacity(self.bytes());
        bytes.extend(MAGIC);
        bytes.extend(self.name());
        let layers = self.layers.as_flattened().iter().copied();
        self.general().into_iter().map(|(_, number)| number).chain(layers).for_each(|number| bytes.extend(number.to_le_bytes()));
        bytes.extend(positions.to_le_bytes());
        write_saved(&bytes, out)
    }

    /// Reads what [`write`](Self::write) wrote, and gives the number of positions that follow.
    ///
    /// # Errors
    /// [`EngineError::SavedCache`] where it is not this format, [`EngineError::Storage`] where `source` fails.
    pub fn read(&self, source: &mut dyn Read) -> Result<usize, EngineError> {
        let mut start = [0; MAGIC.len() + NAME_BYTES];
        read_saved(&mut start, source)?;
        let (magic, name) = start.split_at(MAGIC.len());
        if magic != MAGIC {
            return Err(SavedCacheError::NoSavedCache.into());
        }
        if name != self.name() {
            let saved = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
            return Err(SavedCacheError::OtherEngine { saved, here: self.engine }.into());
        }
        for ((what, here), saved) in self.general().into_iter().zip(read_numbers(GENERAL, source)?) {
            expect(what, here, saved)?;
        }
        let mut numbers = read_numbers(3 * self.layers.len() + 1, source)?;
        let positions = numbers.pop().unwrap_or(0);
        for (layer, saved) in self.layers.iter().zip(numbers.chunks_exact(3)) {
            for (place, what) in ["number of key heads", "size of a key head", "size of a value head"].into_iter().enumerate() {
                expect(what, layer[place], saved[place])?;
            }
        }
        match positions {
            0 | LIMIT.. => Err(SavedCacheError::BadLength(positions).into()),
            positions => Ok(positions as usize),
        }
    }

    fn name(&self) -> [u8; NAME_BYTES] {
        let mut name = [0; NAME_BYTES];
        name.iter_mut().zip(self.engine.bytes()).for_each(|(place, byte)| *place = byte);
        name
    }

    fn general(&self) -> [(&'static str, u32); GENERAL] {
        let kv_type = match self.kv_type {
            KvType::Auto | KvType::Float32 => 0,
            KvType::Float16 => 1,
        };
        [
            ("version", self.version),
            ("key and value type", kv_type),
            ("number of positions a page", self.page_positions),
            ("number of layers", self.layers.len() as u32),
        ]
    }
}

fn expect(what: &'static str, here: u32, saved: u32) -> Result<(), SavedCacheError> {
    if saved == here { Ok(()) } else { Err(SavedCacheError::Differs { what, saved, here }) }
}

fn read_numbers(count: usize, source: &mut dyn Read) -> Result<Vec<u32>, EngineError> {
    let mut bytes = vec![0; count * size_of::<u32>()];
    read_saved(&mut bytes, source)?;
    Ok(bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
}

/// Fills `bytes` from `source`.
///
/// # Errors
/// [`SavedCacheError::Truncated`] where it ends before, [`EngineError::Storage`] where it fails.
pub fn read_saved(bytes: &mut [u8], source: &mut dyn Read) -> Result<(), EngineError> {
    source.read_exact(bytes).map_err(|error: io::Error| match error.kind() {
        ErrorKind::UnexpectedEof => SavedCacheError::Truncated.into(),
        _ => EngineError::Storage(error),
    })
}

/// Writes `bytes` to `out`.
///
/// # Errors
/// [`EngineError::Storage`] where that fails.
pub fn write_saved(bytes: &[u8], out: &mut dyn Write) -> Result<(), EngineError> {
    out.write_all(bytes).map_err(EngineError::Storage)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format() -> CacheFormat {
        let layers = vec![[2, 64, 64], [1, 32, 48]];
        CacheFormat { engine: "wren", version: 3, kv_type: KvType::Float32, page_positions: 32, layers }
    }

    fn written(format: &CacheFormat) -> Vec<u8> {
        let mut bytes = vec![];
        format.write(77, &mut bytes).unwrap();
        assert_eq!(bytes.len(), format.bytes());
        bytes
    }

    #[test]
    fn the_same_format_is_read_back() {
        let mut bytes = written(&format());
        bytes.extend([9, 9]);
        let mut source = bytes.as_slice();
        assert_eq!(format().read(&mut source).unwrap(), 77);
        assert_eq!(source, [9, 9], "nothing more is read");
    }

    #[test]
    fn any_other_format_is_refused_by_what_differs() {
        struct Case(&'static str, fn(&mut CacheFormat));
        for Case(word, change) in [
            Case("`wren`", |format| format.engine = "rook"),
            Case("version", |format| format.version = 4),
            Case("positions a page", |format| format.page_positions = 64),
            Case("number of layers", |format| format.layers.truncate(1)),
            Case("number of key heads", |format| format.layers[1][0] = 2),
            Case("size of a key head", |format| format.layers[0][1] = 32),
            Case("size of a value head", |format| format.layers[1][2] = 32),
        ] {
            let mut other = format();
            change(&mut other);
            let error = other.read(&mut written(&format()).as_slice()).unwrap_err();
            assert!(matches!(error, EngineError::SavedCache(_)) && error.to_string().contains(word), "{word}: {error}");
        }
    }

    #[test]
    fn every_byte_of_it_counts() {
        let whole = written(&format());
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            assert_ne!(format().read(&mut flipped.as_slice()).ok(), Some(77), "byte {at}");
            let cut = format().read(&mut &whole[..at]);
            assert!(matches!(cut, Err(EngineError::SavedCache(SavedCacheError::Truncated))), "cut at {at}: {cut:?}");
        }
    }

    #[test]
    fn another_type_of_keys_and_values_is_refused() {
        let mut other = written(&format());
        other[MAGIC.len() + NAME_BYTES + size_of::<u32>()] ^= 1;
        let error = format().read(&mut other.as_slice()).unwrap_err();
        assert!(error.to_string().contains("key and value type"), "{error}");
    }

    #[test]
    fn odd_lengths_are_refused() {
        assert!(matches!(format().write(0, &mut vec![]), Err(EngineError::InvalidRequest(_))));
        assert!(matches!(format().write(1 << 33, &mut vec![]), Err(EngineError::InvalidRequest(_))));
        let mut bytes = written(&format());
        let end = bytes.len();
        for odd in [0, u32::MAX] {
            bytes[end - 4..].copy_from_slice(&odd.to_le_bytes());
            let error = format().read(&mut bytes.as_slice()).unwrap_err();
            assert!(matches!(error, EngineError::SavedCache(SavedCacheError::BadLength(length)) if length == odd), "{error}");
        }
    }

    #[test]
    fn a_failing_writer_is_told_as_such() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = format().write(1, &mut Full).unwrap_err();
        assert!(matches!(&error, EngineError::Storage(cause) if cause.kind() == ErrorKind::StorageFull), "{error}");
    }
}
