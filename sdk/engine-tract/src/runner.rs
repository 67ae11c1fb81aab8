//! The engine's runner: keeps the contract of [`Runner`].

use crate::cache::{Caches, PAGE};
use crate::direct::DirectExecutor;
use crate::execution::ExecutionContext;
use crate::memory::step_bytes;
use crate::packed::PackedSlot;
use crate::plan::State;
use crate::profile::Profile;
use crate::verify::Verified;
use kinglet_engine::{
    CacheId, CancelToken, EngineError, Logits, ModelInfo, OperatorTime, Runner, SequenceStep, TracedValue, Trim, check_step,
};
use kinglet_guard::room;
use std::io::{Read, Write};
use std::sync::Arc;

/// The executor of the program: a tract plan, or the direct executor.
pub(crate) enum Executor {
    Tract(Box<State>),
    Direct(DirectExecutor),
}

pub(crate) struct TractRunner {
    pub(crate) info: Arc<ModelInfo>,
    pub(crate) program: Arc<Verified>,
    pub(crate) execution: ExecutionContext,
    pub(crate) executor: Executor,
    pub(crate) context: usize,
    /// Where packed weights are to come from; `None` where they are read in place.
    pub(crate) packed_slot: Option<Arc<PackedSlot>>,
    /// Whether weights may be read in place after all where the memory for packed ones is refused.
    pub(crate) may_stay_in_place: bool,
    /// The last step's logits, `[rows, vocab]`.
    pub(crate) logits: Vec<f32>,
    /// Rows, and rows with logits, of the largest step that there was room for.
    pub(crate) known_room: (usize, usize),
}

/// Pages that hold `sequences` full sequences, and one each for the page that a fork copies.
pub(crate) fn pages_for(context: usize, sequences: usize) -> usize {
    sequences * (context.div_ceil(PAGE) + 1)
}

impl TractRunner {
    fn caches(&mut self) -> &mut Caches {
        &mut self.execution.caches
    }

    /// Makes sure that there is room for a step before it takes any memory, where it is larger than those before: kernels and tract
    /// cannot be told that the system refuses.
    fn check_room(&mut self, sequences: &[SequenceStep<'_>]) -> Result<(), EngineError> {
        let rows = sequences.iter().map(|s| s.tokens.len()).sum::<usize>();
        let picked = sequences.iter().map(|s| s.logits.rows(s.tokens.len())).sum::<usize>();
        if rows > self.known_room.0 || picked > self.known_room.1 {
            let (rows, picked) = (rows.max(self.known_room.0), picked.max(self.known_room.1));
            let direct = matches!(self.executor, Executor::Direct(_));
            room::check("a step of the model", step_bytes(&self.program, rows, picked, direct))?;
            self.known_room = (rows, picked);
        }
        Ok(())
    }

    fn run(&mut self, cancel: &CancelToken) -> Result<(), EngineError> {
        match &mut self.executor {
            Executor::Tract(state) => state.run(&self.program, &mut self.execution, cancel, &mut self.logits),
            Executor::Direct(direct) => direct.run(&self.program, &mut self.execution, cancel, &mut self.logits),
        }
    }
}

impl Runner for TractRunner {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn context(&self) -> usize {
        self.context
    }

    fn prepare(&mut self, cancel: &CancelToken, progress: &mut dyn FnMut(f32)) -> Result<(), EngineError> {
        if let (Some(packed_slot), None) = (&self.packed_slot, &self.execution.packed) {
            match packed_slot.get(&self.program, self.execution.pool(), cancel, progress) {
                Ok(packed) => self.execution.packed = Some(packed),
                Err(refused @ EngineError::Backend { .. }) if self.may_stay_in_place => {
                    log::warn!("weights are read in place: {refused}");
                    self.packed_slot = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn trim(&mut self, depth: Trim) {
        self.logits = vec![];
        self.known_room = (0, 0);
        self.execution.trim();
        match &mut self.executor {
            Executor::Tract(state) => state.trim(),
            Executor::Direct(direct) => direct.trim(),
        }
        if depth < Trim::Weights {
            return;
        }
        if self.packed_slot.as_ref().is_some_and(|packed_slot| packed_slot.let_go()) {
            self.execution.packed = None;
        }
        self.program.parts().for_each(|part| part.weight.release(0..part.weight.n()));
    }

    fn start_profile(&mut self) {
        self.execution.profile = Some(Profile::default());
    }

    fn take_profile(&mut self) -> Vec<OperatorTime> {
        self.execution.profile.take().map_or(vec![], Profile::finish)
    }

    fn start_trace(&mut self) {
        self.execution.trace = Some(vec![]);
    }

    fn take_trace(&mut self) -> Vec<TracedValue> {
        self.execution.trace.take().unwrap_or_default()
    }

    fn create_cache(&mut self) -> Result<CacheId, EngineError> {
        Ok(self.caches().create())
    }

    fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        self.caches().fork(cache)
    }

    fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        self.caches().truncate(cache, len)
    }

    fn release(&mut self, cache: CacheId) {
        self.caches().release(cache);
    }

    fn cache_len(&self, cache: CacheId) -> Result<usize, EngineError> {
        Ok(self.execution.caches.get(cache)?.len)
    }

    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        self.execution.caches.save(cache, len, out)
    }

    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        let context = self.context;
        self.caches().restore(context, source)
    }

    fn kv_bytes(&self) -> usize {
        self.execution.caches.bytes()
    }

    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError> {
        check_step(sequences, self.info.vocab, self.context, |c| self.cache_len(c))?;
        self.prepare(cancel, &mut |_| {})?;
        self.check_room(sequences)?;
        self.logits.clear();
        let result = self.execution.begin(sequences).and_then(|()| self.run(cancel));
        self.execution.end(sequences, result.is_ok());
        result.map(|()| Logits::new(self.info.vocab, &self.logits))
    }
}
