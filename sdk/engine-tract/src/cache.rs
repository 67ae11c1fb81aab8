//! Sequences and their pages.
//!
//! Keys and values lie in pages of [`PAGE`] positions, for all layers at once, in one arena of fixed size. A sequence is a
//! list of pages and a length. Forking shares all pages; a page that is shared and not full is copied when one of its
//! sequences grows, so no sequence ever sees another's rows.

use crate::failure::backend_error;
use kinglet_engine::{CacheId, EngineError};
use kinglet_kernels::{KvArena, KvLayout};
use std::collections::HashMap;

/// Positions a page holds.
pub(crate) const PAGE: usize = 32;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    pub(crate) pages: Vec<u32>,
    /// Positions held.
    pub(crate) len: usize,
}

/// All sequences of a runner and the arena under them.
pub(crate) struct Caches {
    arena: KvArena,
    sequences: HashMap<CacheId, Sequence>,
    /// How many sequences hold each page; 0 for those in `free`.
    holders: Vec<u32>,
    free: Vec<u32>,
    next_id: u64,
}

impl Caches {
    /// # Errors
    /// [`EngineError::Backend`] if the system refuses the memory.
    pub(crate) fn new(layout: KvLayout, pages: usize) -> Result<Self, EngineError> {
        let arena = KvArena::new(layout, pages).map_err(|e| backend_error(None, e))?;
        let free = (0..pages as u32).rev().collect();
        Ok(Self { arena, sequences: HashMap::new(), holders: vec![0; pages], free, next_id: 0 })
    }

    /// Bytes of one number of a key or value.
    pub(crate) fn element_bytes(&self) -> usize {
        self.arena.layout().element().bytes()
    }

    pub(crate) fn create(&mut self) -> CacheId {
        self.insert(Sequence::default())
    }

    pub(crate) fn fork(&mut self, cache: CacheId) -> Result<CacheId, EngineError> {
        let sequence = self.get(cache)?.clone();
        for &page in &sequence.pages {
            self.holders[page as usize] += 1;
        }
        Ok(self.insert(sequence))
    }

    pub(crate) fn truncate(&mut self, cache: CacheId, len: usize) -> Result<(), EngineError> {
        let sequence = self.sequences.get_mut(&cache).ok_or(EngineError::UnknownCache(cache))?;
        if len > sequence.len {
            return Err(EngineError::InvalidRequest(format!("cannot truncate {} positions to {len}", sequence.len)));
        }
        sequence.len = len;
        self.trim(cache);
        Ok(())
    }

    pub(crate) fn release(&mut self, cache: CacheId) {
        if let Some(sequence) = self.sequences.remove(&cache) {
            sequence.pages.into_iter().for_each(|p| self.put_back(p));
        }
    }

    pub(crate) fn get(&self, cache: CacheId) -> Result<&Sequence, EngineError> {
        self.sequences.get(&cache).ok_or(EngineError::UnknownCache(cache))
    }

    /// The arena to write to, and the sequences whose pages say where.
    pub(crate) fn split(&mut self) -> (&mut KvArena, &HashMap<CacheId, Sequence>) {
        (&mut self.arena, &self.sequences)
    }

    /// Bytes of the pages in use.
    pub(crate) fn bytes(&self) -> usize {
        (self.holders.len() - self.free.len()) * self.arena.page_bytes()
    }

    /// Makes room for `more` positions behind each sequence's last, which nobody else can see. Lengths stay as they are.
    ///
    /// # Errors
    /// [`EngineError::CacheFull`]; no sequence has changed then.
    pub(crate) fn reserve(&mut self, wanted: impl Iterator<Item = (CacheId, usize)> + Clone) -> Result<(), EngineError> {
        for (cache, more) in wanted.clone() {
            if let Err(error) = self.reserve_one(cache, more) {
                wanted.for_each(|(c, _)| self.trim(c));
                return Err(error);
            }
        }
        Ok(())
    }

    /// The step behind a [`reserve`](Self::reserve) went well: its positions count.
    pub(crate) fn commit(&mut self, cache: CacheId, more: usize) {
        if let Some(sequence) = self.sequences.get_mut(&cache) {
            sequence.len += more;
        }
    }

