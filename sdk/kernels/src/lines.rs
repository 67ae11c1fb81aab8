//! Memory that starts on a cache line.

use bytemuck::{Pod, Zeroable};

/// Sixteen floats, 64 bytes: a cache line, and the widest vector.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(crate) struct Line(pub(crate) [f32; 16]);

/// Working memory that grows to the largest use and then stays. Its contents are whatever the last use left.
#[derive(Debug, Default)]
pub(crate) struct Buffer(Vec<Line>);

impl Buffer {
    /// At least `len` values, of which the first starts on a line.
    pub(crate) fn get<T: Pod>(&mut self, len: usize) -> &mut [T] {
        let lines = (len * size_of::<T>()).div_ceil(size_of::<Line>());
        if self.0.len() < lines {
            self.0.resize(lines, Line([0.; 16]));
        }
        &mut bytemuck::cast_slice_mut(&mut self.0[..lines])[..len]
    }
}
