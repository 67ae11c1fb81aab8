//! What the crate promises, seen from outside.

mod edits;
mod folders;
mod given;
mod goldens;
mod hostile;
mod protobuf;
mod refusals;
mod shapes;
mod writer;
