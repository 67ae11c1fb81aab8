//! Large memory in large pages.

use std::io;

use memmap2::MmapMut;

/// Bytes of a large page, and what the memory starts on.
const LARGE_PAGE: usize = 2 << 20;

/// Zeroed memory that the system may back with pages of 2 MiB: reading weights through 4 KiB pages costs up to a third of the
/// bandwidth. Where the system has no such pages it is ordinary memory.
#[derive(Debug)]
pub(crate) struct LargePages {
    map: MmapMut,
    start: usize,
    len: usize,
}

impl LargePages {
    /// `len` bytes, zero, from the start of a large page. They take memory when they are first written.
    ///
    /// # Errors
    /// What the system says when it refuses the address space.
    pub(crate) fn new(len: usize) -> io::Result<LargePages> {
        let whole = len.checked_add(LARGE_PAGE).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let map = MmapMut::map_anon(whole)?;
        // A wish: refused, the memory is as good but for its speed.
        #[cfg(target_os = "linux")]
        let _ = map.advise(memmap2::Advice::HugePage);
        let start = map.as_ptr().align_offset(LARGE_PAGE);
        Ok(LargePages { map, start, len })
    }

    /// As [`LargePages::new`], with all memory taken now: for measurements.
    ///
    /// # Errors
    /// As [`LargePages::new`].
    pub(crate) fn taken(len: usize) -> io::Result<LargePages> {
        let mut memory = LargePages::new(len)?;
        memory.bytes_mut().chunks_mut(4096).for_each(|page| page[0] = 1);
        Ok(memory)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.len]
    }
}
