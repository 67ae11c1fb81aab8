//! The search for a weight behind a value: through reshapes, transpositions and dequantisation.

use super::{FloatData, Grid, Storage, Weight};
use crate::source::{Source, unsupported};
use kinglet_bundle::onnx::{Node, Tensor};
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;
use std::borrow::Cow;

/// Nodes between a weight and its reader.
const DEPTH: usize = 6;

/// A constant matrix as its reader sees it.
pub(crate) struct ConstantMatrix<'g> {
    pub(crate) tensor: Cow<'g, Tensor>,
    /// The order in which its elements lie: the reader's, or the other one where it is transposed on its way.
    pub(crate) layout: Layout,
}

impl ConstantMatrix<'_> {
    /// Outputs and inputs; `None` unless the constant has two dimensions.
    pub(crate) fn sides(&self) -> Option<[usize; 2]> {
        match (self.tensor.dims.as_slice(), self.layout) {
            ([k, n], Layout::Kn) | ([n, k], Layout::Nk) => Some([*n, *k]),
            _ => None,
        }
    }
}

impl<'g> ConstantMatrix<'g> {
    /// The constant behind `value`, which its reader takes for a matrix in `layout`; `None` where there is none.
    pub(crate) fn behind(source: &Source<'g>, value: &str, layout: Layout) -> Option<Self> {
        let (mut value, mut layout) = (source.plain(value), layout);
        for _ in 0..DEPTH {
            if let Some(tensor) = source.shaped_constant(value) {
                return Some(Self { tensor, layout });
            }
            let transposed = transposed(source.maker(value)?)?;
            layout = if transposed.1 { flipped(layout) } else { layout };
            value = source.plain(transposed.0);
        }
        None
    }
}

impl Weight {
    /// The weight of a product's second operand, whose reader takes it for a matrix in `layout`, ONNX shape `[k, n]` or `[n, k]`: a
    /// float initializer, reshaped or transposed, or a dequantised one. `None` if the value is not constant.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] for a constant that is no matrix of floats, named by its `reader`, or a dequantisation that the
    /// kernels do not have, by its own name.
    pub(crate) fn behind(source: &Source, reader: &Node, value: &str, layout: Layout) -> Result<Option<Self>, EngineError> {
        let (mut value, mut layout) = (source.plain(value), layout);
        for _ in 0..DEPTH {
            if let Some(tensor) = source.shaped_constant(value) {
                return float_weight(reader, ConstantMatrix { tensor, layout }).map(Some);
            }
            let Some(node) = source.maker(value) else { return Ok(None) };
            if node.op_type == "DequantizeLinear" {
                return dequantised(source, node, layout);
            }
            let Some((input, flips)) = transposed(node) else { return Ok(None) };
            layout = if flips { flipped(layout) } else { layout };
            value = source.plain(input);
        }
        Ok(None)
    }
}

/// Whether zero points have the shape of their scales, where one number may have a dimension or none.
pub(crate) fn is_shaped_as(points: &Tensor, scales: &Tensor) -> bool {
    let is_one = |tensor: &Tensor| matches!(tensor.dims.as_slice(), [] | [1]);
    points.dims == scales.dims || is_one(points) && is_one(scales)
}

/// The input of a `Transpose` of a matrix, and whether it swaps the axes; `None` for any other node.
fn transposed(node: &Node) -> Option<(&str, bool)> {
    let flips = match node.ints("perm") {
        None | Some([1, 0]) => true,
        Some([0, 1]) => false,
        Some(_) => return None,
    };
    (node.op_type == "Transpose").then_some((node.input(0)?, flips))
}

fn flipped(layout: Layout) -> Layout {
    match layout {
        Layout::Kn => Layout::Nk,
        Layout::Nk => Layout::Kn,
    }
}

fn float_weight(reader: &Node, matrix: ConstantMatrix<'_>) -> Result<Weight, EngineError> {
    let tensor = &matrix.tensor;
    let bad = |why: String| unsupported(reader, format!("its weight `{}`: {why}", tensor.name));
    let [n, k] = matrix.sides().ok_or_else(|| bad(format!("shape {:?} is not a matrix", tensor.dims)))?;
    let storage = Storage::Float { data: FloatData::of(tensor).map_err(|e| bad(e.to_string()))?, layout: matrix.layout };
    Weight::new(storage, n, k, tensor.bytes.len()).map_err(|e| bad(e.to_string()))
}

/// `DequantizeLinear(x, scale, zero point)` over a constant matrix: with one scale, one for each index of an axis, or in blocks. `None`
/// if x is not constant.
fn dequantised(source: &Source, node: &Node, layout: Layout) -> Result<Option<Weight>, EngineError> {
    let Some(matrix) = node.input(0).and_then(|x| ConstantMatrix::behind(source, x, layout)) else { return Ok(None) };
    let scales = node.input(1).and_then(|v| source.shaped_constant(v));
    let scales = scales.ok_or_else(|| unsupported(node, "its scale is not a constant"))?;
    let zero_points = source.optional_constant(node, 2, "zero point")?;
    if let Some(points) = zero_points.filter(|points| !is_shaped_as(points, &scales)) {
        return Err(unsupported(node, format!("zero points of shape {:?} for scales of {:?}", points.dims, scales.dims)));
    }
    let [n, k] = matrix.sides().ok_or_else(|| unsupported(node, format!("shape {:?} is not a matrix", matrix.tensor.dims)))?;
    // As the node sees the matrix.
    let dims = if layout == Layout::Kn { [k, n] } else { [n, k] };
    let [first, second] = blocks_of(node, dims, &scales.dims)?;
    let is_blocked = scales.dims.len() == 2;
    if is_blocked && matrix.layout != layout {
        return Err(unsupported(node, "blocks of a transposed matrix"));
    }
    let block = if layout == Layout::Kn { [second, first] } else { [first, second] };
    let grid = Grid { block, scales: &scales, zero_points };
    Weight::integers(node, &matrix.tensor, matrix.layout, [n, k], grid).map(Some)
}

/// How many rows and columns of a matrix of shape `dims` share a scale, from the shape of the scales, as the operator's documentation has
/// it.
fn blocks_of(node: &Node, dims: [usize; 2], scales: &[usize]) -> Result<[usize; 2], EngineError> {
    let other = |why: String| unsupported(node, why);
    let axis = node.int("axis").unwrap_or(1);
    let axis = match axis {
        0 | -2 => 0,
        1 | -1 => 1,
        _ => return Err(other(format!("axis {axis} of a matrix"))),
    };
    let along = |size: usize, rest: [usize; 2]| if axis == 0 { [size, rest[1]] } else { [rest[0], size] };
    match (node.int("block_size").unwrap_or(0), scales) {
        (0, [] | [1]) => Ok(dims),
        (0, [count]) if *count == dims[axis] => Ok(along(1, dims)),
        (size, [_, _]) if size > 0 => {
            let size = usize::try_from(size).map_err(|_| other(format!("blocks of {size}")))?;
            let expected = along(dims[axis].div_ceil(size), dims);
            if scales == expected {
                Ok(along(size, [1, 1]))
            } else {
                Err(other(format!("scales of shape {scales:?} where blocks of {size} along axis {axis} have {expected:?}")))
            }
        }
        (size, _) => Err(other(format!("scales of shape {scales:?} for {dims:?} with block size {size} along axis {axis}"))),
    }
}
