//! Choices read from a fuzzer's bytes, and changes of a valid file described by them.

/// Bytes that are read from the front; after the end there are zeros.
pub(crate) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take::<1>()[0]
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let n = N.min(self.0.len());
        out[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        out
    }

    /// True for one byte in `n`.
    pub(crate) fn one_in(&mut self, n: u8) -> bool {
        self.byte().is_multiple_of(n)
    }

    /// A number below `n`; 0 where `n` is 0.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        usize::from(u16::from_le_bytes(self.take())).checked_rem(n).unwrap_or(0)
    }

    /// One of some things.
    pub(crate) fn pick<T: Copy>(&mut self, of: &[T]) -> Option<T> {
        let at = self.below(of.len());
        of.get(at).copied()
    }

    /// An integer: most often a small or an extreme one.
    pub(crate) fn int(&mut self) -> i64 {
        const EXTREMES: [i64; 16] = [
            i64::MIN,
            i64::MAX,
            i32::MIN as i64,
            i32::MAX as i64,
            u32::MAX as i64,
            1 << 40,
            1 << 62,
            -2,
            -1,
            0,
            1,
            2,
            3,
            255,
            256,
            65_536,
        ];
        match self.byte() % 4 {
            0 => EXTREMES[usize::from(self.byte() % 16)],
            1 => i64::from(self.byte()),
            2 => i64::from(i16::from_le_bytes(self.take())),
            _ => i64::from_le_bytes(self.take()),
        }
    }

    /// A number: most often a plain or an extreme one.
    pub(crate) fn float(&mut self) -> f32 {
        const EXTREMES: [f32; 8] = [0.0, -0.0, 1.0, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE];
        match self.byte() % 2 {
            0 => EXTREMES[usize::from(self.byte() % 8)],
            _ => f32::from_le_bytes(self.take()),
        }
    }
}

/// A valid file, changed: each change is a place and what is to be there, a cut, a repetition, or zeros.
pub(crate) fn changed(valid: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let mut file = valid.to_vec();
    for _ in 0..16 {
        if choices.is_empty() || file.is_empty() {
            break;
        }
        let kind = choices.byte();
        let at = (choices.below(1 << 16) << 8 | usize::from(choices.byte())) % file.len();
        match kind % 6 {
            0 => file[at] = choices.byte(),
            1 => file.truncate(at),
            2 => {
                let end = (at + choices.below(256)).min(file.len());
                file[at..end].fill(0);
            }
            3 => {
                let word = choices.int().to_le_bytes();
                let end = (at + 8).min(file.len());
                file[at..end].copy_from_slice(&word[..end - at]);
            }
            4 => {
                let end = (at + choices.below(256)).min(file.len());
                let again = file[at..end].to_vec();
                file.splice(at..at, again);
            }
            _ => file[at] ^= 1 << (choices.byte() % 8),
        }
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_chosen_changes_nothing_and_something_does() {
        assert_eq!(changed(b"as it was", &mut Choices::new(&[])), b"as it was");
        assert_ne!(changed(b"as it was", &mut Choices::new(&[5, 0, 0, 2, 1])), b"as it was");
    }
}
