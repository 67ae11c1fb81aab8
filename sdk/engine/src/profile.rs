//! Where the time of steps goes.

use std::time::Duration;

/// All calls of operators of one kind and shape since profiling began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperatorTime {
    /// The operator and its shape, such as `linear 896 -> 1152`.
    pub operator: String,
    /// How often it ran.
    pub calls: u64,
    /// Wall-clock time of all calls, each until its last thread is done.
    pub time: Duration,
    /// Bytes of weights, or of keys and values, that it read at least.
    pub bytes: u64,
    /// Multiplications and additions of its products.
    pub operations: u64,
}
