//! Tests of the crate's public interface.

mod edits;
mod file_range;
mod folders;
mod goldens;
mod hostile;
mod protobuf;
mod refusals;
mod shapes;
mod writer;
