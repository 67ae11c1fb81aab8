//! An engine without a network, for the tests of everything above the contract.
//!
//! The logits of a position are a pure function of the tokens up to it ([`FakeModel::logits`]), so a test can say what must
//! come out. It keeps the contract to the letter and can be told to fail at a given step.

use crate::{
    CacheFormat, CacheId, CancelToken, EngineError, KvType, Logits, MemoryEstimate, Model, ModelInfo, Precision, Runner,
    RunnerOptions, SequenceStep, TokenId, Trim, check_save, check_step, check_truncate, read_saved, write_saved,
};
use std::collections::HashMap;
use std::io::{Read, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// Maps the tokens so far, `[positions]`, to the logits of the next one, `[vocab]`.
pub type LogitsFn = dyn Fn(&[TokenId]) -> Vec<f32> + Send + Sync;

/// Counters and injected faults, for tests to read and set; shared by all runners of a [`FakeModel`].
#[derive(Default)]
pub struct FakeControl {
    steps: AtomicUsize,
    tokens: AtomicUsize,
    trims: Mutex<Vec<Trim>>,
    fail_at: Mutex<Option<usize>>,
    cancel_at: Mutex<Option<(usize, CancelToken)>>,
}

impl FakeControl {
    /// Steps begun so far.
    pub fn steps(&self) -> usize {
        self.steps.load(Ordering::SeqCst)
    }

    /// Tokens fed so far in steps that ended well: what prefix reuse saves.
    pub fn tokens(&self) -> usize {
        self.tokens.load(Ordering::SeqCst)
    }

    /// The arguments of all calls of [`Runner::trim`], in order.
    pub fn trims(&self) -> Vec<Trim> {
        self.trims.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// The step with this number (from 0) fails with [`EngineError::Backend`], once.
    pub fn fail_at(&self, step: usize) {
        *self.fail_at.lock().unwrap_or_else(|e| e.into_inner()) = Some(step);
    }

    /// Raises `token` while the step with this number (from 0) is running.
    pub fn cancel_at(&self, step: usize, token: CancelToken) {
        *self.cancel_at.lock().unwrap_or_else(|e| e.into_inner()) = Some((step, token));
    }
}

/// A model whose logits are a function.
pub struct FakeModel {
    info: ModelInfo,
    logits: Arc<LogitsFn>,
    control: Arc<FakeControl>,
}

impl FakeModel {
    /// A model with `vocab` tokens; `logits` must return `vocab` values.
    pub fn new(vocab: usize, max_context: usize, logits: impl Fn(&[TokenId]) -> Vec<f32> + Send + Sync + 'static) -> Self {
        let info = ModelInfo {
            engine: "fake",
            vocab,
            max_context,
            layers: 1,
            weight_bytes: 0,
            precision: Precision::Float32,
            own_nodes: 0,
            foreign_ops: vec![],
        };
        Self { info, logits: Arc::new(logits), control: Arc::default() }
    }

    /// A model that continues with `script` whatever the prompt was: after `n` tokens of the script it gives token `n`
    /// a logit of 10 and all others 0, and `end` once the script is through. The script starts at `prompt_len`.
    pub fn scripted(vocab: usize, prompt_len: usize, script: Vec<TokenId>, end: TokenId) -> Self {
        Self::new(vocab, 4096, move |tokens| {
            let mut row = vec![0.0; vocab];
            let next = tokens.len().checked_sub(prompt_len).and_then(|n| script.get(n)).copied().unwrap_or(end);
            row[next as usize] = 10.0;
            row
        })
    }

    /// The logits after `tokens`, `[vocab]`: the oracle.
    pub fn logits(&self, tokens: &[TokenId]) -> Vec<f32> {
        (self.logits)(tokens)
    }

    /// The handle that watches and steers all runners.
    pub fn control(&self) -> Arc<FakeControl> {
        self.control.clone()
    }
}

impl Model for FakeModel {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn memory_estimate(&self, options: &RunnerOptions) -> MemoryEstimate {
        let per_token = size_of::<TokenId>() as u64;
        MemoryEstimate {
            kv: per_token * (options.context * options.sequences) as u64,
            kv_per_token: per_token,
            ..Default::default()
        }
    }

    fn runner(&self, options: &RunnerOptions) -> Result<Box<dyn Runner>, EngineError> {
        Ok(Box::new(FakeRunner {
            info: self.info.clone(),
            logits: self.logits.clone(),
            control: self.control.clone(),
            context: options.context.min(self.info.max_context),
            budget_tokens: options.context * options.sequences,
            caches: HashMap::new(),
            next_id: 0,
            out: vec![],
        }))
    }
}

struct FakeRunner {
    info: ModelInfo,
    logits: Arc<LogitsFn>,
    control: Arc<FakeControl>,
    context: usize,
    budget_tokens: usize,
    caches: HashMap<CacheId, Vec<TokenId>>,
    next_id: u64,
    out: Vec<f32>,
}

impl FakeRunner {
    fn insert(&mut self, tokens: Vec<TokenId>) -> CacheId {
        let id = CacheId(self.next_id);
        self.next_id += 1;
        self.caches.insert(id, tokens);
        id
    }

    fn get(&self, cache: CacheId) -> Result<&Vec<TokenId>, EngineError> {
        self.caches.get(&cache).ok_or(EngineError::UnknownCache(cache))
    }

    /// Its keys and values are the tokens; models of different vocabularies are different layouts.
    fn format(&self) -> CacheFormat {
        let layers = vec![[1, self.info.vocab as u32, 1]];
        CacheFormat { engine: "fake", version: 1, kv_type: KvType::Float32, page_positions: 1, layers }
    }

    /// Checks that `more` tokens find room.
    fn check_room(&self, more: usize) -> Result<(), EngineError> {
        if self.kv_bytes() / size_of::<TokenId>() + more > self.budget_tokens {
            return Err(EngineError::CacheFull { budget_bytes: self.budget_tokens * size_of::<TokenId>() });
        }
        Ok(())
    }

    /// Injects what a test has set for this step: a failure, or a raised token. Fails also where `cancel` is raised.
    fn interfere(&self, step: usize, cancel: &CancelToken) -> Result<(), EngineError> {
        let mut fail_at = self.control.fail_at.lock().unwrap_or_else(|e| e.into_inner());
        if fail_at.take_if(|at| *at == step).is_some() {
            return Err(EngineError::Backend { engine: "fake", node: None, source: "asked to fail".into() });
        }
        if let Some((at, token)) = &*self.control.cancel_at.lock().unwrap_or_else(|e| e.into_inner())
            && *at == step
        {
            token.cancel();
        }
        if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { Ok(()) }
    }
}

impl Runner for FakeRunner {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn context(&self) -> usize {
        self.context
    }

    fn trim(&mut self, depth: Trim) {
        self.control.trims.lock().unwrap_or_else(|e| e.into_inner()).push(depth);
    }

    fn create_cache(&mut self) -> Result<CacheId, EngineError> {
        Ok(self.insert(vec![]))
    }

    fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        let tokens = self.get(cache)?.clone();
        Ok(self.insert(tokens))
    }

    fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        let tokens = self.caches.get_mut(&cache).ok_or(EngineError::UnknownCache(cache))?;
        check_truncate(tokens.len(), len)?;
        tokens.truncate(len);
        Ok(())
    }

    fn release(&mut self, cache: CacheId) {
        self.caches.remove(&cache);
    }

    fn cache_len(&self, cache: CacheId) -> Result<usize, EngineError> {
        Ok(self.get(cache)?.len())
    }

    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        let tokens = self.get(cache)?;
        check_save(tokens.len(), len)?;
        self.format().write(len, out)?;
        let bytes: Vec<u8> = tokens[..len].iter().flat_map(|token| token.to_le_bytes()).collect();
        write_saved(&bytes, out)
    }

    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        let needed = self.format().read(source)?;
        if needed > self.context {
            return Err(EngineError::ContextFull { needed, context: self.context });
        }
        self.check_room(needed)?;
        let mut bytes = vec![0; needed * size_of::<TokenId>()];
        read_saved(&mut bytes, source)?;
        let tokens = bytes.chunks_exact(4).map(|b| TokenId::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        Ok(self.insert(tokens))
    }

    fn kv_bytes(&self) -> usize {
        self.caches.values().map(|t| t.len() * size_of::<TokenId>()).sum()
    }

    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError> {
        let step = self.control.steps.fetch_add(1, Ordering::SeqCst);
        check_step(sequences, self.info.vocab, self.context, |c| self.cache_len(c))?;
        let fed: usize = sequences.iter().map(|s| s.tokens.len()).sum();
        self.check_room(fed)?;
        self.interfere(step, cancel)?;
        self.out.clear();
        for s in sequences {
            let mut tokens = self.get(s.cache)?.clone();
            let past = tokens.len();
            tokens.extend_from_slice(s.tokens);
            for i in s.logits.indices(s.tokens.len()) {
                self.out.extend((self.logits)(&tokens[..past + i + 1]));
            }
            self.caches.insert(s.cache, tokens);
        }
        self.control.tokens.fetch_add(fed, Ordering::SeqCst);
        Ok(Logits::new(self.info.vocab, &self.out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counting() -> FakeModel {
        FakeModel::new(4, 8, |tokens| vec![tokens.len() as f32, tokens.iter().sum::<u32>() as f32, 0.0, 0.0])
    }

    #[test]
    fn logits_are_those_of_the_tokens_so_far() {
        let model = counting();
        let mut runner = model.runner(&RunnerOptions::default()).unwrap();
        let a = runner.create_cache().unwrap();
        let none = CancelToken::default();
        let step = [SequenceStep { cache: a, tokens: &[1, 2, 3], logits: crate::LogitsWanted::At(vec![0, 2]) }];
        let logits = runner.step(&step, &none).unwrap();
        assert_eq!((logits.len(), logits.row(0)[..2].to_vec(), logits.row(1)[..2].to_vec()), (2, vec![1.0, 1.0], vec![3.0, 6.0]));
    }

    #[test]
    fn a_failed_step_leaves_the_caches() {
        let model = counting();
        let mut runner = model.runner(&RunnerOptions::default()).unwrap();
        let a = runner.create_cache().unwrap();
        model.control().fail_at(0);
        let none = CancelToken::default();
        let step = [SequenceStep { cache: a, tokens: &[1], logits: crate::LogitsWanted::Last }];
        assert!(matches!(runner.step(&step, &none), Err(EngineError::Backend { .. })));
        assert_eq!(runner.cache_len(a).unwrap(), 0);
        assert!(runner.step(&step, &none).is_ok());
    }

    #[test]
    fn a_restored_cache_goes_on_as_the_saved_one() {
        let model = counting();
        let mut runner = model.runner(&RunnerOptions::default()).unwrap();
        let a = runner.create_cache().unwrap();
        let none = CancelToken::default();
        let step = |cache, tokens| [SequenceStep { cache, tokens, logits: crate::LogitsWanted::Last }];
        runner.step(&step(a, &[1, 2, 3]), &none).unwrap();
        let mut saved = vec![];
        runner.save(a, 2, &mut saved).unwrap();
        assert!(matches!(runner.save(a, 4, &mut vec![]), Err(EngineError::InvalidRequest(_))));
        let mut other = model.runner(&RunnerOptions { context: 4, sequences: 1, ..Default::default() }).unwrap();
        let b = other.restore(&mut saved.as_slice()).unwrap();
        assert_eq!(other.step(&step(b, &[3, 1]), &none).unwrap().row(0)[..2], [4.0, 7.0]);
        assert!(matches!(other.restore(&mut saved.as_slice()), Err(EngineError::CacheFull { .. })));
        let mut small = model.runner(&RunnerOptions { context: 1, ..Default::default() }).unwrap();
        assert!(matches!(small.restore(&mut saved.as_slice()), Err(EngineError::ContextFull { needed: 2, context: 1 })));
        let mut foreign = FakeModel::new(5, 8, |_| vec![0.0; 5]).runner(&RunnerOptions::default()).unwrap();
        assert!(matches!(foreign.restore(&mut saved.as_slice()), Err(EngineError::SavedCache(_))));
    }

    #[test]
    fn the_door_refuses_what_makes_no_sense() {
        let model = counting();
        let mut runner = model.runner(&RunnerOptions::default()).unwrap();
        let a = runner.create_cache().unwrap();
        let none = CancelToken::default();
        let mut try_step =
            |tokens: &[u32], logits| runner.step(&[SequenceStep { cache: a, tokens, logits }], &none).map(|_| ()).unwrap_err();
        assert!(matches!(try_step(&[], crate::LogitsWanted::None), EngineError::InvalidRequest(_)));
        assert!(matches!(try_step(&[4], crate::LogitsWanted::None), EngineError::TokenOutOfRange { token: 4, vocab: 4 }));
        assert!(matches!(try_step(&[0; 9], crate::LogitsWanted::None), EngineError::ContextFull { needed: 9, context: 8 }));
        assert!(matches!(try_step(&[0], crate::LogitsWanted::At(vec![1])), EngineError::InvalidRequest(_)));
    }
}
