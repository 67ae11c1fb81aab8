//! Weights as the program holds them: handles on mapped bytes.

mod behind;
mod floats;
mod quantised;

pub(crate) use behind::{ConstantMatrix, is_shaped_as};
pub(crate) use floats::Vector;
pub(crate) use quantised::{BlockTensors, Grid};

use floats::FloatData;
use kinglet_bundle::Bytes;
use kinglet_engine::Precision;
use kinglet_kernels::{BlockWeights, FloatWeights, IntegerWeights, Layout, Matrix, ShapeError, ZeroPoints};
use std::ops::Range;
use std::sync::Arc;

/// How a weight lies in the file.
#[derive(Debug)]
enum Storage {
    Float {
        data: FloatData,
        layout: Layout,
    },
    Blocks {
        bits: usize,
        block: usize,
        packed: Bytes,
        scales: FloatData,
        zero_points: Points,
    },
    Integers {
        bits: usize,
        data: Bytes,
        signed: bool,
        layout: Layout,
        /// Outputs and inputs that share a scale.
        block: [usize; 2],
        scales: FloatData,
        zero_points: Option<Bytes>,
    },
}

impl Storage {
    /// Elements are the same where they lie in one place; parameters also where they are equal, since some are copies.
    fn is_same(&self, other: &Self) -> bool {
        let in_place = |a: &Bytes, b: &Bytes| std::ptr::eq(&**a, &**b);
        match (self, other) {
            (Self::Float { data, layout }, Self::Float { data: other, layout: other_layout }) => {
                layout == other_layout && data.bytes().zip(other.bytes()).is_some_and(|(a, b)| in_place(a, b))
            }
            (
                Self::Blocks { bits, block, packed, scales, zero_points },
                Self::Blocks { bits: b, block: l, packed: p, scales: s, zero_points: z },
            ) => (bits, block) == (b, l) && in_place(packed, p) && scales.is_equal(s) && zero_points.is_equal(z),
            (
                Self::Integers { bits, data, signed, layout, block, scales, zero_points },
                Self::Integers { bits: b, data: d, signed: g, layout: o, block: l, scales: s, zero_points: z },
            ) => {
                let points = zero_points.as_deref() == z.as_deref();
                (bits, signed, layout, block) == (b, g, o, l) && in_place(data, d) && scales.is_equal(s) && points
            }
            _ => false,
        }
    }
}

/// The zero points of [`Storage::Blocks`].
#[derive(Debug)]
enum Points {
    Middle,
    Packed(Bytes),
    Floats(FloatData),
}

impl Points {
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Middle => None,
            Self::Packed(bytes) => Some(bytes),
            Self::Floats(values) => values.bytes(),
        }
    }

    fn is_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Middle, Self::Middle) => true,
            (Self::Packed(a), Self::Packed(b)) => **a == **b,
            (Self::Floats(a), Self::Floats(b)) => a.is_equal(b),
            _ => false,
        }
    }

    fn view(&self) -> ZeroPoints<'_> {
        match self {
            Self::Middle => ZeroPoints::Middle,
            Self::Packed(bytes) => ZeroPoints::Packed(bytes),
            Self::Floats(values) => ZeroPoints::Floats(values.view()),
        }
    }
}

/// A weight `[n, k]` of a product `y [m, n] = x [m, k] * W^T`, or some of its rows. Cloning shares the storage.
#[derive(Clone, Debug)]
pub(crate) struct Weight {
    storage: Arc<Storage>,
    n: usize,
    k: usize,
    rows: Range<usize>,
    /// Bytes of the whole storage, scales and zero points included.
    bytes: u64,
}

impl Weight {
    fn new(storage: Storage, n: usize, k: usize, bytes: usize) -> Result<Self, ShapeError> {
        let weight = Self { storage: Arc::new(storage), n, k, rows: 0..n, bytes: bytes as u64 };
        weight.matrix().map(|_| ())?;
        Ok(weight)
    }

