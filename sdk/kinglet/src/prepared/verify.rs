//! Verifying a sealed file block by block, beside whatever else is done, before anything in it is used.

use super::seal::Sealed;
use kinglet_bundle::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

/// Threads that verify besides whoever waits.
const MOST_THREADS: usize = 3;

/// A file that is being verified. Threads begin at once; whoever needs the answer helps them. Dropped, it ends them.
pub(super) struct Verification {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

struct Shared {
    file: Bytes,
    sealed: Sealed,
    /// The block that nobody has taken yet.
    next: AtomicUsize,
    damaged: AtomicBool,
}

impl Shared {
    /// Verifies the next block; false where there is none.
    fn step(&self) -> bool {
        let block = self.next.fetch_add(1, Ordering::Relaxed);
        if block >= self.sealed.blocks() {
            return false;
        }
        if !self.sealed.is_sound(&self.file, block) {
            self.damaged.store(true, Ordering::Relaxed);
            self.stop();
        }
        true
    }

    fn stop(&self) {
        self.next.store(self.sealed.blocks(), Ordering::Relaxed);
    }
}

impl Verification {
    /// Begins to verify a file. A machine that gives no threads leaves the work to whoever waits.
    pub(super) fn begin(file: Bytes, sealed: Sealed) -> Verification {
        let blocks = sealed.blocks();
        let shared = Arc::new(Shared { file, sealed, next: AtomicUsize::new(0), damaged: AtomicBool::new(false) });
        let spare = std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1);
        let spawn = |_| {
            let shared = shared.clone();
            Builder::new().name("kinglet-verify".into()).spawn(move || while shared.step() {}).ok()
        };
        let threads = (0..spare.min(MOST_THREADS).min(blocks)).filter_map(spawn).collect();
        Verification { shared, threads }
    }

    /// Whether the whole file is what was saved, once that is known; `None` where `cancelled` said so first.
    pub(super) fn finish(&mut self, cancelled: impl Fn() -> bool) -> Option<bool> {
        while self.shared.step() {
            if cancelled() {
                return None;
            }
        }
        // Each has a block at most to go. One that ended in a panic has not found its block sound.
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                self.shared.damaged.store(true, Ordering::Relaxed);
            }
        }
        Some(!self.shared.damaged.load(Ordering::Relaxed))
    }
}

impl Drop for Verification {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::super::seal::{BLOCK_BYTES, Sealer};
    use super::*;
    use std::io::Write;

    fn file(blocks: usize, flip: Option<usize>) -> (Bytes, Sealed) {
        let mut file = vec![];
        let mut sealer = Sealer::new(&mut file);
        sealer.write_all(&vec![5; blocks * BLOCK_BYTES]).unwrap();
        sealer.finish(&[]).unwrap();
        flip.into_iter().for_each(|at| file[at] ^= 1);
        let sealed = Sealed::of(&file, 0).unwrap();
        (Bytes::copy_of(&file), sealed)
    }

    #[test]
    fn every_block_is_looked_at() {
        for flip in [None, Some(0), Some(BLOCK_BYTES), Some(5 * BLOCK_BYTES - 1)] {
            let (bytes, sealed) = file(5, flip);
            assert_eq!(Verification::begin(bytes, sealed).finish(|| false), Some(flip.is_none()), "{flip:?}");
        }
        let (bytes, sealed) = file(0, None);
        assert_eq!(Verification::begin(bytes, sealed).finish(|| false), Some(true));
    }

    #[test]
    fn without_threads_whoever_waits_does_the_work_and_can_stop() {
        let (bytes, sealed) = file(5, Some(4 * BLOCK_BYTES));
        let shared = Shared { file: bytes, sealed, next: AtomicUsize::new(0), damaged: AtomicBool::new(false) };
        let mut alone = Verification { shared: Arc::new(shared), threads: vec![] };
        assert_eq!(alone.finish(|| true), None, "cancelled");
        assert_eq!(alone.finish(|| false), Some(false), "and goes on from there");
    }
}
