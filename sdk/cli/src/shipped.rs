//! The model that ships in the command itself, for a binary that was copied to a place without the model's folder: it is unpacked
//! once, into the user's cache.

use crate::failure::Failure;
use etcetera::BaseStrategy;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_bytes!(concat!("../../../models/goldcrest/", $name)))),*]
    };
}

/// The files of the model, all that it is used with.
static FILES: &[(&str, &[u8])] = shipped![
    "bank.ngrams",
    "bank.txt",
    "bank.vectors",
    "config.json",
    "conformance.json",
    "genai_config.json",
    "generation_config.json",
    "kinglet.json",
    "model.onnx",
    "model.onnx.data",
    "rank.ngrams",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
];

/// The folder of the shipped model in the user's cache, unpacked if this very model is not there yet.
///
/// # Errors
/// A sentence where the folder cannot be written.
pub(crate) fn unpacked() -> Result<PathBuf, Failure> {
    let caches = etcetera::choose_base_strategy().map(|base| base.cache_dir());
    let caches = caches.map_err(|_| Failure::failed("no home folder is known to unpack the shipped model in; set HOME"))?;
    let folder = caches.join("kinglet").join(format!("goldcrest-{:016x}", fingerprint()));
    unpack(&folder).map_err(|error| {
        Failure::failed(format!(
            "the shipped model cannot be unpacked in `{}` ({error}); make room there, or name a model with --model",
            folder.display()
        ))
    })?;
    Ok(folder)
}

/// Makes the folder whole: written beside and renamed, so that one that is there is complete unless files were removed from it.
fn unpack(folder: &Path) -> io::Result<()> {
    let is_there =
        |(name, bytes): &(&str, &[u8])| fs::metadata(folder.join(name)).is_ok_and(|file| file.len() == bytes.len() as u64);
    if FILES.iter().all(is_there) {
        return Ok(());
    }
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent)?;
    let beside = tempfile::Builder::new().prefix(".goldcrest-").tempdir_in(parent)?;
    for (name, bytes) in FILES {
        fs::write(beside.path().join(name), bytes)?;
    }
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    match fs::rename(beside.path(), folder) {
        // Another process was faster.
        Err(_) if FILES.iter().all(is_there) => Ok(()),
        renamed => renamed,
    }
}

/// FNV-1a of 64 bits over all files: the folder of one model is never taken for another's.
fn fingerprint() -> u64 {
    let bytes = FILES.iter().flat_map(|(_, bytes)| bytes.iter());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_whole_whatever_was_there() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("deep/goldcrest");
        unpack(&folder).unwrap();
        let whole = || FILES.iter().all(|(name, bytes)| fs::read(folder.join(name)).is_ok_and(|read| read == *bytes));
        assert!(whole());
        fs::write(folder.join("model.onnx"), b"half").unwrap();
        fs::remove_file(folder.join("bank.txt")).unwrap();
        unpack(&folder).unwrap();
        assert!(whole());
        assert_eq!(fs::read_dir(root.path().join("deep")).unwrap().count(), 1, "nothing is left beside it");
    }

    #[test]
    fn a_place_that_cannot_be_written_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), b"").unwrap();
        assert!(unpack(&root.path().join("file/goldcrest")).is_err());
    }
}
