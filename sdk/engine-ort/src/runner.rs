//! The engine's runner: a step becomes one run of the session, or several.

use crate::caches::{Caches, element_type};
use crate::failure::backend_error;
use crate::mapped::MappedSession;
use crate::signature::{ExtraInput, LogitRows, Signature, Storage};
use crate::watch::Watch;
use kinglet_engine::{CacheId, CancelToken, EngineError, Logits, ModelInfo, Runner, SequenceStep, TokenId, check_step};
use kinglet_guard::room;
use ort::memory::{Allocator, MemoryInfo};
use ort::session::{IoBinding, RunOptions};
use ort::value::{DynTensor, DynTensorValueType, Tensor, TensorElementType};
use std::io::{Read, Write};
use std::ops::Range;
use std::sync::Arc;

pub(crate) struct OrtRunner {
    pub(crate) info: Arc<ModelInfo>,
    pub(crate) signature: Arc<Signature>,
    /// The input that says which rows get logits, where the graph was given one.
    pub(crate) rows_input: Option<String>,
    pub(crate) context: usize,
    pub(crate) caches: Caches,
    pub(crate) options: Arc<RunOptions>,
    pub(crate) watch: Watch,
    /// The last run's logits as the library gives them, kept for runs of the same shape.
    pub(crate) given: Option<DynTensor>,
    /// The last step's logits, `[rows, vocab]`.
    pub(crate) logits: Vec<f32>,
    pub(crate) session: MappedSession,
}

/// A part of a step that is one run: as many tokens of each of these sequences.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    /// Places in the step's list of sequences.
    members: Vec<usize>,
    /// Which of each one's tokens.
    tokens: Range<usize>,
}

