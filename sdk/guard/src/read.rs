//! Reading a file whole, and opening one, without blocking on a pipe and without filling the memory.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};

use crate::Kind;

/// Why a file was not read. Each message says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The file is not there.
    #[error("`{}` is missing; put it there, or download the model again with all its files", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is something else in its place: a folder, a pipe, a device.
    #[error("`{}` is not a regular file; put the file in its place", path.display())]
    NotAFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system will not let it be read.
    #[error("`{}` cannot be read ({source}); check its permissions and the disk", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file is larger than files of its kind may be.
    #[error("`{}` has {bytes} bytes, and {kind} may have {} at most; put the right file in its place", path.display(), kind.limit_bytes())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The expected kind of file.
        kind: Kind,
        /// Its size, or the least that it can be where the system does not say.
        bytes: u64,
    },
    /// The file is not UTF-8 text.
    #[error("`{}` is not UTF-8 text: byte {offset} belongs to no character; download it again", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The first byte that is wrong, from 0.
        offset: usize,
    },
}

impl ReadError {
    fn of(path: &Path, source: io::Error) -> ReadError {
        match source.kind() {
            ErrorKind::NotFound | ErrorKind::NotADirectory => ReadError::Missing { path: path.into() },
            _ => ReadError::Unreadable { path: path.into(), source },
        }
    }
}

/// Opens a regular file, or a link to one.
///
/// # Errors
/// [`ReadError::Missing`], [`ReadError::NotAFile`] and [`ReadError::Unreadable`].
pub fn open_regular(path: &Path) -> Result<File, ReadError> {
    let failed = |source| ReadError::of(path, source);
    // Asked before it is opened, since opening a pipe would wait for a writer; and again, since another may be there by then.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile { path: path.into() });
    }
    let file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(ReadError::NotAFile { path: path.into() });
    }
    Ok(file)
}

/// The content of a regular file. One that is too large is refused before it is read.
///
/// # Errors
/// As [`open_regular`], and [`ReadError::TooLarge`].
pub fn read(path: &Path, kind: Kind) -> Result<Vec<u8>, ReadError> {
    let file = open_regular(path)?;
    let failed = |source| ReadError::of(path, source);
    let too_large = |bytes| ReadError::TooLarge { path: path.into(), kind, bytes };
    let (bytes, limit) = (file.metadata().map_err(failed)?.len(), kind.limit_bytes());
    if bytes > limit {
        return Err(too_large(bytes));
    }
    let mut content = Vec::new();
    // Below the limit, which fits into an address space.
    content.try_reserve_exact(bytes as usize + 1).map_err(|error| failed(io::Error::new(ErrorKind::OutOfMemory, error)))?;
    // Some files have more than the system says, and all of them may grow.
    file.take(limit + 1).read_to_end(&mut content).map_err(failed)?;
    if content.len() as u64 > limit {
        return Err(too_large(content.len() as u64));
    }
    Ok(content)
}

/// The content of a regular file as UTF-8 text, without a byte order mark.
///
/// # Errors
/// As [`read()`], and [`ReadError::NotText`].
pub fn read_text(path: &Path, kind: Kind) -> Result<String, ReadError> {
    let not_text = |offset| ReadError::NotText { path: path.into(), offset };
    let mut text = String::from_utf8(read(path, kind)?).map_err(|error| not_text(error.utf8_error().valid_up_to()))?;
    if text.starts_with('\u{feff}') {
        text.drain(..'\u{feff}'.len_utf8());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_refused_for_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::write(at("full"), "{}").unwrap();
        std::fs::write(at("empty"), "").unwrap();
        std::fs::write(at("marked"), "\u{feff}a").unwrap();
        std::fs::write(at("latin"), b"ab\xff").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        let read = |name: &str| read_text(&at(name), Kind::Extras);
        assert_eq!(read("full").unwrap(), "{}");
        assert_eq!(read("empty").unwrap(), "");
        assert_eq!(read("marked").unwrap(), "a");
        assert!(matches!(read("latin"), Err(ReadError::NotText { offset: 2, .. })));
        assert!(matches!(read("absent"), Err(ReadError::Missing { .. })));
        assert!(matches!(read("full/below"), Err(ReadError::Missing { .. })));
        assert!(matches!(read("folder"), Err(ReadError::NotAFile { .. })));
    }

    #[test]
    fn no_file_larger_than_its_kind_may_be_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        let file = File::create(&path).unwrap();
        for kind in Kind::ALL {
            file.set_len(kind.limit_bytes() + 1).unwrap();
            let error = read(&path, kind).unwrap_err();
            let named = [kind.to_string(), kind.limit_bytes().to_string(), (kind.limit_bytes() + 1).to_string(), "large".into()];
            assert!(matches!(error, ReadError::TooLarge { .. }), "{error}");
            assert!(named.iter().all(|word| error.to_string().contains(word)), "{error}");
        }
        let limit = Kind::Record.limit_bytes();
        file.set_len(limit).unwrap();
        assert_eq!(read(&path, Kind::Record).unwrap().len() as u64, limit);
    }

    #[cfg(unix)]
    #[test]
    fn pipes_and_devices_are_refused_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/zero", &link).unwrap();
        for path in [&pipe, &link, Path::new("/dev/zero")] {
            assert!(matches!(read(path, Kind::Tokenizer), Err(ReadError::NotAFile { .. })), "{}", path.display());
        }
    }

    /// The system says that such files have no bytes.
    #[cfg(target_os = "linux")]
    #[test]
    fn files_that_do_not_say_how_large_they_are_are_read() {
        assert!(!read(Path::new("/proc/self/status"), Kind::Record).unwrap().is_empty());
    }
}
