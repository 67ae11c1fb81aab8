//! Large memory in large pages.

use std::io;
use std::ops::Range;

use memmap2::MmapMut;

/// Bytes of a large page, and what the memory starts on.
const LARGE_PAGE: usize = 2 << 20;

/// A multiple of the page sizes that systems have: 4 KiB, 16 KiB, 64 KiB.
const SYSTEM_PAGE: usize = 64 << 10;

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
    /// The operating system's error when the mapping fails; [`io::ErrorKind::OutOfMemory`] where its size overflows.
    pub(crate) fn new(len: usize) -> io::Result<LargePages> {
        let whole = len.checked_add(LARGE_PAGE).ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
        let map = MmapMut::map_anon(whole)?;
        // Only a hint: if it is refused, the memory is just slower.
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

    /// Returns the memory of a range to the system, except for the pages at its ends that it shares with other bytes. Afterwards
    /// each byte of the range is zero or unchanged.
    pub(crate) fn give_back(&mut self, range: Range<usize>) {
        let (first, end) = (range.start.next_multiple_of(SYSTEM_PAGE), range.end.min(self.len) / SYSTEM_PAGE * SYSTEM_PAGE);
        if first < end {
            self.advise_unused(self.start + first, end - first);
        }
    }

    #[cfg(unix)]
    fn advise_unused(&mut self, start: usize, len: usize) {
        // SAFETY: the map is private and of no file, and borrowed exclusively: nobody holds a reference into it, and every byte that
        // comes back is zero or unchanged, which is a valid byte either way. A refusal changes nothing.
        let _ = unsafe { self.map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, start, len) };
    }

    #[cfg(not(unix))]
    fn advise_unused(&mut self, _: usize, _: usize) {}

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map[self.start..][..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.map[self.start..][..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_ends_at_its_range() {
        let page = SYSTEM_PAGE;
        for range in [0..4 * page, page / 2..3 * page, page..2 * page + 1, 10..page - 10, 2 * page..2 * page, 3 * page..9 * page]
        {
            let mut memory = LargePages::new(4 * page).unwrap();
            memory.bytes_mut().fill(7);
            memory.give_back(range.clone());
            let outside = memory.bytes().iter().enumerate().filter(|(at, _)| !range.contains(at));
            assert!(outside.into_iter().all(|(_, &byte)| byte == 7), "{range:?}");
            memory.bytes_mut().fill(9);
            assert!(memory.bytes().iter().all(|&byte| byte == 9), "{range:?} is written again");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_given_back_is_gone() {
        let mut memory = LargePages::new(4 * SYSTEM_PAGE).unwrap();
        memory.bytes_mut().fill(7);
        memory.give_back(SYSTEM_PAGE..3 * SYSTEM_PAGE);
        assert!(memory.bytes()[SYSTEM_PAGE..3 * SYSTEM_PAGE].iter().all(|&byte| byte == 0));
    }
}
