//! Some columns of a product: the same product over some rows of its weight.

use super::Recogniser;
use super::linear::Product;
use crate::program::Part;
use crate::weight::Vector;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use std::ops::Range;

impl<'g> Recogniser<'_, 'g> {
    /// `Split` or `Slice` of a product's columns, or of its heads: the same product over some rows of its weight.
    pub(super) fn columns(&self, node: &'g Node, value: &str, depth: usize) -> Result<Option<Product<'g>>, EngineError> {
        let heads = self.split_heads(node);
        let Some(product) = heads.or(node.input(0)).map(|x| self.product(x, depth)).transpose()?.flatten() else {
            return Ok(None);
        };
        let Part { weight, bias, number } = product.part;
        let n = weight.n();
        let range = match (heads, node.op_type.as_str()) {
            (Some(_), _) => self.heads_range(node, value, n),
            (None, "Split") => self.split_range(node, value, n),
            (None, _) => self.slice_range(node, n),
        };
        let Some(range) = range else { return Ok(None) };
        let bias = bias.map(|b| Vector::owned(b.floats()[range.clone()].to_vec()));
        Ok(Some(Product { part: Part { weight: weight.slice(range), bias, number }, ..product }))
    }

    fn split_range(&self, node: &Node, value: &str, n: usize) -> Option<Range<usize>> {
        let sizes = match (node.input(1), node.ints("split")) {
            (Some(sizes), _) => self.source.ints(sizes)?,
            (None, Some(sizes)) => sizes.to_vec(),
            (None, None) => {
                // Equal parts, of which only the last may be smaller.
                let size = n.div_ceil(node.outputs.len());
                (0..node.outputs.len()).map(|i| n.saturating_sub(i * size).min(size) as i64).collect()
            }
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
        let heads = sizes.iter().try_fold(0usize, |sum, size| sum.checked_add(usize::try_from(*size).ok()?))?;
        if heads == 0 || !n.is_multiple_of(heads) {
            return None;
        }
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
                let shape = self.source.maker_of(node.input(0)?, &["Shape"]).filter(|shape| shape.attributes.is_empty())?;
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
