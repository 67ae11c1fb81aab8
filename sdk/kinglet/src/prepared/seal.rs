//! The seal of a file of prepared weights: checksums that are written behind what was saved, and what they are read for.
//!
//! ```text
//! head    what was saved    XXH3-64 of each MiB of it [blocks]    its bytes u64    XXH3-64 of head, checksums and bytes [8]
//! ```
//!
//! Numbers are little-endian. The last checksum vouches for the others, so that each block can be checked by itself.

use std::hash::Hasher;
use std::io::{self, Write};
use std::ops::Range;
use twox_hash::XxHash3_64;

/// Bytes that have a checksum of their own.
pub(super) const BLOCK_BYTES: usize = 1 << 20;
const CHECKSUM_BYTES: usize = size_of::<u64>();
/// Bytes behind the block checksums: the length, and the checksum of head and seal.
const END_BYTES: usize = 2 * CHECKSUM_BYTES;

/// Passes on what it is given, and remembers the checksums of its blocks.
pub(super) struct Sealer<'a> {
    out: &'a mut dyn Write,
    checksums: Vec<u64>,
    /// Of the block that has begun, and how much of it there is.
    hash: XxHash3_64,
    begun: usize,
    bytes: u64,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Sealer<'a> {
        Sealer { out, checksums: vec![], hash: XxHash3_64::new(), begun: 0, bytes: 0 }
    }

    /// Writes the seal of what has passed, behind `head` and it.
    ///
    /// # Errors
    /// Those of what it writes to.
    pub(super) fn finish(mut self, head: &[u8]) -> io::Result<()> {
        if self.begun > 0 {
            self.end_block();
        }
        let mut seal: Vec<u8> = self.checksums.iter().flat_map(|checksum| checksum.to_le_bytes()).collect();
        seal.extend(self.bytes.to_le_bytes());
        seal.extend(sum_of(head, &seal).to_le_bytes());
        self.out.write_all(&seal)
    }

    fn end_block(&mut self) {
        let hash = std::mem::replace(&mut self.hash, XxHash3_64::new());
        self.checksums.push(hash.finish());
        self.begun = 0;
    }
}

