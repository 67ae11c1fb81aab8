//! Weights as the program holds them: handles on mapped bytes, and the search that finds them behind a graph's value.

use crate::source::{Source, unsupported};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{DataType, Node, Tensor};
use kinglet_engine::{EngineError, Precision};
use kinglet_kernels::{BlockWeights, FloatWeights, Floats, IntegerWeights, Layout, Matrix, NibbleWeights, ShapeError};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// A float32 vector: norm weights, biases, scales, cosine tables. Mapped where the file holds aligned float32, unless it is copied.
#[derive(Clone, Debug)]
pub(crate) enum Vector {
    Mapped(Bytes),
    Owned(Arc<[f32]>),
}

impl Vector {
    /// A tensor's elements as float32.
    pub(crate) fn of(tensor: &Tensor) -> Result<Self, EngineError> {
        if tensor.as_f32().is_some() {
            return Ok(Self::Mapped(tensor.bytes.clone()));
        }
        let values = tensor.to_f32().map_err(|e| EngineError::BadModel(format!("`{}`: {e}", tensor.name)))?;
        Ok(Self::Owned(values.into()))
    }

    /// The same, never mapped: for what is small. A page of the file for each norm's weights and each bias, and what the system maps
    /// around it, would be megabytes.
    pub(crate) fn copied(tensor: &Tensor) -> Result<Self, EngineError> {
        match Self::of(tensor)? {
            Self::Mapped(bytes) => Ok(Self::owned(bytes.as_f32().unwrap_or_default().into())),
            owned @ Self::Owned(_) => Ok(owned),
        }
    }

    pub(crate) fn owned(values: Vec<f32>) -> Self {
        Self::Owned(values.into())
    }

    pub(crate) fn floats(&self) -> &[f32] {
        match self {
            Self::Mapped(bytes) => bytes.as_f32().unwrap_or_default(),
            Self::Owned(values) => values,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.floats().len()
    }
}

impl PartialEq for Vector {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.floats(), other.floats()) || self.floats() == other.floats()
    }
}

/// Float elements of any width, mapped. Float32 may lie at any address: a single file of protobuf aligns nothing.
#[derive(Clone, Debug)]
enum FloatData {
    F32(Vector),
    F32Bytes(Bytes),
    F16(Bytes),
    BF16(Bytes),
}

impl FloatData {
    fn of(tensor: &Tensor) -> Result<Self, EngineError> {
        match tensor.data_type {
            DataType::Float16 if tensor.bytes.as_f16().is_some() => Ok(Self::F16(tensor.bytes.clone())),
            DataType::BFloat16 if tensor.bytes.as_bf16().is_some() => Ok(Self::BF16(tensor.bytes.clone())),
            DataType::Float32 if tensor.as_f32().is_none() && tensor.bytes.is_mapped() => {
                Ok(Self::F32Bytes(tensor.bytes.clone()))
            }
            _ => Vector::of(tensor).map(Self::F32),
        }
    }

    /// The mapped bytes.
    fn bytes(&self) -> Option<&Bytes> {
        match self {
            Self::F32(Vector::Mapped(bytes)) | Self::F32Bytes(bytes) | Self::F16(bytes) | Self::BF16(bytes) => Some(bytes),
            Self::F32(Vector::Owned(_)) => None,
        }
    }

    fn view(&self) -> Floats<'_> {
        match self {
            Self::F32(v) => Floats::F32(v.floats()),
            Self::F32Bytes(b) => Floats::F32Bytes(b.as_chunks().0),
            Self::F16(b) => Floats::F16(b.as_f16().unwrap_or_default()),
            Self::BF16(b) => Floats::BF16(b.as_bf16().unwrap_or_default()),
        }
    }

    fn precision(&self) -> Precision {
        match self {
            Self::F32(_) | Self::F32Bytes(_) => Precision::Float32,
            Self::F16(_) => Precision::Float16,
            Self::BF16(_) => Precision::BFloat16,
        }
    }
}

