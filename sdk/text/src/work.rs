//! How much work a text may make.

use std::cell::Cell;
use std::fmt;

use crate::TextError;

/// The room and the time that an encoding has. The default sets no bounds: any text is encoded to its end.
#[derive(Clone, Copy, Default)]
pub struct Bounds<'a> {
    /// Tokens that the caller has room for. A text that is so long that it cannot be spelt in as many of them is refused
    /// before it is looked at; others are encoded whole, so that the caller learns how many tokens they have.
    pub most_tokens: Option<usize>,
    /// Asked between the steps of an encoding and at each word of it: whether the caller has given up.
    pub cancelled: Option<&'a (dyn Fn() -> bool + Sync)>,
}

impl Bounds<'_> {
    /// An error if the caller has given up.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        if self.cancelled.is_some_and(|cancelled| cancelled()) { Err(Refusal::Cancelled) } else { Ok(()) }
    }
}

impl fmt::Debug for Bounds<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds").field("most_tokens", &self.most_tokens).finish_non_exhaustive()
    }
}

/// Bytes that a text may grow by for each of its own: Unicode's normalization forms come to 11, their byte-level form to twice
/// that.
const GROWTH: usize = 64;

/// Bytes that any text may grow by besides.
const GROWTH_BYTES: usize = 64 << 10;

/// The bytes that the steps of one encoding or decoding may still write, and the caller's patience.
pub(crate) struct Work<'a> {
    pub(crate) bounds: Bounds<'a>,
    left: Cell<usize>,
}

impl<'a> Work<'a> {
    /// The work for a text of `bytes`.
    pub(crate) fn on(bytes: usize, bounds: Bounds<'a>) -> Work<'a> {
        Work { bounds, left: Cell::new(bytes.saturating_mul(GROWTH).saturating_add(GROWTH_BYTES)) }
    }

    /// An error where a text of `before` bytes that becomes one of `after` has grown by more than is left. What it has grown
    /// by is taken away.
    pub(crate) fn grow(&self, before: usize, after: usize) -> Result<(), Refusal> {
        self.bounds.check()?;
        let left = self.left.get().checked_sub(after.saturating_sub(before)).ok_or(Refusal::Grown)?;
        self.left.set(left);
        Ok(())
    }

    /// An error where a text may not become larger by `bytes`. Nothing is taken away.
    pub(crate) fn allows(&self, bytes: usize) -> Result<(), Refusal> {
        if bytes <= self.left.get() { Ok(()) } else { Err(Refusal::Grown) }
    }
}

/// Why a step was not done or not ended. It travels through the tokenizer library as an error of its own kind.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the caller gave up")]
    Cancelled,
    #[error("its steps make the text more than {GROWTH} times as long")]
    Grown,
    #[error("the pattern `{}` needs more steps than a pattern may take", pattern.escape_debug())]
    Pattern {
        /// The pattern as it stands in the file.
        pattern: String,
    },
    #[error("the tokenizer library came upon something that it does not expect ({words})")]
    Panicked {
        /// Message of the panic.
        words: String,
    },
}

impl Refusal {
    /// The error for the caller.
    pub(crate) fn for_caller(&self) -> TextError {
        match self {
            Refusal::Cancelled => TextError::Cancelled,
            other => TextError::TokenizerFailed { reason: other.to_string() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_may_grow_so_far_in_all_its_steps_together() {
        let work = Work::on(1, Bounds::default());
        let room = GROWTH + GROWTH_BYTES;
        assert!(work.allows(room).is_ok() && work.allows(room + 1).is_err());
        assert!(work.grow(10, 10 + room / 2).is_ok());
        assert!(work.grow(10, 5).is_ok(), "what shrinks costs nothing");
        assert!(work.grow(0, room - room / 2).is_ok());
        assert!(matches!(work.grow(0, 1), Err(Refusal::Grown)));
    }

    #[test]
    fn who_gave_up_is_heard() {
        let bounds = Bounds { cancelled: Some(&|| true), ..Bounds::default() };
        assert!(matches!(Work::on(1, bounds).grow(0, 0), Err(Refusal::Cancelled)));
        assert!(matches!(Refusal::Cancelled.for_caller(), TextError::Cancelled));
        assert!(matches!(Refusal::Grown.for_caller(), TextError::TokenizerFailed { .. }));
    }
}
