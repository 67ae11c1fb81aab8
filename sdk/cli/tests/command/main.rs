//! The command as scripts see it: arguments and stdin in; stdout, stderr and an exit code out.
//!
//! Models are the one that ships and the tiny goldens. What the shipped model says may change with its weights, so its texts
//! are not compared; its shapes, its invariants and the exit codes are.

mod bad_input;
mod bad_models;
mod chat;
mod downloads;
mod engines;
mod goldens;
mod kit;
#[cfg(target_os = "linux")]
mod memory;
mod models;
mod probe;
mod records;
mod reply;
mod score;
mod text;
mod usage;
mod verbs;
mod words;