/// How a weight lies in the file.
#[derive(Debug)]
enum Storage {
    Float { data: FloatData, layout: Layout },
    Blocks { bits: usize, block: usize, packed: Bytes, scales: FloatData, zero_points: Option<Bytes> },
    Integers { data: Bytes, signed: bool, layout: Layout, scales: Vector, zero_points: Option<Bytes> },
    Nibbles { data: Bytes, signed: bool, layout: Layout, block: usize, scales: FloatData, zero_points: Option<Bytes> },
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
            Storage::Blocks { packed: b, .. } | Storage::Integers { data: b, .. } | Storage::Nibbles { data: b, .. } => {
                b.as_ptr().addr()
            }
        }
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
                scales.bytes().into_iter().chain(zero_points).for_each(|bytes| release_rows(bytes, self.n, &rows));
            }
            Storage::Integers { data, layout: Layout::Nk, .. } | Storage::Nibbles { data, layout: Layout::Nk, .. } => {
                release_rows(data, self.n, &rows);
            }
            Storage::Integers { data, .. } | Storage::Nibbles { data, .. } if is_last => data.release(),
            Storage::Float { .. } | Storage::Integers { .. } | Storage::Nibbles { .. } => {}
        }
    }

    pub(crate) fn precision(&self) -> Precision {
        match &*self.storage {
            Storage::Float { data, .. } => data.precision(),
            Storage::Blocks { bits: 4, .. } | Storage::Nibbles { .. } => Precision::Int4,
            Storage::Blocks { .. } | Storage::Integers { .. } => Precision::Int8,
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
                zero_points: zero_points.as_deref(),
            }),
            Storage::Integers { data, signed, layout, scales, zero_points } => Matrix::integers(IntegerWeights {
                data,
                signed: *signed,
                layout: *layout,
                n,
                k,
                scales: scales.floats(),
                zero_points: zero_points.as_deref(),
            }),
            Storage::Nibbles { data, signed, layout, block, scales, zero_points } => Matrix::nibbles(NibbleWeights {
                data,
                signed: *signed,
                layout: *layout,
                block: *block,
                n,
                k,
                scales: scales.view(),
                zero_points: zero_points.as_deref(),
            }),
        }?;
        Ok(if self.rows == (0..n) { whole } else { whole.rows(self.rows.clone()) })
    }

    /// The weight of a `MatMul`'s second operand, ONNX shape `[k, n]`: a float initializer, its transpose, or a
    /// dequantised one. None if the value is not constant.
    pub(crate) fn behind(source: &Source, value: &str) -> Result<Option<Self>, EngineError> {
        Self::oriented(source, value, Layout::Kn, 4)
    }

    /// As [`behind`](Self::behind) for an ONNX shape `[n, k]`.
    pub(crate) fn behind_rows(source: &Source, value: &str) -> Result<Option<Self>, EngineError> {
        Self::oriented(source, value, Layout::Nk, 4)
    }

    fn oriented(source: &Source, value: &str, layout: Layout, depth: usize) -> Result<Option<Self>, EngineError> {
        let value = source.plain(value);
        if let Some(tensor) = source.constant(value) {
            return float_weight(tensor, layout).map(Some);
        }
        let Some(node) = source.maker(value).filter(|_| depth > 0) else { return Ok(None) };
        match node.op_type.as_str() {
            "Transpose" => match node.input(0) {
                Some(input) => Self::oriented(source, input, flipped(layout), depth - 1),
                None => Ok(None),
            },
            "Reshape" => match reshaped(source, node) {
                Some(tensor) => float_weight(&tensor, layout).map(Some),
                None => Ok(None),
            },
            "DequantizeLinear" => dequantised(source, node, layout),
            _ => Ok(None),
        }
    }

    /// The weight of `MatMulNBits` or the table of `GatherBlockQuantized`: `n` rows of `k` elements in blocks.
    pub(crate) fn blocks(
        node: &Node,
        bits: usize,
        n: usize,
        k: usize,
        block: usize,
        tensors: BlockTensors<'_>,
    ) -> Result<Self, EngineError> {
        let BlockTensors { packed, scales, zero_points } = tensors;
        if let Some(z) = zero_points
            && z.data_type != DataType::UInt8
        {
            return Err(unsupported(node, format!("zero points of type {:?}", z.data_type)));
        }
        let bytes = packed.bytes.len() + scales.bytes.len() + zero_points.map_or(0, |z| z.bytes.len());
        let storage = Storage::Blocks {
            bits,
            block,
            packed: packed.bytes.clone(),
            scales: FloatData::of(scales)?,
            zero_points: zero_points.map(|z| z.bytes.clone()),
        };
        Self::new(storage, n, k, bytes).map_err(|e| unsupported(node, e.to_string()))
    }

    /// A matrix of ONNX 4-bit integers quantised in blocks along k.
    pub(crate) fn nibbles(node: &Node, block: usize, layout: Layout, tensors: BlockTensors<'_>) -> Result<Self, EngineError> {
        let BlockTensors { packed, scales, zero_points } = tensors;
        let (n, k) =
            sides(packed, layout).ok_or_else(|| unsupported(node, format!("shape {:?} is not a matrix", packed.dims)))?;
        let storage = Storage::Nibbles {
            data: packed.bytes.clone(),
            signed: packed.data_type == DataType::Int4,
            layout,
            block,
            scales: FloatData::of(scales)?,
            zero_points: zero_points.map(|z| z.bytes.clone()),
        };
        let bytes = packed.bytes.len() + scales.bytes.len() + zero_points.map_or(0, |z| z.bytes.len());
        Self::new(storage, n, k, bytes).map_err(|e| unsupported(node, e.to_string()))
    }

    /// The weight of `MatMulInteger`, ONNX shape `[k, n]`: 8-bit integers with a scale each column or one for all.
    pub(crate) fn integers(
        node: &Node,
        data: &Tensor,
        layout: Layout,
        scales: Vec<f32>,
        zero_points: Option<&Tensor>,
    ) -> Result<Self, EngineError> {
        let (n, k) = sides(data, layout).ok_or_else(|| unsupported(node, "the weight is not a matrix"))?;
        let signed = match data.data_type {
            DataType::Int8 => true,
            DataType::UInt8 => false,
            other => return Err(unsupported(node, format!("weights of type {other:?}"))),
        };
        let bytes = data.bytes.len() + scales.len() * 4;
        let zero_points = zero_points.map(|z| z.bytes.clone());
        let storage = Storage::Integers { data: data.bytes.clone(), signed, layout, scales: Vector::owned(scales), zero_points };
        Self::new(storage, n, k, bytes).map_err(|e| unsupported(node, e.to_string()))
    }
}

