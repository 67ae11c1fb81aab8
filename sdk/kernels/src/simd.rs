//! The vector operations that every instruction set implements.
//!
//! Each algorithm of this crate is written once, generic over [`Simd`]; an instruction set is a thin file under `arch` that says how
//! its vectors do the handful of things listed here. A kernel is a struct that holds its arguments and implements [`Kernel`];
//! [`Isa::run`](crate::Isa) compiles its body once for each instruction set and calls the right one. Everything between `Isa::run`
//! and the vector operations must be `#[inline(always)]`: a function that is not inlined would be compiled without the instruction
//! set's features, and each operation would become a call. Closures cannot be marked so: around vector operations there are loops,
//! never `map`, `from_fn` or `fold`.
//!
//! A vector is `LANES` floats, or as many 32-bit integers, or four times as many bytes. A *quad* is four neighbouring lanes, 16
//! bytes, which is where 128-bit instructions end and wider ones repeat: every operation that moves lanes stays within quads or
//! moves whole quads, so that it is one or two instructions everywhere.

use half::f16;

/// A vector instruction set that is present on this machine: a value of the type is the proof, so that the arithmetic here is safe
/// to call. Only loads and stores, which take pointers, are not.
pub(crate) trait Simd: Copy {
    /// `LANES` floats.
    type F: Copy;
    /// `LANES` 32-bit integers, or `4 * LANES` bytes.
    type I: Copy;

    /// A multiple of 4, at most [`MAX_LANES`].
    const LANES: usize;
    /// Rows of a float micro-kernel whose tile is two vectors wide, and of one that is four wide, so that the sums stay in registers;
    /// at most 8.
    const FLOAT_ROWS: [usize; 2];
    /// Vectors of weight rows that the integer micro-kernel multiplies with four rows of x: 1, 2 or 3.
    const TILE_VECTORS: usize;
    /// Vectors of a block that it multiplies at once, for each of these: 1, 4 or 8. They stay in registers with the sums.
    const TILE_DOTS: usize;
    /// Vectors per call for which [`Simd::dot_nibbles`] and [`Simd::dot_bytes`] are made: 1, or 8 where their products share work.
    const DOT_VECTORS: usize;
    /// The bias that [`Simd::dot_bytes`] subtracts from every weight.
    const BYTE_BIAS: i32;

