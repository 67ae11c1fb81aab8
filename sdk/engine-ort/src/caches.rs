//! Sequences, and the tensors that hold their keys and values.
//!
//! A [`Block`] holds the keys and values of one or more sequences, a row each: for every layer two tensors
//! `[rows, kv_heads, capacity, dim]`. A run of the session takes one block whole, so that sequences that step together share
//! one, and are copied together when they begin to. A fork holds the row of its origin until one of them grows.

use crate::failure::{NAME, backend_error};
use crate::signature::{Element, LayerShape, Signature, Storage};
use kinglet_engine::{CacheFormat, CacheId, EngineError, KvType, check_save, check_truncate, read_saved, write_saved};
use ort::memory::Allocator;
use ort::session::IoBinding;
use ort::value::{DynTensor, TensorElementType};
use std::collections::HashMap;
use std::io::{Read, Write};

/// Capacities are multiples of this many positions where one buffer is past and present.
const STEP: usize = 64;

/// Where a sequence's keys and values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Home {
    pub(crate) block: u64,
    pub(crate) row: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    /// Positions held.
    pub(crate) len: usize,
    /// `None` before the first position.
    pub(crate) home: Option<Home>,
}

/// The keys and values of some sequences.
pub(crate) struct Block {
    /// As [`Signature::kv`]: `[rows, kv_heads, capacity, dim]`.
    pub(crate) tensors: Vec<DynTensor>,
    pub(crate) capacity: usize,
    /// The binding that reads and writes these tensors, once there is one.
    pub(crate) binding: Option<IoBinding>,
    /// How many sequences hold each row.
    holders: Vec<u32>,
}

impl Block {
    fn is_held(&self) -> bool {
        self.holders.iter().any(|holders| *holders > 0)
    }
}

/// Layout of one tensor of keys or values in a block.
#[derive(Clone, Copy, Debug)]
struct Plane {
    heads: usize,
    /// Bytes of one position of one head.
    stride: usize,
}

/// All sequences of a runner.
pub(crate) struct Caches {
    sequences: HashMap<CacheId, Sequence>,
    blocks: HashMap<u64, Block>,
    planes: Vec<Plane>,
    layers: Vec<LayerShape>,
    element: Element,
    /// Whether each step makes tensors of exactly the length that is held.
    exact: bool,
    position_bytes: usize,
    budget_bytes: usize,
    context: usize,
    next_id: u64,
}

impl Caches {
    pub(crate) fn new(signature: &Signature, context: usize, sequences: usize) -> Caches {
        let planes =
            signature.kv.iter().map(|kv| Plane { heads: kv.heads, stride: kv.dim * signature.element.bytes() }).collect();
        Caches {
            sequences: HashMap::new(),
            blocks: HashMap::new(),
            planes,
            layers: signature.layers(),
            element: signature.element,
            exact: signature.storage == Storage::Growing,
            position_bytes: signature.position_bytes(),
            budget_bytes: budget_bytes(signature.position_bytes(), context, sequences),
            context,
            next_id: 0,
        }
    }

    pub(crate) fn create(&mut self) -> CacheId {
        self.insert(Sequence::default())
    }

    pub(crate) fn get(&self, cache: CacheId) -> Result<&Sequence, EngineError> {
        self.sequences.get(&cache).ok_or(EngineError::UnknownCache(cache))
    }

    pub(crate) fn block_mut(&mut self, block: u64) -> Option<&mut Block> {
        self.blocks.get_mut(&block)
    }

