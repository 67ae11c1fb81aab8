//! The machine's peak memory bandwidth and int8 throughput, measured: the roofline that kernels are compared with.

use std::time::{Duration, Instant};

use crate::float_product::Rows;
use crate::memory::LargePages;
use crate::pool::Pool;
use crate::simd::{Kernel, Simd};

/// Measured peak rates of a pool's threads together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roofline {
    /// Bytes a second read from memory, in order.
    pub read_bytes_per_second: f64,
    /// Multiplications and additions of bytes a second, in registers.
    pub int8_operations_per_second: f64,
}

/// Memory that is read: more than caches hold.
const BYTES: usize = 256 << 20;
/// Bytes of an item.
const ITEM: usize = 1 << 20;
/// Rounds of the loop in registers.
const ROUNDS: usize = 10_000;
/// Products of a round.
const PRODUCTS: usize = 24;
/// Measurements, of which the best counts.
const TIMES: usize = 5;

impl Roofline {
    /// Measures for a third of a second or so, with 256 MiB of memory.
    ///
    /// # Errors
    /// The operating system's error when the allocation fails.
    pub fn measure(pool: &Pool) -> std::io::Result<Roofline> {
        let memory = LargePages::taken(BYTES)?;
        let bytes = Rows::of(memory.bytes(), ITEM);
        let read = best(TIMES, || pool.for_each(BYTES / ITEM, |item, _| pool.isa().run(Read { bytes, item })));
        let compute = best(TIMES, || pool.for_each(pool.threads(), |_, _| pool.isa().run(Multiply)));
        // Each lane of a product multiplies and adds four bytes.
        let operations = pool.threads() * ROUNDS * PRODUCTS * pool.isa().lanes() * 8;
        Ok(Roofline {
            read_bytes_per_second: BYTES as f64 / read.as_secs_f64(),
            int8_operations_per_second: operations as f64 / compute.as_secs_f64(),
        })
    }
}

/// The shortest time of so many calls.
pub(crate) fn best(times: usize, run: impl Fn()) -> Duration {
    let time = |_| {
        let began = Instant::now();
        run();
        began.elapsed()
    };
    (0..times).map(time).min().unwrap_or_default()
}

struct Read {
    /// `[items][ITEM]`
    bytes: Rows<u8>,
    item: usize,
}

impl Kernel for Read {
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let vector = 4 * S::LANES;
        let mut sums = [s.splat_int(0); 4];
        for at in (0..ITEM).step_by(4 * vector) {
            for (i, sum) in sums.iter_mut().enumerate() {
                // SAFETY: the item's bytes, a multiple of four vectors; only the prefetch reaches further, which may.
                unsafe {
                    let from = self.bytes.row(self.item, at + i * vector).cast_const();
                    s.prefetch_second_level(from.wrapping_add(16 << 10));
                    *sum = s.add_int(*sum, s.load_bytes(from));
                }
            }
        }
        let [a, b, c, d] = sums;
        std::hint::black_box(s.sum_int(s.add_int(s.add_int(a, b), s.add_int(c, d))));
    }
}

struct Multiply;

impl Kernel for Multiply {
    const MULTIPLIES_BYTES: bool = true;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut weights = [s.splat_int(0); 8];
        for (i, weights) in weights.iter_mut().enumerate() {
            *weights = s.splat_int(std::hint::black_box(0x0102_0304 + i as i32));
        }
        let mut values = s.splat_int(std::hint::black_box(0x0403_0201));
        let mut sums = [s.splat_int(0); 12];
        for _ in 0..ROUNDS {
            if S::DOT_VECTORS == 1 {
                for i in 0..PRODUCTS {
                    sums[i % 12] = s.dot_nibbles(sums[i % 12], [weights[0]], [values]);
                }
            } else {
                for sum in &mut sums[..PRODUCTS / 8] {
                    // Other values each time: products of the same ones would be computed once.
                    values = s.add_int(values, weights[0]);
                    *sum = s.dot_nibbles(*sum, weights, [values; 8]);
                }
            }
        }
        let mut total = sums[0];
        for &sum in &sums[1..] {
            total = s.add_int(total, sum);
        }
        std::hint::black_box(s.sum_int(total));
    }
}
