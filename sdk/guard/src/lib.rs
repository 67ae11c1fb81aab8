//! What stands between input and everything else: files read within bounds, JSON as Python writes it, names shown harmlessly, and
//! the question whether there is room for large work.
//!
//! This crate knows files, their sizes, JSON, and what the system says of memory. It must not know models, texts or engines: what
//! a file means is up to whoever reads it.
//!
//! - [`read`] and [`read_text`] read a regular file whole, up to the limit of its [`Kind`]; [`open_regular`] opens one for whoever
//!   reads it in pieces or maps it.
//! - [`json`] understands JSON with the numbers that Python adds to it.
//! - [`Shown`] writes a name or a text out of a file into a message, so that it cannot steer a terminal or fill a screen.
//! - [`room`] asks whether the system would give memory, where whoever needs it could not be told that it does not.

#![forbid(unsafe_code)]

pub mod json;
mod kind;
mod read;
pub mod room;
mod shown;

pub use kind::Kind;
pub use read::{ReadError, open_regular, read, read_text};
pub use room::NoRoom;
pub use shown::{Shown, brief, one_line};
