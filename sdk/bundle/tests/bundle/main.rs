//! What the crate promises, seen from outside.

mod edits;
mod file_range;
mod folders;
mod goldens;
mod hostile;
mod protobuf;
mod refusals;
mod shapes;
mod writer;
