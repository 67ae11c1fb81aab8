//! Where elements lie: strides, broadcasting, and walks over an index space.

/// The distance between neighbours along each axis of a row-major tensor.
pub(crate) fn strides(dims: &[usize]) -> Vec<isize> {
    let mut strides = vec![1_isize; dims.len()];
    for axis in (1..dims.len()).rev() {
        strides[axis - 1] = strides[axis].saturating_mul(isize::try_from(dims[axis]).unwrap_or(isize::MAX));
    }
    strides
}

/// The strides of a tensor that is stretched to `to`, 0 along each axis that repeats; `None` where it does not stretch.
pub(crate) fn stretched(dims: &[usize], to: &[usize]) -> Option<Vec<isize>> {
    let missing = to.len().checked_sub(dims.len())?;
    let mut result = vec![0; missing];
    for ((dim, stride), wide) in dims.iter().zip(strides(dims)).zip(&to[missing..]) {
        match dim {
            dim if dim == wide => result.push(stride),
            1 => result.push(0),
            _ => return None,
        }
    }
    Some(result)
}

/// The shape that all of these stretch to, as NumPy has it; `None` where there is none.
pub(crate) fn broadcast(shapes: &[&[usize]]) -> Option<Vec<usize>> {
    let rank = shapes.iter().map(|dims| dims.len()).max().unwrap_or(0);
    let mut result = vec![1; rank];
    for dims in shapes {
        for (to, dim) in result[rank - dims.len()..].iter_mut().zip(*dims) {
            match (*to, *dim) {
                (_, 1) => {}
                (1, dim) => *to = dim,
                (to, dim) if to == dim => {}
                _ => return None,
            }
        }
    }
    Some(result)
}

/// The offsets of `N` tensors at each index of `dims`, in row-major order.
pub(crate) struct Walk<'a, const N: usize> {
    dims: &'a [usize],
    strides: [&'a [isize]; N],
    index: Vec<usize>,
    offsets: [isize; N],
    left: usize,
}

impl<'a, const N: usize> Walk<'a, N> {
    /// `strides` has a stride for each dimension, for each tensor; `count` is the product of `dims`.
    pub(crate) fn new(dims: &'a [usize], count: usize, strides: [&'a [isize]; N]) -> Self {
        Self { dims, strides, index: vec![0; dims.len()], offsets: [0; N], left: count }
    }

    /// Begins at other offsets than 0.
    pub(crate) fn from(mut self, offsets: [isize; N]) -> Self {
        self.offsets = offsets;
        self
    }

    fn advance(&mut self) {
        for axis in (0..self.dims.len()).rev() {
            self.index[axis] += 1;
            for (offset, strides) in self.offsets.iter_mut().zip(&self.strides) {
                *offset = offset.wrapping_add(strides[axis]);
            }
            if self.index[axis] < self.dims[axis] {
                return;
            }
            self.index[axis] = 0;
            for (offset, strides) in self.offsets.iter_mut().zip(&self.strides) {
                *offset = offset.wrapping_sub(strides[axis].wrapping_mul(self.dims[axis] as isize));
            }
        }
    }
}

impl<const N: usize> Iterator for Walk<'_, N> {
    type Item = [usize; N];

    fn next(&mut self) -> Option<[usize; N]> {
        self.left = self.left.checked_sub(1)?;
        let here = self.offsets.map(|offset| offset as usize);
        if self.left > 0 {
            self.advance();
        }
        Some(here)
    }
}

/// A tensor seen along one axis: `outer` blocks of `length` steps of `inner` neighbours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lanes {
    pub(crate) outer: usize,
    pub(crate) length: usize,
    pub(crate) inner: usize,
}

impl Lanes {
    /// The axis must be one of `dims`, whose product must be a number of elements that is held. There are no lanes where
    /// there is no element.
    pub(crate) fn along(dims: &[usize], axis: usize) -> Self {
        let outer = if dims.contains(&0) { 0 } else { product(&dims[..axis]) };
        Self { outer, length: dims[axis], inner: product(&dims[axis + 1..]) }
    }

    /// Where each lane begins; its elements are `inner` apart.
    pub(crate) fn starts(self) -> impl Iterator<Item = usize> {
        let Self { outer, length, inner } = self;
        (0..outer).flat_map(move |block| (0..inner).map(move |at| block * length * inner + at))
    }

    /// The offsets of the lane that begins there.
    pub(crate) fn lane(self, start: usize) -> impl DoubleEndedIterator<Item = usize> + ExactSizeIterator {
        (0..self.length).map(move |step| start + step * self.inner)
    }
}

/// The product of dimensions, where another check has made sure that it is small.
pub(crate) fn product(dims: &[usize]) -> usize {
    dims.iter().fold(1, |product: usize, dim| product.saturating_mul(*dim))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_stretch_as_numpy_has_it() {
        assert_eq!(broadcast(&[&[2, 1, 3], &[4, 1]]), Some(vec![2, 4, 3]));
        assert_eq!(broadcast(&[&[0], &[1]]), Some(vec![0]));
        assert_eq!(broadcast(&[&[2], &[3]]), None);
        assert_eq!(stretched(&[4, 1], &[2, 4, 3]), Some(vec![0, 1, 0]));
        assert_eq!(stretched(&[2, 4], &[4]), None);
    }

    #[test]
    fn a_walk_follows_both_tensors() {
        let dims = [2, 3];
        let (a, b) = ([3, 1], [0, 1]);
        let seen: Vec<_> = Walk::new(&dims, 6, [&a, &b]).collect();
        assert_eq!(seen, [[0, 0], [1, 1], [2, 2], [3, 0], [4, 1], [5, 2]]);
        let back: Vec<_> = Walk::new(&dims, 6, [&[-3, -1]]).from([5]).flatten().collect();
        assert_eq!(back, [5, 4, 3, 2, 1, 0]);
    }

    #[test]
    fn lanes_are_the_elements_along_an_axis() {
        let lanes = Lanes::along(&[2, 3, 2], 1);
        assert_eq!(lanes.starts().collect::<Vec<_>>(), [0, 1, 6, 7]);
        assert_eq!(lanes.lane(7).collect::<Vec<_>>(), [7, 9, 11]);
    }
}
