//! A model folder of the process's own, in which single files are replaced.

use kinglet_testing::repository;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder that is gone with this.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    /// Empty, in memory where the system has such a place.
    pub(crate) fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self(made.expect("a folder for scratch files"))
    }

    /// With the files of a golden, those below it left out.
    pub(crate) fn of_golden(name: &str) -> Self {
        Self::of(&golden(name))
    }

    /// With the files of a folder, those below it left out.
    pub(crate) fn of(folder: &Path) -> Self {
        let scratch = Self::new();
        for entry in fs::read_dir(folder).expect("the folder is in the repository") {
            let path = entry.expect("a readable folder").path();
            if path.is_file() {
                fs::copy(&path, scratch.path().join(path.file_name().unwrap_or_default())).expect("room for a copy");
            }
        }
        scratch
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path().join(name), content).expect("room for a file");
    }
}

/// A folder of the goldens.
pub(crate) fn golden(name: &str) -> PathBuf {
    repository().join("models/goldens").join(name)
}

/// A file of the goldens.
pub(crate) fn golden_file(name: &str) -> Vec<u8> {
    fs::read(golden(name)).expect("the goldens are in the repository")
}
