//! Progress on stderr, for a person who waits longer than a second.

use crate::arguments::Common;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// Nothing appears before this.
const PATIENCE: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// A bar or a spinner that appears after a second and goes when it is dropped. Without a terminal, or with `--quiet`, it
/// never appears.
pub(crate) struct Progress {
    bar: ProgressBar,
    waiter: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// A bar over `total` pieces.
    pub(crate) fn bar(common: &Common, total: u64, what: &str) -> Progress {
        Progress::begin(common, ProgressBar::hidden(), Some(total), "{msg} {wide_bar} {pos}/{len} {eta}", what)
    }

    /// A spinner, for work of unknown length.
    pub(crate) fn spinner(common: &Common, what: &str) -> Progress {
        Progress::begin(common, ProgressBar::hidden(), None, "{spinner} {msg} {elapsed}", what)
    }

    fn begin(common: &Common, bar: ProgressBar, total: Option<u64>, template: &str, what: &str) -> Progress {
        if let Some(total) = total {
            bar.set_length(total);
        }
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        let visible = !common.quiet && std::io::stderr().is_terminal();
        let waiter = visible.then(|| show_after_patience(bar.clone()));
        Progress { bar, waiter }
    }

    /// One piece more is done.
    pub(crate) fn advance(&self) {
        self.bar.inc(1);
    }

    /// So many pieces are done.
    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
    }

    /// Shows the work in progress.
    pub(crate) fn say(&self, what: &str) {
        self.bar.set_message(what.to_owned());
    }
}

fn show_after_patience(bar: ProgressBar) -> (Sender<()>, JoinHandle<()>) {
    let (done, waits) = channel();
    let thread = std::thread::spawn(move || {
        if waits.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(TICK);
        }
    });
    (done, thread)
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((done, thread)) = self.waiter.take() {
            drop(done);
            // A thread that panicked has drawn nothing that would have to be cleared.
            let _ = thread.join();
        }
        self.bar.finish_and_clear();
    }
}
