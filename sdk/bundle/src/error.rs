//! Errors of a model folder, a variant for each thing that a caller can do about it.

use std::io;
use std::path::PathBuf;

use kinglet_guard::{ReadError, Shown};

use crate::mistaken::OtherFormat;
use crate::onnx::OnnxError;

/// Where it is written how to get a model.
pub(crate) const GUIDE: &str = "docs/models.md of Kinglet";

/// One file of a folder cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// The file is not there.
    #[error("`{path}` is missing; download the model again, with all its files")]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// There is something else in its place: a folder, a pipe, a device.
    #[error("`{path}` is not a regular file; put the model's file in its place")]
    NotAFile {
        /// Where it should be.
        path: PathBuf,
    },
    /// The system will not let it be read.
    #[error("`{path}` cannot be read ({source}); check its permissions and the disk")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The file has no bytes.
    #[error("`{path}` is empty; download it again")]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The repository was cloned without the large files.
    #[error(
        "`{path}` is a Git LFS pointer, a few lines that stand for the real file; \
         run `git lfs install` and `git lfs pull` in the folder, or download the file itself"
    )]
    GitLfsPointer {
        /// The file.
        path: PathBuf,
    },
    /// Another process has cut the file off since it was opened.
    #[error("`{path}` had {mapped_bytes} bytes when it was opened and now has {file_bytes}; open the model again")]
    Shrunk {
        /// The file.
        path: PathBuf,
        /// Its length when it was opened.
        mapped_bytes: u64,
        /// Its length.
        file_bytes: u64,
    },
    /// The range that was given for a file is not all inside its open file.
    #[error(
        "{bytes} bytes from {offset} were given for `{path}`, and the open file has {file_bytes}; give the range that it has there, \
         and store it without compression"
    )]
    RangeOutside {
        /// The file that it was given for.
        path: PathBuf,
        /// Where the range begins.
        offset: u64,
        /// Its length.
        bytes: u64,
        /// The length of the open file.
        file_bytes: u64,
    },
    /// A file of the model names another one that is not in its own folder.
    #[error(
        "the model names the file `{}`, which is not inside its folder `{folder}` ({reason}); \
         files outside it are never read: do not use this model, or put the file inside and correct the name",
        Shown(location)
    )]
    OutsideFolder {
        /// The name as the model gives it.
        location: String,
        /// The folder that it must not leave.
        folder: PathBuf,
        /// The problem with the name.
        reason: &'static str,
    },
    /// The file is not what it is taken for, such as one that is larger than files of its kind may be.
    #[error(transparent)]
    Unfit(ReadError),
    /// The model is spread over more files than may be held open.
    #[error("the model is spread over more than {limit} files; save it again with its weights in one file")]
    TooManyParts {
        /// The greatest number of files.
        limit: usize,
    },
}

impl From<ReadError> for FileError {
    fn from(error: ReadError) -> FileError {
        match error {
            ReadError::Missing { path } => FileError::Missing { path },
            ReadError::NotAFile { path } => FileError::NotAFile { path },
            ReadError::Unreadable { path, source } => FileError::Unreadable { path, source },
            other => FileError::Unfit(other),
        }
    }
}

