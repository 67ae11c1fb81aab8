//! The graph as it was read, indexed by value: the node that makes it, the tensor that it is if it is constant.

use crate::fold::{MOST_FOLDED, folded};
use crate::order::check_acyclic;
use kinglet_bundle::onnx::{AttributeValue, DataType, Dim, Graph, Node, Tensor};
use kinglet_engine::EngineError;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// Reshapes of one constant, one after the other.
const MAX_RESHAPES: usize = 4;

/// An ONNX graph with an index over its values.
pub(crate) struct Source<'g> {
    graph: &'g Graph,
    /// Value name -> index of the node that makes it.
    makers: HashMap<&'g str, usize>,
    /// Initializers and the tensors of `Constant` nodes.
    constants: HashMap<&'g str, &'g Tensor>,
    /// Places of the graph's inputs.
    inputs: HashMap<&'g str, usize>,
}

/// Nodes in a row that change no element, or only move elements, beyond which no search goes: exporters write a handful, and a file
/// may have so many that looking past them all for each of its operators would take minutes.
const LOOKED_THROUGH: usize = 64;

/// Two constants of which a graph reads one: up to and above a limit.
pub(crate) struct Switched<'g> {
    /// The value that is true for lengths above the limit.
    pub(crate) condition: &'g str,
    pub(crate) limit: usize,
    pub(crate) below: &'g Tensor,
    pub(crate) above: &'g Tensor,
}

