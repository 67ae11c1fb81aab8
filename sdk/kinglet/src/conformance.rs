//! Conformance vectors stored in a model's folder: tokens of texts, prompts of conversations, and greedy answers.

mod check;
mod make;

use crate::{Error, Message, Model};
use kinglet_guard::{Kind, ReadError};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub use check::ConformanceReport;
pub(crate) use make::prompt;

/// The file of a model's folder that holds its vectors.
pub const CONFORMANCE_FILE: &str = "conformance.json";

/// The number of the form of the file.
const FORM: u32 = 1;

/// Conformance vectors of a model. Whoever made them answers for them; a model of another precision or vocabulary has others.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conformance {
    /// The form of the file: 1.
    pub form: u32,
    /// Who says so, such as `ort 1.32.0, int4 weights`.
    pub source: String,
    /// How far logits may be from these, as a part of the largest one. Where the best two are closer than that, either may win.
    pub max_relative: f32,
    /// Texts and their tokens; empty for a model without a tokenizer.
    pub texts: Vec<TextVector>,
    /// Conversations and their prompts; empty for a model without a chat template.
    pub chats: Vec<ChatVector>,
    /// Tokens and what follows them.
    pub greedy: Vec<GreedyVector>,
}

/// A text and its tokens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextVector {
    /// The text.
    pub text: String,
    /// Its tokens as those of a raw prompt.
    pub ids: Vec<u32>,
    /// Its tokens where nothing in it is a special token and none are added.
    pub plain: Vec<u32>,
}

/// A conversation and the prompt that the chat template makes of it at noon of 31 January 2026.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatVector {
    /// The messages.
    pub messages: Vec<Message>,
    /// The prompt; `None` where the template refuses the conversation.
    pub rendered: Option<String>,
}

/// Tokens, and what follows them when the likeliest token is taken each time, whatever it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GreedyVector {
    /// The tokens of the prompt.
    pub ids: Vec<u32>,
    /// Those that follow.
    pub tokens: Vec<u32>,
    /// The logit of each of them.
    pub logits: Vec<f32>,
    /// By how much each is above the second best.
    pub gaps: Vec<f32>,
    /// The largest magnitude of a logit on the way, which differences are a part of.
    pub largest: f32,
}

impl Conformance {
    /// Reads vectors from a file.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a file that is not there, [`Error::BadModel`] for one that holds no vectors or none of this form.
    pub fn read(file: &Path) -> Result<Conformance, Error> {
        let bytes = kinglet_guard::read(file, Kind::Vectors).map_err(|error| unreadable(file, error))?;
        let read: Conformance = kinglet_guard::json::parse(&bytes)
            .map_err(|error| damaged(file, &format!("holds no conformance vectors ({error}); get it again or remove it")))?;
        let sound =
            |vector: &GreedyVector| vector.logits.len() == vector.tokens.len() && vector.gaps.len() == vector.tokens.len();
        match read {
            read if read.form != FORM => {
                Err(damaged(file, &format!("has form {}, and this build reads form {FORM}; make it again", read.form)))
            }
            read if !read.greedy.iter().all(sound) => Err(damaged(file, "has tokens without logits; get it again or remove it")),
            read => Ok(read),
        }
    }

    /// Writes them as a file, which appears whole or not at all.
    ///
    /// # Errors
    /// [`Error::Storage`] where the system refuses it.
    pub fn write(&self, file: &Path) -> Result<(), Error> {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || -> std::io::Result<()> {
            let mut unfinished = tempfile::Builder::new().prefix(".conformance-").tempfile_in(folder)?;
            serde_json::to_writer_pretty(&mut unfinished, self)?;
            unfinished.as_file().sync_all()?;
            unfinished.persist(file)?;
            Ok(())
        };
        write().map_err(|error| {
            let sentence = format!("`{}` cannot be written ({error}); make room there or name another file", file.display());
            Error::Storage(sentence.into())
        })
    }
}

impl Model {
    /// Where the vectors of this model are or would be.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a model without a folder.
    pub fn conformance_file(&self) -> Result<PathBuf, Error> {
        Ok(self.local()?.bundle.folder().join(CONFORMANCE_FILE))
    }

    /// The vectors that the model's folder carries; `None` where it carries none.
    ///
    /// # Errors
    /// As [`Conformance::read`].
    pub fn conformance(&self) -> Result<Option<Conformance>, Error> {
        self.local()?.bundle.extra_file(CONFORMANCE_FILE).map(|file| Conformance::read(&file)).transpose()
    }
}

fn damaged(file: &Path, what: &str) -> Error {
    Error::BadModel(format!("`{}` {what}", file.display()).into())
}

fn unreadable(file: &Path, error: ReadError) -> Error {
    match error {
        ReadError::Missing { .. } => {
            Error::NotFound { message: format!("there is no file `{}`; give the vectors' own", file.display()), looked: vec![] }
        }
        error => Error::BadModel(error.into()),
    }
}

/// The largest magnitude among some logits.
fn largest(logits: &[f32]) -> f32 {
    logits.iter().fold(0.0, |largest, logit| largest.max(logit.abs()))
}

/// The token with the largest logit, the first of equals.
pub(crate) fn likeliest(row: &[f32]) -> usize {
    (0..row.len()).fold(0, |best, token| if row[token] > row[best] { token } else { best })
}