impl OrtRunner {
    /// Parts of a step: sequences that one run can serve together, others by themselves.
    fn plan(&self, sequences: &[SequenceStep<'_>]) -> Result<Vec<Run>, EngineError> {
        let mut runs: Vec<(Option<(usize, usize)>, Run)> = vec![];
        for (place, sequence) in sequences.iter().enumerate() {
            let (past, count) = (self.caches.get(sequence.cache)?.len, sequence.tokens.len());
            for tokens in self.pieces(sequence) {
                let whole = tokens.len() == count;
                let key = together(self.signature.storage, past, count).filter(|_| whole && !self.signature.mixes_rows);
                match runs.iter_mut().find(|(other, _)| key.is_some() && *other == key) {
                    Some((_, run)) => run.members.push(place),
                    None => runs.push((key, Run { members: vec![place], tokens })),
                }
            }
        }
        Ok(runs.into_iter().map(|(_, run)| run).collect())
    }

    /// The tokens of a sequence in pieces, each of which gives all logits that are wanted of it.
    fn pieces(&self, sequence: &SequenceStep<'_>) -> Vec<Range<usize>> {
        let count = sequence.tokens.len();
        if self.signature.logit_rows == LogitRows::All {
            return std::iter::once(0..count).collect();
        }
        // The graph gives the last position's logits alone, so that each wanted one ends a piece.
        let ends = sequence.logits.indices(count).into_iter().map(|index| index + 1);
        let (mut pieces, mut start) = (vec![], 0);
        for end in ends.chain([count]).filter(|end| *end > 0) {
            if end > start {
                pieces.push(start..end);
                start = end;
            }
        }
        pieces
    }

    /// Runs a part of a step and puts its logits where they belong; `starts` are the places of each sequence's rows.
    fn run(
        &mut self,
        sequences: &[SequenceStep<'_>],
        run: &Run,
        starts: &[usize],
        cancel: &CancelToken,
    ) -> Result<(), EngineError> {
        let (signature, rows_input) = (self.signature.clone(), self.rows_input.clone());
        let more = run.tokens.len();
        // In the order of their rows, if they are rows of one block already.
        let mut members = run.members.clone();
        members.sort_by_key(|place| self.caches.row(sequences[*place].cache));
        let caches: Vec<CacheId> = members.iter().map(|place| sequences[*place].cache).collect();
        let pasts = caches.iter().map(|cache| self.cache_len(*cache)).collect::<Result<Vec<_>, _>>()?;
        let tokens: Vec<&[TokenId]> = members.iter().map(|place| &sequences[*place].tokens[run.tokens.clone()]).collect();
        let wanted = wanted_rows(members.iter().map(|place| &sequences[*place]), &run.tokens);
        let rows = match (signature.logit_rows, &rows_input) {
            (LogitRows::Last, _) => vec![more - 1],
            (LogitRows::All, Some(_)) => wanted,
            (LogitRows::All, None) => (0..more).collect(),
        };
        let block = self.caches.gather(&caches, more)?;
        let mut given = self.take_logits([caches.len(), rows.len(), signature.vocab])?;
        let inputs =
            Inputs { signature: &signature, rows_input: rows_input.as_deref(), pasts: &pasts, tokens: &tokens, rows: &rows };
        let outputs = self.run_block(block, &inputs, &mut given, cancel)?;
        for (row, place) in members.iter().enumerate() {
            let from = row * rows.len();
            self.place_logits(&given, from, &rows, &sequences[*place], &run.tokens, starts[*place])?;
        }
        if rows.len() * caches.len() * signature.vocab * size_of::<f32>() <= KEPT_LOGITS_BYTES {
            self.given = Some(given);
        }
        if let Some(tensors) = outputs {
            self.caches.replace(&caches, pasts[0] + more, tensors)?;
        }
        caches.iter().zip(&pasts).for_each(|(cache, past)| self.caches.set_len(*cache, past + more));
        Ok(())
    }

    /// Copies what a sequence wants of a run's logits: `given` has its `rows` from row `from` on; ours begin at row `start`.
    fn place_logits(
        &mut self,
        given: &DynTensor,
        from: usize,
        rows: &[usize],
        sequence: &SequenceStep<'_>,
        tokens: &Range<usize>,
        start: usize,
    ) -> Result<(), EngineError> {
        let wanted = sequence.logits.indices(sequence.tokens.len());
        for (index, position) in wanted.iter().enumerate().filter(|(_, position)| tokens.contains(position)) {
            if let Ok(row) = rows.binary_search(&(position - tokens.start)) {
                copy_logits(given, from + row, self.signature.vocab, &mut self.logits, start + index)?;
            }
        }
        Ok(())
    }

    /// A tensor for logits: the last one where it has the shape.
    fn take_logits(&mut self, shape: [usize; 3]) -> Result<DynTensor, EngineError> {
        let wanted = shape.map(|dim| dim as i64);
        if let Some(given) = self.given.take().filter(|given| given.shape().iter().eq(&wanted)) {
            return Ok(given);
        }
        DynTensor::new(&Allocator::default(), element_type(self.signature.logits_element), shape).map_err(backend_error)
    }

    /// Binds a block and the inputs of a run, runs, and gives the new keys and values where the graph makes new ones.
    fn run_block(
        &mut self,
        id: u64,
        inputs: &Inputs<'_>,
        given: &mut DynTensor,
        cancel: &CancelToken,
    ) -> Result<Option<Vec<DynTensor>>, EngineError> {
        let signature = inputs.signature;
        let shared = matches!(signature.storage, Storage::Shared { .. });
        let block = self.caches.block_mut(id).ok_or_else(|| backend_error("the keys and values of a step are not there"))?;
        let mut binding = match block.binding.take() {
            Some(binding) => binding,
            None => {
                let mut binding = self.session.binding().map_err(backend_error)?;
                bind_past(&mut binding, signature, &mut block.tensors, shared).map_err(backend_error)?;
                binding
            }
        };
        inputs.bind(&mut binding).map_err(backend_error)?;
        if !shared {
            let memory = MemoryInfo::default();
            signature.kv.iter().try_for_each(|kv| binding.bind_output_to_device(&kv.present, &memory)).map_err(backend_error)?;
        }
        binding.bind_output::<DynTensorValueType, _>(&signature.logits, given).map_err(backend_error)?;
        let tensors = self.run_bound(&binding, signature, shared, cancel)?;
        if shared && let Some(block) = self.caches.block_mut(id) {
            block.binding = Some(binding);
        }
        Ok(tensors)
    }

    fn run_bound(
        &mut self,
        binding: &IoBinding,
        signature: &Signature,
        shared: bool,
        cancel: &CancelToken,
    ) -> Result<Option<Vec<DynTensor>>, EngineError> {
        if cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
        }
        self.options.unterminate().map_err(backend_error)?;
        let watched = self.watch.watch(cancel, &self.options);
        let ran = self.session.run(binding, &self.options);
        drop(watched);
        let mut outputs = match ran {
            Ok(outputs) => outputs,
            Err(_) if cancel.is_cancelled() => return Err(EngineError::Cancelled),
            Err(error) => return Err(backend_error(error)),
        };
        if shared {
            return Ok(None);
        }
        let present = |name: &String| {
            let value = outputs.remove(name).ok_or_else(|| backend_error(format!("no output `{name}`")))?;
            value.downcast::<DynTensorValueType>().map_err(backend_error)
        };
        signature.kv.iter().map(|kv| &kv.present).map(present).collect::<Result<_, EngineError>>().map(Some)
    }
}

/// A tensor for logits that takes more is not kept from one run to the next.
const KEPT_LOGITS_BYTES: usize = 16 << 20;

/// Which sequences may share a run: those with the same key; `None` is a run of its own.
fn together(storage: Storage, past: usize, count: usize) -> Option<(usize, usize)> {
    match storage {
        Storage::Growing => Some((past, count)),
        // GroupQueryAttention takes several tokens of several sequences only where they are the first.
        Storage::Shared { .. } if past == 0 && count > 1 => Some((0, count)),
        Storage::Shared { ragged: true } if count == 1 => Some((usize::MAX, 1)),
        Storage::Shared { ragged: false } if count == 1 => Some((past, 1)),
        Storage::Shared { .. } => None,
    }
}

/// The rows of a run that any of its sequences wants logits of, ascending; the last where none wants any, since the graph's
/// head gives at least one.
fn wanted_rows<'a, 's: 'a>(sequences: impl Iterator<Item = &'a SequenceStep<'s>>, tokens: &Range<usize>) -> Vec<usize> {
    let indices = sequences.flat_map(|sequence| sequence.logits.indices(sequence.tokens.len()));
    let mut rows: Vec<usize> = indices.filter(|index| tokens.contains(index)).map(|index| index - tokens.start).collect();
    rows.sort_unstable();
    rows.dedup();
    if rows.is_empty() {
        rows.push(tokens.len() - 1);
    }
    rows
}

