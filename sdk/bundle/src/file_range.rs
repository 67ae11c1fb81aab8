//! Files with weights that lie elsewhere: ranges of open files, such as the assets of an application's package.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::FileError;
use crate::location::inside;

/// A file of a model that is a range of an open file instead of one in the model's folder. The graph and the files that it names
/// may be given so; configuration and tokenizer lie in the folder.
///
/// The range must be stored as it is, not compressed. The open file is held for as long as the model is, so its name may vanish.
#[derive(Clone, Debug)]
pub struct FileRange {
    /// Its name in the model's folder, as the configuration or the graph has it, such as `model.onnx.data`. It takes the place of a
    /// file there with that name.
    pub name: String,
    /// The open file.
    pub file: Arc<File>,
    /// Where the range begins, in bytes.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The file ranges that are given for one model, by path.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileRanges(Vec<(PathBuf, FileRange)>);

impl FileRanges {
    /// # Errors
    /// [`FileError::OutsideFolder`] for a name that leaves the folder.
    pub(crate) fn new(folder: &Path, files: &[FileRange]) -> Result<FileRanges, FileError> {
        let at = |given: &FileRange| Ok((inside(folder, &given.name)?, given.clone()));
        files.iter().map(at).collect::<Result<_, FileError>>().map(FileRanges)
    }

    /// The range that is given for `path`.
    pub(crate) fn get(&self, path: &Path) -> Option<&FileRange> {
        self.0.iter().find(|(at, _)| at == path).map(|(_, given)| given)
    }

    /// Paths directly in `folder` for which a range is given.
    pub(crate) fn in_folder(&self, folder: &Path) -> impl Iterator<Item = &PathBuf> {
        self.0.iter().map(|(at, _)| at).filter(move |at| at.parent() == Some(folder))
    }
}
