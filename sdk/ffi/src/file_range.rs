//! Files of a model as ranges of open ones, by the numbers that the system knows open files by. The one place of this crate with
//! `unsafe`.

use crate::KingletError;

/// A file of a model that is a range of an open file: an asset of an app's package, or what another app or the system handed over.
#[derive(Clone, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FileRange {
    /// Its name in the model's folder, such as `model.onnx.data`.
    pub name: String,
    /// The descriptor of the open file, which must be a regular one that nobody writes to or cuts short while the model is open. It
    /// stays the caller's, who may close it once the model is opened.
    pub descriptor: i32,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

impl TryFrom<FileRange> for kinglet::FileRange {
    type Error = KingletError;

    fn try_from(given: FileRange) -> Result<kinglet::FileRange, KingletError> {
        let FileRange { name, descriptor, offset, bytes } = given;
        let file = duplicate(descriptor).map_err(|why| {
            KingletError::InvalidRequest(format!(
                "the descriptor {descriptor} of `{name}` cannot be used ({why}); give that of an open file"
            ))
        })?;
        Ok(kinglet::FileRange { name, file: file.into(), offset, bytes })
    }
}

/// Another descriptor of the same open file, which is Kinglet's own.
#[cfg(unix)]
#[allow(unsafe_code)]
fn duplicate(descriptor: i32) -> std::io::Result<std::fs::File> {
    use std::os::fd::BorrowedFd;
    if descriptor < 0 {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: the number is not -1, and is used for this one call alone, during which the caller keeps the file open, as the record's
    // documentation asks. A number that no file is open under is refused by the system, and memory is not at stake.
    let borrowed = unsafe { BorrowedFd::borrow_raw(descriptor) };
    Ok(borrowed.try_clone_to_owned()?.into())
}

#[cfg(not(unix))]
fn duplicate(_: i32) -> std::io::Result<std::fs::File> {
    Err(std::io::ErrorKind::Unsupported.into())
}