    /// A sequence that holds the same row, until either grows.
    pub(crate) fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        let sequence = self.get(cache)?.clone();
        self.hold(sequence.home);
        Ok(self.insert(sequence))
    }

    pub(crate) fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        check_truncate(self.get(cache)?.len, len)?;
        self.undo(cache, len);
        Ok(())
    }

    pub(crate) fn release(&mut self, cache: CacheId) {
        if let Some(sequence) = self.sequences.remove(&cache) {
            self.let_go(sequence.home);
        }
    }

    /// Takes a sequence back to `len` positions after a step that failed: what was written behind them does not count.
    pub(crate) fn undo(&mut self, cache: CacheId, len: usize) {
        self.set_len(cache, len);
        if len == 0 {
            let home = self.sequences.get_mut(&cache).and_then(|sequence| sequence.home.take());
            self.let_go(home);
        }
    }

    /// Sets a sequence's length after a step.
    pub(crate) fn set_len(&mut self, cache: CacheId, len: usize) {
        if let Some(sequence) = self.sequences.get_mut(&cache) {
            sequence.len = len;
        }
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> usize {
        self.blocks.values().map(|block| self.block_bytes(block.holders.len(), block.capacity)).sum()
    }

    /// The block whose rows are exactly these sequences, in this order, with room for `more` positions each; made by copying
    /// where there is none.
    ///
    /// # Errors
    /// [`EngineError::CacheFull`], [`EngineError::Backend`] where the memory is refused; no sequence has moved then.
    pub(crate) fn gather(&mut self, caches: &[CacheId], more: usize) -> Result<u64, EngineError> {
        let longest = caches
            .iter()
            .map(|cache| self.get(*cache).map(|s| s.len))
            .try_fold(0, |longest, len| Ok::<_, EngineError>(longest.max(len?)))?;
        if let Some(block) = self.together(caches, longest, more)? {
            return Ok(block);
        }
        let wanted = if self.exact { longest } else { longest + more };
        let capacity = self.affordable(caches.len(), caches, wanted, if self.exact { longest + more } else { wanted })?;
        let mut block = self.allocate(caches.len(), capacity)?;
        for (row, cache) in caches.iter().enumerate() {
            let Sequence { len, home } = self.get(*cache)?.clone();
            if let Some((from, home)) = home.and_then(|home| Some((self.blocks.get(&home.block)?, home))) {
                for ((plane, from_tensor), to) in self.planes.iter().zip(&from.tensors).zip(&mut block.tensors) {
                    copy_row(*plane, len, (bytes(from_tensor)?, from.capacity, home.row), (bytes_mut(to)?, capacity, row));
                }
            }
        }
        Ok(self.settle(block, caches))
    }

    /// Makes what a step gave the home of the sequences that it was given.
    ///
    /// # Errors
    /// [`EngineError::Backend`] where the tensors are not of the expected shape.
    pub(crate) fn replace(&mut self, caches: &[CacheId], capacity: usize, tensors: Vec<DynTensor>) -> Result<(), EngineError> {
        for (plane, tensor) in self.planes.iter().zip(&tensors) {
            let element = self.element.bytes();
            let wanted = [caches.len(), plane.heads, capacity, plane.stride / element].map(|dim| dim as i64);
            if tensor.shape().iter().ne(&wanted) || bytes(tensor)?.len() != caches.len() * plane.heads * capacity * plane.stride {
                return Err(backend_error(format!("keys or values are of shape {:?}, not {wanted:?}", tensor.shape())));
            }
        }
        let block = Block { tensors, capacity, binding: None, holders: vec![0; caches.len()] };
        self.settle(block, caches);
        Ok(())
    }

    /// The block that these sequences already are, if it can be used as it is.
    fn together(&self, caches: &[CacheId], longest: usize, more: usize) -> Result<Option<u64>, EngineError> {
        let first = self.get(caches[0])?;
        let Some((id, block)) = first.home.and_then(|home| Some((home.block, self.blocks.get(&home.block)?))) else {
            return Ok(None);
        };
        let fits = if self.exact { block.capacity == longest } else { block.capacity >= longest + more };
        if !fits || block.holders.len() != caches.len() {
            return Ok(None);
        }
        for (row, cache) in caches.iter().enumerate() {
            // A row that is written in place must belong to this sequence alone.
            if self.get(*cache)?.home != Some(Home { block: id, row }) || !self.exact && block.holders[row] != 1 {
                return Ok(None);
            }
        }
        Ok(Some(id))
    }

    /// A block and a row in it, for sorting.
    pub(crate) fn row(&self, cache: CacheId) -> (u64, usize) {
        let home = self.sequences.get(&cache).and_then(|sequence| sequence.home);
        home.map_or((0, 0), |home| (home.block, home.row))
    }

    /// A capacity of at least `wanted` for a block of `rows`, with some room to grow where that can be had; `most` is what will be
    /// there after the step, and `caches` move into the block.
    fn affordable(&self, rows: usize, caches: &[CacheId], wanted: usize, most: usize) -> Result<usize, EngineError> {
        let mut leaving: HashMap<u64, u32> = HashMap::new();
        for home in caches.iter().filter_map(|cache| self.sequences.get(cache)?.home) {
            *leaving.entry(home.block).or_default() += 1;
        }
        let stays = |(id, block): (&u64, &Block)| {
            let held: u32 = block.holders.iter().sum();
            if leaving.get(id) == Some(&held) { 0 } else { self.block_bytes(block.holders.len(), block.capacity) }
        };
        let staying: usize = self.blocks.iter().map(stays).sum();
        let fits = |capacity: usize| staying.saturating_add(self.block_bytes(rows, capacity)) <= self.budget_bytes;
        if self.exact {
            return if fits(most) { Ok(wanted) } else { Err(self.full()) };
        }
        let roomy = (wanted + (wanted / 4).max(STEP)).next_multiple_of(STEP).min(self.context.next_multiple_of(STEP)).max(wanted);
        [roomy, wanted.next_multiple_of(STEP), wanted].into_iter().find(|capacity| fits(*capacity)).ok_or_else(|| self.full())
    }

    fn full(&self) -> EngineError {
        EngineError::CacheFull { budget_bytes: self.budget_bytes }
    }

    fn block_bytes(&self, rows: usize, capacity: usize) -> usize {
        rows.saturating_mul(capacity).saturating_mul(self.position_bytes)
    }

    fn allocate(&self, rows: usize, capacity: usize) -> Result<Block, EngineError> {
        let (allocator, element) = (Allocator::default(), element_type(self.element));
        let dim = |plane: &Plane| plane.stride / self.element.bytes();
        let tensor = |plane: &Plane| DynTensor::new(&allocator, element, [rows, plane.heads, capacity, dim(plane)]);
        let tensors = self.planes.iter().map(tensor).collect::<ort::Result<_>>().map_err(backend_error)?;
        Ok(Block { tensors, capacity, binding: None, holders: vec![0; rows] })
    }

    /// Moves sequences into the rows of a block.
    fn settle(&mut self, block: Block, caches: &[CacheId]) -> u64 {
        let id = self.next();
        self.blocks.insert(id, block);
        for (row, cache) in caches.iter().enumerate() {
            let home = Some(Home { block: id, row });
            self.hold(home);
            let left = self.sequences.get_mut(cache).and_then(|sequence| std::mem::replace(&mut sequence.home, home));
            self.let_go(left);
        }
        id
    }

    fn hold(&mut self, home: Option<Home>) {
        if let Some((home, block)) = home.and_then(|home| Some((home, self.blocks.get_mut(&home.block)?))) {
            block.holders[home.row] += 1;
        }
    }

    fn let_go(&mut self, home: Option<Home>) {
        let Some(home) = home else { return };
        if let Some(block) = self.blocks.get_mut(&home.block) {
            block.holders[home.row] -= 1;
            if !block.is_held() {
                self.blocks.remove(&home.block);
            }
        }
    }

    fn insert(&mut self, sequence: Sequence) -> CacheId {
        let id = CacheId(self.next());
        self.sequences.insert(id, sequence);
        id
    }

    fn next(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn format(&self) -> CacheFormat {
        CacheFormat {
            engine: NAME,
            version: 1,
            kv_type: match self.element {
                Element::Float32 => KvType::Float32,
                Element::Float16 => KvType::Float16,
            },
            page_positions: 1,
            layers: self.layers.iter().map(|layer| [layer.kv_heads, layer.key_dim, layer.value_dim].map(|n| n as u32)).collect(),
        }
    }

    /// Writes the first `len` positions of a sequence: the format, then layer by layer its keys and its values,
    /// `[kv_heads, len, dim]`.
    pub(crate) fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        let sequence = self.get(cache)?;
        check_save(sequence.len, len)?;
        self.format().write(len, out)?;
        let Some((block, home)) = sequence.home.and_then(|home| Some((self.blocks.get(&home.block)?, home))) else {
            return Ok(());
        };
        for (plane, tensor) in self.planes.iter().zip(&block.tensors) {
            let all = bytes(tensor)?;
            for head in 0..plane.heads {
                let start = (home.row * plane.heads + head) * block.capacity * plane.stride;
                write_saved(&all[start..][..len * plane.stride], out)?;
            }
        }
        Ok(())
    }

    /// A sequence with what [`save`](Self::save) wrote.
    pub(crate) fn restore(&mut self, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        let len = self.format().read(source)?;
        if len > self.context {
            return Err(EngineError::ContextFull { needed: len, context: self.context });
        }
        let capacity = self.affordable(1, &[], len, len)?;
        let mut block = self.allocate(1, capacity)?;
        for (plane, tensor) in self.planes.iter().zip(&mut block.tensors) {
            let all = bytes_mut(tensor)?;
            for head in 0..plane.heads {
                let start = head * capacity * plane.stride;
                read_saved(&mut all[start..][..len * plane.stride], source)?;
            }
        }
        let cache = self.create();
        self.settle(block, &[cache]);
        self.set_len(cache, len);
        Ok(cache)
    }
}