/// The small inputs of a run.
struct Inputs<'a> {
    signature: &'a Signature,
    rows_input: Option<&'a str>,
    /// Positions that each sequence holds.
    pasts: &'a [usize],
    /// The tokens of each, all of one number.
    tokens: &'a [&'a [TokenId]],
    /// The rows that get logits.
    rows: &'a [usize],
}

impl Inputs<'_> {
    fn bind(&self, binding: &mut IoBinding) -> ort::Result<()> {
        let (batch, count) = (self.tokens.len(), self.tokens[0].len());
        let ids = self.tokens.iter().flat_map(|tokens| tokens.iter().map(|token| i64::from(*token))).collect();
        bind_integers(binding, &self.signature.input_ids, vec![batch, count], ids)?;
        let total = self.pasts.iter().max().map_or(0, |past| past + count);
        if let Some(name) = &self.signature.attention_mask {
            // A sequence shorter than others has its positions first and zeros behind them.
            let mask = self.pasts.iter().flat_map(|past| (0..total).map(move |position| i64::from(position < past + count)));
            bind_integers(binding, name, vec![batch, total], mask.collect())?;
        }
        if let Some(name) = &self.signature.position_ids {
            let positions = self.pasts.iter().flat_map(|past| (0..count).map(move |row| (past + row) as i64));
            bind_integers(binding, name, vec![batch, count], positions.collect())?;
        }
        if let Some(name) = self.rows_input {
            bind_integers(binding, name, vec![self.rows.len()], self.rows.iter().map(|row| *row as i64).collect())?;
        }
        for extra in &self.signature.extras {
            match extra {
                // The head picks by itself where it was given the rows; else it gives all.
                ExtraInput::LogitsToKeep { name, shape } => bind_integers(binding, name, shape.clone(), vec![count as i64])?,
                ExtraInput::UseCacheBranch { name } => {
                    let past = self.pasts.iter().any(|past| *past > 0);
                    binding.bind_input(name, &Tensor::<bool>::from_array((vec![1usize], vec![past]))?)?;
                }
            }
        }
        Ok(())
    }
}

fn bind_integers(binding: &mut IoBinding, name: &str, shape: Vec<usize>, values: Vec<i64>) -> ort::Result<()> {
    binding.bind_input(name, &Tensor::<i64>::from_array((shape, values))?)
}

/// Binds the keys and values of a block: as inputs, and as outputs too where one buffer is both.
fn bind_past(binding: &mut IoBinding, signature: &Signature, tensors: &mut [DynTensor], shared: bool) -> ort::Result<()> {
    for (kv, tensor) in signature.kv.iter().zip(tensors) {
        binding.bind_input(&kv.past, tensor)?;
        if shared {
            binding.bind_output::<DynTensorValueType, _>(&kv.present, tensor)?;
        }
    }
    Ok(())
}

