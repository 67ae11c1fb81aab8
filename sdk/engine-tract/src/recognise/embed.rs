//! Token embeddings: a row of a table for each token id.

use super::{Found, Recogniser};
use crate::program::Op;
use crate::source::unsupported;
use crate::weight::{BlockTensors, Weight, reshaped};
use kinglet_bundle::onnx::{DataType, Node};
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;
use std::borrow::Cow;

impl<'g> Recogniser<'_, 'g> {
    pub(super) fn embed(&self, node: &'g Node) -> Result<Option<Found<'g>>, EngineError> {
        let (table, ids) = match node.op_type.as_str() {
            "Gather" if node.int("axis").unwrap_or(0) == 0 => match self.table_of(node)? {
                Some(table) => (table, node.input(1)),
                None => return Ok(None),
            },
            "GatherBlockQuantized" => (self.block_table(node, None)?, node.input(1)),
            // Rows that were filled up to whole blocks are cut to the hidden size.
            "Slice" => match node.input(0).and_then(|v| self.source.maker_of(v, &["GatherBlockQuantized"])) {
                Some(gather) => (self.block_table(gather, Some(node))?, gather.input(1)),
                None => return Ok(None),
            },
            "DequantizeLinear" => match node.input(0).and_then(|v| self.source.maker_of(v, &["Gather"])) {
                Some(gather) => (self.integer_table(node, gather)?, gather.input(1)),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        if ids.map(|i| self.source.moved(i)) != Some(self.facts.input_ids.as_str()) {
            return Err(unsupported(node, "its indices are not the token ids"));
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

    /// `Gather(table [vocab, width], ids)`.
    fn table_of(&self, node: &'g Node) -> Result<Option<Weight>, EngineError> {
        match node.input(0) {
            Some(table) if node.input(1).is_some_and(|i| self.source.moved(i) == self.facts.input_ids) => {
                Weight::behind_rows(self.source, table)
            }
            _ => Ok(None),
        }
    }

    /// `GatherBlockQuantized(data, ids, scales, zero points)`, quantised along the rows, of which `cut` keeps the first columns.
    fn block_table(&self, node: &'g Node, cut: Option<&'g Node>) -> Result<Weight, EngineError> {
        let tensor = |i: usize| match node.input(i) {
            Some(v) => match (self.source.constant(v), self.source.maker_of(v, &["Reshape"])) {
                (Some(t), _) => Some(Cow::Borrowed(t)),
                (None, Some(reshape)) => reshaped(self.source, reshape),
                _ => None,
            },
            None => None,
        };
        let (Some(packed), Some(scales)) = (tensor(0), tensor(2)) else {
            return Err(unsupported(node, "its table is not a constant"));
        };
        let &[n, row] = packed.dims.as_slice() else {
            return Err(unsupported(node, format!("a table of shape {:?}", packed.dims)));
        };
        if node.int("gather_axis").unwrap_or(0) != 0 || node.int("quantize_axis").unwrap_or(1).rem_euclid(2) != 1 {
            return Err(unsupported(node, "only rows quantised along their length are supported"));
        }
        let block = node.int("block_size").and_then(|b| usize::try_from(b).ok()).unwrap_or(128);
        let bits = node.int("bits").and_then(|b| usize::try_from(b).ok()).unwrap_or(4);
        let zero_points = tensor(3);
        if node.input(3).is_some() && zero_points.is_none() {
            return Err(unsupported(node, "its zero points are not constants"));
        }
        let tensors = BlockTensors { packed: &packed, scales: &scales, zero_points: zero_points.as_deref() };
        if packed.data_type == DataType::UInt8 && [4, 8].contains(&bits) {
            let whole = row * 8 / bits;
            let k = match cut {
                Some(slice) => {
                    self.first_columns(slice, whole).ok_or_else(|| unsupported(slice, "it does not keep the first columns"))?
                }
                None => whole,
            };
            return Weight::blocks(node, bits, n, k, block, tensors);
        }
        match (packed.data_type, cut) {
            (DataType::UInt4 | DataType::Int4, None) => Weight::nibbles(node, block, Layout::Nk, tensors),
            (other, _) => Err(unsupported(node, format!("a table of type {other:?} in {bits} bits"))),
        }
    }

    /// `DequantizeLinear(Gather(8-bit table, ids), scale, zero point)`.
    fn integer_table(&self, node: &'g Node, gather: &'g Node) -> Result<Weight, EngineError> {
        let tensor = |n: &'g Node, i: usize| n.input(i).and_then(|v| self.source.constant(v));
        let (Some(data), Some(scale)) = (tensor(gather, 0), tensor(node, 1)) else {
            return Err(unsupported(node, "its table is not a constant"));
        };
        if scale.elements() != 1 {
            return Err(unsupported(node, "a table with more than one scale"));
        }
        let scales = scale.to_f32().map_err(|e| unsupported(node, e.to_string()))?;
        Weight::integers(node, data, Layout::Nk, scales, self.source.optional_constant(node, 2, "zero point")?)
    }
}
