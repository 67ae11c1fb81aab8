//! Runs single operators: the kernels, with all state of a step in one place.

use crate::cache::Caches;
use crate::failure::backend_error;
use crate::profile::{Call, Profile};
use crate::program::{Attention, Norm, Op, Part, Step, ValueId};
use crate::rotary::RotaryBuffer;
use crate::verify::{Element, MAX_PARTS, Rows as RowsOf, Verified};
use crate::weight::{Vector, Weight};
use kinglet_engine::{CacheId, EngineError, LogitsWanted, SequenceStep, TokenId, TracedValue};
use kinglet_kernels::{Activations, AttentionShape, HeadNorm, Linear, PackedWeights, Pool, RotaryRows, Scratch, SequenceRows};
use smallvec::SmallVec;
use std::sync::Arc;
use std::time::Instant;

/// Consecutive rows of a step that belong to one sequence.
#[derive(Clone, Copy, Debug)]
struct Rows {
    cache: CacheId,
    /// Positions the sequence holds before the step.
    past: usize,
    first: usize,
    count: usize,
}

/// Everything that operators read and write besides their inputs and outputs.
pub(crate) struct ExecutionContext {
    program: Arc<Verified>,
    pool: Pool,
    scratch: Scratch,
    activations: Activations,
    /// Quantised weights in tiles, once they are made.
    pub(crate) packed: Option<Arc<PackedWeights>>,
    /// By step: the number of the part whose weight is also that of this embedding.
    tied: Vec<Option<usize>>,
    /// Where times of operators go, while they are wanted.
    pub(crate) profile: Option<Profile>,
    /// Where values go, while they are wanted.
    pub(crate) trace: Option<Vec<TracedValue>>,
    pub(crate) caches: Caches,
    /// The step's tokens, `[rows]`.
    tokens: Vec<TokenId>,
    /// By value: the elements that it has in this step; none where it is token ids.
    lengths: Vec<usize>,
    rows: Vec<Rows>,
    /// Rows whose logits are wanted, `[picked]`.
    picked: Vec<usize>,
    /// Cosines and sines of the step's rows, one buffer for each of the program's rotary embeddings.
    rotaries: Vec<RotaryBuffer>,
    /// Positions that a sequence may have.
    context: usize,
}

impl ExecutionContext {
    /// `context`: positions that a sequence may have.
    pub(crate) fn new(program: Arc<Verified>, pool: Pool, caches: Caches, activations: Activations, context: usize) -> Self {
        let rotaries = program.rotaries.iter().map(|_| RotaryBuffer::default()).collect();
        let (tokens, lengths, rows, picked) = (vec![], vec![], vec![], vec![]);
        let tied_to = |step: &Step| match &step.op {
            Op::Embed { table, .. } => program.tied_to(table).map(|part| part.number),
            _ => None,
        };
        let tied = program.steps.iter().map(tied_to).collect();
        Self {
            program,
            pool,
            scratch: Scratch::default(),
            activations,
            packed: None,
            tied,
            profile: None,
            trace: None,
            caches,
            tokens,
            lengths,
            rows,
            picked,
            rotaries,
            context,
        }
    }