impl<'g> Source<'g> {
    /// # Errors
    /// [`EngineError::BadModel`] unless every value has one maker and no node reads what is made from its own output: so no search
    /// through the graph can go in circles. The order of the nodes does not matter.
    pub(crate) fn new(graph: &'g Graph) -> Result<Self, EngineError> {
        let from_nodes = graph
            .nodes
            .iter()
            .filter(|n| n.op_type == "Constant")
            .filter_map(|n| Some((n.outputs.first()?.as_str(), n.tensor("value")?)));
        let constants = graph.initializers.iter().map(|t| (t.name.as_str(), t)).chain(from_nodes).collect();
        let mut known: HashSet<&str> =
            graph.initializers.iter().map(|t| t.name.as_str()).chain(graph.inputs.iter().map(|i| i.name.as_str())).collect();
        let by_name = |names: Vec<&'g str>| {
            let mut seen = HashSet::new();
            names.into_iter().find(|name| !seen.insert(*name))
        };
        let weights = graph.initializers.iter().map(|t| t.name.as_str()).filter(|name| !name.is_empty()).collect();
        let inputs = graph.inputs.iter().map(|i| i.name.as_str()).collect();
        if let Some(twice) = by_name(weights).or_else(|| by_name(inputs)) {
            return Err(EngineError::BadModel(format!("`{twice}` is there twice; export the model again")));
        }
        let mut makers = HashMap::new();
        for (i, node) in graph.nodes.iter().enumerate() {
            for output in node.outputs.iter().map(String::as_str).filter(|o| !o.is_empty()) {
                if !known.insert(output) {
                    return Err(EngineError::BadModel(format!("`{output}` is made twice")));
                }
                makers.insert(output, i);
            }
        }
        for node in &graph.nodes {
            if let Some(unknown) = node.inputs.iter().find(|v| !v.is_empty() && !known.contains(v.as_str())) {
                return Err(EngineError::BadModel(format!("node `{}` reads `{unknown}`, which nothing makes", node.label())));
            }
        }
        check_acyclic(graph, &makers)?;
        let inputs = graph.inputs.iter().enumerate().map(|(i, input)| (input.name.as_str(), i)).collect();
        Ok(Self { graph, makers, constants, inputs })
    }

    pub(crate) fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// The node that makes a value; none for inputs and initializers.
    pub(crate) fn maker(&self, value: &str) -> Option<&'g Node> {
        self.makers.get(value).map(|&i| &self.graph.nodes[i])
    }

    /// The node that makes a value, if it is of one of these operator types.
    pub(crate) fn maker_of(&self, value: &str, op_types: &[&str]) -> Option<&'g Node> {
        self.maker(value).filter(|n| op_types.contains(&n.op_type.as_str()))
    }

    /// The value behind nodes that change neither elements nor meaning for us: identities and casts to floats (all our
    /// activations are float32).
    pub(crate) fn plain<'a>(&self, mut value: &'a str) -> &'a str
    where
        'g: 'a,
    {
        for _ in 0..LOOKED_THROUGH {
            let Some(n) = self.maker_of(value, &["Identity", "Cast", "Dropout"]) else { break };
            let Some(input) = n.input(0) else { break };
            // Only one that is told so drops anything.
            if n.op_type == "Dropout" && n.input(2).is_some() {
                break;
            }
            if n.op_type == "Cast" && !n.int("to").and_then(|t| DataType::from_onnx(t as i32)).is_some_and(is_float) {
                break;
            }
            value = input;
        }
        value
    }

    /// The value behind axes of one element that were put in.
    pub(crate) fn unsqueezed<'a>(&self, mut value: &'a str) -> &'a str
    where
        'g: 'a,
    {
        loop {
            value = self.plain(value);
            match self.maker_of(value, &["Unsqueeze"]).and_then(|n| n.input(0)) {
                Some(input) => value = input,
                None => return value,
            }
        }
    }

    /// The value behind nodes that only move elements: reshapes, transposes, repeats of heads.
    pub(crate) fn moved<'a>(&self, mut value: &'a str) -> &'a str
    where
        'g: 'a,
    {
        for _ in 0..LOOKED_THROUGH {
            value = self.plain(value);
            let movement = self
                .maker_of(value, &["Reshape", "Transpose", "Unsqueeze", "Squeeze", "Expand", "Flatten"])
                .or_else(|| self.repeated(value));
            match movement.and_then(|n| n.input(0)) {
                Some(input) if self.constant(value).is_none() => value = input,
                _ => return value,
            }
        }
        value
    }

    /// As [`moved`](Self::moved) for token ids, which may change their type on the way.
    pub(crate) fn moved_ids<'a>(&self, mut value: &'a str) -> &'a str
    where
        'g: 'a,
    {
        let is_whole = |node: &Node| {
            let to = node.int("to").and_then(|to| i32::try_from(to).ok()).and_then(DataType::from_onnx);
            matches!(to, Some(DataType::Int32 | DataType::Int64))
        };
        loop {
            value = self.moved(value);
            match self.maker_of(value, &["Cast"]).filter(|cast| is_whole(cast)).and_then(|cast| cast.input(0)) {
                Some(input) => value = input,
                None => return value,
            }
        }
    }

    /// The `Tile` that repeats each head of `[batch, heads, rows, head_dim]` before the next one: along an axis of its own behind
    /// that of heads.
    fn repeated(&self, value: &str) -> Option<&'g Node> {
        let tile = self.maker_of(value, &["Tile"])?;
        let unsqueeze = self.maker_of(self.plain(tile.input(0)?), &["Unsqueeze"])?;
        let axes = self.ints(unsqueeze.input(1)?)?;
        let repeats = self.ints(tile.input(1)?)?;
        (axes == [2] && repeats.len() == 5 && [0, 1, 3, 4].iter().all(|&axis| repeats[axis] == 1)).then_some(tile)
    }

    /// The tensor that a value itself is, as an initializer or a `Constant`.
    pub(crate) fn tensor(&self, value: &str) -> Option<&'g Tensor> {
        self.constants.get(value).copied()
    }

    /// The place of a value among the graph's inputs.
    pub(crate) fn input_place(&self, value: &str) -> Option<usize> {
        self.inputs.get(value).copied()
    }

    /// An output of the graph, by its name.
    pub(crate) fn output(&self, name: &str) -> Option<&'g str> {
        self.graph.outputs.iter().map(|o| o.name.as_str()).find(|o| *o == name)
    }

    /// The tensor behind a value that is an initializer or a `Constant`, through identities.
    pub(crate) fn constant(&self, value: &str) -> Option<&'g Tensor> {
        self.constants.get(self.plain(value)).copied()
    }

    /// The constant behind a value in the shape that reshapes between the two give it.
    pub(crate) fn shaped_constant(&self, value: &str) -> Option<Cow<'g, Tensor>> {
        let mut value = self.plain(value);
        let mut reshapes = vec![];
        while self.constant(value).is_none() {
            let reshape = self.maker_of(value, &["Reshape"]).filter(|_| reshapes.len() < MAX_RESHAPES)?;
            reshapes.push(reshape);
            value = self.plain(reshape.input(0)?);
        }
        let tensor = self.constant(value)?;
        if reshapes.is_empty() {
            return Some(Cow::Borrowed(tensor));
        }
        let mut dims = tensor.dims.clone();
        for reshape in reshapes.into_iter().rev() {
            dims = reshaped(&dims, &self.ints(reshape.input(1)?)?, reshape.int("allowzero") == Some(1))?;
        }
        Some(Cow::Owned(Tensor { dims, ..tensor.clone() }))
    }

    /// The two constants behind an `If` that asks whether something, the length of a sequence, is greater than a number.
    pub(crate) fn switched(&self, value: &'g str) -> Option<Switched<'g>> {
        let value = self.plain(value);
        let node = self.maker_of(value, &["If"])?;
        let place = node.outputs.iter().position(|output| output == value)?;
        let condition = node.input(0)?;
        let greater = self.maker_of(self.plain(condition), &["Greater"])?;
        let limit = self.scalar(greater.input(1)?).filter(|limit| *limit >= 0.0)? as usize;
        let branch = |name: &str| match node.attribute(name)? {
            AttributeValue::Graph(graph) => {
                let output = &graph.outputs.get(place)?.name;
                let made = graph.nodes.iter().find(|n| n.outputs.first() == Some(output));
                made.and_then(|n| n.tensor("value")).or_else(|| graph.initializers.iter().find(|t| t.name == *output))
            }
            _ => None,
        };
        Some(Switched { condition, limit, below: branch("else_branch")?, above: branch("then_branch")? })
    }

    /// The tensor at an input that a node may do without: none where it does.
    ///
    /// # Errors
    /// [`EngineError::UnsupportedNode`] where the input is there and not constant; `what` names it.
    pub(crate) fn optional_constant(&self, node: &Node, input: usize, what: &str) -> Result<Option<&'g Tensor>, EngineError> {
        let found = node
            .input(input)
            .map(|v| self.constant(v).ok_or_else(|| unsupported(node, format!("a {what} input that is no constant"))));
        found.transpose()
    }

    /// A constant's elements as float32, for norm weights, biases and scalars. Sums, products and quotients of constants
    /// of up to [`MOST_FOLDED`] elements are folded.
    pub(crate) fn floats(&self, value: &str) -> Option<Vec<f32>> {
        self.numbers(value, usize::MAX).or_else(|| folded(self, value, MOST_FOLDED))
    }

    /// A constant with one element.
    pub(crate) fn scalar(&self, value: &str) -> Option<f32> {
        folded(self, value, 1).filter(|v| v.len() == 1).map(|v| v[0])
    }

    /// The elements of a value that is an initializer or a `Constant`, through identities; none where it has more than `most`.
    pub(crate) fn numbers(&self, value: &str, most: usize) -> Option<Vec<f32>> {
        let value = self.plain(value);
        match self.constants.get(value) {
            Some(t) if t.elements() > most => None,
            Some(t) => t.to_f32().ok().or_else(|| t.to_i64().ok().map(|v| v.iter().map(|&x| x as f32).collect())),
            None => constant_attribute(self.maker_of(value, &["Constant"])?, most),
        }
    }

    /// A constant's elements as integers.
    pub(crate) fn ints(&self, value: &str) -> Option<Vec<i64>> {
        if let Some(t) = self.constant(value) {
            return t.to_i64().ok();
        }
        let n = self.maker_of(value, &["Constant"])?;
        n.ints("value_ints").map(<[i64]>::to_vec).or_else(|| n.int("value_int").map(|v| vec![v]))
    }

    /// The two operands of a commutative node: the constant one by `pick`, and the other's name.
    pub(crate) fn with_constant<T>(&self, node: &'g Node, pick: impl Fn(&str) -> Option<T>) -> Option<(T, &'g str)> {
        let (a, b) = (node.input(0)?, node.input(1)?);
        pick(b).map(|c| (c, a)).or_else(|| pick(a).map(|c| (c, b)))
    }

    /// The last dimension that a graph input declares, if it is a number.
    pub(crate) fn input_width(&self, name: &str) -> Option<usize> {
        let info = self.graph.inputs.iter().find(|i| i.name == name)?;
        match info.dims.as_ref()?.last()? {
            Dim::Known(n) => Some(*n),
            _ => None,
        }
    }

    /// All values that a value is made from, itself included, stopping at graph inputs and at the nodes for which `stop`
    /// holds.
    pub(crate) fn ancestors(&self, value: &'g str, stop: impl Fn(&Node) -> bool) -> Vec<&'g str> {
        let (mut seen, mut open) = (HashSet::from([value]), vec![value]);
        let mut all = vec![];
        while let Some(v) = open.pop() {
            all.push(v);
            if let Some(n) = self.maker(v).filter(|n| !stop(n)) {
                open.extend(n.inputs.iter().map(String::as_str).filter(|i| !i.is_empty() && seen.insert(i)));
            }
        }
        all
    }
}