    /// All lanes `x`.
    fn splat(self, x: f32) -> Self::F;
    /// From any alignment, as all loads here.
    /// # Safety
    /// `from` is valid for `LANES` reads.
    unsafe fn load(self, from: *const f32) -> Self::F;
    /// Rounded to the nearest, ties to even.
    /// # Safety
    /// `to` is valid for `LANES` writes.
    unsafe fn store_f16(self, to: *mut f16, x: Self::F);
    /// The first `lanes` (at most `LANES`) from memory, zero in the others; nothing beyond is touched.
    /// # Safety
    /// `from` is valid for `lanes` reads.
    unsafe fn load_partial(self, from: *const f32, lanes: usize) -> Self::F;
    /// # Safety
    /// `from` is valid for `LANES` reads.
    unsafe fn load_f16(self, from: *const f16) -> Self::F;
    /// # Safety
    /// `to` is valid for `LANES` writes.
    unsafe fn store(self, to: *mut f32, x: Self::F);
    /// Stores the first `lanes` (at most `LANES`); nothing beyond is touched.
    /// # Safety
    /// `to` is valid for `lanes` writes.
    unsafe fn store_partial(self, to: *mut f32, x: Self::F, lanes: usize);

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, rounded once where the instruction set can.
    fn mul_add(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `b` where either is NaN.
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    /// `b` where either is NaN.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    fn abs(self, x: Self::F) -> Self::F;
    /// To the nearest whole number, ties to even.
    fn round(self, x: Self::F) -> Self::F;
    /// `x * 2^n` for whole `n` from -126 to 127.
    fn times_power_of_two(self, x: Self::F, n: Self::F) -> Self::F;
    /// `yes` where `a < b`, `no` elsewhere (also where either is NaN).
    fn select_less(self, a: Self::F, b: Self::F, yes: Self::F, no: Self::F) -> Self::F;
    /// The sum of the lanes.
    fn sum(self, x: Self::F) -> f32;
    /// The sum of the lanes of each vector.
    fn sums(self, x: [Self::F; 4]) -> [f32; 4];
    /// The largest lane.
    fn maximum(self, x: Self::F) -> f32;
    /// The sum of the quads, added in their order.
    fn fold_quads(self, x: Self::F) -> [f32; 4];
    /// The same quad everywhere.
    fn repeat_quad(self, quad: [f32; 4]) -> Self::F;
    /// All lanes of quad j are `from[j]`.
    /// # Safety
    /// `from` is valid for `LANES / 4` reads.
    unsafe fn load_to_quads(self, from: *const f32) -> Self::F;
    /// As [`Simd::load_to_quads`].
    /// # Safety
    /// `from` is valid for `LANES / 4` reads.
    unsafe fn load_int_to_quads(self, from: *const i32) -> Self::I;
    /// Lane `4 * j + i` is `from[i][j]`: the first `LANES / 4` values of four runs.
    /// # Safety
    /// Each pointer is valid for `LANES / 4` reads.
    unsafe fn load_columns(self, from: [*const f32; 4]) -> Self::F;
    /// As [`Simd::load_columns`].
    /// # Safety
    /// Each pointer is valid for `LANES / 4` reads.
    unsafe fn load_columns_f16(self, from: [*const f16; 4]) -> Self::F;

    fn splat_int(self, x: i32) -> Self::I;
    /// # Safety
    /// `from` is valid for `4 * LANES` bytes of reads.
    unsafe fn load_bytes(self, from: *const u8) -> Self::I;
    /// Stores integers or bytes.
    /// # Safety
    /// `to` is valid for `4 * LANES` bytes of writes.
    unsafe fn store_bytes(self, to: *mut u8, x: Self::I);
    /// All lanes the four bytes at `from`.
    /// # Safety
    /// `from` is valid for 4 bytes of reads.
    unsafe fn repeat_4_bytes(self, from: *const i8) -> Self::I;
    /// Stores 32 integers from -127 to 127, the lanes of the first `32 / LANES` vectors, as bytes: the first and the second 16, or
    /// with `pairs_apart` the even and the odd ones.
    /// # Safety
    /// Each place is valid for 16 bytes of writes.
    unsafe fn store_block(self, x: [Self::I; 8], pairs_apart: bool, to: [*mut i8; 2]);
    fn add_int(self, a: Self::I, b: Self::I) -> Self::I;
    fn mul_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// The sum of the lanes, wrapping.
    fn sum_int(self, x: Self::I) -> i32;
    fn to_float(self, x: Self::I) -> Self::F;
    /// To the nearest whole number, ties to even; NaN and what does not fit may give anything.
    fn to_int(self, x: Self::F) -> Self::I;
    /// The bits of `|x|`. As integers they have the order of the floats, and NaN comes last.
    fn magnitude_bits(self, x: Self::F) -> Self::I;
    fn max_int(self, a: Self::I, b: Self::I) -> Self::I;
    /// The largest lane.
    fn maximum_int(self, x: Self::I) -> i32;
    /// The low and the high half of each byte.
    fn split_nibbles(self, x: Self::I) -> (Self::I, Self::I);
    /// Lane `4 * j + i` is bits `BITS * j ..` of `words[i]`, `BITS` of them.
    fn fields<const BITS: u32>(self, words: [u32; 4]) -> Self::I;
    /// Adds to each lane of `sum` the products of its four bytes of `weights[j]` (0 to 15) and `values[j]` (-127 to 127), over all
    /// j. N is at most 8, so that the pairwise sums of instruction sets without a four-way product fit 16 bits.
    fn dot_nibbles<const N: usize>(self, sum: Self::I, weights: [Self::I; N], values: [Self::I; N]) -> Self::I;
    /// As [`Simd::dot_nibbles`] with `weights - BYTE_BIAS`, for weights from 0 to 255.
    fn dot_bytes<const N: usize>(self, sum: Self::I, weights: [Self::I; N], values: [Self::I; N]) -> Self::I;
    /// As [`Simd::dot_nibbles`], where `values[j]` is all lanes the four bytes at `values + 4 * j`. N is [`Simd::DOT_VECTORS`], or 4
    /// where that is 8.
    /// # Safety
    /// `values` is valid for `4 * N` bytes of reads.
    #[inline(always)]
    unsafe fn dot_nibbles_repeated<const N: usize>(self, sum: Self::I, weights: [Self::I; N], values: *const i8) -> Self::I {
        // SAFETY: the caller's promise.
        self.dot_nibbles(sum, weights, unsafe { repeated(self, values) })
    }
    /// As [`Simd::dot_bytes`], with values as in [`Simd::dot_nibbles_repeated`].
    /// # Safety
    /// `values` is valid for `4 * N` bytes of reads.
    #[inline(always)]
    unsafe fn dot_bytes_repeated<const N: usize>(self, sum: Self::I, weights: [Self::I; N], values: *const i8) -> Self::I {
        // SAFETY: the caller's promise.
        self.dot_bytes(sum, weights, unsafe { repeated(self, values) })
    }
    /// In each quad: lane i is the sum of the four lanes of `x[i]`.
    fn sum_within_quads(self, x: [Self::I; 4]) -> Self::I;
    /// Quad j is the sum of quads `2 * j` and `2 * j + 1` of `a` followed by `b`.
    fn add_neighbour_quads(self, a: Self::I, b: Self::I) -> Self::I;
    /// Reads `LANES` rows of `4 * LANES` bytes, and writes to `to + j * 4 * LANES` the four bytes `4 * j ..` of every row.
    /// # Safety
    /// The first `LANES` pointers of `rows` are valid for `4 * LANES` bytes of reads, `to` for `4 * LANES * LANES` of writes.
    unsafe fn transpose(self, rows: &[*const u8; MAX_LANES], to: *mut u8);

    /// Asks for the cache line at `address`, which need not be valid, into the first-level cache.
    fn prefetch(self, address: *const u8);
    /// As [`Simd::prefetch`], into the second-level cache.
    fn prefetch_second_level(self, address: *const u8);
}

/// Vector j is all lanes the four bytes at `values + 4 * j`.
///
/// # Safety
/// `values` is valid for `4 * N` bytes of reads.
#[inline(always)]
unsafe fn repeated<S: Simd, const N: usize>(s: S, values: *const i8) -> [S::I; N] {
    let mut repeated = [s.splat_int(0); N];
    for j in 0..N {
        // SAFETY: the caller's promise.
        repeated[j] = unsafe { s.repeat_4_bytes(values.add(4 * j)) };
    }
    repeated
}

/// The most lanes a vector has.
pub(crate) const MAX_LANES: usize = 16;

/// The body of a loop over items, compiled for each instruction set.
pub(crate) trait Kernel {
    /// Whether the body multiplies bytes or uses [`Simd::BYTE_BIAS`]. Instruction sets that differ from another in this alone use
    /// the other's code where it is false.
    const MULTIPLIES_BYTES: bool = false;

    /// Must be `#[inline(always)]`.
    fn run<S: Simd>(self, s: S);
}
