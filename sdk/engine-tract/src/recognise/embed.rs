//! Token embeddings: a row of a table for each token id.

use super::{Found, Recogniser};
use crate::program::Op;
use crate::source::unsupported;
use crate::weight::{BlockTensors, ConstantMatrix, Grid, Weight, is_shaped_as};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{DataType, Node, Tensor};
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;
use std::borrow::Cow;

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn embed(&self, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        let (table, gather) = match node.op_type.as_str() {
            "Gather" => match self.table_of(node)? {
                Some(table) => (table, node),
                None => return Ok(None),
            },
            "GatherBlockQuantized" => (self.block_table(node, None)?, node),
            // Rows that were filled up to whole blocks are cut to the hidden size.
            "Slice" => match node.input(0).and_then(|v| self.source.maker_of(v, &["GatherBlockQuantized"])) {
                Some(gather) => (self.block_table(gather, Some(node))?, gather),
                None => return Ok(None),
            },
            "DequantizeLinear" => match node.input(0).and_then(|v| self.source.maker_of(v, &["Gather"])) {
                Some(gather) => (self.integer_table(node, gather)?, gather),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if !self.reads_ids(gather) {
            return Err(unsupported(gather, "its indices are not the token ids"));
        }
        let width = Some(table.k());
        Ok(Some(Found {
            op: Op::Embed { table, scale: 1.0 },
            inputs: vec![super::Want::Value(self.ids())],
            width,
            label: node.label(),
        }))
    }

    fn ids(&self) -> &'g str {
        let name = self.facts.input_ids.as_str();
        self.source.graph().inputs.iter().map(|i| i.name.as_str()).find(|i| *i == name).unwrap_or("input_ids")
    }

    /// Whether a `Gather` takes the rows of the token ids.
    fn reads_ids(&self, gather: &'g Node) -> bool {
        gather.input(1).is_some_and(|ids| self.source.moved_ids(ids) == self.facts.input_ids)
    }

    /// `Gather(table [vocab, width], ids)`.
    fn table_of(&self, node: &'g Node) -> Result<Option<Weight>, EngineError> {
        let Some(table) = node.input(0).filter(|_| self.reads_ids(node)) else { return Ok(None) };
        if !is_first_axis(node.int("axis").unwrap_or(0)) {
            return Ok(None);
        }
        Weight::behind(self.source, node, table, Layout::Nk)
    }

    /// `GatherBlockQuantized(data, ids, scales, zero points)`, of which `cut` keeps the first columns.
    fn block_table(&self, node: &'g Node, cut: Option<&'g Node>) -> Result<Weight, EngineError> {
        let tensor = |i: usize| node.input(i).and_then(|v| self.source.shaped_constant(v));
        let (Some(data), Some(scales)) = (tensor(0), tensor(2)) else {
            return Err(unsupported(node, "its table is not a constant"));
        };
        let zero_points = tensor(3);
        if node.input(3).is_some() && zero_points.is_none() {
            return Err(unsupported(node, "its zero points are not constants"));
        }
        let table = BlockTable { node, data, scales, zero_points };
        let &[rows, stored] = table.data.dims.as_slice() else {
            return Err(unsupported(node, format!("a table of shape {:?}", table.data.dims)));
        };
        if !is_first_axis(node.int("gather_axis").unwrap_or(0)) {
            return Err(unsupported(node, "rows gathered along another axis than the first"));
        }
        let whole = stored.checked_mul(table.values_per_element()?).filter(|whole| rows > 0 && *whole > 0);
        let whole = whole.ok_or_else(|| unsupported(node, format!("a table of shape {:?}", table.data.dims)))?;
        let width = match cut {
            Some(slice) => {
                self.first_columns(slice, whole).ok_or_else(|| unsupported(slice, "it does not keep the first columns"))?
            }
            None => whole,
        };
        table.weight([rows, whole], width)
    }

    /// `DequantizeLinear(Gather(table of integers, ids), scale, zero point)`, with one scale, or one for each column.
    fn integer_table(&self, node: &'g Node, gather: &'g Node) -> Result<Weight, EngineError> {
        if !is_first_axis(gather.int("axis").unwrap_or(0)) {
            return Err(unsupported(gather, "rows gathered along another axis than the first"));
        }
        let table = gather.input(0).and_then(|v| ConstantMatrix::behind(self.source, v, Layout::Nk));
        let scales = node.input(1).and_then(|v| self.source.constant(v));
        let (Some(table), Some(scales)) = (table, scales) else {
            return Err(unsupported(node, "its table is not a constant"));
        };
        let zero_points = self.source.optional_constant(node, 2, "zero point")?;
        let [n, k] = table.sides().ok_or_else(|| unsupported(node, "its table is not a matrix"))?;
        // Rows come as `[batch, tokens, width]`.
        let block = match (scales.dims.as_slice(), node.int("axis").unwrap_or(1)) {
            ([] | [1], _) => [n, k],
            ([columns], -1 | 2) if *columns == k => [n, 1],
            (dims, axis) => {
                return Err(unsupported(node, format!("scales of shape {dims:?} along axis {axis} of rows of a table")));
            }
        };
        if node.int("block_size").unwrap_or(0) != 0 || zero_points.is_some_and(|points| !is_shaped_as(points, scales)) {
            return Err(unsupported(node, "blocks, or zero points of another shape than the scales"));
        }
        Weight::integers(node, &table.tensor, table.layout, [n, k], Grid { block, scales, zero_points })
    }
}

