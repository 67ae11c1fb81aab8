//! Ctrl-C: the first one ends the answer in progress, the second one the program.

use kinglet::CancelHandle;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Exit code of a program that was ended by Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Watches for Ctrl-C.
#[derive(Clone, Default)]
pub(crate) struct Interrupt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    answering: Option<CancelHandle>,
    /// Whether Ctrl-C was pressed since the user last said something.
    pressed: bool,
}

/// Effect of pressing Ctrl-C.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    EndAnswer,
    Warn,
    EndProgram,
}

impl Interrupt {
    /// Begins to watch. Where the system does not allow it, Ctrl-C ends the program as it always does.
    pub(crate) fn watch() -> Interrupt {
        let interrupt = Interrupt::default();
        let watched = interrupt.clone();
        let handled = ctrlc::set_handler(move || watched.pressed());
        if let Err(error) = handled {
            log::debug!("Ctrl-C cannot be watched: {error}");
        }
        interrupt
    }

    /// An answer begins that `cancel` can end.
    pub(crate) fn answer_begins(&self, cancel: CancelHandle) {
        *self.state() = State { answering: Some(cancel), pressed: false };
    }

    /// The answer is over.
    pub(crate) fn answer_ends(&self) {
        self.state().answering = None;
    }

    /// Ctrl-C was pressed.
    pub(crate) fn pressed(&self) {
        match self.press() {
            Effect::EndAnswer => {}
            Effect::Warn => log::warn!("press Ctrl-C again to end"),
            Effect::EndProgram => std::process::exit(INTERRUPTED),
        }
    }

    /// The user said something else than Ctrl-C.
    pub(crate) fn user_spoke(&self) {
        self.state().pressed = false;
    }

    fn press(&self) -> Effect {
        let mut state = self.state();
        if std::mem::replace(&mut state.pressed, true) {
            return Effect::EndProgram;
        }
        match &state.answering {
            Some(cancel) => {
                cancel.cancel();
                Effect::EndAnswer
            }
            None => Effect::Warn,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_press_ends_the_answer_and_the_second_the_program() {
        let interrupt = Interrupt::default();
        let cancel = CancelHandle::default();
        interrupt.answer_begins(cancel.clone());
        assert_eq!(interrupt.press(), Effect::EndAnswer);
        assert!(cancel.is_cancelled());
        interrupt.answer_ends();
        assert_eq!(interrupt.press(), Effect::EndProgram);
    }

    #[test]
    fn what_the_user_says_in_between_makes_a_press_the_first_again() {
        let interrupt = Interrupt::default();
        assert_eq!(interrupt.press(), Effect::Warn);
        interrupt.user_spoke();
        assert_eq!(interrupt.press(), Effect::Warn);
        interrupt.answer_begins(CancelHandle::default());
        assert_eq!(interrupt.press(), Effect::EndAnswer);
        interrupt.answer_ends();
        interrupt.user_spoke();
        assert_eq!(interrupt.press(), Effect::Warn);
        assert_eq!(interrupt.press(), Effect::EndProgram);
    }
}
