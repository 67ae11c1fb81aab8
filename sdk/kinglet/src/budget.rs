//! Fits a model into the memory budget: fewer sequences first, then a smaller context.

use crate::{Bytes, Error};
use kinglet_engine::MemoryEstimate;

/// A context is not made smaller than this to fit a budget.
const LEAST_CONTEXT: usize = 128;

/// A context and a number of sequences at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    /// Positions that one sequence may hold.
    pub(crate) context: usize,
    /// Full sequences that the key/value arena has room for.
    pub(crate) sequences: usize,
}

/// The room that was found, and its price.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fit {
    pub(crate) room: Room,
    pub(crate) estimate: MemoryEstimate,
    /// One sentence for the user, where the room is smaller than what was wanted.
    pub(crate) reduced: Option<String>,
}

/// Fits `wanted` into `budget`; `estimate` gives the price of a room and grows with both of its sides.
///
/// # Errors
/// [`Error::OutOfMemory`] where not even one sequence of the least context fits.
pub(crate) fn fit(wanted: Room, budget: Option<Bytes>, estimate: impl Fn(Room) -> MemoryEstimate) -> Result<Fit, Error> {
    let done =
        |room: Room| Fit { room, estimate: estimate(room), reduced: budget.and_then(|budget| sentence(wanted, room, budget)) };
    let Some(budget) = budget else { return Ok(done(wanted)) };
    let fits = |room: Room| estimate(room).total() <= budget.0;
    let least = Room { context: wanted.context.min(LEAST_CONTEXT), sequences: wanted.sequences.min(1) };
    if !fits(least) {
        return Err(too_small(least, wanted, budget, estimate));
    }
    let alone = Room { sequences: least.sequences, ..wanted };
    if fits(alone) {
        let sequences = largest(least.sequences, wanted.sequences, |sequences| fits(Room { sequences, ..wanted }));
        return Ok(done(Room { sequences, ..wanted }));
    }
    let context = largest(least.context, wanted.context, |context| fits(Room { context, ..alone }));
    Ok(done(Room { context, ..alone }))
}

/// The largest number from `least`, which fits, to `most` that still fits.
fn largest(least: usize, most: usize, fits: impl Fn(usize) -> bool) -> usize {
    let (mut good, mut end) = (least, most + 1);
    while end - good > 1 {
        let middle = good + (end - good) / 2;
        if fits(middle) { good = middle } else { end = middle }
    }
    good
}

fn sentence(wanted: Room, room: Room, budget: Bytes) -> Option<String> {
    if room.context < wanted.context {
        let (context, asked) = (room.context, wanted.context);
        Some(format!("the memory budget of {budget} leaves room for one sequence of {context} positions instead of {asked}"))
    } else if room.sequences < wanted.sequences {
        let (sequences, asked) = (room.sequences, wanted.sequences);
        Some(format!("the memory budget of {budget} leaves room for {sequences} parallel sequences instead of {asked}"))
    } else {
        None
    }
}

fn too_small(least: Room, wanted: Room, budget: Bytes, estimate: impl Fn(Room) -> MemoryEstimate) -> Error {
    let needed = Bytes(estimate(least).total());
    let full = Bytes(estimate(wanted).total());
    let weights = Bytes(estimate(least).weights);
    let advice = format!(
        "the model needs {needed} at least ({weights} of them weights) and the memory budget is {budget}; \
         {needed} are enough for a context of {} positions, {full} for {} sequences of {}",
        least.context, wanted.sequences, wanted.context
    );
    Error::OutOfMemory { needed, budget, advice }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WANTED: Room = Room { context: 1000, sequences: 8 };

    /// 1,000 bytes of weights, 50 of scratch, one byte a position.
    fn estimate(room: Room) -> MemoryEstimate {
        MemoryEstimate { weights: 1000, kv: (room.context * room.sequences) as u64, kv_per_token: 1, scratch: 50 }
    }

    #[test]
    fn sequences_go_before_context() {
        struct Case {
            budget: Option<u64>,
            context: usize,
            sequences: usize,
        }
        for Case { budget, context, sequences } in [
            Case { budget: None, context: 1000, sequences: 8 },
            Case { budget: Some(9050), context: 1000, sequences: 8 },
            Case { budget: Some(9049), context: 1000, sequences: 7 },
            Case { budget: Some(4500), context: 1000, sequences: 3 },
            Case { budget: Some(2050), context: 1000, sequences: 1 },
            Case { budget: Some(2049), context: 999, sequences: 1 },
            Case { budget: Some(1550), context: 500, sequences: 1 },
            Case { budget: Some(1178), context: 128, sequences: 1 },
        ] {
            let fit = fit(WANTED, budget.map(Bytes), estimate).unwrap();
            assert_eq!(fit.room, Room { context, sequences }, "{budget:?}");
            assert_eq!(fit.estimate, estimate(fit.room));
            assert_eq!(fit.reduced.is_some(), fit.room != WANTED, "{:?}", fit.reduced);
            assert!(budget.is_none_or(|budget| fit.estimate.total() <= budget));
        }
    }

    #[test]
    fn what_does_not_fit_says_what_would() {
        let error = fit(WANTED, Some(Bytes(1177)), estimate).unwrap_err();
        let Error::OutOfMemory { needed, budget, advice } = error else { panic!("{error}") };
        assert_eq!((needed, budget), (Bytes(1178), Bytes(1177)));
        assert!(advice.contains("context of 128") && advice.contains("9.1 kB for 8 sequences of 1000"), "{advice}");
        assert_eq!(fit(WANTED, Some(needed), estimate).unwrap().room.context, 128);
    }

    #[test]
    fn a_context_below_the_least_is_kept() {
        let wanted = Room { context: 16, sequences: 2 };
        assert_eq!(fit(wanted, Some(Bytes(1066)), estimate).unwrap().room, Room { context: 16, sequences: 1 });
        assert!(fit(wanted, Some(Bytes(1065)), estimate).is_err());
    }
}
