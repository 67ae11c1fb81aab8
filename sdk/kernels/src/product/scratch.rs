//! Scratch buffers of the kernels.

use super::quantise::{FORMS, QuantisedRows};
use crate::attention::Plan;
use crate::lines::Buffer;
use crate::pool::PerWorker;

/// Scratch buffers of the kernels. They grow to the largest step and are reused: a step like one before it allocates nothing.
#[derive(Debug, Default)]
pub struct Scratch {
    /// The input of a product as int8, one for each form that weights may ask for.
    pub(super) quantised: [QuantisedRows; FORMS],
    workers: Vec<WorkerScratch>,
    attention: Plan,
}

/// Scratch buffers of one worker thread.
#[derive(Debug, Default)]
pub(crate) struct WorkerScratch {
    /// Unpacked weights.
    pub(super) tile: Buffer,
    /// The gate's product `[m, columns of an item]`.
    pub(super) gate: Buffer,
    /// Queries, scores and sums of an attention item.
    pub(crate) attention: Buffer,
}

impl Scratch {
    /// Empty.
    pub fn new() -> Scratch {
        Scratch::default()
    }

    /// The quantised input, and the memory of the workers of a pool of `threads`.
    pub(super) fn split(&mut self, threads: usize) -> (&[QuantisedRows; FORMS], PerWorker<'_, WorkerScratch>) {
        (&self.quantised, workers(&mut self.workers, threads))
    }

    /// The plan of an attention, and the memory of the workers of a pool of `threads`.
    pub(crate) fn split_attention(&mut self, threads: usize) -> (&mut Plan, PerWorker<'_, WorkerScratch>) {
        (&mut self.attention, workers(&mut self.workers, threads))
    }
}

fn workers(workers: &mut Vec<WorkerScratch>, threads: usize) -> PerWorker<'_, WorkerScratch> {
    if workers.len() < threads {
        workers.resize_with(threads, WorkerScratch::default);
    }
    PerWorker::new(workers)
}
