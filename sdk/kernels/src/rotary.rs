//! Rotary position embedding.

/// The angles for the rows of a step: one row of cosines and sines for each row of queries, keys and values, whatever sequence it
/// belongs to. Scaling of positions or frequencies is already in them.
#[derive(Clone, Copy, Debug)]
pub struct RotaryRows<'a> {
    /// `[rows, rotary_dim / 2]`
    pub cos: &'a [f32],
    /// `[rows, rotary_dim / 2]`
    pub sin: &'a [f32],
    /// How many values of a head are rotated, from its first; the others pass. Even.
    pub rotary_dim: usize,
    /// Whether the pairs are (0, 1), (2, 3), ..; otherwise (0, h), (1, h + 1), .. with h = `rotary_dim / 2`.
    pub interleaved: bool,
}

impl RotaryRows<'_> {
    /// Rotates one head `[head_dim]` of row `row` in place.
    #[inline(always)]
    pub(crate) fn rotate(&self, row: usize, head: &mut [f32]) {
        let half = self.rotary_dim / 2;
        let cos = &self.cos[row * half..][..half];
        let sin = &self.sin[row * half..][..half];
        if self.interleaved {
            for ((pair, cos), sin) in head[..2 * half].chunks_exact_mut(2).zip(cos).zip(sin) {
                let (x, y) = (pair[0], pair[1]);
                pair[0] = x * cos - y * sin;
                pair[1] = y * cos + x * sin;
            }
        } else {
            let (first, second) = head[..2 * half].split_at_mut(half);
            for (((x, y), cos), sin) in first.iter_mut().zip(second).zip(cos).zip(sin) {
                (*x, *y) = (*x * cos - *y * sin, *y * cos + *x * sin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quarter turn of the first pair, an eighth of the second; the rest of the head passes.
    #[test]
    fn pairs_turn_and_the_rest_passes() {
        let half = 0.5f32.sqrt();
        let (cos, sin) = ([9., 9., 0., half], [9., 9., 1., half]);
        let rotate = |interleaved| {
            let mut head = [1., 2., 3., 4., 5., 6.];
            RotaryRows { cos: &cos, sin: &sin, rotary_dim: 4, interleaved }.rotate(1, &mut head);
            head
        };
        assert_eq!(rotate(false), [-3., (2. - 4.) * half, 1., (2. + 4.) * half, 5., 6.]);
        assert_eq!(rotate(true), [-2., 1., 3. * half - 4. * half, 4. * half + 3. * half, 5., 6.]);
    }
}
