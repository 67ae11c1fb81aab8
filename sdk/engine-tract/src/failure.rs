//! Errors of the layers below the engine contract: tract, the kernels and the system.

use kinglet_engine::EngineError;
use std::error::Error;

/// The engine's name in `--engine` and in errors.
pub(crate) const NAME: &str = "tract";

/// The error for what tract, a kernel or the system refused; `node` is the label of the step that ran.
pub(crate) fn backend_error(node: Option<&str>, source: impl Into<Box<dyn Error + Send + Sync>>) -> EngineError {
    EngineError::Backend { engine: NAME, node: node.map(str::to_owned), source: source.into() }
}
