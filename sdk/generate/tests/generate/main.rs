//! Generation over the fake engine, whose logits can be worked out by hand.

mod candidates;
mod conversation;
mod fixture;
mod prefix;
mod sampling_golden;
mod scheduler;
mod scoring;
mod session;
mod trim;
