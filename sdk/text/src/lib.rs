//! Text for a model and from it: tokenizer, streaming detokenizer, chat templates and stop strings.
//!
//! This room knows the text files of a model folder (`tokenizer.json`, `tokenizer_config.json`, `chat_template.jinja` and
//! their older forms) and must not know weights, engines, or how tokens are chosen. The judge of what it does is Hugging
//! Face transformers: the same ids, the same text, the same rendered templates, with one difference that is meant:
//! [`ChatTemplate::encode`] keeps special-token text that a user typed as text.
#![forbid(unsafe_code)]

mod added;
mod config;
mod detokenizer;
mod encode;
mod error;
mod files;
mod length;
mod message;
mod pipeline;
mod stop;
mod template;
mod tokenizer;
mod work;

pub use detokenizer::Detokenizer;
pub use error::TextError;
pub use files::TextFiles;
pub use jiff::civil::DateTime;
pub use message::Message;
pub use stop::StopMatcher;
pub use template::{ChatTemplate, TemplateInput};
pub use tokenizer::{Specials, Tokenizer};
pub use work::Bounds;
