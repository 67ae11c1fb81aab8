//! Running the command and looking at what it did.

use serde_json::Value;
use std::path::{Path, PathBuf};

/// Exit code and output of the command.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs `kinglet` in the repository's root, with nothing on stdin.
pub(crate) fn kinglet(args: &[&str]) -> Ran {
    kinglet_with(args, "")
}

/// Runs `kinglet` with `stdin`. There is no ONNX Runtime.
pub(crate) fn kinglet_with(args: &[&str], stdin: impl Into<Vec<u8>>) -> Ran {
    kinglet_beside(Path::new(NO_LIBRARY), args, stdin)
}

/// Where there is no library of ONNX Runtime.
pub(crate) const NO_LIBRARY: &str = "/no/such/libonnxruntime.so";

/// Where there are no records of probes.
const NO_CACHE: &str = "/no/such/cache";

/// Runs `kinglet` where ONNX Runtime's library is `library`.
pub(crate) fn kinglet_beside(library: &Path, args: &[&str], stdin: impl Into<Vec<u8>>) -> Ran {
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
    for variable in ["KINGLET_MODELS", "ONLY", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.env("ORT_DYLIB_PATH", library).env("XDG_CACHE_HOME", NO_CACHE);
    let output = command.current_dir(repository()).args(args).write_stdin(stdin).output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The library, where the command is built with the engine that needs it.
pub(crate) fn library() -> Option<PathBuf> {
    if cfg!(feature = "ort") { kinglet_testing::onnxruntime() } else { None }
}

/// The root of the repository.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// The smallest golden model that has a chat template.
pub(crate) const TINY: &str = "models/goldens/qwen2/genai";

/// A copy of the tiny model that may be damaged.
pub(crate) fn copy() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(repository().join(TINY)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    folder
}

impl Ran {
    /// Asserts that the command ended well, and wrote no warning.
    #[track_caller]
    pub(crate) fn done(self) -> Ran {
        assert_eq!((self.code, self.err.as_str()), (0, ""), "{self:?}");
        self
    }

    /// Asserts that it was refused or failed with one sentence that holds each of `words`, and wrote no data.
    #[track_caller]
    pub(crate) fn refused(self, words: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{self:?}");
        self.says(words);
        assert_eq!(self.err.trim_end().lines().count(), 1, "more than one line: {}", self.err);
    }

    /// Asserts that it was called wrongly, and says so with each of `words`.
    #[track_caller]
    pub(crate) fn misused(self, words: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (2, ""), "{self:?}");
        self.says(words);
    }

    #[track_caller]
    fn says(&self, words: &[&str]) {
        assert!(self.err.starts_with("error: "), "{}", self.err);
        assert!(!self.err.contains('\x1b'), "colours without a terminal: {:?}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
    }

    /// Stdout is one line of JSON.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let ran = self.done();
        assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
        serde_json::from_str(&ran.out).unwrap()
    }
}

/// The keys of a JSON object, in order.
#[track_caller]
pub(crate) fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap_or_else(|| panic!("{value} is no object")).keys().map(String::as_str).collect()
}

/// The token ids under `key`.
#[track_caller]
pub(crate) fn ids(value: &Value, key: &str) -> Vec<u32> {
    serde_json::from_value(value[key].clone()).unwrap_or_else(|error| panic!("{value}: {error}"))
}