/// Copies row `from` of the library's logits to row `to` of ours, both of `vocab` numbers.
fn copy_logits(given: &DynTensor, from: usize, vocab: usize, logits: &mut [f32], to: usize) -> Result<(), EngineError> {
    let target = &mut logits[to * vocab..][..vocab];
    if *given.data_type() == TensorElementType::Float16 {
        let (_, values) = given.try_extract_tensor::<half::f16>().map_err(backend_error)?;
        target.iter_mut().zip(&values[from * vocab..][..vocab]).for_each(|(target, value)| *target = value.to_f32());
    } else {
        let (_, values) = given.try_extract_tensor::<f32>().map_err(backend_error)?;
        target.copy_from_slice(&values[from * vocab..][..vocab]);
    }
    Ok(())
}

impl Runner for OrtRunner {
    fn info(&self) -> &ModelInfo {
        &self.info
    }

    fn context(&self) -> usize {
        self.context
    }

    fn create_cache(&mut self) -> Result<CacheId, EngineError> {
        Ok(self.caches.create())
    }

    fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        self.caches.fork(cache)
    }

    fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        self.caches.truncate(cache, len)
    }

    fn release(&mut self, cache: CacheId) {
        self.caches.release(cache);
    }

    fn cache_len(&self, cache: CacheId) -> Result<usize, EngineError> {
        Ok(self.caches.get(cache)?.len)
    }

    fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        self.caches.save(cache, len, out)
    }

    fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        self.caches.restore(source)
    }

    fn kv_bytes(&self) -> usize {
        self.caches.bytes()
    }

    fn step(&mut self, sequences: &[SequenceStep<'_>], cancel: &CancelToken) -> Result<Logits<'_>, EngineError> {
        check_step(sequences, self.info.vocab, self.context, |c| self.cache_len(c))?;
        let (mut starts, mut rows) = (Vec::with_capacity(sequences.len()), 0);
        for sequence in sequences {
            starts.push(rows);
            rows += sequence.logits.rows(sequence.tokens.len());
        }
        let lens = sequences.iter().map(|s| self.cache_len(s.cache)).collect::<Result<Vec<_>, _>>()?;
        self.logits.clear();
        room::reserve(&mut self.logits, rows * self.info.vocab, "the logits of a step")?;
        self.logits.resize(rows * self.info.vocab, 0.0);
        let runs = self.plan(sequences)?;
        if let Err(error) = runs.iter().try_for_each(|run| self.run(sequences, run, &starts, cancel)) {
            sequences.iter().zip(lens).for_each(|(s, len)| self.caches.undo(s.cache, len));
            return Err(error);
        }
        Ok(Logits::new(self.info.vocab, &self.logits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_engine::LogitsWanted;

    #[test]
    fn what_may_share_a_run() {
        struct Case(Storage, (usize, usize), (usize, usize), bool);
        let (ragged, even) = (Storage::Shared { ragged: true }, Storage::Shared { ragged: false });
        for Case(storage, one, other, shared) in [
            Case(ragged, (5, 1), (9, 1), true),
            Case(ragged, (0, 1), (9, 1), true),
            Case(ragged, (0, 7), (0, 7), true),
            Case(ragged, (0, 7), (0, 8), false),
            Case(ragged, (5, 3), (5, 3), false),
            Case(even, (5, 1), (9, 1), false),
            Case(even, (5, 1), (5, 1), true),
            Case(Storage::Growing, (5, 3), (5, 3), true),
            Case(Storage::Growing, (5, 1), (6, 1), false),
        ] {
            let [one_key, other_key] = [one, other].map(|(past, count)| together(storage, past, count));
            assert_eq!(one_key.is_some() && one_key == other_key, shared, "{storage:?} {one:?} {other:?}");
        }
    }

    #[test]
    fn rows_are_those_that_anyone_wants() {
        let step = |logits| SequenceStep { cache: CacheId(0), tokens: &[1, 2, 3, 4], logits };
        let both = [step(LogitsWanted::At(vec![0, 2])), step(LogitsWanted::Last)];
        assert_eq!(wanted_rows(both.iter(), &(0..4)), [0, 2, 3]);
        assert_eq!(wanted_rows(both[..1].iter(), &(1..3)), [1]);
        assert_eq!(wanted_rows([step(LogitsWanted::None)].iter(), &(0..4)), [3]);
    }
}
