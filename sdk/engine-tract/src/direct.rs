//! The direct executor, for programs all of whose operators are ours: runs the list from top to bottom, with recycled buffers.

use crate::execution::ExecutionContext;
use crate::memory::Lifetimes;
use crate::verify::Verified;
use kinglet_engine::{CancelToken, EngineError};

/// The buffers of one runner.
#[derive(Default)]
pub(crate) struct DirectExecutor {
    /// By value: its buffer, until its last reader has run.
    live: Vec<Option<Vec<f32>>>,
    free: Vec<Vec<f32>>,
    /// By value: the last step that reads it.
    last_reader: Vec<usize>,
}

impl DirectExecutor {
    pub(crate) fn new(program: &Verified) -> Self {
        let Lifetimes { last_reader, .. } = Lifetimes::of(program);
        Self { live: vec![None; program.values], free: vec![], last_reader }
    }

    /// Drops the buffers.
    pub(crate) fn trim(&mut self) {
        self.free = vec![];
    }

    /// Runs the step that `execution` has laid out; appends the logits, `[picked, vocab]`, to `logits`.
    ///
    /// # Errors
    /// [`EngineError::Cancelled`] between two operators after `cancel` was raised, or what an operator failed with.
    pub(crate) fn run(
        &mut self,
        program: &Verified,
        execution: &mut ExecutionContext,
        cancel: &CancelToken,
        logits: &mut Vec<f32>,
    ) -> Result<(), EngineError> {
        let result = self.steps(program, execution, cancel);
        if result.is_ok() {
            logits.extend_from_slice(self.live[program.logits].as_deref().unwrap_or_default());
        }
        let left = self.live.iter_mut().filter_map(Option::take);
        self.free.extend(left);
        result
    }

    fn steps(&mut self, program: &Verified, execution: &mut ExecutionContext, cancel: &CancelToken) -> Result<(), EngineError> {
        for (i, step) in program.steps.iter().enumerate() {
            if cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let rows = execution.rows_of(program.type_of(step.outputs[0]).rows);
            let mut made: [Vec<f32>; 2] = Default::default();
            for buffer in made.iter_mut().take(step.outputs.len()) {
                *buffer = self.free.pop().unwrap_or_default();
                buffer.resize(rows * step.width, 0.0);
            }
            {
                let mut inputs = [&[][..]; 3];
                for (slot, &v) in inputs.iter_mut().zip(&step.inputs) {
                    *slot = self.live[v].as_deref().unwrap_or_default();
                }
                let [first, second] = &mut made;
                let mut outputs = [first.as_mut_slice(), second.as_mut_slice()];
                execution.execute(program, i, &inputs[..step.inputs.len()], &mut outputs[..step.outputs.len()])?;
            }
            for (buffer, &v) in made.into_iter().zip(&step.outputs) {
                self.live[v] = Some(buffer);
            }
            let dead = step.inputs.iter().chain(&step.outputs).filter(|&&v| self.last_reader[v] <= i);
            let dead: [Option<usize>; 5] = {
                let mut d = dead.copied();
                std::array::from_fn(|_| d.next())
            };
            for v in dead.into_iter().flatten() {
                self.free.extend(self.live[v].take());
            }
        }
        Ok(())
    }
}