impl Write for Sealer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(BLOCK_BYTES - self.begun)];
        let written = self.out.write(piece)?;
        Hasher::write(&mut self.hash, &piece[..written]);
        self.begun += written;
        self.bytes += written as u64;
        if self.begun == BLOCK_BYTES {
            self.end_block();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Where things are in a sealed file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sealed {
    /// Byte range of the saved content.
    pub(super) saved: Range<usize>,
    /// The checksums of its blocks.
    checksums: Range<usize>,
}

impl Sealed {
    /// Reads the seal of a file with a head of `head_bytes`; `None` where it is not the one that was written. The content is
    /// not read.
    pub(super) fn of(file: &[u8], head_bytes: usize) -> Option<Sealed> {
        let end = file.len().checked_sub(END_BYTES)?;
        let bytes = usize::try_from(number(file, end)?).ok()?;
        let saved = head_bytes..head_bytes.checked_add(bytes)?;
        let checksums = saved.end..saved.end.checked_add(bytes.div_ceil(BLOCK_BYTES).checked_mul(CHECKSUM_BYTES)?)?;
        if checksums.end != end {
            return None;
        }
        let sum = sum_of(&file[..head_bytes], &file[checksums.start..end + CHECKSUM_BYTES]);
        (number(file, end + CHECKSUM_BYTES)? == sum).then_some(Sealed { saved, checksums })
    }

    /// The number of blocks.
    pub(super) fn blocks(&self) -> usize {
        self.checksums.len() / CHECKSUM_BYTES
    }

    /// Whether a block of `file` is what was saved. It reads a MiB, and takes some 0.1 ms.
    pub(super) fn is_sound(&self, file: &[u8], block: usize) -> bool {
        let start = self.saved.start + block * BLOCK_BYTES;
        let bytes = file.get(start..self.saved.end.min(start + BLOCK_BYTES));
        let expected = number(file, self.checksums.start + block * CHECKSUM_BYTES);
        bytes.is_some_and(|bytes| expected == Some(XxHash3_64::oneshot(bytes)))
    }
}

fn sum_of(head: &[u8], seal: &[u8]) -> u64 {
    let mut hash = XxHash3_64::new();
    Hasher::write(&mut hash, head);
    Hasher::write(&mut hash, seal);
    hash.finish()
}

fn number(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"a head";

    fn sealed(saved: &[u8]) -> Vec<u8> {
        let mut file = HEAD.to_vec();
        let mut sealer = Sealer::new(&mut file);
        // In pieces that are no parts of a block.
        saved.chunks(300_001).for_each(|piece| sealer.write_all(piece).unwrap());
        sealer.finish(HEAD).unwrap();
        file
    }

    /// Whether nothing is wrong with a file.
    fn is_whole(file: &[u8]) -> bool {
        Sealed::of(file, HEAD.len())
            .is_some_and(|sealed| file.starts_with(HEAD) && (0..sealed.blocks()).all(|block| sealed.is_sound(file, block)))
    }

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|at| (at * 7 + at / 251 + at / 65_537) as u8).collect()
    }

    #[test]
    fn what_was_sealed_is_whole_whatever_its_length() {
        for count in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES] {
            let saved = bytes(count);
            let file = sealed(&saved);
            let seal = Sealed::of(&file, HEAD.len()).unwrap();
            assert_eq!((&file[seal.saved.clone()], seal.blocks()), (&saved[..], count.div_ceil(BLOCK_BYTES)));
            assert!(is_whole(&file), "{count}");
        }
    }

    #[test]
    fn no_flipped_bit_cut_or_addition_goes_unnoticed() {
        let file = sealed(&bytes(40));
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut flipped = file.clone();
                flipped[at] ^= 1 << bit;
                assert!(!is_whole(&flipped), "bit {bit} of byte {at}");
            }
            assert!(!is_whole(&file[..at]), "cut at {at}");
        }
        assert!(!is_whole(&[&file[..], &[0]].concat()));
        assert!(is_whole(&file));
    }

    #[test]
    fn blocks_that_changed_places_are_noticed() {
        let file = sealed(&bytes(2 * BLOCK_BYTES));
        let mut swapped = file.clone();
        let (first, second) = swapped[HEAD.len()..].split_at_mut(BLOCK_BYTES);
        first.swap_with_slice(&mut second[..BLOCK_BYTES]);
        assert!(is_whole(&file) && !is_whole(&swapped));
    }

    /// Damages of the kinds that disks, copies and other programs do: flipped bits, zeros, cuts, pages that changed places, pages
    /// of another file.
    fn damaged(file: &[u8], case: usize) -> Vec<u8> {
        const PAGE: usize = 4096;
        let mut damaged = file.to_vec();
        let at = case.wrapping_mul(4_294_967_291) % (file.len() - 2 * PAGE);
        match case % 5 {
            0 => damaged[at] ^= 1 << (case / 5 % 8),
            1 => damaged[at..(at + 65_536).min(file.len())].fill(0),
            2 => damaged.truncate(at),
            3 => {
                let (first, second) = damaged.split_at_mut(file.len() / 2);
                let at = at % (first.len() - PAGE);
                first[at..at + PAGE].swap_with_slice(&mut second[..PAGE]);
            }
            _ => damaged[at..at + PAGE].copy_from_slice(&sealed(&bytes(2 * PAGE))[PAGE / 2..][..PAGE]),
        }
        damaged
    }

    #[test]
    fn of_three_hundred_damages_three_hundred_are_noticed() {
        let file = sealed(&bytes(2 * BLOCK_BYTES + 12_345));
        let changed: Vec<Vec<u8>> = (0..300).map(|case| damaged(&file, case)).collect();
        assert!(changed.iter().all(|damaged| *damaged != file));
        assert_eq!(changed.iter().filter(|damaged| !is_whole(damaged)).count(), 300);
        assert!(is_whole(&file));
    }
}
