//! Tests of the text room from outside, on small tokenizers written out here.
#![allow(clippy::unwrap_used, missing_docs)]

mod bounds;
mod encode;
mod files;
mod fixtures;
mod goldens;
mod hostile;
mod judged;
mod protect;
mod stop;
mod stream;
