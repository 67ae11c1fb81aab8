//! How many threads suit this machine.
//!
//! More threads are faster only while each has a core of its own, and of the same kind: a job is over when its last item is, and an
//! item on a little core takes several times as long; two threads on one core share its arithmetic. So the machine's cores give a
//! few candidates, and a short job of the two kinds that a model is made of, reading memory and multiplying, decides between them.
//! Where there is but one candidate, as on a machine whose cores are all alike, nothing is measured.

mod cores;

use std::time::Duration;

use self::cores::Cores;
use crate::float_product::Rows;
use crate::memory::LargePages;
use crate::pool::Pool;
use crate::roofline::best;
use crate::simd::{Kernel, Simd};

/// The number of threads on which models run fastest here, or nearly so: the fewest that are within 5 % of the best. At most what
/// this process may use.
///
/// Where the cores differ it is measured, which takes some ten milliseconds for each candidate, and 16 MiB: keep the result.
pub fn suitable_threads() -> usize {
    let limit = std::thread::available_parallelism().map_or(1, usize::from);
    choose(&Cores::here().candidates(limit), measure)
}

/// How much slower than the best a smaller number of threads may be.
const NEARLY: f64 = 1.05;

/// The smallest of the ascending `candidates` that is nearly the fastest; the last where they cannot be measured.
fn choose(candidates: &[usize], measure: impl Fn(usize) -> Option<Duration>) -> usize {
    let last = candidates.last().copied().unwrap_or(1);
    if candidates.len() < 2 {
        return last;
    }
    let times: Option<Vec<f64>> = candidates.iter().map(|&threads| Some(measure(threads)?.as_secs_f64())).collect();
    let Some(times) = times else { return last };
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    candidates.iter().zip(times).find(|(_, time)| *time <= best * NEARLY).map_or(last, |(&threads, _)| threads)
}

/// Bytes that are read: more than the caches of a phone hold.
const BYTES: usize = 16 << 20;
/// Bytes of an item, as in a product with one row.
const ITEM: usize = 128 << 10;
/// Products of bytes in registers for each vector read: a quarter of a step's work is reading a prompt.
const PRODUCTS: usize = 4;
/// Measurements, of which the best counts; the first wakes the cores.
const TIMES: usize = 4;

/// The time of the job on a pool of so many threads; `None` where the system refuses the memory.
fn measure(threads: usize) -> Option<Duration> {
    let memory = LargePages::taken(BYTES).ok()?;
    let (pool, bytes) = (Pool::new(threads), Rows::of(memory.bytes(), ITEM));
    Some(best(TIMES, || pool.for_each(BYTES / ITEM, |item, _| pool.isa().run(ReadAndMultiply { bytes, item }))))
}

struct ReadAndMultiply {
    /// `[items][ITEM]`
    bytes: Rows<u8>,
    item: usize,
}

impl Kernel for ReadAndMultiply {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let values = s.splat_int(0x0403_0201);
        let mut sums = [s.splat_int(0); PRODUCTS];
        for at in (0..ITEM).step_by(4 * S::LANES) {
            // SAFETY: the item's bytes, a multiple of a vector; only the prefetch reaches further, which may.
            let weights = unsafe {
                let from = self.bytes.row(self.item, at).cast_const();
                s.prefetch_second_level(from.wrapping_add(16 << 10));
                s.split_nibbles(s.load_bytes(from)).0
            };
            for sum in &mut sums {
                *sum = s.dot_nibbles(*sum, [weights], [values]);
            }
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = s.add_int(total, sum);
        }
        std::hint::black_box(s.sum_int(total));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds of so many threads.
    fn times<const N: usize>(known: [(usize, u64); N]) -> impl Fn(usize) -> Option<Duration> {
        move |threads| known.iter().find(|(n, _)| *n == threads).map(|(_, time)| Duration::from_millis(*time))
    }

    #[test]
    fn the_fewest_threads_that_are_nearly_the_fastest() {
        assert_eq!(choose(&[4, 8], times([(4, 100), (8, 60)])), 8);
        assert_eq!(choose(&[4, 8], times([(4, 100), (8, 98)])), 4);
        assert_eq!(choose(&[2, 4, 8], times([(2, 150), (4, 100), (8, 300)])), 4);
    }

    #[test]
    fn nothing_is_measured_where_there_is_no_choice() {
        assert_eq!(choose(&[6], |_| unreachable!()), 6);
        assert_eq!(choose(&[], |_| unreachable!()), 1);
    }

    #[test]
    fn what_cannot_be_measured_leaves_the_most_threads() {
        assert_eq!(choose(&[2, 4], |_| None), 4);
    }

    #[test]
    fn this_machine_gets_what_it_may_use() {
        let limit = std::thread::available_parallelism().map_or(1, usize::from);
        assert!((1..=limit).contains(&suitable_threads()));
        assert!(measure(2).is_some_and(|time| time > Duration::ZERO));
    }
}
