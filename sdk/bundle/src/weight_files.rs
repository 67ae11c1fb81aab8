//! The files that hold weights, each mapped once.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::Bytes;
use crate::error::FileError;
use crate::file_range::FileRanges;
use crate::location::inside;
use crate::map::MappedFile;
use crate::onnx::Parts;

/// More files than any export has, and fewer than a process may hold open by default on the systems that we run on.
const LIMIT: usize = 200;

/// A file that holds weights.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
}

impl WeightFile {
    pub(crate) fn of(file: &MappedFile) -> WeightFile {
        WeightFile { path: file.path().into(), bytes: file.bytes().len() as u64 }
    }
}

/// The graph's file, and the parts that it names.
#[derive(Clone)]
pub(crate) struct MappedWeights {
    model: Arc<MappedFile>,
    parts: Vec<(String, Arc<MappedFile>)>,
    given: FileRanges,
}

impl MappedWeights {
    pub(crate) fn open(model: &Path, given: FileRanges) -> Result<MappedWeights, FileError> {
        Ok(MappedWeights { model: map(model, &given)?, parts: Vec::new(), given })
    }

    /// The graph's own bytes.
    pub(crate) fn model(&self) -> Bytes {
        Bytes::of_map(self.model.clone())
    }

    /// All files, the graph's own first.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Arc<MappedFile>> {
        std::iter::once(&self.model).chain(self.parts.iter().map(|(_, file)| file))
    }

    fn folder(&self) -> &Path {
        self.model.path().parent().unwrap_or(Path::new(""))
    }
}

/// The file at `path`, or the range that is given for it.
fn map(path: &Path, given: &FileRanges) -> Result<Arc<MappedFile>, FileError> {
    given.get(path).map_or_else(|| MappedFile::open(path), |given| MappedFile::of_range(path, given))
}

impl Parts for MappedWeights {
    fn part(&mut self, location: &str) -> Result<Bytes, FileError> {
        if let Some((_, file)) = self.parts.iter().find(|(known, _)| known == location) {
            return Ok(Bytes::of_map(file.clone()));
        }
        if self.parts.len() == LIMIT {
            return Err(FileError::TooManyParts { limit: LIMIT });
        }
        let file = map(&inside(self.folder(), location)?, &self.given)?;
        self.parts.push((location.into(), file.clone()));
        Ok(Bytes::of_map(file))
    }
}
