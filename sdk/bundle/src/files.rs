//! Files and folders on the way to a model: opening them, and telling what is not what it seems.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use kinglet_guard::{Kind, ReadError};

use crate::error::FileError;

/// The first bytes of a Git LFS pointer file (Git LFS specification, version 1).
const LFS_POINTER: &[u8] = b"version https://git-lfs";
/// A pointer file is smaller than this (Git LFS specification, version 1).
const LFS_POINTER_LIMIT_BYTES: usize = 1024;

/// The content of a configuration file, `None` where there is no such file.
pub(crate) fn read_small(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    let content = match kinglet_guard::read(path, Kind::Configuration) {
        Err(ReadError::Missing { .. }) => return Ok(None),
        content => content?,
    };
    if content.is_empty() {
        return Err(FileError::Empty { path: path.into() });
    }
    if is_lfs_pointer(&content) {
        return Err(FileError::GitLfsPointer { path: path.into() });
    }
    Ok(Some(content))
}

/// Checks that a file can be read and is no Git LFS pointer.
pub(crate) fn check_content(path: &Path) -> Result<(), FileError> {
    let start = read_start(path, open_regular(path)?, LFS_POINTER_LIMIT_BYTES as u64)?;
    if is_lfs_pointer(&start) { Err(FileError::GitLfsPointer { path: path.into() }) } else { Ok(()) }
}

fn read_start(path: &Path, file: File, limit_bytes: u64) -> Result<Vec<u8>, FileError> {
    let mut content = Vec::new();
    let read = file.take(limit_bytes).read_to_end(&mut content);
    read.map_err(|source| FileError::Unreadable { path: path.into(), source })?;
    Ok(content)
}

/// Opens a regular file, or a link to one.
pub(crate) fn open_regular(path: &Path) -> Result<File, FileError> {
    Ok(kinglet_guard::open_regular(path)?)
}

/// Whether a file's content is a Git LFS pointer instead of what it stands for.
pub(crate) fn is_lfs_pointer(content: &[u8]) -> bool {
    content.len() < LFS_POINTER_LIMIT_BYTES && content.starts_with(LFS_POINTER)
}

/// The last part of a path; empty where it is no text.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// The regular files in a folder (or links to such), sorted by path.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: folder.into(), source };
    let mut files = Vec::new();
    for entry in folder.read_dir().map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_told_from_what_only_begins_like_one() {
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n";
        assert!(is_lfs_pointer(pointer.as_bytes()));
        assert!(!is_lfs_pointer(b"version 2"));
        assert!(!is_lfs_pointer(&[pointer.as_bytes(), &[b' '; 1024]].concat()));
    }

    #[test]
    fn a_small_file_is_read_missing_or_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("full"), "{}").unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("pointer"), LFS_POINTER).unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        File::create(path("large")).unwrap().set_len(Kind::Configuration.limit_bytes() + 1).unwrap();
        assert_eq!(read_small(&path("full")).unwrap().unwrap(), b"{}");
        assert!(read_small(&path("absent")).unwrap().is_none());
        assert!(matches!(read_small(&path("empty")), Err(FileError::Empty { .. })));
        assert!(matches!(read_small(&path("pointer")), Err(FileError::GitLfsPointer { .. })));
        assert!(matches!(read_small(&path("folder")), Err(FileError::NotAFile { .. })));
        assert!(matches!(read_small(&path("large")), Err(FileError::Unfit(ReadError::TooLarge { .. }))));
        assert!(matches!(check_content(&path("pointer")), Err(FileError::GitLfsPointer { .. })));
        assert!(check_content(&path("full")).is_ok());
    }
}
