//! How the rows of a value lie in the tensor that the graph has for it.

use super::Prover;
use super::contract::{self, Extent, Length};
use crate::recognise::Recogniser;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};
use std::collections::HashMap;

/// The shape that a graph gives to rows of some width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Form {
    /// `[1, rows, width]`
    Batched,
    /// `[rows, width]`
    Flat,
    /// `[1, heads, rows, head_dim]`, for heads of that size.
    Heads(usize),
}

impl Form {
    /// A number that tells forms apart.
    pub(super) fn code(self) -> u32 {
        match self {
            Form::Batched => 0,
            Form::Flat => 1,
            Form::Heads(dim) => 2 + dim as u32,
        }
    }

    /// The dimensions of a value with `width` columns.
    pub(super) fn extents(self, width: usize) -> Vec<Extent> {
        match self {
            Form::Batched => vec![Extent::Of(1), Extent::Rows, Extent::Of(width)],
            Form::Flat => vec![Extent::Rows, Extent::Of(width)],
            Form::Heads(dim) => vec![Extent::Of(1), Extent::Of(width / dim.max(1)), Extent::Rows, Extent::Of(dim)],
        }
    }

    /// The tensor of `[rows, width]` numbers.
    pub(super) fn tensor(self, rows: &[f32], width: usize, length: Length) -> Tensor {
        let dims: Vec<usize> = self.extents(width).iter().map(|e| e.at(length)).collect();
        let values = match self {
            Form::Batched | Form::Flat => rows.to_vec(),
            Form::Heads(dim) => (0..width / dim.max(1))
                .flat_map(|head| rows.chunks_exact(width).flat_map(move |row| &row[head * dim..(head + 1) * dim]))
                .copied()
                .collect(),
        };
        Tensor::floats(dims, values)
    }

    /// The form of a tensor that should hold `[rows, width]` numbers; none where it does not.
    pub(super) fn of(dims: &[usize], width: usize, length: Length) -> Option<Self> {
        let fits = |form: Form| form.extents(width).iter().map(|e| e.at(length)).eq(dims.iter().copied());
        [Form::Batched, Form::Flat].into_iter().find(|form| fits(*form))
    }
}

/// Operators that give rows in the form in which they get them: element by element, norms, and products with weights.
const KEEP_ROWS: &[&str] = &[
    "Abs",
    "Add",
    "BiasGelu",
    "Cast",
    "Ceil",
    "Clip",
    "DequantizeLinear",
    "Div",
    "Dropout",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "Elu",
    "Erf",
    "Exp",
    "FastGelu",
    "Floor",
    "FusedMatMul",
    "Gelu",
    "Gemm",
    "HardSigmoid",
    "HardSwish",
    "Identity",
    "LayerNormalization",
    "LeakyRelu",
    "MatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "Max",
    "Min",
    "Mul",
    "Neg",
    "Pow",
    "QuantizeLinear",
    "QuickGelu",
    "RMSNormalization",
    "Reciprocal",
    "Relu",
    "Sigmoid",
    "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Softplus",
    "Sqrt",
    "Sub",
    "Swish",
    "Tanh",
];

/// Values between one whose form is known and one that is asked for.
const MOST_BETWEEN: usize = 256;

impl<'s, 'g> Prover<'s, 'g> {
    /// The form of a value that should hold a row for each token; none where it does not, or where that is not known.
    ///
    /// # Errors
    /// Where a shape on the way cannot be evaluated.
    pub(super) fn form(&mut self, recogniser: &Recogniser<'s, 'g>, value: &'g str) -> Result<Option<Form>, EngineError> {
        let mut open = vec![value];
        while let Some(&next) = open.last() {
            if self.forms.contains_key(next) {
                open.pop();
                continue;
            }
            let needs = self.form_needs(next);
            let missing: Vec<_> = needs.iter().copied().filter(|n| !self.forms.contains_key(n)).collect();
            if missing.is_empty() || open.len() > MOST_BETWEEN {
                let forms: Vec<_> = needs.iter().map(|n| self.forms.get(n).copied().flatten()).collect();
                let form = self.form_from(recogniser, next, &forms)?;
                self.forms.insert(next, form);
                open.pop();
            } else {
                open.extend(missing);
            }
        }
        Ok(self.forms.get(value).copied().flatten())
    }

