//! One file of the prefix cache: what it is for, what the engine saved, and a checksum over both.
//!
//! ```text
//! magic [8]  version u32  tokens u32  model [32]  token ids [tokens] u32  what the engine saved  XXH3-64 of all before [8]
//! ```
//!
//! Numbers are little-endian. The checksum is computed as the bytes pass, so they are read and written once.

use crate::saved::ModelKey;
use std::hash::Hasher;
use std::io::{self, ErrorKind, Read, Write};
use twox_hash::XxHash3_64;

const MAGIC: [u8; 8] = *b"kingletP";
const VERSION: u32 = 1;
const CHECKSUM_BYTES: u64 = 8;
/// Bytes that are read before they are hashed: they are still in the processor's cache then.
const PIECE_BYTES: usize = 128 << 10;

/// Why nothing came of a file.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unread {
    /// Corrupt: unusable now and later.
    #[error("{0}")]
    Damaged(String),
    /// The file is fine for all that is known; another time it may serve.
    #[error("{0}")]
    NotNow(String),
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Unread {
        match error.kind() {
            ErrorKind::UnexpectedEof => Unread::Damaged("it ends too early".into()),
            _ => Unread::NotNow(error.to_string()),
        }
    }
}

fn head(model: &ModelKey, tokens: &[u32]) -> Vec<u8> {
    let mut head = Vec::with_capacity(48 + 4 * tokens.len());
    head.extend(MAGIC);
    head.extend(VERSION.to_le_bytes());
    head.extend((tokens.len() as u32).to_le_bytes());
    head.extend(model);
    tokens.iter().for_each(|token| head.extend(token.to_le_bytes()));
    head
}

/// Writes a whole file of at most `max_bytes`, whose middle `save` writes, and gives its size.
///
/// # Errors
/// Those of `out` and `save`; [`ErrorKind::FileTooLarge`] for more than `max_bytes`.
pub(super) fn write(
    model: &ModelKey,
    tokens: &[u32],
    max_bytes: u64,
    out: &mut dyn Write,
    save: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<u64> {
    let mut out = HashingWriter { out, hash: XxHash3_64::with_seed(0), left: max_bytes };
    out.write_all(&head(model, tokens))?;
    save(&mut out)?;
    let checksum = out.hash.finish().to_le_bytes();
    out.write_all(&checksum)?;
    Ok(max_bytes - out.left)
}

/// Reads a file of `bytes` bytes that [`write()`] wrote for this model and these tokens. `restore` reads its middle; what it
/// gives is handed out only if all bytes are those that were written.
pub(super) fn read<T>(
    model: &ModelKey,
    tokens: &[u32],
    bytes: u64,
    source: &mut dyn Read,
    restore: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
) -> Result<T, Unread> {
    let expected = head(model, tokens);
    let Some(middle) = bytes.checked_sub(expected.len() as u64 + CHECKSUM_BYTES) else {
        return Err(Unread::Damaged("it ends too early".into()));
    };
    let mut source = HashingReader { source, hash: XxHash3_64::with_seed(0), left: expected.len() as u64 };
    let mut found = vec![0; expected.len()];
    source.read_exact(&mut found)?;
    if found != expected {
        return Err(Unread::Damaged("it is for other tokens or another model".into()));
    }
    source.left = middle;
    let restored = restore(&mut source)?;
    if source.left > 0 {
        return Err(Unread::Damaged(format!("{} of its bytes are left over", source.left)));
    }
    let mut checksum = [0; CHECKSUM_BYTES as usize];
    source.source.read_exact(&mut checksum)?;
    if u64::from_le_bytes(checksum) != source.hash.finish() {
        return Err(Unread::Damaged("its checksum is wrong".into()));
    }
    Ok(restored)
}

/// Hashes what it writes, at most `left` bytes.
struct HashingWriter<'a> {
    out: &'a mut dyn Write,
    hash: XxHash3_64,
    left: u64,
}

impl Write for HashingWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(ErrorKind::FileTooLarge.into());
        }
        let piece = &bytes[..bytes.len().min(PIECE_BYTES)];
        let written = self.out.write(piece)?;
        Hasher::write(&mut self.hash, &piece[..written]);
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Hashes what it reads, at most `left` bytes.
struct HashingReader<'a> {
    source: &'a mut dyn Read,
    hash: XxHash3_64,
    left: u64,
}

