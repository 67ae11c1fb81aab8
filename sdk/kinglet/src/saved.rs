//! Common parts of everything that the facade saves in a folder.

use kinglet_bundle::Fingerprint;
use sha2::{Digest, Sha256};
use std::fmt::{Display, Write as _};
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// Prefix and suffix of the names of temporary files that are still being written.
pub(crate) const UNFINISHED: (&str, &str) = (".kinglet-", ".tmp");

/// Hash that tells the files of one model, as it is opened, from those of another.
pub(crate) type ModelKey = [u8; 32];

/// The key of a model and of further facts that a file depends on; the version of this crate is always one.
pub(crate) fn key<T: AsRef<[u8]>>(model: &Fingerprint, facts: impl IntoIterator<Item = T>) -> ModelKey {
    let mut hash = Sha256::new_with_prefix(model.0);
    let mut add = |fact: &[u8]| {
        hash.update((fact.len() as u64).to_le_bytes());
        hash.update(fact);
    };
    add(env!("CARGO_PKG_VERSION").as_bytes());
    facts.into_iter().for_each(|fact| add(fact.as_ref()));
    hash.finalize().into()
}

/// Bytes as they stand in the names of files.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Removes a file, which may be gone already; `shown` is what it is called in the log where that fails.
pub(crate) fn remove(path: &Path, shown: impl Display) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            log::warn!("{shown} cannot be removed ({error}); check the permissions of its folder");
        }
        _ => {}
    }
}
