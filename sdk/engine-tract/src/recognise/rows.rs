//! Operators that keep the rows of a product: reshapes to other dimensions, and the choice of some rows before the head.

use super::Recogniser;
use super::linear::Product;
use kinglet_bundle::onnx::Node;
use kinglet_engine::EngineError;

/// Dimensions of rows: `[rows, width]` or `[batch, rows, width]`.
const MAX_DIMENSIONS: usize = 3;

impl<'g> Recogniser<'_, 'g> {
    /// A product that a `Reshape` gives other dimensions, the last of which are still its columns.
    pub(super) fn in_other_dimensions(&self, node: &'g Node, depth: usize) -> Result<Option<Product<'g>>, EngineError> {
        let (Some(x), Some(width)) = (node.input(0), self.last_of_rows(node)) else { return Ok(None) };
        Ok(self.product(x, depth)?.filter(|product| product.part.weight.n() == width))
    }

    /// The value behind what flattens `[batch, rows, width]` to `[batch * rows, width]`.
    pub(super) fn flattened(&self, value: &'g str, width: usize) -> &'g str {
        let plain = self.source.plain(value);
        let Some(node) = self.source.maker_of(plain, &["Reshape", "Flatten"]) else { return plain };
        let keeps_width = match node.op_type.as_str() {
            "Reshape" => self.last_of_rows(node) == Some(width),
            _ => matches!(node.int("axis"), Some(2 | -1)),
        };
        node.input(0).filter(|_| keeps_width).unwrap_or(plain)
    }

    /// The last dimension that a `Reshape` gives, of at most [`MAX_DIMENSIONS`]: where it is that of what is reshaped, rows stay rows.
    fn last_of_rows(&self, node: &Node) -> Option<usize> {
        let shape = node.input(1)?;
        let (count, last) = match self.source.ints(shape) {
            Some(dims) => (dims.len(), *dims.last()?),
            None => {
                let concat = self.source.maker_of(self.source.plain(shape), &["Concat"])?;
                let last = self.source.ints(concat.inputs.last()?)?;
                let before: Option<usize> = concat.inputs.split_last()?.1.iter().map(|v| self.length_of(v)).sum();
                (before? + last.len(), *last.last()?)
            }
        };
        usize::try_from(last).ok().filter(|_| count <= MAX_DIMENSIONS)
    }

    /// How many numbers a value of a shape's arithmetic holds: a constant, a shape of token ids, or one dimension.
    fn length_of(&self, value: &str) -> Option<usize> {
        let value = self.source.plain(value);
        if let Some(numbers) = self.source.ints(value) {
            return Some(numbers.len());
        }
        let node = self.source.maker(value)?;
        match node.op_type.as_str() {
            "Shape" if node.attributes.is_empty() && node.input(0) == Some(self.facts.input_ids.as_str()) => Some(2),
            "Unsqueeze" | "Reshape" => self.is_one_number(node.input(0)?).then_some(1),
            "Gather" => node.input(1).and_then(|v| self.source.constant(v)).filter(|t| t.dims == [1]).map(|_| 1),
            "Slice" => {
                let bound = |i: usize| node.input(i).and_then(|v| self.source.ints(v)).filter(|v| v.len() == 1).map(|v| v[0]);
                (node.input(4).is_none() && bound(2)?.checked_sub(bound(1)?)? == 1).then_some(1)
            }
            _ => None,
        }
    }

    /// Whether a value is one dimension of a shape.
    fn is_one_number(&self, value: &str) -> bool {
        let gather = self.source.maker_of(self.source.plain(value), &["Gather"]);
        gather.and_then(|n| n.input(1)).and_then(|v| self.source.constant(v)).is_some_and(|t| t.elements() == 1)
    }

    /// The value before a graph picks the last row, or the last few, for its head: which rows get logits is the caller's choice.
    pub(super) fn unpruned(&self, value: &'g str) -> &'g str {
        let mut value = self.source.plain(value);
        loop {
            let Some(node) = self.source.maker_of(value, &["Gather", "Slice", "Unsqueeze", "Squeeze"]) else { return value };
            let keeps_last = match node.op_type.as_str() {
                "Gather" => node.int("axis") == Some(1) && self.is_minus_one(node.input(1)),
                "Slice" => self.is_last_rows(node),
                _ => node.input(1).and_then(|v| self.source.ints(v)).is_some_and(|a| a == [1]),
            };
            match node.input(0) {
                Some(input) if keeps_last => value = self.source.plain(input),
                _ => return value,
            }
        }
    }

    fn is_minus_one(&self, value: Option<&str>) -> bool {
        value.and_then(|v| self.source.ints(v)).is_some_and(|index| index == [-1])
    }

    /// `x[:, start:]` where start is -1, or minus the number of rows that an input of the graph asks for.
    fn is_last_rows(&self, node: &Node) -> bool {
        let ints = |i: usize| node.input(i).and_then(|v| self.source.ints(v));
        let to_the_end = ints(2).is_some_and(|end| matches!(end.as_slice(), [end] if *end >= i64::from(i32::MAX)));
        let by_one = node.input(4).is_none() || ints(4).is_some_and(|step| step == [1]);
        let is_last = self.is_minus_one(node.input(1)) || node.input(1).is_some_and(|v| self.is_minus_an_input(v));
        ints(3).is_some_and(|axes| axes == [1]) && to_the_end && by_one && is_last
    }

    /// Whether a value is an input of the graph with its sign changed.
    fn is_minus_an_input(&self, value: &str) -> bool {
        let mut value = self.source.plain(value);
        while let Some(node) = self.source.maker_of(value, &["Reshape", "Unsqueeze", "Cast"]) {
            let Some(input) = node.input(0) else { return false };
            value = input;
        }
        let negated = self.source.maker_of(value, &["Neg"]).and_then(|n| n.input(0));
        negated.is_some_and(|input| self.source.graph().inputs.iter().any(|i| i.name == input))
    }
}
