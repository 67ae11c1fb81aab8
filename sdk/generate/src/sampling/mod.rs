//! From logits to a token.
//!
//! One pure function, [`distribution`], takes the logits and the tokens so far to the tokens that may be drawn and their
//! weights; [`Sampler`] adds the random numbers. The order is that of Hugging Face transformers (`generation/utils.py`,
//! `_get_logits_processor`): penalties, suppressed tokens, temperature, top-k, top-p, min-p.

mod filters;
mod options;
mod penalties;
mod sampler;

pub(crate) use filters::largest;
pub use options::SamplingOptions;
pub use penalties::History;
pub(crate) use penalties::scores_into;
pub use sampler::{Sampler, distribution};