/// The dimensions that a `Reshape` to `shape` gives; `None` where there are none, or they hold another number of elements.
fn reshaped(dims: &[usize], shape: &[i64], zero_is_zero: bool) -> Option<Vec<usize>> {
    let elements = |dims: &[usize]| dims.iter().try_fold(1usize, |product, dim| product.checked_mul(*dim));
    let all = elements(dims)?;
    let mut to: Vec<usize> = vec![];
    let mut open = None;
    for (i, &size) in shape.iter().enumerate() {
        to.push(match size {
            0 if !zero_is_zero => *dims.get(i)?,
            -1 if open.is_none() => {
                open = Some(i);
                1
            }
            size => usize::try_from(size).ok()?,
        });
    }
    if let Some(open) = open {
        to[open] = all.checked_div(elements(&to)?)?;
    }
    (elements(&to)? == all).then_some(to)
}

fn is_float(t: DataType) -> bool {
    matches!(t, DataType::Float32 | DataType::Float16 | DataType::BFloat16 | DataType::Float64)
}

/// The elements of a `Constant` that has them in an attribute; none where they are more than `most`.
fn constant_attribute(node: &Node, most: usize) -> Option<Vec<f32>> {
    node.attributes.iter().find_map(|a| match &a.value {
        AttributeValue::Float(f) => Some(vec![*f]),
        AttributeValue::Floats(f) if f.len() <= most => Some(f.clone()),
        AttributeValue::Int(i) if a.name == "value_int" => Some(vec![*i as f32]),
        AttributeValue::Ints(v) if v.len() <= most => Some(v.iter().map(|&i| i as f32).collect()),
        _ => None,
    })
}

/// The error for a node that is not what it would have to be.
pub(crate) fn unsupported(node: &Node, reason: impl Into<String>) -> EngineError {
    EngineError::UnsupportedNode { node: node.label().to_owned(), op_type: node.op_type.clone(), reason: reason.into() }
}

/// A size that a node names in an attribute, at least 1.
///
/// # Errors
/// [`EngineError::UnsupportedNode`] where it is not there, or is no such number.
pub(crate) fn size_of(node: &Node, name: &str) -> Result<usize, EngineError> {
    let size = node.int(name).ok_or_else(|| unsupported(node, format!("no attribute {name}")))?;
    let positive = usize::try_from(size).ok().filter(|size| *size > 0);
    positive.ok_or_else(|| unsupported(node, format!("the attribute {name} is {size}")))
}

/// Advice for a graph of unknown form, for the end of a message.
pub(crate) const ELSEWHERE: &str = "export the model with another exporter, or run it on ONNX Runtime (`--engine ort`)";
