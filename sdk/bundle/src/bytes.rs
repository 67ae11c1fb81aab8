//! Bytes that many may hold: a range of a mapped file, or of a small buffer.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::Arc;

use bytemuck::{AnyBitPattern, NoUninit};
use half::{bf16, f16};

use crate::error::FileError;
use crate::map::MappedFile;

/// A range of bytes of a mapped file, or of a small buffer on the heap. A clone costs one reference count.
///
/// # Alignment
///
/// ONNX promises no alignment. `raw_data` inside a `.onnx` file lies where the protobuf happened to put it; external
/// data usually starts on a page boundary, since writers follow the advice of `onnx.proto`, but a file may say
/// otherwise. So a caller has two ways to read elements wider than a byte:
///
/// - [`Bytes::as_f32`] and its kin borrow and give `None` where the address does not fit: for large weights, with a
///   fall-back that the caller chooses (a kernel that loads unaligned, or a refusal);
/// - [`Bytes::aligned_f32`] and its kin borrow where they can and copy where they must: for scales, norms, biases and
///   tables, which are small beside the weights.
///
/// Packed weights of 4 and 8 bits are read bytewise (`&[u8]` through `Deref`) and need neither.
#[derive(Clone)]
pub struct Bytes {
    source: Source,
    range: Range<usize>,
}

#[derive(Clone)]
enum Source {
    Map(Arc<MappedFile>),
    /// Words of 8 bytes, so that every element type is aligned at the start; the range cuts off the rest of the last.
    Heap(Arc<[u64]>),
}

impl Bytes {
    /// All bytes of a mapped file.
    pub(crate) fn of_map(map: Arc<MappedFile>) -> Bytes {
        let range = 0..map.bytes().len();
        Bytes { source: Source::Map(map), range }
    }

    /// A file, mapped whole: for what is read where it lies. Nobody may change it or cut it short while it is in use.
    ///
    /// # Errors
    /// [`FileError`] for a path that leads to no regular file, and for an empty one.
    pub fn map(path: &Path) -> Result<Bytes, FileError> {
        Ok(Bytes::of_map(MappedFile::open(path)?))
    }

    /// A copy of `elements` on the heap, aligned to 8 bytes.
    pub fn copy_of<T: NoUninit>(elements: &[T]) -> Bytes {
        let bytes: &[u8] = bytemuck::cast_slice(elements);
        let mut words = vec![0_u64; bytes.len().div_ceil(8)];
        bytemuck::cast_slice_mut::<u64, u8>(&mut words)[..bytes.len()].copy_from_slice(bytes);
        Bytes { source: Source::Heap(words.into()), range: 0..bytes.len() }
    }

    /// The part of these bytes that `range` names, without a copy; `None` where it is not inside.
    pub fn slice(&self, range: Range<usize>) -> Option<Bytes> {
        if range.start > range.end || range.end > self.len() {
            return None;
        }
        let start = self.range.start;
        Some(Bytes { source: self.source.clone(), range: start + range.start..start + range.end })
    }

    /// Whether the bytes are part of a mapped file; otherwise they are on the heap.
    pub fn is_mapped(&self) -> bool {
        matches!(self.source, Source::Map(_))
    }

    /// The file that the bytes are mapped from, and where in it they begin; `None` for bytes on the heap.
    pub fn place(&self) -> Option<(&Path, usize)> {
        match &self.source {
            Source::Map(map) => Some((map.path(), self.range.start)),
            Source::Heap(_) => None,
        }
    }

    /// Gives memory back that the system can read from the file again: for bytes that are not needed soon. Bytes on the heap
    /// stay.
    pub fn release(&self) {
        if let Source::Map(map) = &self.source {
            map.release(self.range.clone());
        }
    }

    /// The bytes as float32 where they are; `None` where the address or the length is no multiple of 4.
    pub fn as_f32(&self) -> Option<&[f32]> {
        self.cast()
    }

    /// The bytes as float16 where they are; `None` where the address or the length is no multiple of 2.
    pub fn as_f16(&self) -> Option<&[f16]> {
        self.cast()
    }

    /// The bytes as bfloat16 where they are; `None` where the address or the length is no multiple of 2.
    pub fn as_bf16(&self) -> Option<&[bf16]> {
        self.cast()
    }

    /// The bytes as float32, copied only where the address is no multiple of 4; `None` where the length is none.
    pub fn aligned_f32(&self) -> Option<Cow<'_, [f32]>> {
        self.aligned()
    }

    /// The bytes as float16, copied only where the address is no multiple of 2; `None` where the length is none.
    pub fn aligned_f16(&self) -> Option<Cow<'_, [f16]>> {
        self.aligned()
    }

    fn cast<T: AnyBitPattern>(&self) -> Option<&[T]> {
        bytemuck::try_cast_slice(self).ok()
    }

    fn aligned<T: AnyBitPattern>(&self) -> Option<Cow<'_, [T]>> {
        if !self.len().is_multiple_of(size_of::<T>()) {
            return None;
        }
        Some(match self.cast() {
            Some(elements) => Cow::Borrowed(elements),
            None => Cow::Owned(self.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect()),
        })
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        let all = match &self.source {
            Source::Map(map) => map.bytes(),
            Source::Heap(words) => bytemuck::cast_slice(words),
        };
        &all[self.range.clone()]
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes {}", self.len(), if self.is_mapped() { "mapped" } else { "on the heap" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heap_bytes_start_aligned_whatever_their_length() {
        for length in 0..20_u8 {
            let content: Vec<u8> = (0..length).collect();
            let bytes = Bytes::copy_of(&content);
            assert_eq!(&bytes[..], &content[..]);
            assert_eq!(bytes.as_ptr() as usize % 8, 0);
            assert!(!bytes.is_mapped());
        }
    }

    #[test]
    fn a_slice_stays_inside() {
        let bytes = Bytes::copy_of(&[1_u8, 2, 3, 4]);
        let middle = bytes.slice(1..3).unwrap();
        assert_eq!(&middle[..], [2, 3]);
        assert_eq!(&middle.slice(1..2).unwrap()[..], [3]);
        assert!(middle.slice(0..3).is_none(), "what lies outside the slice is out of reach, though the buffer holds it");
        assert!(bytes.slice(0..5).is_none());
        #[allow(clippy::reversed_empty_ranges)]
        let reversed = 3..2;
        assert!(bytes.slice(reversed).is_none());
        assert!(bytes.slice(4..4).unwrap().is_empty());
    }

    #[test]
    fn unaligned_numbers_are_refused_in_place_and_copied_on_request() {
        let mut content = vec![0_u8];
        content.extend([1.5_f32, -2.0].iter().flat_map(|x| x.to_le_bytes()));
        let bytes = Bytes::copy_of(&content);
        let odd = bytes.slice(1..9).unwrap();
        assert!(odd.as_f32().is_none());
        assert!(matches!(odd.aligned_f32(), Some(Cow::Owned(copy)) if copy == [1.5, -2.0]));
        assert!(odd.as_f16().is_none());
        assert_eq!(odd.aligned_f16().unwrap().len(), 4);

        let even = Bytes::copy_of(&[1.5_f32, -2.0]);
        assert_eq!(even.as_f32().unwrap(), [1.5, -2.0]);
        assert!(matches!(even.aligned_f32(), Some(Cow::Borrowed(_))));
        let short = even.slice(0..7).unwrap();
        assert!(short.as_f32().is_none());
        assert!(short.aligned_f32().is_none());
        assert!(short.as_bf16().is_none());
    }
}
