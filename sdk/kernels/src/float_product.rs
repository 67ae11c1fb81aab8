//! Float products: two micro-kernels, one for each order in which the right-hand side may lie, and the loops around them.
//!
//! ```text
//! columns:  c[m, n] (+)= a[m, inner] * b[inner, n]     lanes along n:      c[i][j..] += a[i][d] * b[d][j..]
//! dots:     c[m, n] (+)= a[m, inner] * b[n, inner]^T   lanes along inner:  sum[i][j] += a[i][d..] * b[j][d..], then across lanes
//! ```
//!
//! A micro-kernel keeps a small tile of c in registers, so that each vector loaded serves several multiply-adds. How many rows the
//! tile has changes with m, but not the order in which any one element of c is summed: with `columns` that is d = 0, 1, 2, .. and with
//! `dots` one partial sum a lane, folded at the end. A row's result therefore never depends on the rows beside it.

use half::f16;

use crate::simd::{MAX_LANES, Simd};

/// A row-major matrix in memory: row `i` starts at `at + i * stride`.
pub(crate) struct Rows<T> {
    pub(crate) at: *mut T,
    pub(crate) stride: usize,
}

impl<T> Clone for Rows<T> {
    fn clone(&self) -> Rows<T> {
        *self
    }
}

impl<T> Copy for Rows<T> {}

// SAFETY: only a place in memory; whoever reads or writes there promises that no other thread interferes.
unsafe impl<T> Send for Rows<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Rows<T> {}

impl<T> Rows<T> {
    /// Rows that are only read.
    #[inline(always)]
    pub(crate) fn of(values: &[T], stride: usize) -> Rows<T> {
        Rows { at: values.as_ptr().cast_mut(), stride }
    }

    /// Row `i` from column `j`.
    ///
    /// # Safety
    /// The place lies within, or one past the end of, the allocation.
    #[inline(always)]
    pub(crate) unsafe fn row(self, i: usize, j: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.at.add(i * self.stride + j) }
    }

    /// The matrix that starts at row `i`, column `j`.
    ///
    /// # Safety
    /// As for [`Rows::row`].
    #[inline(always)]
    pub(crate) unsafe fn from(self, i: usize, j: usize) -> Rows<T> {
        // SAFETY: the caller's promise.
        Rows { at: unsafe { self.row(i, j) }, stride: self.stride }
    }
}

/// The dimensions of a product.
#[derive(Clone, Copy)]
pub(crate) struct Dims {
    pub(crate) m: usize,
    pub(crate) n: usize,
    pub(crate) inner: usize,
}

/// Lines of `b` that `columns` asks for ahead of use when only a few rows share them, in rows of b.
const ROWS_AHEAD: usize = 12;

/// How far ahead `dots` asks for `b` when a row has it for itself, in floats.
const FLOATS_AHEAD: usize = 1024;

/// A float as memory may hold it.
pub(crate) trait Stored: Copy {
    /// A vector of them.
    ///
    /// # Safety
    /// `from` is valid for `LANES` reads.
    unsafe fn load<S: Simd>(s: S, from: *const Self) -> S::F;

    /// The first `lanes` of a vector, zero in the others; nothing beyond is touched.
    ///
    /// # Safety
    /// `from` is valid for `lanes` reads.
    unsafe fn load_partial<S: Simd>(s: S, from: *const Self, lanes: usize) -> S::F;

    /// Stores a vector, rounded to the nearest where that is needed.
    ///
    /// # Safety
    /// `to` is valid for `LANES` writes.
    unsafe fn store<S: Simd>(s: S, to: *mut Self, x: S::F);
}

impl Stored for f32 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const f32) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load(from) }
    }

    #[inline(always)]
    unsafe fn load_partial<S: Simd>(s: S, from: *const f32, lanes: usize) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_partial(from, lanes) }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut f32, x: S::F) {
        // SAFETY: the caller's promise.
        unsafe { s.store(to, x) }
    }
}

impl Stored for f16 {
    #[inline(always)]
    unsafe fn load<S: Simd>(s: S, from: *const f16) -> S::F {
        // SAFETY: the caller's promise.
        unsafe { s.load_f16(from) }
    }

