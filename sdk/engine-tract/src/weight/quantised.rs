//! Quantised weights as the operators of ONNX and ONNX Runtime describe them: every length, shape and type is checked here.

use super::{FloatData, Points, Storage, Weight};
use crate::source::unsupported;
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{DataType, Node, Tensor};
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;

/// The tensors of a block-quantised weight.
pub(crate) struct BlockTensors<'t> {
    pub(crate) packed: &'t Tensor,
    pub(crate) scales: &'t Tensor,
    pub(crate) zero_points: Option<&'t Tensor>,
}

/// The parameters of a matrix of integers: `block` outputs by inputs share one.
pub(crate) struct Grid<'t> {
    pub(crate) block: [usize; 2],
    pub(crate) scales: &'t Tensor,
    pub(crate) zero_points: Option<&'t Tensor>,
}

impl Weight {
    /// The weight of `MatMulNBits`, or the table of a `GatherBlockQuantized` whose rows are whole blocks: `n` rows of `k` elements in
    /// blocks of `block`, each of `bits`.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] where a tensor has another type or shape than the operators' documentation says, or the kernels
    /// have no such bits or block.
    pub(crate) fn blocks(
        node: &Node,
        [bits, block]: [usize; 2],
        [n, k]: [usize; 2],
        tensors: BlockTensors<'_>,
    ) -> Result<Self, EngineError> {
        let BlockTensors { packed, scales, zero_points } = tensors;
        let rows = |tensor: &Tensor, what: &str| match tensor.dims.as_slice() {
            [_] => Ok(()),
            [rows, ..] if *rows == n => Ok(()),
            dims => Err(unsupported(node, format!("{what} of shape {dims:?} for {n} rows"))),
        };
        if packed.data_type != DataType::UInt8 {
            return Err(unsupported(node, format!("packed weights of type {:?}", packed.data_type)));
        }
        rows(packed, "packed weights")?;
        rows(scales, "scales")?;
        let points = match zero_points {
            None => Points::Middle,
            Some(points) => {
                rows(points, "zero points")?;
                match points.data_type {
                    DataType::UInt8 => Points::Packed(points.bytes.clone()),
                    _ => Points::Floats(floats(node, points, "zero points")?),
                }
            }
        };
        let bytes = packed.bytes.len() + scales.bytes.len() + zero_points.map_or(0, |z| z.bytes.len());
        let scales = floats(node, scales, "scales")?;
        let storage = Storage::Blocks { bits, block, packed: packed.bytes.clone(), scales, zero_points: points };
        Self::new(storage, n, k, bytes).map_err(|e| unsupported(node, e.to_string()))
    }

    /// A matrix of ONNX integers, `[k, n]` or `[n, k]` as `layout` says, with parameters on a grid in that same order.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] for another type than integers of 2, 4 and 8 bits, and for shapes and types of parameters that do
    /// not go with it.
    pub(crate) fn integers(
        node: &Node,
        data: &Tensor,
        layout: Layout,
        [n, k]: [usize; 2],
        grid: Grid<'_>,
    ) -> Result<Self, EngineError> {
        let Grid { block, scales, zero_points } = grid;
        let (bits, signed) = match data.data_type {
            DataType::Int8 => (8, true),
            DataType::UInt8 => (8, false),
            DataType::Int4 => (4, true),
            DataType::UInt4 => (4, false),
            DataType::Int2 => (2, true),
            DataType::UInt2 => (2, false),
            other => return Err(unsupported(node, format!("weights of type {other:?}"))),
        };
        if let Some(points) = zero_points
            && points.data_type != data.data_type
        {
            let (z, q) = (points.data_type, data.data_type);
            return Err(unsupported(node, format!("zero points of type {z:?} for weights of type {q:?}")));
        }
        let bytes = data.bytes.len() + scales.bytes.len() + zero_points.map_or(0, |z| z.bytes.len());
        let storage = Storage::Integers {
            bits,
            data: data.bytes.clone(),
            signed,
            layout,
            block,
            scales: floats(node, scales, "scales")?,
            zero_points: zero_points.map(|z| z.bytes.clone()),
        };
        Self::new(storage, n, k, bytes).map_err(|e| unsupported(node, e.to_string()))
    }

    /// The weight of `MatMulInteger`: 8-bit integers whose scales and zero points are one each for all, or one for each output.
    ///
    /// # Errors
    /// As for [`Weight::integers`].
    pub(crate) fn dynamic(
        node: &Node,
        data: &Tensor,
        layout: Layout,
        [n, k]: [usize; 2],
        scales: &[f32],
        zero_points: Option<&Tensor>,
    ) -> Result<Self, EngineError> {
        if !matches!(data.data_type, DataType::Int8 | DataType::UInt8) {
            return Err(unsupported(node, format!("weights of type {:?}", data.data_type)));
        }
        let points = zero_points.map_or(1, Tensor::elements);
        if let Some(wrong) = [scales.len(), points].into_iter().find(|count| ![1, n].contains(count)) {
            return Err(unsupported(node, format!("{wrong} scales or zero points for {n} outputs")));
        }
        // Where one kind is for all and the other for each, the first is repeated.
        let count = scales.len().max(points);
        let repeated: Vec<f32> = scales.iter().copied().cycle().take(count).collect();
        let scales =
            Tensor { name: String::new(), data_type: DataType::Float32, dims: vec![count], bytes: Bytes::copy_of(&repeated) };
        let zero_points = zero_points.map(|z| {
            let bytes: Vec<u8> = z.bytes.iter().copied().cycle().take(count).collect();
            Tensor { dims: vec![count], bytes: Bytes::copy_of(&bytes), ..z.clone() }
        });
        let block = [if count == 1 { n } else { 1 }, k];
        Self::integers(node, data, layout, [n, k], Grid { block, scales: &scales, zero_points: zero_points.as_ref() })
    }
}

/// Floats of a type that kernels read.
fn floats(node: &Node, tensor: &Tensor, what: &str) -> Result<FloatData, EngineError> {
    match tensor.data_type {
        DataType::Float32 | DataType::Float16 | DataType::BFloat16 => FloatData::of(tensor),
        other => Err(unsupported(node, format!("{what} of type {other:?}"))),
    }
}