/// The first of the two axes of a table.
fn is_first_axis(axis: i64) -> bool {
    axis == 0 || axis == -2
}

/// Constant operands of a `GatherBlockQuantized`.
struct BlockTable<'g> {
    node: &'g Node,
    data: Cow<'g, Tensor>,
    scales: Cow<'g, Tensor>,
    zero_points: Option<Cow<'g, Tensor>>,
}

impl BlockTable<'_> {
    fn refused(&self, reason: impl Into<String>) -> EngineError {
        unsupported(self.node, reason)
    }

    /// Weights in an element of the stored table: bytes may hold several, the types of few bits count each.
    fn values_per_element(&self) -> Result<usize, EngineError> {
        let bits = self.node.int("bits").unwrap_or(4);
        match (self.data.data_type, bits) {
            (DataType::UInt8, 2 | 4 | 8) => Ok(8 / bits as usize),
            (DataType::UInt4 | DataType::Int4, 4) => Ok(1),
            (other, _) => Err(self.refused(format!("a table of type {other:?} in {bits} bits"))),
        }
    }

    /// The table `[n, whole]`, or its first `width` columns.
    fn weight(&self, [n, whole]: [usize; 2], width: usize) -> Result<Weight, EngineError> {
        let block = self.node.int("block_size").unwrap_or(128);
        let block = usize::try_from(block).ok().filter(|b| b.is_power_of_two() && *b >= 16);
        let block = block.ok_or_else(|| self.refused("a block size that is no power of two from 16 on"))?;
        let is_packed = self.data.data_type == DataType::UInt8;
        let grid = match self.node.int("quantize_axis").unwrap_or(1) {
            1 | -1 => [1, block],
            0 | -2 if !is_packed => [block, 1],
            axis => return Err(self.refused(format!("quantisation along axis {axis} of a table of {:?}", self.data.data_type))),
        };
        let blocks = [n.div_ceil(grid[0]), whole.div_ceil(grid[1])];
        if self.scales.dims != blocks {
            return Err(self.refused(format!("scales of shape {:?} where {blocks:?} are expected", self.scales.dims)));
        }
        if is_packed {
            return self.packed_weight([n, whole], width, block);
        }
        if let Some(points) = self.zero_points.as_deref().filter(|points| points.dims != self.scales.dims) {
            return Err(self.refused(format!("zero points of shape {:?} for scales of {blocks:?}", points.dims)));
        }
        if width != whole {
            return Err(self.refused(format!("a table of type {:?} that is cut", self.data.data_type)));
        }
        let grid = Grid { block: grid, scales: &self.scales, zero_points: self.zero_points.as_deref() };
        Weight::integers(self.node, &self.data, Layout::Nk, [n, whole], grid)
    }

    /// A table of packed bytes, quantised along its rows.
    fn packed_weight(&self, [n, whole]: [usize; 2], width: usize, block: usize) -> Result<Weight, EngineError> {
        let (bits, blocks) = (8 / self.values_per_element()?, whole.div_ceil(block));
        let expected = [n, (blocks * bits).div_ceil(8)];
        if let Some(points) = self.zero_points.as_deref().filter(|z| z.dims != expected || z.data_type != DataType::UInt8) {
            let (dims, kind) = (&points.dims, points.data_type);
            return Err(self.refused(format!("zero points of type {kind:?} and shape {dims:?} where {expected:?} are expected")));
        }
        if whole.is_multiple_of(block) {
            let (packed, scales, zero_points) = (&*self.data, &*self.scales, self.zero_points.as_deref());
            return Weight::blocks(self.node, [bits, block], [n, width], BlockTensors { packed, scales, zero_points });
        }
        if width != whole {
            return Err(self.refused("rows that are no whole blocks and are cut"));
        }
        // Rows that end within a block lie as in a tensor of integers, where zero points are not filled up to bytes.
        let data_type = match bits {
            2 => DataType::UInt2,
            4 => DataType::UInt4,
            _ => DataType::UInt8,
        };
        let zero_points = self.zero_points_in_one_run(bits, [n, blocks], data_type);
        let data = Tensor { data_type, dims: vec![n, whole], ..self.data.clone().into_owned() };
        let grid = Grid { block: [1, block], scales: &self.scales, zero_points: Some(&zero_points) };
        Weight::integers(self.node, &data, Layout::Nk, [n, whole], grid)
    }

    /// The zero points of `[n, blocks]`, each row behind the other; where none are stored, the middle of the range.
    fn zero_points_in_one_run(&self, bits: usize, [n, blocks]: [usize; 2], data_type: DataType) -> Tensor {
        let (per_byte, row_bytes) = (8 / bits, (blocks * bits).div_ceil(8));
        let mut bytes = vec![0u8; (n * blocks).div_ceil(per_byte)];
        for index in 0..n * blocks {
            let (row, block) = (index / blocks, index % blocks);
            let point = match &self.zero_points {
                Some(stored) => {
                    stored.bytes[row * row_bytes + block / per_byte] >> (block % per_byte * bits) & (255 >> (8 - bits))
                }
                None => 1 << (bits - 1),
            };
            bytes[index / per_byte] |= point << (index % per_byte * bits);
        }
        Tensor { name: String::new(), data_type, dims: vec![n, blocks], bytes: Bytes::copy_of(&bytes) }
    }
}
