//! Helpers of the test suites: every instruction set of the machine, random values, and the comparator.

#![allow(clippy::print_stdout, reason = "a skipped instruction set must be seen")]
#![allow(dead_code, unreachable_pub)] // each suite uses its part

pub mod weights;

use kinglet_kernels::{Isa, Pool};

/// Runs `test` with a pool for each instruction set that this machine has, and says loudly which ones it had to skip.
pub fn each_isa(threads: usize, mut test: impl FnMut(&Pool)) {
    let available = Isa::available();
    for name in Isa::NAMES {
        match available.iter().find(|isa| isa.name() == *name) {
            Some(&isa) => test(&Pool::with_isa(threads, isa)),
            None => println!("SKIPPED: this machine has no {name}; its kernels are not tested here"),
        }
    }
}

/// A small generator (splitmix64): the same values on every run.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    /// From -1 to 1, with 20 bits.
    pub fn float(&mut self) -> f32 {
        (self.next() >> 44) as f32 / (1 << 19) as f32 - 1.
    }

    pub fn floats(&mut self, len: usize) -> Vec<f32> {
        (0..len).map(|_| self.float()).collect()
    }

    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.next() as u8).collect()
    }
}

/// An oracle's result for one element: the value, and the sum of the magnitudes of its terms, to which rounding errors are
/// relative.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    pub value: f64,
    pub magnitude: f64,
}

/// Checks `got` against an oracle: within `units` of 2^-24 of the magnitude; NaN where the oracle says NaN.
pub fn assert_close(what: &str, got: &[f32], want: &[Expected], units: f64) {
    assert_eq!(got.len(), want.len(), "{what}: another number of elements");
    for (index, (&got, want)) in got.iter().zip(want).enumerate() {
        let tolerance = units * want.magnitude * 2f64.powi(-24);
        let fits = (f64::from(got) - want.value).abs() <= tolerance || (got.is_nan() && want.value.is_nan());
        assert!(fits, "{what}: element {index} is {got}, expected {} within {tolerance:e}", want.value);
    }
}

/// Units for sums of `terms` rounded products: errors grow like a random walk.
pub fn sum_units(terms: usize) -> f64 {
    8. + 2. * (terms as f64).sqrt()
}
