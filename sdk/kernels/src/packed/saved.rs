//! Serialised packed weights, which are used in place when they are restored.
//!
//! ```text
//! order u64  matrices u64  bytes of tiles u64  factor f32 each (0: none)    zeros up to a multiple of 4096    tiles
//! ```
//!
//! Numbers are little-endian. The content of the tiles depends on the matrices and the instruction set, which have to be the same
//! when they are restored: that is up to the caller. Other tiles give other numbers, never an access out of bounds.

use std::io::{self, Write};

use super::{Memory, PackedWeights, Place};
use crate::cpu::Isa;
use crate::matrix::{Matrix, TiledShape};

/// Alignment of the tiles within the saved bytes.
const ALIGNMENT: usize = 4096;

/// Bytes that are shared and stay what they are, such as a mapped file.
pub type SharedBytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// Why saved weights are not those of a model here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SavedWeightsError {
    /// There are more or fewer bytes than were saved.
    #[error("it has {found} bytes instead of {expected}")]
    Length {
        /// How many there should be.
        expected: usize,
        /// How many there are.
        found: usize,
    },
    /// They are of other matrices, or for another instruction set.
    #[error("it holds other weights")]
    OtherWeights,
    /// They do not lie on a multiple of 64 bytes.
    #[error("it does not begin on a cache line")]
    Misaligned,
}

/// Version of the tile layout; weights that were saved with another one are refused.
const ORDER: u64 = 2;

/// Bytes of the header, before the tiles, for so many matrices.
fn head_bytes(matrices: usize) -> usize {
    (3 * size_of::<u64>() + matrices * size_of::<f32>()).next_multiple_of(ALIGNMENT)
}

impl PackedWeights {
    /// Writes the tiles, for [`PackedWeights::restore`].
    ///
    /// # Errors
    /// Those of `out`.
    pub fn save(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut head = Vec::with_capacity(head_bytes(self.places.len()));
        [ORDER, self.places.len() as u64, self.bytes() as u64].iter().for_each(|number| head.extend(number.to_le_bytes()));
        self.places.iter().for_each(|place| head.extend(place.map_or(0., |place| place.factor).to_le_bytes()));
        head.resize(head_bytes(self.places.len()), 0);
        out.write_all(&head)?;
        out.write_all(self.memory.bytes())
    }

    /// The weights that [`PackedWeights::save`] wrote, read where they lie. They are to be of the same matrices and for the same
    /// instruction set.
    ///
    /// # Errors
    /// [`SavedWeightsError`].
    pub fn restore(isa: Isa, matrices: &[Matrix<'_>], saved: SharedBytes) -> Result<PackedWeights, SavedWeightsError> {
        let shapes: Vec<Option<TiledShape>> = matrices.iter().map(|matrix| TiledShape::of(matrix, isa)).collect();
        let tiles: usize = shapes.iter().flatten().map(TiledShape::bytes).sum();
        let bytes = (*saved).as_ref();
        let (head, expected) = (head_bytes(matrices.len()), head_bytes(matrices.len()) + tiles);
        if bytes.len() != expected {
            return Err(SavedWeightsError::Length { expected, found: bytes.len() });
        }
        if !bytes.as_ptr().addr().is_multiple_of(64) {
            return Err(SavedWeightsError::Misaligned);
        }
        let (counts, factors) = bytes[..head].split_at(3 * size_of::<u64>());
        if counts != [ORDER, matrices.len() as u64, tiles as u64].map(u64::to_le_bytes).concat() {
            return Err(SavedWeightsError::OtherWeights);
        }
        let mut places = Vec::with_capacity(matrices.len());
        let mut start = 0;
        for (shape, factor) in shapes.into_iter().zip(factors.chunks_exact(size_of::<f32>())) {
            let factor = f32::from_le_bytes([factor[0], factor[1], factor[2], factor[3]]);
            if shape.is_some() != (factor.is_normal() && factor > 0.) {
                return Err(SavedWeightsError::OtherWeights);
            }
            places.push(shape.map(|shape| Place { shape, factor, start }));
            start += shape.map_or(0, |shape| shape.bytes());
        }
        Ok(PackedWeights { memory: Memory::Shared { bytes: saved, tiles: head..expected }, places })
    }
}