    #[inline(always)]
    unsafe fn load_partial<S: Simd>(s: S, from: *const f16, lanes: usize) -> S::F {
        // SAFETY: the caller's promise; the buffer has room for any vector.
        unsafe {
            if lanes >= S::LANES {
                return s.load_f16(from);
            }
            let mut padded = [f16::ZERO; MAX_LANES];
            padded.as_mut_ptr().copy_from_nonoverlapping(from, lanes);
            s.load_f16(padded.as_ptr())
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(s: S, to: *mut f16, x: S::F) {
        // SAFETY: the caller's promise.
        unsafe { s.store_f16(to, x) }
    }
}

/// `c[m, n] (+)= a[m, inner] * b[inner, n]`; adds to c where `add`.
///
/// # Safety
/// `a` is valid for reads of `[m, inner]`, `b` of `[inner, n]`; `c` for reads and writes of `[m, n]`, which nobody else touches.
#[inline(always)]
pub(crate) unsafe fn columns<S: Simd, B: Stored>(s: S, dims: Dims, a: Rows<f32>, b: Rows<B>, c: Rows<f32>, add: bool) {
    let Dims { m, n, inner } = dims;
    let mut j = 0;
    while j < n {
        let left = (n - j) / S::LANES;
        let [pair_rows, quad_rows] = S::FLOAT_ROWS;
        // Four vectors abreast serve more multiply-adds a load, but few rows at a time, and each vector is loaded for every tile
        // of rows. Two are better where they take all rows at once, such as those that share a head, or where four take hardly any.
        let abreast = m <= quad_rows || (m > pair_rows && quad_rows >= 4);
        let vectors = if left >= 4 && abreast { 4 } else { left.min(2) };
        let most = if vectors == 2 { pair_rows } else { quad_rows };
        let mut i = 0;
        while i < m {
            // Rows are spread evenly over the tiles: 9 are 5 + 4, not 8 + 1.
            let rows = (m - i).div_ceil((m - i).div_ceil(most));
            // SAFETY: rows i.. and columns j.. of the three matrices lie within what the caller promised.
            let (a, b, c) = unsafe { (a.from(i, 0), b.from(0, j), c.from(i, j)) };
            macro_rules! tile {
                ($($rows:literal)*) => {
                    match (vectors, rows) {
                        // SAFETY: as above; so many vectors of columns remain, otherwise the lanes are counted.
                        $((4, $rows) if const { $rows <= S::FLOAT_ROWS[1] } => unsafe { tile::<S, B, 4, $rows>(s, inner, a, b, c, add) },
                        // SAFETY: as above.
                        (2, $rows) if const { $rows <= S::FLOAT_ROWS[0] } => unsafe { tile::<S, B, 2, $rows>(s, inner, a, b, c, add) },
                        // SAFETY: as above.
                        (_, $rows) if const { $rows <= S::FLOAT_ROWS[1] } => unsafe {
                            narrow_tile::<S, B, $rows>(s, inner, (n - j).min(S::LANES), a, b, c, add)
                        },)*
                        _ => unreachable!("at most {most} rows"),
                    }
                };
            }
            tile!(1 2 3 4 5 6 7 8);
            i += rows;
        }
        j += vectors.max(1) * S::LANES;
    }
}

/// `M` rows by `V` vectors of columns.
#[inline(always)]
unsafe fn tile<S: Simd, B: Stored, const V: usize, const M: usize>(
    s: S,
    inner: usize,
    a: Rows<f32>,
    b: Rows<B>,
    c: Rows<f32>,
    add: bool,
) {
    let mut sum = [[s.splat(0.); V]; M];
    // SAFETY: the caller's promise: `M` rows of a, `inner` rows of b, and `V` vectors of columns of b and c. Only a prefetch
    // reaches further, which may.
    unsafe {
        if add {
            for i in 0..M {
                for v in 0..V {
                    sum[i][v] = s.load(c.row(i, v * S::LANES));
                }
            }
        }
        for d in 0..inner {
            let row = b.row(d, 0);
            if M == 1 {
                for line in (0..V * S::LANES * size_of::<B>()).step_by(64) {
                    s.prefetch(row.wrapping_add(ROWS_AHEAD * b.stride).cast::<u8>().wrapping_add(line));
                }
            }
            let mut columns = [s.splat(0.); V];
            for v in 0..V {
                columns[v] = B::load(s, row.add(v * S::LANES));
            }
            for i in 0..M {
                let x = s.splat(*a.row(i, d));
                for v in 0..V {
                    sum[i][v] = s.mul_add(x, columns[v], sum[i][v]);
                }
            }
        }
        for i in 0..M {
            for v in 0..V {
                s.store(c.row(i, v * S::LANES), sum[i][v]);
            }
        }
    }
}

/// `M` rows by one vector of which `lanes` columns count.
#[inline(always)]
unsafe fn narrow_tile<S: Simd, B: Stored, const M: usize>(
    s: S,
    inner: usize,
    lanes: usize,
    a: Rows<f32>,
    b: Rows<B>,
    c: Rows<f32>,
    add: bool,
) {
    let mut sum = [s.splat(0.); M];
    // SAFETY: the caller's promise: `M` rows of a, `inner` rows of b, and `lanes` columns of b and c.
    unsafe {
        if add {
            for i in 0..M {
                sum[i] = s.load_partial(c.row(i, 0), lanes);
            }
        }
        for d in 0..inner {
            let columns = B::load_partial(s, b.row(d, 0), lanes);
            for i in 0..M {
                sum[i] = s.mul_add(s.splat(*a.row(i, d)), columns, sum[i]);
            }
        }
        for i in 0..M {
            s.store_partial(c.row(i, 0), sum[i], lanes);
        }
    }
}

/// `c[m, n] (+)= a[m, inner] * b[n, inner]^T`; adds to c where `add`.
///
/// # Safety
/// `a` is valid for reads of `[m, inner]`, `b` of `[n, inner]`; `c` for reads and writes of `[m, n]`, which nobody else touches.
#[inline(always)]
pub(crate) unsafe fn dots<S: Simd>(s: S, dims: Dims, a: Rows<f32>, b: Rows<f32>, c: Rows<f32>, add: bool) {
    let Dims { m, n, inner } = dims;
    let mut i = 0;
    while i < m {
        let rows = if S::FLOAT_ROWS[1] >= 4 && m - i >= 4 { 4 } else { (m - i).min(2) };
        for j in (0..n).step_by(4) {
            // SAFETY: rows i.. of a and c, rows j.. of b lie within what the caller promised; at most n - j columns of c are used.
            unsafe {
                let (a, b, c) = (a.from(i, 0), b.from(j, 0), c.from(i, j));
                match rows {
                    4 => dots_tile::<S, 4>(s, inner, (n - j).min(4), a, b, c, add),
                    2 => dots_tile::<S, 2>(s, inner, (n - j).min(4), a, b, c, add),
                    _ => dots_tile::<S, 1>(s, inner, (n - j).min(4), a, b, c, add),
                }
            }
        }
        i += rows;
    }
}

/// `M` rows of a by four rows of b, of which the first `held` (at least one) exist.
#[inline(always)]
unsafe fn dots_tile<S: Simd, const M: usize>(
    s: S,
    inner: usize,
    held: usize,
    a: Rows<f32>,
    b: Rows<f32>,
    c: Rows<f32>,
    add: bool,
) {
    let mut sum = [[s.splat(0.); 4]; M];
    // SAFETY: the caller's promise: `M` rows of a and c, `held` rows of b (the last stands in for those that do not exist), `held`
    // columns of c.
    unsafe {
        let b: [*const f32; 4] = std::array::from_fn(|j| b.row(j.min(held - 1), 0).cast_const());
        for d in (0..inner).step_by(S::LANES) {
            let lanes = inner - d;
            if M == 1 {
                // Rows usually follow one another: then the four are one stream.
                for line in (0..4 * S::LANES).step_by(16) {
                    s.prefetch(b[0].wrapping_add(4 * d + line + FLOATS_AHEAD).cast());
                }
            }
            let mut weights = [s.splat(0.); 4];
            for j in 0..4 {
                weights[j] = load(s, b[j].add(d), lanes);
            }
            for i in 0..M {
                let x = load(s, a.row(i, d), lanes);
                for j in 0..4 {
                    sum[i][j] = s.mul_add(x, weights[j], sum[i][j]);
                }
            }
        }
        for i in 0..M {
            for (j, sum) in s.sums(sum[i]).into_iter().enumerate().take(held) {
                let c = c.row(i, j);
                *c = if add { *c + sum } else { sum };
            }
        }
    }
}

/// As many of the `lanes` that are left as a vector has.
///
/// # Safety
/// `from` is valid for that many reads.
#[inline(always)]
unsafe fn load<S: Simd>(s: S, from: *const f32, lanes: usize) -> S::F {
    // SAFETY: the caller's promise.
    unsafe { if lanes >= S::LANES { s.load(from) } else { s.load_partial(from, lanes) } }
}
