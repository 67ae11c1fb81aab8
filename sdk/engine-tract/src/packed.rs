//! A model's packed weights: made once, before the first step, and shared by all its runners.

use crate::failure::backend_error;
use crate::program::{Part, Program};
use kinglet_engine::{CancelToken, EngineError, Proof, SharedBytes, WeightStorage};
use kinglet_kernels::{Isa, Matrix, PackedWeights, Pool, ShapeError};
use std::fmt;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The packed weights, once the first runner that asks for them has made them.
#[derive(Debug, Default)]
pub(crate) struct PackedSlot(Mutex<Held>);

#[derive(Default)]
struct Held {
    packed: Option<Arc<PackedWeights>>,
    /// The check of restored weights, until it is run before their first use.
    proof: Option<Proof>,
}

impl Held {
    /// Drops restored weights that are not what was saved.
    fn prove(&mut self, cancel: &CancelToken) -> Result<(), EngineError> {
        if let Some(proof) = &mut self.proof {
            if !proof(cancel)? {
                self.packed = None;
            }
            self.proof = None;
        }
        Ok(())
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("packed", &self.packed).field("proven", &self.proof.is_none()).finish()
    }
}

impl PackedSlot {
    /// The packed weights; made now if they are not there yet, or are restored ones that are not what was saved. `progress`
    /// is called with the fraction of the weights that is done.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`], and [`EngineError::Backend`] where the system refuses the memory.
    pub(crate) fn get(
        &self,
        program: &Program,
        pool: &Pool,
        cancel: &CancelToken,
        progress: &mut dyn FnMut(f32),
    ) -> Result<Arc<PackedWeights>, EngineError> {
        let mut kept = self.kept();
        kept.prove(cancel)?;
        if let Some(packed) = &kept.packed {
            return Ok(packed.clone());
        }
        let parts: Vec<&Part> = program.parts().collect();
        let matrices = matrices(program)?;
        let total: usize = parts.iter().map(|part| part.weight.n() * part.weight.k()).sum();
        let mut done = 0;
        let made = PackedWeights::new(pool, &matrices, |index, rows| {
            let weight = &parts[index].weight;
            done += rows.len() * weight.k();
            // The bytes in the file are not read again: never two copies in memory.
            weight.release(rows);
            progress(done as f32 / total as f32);
            if cancel.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        // Reading a page maps those around it, which may have been given back already.
        parts.iter().for_each(|part| part.weight.release(0..part.weight.n()));
        let packed = Arc::new(made.map_err(|e| backend_error(None, e))?.ok_or(EngineError::Cancelled)?);
        Ok(kept.packed.insert(packed).clone())
    }

    fn kept(&self) -> MutexGuard<'_, Held> {
        // Only what is whole is ever stored, so a lock poisoned by a panic elsewhere is still good.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there are packed weights, made or restored.
    pub(crate) fn is_there(&self) -> bool {
        self.kept().packed.is_some()
    }

    /// The packed weights if they were made, or restored and found to be what was saved.
    pub(crate) fn proven(&self) -> Option<Arc<PackedWeights>> {
        let kept = self.kept();
        kept.packed.clone().filter(|_| kept.proof.is_none())
    }

    /// Drops weights that were made; those in a mapped file stay, since the system can reclaim their memory by itself. Runners that
    /// hold them keep them. Returns whether they were dropped.
    pub(crate) fn let_go(&self) -> bool {
        self.kept().packed.take_if(|packed| packed.is_own()).is_some()
    }

    /// Takes saved weights for the packed ones, once `proof` has vouched for them.
    ///
    /// # Errors
    /// [`EngineError::SavedWeights`] where they are of other matrices.
    pub(crate) fn restore(&self, program: &Program, saved: SharedBytes, proof: Proof) -> Result<(), EngineError> {
        let restored = PackedWeights::restore(Isa::best(), &matrices(program)?, saved);
        let restored = restored.map_err(|error| EngineError::SavedWeights(error.to_string()))?;
        *self.kept() = Held { packed: Some(Arc::new(restored)), proof: Some(proof) };
        Ok(())
    }
}

/// The weights of all products, by the numbers of their parts.
fn matrices(program: &Program) -> Result<Vec<Matrix<'_>>, EngineError> {
    let matrices: Result<_, ShapeError> = program.parts().map(|part| part.weight.matrix()).collect();
    matrices.map_err(|e| backend_error(None, e))
}

/// Bytes of the products' weights once they are packed: those without tiles stay in the file.
pub(crate) fn packed_bytes(program: &Program) -> u64 {
    let bytes = |part: &Part| {
        let tiles = part.weight.matrix().ok().and_then(|matrix| PackedWeights::bytes_needed(Isa::best(), &matrix));
        tiles.map_or(part.weight.bytes(), |bytes| bytes as u64)
    };
    program.parts().map(bytes).sum()
}

/// Whether weights of `bytes` are to be packed: where that is asked for, or left to the engine and the system has twice as much
/// memory available, or does not tell.
pub(crate) fn wanted(storage: WeightStorage, bytes: u64) -> bool {
    match storage {
        WeightStorage::Packed => true,
        WeightStorage::InPlace => false,
        WeightStorage::Auto => available_bytes().is_none_or(|available| bytes <= available / 2),
    }
}

/// Memory that new work can have, as Linux and Android tell it.
fn available_bytes() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}
