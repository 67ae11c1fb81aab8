//! Sequences and their pages.
//!
//! Keys and values lie in pages of [`PAGE`] positions, for all layers at once, in one arena of fixed size. A sequence is a
//! list of pages and a length. Forking shares all pages; a page that is shared and not full is copied when one of its
//! sequences grows, so no sequence ever sees another's rows.

use crate::failure::backend_error;
use kinglet_engine::{CacheFormat, CacheId, EngineError, KvType, check_save, check_truncate, read_saved, write_saved};
use kinglet_kernels::{KvArena, KvElement, KvLayout, LayerKv};
use std::collections::HashMap;
use std::io::{Read, Write};

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
    long_angles: bool,
}

impl Caches {
    /// `long_angles`: whether keys are turned by the angles of contexts beyond the one that a model was first made for.
    ///
    /// # Errors
    /// [`EngineError::Backend`] if the system refuses the memory.
    pub(crate) fn new(layout: KvLayout, pages: usize, long_angles: bool) -> Result<Self, EngineError> {
        let arena = KvArena::new(layout, pages).map_err(|e| backend_error(None, e))?;
        let free = (0..pages as u32).rev().collect();
        Ok(Self { arena, sequences: HashMap::new(), holders: vec![0; pages], free, next_id: 0, long_angles })
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
        check_truncate(sequence.len, len)?;
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

    /// Gives the memory of the pages that no sequence holds back to the system.
    pub(crate) fn give_back(&mut self) {
        self.arena.give_back(&self.free);
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

    /// Writes the first `len` positions of a sequence: the format, then whole pages, the last one with zeros where it holds
    /// nothing.
    ///
    /// # Errors
    /// [`EngineError::UnknownCache`], [`EngineError::InvalidRequest`], [`EngineError::Storage`].
    pub(crate) fn save(&self, cache: CacheId, len: usize, out: &mut dyn Write) -> Result<(), EngineError> {
        let sequence = self.get(cache)?;
        check_save(sequence.len, len)?;
        self.format().write(len, out)?;
        let pages = sequence.pages.iter().enumerate().take(len.div_ceil(PAGE));
        pages
            .map(|(place, &page)| (page, (len - place * PAGE).min(PAGE)))
            .try_for_each(|(page, positions)| write_saved(&self.arena.saved_page(page, positions), out))
    }

    /// A sequence with what [`save`](Self::save) wrote, of at most `context` positions.
    ///
    /// # Errors
    /// [`EngineError::SavedCache`], [`EngineError::ContextFull`], [`EngineError::CacheFull`], [`EngineError::Storage`]; no page
    /// is taken then.
    pub(crate) fn restore(&mut self, context: usize, source: &mut dyn Read) -> Result<CacheId, EngineError> {
        let len = self.format().read(source)?;
        if len > context {
            return Err(EngineError::ContextFull { needed: len, context });
        }
        let cache = self.create();
        let read = self.reserve_one(cache, len).and_then(|()| self.fill(cache, source));
        match read {
            Ok(()) => self.commit(cache, len),
            Err(_) => self.release(cache),
        }
        read.map(|()| cache)
    }

    /// Reads all pages of a sequence, which nobody shares.
    fn fill(&mut self, cache: CacheId, source: &mut dyn Read) -> Result<(), EngineError> {
        let Self { arena, sequences, .. } = self;
        let pages = sequences.get(&cache).map_or(&[][..], |sequence| &sequence.pages);
        pages.iter().try_for_each(|&page| read_saved(arena.page_bytes_mut(page), source))
    }

    fn format(&self) -> CacheFormat {
        let numbers = |layer: &LayerKv| [layer.kv_heads, layer.head_dim, layer.value_dim].map(|number| number as u32);
        CacheFormat {
            engine: crate::failure::NAME,
            // Keys that were turned otherwise are of another version.
            version: KvLayout::ORDER * 2 + u32::from(self.long_angles),
            kv_type: match self.arena.layout().element() {
                KvElement::Float32 => KvType::Float32,
                KvElement::Float16 => KvType::Float16,
            },
            page_positions: PAGE as u32,
            layers: self.arena.layout().layers().iter().map(numbers).collect(),
        }
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
    use kinglet_engine::SavedCacheError;
    use std::collections::HashSet;

    fn caches(pages: usize) -> Caches {
        Caches::new(KvLayout::new(&[LayerKv::new(1, 16)], PAGE, KvElement::Float32).unwrap(), pages, false).unwrap()
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

    fn saved(c: &Caches, cache: CacheId, len: usize) -> Vec<u8> {
        let mut bytes = vec![];
        c.save(cache, len, &mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_restored_sequence_holds_what_was_saved_and_no_more() {
        let mut c = caches(8);
        let a = c.create();
        grow(&mut c, a, 2 * PAGE + 5).unwrap();
        for &page in &c.get(a).unwrap().pages.clone() {
            c.arena.page_bytes_mut(page).fill(page as u8 + 1);
        }
        for len in [1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 5] {
            let bytes = saved(&c, a, len);
            assert_eq!(bytes.len(), c.format().bytes() + len.div_ceil(PAGE) * c.arena.page_bytes());
            let held = c.bytes();
            let b = c.restore(2 * PAGE + 5, &mut bytes.as_slice()).unwrap();
            assert_eq!((c.get(b).unwrap().len, c.get(b).unwrap().pages.len()), (len, len.div_ceil(PAGE)));
            assert_eq!(saved(&c, b, len), bytes);
            c.release(b);
            assert_eq!(c.bytes(), held);
        }
        assert_ne!(saved(&c, a, PAGE), saved(&c, a, PAGE + 1), "the comparison sees a difference");
        assert!(matches!(c.save(a, 2 * PAGE + 6, &mut vec![]), Err(EngineError::InvalidRequest(_))));
        assert!(matches!(c.save(a, 0, &mut vec![]), Err(EngineError::InvalidRequest(_))));
    }

    #[test]
    fn what_cannot_be_restored_takes_nothing() {
        let mut c = caches(4);
        let a = c.create();
        grow(&mut c, a, 2 * PAGE).unwrap();
        let (bytes, held) = (saved(&c, a, 2 * PAGE), c.bytes());
        let mut refused = |context: usize, bytes: &[u8]| {
            let error = c.restore(context, &mut &*bytes).unwrap_err();
            assert_eq!(c.bytes(), held, "{error}");
            error
        };
        assert!(matches!(refused(2 * PAGE - 1, &bytes), EngineError::ContextFull { .. }));
        assert!(matches!(refused(99, &bytes[..bytes.len() - 1]), EngineError::SavedCache(SavedCacheError::Truncated)));
        assert!(matches!(refused(99, b"something else altogether"), EngineError::SavedCache(SavedCacheError::NoSavedCache)));
        for (dim, element) in [(32, KvElement::Float32), (16, KvElement::Float16)] {
            let mut other = Caches::new(KvLayout::new(&[LayerKv::new(1, dim)], PAGE, element).unwrap(), 4, false).unwrap();
            assert!(matches!(
                other.restore(99, &mut bytes.as_slice()),
                Err(EngineError::SavedCache(SavedCacheError::Differs { .. }))
            ));
        }
        let b = c.restore(99, &mut bytes.as_slice()).unwrap();
        assert!(matches!(c.restore(99, &mut bytes.as_slice()), Err(EngineError::CacheFull { .. })));
        c.release(b);
        c.restore(99, &mut bytes.as_slice()).unwrap();
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
