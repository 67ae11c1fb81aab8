//! The folder of the prefix cache: names, atomic writes, and the files that go when there is no room.

use super::file::{self, Unread};
use crate::saved::{self, ModelKey, UNFINISHED, hex};
use kinglet_guard::open_regular;
use sha2::{Digest, Sha256};
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, DirEntry};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// File name suffix.
const ENDING: &str = ".kvprefix";
/// An unfinished file this old has nobody who writes to it.
const ABANDONED: Duration = Duration::from_secs(3600);
/// Bytes of a model's key and of a hash over tokens that are part of a name.
const NAMED_MODEL_BYTES: usize = 8;
const NAMED_HASH_BYTES: usize = 16;

/// A folder with saved prefixes of any number of models. Processes may share it: files appear whole under their names or not at
/// all, and one that is read may be removed. It touches no file but its own, which it knows by their names:
/// `MODEL-TOKENS-HASH.kvprefix`, with a part of the model's key, the number of tokens, and a hash over both.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    max_bytes: u64,
    model: ModelKey,
}

/// A file of the cache.
struct Kept {
    path: PathBuf,
    bytes: u64,
    /// When it was last written or restored.
    used: SystemTime,
}

impl Folder {
    /// The folder at `path`, which need not exist, for the prefixes of one model. All files together take at most `max_bytes`.
    pub(super) fn new(path: PathBuf, max_bytes: u64, model: ModelKey) -> Folder {
        Folder { path, max_bytes, model }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The size of the file for exactly `tokens`; `None` where there is none.
    pub(super) fn saved_bytes(&self, tokens: &[u32]) -> Option<u64> {
        fs::metadata(self.path.join(self.name(tokens))).ok().filter(|metadata| metadata.is_file()).map(|metadata| metadata.len())
    }

    /// Restores the longest saved prefix of `tokens` that has more than `known` tokens. `restore` is given the tokens that a
    /// file holds and reads what the engine saved. A file that is damaged is removed, and the next one is tried.
    pub(super) fn restore<T>(
        &self,
        tokens: &[u32],
        known: usize,
        mut restore: impl FnMut(&[u32], &mut dyn Read) -> Result<T, Unread>,
    ) -> Option<T> {
        for length in self.lengths(tokens, known) {
            let prefix = &tokens[..length];
            let path = self.path.join(self.name(prefix));
            match self.read(&path, prefix, |source| restore(prefix, source)) {
                Ok(restored) => return Some(restored),
                Err(Unread::Damaged(reason)) => {
                    log::warn!("the saved prefix `{}` is removed and computed anew: {reason}", path.display());
                    remove(&path);
                }
                Err(Unread::NotNow(reason)) => log::info!("the saved prefix `{}` is not used: {reason}", path.display()),
            }
        }
        None
    }

    fn read<T>(
        &self,
        path: &Path,
        tokens: &[u32],
        restore: impl FnOnce(&mut dyn Read) -> Result<T, Unread>,
    ) -> Result<T, Unread> {
        let mut source = open_regular(path).map_err(|error| Unread::NotNow(error.to_string()))?;
        let bytes = source.metadata()?.len();
        if bytes > self.max_bytes {
            return Err(Unread::NotNow(format!("it has {bytes} bytes, and all files together may have {}", self.max_bytes)));
        }
        let restored = file::read(&self.model, tokens, bytes, &mut source, restore)?;
        // Where its time cannot be set it only goes earlier than it should.
        let _ = source.set_modified(SystemTime::now());
        Ok(restored)
    }

    /// Saves `tokens`, with what `save` writes, and gives the size of the file. Others go where there would be too much.
    ///
    /// # Errors
    /// Those of the system; [`io::ErrorKind::FileTooLarge`] for a prefix that is larger than the whole cache may be. Nothing but
    /// the room that was made is changed then.
    pub(super) fn save(&self, tokens: &[u32], save: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
        create(&self.path)?;
        let (start, end) = UNFINISHED;
        let mut unfinished = tempfile::Builder::new().prefix(start).suffix(end).tempfile_in(&self.path)?;
        let bytes = file::write(&self.model, tokens, self.max_bytes, unfinished.as_file_mut(), save)?;
        unfinished.as_file().sync_all()?;
        let path = self.path.join(self.name(tokens));
        self.make_room(bytes, &path);
        unfinished.persist(&path).map_err(|error| error.error)?;
        // Another process may have written at the same time.
        self.make_room(bytes, &path);
        Ok(bytes)
    }

    /// Removes what was not used for longest until all files but `own` take no more than is left beside `bytes`.
    fn make_room(&self, bytes: u64, own: &Path) {
        let mut kept = vec![];
        for entry in self.entries() {
            let (Some(name), Ok(metadata)) = (entry.file_name().to_str().map(str::to_owned), entry.metadata()) else { continue };
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            if name.ends_with(ENDING) && parse(&name).is_some() {
                kept.push(Kept { path: entry.path(), bytes: metadata.len(), used });
            } else if name.starts_with(UNFINISHED.0) && name.ends_with(UNFINISHED.1) {
                // A time in the future counts as new.
                if used.elapsed().is_ok_and(|age| age > ABANDONED) {
                    remove(&entry.path());
                }
            }
        }
        kept.retain(|file| file.path != own);
        kept.sort_by_key(|file| file.used);
        let mut total = bytes + kept.iter().map(|file| file.bytes).sum::<u64>();
        for file in kept {
            if total <= self.max_bytes {
                break;
            }
            remove(&file.path);
            total -= file.bytes;
        }
    }

    /// Lengths of the saved prefixes of `tokens`, the longest first.
    fn lengths(&self, tokens: &[u32], known: usize) -> Vec<usize> {
        let model = hex(&self.model[..NAMED_MODEL_BYTES]);
        let mut saved: Vec<(usize, String)> = vec![];
        for entry in self.entries() {
            let name = entry.file_name();
            let Some((of, length, hash)) = name.to_str().and_then(parse) else { continue };
            if of == model && length > known && length <= tokens.len() {
                saved.push((length, hash.to_owned()));
            }
        }
        saved.sort();
        let (mut hash, mut hashed) = (self.hash(), 0);
        let mut lengths = vec![];
        for (length, named) in saved {
            add(&mut hash, &tokens[hashed..length]);
            hashed = length;
            if end(hash.clone()) == named {
                lengths.push(length);
            }
        }
        lengths.reverse();
        lengths
    }

    fn entries(&self) -> impl Iterator<Item = DirEntry> {
        fs::read_dir(&self.path).into_iter().flatten().flatten()
    }

    fn name(&self, tokens: &[u32]) -> String {
        let mut hash = self.hash();
        add(&mut hash, tokens);
        format!("{}-{}-{}{ENDING}", hex(&self.model[..NAMED_MODEL_BYTES]), tokens.len(), end(hash))
    }

    fn hash(&self) -> Sha256 {
        Sha256::new_with_prefix(self.model)
    }
}

/// The model, the number of tokens and the hash of a name.
fn parse(name: &str) -> Option<(&str, usize, &str)> {
    let mut parts = name.strip_suffix(ENDING)?.split('-');
    let parsed = (parts.next()?, parts.next()?.parse().ok()?, parts.next()?);
    let is_hex = |text: &str, bytes: usize| text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let ours = is_hex(parsed.0, NAMED_MODEL_BYTES) && is_hex(parsed.2, NAMED_HASH_BYTES) && parts.next().is_none();
    ours.then_some(parsed)
}

fn add(hash: &mut Sha256, tokens: &[u32]) {
    tokens.iter().for_each(|token| hash.update(token.to_le_bytes()));
}

fn end(hash: Sha256) -> String {
    hex(&hash.finalize()[..NAMED_HASH_BYTES])
}

/// Makes the folder, where there is none, for this user alone: prompts can be read out of its files.
fn create(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn remove(path: &Path) {
    let name = path.file_name().unwrap_or(OsStr::new("?")).to_string_lossy();
    saved::remove(path, format_args!("the saved prefix `{name}`"));
}

#[cfg(test)]
#[path = "folder_tests.rs"]
mod tests;