    /// Values whose forms decide the form of a value: those of the activations among the maker's inputs.
    fn form_needs(&self, value: &'g str) -> Vec<&'g str> {
        let Some(node) = self.source.maker(value) else { return vec![] };
        let inputs = || node.inputs.iter().map(String::as_str).filter(|i| !i.is_empty());
        match node.op_type.as_str() {
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" => node.input(0).into_iter().collect(),
            op if KEEP_ROWS.contains(&op) => inputs().filter(|i| !self.is_fixed(i)).collect(),
            _ => vec![],
        }
    }

    /// Whether a value is made of constants alone.
    fn is_fixed(&self, value: &str) -> bool {
        self.is_fixed_to_depth(value, 6)
    }

    fn is_fixed_to_depth(&self, value: &str, depth: usize) -> bool {
        if self.source.tensor(value).is_some() {
            return true;
        }
        let Some(node) = self.source.maker(value).filter(|_| depth > 0) else { return false };
        node.op_type == "Constant"
            || !node.inputs.is_empty()
                && node.inputs.iter().filter(|i| !i.is_empty()).all(|i| self.is_fixed_to_depth(i, depth - 1))
    }

    fn form_from(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        value: &'g str,
        forms: &[Option<Form>],
    ) -> Result<Option<Form>, EngineError> {
        let Some(node) = self.source.maker(value) else { return Ok(None) };
        let first = forms.first().copied().flatten();
        match node.op_type.as_str() {
            "Gather" | "GatherBlockQuantized" => self.embedded(recogniser, node),
            "Slice" | "Split" => {
                let columns = recogniser.product_size(value)?.is_some();
                if let Some(dim) = recogniser.head_dim_of_split(node)? {
                    return Ok(Some(Form::Heads(dim)));
                }
                let cut = node.input(0).and_then(|v| self.source.maker_of(v, &["GatherBlockQuantized"])).is_some();
                Ok(first.filter(|_| cut || columns))
            }
            "Reshape" => self.reshaped(recogniser, node, first),
            "Flatten" => Ok(first.filter(|_| node.int("axis") == Some(2)).map(|_| Form::Flat)),
            "Squeeze" if first == Some(Form::Batched) && self.axes(node) == Some(vec![0]) => Ok(Some(Form::Flat)),
            "Unsqueeze" if first == Some(Form::Flat) && self.axes(node) == Some(vec![0]) => Ok(Some(Form::Batched)),
            op if KEEP_ROWS.contains(&op) => {
                let rank = |i: &String| self.source.constant(i).map_or(0, |t| t.dims.len());
                let constants = node.inputs.iter().map(rank).max().unwrap_or(0);
                let all: Option<Vec<Form>> = forms.iter().copied().collect();
                Ok(all
                    .filter(|all| !all.is_empty() && constants <= 3)
                    .map(|all| *all.iter().min_by_key(order).unwrap_or(&all[0])))
            }
            _ => Ok(None),
        }
    }

    fn axes(&self, node: &Node) -> Option<Vec<i64>> {
        node.input(1).and_then(|v| self.source.ints(v)).or_else(|| node.ints("axes").map(<[i64]>::to_vec))
    }

    /// The form of a table's rows, which is that of the token ids: they may have been moved, but must all be there, in order.
    fn embedded(&mut self, recogniser: &Recogniser<'s, 'g>, node: &'g Node) -> Result<Option<Form>, EngineError> {
        let ids = node.input(1).filter(|ids| self.source.moved_ids(ids) == self.facts.input_ids);
        let Some(ids) = ids else { return Ok(None) };
        let length = Length { rows: 3, past: 4 };
        let piece = self.piece(recogniser, &[ids], &[], node)?;
        let made = self.evaluate(&piece, length, &HashMap::new(), &[ids]);
        let Some(made) = made.ok().and_then(|made| made.into_iter().next()) else { return Ok(None) };
        let in_order = made.data == Data::Int(contract::token_ids(length));
        let with_columns: Vec<usize> = made.dims.iter().copied().chain([1]).collect();
        Ok(Form::of(&with_columns, 1, length).filter(|_| in_order))
    }

    /// The form behind a `Reshape`, which must leave rows whole.
    fn reshaped(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        node: &'g Node,
        form: Option<Form>,
    ) -> Result<Option<Form>, EngineError> {
        let (Some(input), Some(shape), Some(form)) = (node.input(0), node.input(1), form) else { return Ok(None) };
        let Some(width) = self.width(recogniser, input)? else { return Ok(None) };
        let length = Length { rows: 3, past: 4 };
        let piece = self.piece(recogniser, &[shape], &[], node)?;
        let Ok(made) = self.evaluate(&piece, length, &HashMap::new(), &[shape]) else { return Ok(None) };
        let Data::Int(wanted) = &made[0].data else { return Ok(None) };
        let from: Vec<usize> = form.extents(width).iter().map(|e| e.at(length)).collect();
        Ok(resolve(wanted, &from).and_then(|dims| Form::of(&dims, width, length)))
    }

    /// Columns of a value that holds rows.
    pub(super) fn width(&self, recogniser: &Recogniser<'s, 'g>, value: &'g str) -> Result<Option<usize>, EngineError> {
        match self.widths.get(value) {
            Some(width) => Ok(Some(*width)),
            None => Ok(recogniser.product_size(value)?.map(|(n, _)| n)),
        }
    }
}

/// Batched before flat: where both meet, the sum is batched.
fn order(form: &&Form) -> usize {
    match form {
        Form::Batched => 0,
        Form::Flat => 1,
        Form::Heads(_) => 2,
    }
}

/// The shape that a `Reshape` to `wanted` gives to a tensor of shape `from`.
fn resolve(wanted: &[i64], from: &[usize]) -> Option<Vec<usize>> {
    let elements: usize = from.iter().product();
    let mut dims = vec![];
    for (axis, wanted) in wanted.iter().enumerate() {
        dims.push(match wanted {
            0 => *from.get(axis)?,
            -1 => usize::MAX,
            other => usize::try_from(*other).ok()?,
        });
    }
    let known = dims.iter().filter(|d| **d != usize::MAX).try_fold(1usize, |product, d| product.checked_mul(*d))?;
    let rest = elements.checked_div(known)?;
    dims.iter_mut().filter(|d| **d == usize::MAX).for_each(|d| *d = rest);
    (dims.iter().try_fold(1usize, |product, d| product.checked_mul(*d))? == elements).then_some(dims)
}
