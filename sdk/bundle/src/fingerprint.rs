//! Fingerprints: models told apart without reading gigabytes.

use std::ops::Range;
use std::path::Path;
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};

use crate::config::{CONFIG, GENAI_CONFIG};
use crate::files::{file_name, read_small};
use crate::map::MappedFile;

/// A file up to this size is taken whole.
const WHOLE_BYTES: usize = 512 << 10;
/// Of a larger one, this much from its start, where a graph's nodes are,
const START_BYTES: usize = 256 << 10;
/// this much from its end,
const END_BYTES: usize = 64 << 10;
/// and so many samples of so many bytes, evenly spread.
const SAMPLES: usize = 64;
const SAMPLE_BYTES: usize = 4 << 10;

/// A hash over a model's graph, weights and configuration. What is computed with one model may be used again only where this
/// is the same.
///
/// The hash covers, of each file with weights and of the graph's own: the name, the size, the time of the last change, and the
/// content: all of it up to 512 KiB; of larger files the first 256 KiB, the last 64 KiB and 64 samples of 4 KiB between; and all of
/// `config.json` and `genai_config.json`. A change elsewhere in a large file whose size and time were kept goes unnoticed, and a
/// model that is copied without its times has another fingerprint. Tokenizer and templates are not part of it: what is computed
/// depends on tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub(crate) fn new<'a>(folder: &Path, files: impl Iterator<Item = &'a MappedFile>) -> Fingerprint {
        let mut hash = Sha256::new();
        for file in files {
            let since = file.modified().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
            add(&mut hash, file_name(file.path()).as_bytes());
            add(&mut hash, &since.as_nanos().to_le_bytes());
            hash.update((file.bytes().len() as u64).to_le_bytes());
            parts(file.bytes().len()).for_each(|part| hash.update(&file.bytes()[part]));
        }
        for name in [CONFIG, GENAI_CONFIG] {
            // The folder was read before: what is not there now, or not readable, is as if it were empty.
            add(&mut hash, &read_small(&folder.join(name)).ok().flatten().unwrap_or_default());
        }
        Fingerprint(hash.finalize().into())
    }
}

/// Adds bytes and how many they are, so that the next ones are not taken for more of them.
fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

/// The parts of a file of `bytes` bytes that are hashed.
fn parts(bytes: usize) -> impl Iterator<Item = Range<usize>> {
    let whole = bytes <= WHOLE_BYTES;
    let (start, end) = if whole { (bytes, bytes) } else { (START_BYTES, bytes - END_BYTES) };
    let between = end - start;
    let samples = (0..if whole { 0 } else { SAMPLES }).map(move |sample| {
        let at = start + (between - SAMPLE_BYTES.min(between)) / (SAMPLES - 1) * sample;
        at..(at + SAMPLE_BYTES).min(end)
    });
    std::iter::once(0..start).chain(samples).chain(std::iter::once(end..bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::path::PathBuf;
    use std::time::Duration;

    const LARGE: usize = 3 << 20;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Folder {
            let folder = Folder(tempfile::tempdir().unwrap());
            folder.write("model.onnx", &[7; 1000]);
            folder.write("model.onnx.data", &vec![3; LARGE]);
            folder.write(CONFIG, b"{}");
            folder
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a file whose time is always the same.
        fn write(&self, name: &str, content: &[u8]) {
            fs::write(self.path(name), content).unwrap();
            File::options().write(true).open(self.path(name)).unwrap().set_modified(UNIX_EPOCH + Duration::from_secs(9)).unwrap();
        }

        fn fingerprint(&self) -> Fingerprint {
            let files = ["model.onnx", "model.onnx.data"].map(|name| MappedFile::open(&self.path(name)).unwrap());
            Fingerprint::new(self.0.path(), files.iter().map(|file| &**file))
        }
    }

    #[test]
    fn what_makes_another_model_makes_another_fingerprint() {
        let folder = Folder::new();
        let first = folder.fingerprint();
        assert_eq!(folder.fingerprint(), first);
        assert_eq!(Folder::new().fingerprint(), first, "the place does not matter");
        let changed = |at: usize| {
            let mut weights = vec![3; LARGE];
            weights[at] ^= 1;
            weights
        };
        struct Case<'a>(&'a str, Vec<u8>);
        for Case(name, content) in [
            Case("model.onnx", vec![8; 1000]),
            Case("model.onnx", vec![7; 999]),
            Case("model.onnx.data", vec![3; LARGE - 1]),
            Case("model.onnx.data", changed(0)),
            Case("model.onnx.data", changed(START_BYTES)),
            Case("model.onnx.data", changed(LARGE - 1)),
            Case(CONFIG, b"{ }".to_vec()),
            Case(GENAI_CONFIG, b"{}".to_vec()),
        ] {
            let folder = Folder::new();
            folder.write(name, &content);
            assert_ne!(folder.fingerprint(), first, "{name}");
        }
        File::options().write(true).open(folder.path("model.onnx")).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert_ne!(folder.fingerprint(), first, "the time of the last change");
    }

    #[test]
    fn the_parts_are_in_order_inside_the_file_and_few() {
        for bytes in [0, 1, WHOLE_BYTES, WHOLE_BYTES + 1, LARGE, 5_000_000_000] {
            let parts: Vec<Range<usize>> = parts(bytes).collect();
            assert!(parts.windows(2).all(|pair| pair[0].start <= pair[1].start), "{bytes}");
            assert!(parts.iter().all(|part| part.start <= part.end && part.end <= bytes), "{bytes}");
            let read: usize = parts.iter().map(Range::len).sum();
            assert!(if bytes <= WHOLE_BYTES { read == bytes } else { read <= 600 << 10 }, "{read} of {bytes}");
        }
    }
}