    /// Gives back the pages beyond a sequence's length.
    pub(crate) fn trim(&mut self, cache: CacheId) {
        if let Some(sequence) = self.sequences.get_mut(&cache) {
            let extra = sequence.pages.split_off(sequence.len.div_ceil(PAGE).min(sequence.pages.len()));
            extra.into_iter().for_each(|p| self.put_back(p));
        }
    }

    fn reserve_one(&mut self, cache: CacheId, more: usize) -> Result<(), EngineError> {
        let (len, last) = {
            let sequence = self.get(cache)?;
            (sequence.len, sequence.pages.get(sequence.len / PAGE).copied())
        };
        // The page that the next position falls into, if it is begun and shared.
        if let Some(shared) = last.filter(|&p| self.holders[p as usize] > 1) {
            let own = self.take()?;
            self.arena.copy_page(shared, own, len % PAGE);
            self.put_back(shared);
            if let Some(sequence) = self.sequences.get_mut(&cache) {
                sequence.pages[len / PAGE] = own;
            }
        }
        while self.get(cache)?.pages.len() * PAGE < len + more {
            let page = self.take()?;
            if let Some(sequence) = self.sequences.get_mut(&cache) {
                sequence.pages.push(page);
            }
        }
        Ok(())
    }

    fn insert(&mut self, sequence: Sequence) -> CacheId {
        let id = CacheId(self.next_id);
        self.next_id += 1;
        self.sequences.insert(id, sequence);
        id
    }

    fn take(&mut self) -> Result<u32, EngineError> {
        let page =
            self.free.pop().ok_or(EngineError::CacheFull { budget_bytes: self.holders.len() * self.arena.page_bytes() })?;
        self.holders[page as usize] = 1;
        Ok(page)
    }

    fn put_back(&mut self, page: u32) {
        let holders = &mut self.holders[page as usize];
        *holders -= 1;
        if *holders == 0 {
            self.free.push(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_kernels::{KvElement, LayerKv};
    use std::collections::HashSet;

    fn caches(pages: usize) -> Caches {
        Caches::new(KvLayout::new(&[LayerKv::new(1, 16)], PAGE, KvElement::Float32).unwrap(), pages).unwrap()
    }

    fn grow(c: &mut Caches, cache: CacheId, more: usize) -> Result<(), EngineError> {
        c.reserve([(cache, more)].into_iter())?;
        c.commit(cache, more);
        Ok(())
    }

    #[test]
    fn a_fork_shares_pages_until_it_grows() {
        let mut c = caches(8);
        let a = c.create();
        grow(&mut c, a, PAGE + 3).unwrap();
        let before = c.bytes();
        let b = c.fork(a).unwrap();
        assert_eq!(c.bytes(), before, "a fork alone takes nothing");
        grow(&mut c, b, 1).unwrap();
        let (pa, pb) = (c.get(a).unwrap().pages.clone(), c.get(b).unwrap().pages.clone());
        assert_eq!(pa[0], pb[0], "the full page stays shared");
        assert_ne!(pa[1], pb[1], "the begun page is copied");
        c.release(a);
        c.release(a);
        c.release(b);
        assert_eq!(c.bytes(), 0);
    }

    #[test]
    fn a_full_arena_changes_nothing() {
        let mut c = caches(2);
        let (a, b) = (c.create(), c.create());
        grow(&mut c, a, 5).unwrap();
        assert!(matches!(c.reserve([(a, PAGE), (b, 1)].into_iter()), Err(EngineError::CacheFull { .. })));
        assert_eq!((c.get(a).unwrap().pages.len(), c.get(b).unwrap().pages.len()), (1, 0));
        grow(&mut c, b, 1).unwrap();
    }

    #[test]
    fn no_page_is_ever_written_by_two() {
        let mut c = caches(64);
        let root = c.create();
        grow(&mut c, root, 40).unwrap();
        let forks: Vec<_> = (0..4).map(|_| c.fork(root).unwrap()).collect();
        for &f in &forks {
            grow(&mut c, f, 50).unwrap();
        }
        c.truncate(forks[0], 33).unwrap();
        grow(&mut c, forks[0], 1).unwrap();
        let mut written = HashSet::new();
        for &f in &forks {
            for &page in &c.get(f).unwrap().pages[1..] {
                assert!(written.insert(page), "page {page} belongs to two sequences");
            }
        }
        assert!(c.truncate(forks[0], 35).is_err());
    }
}
