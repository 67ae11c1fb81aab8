//! Where the record of one model on one machine is kept, and the marks of candidates that are being tried.
//!
//! ```text
//! MODEL-MACHINE.probe.json               the record
//! MODEL-MACHINE.ort-xnnpack.trying       a candidate that is being tried, or that ended its process
//! ```

use super::record::{Record, Subject};
use super::{Candidate, machine};
use crate::Error;
use crate::saved::{self, UNFINISHED, hex};
use kinglet_bundle::Bundle;
use kinglet_guard::{Kind, ReadError, open_regular};
use sha2::{Digest, Sha256};
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// File name suffixes of records and marks.
const ENDING: &str = ".probe.json";
const MARK: &str = ".trying";
/// Bytes of a hash that are part of a name.
const NAMED_BYTES: usize = 8;

/// The place of one model's record on this machine.
#[derive(Debug)]
pub(super) struct Place {
    folder: PathBuf,
    /// Prefix of the names of its files.
    stem: String,
    pub(super) subject: Subject,
}

impl Place {
    /// Reads what tells this model and machine from others. No folder is touched.
    pub(super) fn new(folder: &Path, bundle: &Bundle, exact: bool) -> Place {
        let fingerprint = bundle.fingerprint().0;
        let machine = machine::machine();
        let here = Sha256::new_with_prefix([u8::from(exact)]).chain_update(&machine).finalize();
        let stem = format!("{}-{}", hex(&fingerprint[..NAMED_BYTES]), hex(&here[..NAMED_BYTES]));
        Place { folder: folder.into(), stem, subject: Subject { model: hex(&fingerprint), machine, exact } }
    }

    /// The file of the record.
    pub(super) fn file(&self) -> PathBuf {
        self.folder.join(format!("{}{ENDING}", self.stem))
    }

    /// The record, whatever it is about; `None`, with a warning, where it is damaged, and where there is none.
    pub(super) fn read(&self) -> Option<Record> {
        let file = self.file();
        match read(&file) {
            Ok(record) => Some(record),
            Err(Unread::Absent) => None,
            Err(Unread::Damaged(reason)) => {
                log::warn!("the record `{}` is not used: {reason}; probe the model again to replace it", file.display());
                None
            }
        }
    }

    /// Makes the folder, where there is none.
    ///
    /// # Errors
    /// [`Error::Storage`] where that is not possible.
    pub(super) fn make(&self) -> Result<(), Error> {
        fs::create_dir_all(&self.folder).map_err(|error| self.refuses(&error))
    }

    /// Writes the record, which appears whole or not at all; marks of candidates that it speaks of go.
    ///
    /// # Errors
    /// [`Error::Storage`] where the folder cannot be written to.
    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        self.make()?;
        let written = || -> io::Result<()> {
            let mut unfinished = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(&self.folder)?;
            serde_json::to_writer_pretty(&mut unfinished, record)?;
            unfinished.write_all(b"\n")?;
            unfinished.as_file().sync_all()?;
            unfinished.persist(self.file())?;
            Ok(())
        };
        written().map_err(|error| self.refuses(&error))?;
        for row in record.candidates.iter().filter(|row| self.crashed(row.candidate).is_some()) {
            let mark = self.mark_of(row.candidate);
            saved::remove(&mark, format_args!("`{}`", mark.display()));
        }
        Ok(())
    }

    /// Marks a candidate as being tried, on the disk and not only in the system's cache: what it ends may be the whole device.
    ///
    /// # Errors
    /// [`Error::Storage`] where the folder cannot be written to.
    pub(super) fn mark(&self, candidate: Candidate) -> Result<Mark, Error> {
        self.make()?;
        let path = self.mark_of(candidate);
        let set = || -> io::Result<Mark> {
            // The file is locked before it gets its name, so that no process takes it for a stale mark.
            let unfinished = tempfile::Builder::new().prefix(UNFINISHED.0).suffix(UNFINISHED.1).tempfile_in(&self.folder)?;
            match unfinished.as_file().try_lock() {
                Err(TryLockError::Error(error)) if error.kind() != ErrorKind::Unsupported => return Err(error),
                _ => {}
            }
            unfinished.as_file().sync_all()?;
            let file = unfinished.persist(&path)?;
            // The name too; where a file system takes no such wish, it keeps names in its own time.
            let _ = File::open(&self.folder).and_then(|folder| folder.sync_all());
            Ok(Mark { path: path.clone(), _locked: file })
        };
        set().map_err(|error| self.refuses(&error))
    }

    /// When a candidate began to be tried that was being tried when its process ended: there is its mark, and nobody holds it.
    pub(super) fn crashed(&self, candidate: Candidate) -> Option<SystemTime> {
        let mark = open_regular(&self.mark_of(candidate)).ok()?;
        let held = matches!(mark.try_lock(), Err(TryLockError::WouldBlock));
        (!held).then(|| mark.metadata().and_then(|metadata| metadata.modified()).unwrap_or(SystemTime::UNIX_EPOCH))
    }

    fn mark_of(&self, candidate: Candidate) -> PathBuf {
        self.folder.join(format!("{}.{}{MARK}", self.stem, candidate.to_string().replace('/', "-")))
    }

    fn refuses(&self, error: &io::Error) -> Error {
        let folder = self.folder.display();
        let message =
            format!("the records of probes in `{folder}` cannot be written ({error}); make room there or name another folder");
        Error::Storage(message.into())
    }
}

/// A candidate is being tried for as long as this is there; it goes with [`Mark::clear`] and not otherwise.
#[derive(Debug)]
pub(super) struct Mark {
    path: PathBuf,
    _locked: File,
}

impl Mark {
    /// The try came to its end.
    pub(super) fn clear(self) {
        saved::remove(&self.path, format_args!("`{}`", self.path.display()));
    }
}

/// Why there is no record.
enum Unread {
    Absent,
    Damaged(String),
}

fn read(file: &Path) -> Result<Record, Unread> {
    let damaged = |error: &dyn std::fmt::Display| Unread::Damaged(error.to_string());
    let content = match kinglet_guard::read(file, Kind::Record) {
        Ok(content) => content,
        Err(ReadError::Missing { .. }) => return Err(Unread::Absent),
        Err(error) => return Err(damaged(&error)),
    };
    let record: Record = serde_json::from_slice(&content).map_err(|error| damaged(&format!("it holds no record ({error})")))?;
    record.damage().map_or(Ok(record), |reason| Err(Unread::Damaged(reason)))
}

#[cfg(test)]
#[path = "place_tests.rs"]
mod tests;
