//! The engine's runner: keeps the contract of [`Runner`].

use crate::cache::{Caches, PAGE};
use crate::memory::step_bytes;
use crate::plan::State;
use crate::profile::Profile;
use crate::resident::Residence;
use crate::run::Machine;
use crate::verify::Verified;
use crate::walk::Walk;
use kinglet_engine::{
    CacheId, CancelToken, EngineError, Logits, ModelInfo, OperatorTime, Runner, SequenceStep, TracedValue, Trim, check_step,
};
use kinglet_guard::room;
use std::io::{Read, Write};
use std::sync::Arc;

/// Who walks the list of operators.
pub(crate) enum Executor {
    Tract(Box<State>),
    Walk(Walk),
}

pub(crate) struct TractRunner {
    pub(crate) info: Arc<ModelInfo>,
    pub(crate) program: Arc<Verified>,
    pub(crate) machine: Machine,
    pub(crate) executor: Executor,
    pub(crate) context: usize,
    /// Where resident weights are to come from; `None` where they are read in place.
    pub(crate) residence: Option<Arc<Residence>>,
    /// Whether weights may be read in place after all where the memory for resident ones is refused.
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
        &mut self.machine.caches
    }

    /// Makes sure that there is room for a step before it takes any memory, where it is larger than those before: kernels and tract
    /// cannot be told that the system refuses.
    fn check_room(&mut self, sequences: &[SequenceStep<'_>]) -> Result<(), EngineError> {
        let rows = sequences.iter().map(|s| s.tokens.len()).sum::<usize>();
        let picked = sequences.iter().map(|s| s.logits.rows(s.tokens.len())).sum::<usize>();
        if rows > self.known_room.0 || picked > self.known_room.1 {
            let (rows, picked) = (rows.max(self.known_room.0), picked.max(self.known_room.1));
            let walked = matches!(self.executor, Executor::Walk(_));
            room::check("a step of the model", step_bytes(&self.program, rows, picked, walked))?;
            self.known_room = (rows, picked);
        }
        Ok(())
    }

    fn run(&mut self, cancel: &CancelToken) -> Result<(), EngineError> {
        match &mut self.executor {
            Executor::Tract(state) => state.run(&self.program, &mut self.machine, cancel, &mut self.logits),
            Executor::Walk(walk) => walk.run(&self.program, &mut self.machine, cancel, &mut self.logits),
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
        if let (Some(residence), None) = (&self.residence, &self.machine.resident) {
            match residence.get(&self.program, self.machine.pool(), cancel, progress) {
                Ok(resident) => self.machine.resident = Some(resident),
                Err(refused @ EngineError::Backend { .. }) if self.may_stay_in_place => {
                    log::warn!("weights are read in place: {refused}");
                    self.residence = None;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn trim(&mut self, depth: Trim) {
        self.logits = vec![];
        self.known_room = (0, 0);
        self.machine.trim();
        match &mut self.executor {
            Executor::Tract(state) => state.trim(),
            Executor::Walk(walk) => walk.trim(),
        }
        if depth < Trim::Weights {
            return;
        }
        if self.residence.as_ref().is_some_and(|residence| residence.let_go()) {
            self.machine.resident = None;
        }
        self.program.parts().for_each(|part| part.weight.release(0..part.weight.n()));
    }

    fn start_profile(&mut self) {
        self.machine.profile = Some(Profile::default());
    }

    fn take_profile(&mut self) -> Vec<OperatorTime> {
        self.machine.profile.take().map_or(vec![], Profile::finish)
    }

    fn start_trace(&mut self) {
        self.machine.trace = Some(vec![]);
    }

    fn take_trace(&mut self) -> Vec<TracedValue> {
        self.machine.trace.take().unwrap_or_default()
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
        Ok(self.machine.caches.get(cache)?.len)
    }

    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        self.machine.caches.save(cache, len, out)
    }

    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        let context = self.context;
        self.caches().restore(context, source)
    }

    fn kv_bytes(&self) -> usize {
        self.machine.caches.bytes()
    }

    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError> {
        check_step(sequences, self.info.vocab, self.context, |c| self.cache_len(c))?;
        self.prepare(cancel, &mut |_| {})?;
        self.check_room(sequences)?;
        self.logits.clear();
        let result = self.machine.begin(sequences).and_then(|()| self.run(cancel));
        self.machine.end(sequences, result.is_ok());
        result.map(|()| Logits::new(self.info.vocab, &self.logits))
    }
}
