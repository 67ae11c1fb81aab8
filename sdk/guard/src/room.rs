//! Whether there is room for large work.
//!
//! A library that takes memory by `Vec` and `Box` ends the process where the system refuses it, and cannot be told otherwise. So it
//! is asked before: memory of that size is taken and given back, which touches none of it. That is no promise, since others take
//! memory as well; what it notices is a limit of the process (`ulimit -v`, a small device) before it is run into.

use std::collections::TryReserveError;

/// There is no room for some work.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} needs about {:.1} MB of memory more, and the system gives none; raise the limit of this process (`ulimit -v`), close \
     other programs, or take a smaller model or context",
    *bytes as f64 / 1e6
)]
pub struct NoRoom {
    /// The work that needs the memory.
    pub what: &'static str,
    /// How much it needs.
    pub bytes: u64,
}

/// Pieces in which the system is asked: allocators serve large pieces each by itself, and one that is too large for any gap in the
/// addresses may still fit in parts.
const PIECE_BYTES: usize = 64 << 20;
/// More pieces than any machine has: the system is not asked for them.
const MOST_PIECES: usize = 1 << 15;

/// Makes sure that the system would give so many bytes now. It takes some microseconds; bytes below 64 KiB are not asked for.
///
/// # Errors
/// [`NoRoom`].
pub fn check(what: &'static str, bytes: u64) -> Result<(), NoRoom> {
    if bytes < 64 << 10 {
        return Ok(());
    }
    let none = |_: TryReserveError| NoRoom { what, bytes };
    let whole = usize::try_from(bytes).map_err(|_| NoRoom { what, bytes })?;
    let count = whole.div_ceil(PIECE_BYTES);
    if count > MOST_PIECES {
        return Err(NoRoom { what, bytes });
    }
    let mut pieces: Vec<Vec<u8>> = Vec::with_capacity(count);
    for piece in 0..count {
        let mut taken = vec![];
        taken.try_reserve_exact(PIECE_BYTES.min(whole - piece * PIECE_BYTES)).map_err(none)?;
        pieces.push(taken);
    }
    Ok(())
}

/// Makes room in `values` for `more`, where the system gives it.
///
/// # Errors
/// [`NoRoom`]; nothing has changed then.
pub fn reserve<T>(values: &mut Vec<T>, more: usize, what: &'static str) -> Result<(), NoRoom> {
    let bytes = (more as u64).saturating_mul(size_of::<T>() as u64);
    values.try_reserve(more).map_err(|_| NoRoom { what, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_machine_has_is_refused_and_little_is_given() {
        assert_eq!(check("little", 0), Ok(()));
        assert_eq!(check("little", 200 << 20), Ok(()));
        for bytes in [1 << 60, u64::MAX] {
            assert_eq!(check("much", bytes), Err(NoRoom { what: "much", bytes }));
        }
        let message = check("a dream", 1 << 60).unwrap_err().to_string();
        assert!(message.contains("a dream needs about 1152921504606.8 MB") && message.contains("ulimit -v"), "{message}");
    }

    #[test]
    fn a_list_grows_or_stays_as_it_is() {
        let mut values = vec![1_u64];
        assert!(reserve(&mut values, 100, "a list").is_ok() && values.capacity() >= 101);
        assert!(reserve(&mut values, usize::MAX / 16, "a list").is_err());
        assert_eq!(values, [1]);
    }
}