/// A folder cannot be opened as a model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// There is nothing at that path.
    #[error("there is no folder `{folder}`; give the folder that holds the model")]
    NotFound {
        /// The path that was given.
        folder: PathBuf,
    },
    /// There is nothing at that path, which could be the name of a repository.
    #[error(
        "there is no folder `{name}`; if it is the name of a repository on a hub: Kinglet downloads nothing, so download the model in ONNX \
         form and give its folder; {} says how",
        GUIDE
    )]
    HubName {
        /// The path that was given.
        name: PathBuf,
    },
    /// The path is a file of another format, or can only be meant for one.
    #[error("`{path}` {format}; {} says how", GUIDE)]
    OtherFormat {
        /// The path that was given.
        path: PathBuf,
        /// The format that its ending stands for.
        format: OtherFormat,
    },
    /// The path is a file.
    #[error("`{path}` is a file; give the folder that holds the model, such as `{folder}`")]
    NotAFolder {
        /// The path that was given.
        path: PathBuf,
        /// The folder it is in.
        folder: PathBuf,
    },
    /// The folder has nothing in it.
    #[error("`{folder}` is empty; download a model into it")]
    EmptyFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder holds no ONNX model.
    #[error(
        "`{folder}` holds no ONNX model: there is neither a genai_config.json, nor an `onnx` folder, nor a model.onnx; {hint}"
    )]
    NoModel {
        /// The folder.
        folder: PathBuf,
        /// Advice, judging by the content of the folder.
        hint: String,
    },
    /// The graph is there, the file that describes it is not.
    #[error("`{folder}` holds `{model}` but no config.json; {hint}")]
    NoConfig {
        /// The folder.
        folder: PathBuf,
        /// The graph that was found.
        model: PathBuf,
        /// Advice.
        hint: String,
    },
    /// The folder holds no tokenizer that can be read.
    #[error("`{folder}` holds no tokenizer.json; {hint}")]
    NoTokenizer {
        /// The folder.
        folder: PathBuf,
        /// Advice.
        hint: &'static str,
    },
    /// A file cannot be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A configuration file is no JSON, or says something of the wrong kind.
    #[error("`{path}` cannot be understood ({source}); {}", if source.is_eof() { "it is cut off: download it again" } else { "correct it there" })]
    Json {
        /// The file.
        path: PathBuf,
        /// The parser's error, with line and column.
        source: serde_json::Error,
    },
    /// A configuration file says something impossible.
    #[error("`{path}` says that {field} is {}, which cannot be; correct the file or download it again", Shown(value))]
    Config {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
        /// The field's value.
        value: String,
    },
    /// A configuration file does not say what it must.
    #[error("`{path}` does not say {field}; correct the file or download it again")]
    ConfigLacks {
        /// The file.
        path: PathBuf,
        /// The field.
        field: &'static str,
    },
    /// The model is of a kind that Kinglet does not run, and its graph is no decoder that could be run in spite of that.
    #[error("the model type `{}` is not supported: {reason}. Known types: {known}", Shown(model_type))]
    UnknownArchitecture {
        /// The type, as the configuration names it.
        model_type: String,
        /// Why not.
        reason: &'static str,
        /// The types that are known, in one line.
        known: String,
    },
    /// The model is several graphs that run one after the other.
    #[error("`{path}` describes a pipeline of {stages} graphs; export the model as a single graph")]
    Pipeline {
        /// The configuration file.
        path: PathBuf,
        /// How many graphs it has.
        stages: usize,
    },
    /// The variant that was asked for is not there.
    #[error("there is no variant `{}` in `{folder}`; there are: {available}", Shown(requested))]
    UnknownVariant {
        /// The folder.
        folder: PathBuf,
        /// The requested variant.
        requested: String,
        /// The variants of the folder, in one line.
        available: String,
    },
    /// The variant that was asked for, or the only one, is of a precision that Kinglet does not run.
    #[error("`{file}` is quantised with bitsandbytes (4-bit NormalFloat), which is not supported; use one of: {available}")]
    UnsupportedVariant {
        /// The graph.
        file: PathBuf,
        /// The variants that are supported, in one line.
        available: String,
    },
    /// The graph cannot be read.
    #[error("`{path}` cannot be read as an ONNX model: {source}")]
    Onnx {
        /// The graph.
        path: PathBuf,
        /// The reader's error.
        source: OnnxError,
    },
    /// The graph lacks an input or output that a decoder has.
    #[error("`{path}` has no {role} `{}`, only {present}; export it as a decoder for text generation", Shown(name))]
    MissingValue {
        /// The graph.
        path: PathBuf,
        /// `input` or `output`.
        role: &'static str,
        /// The expected name.
        name: String,
        /// The names that the graph has, in one line.
        present: String,
    },
}