pub(crate) fn element_type(element: Element) -> TensorElementType {
    match element {
        Element::Float32 => TensorElementType::Float32,
        Element::Float16 => TensorElementType::Float16,
    }
}

/// Bytes that all keys and values of a runner may take.
pub(crate) fn budget_bytes(position_bytes: usize, context: usize, sequences: usize) -> usize {
    sequences.saturating_mul(context.next_multiple_of(STEP)).saturating_mul(position_bytes)
}

/// Copies the first `len` positions of a row: `from` and `to` are bytes, capacity and row.
fn copy_row(plane: Plane, len: usize, from: (&[u8], usize, usize), to: (&mut [u8], usize, usize)) {
    for head in 0..plane.heads {
        let start = |capacity: usize, row: usize| (row * plane.heads + head) * capacity * plane.stride;
        let (source, target) = (start(from.1, from.2), start(to.1, to.2));
        to.0[target..][..len * plane.stride].copy_from_slice(&from.0[source..][..len * plane.stride]);
    }
}

fn bytes(tensor: &DynTensor) -> Result<&[u8], EngineError> {
    if tensor.shape().num_elements() == 0 {
        return Ok(&[]);
    }
    match tensor.data_type() {
        TensorElementType::Float16 => tensor.try_extract_tensor::<half::f16>().map(|(_, values)| bytemuck::cast_slice(values)),
        _ => tensor.try_extract_tensor::<f32>().map(|(_, values)| bytemuck::cast_slice(values)),
    }
    .map_err(backend_error)
}

fn bytes_mut(tensor: &mut DynTensor) -> Result<&mut [u8], EngineError> {
    if tensor.shape().num_elements() == 0 {
        return Ok(&mut []);
    }
    match tensor.data_type() {
        TensorElementType::Float16 => {
            tensor.try_extract_tensor_mut::<half::f16>().map(|(_, values)| bytemuck::cast_slice_mut(values))
        }
        _ => tensor.try_extract_tensor_mut::<f32>().map(|(_, values)| bytemuck::cast_slice_mut(values)),
    }
    .map_err(backend_error)
}