impl Read for HashingReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let most = bytes.len().min(PIECE_BYTES).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.source.read(&mut bytes[..most])?;
        Hasher::write(&mut self.hash, &bytes[..read]);
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: ModelKey = [5; 32];
    const TOKENS: [u32; 3] = [7, 8, 9];

    fn written(middle: &[u8]) -> Vec<u8> {
        let mut file = vec![];
        let bytes = write(&MODEL, &TOKENS, 1 << 20, &mut file, |out| out.write_all(middle)).unwrap();
        assert_eq!(bytes, file.len() as u64);
        file
    }

    /// Reads as many bytes of the middle as `middle` has.
    fn read_back(model: &ModelKey, tokens: &[u32], file: &[u8], middle: usize) -> Result<Vec<u8>, Unread> {
        read(model, tokens, file.len() as u64, &mut &*file, |source| {
            let mut bytes = vec![0; middle];
            source.read_exact(&mut bytes)?;
            Ok(bytes)
        })
    }

    #[test]
    fn what_was_written_is_read_back() {
        for bytes in [0, 1, 1000, PIECE_BYTES, 3 * PIECE_BYTES + 1] {
            let middle: Vec<u8> = (0..bytes).map(|at| (at * 7 + at / 256) as u8).collect();
            assert_eq!(read_back(&MODEL, &TOKENS, &written(&middle), bytes).unwrap(), middle, "{bytes}");
        }
    }

    #[test]
    fn no_flipped_bit_and_no_cut_goes_unnoticed() {
        let file = written(&[1, 2, 3, 4, 5]);
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                assert!(matches!(read_back(&MODEL, &TOKENS, &flipped, 5), Err(Unread::Damaged(_))), "bit {bit} of byte {at}");
            }
            assert!(matches!(read_back(&MODEL, &TOKENS, &file[..at], 5), Err(Unread::Damaged(_))), "cut at {at}");
        }
        let longer = [&file[..], &[0]].concat();
        assert!(matches!(read_back(&MODEL, &TOKENS, &longer, 5), Err(Unread::Damaged(_))));
        assert!(matches!(read_back(&MODEL, &TOKENS, &file, 4), Err(Unread::Damaged(_))), "left over");
        assert!(matches!(read_back(&MODEL, &TOKENS, &file, 6), Err(Unread::Damaged(_))), "not enough");
    }

    #[test]
    fn a_file_of_something_else_is_refused_before_anything_is_restored() {
        let file = written(&[1, 2, 3]);
        for (model, tokens) in [([6; 32], &TOKENS[..]), (MODEL, &[7, 8, 10]), (MODEL, &[7, 8]), (MODEL, &[7, 8, 9, 10])] {
            let untouched = |_: &mut dyn Read| -> Result<(), Unread> { panic!("it must not be restored") };
            let refused = read(&model, tokens, file.len() as u64, &mut file.as_slice(), untouched);
            assert!(matches!(refused, Err(Unread::Damaged(_))), "{tokens:?}");
        }
    }

    #[test]
    fn trouble_with_the_disk_is_not_taken_for_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(ErrorKind::PermissionDenied.into())
            }
        }
        let refused = read(&MODEL, &TOKENS, 100, &mut Broken, |_| Ok(()));
        assert!(matches!(refused, Err(Unread::NotNow(_))));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_as_such() {
        let mut full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let error = write(&MODEL, &TOKENS, 1 << 20, &mut full, |out| out.write_all(&[1, 2, 3])).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
    }

    #[test]
    fn a_file_never_grows_beyond_its_limit() {
        for (limit, fits) in [(71, true), (70, false), (40, false), (0, false)] {
            let mut file = vec![];
            let written = write(&MODEL, &TOKENS, limit, &mut file, |out| out.write_all(&[1, 2, 3]));
            assert_eq!(written.as_ref().ok(), fits.then_some(&limit), "{written:?}");
            assert!(file.len() as u64 <= limit);
            assert!(fits || written.unwrap_err().kind() == ErrorKind::FileTooLarge);
        }
    }
}
