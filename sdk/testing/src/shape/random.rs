//! Random numbers for weights.

/// The numbers of one tensor: splitmix64 from a seed, the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Random(u64);

impl Random {
    /// The numbers of the tensor `name`, whatever was drawn for others.
    pub(super) fn of(seed: u64, name: &str) -> Random {
        // FNV-1a.
        let hash =
            name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
        Random(hash ^ seed.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// 64 random bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number from -1 to 1; its root mean square is 1 / sqrt 3.
    pub(super) fn even(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_differ_and_a_tensor_is_the_same_each_time() {
        let drawn = |seed, name| Random::of(seed, name).bits();
        assert_eq!(drawn(1, "a"), drawn(1, "a"));
        assert!(drawn(1, "a") != drawn(1, "b") && drawn(1, "a") != drawn(2, "a"));
    }

    #[test]
    fn even_numbers_fill_their_range() {
        let mut random = Random::of(7, "even");
        let numbers: Vec<f32> = (0..100_000).map(|_| random.even()).collect();
        let mean = numbers.iter().sum::<f32>() / 1e5;
        let square = numbers.iter().map(|n| n * n).sum::<f32>() / 1e5;
        assert!(mean.abs() < 0.01 && (square - 1. / 3.).abs() < 0.01, "{mean} {square}");
        assert!(numbers.iter().all(|n| (-1.0..=1.0).contains(n)));
    }
}
