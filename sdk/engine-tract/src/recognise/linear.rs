//! Products over constant weights, with their biases.

use super::Recogniser;
use crate::program::Part;
use crate::source::unsupported;
use crate::weight::{BlockTensors, Vector, Weight};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;
use std::ops::Range;

impl<'g> Recogniser<'_, 'g> {
    /// The product that makes `value`, and the value it reads: `MatMul` or `MatMulNBits` over a weight, a dynamically
    /// quantised product, either with a bias added, or some columns of one.
    pub(super) fn linear(&self, value: &'g str) -> Result<Option<(Part, &'g str)>, EngineError> {
        self.linear_to_depth(value, 4)
    }

    fn linear_to_depth(&self, value: &'g str, depth: usize) -> Result<Option<(Part, &'g str)>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value).filter(|_| depth > 0) else { return Ok(None) };
        match node.op_type.as_str() {
            "MatMul" => self.float_product(node),
            "MatMulNBits" => self.block_product(node).map(Some),
            "Add" => self.with_bias(node, depth - 1),
            "Mul" => self.dynamic_product(node),
            "Split" | "Slice" => self.columns(node, value, depth - 1),
            _ => Ok(None),
        }
    }

    fn float_product(&self, node: &'g Node) -> Result<Option<(Part, &'g str)>, EngineError> {
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { return Ok(None) };
        Ok(Weight::behind(self.source, w)?.map(|weight| (Part { weight, bias: None, number: 0 }, self.unpruned(x))))
    }

    fn block_product(&self, node: &'g Node) -> Result<(Part, &'g str), EngineError> {
        let tensor = |i: usize| node.input(i).and_then(|v| self.source.constant(v));
        let size = |name: &str| {
            node.int(name).and_then(|v| usize::try_from(v).ok()).ok_or_else(|| unsupported(node, format!("no attribute {name}")))
        };
        if node.input(4).is_some() {
            return Err(unsupported(node, "g_idx (reordered inputs)"));
        }
        let (Some(x), Some(packed), Some(scales)) = (node.input(0), tensor(1), tensor(2)) else {
            return Err(unsupported(node, "its weight and scales are not constants"));
        };
        let bits = node.int("bits").unwrap_or(4);
        let bits = usize::try_from(bits)
            .ok()
            .filter(|b| [4, 8].contains(b))
            .ok_or_else(|| unsupported(node, format!("{bits} bits; 4 and 8 are supported")))?;
        let tensors = BlockTensors { packed, scales, zero_points: self.source.optional_constant(node, 3, "zero point")? };
        let weight = Weight::blocks(node, bits, size("N")?, size("K")?, size("block_size")?, tensors)?;
        let bias = self.source.optional_constant(node, 5, "bias")?.map(Vector::copied).transpose()?;
        Ok((Part { weight, bias, number: 0 }, self.unpruned(x)))
    }

    /// `product + constant vector`.
    fn with_bias(&self, node: &'g Node, depth: usize) -> Result<Option<(Part, &'g str)>, EngineError> {
        let constant = |v: &str| self.source.constant(v).filter(|t| t.elements() > 1 && t.dims.last() == Some(&t.elements()));
        let Some((bias, x)) = self.source.with_constant(node, constant) else { return Ok(None) };
        match self.linear_to_depth(x, depth)? {
            Some((part, input)) if part.bias.is_none() && part.weight.n() == bias.elements() => {
                Ok(Some((Part { bias: Some(Vector::copied(bias)?), ..part }, input)))
            }
            _ => Ok(None),
        }
    }

    /// `float(MatMulInteger(quantised x, w, x zero, w zero)) * (x scale * w scale)` with x quantised by
    /// `DynamicQuantizeLinear`, as onnxruntime's dynamic quantisation writes it. The activations' own quantisation is
    /// dropped: the kernels choose theirs.
    fn dynamic_product(&self, node: &'g Node) -> Result<Option<(Part, &'g str)>, EngineError> {
        let source = self.source;
        let integer = |v: &'g str| source.maker_of(source.plain(v), &["MatMulInteger"]);
        let (Some(a), Some(b)) = (node.input(0), node.input(1)) else { return Ok(None) };
        let (Some(product), scale) = (match (integer(a), integer(b)) {
            (Some(p), _) => (Some(p), b),
            (None, p) => (p, a),
        }) else {
            return Ok(None);
        };
        let Some((x, scales)) = self.dynamic_operands(product, scale) else {
            return Err(unsupported(product, "not in the form that dynamic quantisation writes"));
        };
        let data = product.input(1).and_then(|v| source.constant(v));
        let data = data.ok_or_else(|| unsupported(product, "its weight is not a constant"))?;
        let zero_points = source.optional_constant(product, 3, "zero point")?;
        let weight = Weight::integers(product, data, Layout::Kn, scales, zero_points)?;
        Ok(Some((Part { weight, bias: None, number: 0 }, self.unpruned(x))))
    }

    /// The float x of a dynamically quantised product, and the scales of its weight: `scale` must be theirs times that of x.
    fn dynamic_operands(&self, product: &'g Node, scale: &'g str) -> Option<(&'g str, Vec<f32>)> {
        let source = self.source;
        let quantise = source.maker_of(product.input(0)?, &["DynamicQuantizeLinear"])?;
        let both = source.maker_of(source.plain(scale), &["Mul"])?;
        let (scales, x_scale) = source.with_constant(both, |v| source.floats(v))?;
        let made = quantise.outputs.iter().map(|o| Some(o.as_str()));
        made.eq([product.input(0), Some(x_scale), product.input(2)]).then_some((quantise.input(0)?, scales))
    }

    /// `Split` or `Slice` of a product's columns, or of its heads: the same product over some rows of its weight.
    fn columns(&self, node: &'g Node, value: &str, depth: usize) -> Result<Option<(Part, &'g str)>, EngineError> {
        let heads = self.split_heads(node);
        let Some((part, input)) = heads.or(node.input(0)).map(|x| self.linear_to_depth(x, depth)).transpose()?.flatten() else {
            return Ok(None);
        };
        let n = part.weight.n();
        let range = match (heads, node.op_type.as_str()) {
            (Some(_), _) => self.heads_range(node, value, n),
            (None, "Split") => self.split_range(node, value, n),
            (None, _) => self.slice_range(node, n),
        };
        let Some(range) = range else { return Ok(None) };
        let bias = part.bias.map(|b| Vector::owned(b.floats()[range.clone()].to_vec()));
        Ok(Some((Part { weight: part.weight.slice(range), bias, number: 0 }, input)))
    }

    fn split_range(&self, node: &Node, value: &str, n: usize) -> Option<Range<usize>> {
        let sizes = match node.input(1) {
            Some(sizes) => self.source.ints(sizes)?,
            None => node.ints("split").map_or_else(|| vec![(n / node.outputs.len()) as i64; node.outputs.len()], <[i64]>::to_vec),
        };
        is_last_axis(node.int("axis").unwrap_or(0)).then(|| part_of(node, value, &sizes, 1, n)).flatten()
    }

    /// The product whose heads, `[batch, heads, rows, head_dim]`, a `Split` shares out, as OpenELM's does.
    pub(super) fn split_heads(&self, node: &'g Node) -> Option<&'g str> {
        if node.op_type != "Split" || node.int("axis") != Some(1) {
            return None;
        }
        let transpose = self.source.maker_of(self.source.plain(node.input(0)?), &["Transpose"])?;
        let reshape = self.source.maker_of(self.source.plain(transpose.input(0)?), &["Reshape"])?;
        (transpose.ints("perm") == Some(&[0, 2, 1, 3])).then_some(reshape.input(0)?)
    }

    fn heads_range(&self, node: &Node, value: &str, n: usize) -> Option<Range<usize>> {
        let sizes = node.input(1).and_then(|sizes| self.source.ints(sizes))?;
        let heads = usize::try_from(sizes.iter().sum::<i64>()).ok().filter(|heads| *heads > 0 && n.is_multiple_of(*heads))?;
        part_of(node, value, &sizes, n / heads, n)
    }

    fn slice_range(&self, node: &Node, n: usize) -> Option<Range<usize>> {
        let one = |i: usize| node.input(i).and_then(|v| self.source.ints(v)).filter(|v| v.len() == 1).map(|v| v[0]);
        let clamp = |v: i64| (if v < 0 { v.saturating_add(n as i64) } else { v }).clamp(0, n as i64) as usize;
        let bound = |i: usize| self.column(node.input(i)?, node.input(0)?, n, 8);
        let range = clamp(bound(1)?)..clamp(bound(2)?);
        let whole_steps = node.input(4).is_none() || one(4) == Some(1);
        (is_last_axis(one(3)?) && whole_steps && range.start < range.end).then_some(range)
    }

    /// A number of columns: a constant, or one computed from the width `n` of `sliced`.
    fn column(&self, value: &str, sliced: &str, n: usize, depth: usize) -> Option<i64> {
        if let Some(constant) = self.source.ints(value) {
            return (constant.len() == 1).then(|| constant[0]);
        }
        let node = self.source.maker(value).filter(|_| depth > 0)?;
        let arg = |i: usize| self.column(node.input(i)?, sliced, n, depth - 1);
        match node.op_type.as_str() {
            "Gather" => {
                let shape = self.source.maker_of(node.input(0)?, &["Shape"])?;
                let of_sliced = self.source.plain(shape.input(0)?) == self.source.plain(sliced);
                (of_sliced && is_last_axis(arg(1)?)).then_some(n as i64)
            }
            "Add" => arg(0)?.checked_add(arg(1)?),
            "Sub" => arg(0)?.checked_sub(arg(1)?),
            "Mul" => arg(0)?.checked_mul(arg(1)?),
            "Div" => arg(0)?.checked_div(arg(1)?),
            "Cast" | "Unsqueeze" | "Squeeze" | "Reshape" => arg(0),
            _ => None,
        }
    }

    /// How many columns of `n` a slice keeps, if it keeps the first.
    pub(super) fn first_columns(&self, node: &Node, n: usize) -> Option<usize> {
        self.slice_range(node, n).filter(|r| r.start == 0).map(|r| r.end)
    }

    /// The value before a graph picks the last row for its head: which rows get logits is the caller's choice.
    fn unpruned(&self, value: &'g str) -> &'g str {
        let mut value = self.source.plain(value);
        loop {
            let Some(node) = self.source.maker_of(value, &["Gather", "Slice", "Unsqueeze", "Squeeze"]) else { return value };
            let along_rows = match node.op_type.as_str() {
                "Gather" => node.int("axis").unwrap_or(0) == 1,
                "Slice" => node.input(3).and_then(|v| self.source.ints(v)).is_some_and(|a| a == [1]),
                _ => node.input(1).and_then(|v| self.source.ints(v)).is_some_and(|a| a == [1]),
            };
            match node.input(0) {
                Some(input) if along_rows => value = self.source.plain(input),
                _ => return value,
            }
        }
    }
}

/// The columns, of `n`, that a `Split` into parts of so many units of `unit` columns gives to `value`.
fn part_of(node: &Node, value: &str, sizes: &[i64], unit: usize, n: usize) -> Option<Range<usize>> {
    let at = node.outputs.iter().position(|o| o == value)?;
    let columns = |sizes: &[i64]| sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(usize::try_from(*size).ok()?));
    let range = columns(sizes.get(..at)?)?.checked_mul(unit)?..columns(sizes.get(..=at)?)?.checked_mul(unit)?;
    (range.start < range.end && range.end <= n).then_some(range)
}

/// The last of the three axes `[batch, rows, width]`.
fn is_last_axis(axis: i64) -> bool {
    axis == -1 || axis == 2
}