/// Releases some of the `n` rows that lie one after the other in `bytes`.
fn release_rows(bytes: &Bytes, n: usize, rows: &Range<usize>) {
    let row_bytes = bytes.len() / n;
    if let Some(rows) = bytes.slice(rows.start * row_bytes..rows.end * row_bytes) {
        rows.release();
    }
}

/// The tensors of a block-quantised weight.
pub(crate) struct BlockTensors<'t> {
    pub(crate) packed: &'t Tensor,
    pub(crate) scales: &'t Tensor,
    pub(crate) zero_points: Option<&'t Tensor>,
}

fn flipped(layout: Layout) -> Layout {
    match layout {
        Layout::Kn => Layout::Nk,
        Layout::Nk => Layout::Kn,
    }
}

/// (n, k) of a matrix stored in a layout.
fn sides(tensor: &Tensor, layout: Layout) -> Option<(usize, usize)> {
    match (tensor.dims.as_slice(), layout) {
        ([k, n], Layout::Kn) | ([n, k], Layout::Nk) => Some((*n, *k)),
        _ => None,
    }
}

fn float_weight(tensor: &Tensor, layout: Layout) -> Result<Weight, EngineError> {
    let bad = |why: &str| EngineError::BadModel(format!("weight `{}`: {why}", tensor.name));
    let (n, k) = sides(tensor, layout).ok_or_else(|| bad(&format!("shape {:?} is not a matrix", tensor.dims)))?;
    let storage = Storage::Float { data: FloatData::of(tensor)?, layout };
    Weight::new(storage, n, k, tensor.bytes.len()).map_err(|e| bad(&e.to_string()))
}

/// A constant under a `Reshape` to a constant shape, with that shape.
pub(crate) fn reshaped<'g>(source: &Source<'g>, node: &Node) -> Option<Cow<'g, Tensor>> {
    let tensor = source.constant(node.input(0)?)?;
    let shape = source.ints(node.input(1)?)?;
    let known: usize = shape.iter().filter(|&&d| d > 0).map(|&d| d as usize).product();
    let dims = shape.iter().enumerate().map(|(i, &d)| match d {
        0 => tensor.dims.get(i).copied(),
        -1 => tensor.elements().checked_div(known),
        d => usize::try_from(d).ok(),
    });
    Some(Cow::Owned(Tensor { dims: dims.collect::<Option<_>>()?, ..tensor.clone() }))
}

/// `DequantizeLinear(x, scale, zero_point)` over a constant matrix: whole, per column or row, or in blocks.
fn dequantised(source: &Source, node: &Node, layout: Layout) -> Result<Option<Weight>, EngineError> {
    let tensor = |i: usize| node.input(i).and_then(|v| source.constant(v));
    let Some(data) = tensor(0) else { return Ok(None) };
    let Some(scales) = tensor(1) else { return Err(unsupported(node, "the scale is not a constant")) };
    let zero_points = source.optional_constant(node, 2, "zero point")?;
    let block = node.int("block_size").unwrap_or(0) as usize;
    let axis = node.int("axis").unwrap_or(1).rem_euclid(2);
    let k_axis = if layout == Layout::Kn { 0 } else { 1 };
    let per_tensor = scales.elements() == 1;
    match data.data_type {
        DataType::Int8 | DataType::UInt8 if block == 0 => {
            if !per_tensor && axis == k_axis {
                return Err(unsupported(node, "scales along the inputs of the product"));
            }
            let scales = scales.to_f32().map_err(|e| unsupported(node, e.to_string()))?;
            Weight::integers(node, data, layout, scales, zero_points).map(Some)
        }
        DataType::Int4 | DataType::UInt4 if block > 0 && axis == k_axis => {
            Weight::nibbles(node, block, layout, BlockTensors { packed: data, scales, zero_points }).map(Some)
        }
        other => Err(unsupported(node, format!("{other:?} weights with block size {block} along axis {axis}"))),
    }
}