    /// Gives back what the next step takes anew as it goes.
    pub(crate) fn trim(&mut self) {
        self.scratch = Scratch::default();
        self.rotaries.fill_with(RotaryBuffer::default);
        self.caches.give_back();
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn tokens(&self) -> &[TokenId] {
        &self.tokens
    }

    pub(crate) fn picked(&self) -> usize {
        self.picked.len()
    }

    /// Lays out a step: which rows belong to which sequence, which are picked, their angles, and room in the cache.
    ///
    /// # Errors
    /// [`EngineError::CacheFull`], [`EngineError::ContextFull`].
    pub(crate) fn begin(&mut self, sequences: &[SequenceStep<'_>]) -> Result<(), EngineError> {
        self.caches.reserve(sequences.iter().map(|s| (s.cache, s.tokens.len())))?;
        self.tokens.clear();
        self.rows.clear();
        self.picked.clear();
        self.rotaries.iter_mut().for_each(RotaryBuffer::clear);
        for s in sequences {
            let (first, count, past) = (self.tokens.len(), s.tokens.len(), self.caches.get(s.cache)?.len);
            self.tokens.extend_from_slice(s.tokens);
            self.rows.push(Rows { cache: s.cache, past, first, count });
            match &s.logits {
                LogitsWanted::None => {}
                LogitsWanted::Last => self.picked.push(first + count - 1),
                LogitsWanted::All => self.picked.extend(first..first + count),
                LogitsWanted::At(at) => self.picked.extend(at.iter().map(|i| first + i)),
            }
            for (rotary, buffer) in self.program.rotaries.iter().zip(&mut self.rotaries) {
                rotary.append(past..past + count, self.context, buffer)?;
            }
        }
        let mut lengths = std::mem::take(&mut self.lengths);
        lengths.clear();
        lengths.extend(self.program.types().iter().map(|kind| match kind.element {
            Element::Token => 0,
            Element::Float32 => self.rows_of(kind.rows) * kind.width,
        }));
        self.lengths = lengths;
        Ok(())
    }

    /// Ends a step: its positions count if it went well, and leave no trace otherwise.
    pub(crate) fn end(&mut self, sequences: &[SequenceStep<'_>], done: bool) {
        for s in sequences {
            if done {
                self.caches.commit(s.cache, s.tokens.len());
            }
            self.caches.trim(s.cache);
        }
    }

    /// Rows of such a value in this step.
    pub(crate) fn rows_of(&self, rows: RowsOf) -> usize {
        match rows {
            RowsOf::All => self.tokens.len(),
            RowsOf::Picked => self.picked.len(),
        }
    }

    /// Runs one operator of the program, by its index. Inputs and outputs are `[rows, width]` of the values'
    /// types; the token ids are the step's own, and empty as an input.
    ///
    /// # Errors
    /// [`EngineError::Backend`] with the step's node, also where a buffer has another length than the program's types ask for.
    pub(crate) fn execute(
        &mut self,
        program: &Verified,
        index: usize,
        inputs: &[&[f32]],
        outputs: &mut [&mut [f32]],
    ) -> Result<(), EngineError> {
        let step = &program.steps[index];
        self.check_lengths(step, inputs, outputs)?;
        self.timed(index, step, inputs, outputs)?;
        if let Some(trace) = &mut self.trace {
            for (made, &value) in outputs.iter().zip(&step.outputs) {
                let name = program.names.get(value).cloned().flatten();
                let traced = |value| TracedValue { node: step.label.clone(), value, elements: made.to_vec() };
                trace.extend(name.map(traced));
            }
        }
        Ok(())
    }

    fn timed(&mut self, index: usize, step: &Step, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<(), EngineError> {
        if self.profile.is_none() {
            return self.run(index, step, inputs, outputs);
        }
        let began = Instant::now();
        let result = self.run(index, step, inputs, outputs);
        let time = began.elapsed();
        let positions = self.rows.iter().map(|rows| rows.past + rows.count).sum();
        let kv_bytes = self.caches.element_bytes();
        if let Some(profile) = &mut self.profile {
            let rows = outputs.first().map_or(0, |y| y.len() / step.width.max(1));
            let call = Call { rows, positions, kv_bytes, packed: self.packed.as_deref() };
            profile.add(step, call, time);
        }
        result
    }

    /// Lengths of buffers against the types that were proved: what tract made is trusted no further than that.
    fn check_lengths(&self, step: &Step, inputs: &[&[f32]], outputs: &[&mut [f32]]) -> Result<(), EngineError> {
        let length = |value: &ValueId| self.lengths[*value];
        let fits = inputs.iter().map(|x| x.len()).eq(step.inputs.iter().map(length))
            && outputs.iter().map(|y| y.len()).eq(step.outputs.iter().map(length));
        if fits { Ok(()) } else { Err(backend_error(Some(&step.label), "a buffer of another length than the operator's")) }
    }

    fn run(&mut self, index: usize, step: &Step, inputs: &[&[f32]], outputs: &mut [&mut [f32]]) -> Result<(), EngineError> {
        let done = match (&step.op, inputs, outputs) {
            (Op::Embed { table, scale }, [_], [y]) => self.embed(index, table, *scale, y),
            (Op::Norm(norm), [x], [y]) => {
                kinglet_kernels::rms_norm(&self.pool, x, norm.weight.floats(), 0.0, norm.eps, y);
                Ok(())
            }
            (Op::AddNorm(norm), [a, b], [y, sum]) => {
                kinglet_kernels::add_rms_norm(&self.pool, a, b, norm.weight.floats(), 0.0, norm.eps, y, sum);
                Ok(())
            }
            (Op::Add, [a, b], [y]) => {
                y.iter_mut().zip(a.iter().zip(*b)).for_each(|(y, (a, b))| *y = a + b);
                Ok(())
            }
            (Op::Centre, [x], [y]) => {
                for (y, x) in y.chunks_exact_mut(step.width.max(1)).zip(x.chunks_exact(step.width.max(1))) {
                    let mean = x.iter().sum::<f32>() / x.len() as f32;
                    y.iter_mut().zip(x).for_each(|(y, x)| *y = x - mean);
                }
                Ok(())
            }
            (Op::Linear(parts), [x], [y]) => self.linear(parts, x, y),
            (Op::Gated { gate, up, activation }, [x], [y]) => self.gated(gate, up, *activation, x, y),
            (Op::Attention(attention), [qkv], [y]) => self.attend(attention, qkv, y),
            (Op::Pack, parts, [y]) => {
                pack(parts, self.tokens.len(), y);
                Ok(())
            }
            (Op::PickRows, [x], [y]) => {
                let rows = y.chunks_exact_mut(step.width).zip(&self.picked);
                rows.for_each(|(y, &row)| y.copy_from_slice(&x[row * step.width..][..step.width]));
                Ok(())
            }
            (Op::Scale(factor), [x], [y]) => {
                y.iter_mut().zip(*x).for_each(|(y, x)| *y = x * factor);
                Ok(())
            }
            (Op::Softcap(cap), [x], [y]) => {
                y.iter_mut().zip(*x).for_each(|(y, x)| *y = cap * (x / cap).tanh());
                Ok(())
            }
            _ => Err("wrong number of inputs or outputs".into()),
        };
        done.map_err(|source| backend_error(Some(&step.label), source))
    }

    fn embed(&mut self, step: usize, table: &Weight, scale: f32, y: &mut [f32]) -> Done {
        // A table that is the head's weight too is read where the head is, so that it need not be in memory twice.
        let packed = self.packed.as_deref().zip(self.tied[step]).and_then(|(packed, part)| packed.matrix(part));
        let table = match packed {
            Some(table) => table,
            None => table.matrix()?,
        };
        for (y, &token) in y.chunks_exact_mut(table.k()).zip(&self.tokens) {
            table.dequantise_row(token as usize, y);
            if scale != 1.0 {
                y.iter_mut().for_each(|v| *v *= scale);
            }
        }
        Ok(())
    }

    fn linear(&mut self, parts: &[Part], x: &[f32], y: &mut [f32]) -> Done {
        let mut linears = [const { None }; MAX_PARTS];
        for (slot, part) in linears.iter_mut().zip(parts) {
            *slot = Some(linear_of(part, self.packed.as_deref())?);
        }
        match linears {
            [Some(a), None, None] => kinglet_kernels::linear(&self.pool, &mut self.scratch, &[a], x, y, self.activations),
            [Some(a), Some(b), None] => kinglet_kernels::linear(&self.pool, &mut self.scratch, &[a, b], x, y, self.activations),
            [Some(a), Some(b), Some(c)] => {
                kinglet_kernels::linear(&self.pool, &mut self.scratch, &[a, b, c], x, y, self.activations)
            }
            _ => return Err("a product without a weight".into()),
        }
        Ok(())
    }

    fn gated(&mut self, gate: &Part, up: &Part, activation: kinglet_kernels::GateActivation, x: &[f32], y: &mut [f32]) -> Done {
        let packed = self.packed.as_deref();
        let (gate, up) = (linear_of(gate, packed)?, linear_of(up, packed)?);
        kinglet_kernels::gated(&self.pool, &mut self.scratch, gate, up, activation, x, y, self.activations);
        Ok(())
    }

    fn attend(&mut self, a: &Attention, qkv: &[f32], y: &mut [f32]) -> Done {
        let rotary = a.rotary.map(|r| {
            let (rotary, buffer) = (&self.program.rotaries[r], &self.rotaries[r]);
            RotaryRows { cos: &buffer.cos, sin: &buffer.sin, rotary_dim: rotary.half() * 2, interleaved: rotary.interleaved }
        });
        let shape = AttentionShape {
            layer: a.layer,
            q_heads: a.q_heads,
            scale: a.scale,
            softcap: a.softcap,
            window: a.window,
            q_norm: a.q_norm.as_ref().map(head_norm),
            k_norm: a.k_norm.as_ref().map(head_norm),
            norm_after_rotation: a.norm_after_rotation,
            rotary,
        };
        let (arena, sequences) = self.caches.split();
        let run = |r: &Rows| {
            sequences.get(&r.cache).map(|s| SequenceRows { pages: &s.pages, past: r.past, first_row: r.first, rows: r.count })
        };
        let runs: SmallVec<[SequenceRows<'_>; FEW_RUNS]> = self.rows.iter().filter_map(run).collect();
        kinglet_kernels::attention(&self.pool, &mut self.scratch, &shape, arena, &runs, qkv, y);
        Ok(())
    }
}

/// Sequences of a step whose list lies on the stack: with more, a step takes memory from the allocator.
const FEW_RUNS: usize = 8;

type Done = Result<(), Box<dyn std::error::Error + Send + Sync>>;

fn linear_of<'a>(part: &'a Part, packed: Option<&'a PackedWeights>) -> Result<Linear<'a>, kinglet_kernels::ShapeError> {
    let weight = match packed.and_then(|packed| packed.matrix(part.number)) {
        Some(weight) => weight,
        None => part.weight.matrix()?,
    };
    Ok(Linear { weight, bias: part.bias.as_ref().map(Vector::floats) })
}

fn head_norm(norm: &Norm) -> HeadNorm<'_> {
    HeadNorm { weight: norm.weight.floats(), offset: 0.0, eps: norm.eps }
}

/// Columns side by side: each of `parts` is `[rows, its width]`.
fn pack(parts: &[&[f32]], rows: usize, y: &mut [f32]) {
    let widths: Vec<usize> = parts.iter().map(|p| p.len() / rows.max(1)).collect();
    let total: usize = widths.iter().sum();
    for (row, y) in y.chunks_exact_mut(total.max(1)).enumerate() {
        let mut at = 0;
        for (part, width) in parts.iter().zip(&widths) {
            y[at..at + width].copy_from_slice(&part[row * width..][..*width]);
            at += width;
        }
    }
}
