//! The policy between the local model and the system's: who is asked first, who answers where that one fails, and which failure
//! the caller is told.

use crate::system::System;
use crate::{Error, SystemPolicy};
use kinglet_system::Availability;

/// One of the two models that may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backend {
    /// The model of a folder.
    Local,
    /// The operating system's.
    System,
}

impl Backend {
    /// Whether the other one may answer where this one has failed with `error`, as long as there is nothing of an answer. A refusal by
    /// the system's guardrails is an answer.
    pub(crate) fn gives_way(self, error: &Error) -> bool {
        match self {
            Backend::Local => matches!(error, Error::OutOfMemory { .. }),
            Backend::System => !matches!(error, Error::Cancelled | Error::Refused(_)),
        }
    }
}

/// The two in the order in which they are asked: first the preferred one, then the spare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) first: Backend,
    pub(crate) spare: Option<Backend>,
}

impl Order {
    /// `local`: whether a folder's model is there; `policy`: the system's, where that may be asked. With neither, the folder's model is
    /// asked, which says what is missing.
    pub(crate) fn new(local: bool, policy: Option<SystemPolicy>) -> Order {
        match (local, policy) {
            (_, None) => Order { first: Backend::Local, spare: None },
            (false, Some(_)) => Order { first: Backend::System, spare: None },
            (true, Some(SystemPolicy::Fallback)) => Order { first: Backend::Local, spare: Some(Backend::System) },
            (true, Some(_)) => Order { first: Backend::System, spare: Some(Backend::Local) },
        }
    }

    /// The first answer of the two.
    ///
    /// # Errors
    /// The first one's, where it does not give way for that; otherwise as [`told`] says.
    pub(crate) fn ask<T>(self, ask: impl Fn(Backend) -> Result<T, Error>) -> Result<T, Error> {
        match (ask(self.first), self.spare) {
            (Err(error), Some(spare)) if self.first.gives_way(&error) => {
                log::info!(
                    "the {} model answers instead: {error}",
                    if spare == Backend::Local { "folder's" } else { "system's" }
                );
                ask(spare).map_err(|second| told(Some(error), second))
            }
            (answer, _) => answer,
        }
    }
}

/// The failure that the caller is told where both have failed: that the second one could not have answered anything says less than why
/// the first one failed.
pub(crate) fn told(first: Option<Error>, second: Error) -> Error {
    let cannot = matches!(second, Error::Unavailable(_) | Error::Unsupported(_) | Error::BadModel(_));
    first.filter(|_| cannot).unwrap_or(second)
}

/// Whether the system's model stands in for a folder's that cannot be opened, or cannot hold a conversation, for `error`. A request that
/// makes no sense is the caller's to mend.
pub(crate) fn stands_in(system: &System, error: &Error) -> bool {
    let to_come = || !matches!(system.host.availability(), Availability::Unavailable { .. });
    !matches!(error, Error::InvalidRequest(_)) && to_come()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    fn asked(order: Order, fail: impl Fn(Backend) -> Option<Error>) -> (Vec<Backend>, Option<Error>) {
        let asked: RefCell<Vec<Backend>> = RefCell::default();
        let answer = order.ask(|backend| {
            asked.borrow_mut().push(backend);
            fail(backend).map_or(Ok(()), Err)
        });
        (asked.into_inner(), answer.err())
    }

    #[test]
    fn the_policy_says_who_is_first() {
        let order = |local, policy| {
            let Order { first, spare } = Order::new(local, policy);
            (first, spare)
        };
        assert_eq!(order(true, None), (Backend::Local, None));
        assert_eq!(order(false, None), (Backend::Local, None));
        assert_eq!(order(true, Some(SystemPolicy::Fallback)), (Backend::Local, Some(Backend::System)));
        assert_eq!(order(true, Some(SystemPolicy::Prefer)), (Backend::System, Some(Backend::Local)));
        for policy in [SystemPolicy::Fallback, SystemPolicy::Prefer, SystemPolicy::Only] {
            assert_eq!(order(false, Some(policy)), (Backend::System, None));
        }
    }

    #[test]
    fn a_failure_asks_the_other_one_unless_it_is_an_answer() {
        let prefer = Order::new(true, Some(SystemPolicy::Prefer));
        let fails = |error: fn() -> Error| move |backend| (backend == Backend::System).then(error);
        assert_eq!(asked(prefer, |_| None).0, [Backend::System]);
        let (who, error) = asked(prefer, fails(|| Error::unsupported("no")));
        assert!(who == [Backend::System, Backend::Local] && error.is_none());
        let (who, error) = asked(prefer, fails(|| Error::Cancelled));
        assert!(who == [Backend::System] && matches!(error, Some(Error::Cancelled)), "a cancelled answer is nobody else's");
        let fallback = Order::new(true, Some(SystemPolicy::Fallback));
        let (who, error) = asked(fallback, |backend| (backend == Backend::Local).then(|| Error::unsupported("no template")));
        assert!(who == [Backend::Local] && matches!(error, Some(Error::Unsupported(_))), "only memory that is short gives way");
    }

    #[test]
    fn the_failure_that_says_more_is_told() {
        let first = || Some(Error::Cancelled);
        assert!(matches!(told(first(), Error::unsupported("tools")), Error::Cancelled));
        assert!(matches!(told(None, Error::unsupported("tools")), Error::Unsupported(_)));
        assert!(matches!(told(Some(Error::unsupported("first")), Error::Cancelled), Error::Cancelled));
    }
}
