//! How the rows of a value lie in the tensor that the graph has for it.

use super::Prover;
use super::contract::{self, Extent, Length};
use crate::recognise::Recogniser;
use crate::recognise::operators::is_left_to_tract;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;
use kinglet_reference::{Data, Tensor};
use std::collections::HashMap;

/// The shape that a graph gives to rows of some width. Batched before flat: where both meet, the sum is batched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

/// Operators that keep the form of rows, beside those that are left to tract.
const KEEP_ROWS: &[&str] = &[
    "BiasGelu",
    "Cast",
    "DequantizeLinear",
    "Dropout",
    "DynamicQuantizeLinear",
    "DynamicQuantizeMatMul",
    "FusedMatMul",
    "Gemm",
    "Identity",
    "MatMul",
    "MatMulInteger",
    "MatMulIntegerToFloat",
    "MatMulNBits",
    "QuantizeLinear",
    "RMSNormalization",
    "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "Swish",
];

/// Whether an operator gives rows in the form in which it gets them: element by element, norms, and products with weights.
fn keeps_rows(op_type: &str) -> bool {
    KEEP_ROWS.contains(&op_type) || is_left_to_tract(op_type)
}

/// Values between one whose form is known and one that is asked for.
const MOST_BETWEEN: usize = 256;

/// Nodes between a value and the constants that it is made of.
const CONSTANT_DEPTH: usize = 6;

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
    fn form_needs(&mut self, value: &'g str) -> Vec<&'g str> {
        let Some(node) = self.source.maker(value) else { return vec![] };
        match node.op_type.as_str() {
            "Reshape" | "Flatten" | "Squeeze" | "Unsqueeze" | "Slice" | "Split" => node.input(0).into_iter().collect(),
            op if keeps_rows(op) => {
                let inputs = node.inputs.iter().map(String::as_str);
                inputs.filter(|&i| !i.is_empty() && !self.is_fixed(i)).collect()
            }
            _ => vec![],
        }
    }

    /// Whether a value is made of constants alone.
    fn is_fixed(&mut self, value: &'g str) -> bool {
        self.is_fixed_to_depth(value, CONSTANT_DEPTH)
    }

    fn is_fixed_to_depth(&mut self, value: &'g str, depth: usize) -> bool {
        if self.source.tensor(value).is_some() {
            return true;
        }
        let Some(node) = self.source.maker(value).filter(|_| depth > 0) else { return false };
        if node.op_type == "Constant" {
            return true;
        }
        if let Some(known) = self.fixed.get(&(value, depth)) {
            return *known;
        }
        let mut inputs = node.inputs.iter().filter(|i| !i.is_empty());
        let is_fixed = !node.inputs.is_empty() && inputs.all(|i| self.is_fixed_to_depth(i, depth - 1));
        self.fixed.insert((value, depth), is_fixed);
        is_fixed
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
            op if keeps_rows(op) => {
                let rank = |i: &String| self.source.constant(i).map_or(0, |t| t.dims.len());
                let constants = node.inputs.iter().map(rank).max().unwrap_or(0);
                let all: Option<Vec<Form>> = forms.iter().copied().collect();
                Ok(all.filter(|all| !all.is_empty() && constants <= 3).and_then(|all| all.into_iter().min()))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognise::Facts;
    use crate::recognise::operators::OPERATORS;
    use crate::source::Source;
    use kinglet_bundle::Bytes;
    use kinglet_bundle::onnx::{DataType, Graph, Tensor as Constant};

    #[test]
    fn all_that_is_left_to_tract_keeps_rows() {
        assert!(OPERATORS.iter().filter(|operator| operator.left_to_tract).all(|operator| keeps_rows(operator.name)));
        assert!(["Cos", "Log", "Sin", "MatMul", "Swish"].into_iter().all(keeps_rows));
        assert!(!["Gather", "Softmax", "Transpose"].into_iter().any(keeps_rows));
    }

    #[test]
    fn batched_comes_before_flat_and_flat_before_heads() {
        let mut forms = [Form::Heads(8), Form::Flat, Form::Batched];
        forms.sort();
        assert_eq!(forms, [Form::Batched, Form::Flat, Form::Heads(8)]);
    }

    /// Each node reads the one before many times: without a memory, the last asks 60 times 60 times .. for the constant.
    #[test]
    fn whether_a_value_is_made_of_constants_is_asked_once_of_each() {
        let name = |i: usize| format!("v{i}");
        let node =
            |i: usize| Node { op_type: "Max".into(), inputs: vec![name(i); 60], outputs: vec![name(i + 1)], ..Node::default() };
        let bytes = Bytes::copy_of(&[1.0f32]);
        let constant = Constant { name: name(0), data_type: DataType::Float32, dims: vec![], bytes };
        let graph = Graph { nodes: (0..=CONSTANT_DEPTH).map(node).collect(), initializers: vec![constant], ..Graph::default() };
        let (source, facts) = (Source::new(&graph).unwrap(), Facts::default());
        let mut prover = Prover::new(&source, &facts);
        let made = |depth: usize| graph.nodes[depth - 1].outputs[0].as_str();
        assert!(prover.is_fixed(made(CONSTANT_DEPTH)));
        assert_eq!(prover.fixed.len(), CONSTANT_DEPTH);
        assert!(!prover.is_fixed(made(CONSTANT_DEPTH + 1)), "one node too many");
    }
}
