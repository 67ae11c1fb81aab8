//! Dynamically quantised products, as onnxruntime's `quantize_dynamic` and the fusions after it write them. The activations' own
//! quantisation is dropped: the kernels choose theirs.

use super::Recogniser;
use super::linear::Product;
use crate::source::unsupported;
use crate::weight::{ConstantMatrix, Vector, Weight};
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_kernels::Layout;

impl<'g> Recogniser<'_, 'g> {
    /// `float(MatMulInteger(quantised x, w, x zero, w zero)) * (x scale * w scale)`, and the same in one node.
    pub(super) fn dynamic_product(&self, node: &'g Node) -> Result<Option<Product<'g>>, EngineError> {
        match node.op_type.as_str() {
            "DynamicQuantizeMatMul" => self.one_node(node, node.input(0), [1, 2, 3, 4]).map(Some),
            "MatMulIntegerToFloat" => {
                let x = self.quantised_input([node.input(0), node.input(2), node.input(4)]);
                self.one_node(node, x, [1, 3, 5, 6]).map(Some)
            }
            _ => self.written_out_product(node),
        }
    }

    fn written_out_product(&self, node: &'g Node) -> Result<Option<Product<'g>>, EngineError> {
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
        let weight = self.dynamic_weight(product, product.input(1), &scales, 3)?;
        Ok(Some(self.product_of(weight, None, x, 1.0)))
    }

    /// A product and its scaling in one node: `places` are those of its weight, scales, zero points and bias.
    fn one_node(&self, node: &'g Node, x: Option<&'g str>, places: [usize; 4]) -> Result<Product<'g>, EngineError> {
        let [weight, scales, zero_points, bias] = places;
        let x = x.ok_or_else(|| unsupported(node, "not in the form that dynamic quantisation writes"))?;
        let scales = node.input(scales).and_then(|v| self.row_of_floats(v));
        let scales = scales.ok_or_else(|| unsupported(node, "its scale is not a constant"))?;
        let weight = self.dynamic_weight(node, node.input(weight), &scales, zero_points)?;
        let bias = match self.source.optional_constant(node, bias, "bias")? {
            Some(bias) if bias.dims == [weight.n()] => Some(Vector::copied(bias)?),
            Some(bias) => return Err(unsupported(node, format!("a bias of shape {:?}", bias.dims))),
            None => None,
        };
        Ok(self.product_of(weight, bias, x, 1.0))
    }

    /// The weight `[k, n]` of a product of integers whose zero points are input number `zero_points`.
    fn dynamic_weight(&self, node: &Node, data: Option<&str>, scales: &[f32], zero_points: usize) -> Result<Weight, EngineError> {
        let matrix = data.and_then(|v| ConstantMatrix::behind(self.source, v, Layout::Kn));
        let matrix = matrix.ok_or_else(|| unsupported(node, "its weight is not a constant"))?;
        let sides = matrix.sides().ok_or_else(|| unsupported(node, "the weight is not a matrix"))?;
        let points = self.source.optional_constant(node, zero_points, "zero point")?;
        if let Some(points) = points.filter(|points| !is_row(&points.dims)) {
            return Err(unsupported(node, format!("zero points of shape {:?}", points.dims)));
        }
        Weight::dynamic(node, &matrix.tensor, matrix.layout, sides, scales, points)
    }

    /// The float x of a dynamically quantised product, and the scales of its weight: `scale` must be theirs times that of x.
    fn dynamic_operands(&self, product: &'g Node, scale: &'g str) -> Option<(&'g str, Vec<f32>)> {
        let source = self.source;
        let both = source.maker_of(source.plain(scale), &["Mul"])?;
        let (scales, x_scale) = source.with_constant(both, |v| self.row_of_floats(v))?;
        Some((self.quantised_input([product.input(0), Some(x_scale), product.input(2)])?, scales))
    }

    /// The float that a `DynamicQuantizeLinear` makes these of: integers, scale and zero point.
    fn quantised_input(&self, made: [Option<&'g str>; 3]) -> Option<&'g str> {
        let quantise = self.source.maker_of(made[0]?, &["DynamicQuantizeLinear"])?;
        quantise.outputs.iter().map(|o| Some(o.as_str())).eq(made).then_some(quantise.input(0)?)
    }

    /// A constant that is one number, or a row of them.
    fn row_of_floats(&self, value: &str) -> Option<Vec<f32>> {
        if self.source.constant(value).is_some_and(|t| !is_row(&t.dims)) {
            return None;
        }
        self.source.floats(value)
    }
}

/// Whether all dimensions but the last are one, so that the elements go with the columns of a matrix.
fn is_row(dims: &[usize]) -> bool {
    dims.split_last().is_none_or(|(_, others)| others.iter().all(|d| *d == 1))
}
