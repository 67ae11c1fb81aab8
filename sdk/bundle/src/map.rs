//! Mapped files: the one place of this crate with `unsafe`.
//!
//! A map is of a whole file, or of a range of a file that the caller has opened.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use memmap2::{Mmap, MmapOptions};

use crate::error::FileError;
use crate::file_range::FileRange;
use crate::files::{is_lfs_pointer, open_regular};

/// A file, or a range of one, mapped read-only and held open.
///
/// # What the map rests on
///
/// A map shows the file, not a copy of it. Kinglet never writes to a file that it maps, but it cannot stop others:
///
/// - **Replaced or deleted** (a download tool writes beside and renames; a package is removed): the map keeps showing
///   the old file, for as long as it lives. Nothing happens.
/// - **Overwritten in place**: the numbers change under the reader. Rust's model calls this undefined; in fact the
///   readers of this crate check every length and offset as they read it and copy a string before they check it, and
///   kernels take the rest as plain numbers, where another bit pattern is another number. Wrong results, no wild
///   access.
/// - **Truncated in place**: on Unix, touching a page behind the end raises `SIGBUS`, which ends the process. No
///   library can take that back without a signal handler for the whole process, which is the app's to install, not
///   ours. Every offset is therefore checked against the length at open, and [`MappedFile::check_length`] asks the
///   open file for its length again, so that a file which has shrunk since becomes an error before the next step;
///   what is left is the time between that check and the access. Windows refuses to truncate a mapped file.
///
/// An installer of models should write beside and rename, as every download tool in use does.
pub(crate) struct MappedFile {
    path: PathBuf,
    file: Arc<File>,
    /// Where the map begins in the file.
    offset: u64,
    map: Mmap,
}

impl MappedFile {
    /// Maps the regular file at `path`, which may be a link to one.
    pub(crate) fn open(path: &Path) -> Result<Arc<MappedFile>, FileError> {
        let file = open_regular(path)?;
        let length = file.metadata().map_err(|source| FileError::Unreadable { path: path.into(), source })?.len();
        MappedFile::new(path, Arc::new(file), 0, length)
    }

    /// Maps the range that is given for `path`.
    pub(crate) fn of_range(path: &Path, given: &FileRange) -> Result<Arc<MappedFile>, FileError> {
        MappedFile::new(path, given.file.clone(), given.offset, given.bytes)
    }

    fn new(path: &Path, file: Arc<File>, offset: u64, bytes: u64) -> Result<Arc<MappedFile>, FileError> {
        let unreadable = |source| FileError::Unreadable { path: path.into(), source };
        let about = file.metadata().map_err(unreadable)?;
        // The descriptor that the caller gave may be that of a pipe or a device.
        if !about.is_file() {
            return Err(FileError::NotAFile { path: path.into() });
        }
        let held = about.len();
        if offset.checked_add(bytes).is_none_or(|end| end > held) {
            return Err(FileError::RangeOutside { path: path.into(), offset, bytes, file_bytes: held });
        }
        let map = map_read_only(&file, offset, bytes).map_err(unreadable)?;
        if map.is_empty() {
            return Err(FileError::Empty { path: path.into() });
        }
        if is_lfs_pointer(&map) {
            return Err(FileError::GitLfsPointer { path: path.into() });
        }
        Ok(Arc::new(MappedFile { path: path.into(), file, offset, map }))
    }

    /// The content.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The path that it was opened by.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Gives the memory behind a range back to the system, which reads it from the file again when it is next needed.
    pub(crate) fn release(&self, range: std::ops::Range<usize>) {
        release(&self.map, range);
    }

    /// When the file was last written to, where the system tells.
    pub(crate) fn modified(&self) -> Option<SystemTime> {
        self.file.metadata().and_then(|metadata| metadata.modified()).ok()
    }

    /// Checks that the file has not become shorter than the map.
    pub(crate) fn check_length(&self) -> Result<(), FileError> {
        let metadata = self.file.metadata().map_err(|source| FileError::Unreadable { path: self.path.clone(), source })?;
        let (mapped_bytes, file_bytes) = (self.offset + self.map.len() as u64, metadata.len());
        if file_bytes < mapped_bytes {
            return Err(FileError::Shrunk { path: self.path.clone(), mapped_bytes, file_bytes });
        }
        Ok(())
    }
}

#[cfg(unix)]
#[allow(unsafe_code)]
fn release(map: &Mmap, range: std::ops::Range<usize>) {
    // SAFETY: the map is of a file and read-only, so that nothing is lost with its pages: the same bytes come back from the
    // file. A refusal changes nothing.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, range.start, range.len()) };
}

#[cfg(not(unix))]
fn release(_: &Mmap, _: std::ops::Range<usize>) {}

#[allow(unsafe_code)]
fn map_read_only(file: &File, offset: u64, bytes: u64) -> io::Result<Mmap> {
    let length = usize::try_from(bytes).map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;

    // SAFETY: the map is read-only and lives in a `MappedFile` beside the open file. Its memory can change or vanish only if the
    // file is written to or truncated in place; the documentation of `MappedFile` says what happens then and what is done about it.
    // Kinglet does neither: it opens files for reading only, and writes to none that it is given.
    unsafe { MmapOptions::new().offset(offset).len(length).map(file) }
}
