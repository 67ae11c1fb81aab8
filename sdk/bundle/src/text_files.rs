//! Where the files of the tokenizer and the chat templates are. Their content is another crate's.

use std::path::{Path, PathBuf};

use crate::error::{BundleError, FileError};
use crate::files::{check_content, file_name, files_in};

/// The files that say how text becomes tokens and messages become text; each `None` where the folder lacks it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TextFiles {
    /// The folder that they were looked for in.
    pub folder: PathBuf,
    /// `tokenizer.json`: see [`TextFiles::tokenizer`].
    pub tokenizer: Option<PathBuf>,
    /// `tokenizer_config.json`.
    pub tokenizer_config: Option<PathBuf>,
    /// `special_tokens_map.json`.
    pub special_tokens_map: Option<PathBuf>,
    /// `chat_template.jinja`, which takes precedence over the template inside `tokenizer_config.json`.
    pub chat_template: Option<PathBuf>,
    /// `chat_template.json`, which processors of multimodal models write.
    pub chat_template_json: Option<PathBuf>,
    /// Templates with a name, from `additional_chat_templates/NAME.jinja`, by name.
    pub additional_templates: Vec<(String, PathBuf)>,
}

impl TextFiles {
    pub(crate) fn find(folder: &Path) -> Result<TextFiles, FileError> {
        let present = |name: &str| Some(folder.join(name)).filter(|path| path.is_file());
        let additional = folder.join("additional_chat_templates");
        let templates = if additional.is_dir() { files_in(&additional)? } else { Vec::new() };
        let named = |path: PathBuf| Some((file_name(&path).strip_suffix(".jinja")?.to_owned(), path.clone()));
        Ok(TextFiles {
            folder: folder.into(),
            tokenizer: present("tokenizer.json"),
            tokenizer_config: present("tokenizer_config.json"),
            special_tokens_map: present("special_tokens_map.json"),
            chat_template: present("chat_template.jinja"),
            chat_template_json: present("chat_template.json"),
            additional_templates: templates.into_iter().filter_map(named).collect(),
        })
    }

    /// `tokenizer.json`. A folder can be opened without one, since an engine that is given token ids needs none; who
    /// needs text asks here.
    ///
    /// # Errors
    /// The folder holds none, one that cannot be read, or a Git LFS pointer in its place.
    pub fn tokenizer(&self) -> Result<&Path, BundleError> {
        let Some(path) = &self.tokenizer else {
            let has = |name: &str| self.folder.join(name).is_file();
            let hint = if has("tokenizer.model") || has("spiece.model") {
                "its SentencePiece model is not read: convert it with `AutoTokenizer` of transformers, which saves a tokenizer.json"
            } else if has("vocab.json") {
                "its vocab.json is not read: convert it with `AutoTokenizer` of transformers, which saves a tokenizer.json"
            } else {
                "download it from where the model came from"
            };
            return Err(BundleError::NoTokenizer { folder: self.folder.clone(), hint });
        };
        check_content(path)?;
        Ok(path)
    }
}
