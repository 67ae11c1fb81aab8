//! Where a model's time goes, and what the machine could do at most.

use crate::{Error, Model};
use kinglet_kernels::{Pool, Roofline};
use serde::Serialize;
use std::time::Duration;

/// All calls of a model's operators of one kind and shape while a profile was taken.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OperatorProfile {
    /// The operator and its shape, such as `linear 896 -> 1152`.
    pub operator: String,
    /// How often it ran.
    pub calls: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// Bytes of weights, or of keys and values, that it read at least.
    pub bytes: u64,
    /// Multiplications and additions of its products.
    pub operations: u64,
}

/// Peak memory bandwidth and int8 throughput of this machine with a number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MachineLimits {
    /// Bytes a second read from memory.
    pub read_bytes_per_second: f64,
    /// Multiplications and additions of bytes a second.
    pub int8_operations_per_second: f64,
}

impl MachineLimits {
    /// Measures for a third of a second or so, with 256 MiB of memory.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] or another where the system refuses the memory.
    pub fn measure(threads: usize) -> Result<MachineLimits, Error> {
        let limits =
            Roofline::measure(&Pool::new(threads)).map_err(|e| Error::unsupported(format!("limits cannot be measured: {e}")))?;
        let Roofline { read_bytes_per_second, int8_operations_per_second } = limits;
        Ok(MachineLimits { read_bytes_per_second, int8_operations_per_second })
    }
}

impl Model {
    /// Calls `work` and tells where its time went: the operators, the longest first, and all that `work` took. Other threads that
    /// use the model meanwhile are timed with it. A system's model tells of
    /// no operators.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn profile<E>(&self, work: impl FnOnce() -> Result<(), E>) -> Result<(Vec<OperatorProfile>, Duration), E> {
        let began = std::time::Instant::now();
        let Ok(local) = self.local() else { return work().map(|()| (vec![], began.elapsed())) };
        local.generator.start_profile();
        let result = work();
        let took = began.elapsed();
        let mut operators: Vec<OperatorProfile> = local
            .generator
            .take_profile()
            .into_iter()
            .map(|timed| OperatorProfile {
                operator: timed.operator,
                calls: timed.calls,
                seconds: timed.time.as_secs_f64(),
                bytes: timed.bytes,
                operations: timed.operations,
            })
            .collect();
        operators.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
        result.map(|()| (operators, took))
    }
}
