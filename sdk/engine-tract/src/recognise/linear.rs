//! Products over constant weights, with their biases.

use super::Recogniser;
use crate::program::Part;
use crate::source::{size_of, unsupported};
use crate::weight::{BlockTensors, Vector, Weight};
use kinglet_bundle::onnx::{Node, Tensor};
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;

/// Nodes of a product: the product itself, its bias, the choice of some of its columns, and what gives it other dimensions.
const DEPTH: usize = 6;

/// A product over a weight, `(factor * input) * weight^T + bias`.
pub(super) struct Product<'g> {
    pub(super) part: Part,
    /// The value that it reads.
    pub(super) input: &'g str,
    pub(super) factor: f32,
}

impl<'g> Recogniser<'_, 'g> {
    /// The product that makes `value`, and the value it reads: `MatMul`, `Gemm` or `MatMulNBits` over a weight, a dynamically
    /// quantised product, any of them with a bias added, or some columns of one.
    pub(super) fn linear(&self, value: &'g str) -> Result<Option<(Part, &'g str)>, EngineError> {
        Ok(self.product(value, DEPTH)?.filter(|p| p.factor == 1.0).map(|p| (p.part, p.input)))
    }

    /// As [`linear`](Self::linear), of an input that is multiplied with a factor first.
    pub(super) fn scaled_linear(&self, value: &'g str) -> Result<Option<Product<'g>>, EngineError> {
        self.product(value, DEPTH)
    }

    pub(super) fn product(&self, value: &'g str, depth: usize) -> Result<Option<Product<'g>>, EngineError> {
        let value = self.source.plain(value);
        let Some(node) = self.source.maker(value).filter(|_| depth > 0) else { return Ok(None) };
        match node.op_type.as_str() {
            "MatMul" => self.float_product(node),
            "FusedMatMul" => self.fused_product(node),
            "Gemm" => self.gemm(node),
            "MatMulNBits" => self.block_product(node).map(Some),
            "Add" => self.with_bias(node, depth - 1),
            "Mul" | "MatMulIntegerToFloat" | "DynamicQuantizeMatMul" => self.dynamic_product(node),
            "Split" | "Slice" => self.columns(node, value, depth - 1),
            "Reshape" => self.in_other_dimensions(node, depth - 1),
            _ => Ok(None),
        }
    }

    fn float_product(&self, node: &'g Node) -> Result<Option<Product<'g>>, EngineError> {
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { return Ok(None) };
        let weight = Weight::behind(self.source, node, w, Layout::Kn)?;
        Ok(weight.map(|weight| self.product_of(weight, None, x, 1.0)))
    }

    /// `com.microsoft.FusedMatMul`: a product with a factor, over a weight that may be transposed.
    fn fused_product(&self, node: &'g Node) -> Result<Option<Product<'g>>, EngineError> {
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { return Ok(None) };
        let layout = if is_set(node, "transB") { Layout::Nk } else { Layout::Kn };
        let Some(weight) = Weight::behind(self.source, node, w, layout)? else { return Ok(None) };
        if ["transA", "transBatchA", "transBatchB"].iter().any(|name| is_set(node, name)) {
            return Err(unsupported(node, "a transposed input"));
        }
        Ok(Some(self.product_of(weight, None, x, node.float("alpha").unwrap_or(1.0))))
    }

    /// `alpha * A * B + beta * C` over a weight B, of rows that are flattened to two dimensions.
    fn gemm(&self, node: &'g Node) -> Result<Option<Product<'g>>, EngineError> {
        let (Some(x), Some(w)) = (node.input(0), node.input(1)) else { return Ok(None) };
        let layout = if is_set(node, "transB") { Layout::Nk } else { Layout::Kn };
        let Some(weight) = Weight::behind(self.source, node, w, layout)? else { return Ok(None) };
        if is_set(node, "transA") {
            return Err(unsupported(node, "a transposed input"));
        }
        let beta = node.float("beta").unwrap_or(1.0);
        let bias = match self.source.optional_constant(node, 2, "bias")? {
            None => None,
            Some(c) => Some(gemm_bias(node, c, weight.n(), beta)?),
        };
        let x = self.flattened(x, weight.k());
        Ok(Some(self.product_of(weight, bias, x, node.float("alpha").unwrap_or(1.0))))
    }

    fn block_product(&self, node: &'g Node) -> Result<Product<'g>, EngineError> {
        let tensor = |i: usize| node.input(i).and_then(|v| self.source.shaped_constant(v));
        if node.input(4).is_some() {
            return Err(unsupported(node, "g_idx (reordered inputs)"));
        }
        if is_set(node, "weight_prepacked") {
            return Err(unsupported(node, "weights that are packed for another device"));
        }
        let (Some(x), Some(packed), Some(scales)) = (node.input(0), tensor(1), tensor(2)) else {
            return Err(unsupported(node, "its weight and scales are not constants"));
        };
        let zero_points = tensor(3);
        if node.input(3).is_some() && zero_points.is_none() {
            return Err(unsupported(node, "a zero point input that is no constant"));
        }
        let bits = node.int("bits").unwrap_or(4);
        let bits = usize::try_from(bits)
            .ok()
            .filter(|b| [2, 4, 8].contains(b))
            .ok_or_else(|| unsupported(node, format!("{bits} bits; 2, 4 and 8 are supported")))?;
        let (n, k) = (size_of(node, "N")?, size_of(node, "K")?);
        let tensors = BlockTensors { packed: &packed, scales: &scales, zero_points: zero_points.as_deref() };
        let weight = Weight::blocks(node, [bits, size_of(node, "block_size")?], [n, k], tensors)?;
        let bias = match self.source.optional_constant(node, 5, "bias")? {
            Some(bias) if bias.dims == [n] => Some(Vector::copied(bias)?),
            Some(bias) => return Err(unsupported(node, format!("a bias of shape {:?} for {n} outputs", bias.dims))),
            None => None,
        };
        Ok(self.product_of(weight, bias, x, 1.0))
    }

    /// `product + constant vector`.
    fn with_bias(&self, node: &'g Node, depth: usize) -> Result<Option<Product<'g>>, EngineError> {
        let constant = |v: &str| self.source.constant(v).filter(|t| t.elements() > 1 && t.dims.last() == Some(&t.elements()));
        let Some((bias, x)) = self.source.with_constant(node, constant) else { return Ok(None) };
        match self.product(x, depth)? {
            Some(product) if product.part.bias.is_none() && product.part.weight.n() == bias.elements() => {
                let part = Part { bias: Some(Vector::copied(bias)?), ..product.part };
                Ok(Some(Product { part, ..product }))
            }
            _ => Ok(None),
        }
    }

    /// A product of `x`, before it is pruned.
    pub(super) fn product_of(&self, weight: Weight, bias: Option<Vector>, x: &'g str, factor: f32) -> Product<'g> {
        Product { part: Part { weight, bias, number: 0 }, input: self.unpruned(x), factor }
    }
}

fn is_set(node: &Node, attribute: &str) -> bool {
    node.int(attribute).unwrap_or(0) != 0
}

/// `beta * C` for the `n` columns of a `Gemm`: C is one number, or a row.
fn gemm_bias(node: &Node, c: &Tensor, n: usize, beta: f32) -> Result<Vector, EngineError> {
    let values = c.to_f32().map_err(|e| unsupported(node, e.to_string()))?;
    let row = match (values.len(), c.dims.as_slice()) {
        (1, _) => vec![values[0] * beta; n],
        (count, [_] | [1, _]) if count == n => values.iter().map(|v| v * beta).collect(),
        (_, dims) => return Err(unsupported(node, format!("a bias of shape {dims:?} for {n} columns"))),
    };
    Ok(Vector::owned(row))
}