    /// Outputs.
    pub(crate) fn n(&self) -> usize {
        self.rows.len()
    }

    /// Inputs.
    pub(crate) fn k(&self) -> usize {
        self.k
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of one row, its scales and zero points included.
    pub(crate) fn row_bytes(&self) -> u64 {
        self.bytes / self.n as u64
    }

    /// Where its elements lie: the same for a head and an embedding table that share them.
    pub(crate) fn identity(&self) -> usize {
        match &*self.storage {
            Storage::Float { data: FloatData::F32(v), .. } => v.floats().as_ptr().addr(),
            Storage::Float { data: FloatData::F32Bytes(b) | FloatData::F16(b) | FloatData::BF16(b), .. } => b.as_ptr().addr(),
            Storage::Blocks { packed: b, .. } | Storage::Integers { data: b, .. } => b.as_ptr().addr(),
        }
    }

    /// Whether every element is read from the same place with the same parameters.
    pub(crate) fn is_stored_as(&self, other: &Self) -> bool {
        (self.n, self.k, &self.rows) == (other.n, other.k, &other.rows) && self.storage.is_same(&other.storage)
    }

    /// Whether its rows are rows of what is stored, one at least.
    pub(crate) fn is_within_storage(&self) -> bool {
        self.rows.start < self.rows.end && self.rows.end <= self.n
    }

    /// The rows `range` of these rows.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        Self { rows: self.rows.start + range.start..self.rows.start + range.end, ..self.clone() }
    }

    /// Gives the memory behind `rows` of these rows back; they are read from the file when they are next needed. What lies across
    /// the rows goes with the last of them.
    pub(crate) fn release(&self, rows: Range<usize>) {
        let is_last = rows.end == self.rows.len();
        let rows = self.rows.start + rows.start..self.rows.start + rows.end;
        match &*self.storage {
            Storage::Blocks { packed, scales, zero_points, .. } => {
                release_rows(packed, self.n, &rows);
                scales.bytes().into_iter().chain(zero_points.bytes()).for_each(|bytes| release_rows(bytes, self.n, &rows));
            }
            Storage::Integers { data, layout: Layout::Nk, .. } => release_rows(data, self.n, &rows),
            Storage::Integers { data, .. } if is_last => data.release(),
            Storage::Float { .. } | Storage::Integers { .. } => {}
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        match &*self.storage {
            Storage::Float { data, .. } => data.precision(),
            Storage::Blocks { bits, .. } | Storage::Integers { bits, .. } => match bits {
                2 => Precision::Int2,
                4 => Precision::Int4,
                _ => Precision::Int8,
            },
        }
    }

    /// The view that the kernels read.
    pub(crate) fn matrix(&self) -> Result<Matrix<'_>, ShapeError> {
        let (n, k) = (self.n, self.k);
        let whole = match &*self.storage {
            Storage::Float { data, layout } => Matrix::float(FloatWeights { data: data.view(), layout: *layout, n, k }),
            Storage::Blocks { bits, block, packed, scales, zero_points } => Matrix::blocks(BlockWeights {
                bits: *bits,
                n,
                k,
                block: *block,
                packed,
                scales: scales.view(),
                zero_points: zero_points.view(),
            }),
            Storage::Integers { bits, data, signed, layout, block, scales, zero_points } => Matrix::integers(IntegerWeights {
                bits: *bits,
                data,
                signed: *signed,
                layout: *layout,
                n,
                k,
                block: *block,
                scales: scales.view(),
                zero_points: zero_points.as_deref(),
            }),
        }?;
        Ok(if self.rows == (0..n) { whole } else { whole.rows(self.rows.clone()) })
    }
}

/// Releases some of the `n` rows that lie one after the other in `bytes`.
fn release_rows(bytes: &Bytes, n: usize, rows: &Range<usize>) {
    let row_bytes = bytes.len() / n;
    if let Some(rows) = bytes.slice(rows.start * row_bytes..rows.end * row_bytes) {
        rows.release();
    }
}
