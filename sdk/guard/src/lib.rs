//! Guards between untrusted input and the rest of the SDK: files read within bounds, JSON as Python writes it, names escaped for
//! display, and the check whether there is memory for large work.
//!
//! Scope: files, their sizes, JSON, and the memory that the system has; no models, texts or engines. The meaning of a file is up to
//! its reader.
//!
//! - [`read`] and [`read_text`] read a regular file whole, up to the limit of its [`Kind`]; [`open_regular`] opens one to be
//!   read in pieces or mapped.
//! - [`json`] understands JSON with the numbers that Python adds to it.
//! - [`Shown`] writes a name or a text out of a file into a message, so that it cannot steer a terminal or fill a screen.
//! - [`room`] asks whether the system would give memory, for code that cannot handle a failed allocation.

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
