//! The values of one graph while it is evaluated, and of the graphs around it.

use crate::budget::Budget;
use crate::call::{Call, unsupported};
use crate::constant;
use crate::operators;
use crate::value::Value;
use crate::{Data, ReferenceError, Tensor};
use kinglet_bundle::onnx::{AttributeValue, DataType, Graph, Node, Tensor as Constant};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;

/// Graphs inside graphs that are followed.
const DEPTH: usize = 8;

/// The operator set of a graph that does not say.
const NEWEST: i64 = 24;

/// One graph with the values that exist so far.
pub(crate) struct Scope<'a> {
    graph: &'a Graph,
    given: Option<&'a HashMap<String, Tensor>>,
    outer: Option<&'a Scope<'a>>,
    budget: &'a Budget,
    opset: i64,
    depth: usize,
    makers: HashMap<&'a str, usize>,
    constants: HashMap<&'a str, &'a Constant>,
    declared: HashMap<&'a str, DataType>,
    /// How often each value is still needed.
    uses: HashMap<&'a str, usize>,
    values: HashMap<&'a str, Rc<Value>>,
}

impl<'a> Scope<'a> {
    /// A graph whose values are none yet. `outer` is the graph that it is an attribute of.
    pub(crate) fn new(
        graph: &'a Graph,
        given: Option<&'a HashMap<String, Tensor>>,
        outer: Option<&'a Scope<'a>>,
        budget: &'a Budget,
    ) -> Result<Self, ReferenceError> {
        let depth = outer.map_or(0, |outer| outer.depth + 1);
        if depth > DEPTH {
            return Err(ReferenceError::TooLarge(format!("{DEPTH} graphs inside each other")));
        }
        let mut makers = HashMap::new();
        for (index, node) in graph.nodes.iter().enumerate() {
            for name in node.outputs.iter().filter(|name| !name.is_empty()) {
                if makers.insert(name.as_str(), index).is_some() {
                    return Err(operands(node, format!("`{name}` is made by another node too")));
                }
            }
        }
        let opset = graph.opsets.iter().find(|set| is_onnx(&set.domain)).map(|set| set.version);
        let inputs = graph.inputs.iter().filter_map(|info| Some((info.name.as_str(), info.data_type?)));
        let constants = graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor.data_type));
        Ok(Self {
            graph,
            given,
            outer,
            budget,
            opset: opset.or(outer.map(|outer| outer.opset)).unwrap_or(NEWEST),
            depth,
            makers,
            constants: graph.initializers.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect(),
            declared: inputs.chain(constants).collect(),
            uses: HashMap::new(),
            values: HashMap::new(),
        })
    }

    /// The values of those names, made where they are not there.
    pub(crate) fn values(&mut self, wanted: &[&'a str]) -> Result<Vec<Rc<Value>>, ReferenceError> {
        self.count(wanted);
        let mut values = Vec::with_capacity(wanted.len());
        for name in wanted {
            self.make(name)?;
            values.push(self.found(name).ok_or_else(|| ReferenceError::Missing((*name).into()))?);
        }
        Ok(values)
    }

    /// Counts how often each value is needed by what the wanted ones need.
    fn count(&mut self, wanted: &[&'a str]) {
        let mut open: Vec<&'a str> = wanted.to_vec();
        let mut seen = HashSet::new();
        while let Some(name) = open.pop() {
            *self.uses.entry(name).or_insert(0) += 1;
            let maker = self.makers.get(name).filter(|_| !self.is_given(name));
            if let Some(index) = maker.filter(|index| seen.insert(**index)) {
                open.extend(needs(&self.graph.nodes[*index], 0));
            }
        }
    }

    fn is_given(&self, name: &str) -> bool {
        self.given.is_some_and(|given| given.contains_key(name))
    }

    /// The value of that name in this graph or in one around it; `None` where it is not there yet.
    fn found(&self, name: &str) -> Option<Rc<Value>> {
        self.values.get(name).cloned().or_else(|| self.outer.and_then(|outer| outer.found(name)))
    }

    /// Those of the names that have no value yet.
    fn missing(&self, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
        names.filter(|name| self.found(name).is_none()).collect()
    }

    /// Makes one value and all that it needs, without recursion: a node waits on the stack for what it needs, an `If` first
    /// for its condition and then for what the branch takes from outside.
    fn make(&mut self, wanted: &'a str) -> Result<(), ReferenceError> {
        let mut open = vec![wanted];
        let mut waits: HashMap<usize, usize> = HashMap::new();
        while let Some(&name) = open.last() {
            if self.found(name).is_some() || self.take(name)? {
                open.pop();
                continue;
            }
            let index = *self.makers.get(name).ok_or_else(|| ReferenceError::Missing(name.into()))?;
            let node = &self.graph.nodes[index];
            let mut missing = self.missing(inputs(node));
            if missing.is_empty() && is_if(node) {
                missing = self.missing(free(self.branch(node)?, 0).into_iter());
            }
            if missing.is_empty() {
                self.run(node)?;
                continue;
            }
            let waited = waits.entry(index).or_insert(0);
            *waited += 1;
            if *waited > 1 + usize::from(is_if(node)) {
                return Err(operands(node, "it needs what it makes".into()));
            }
            open.extend(missing);
        }
        Ok(())
    }

    /// Takes a given value or a constant in; false where the name is neither.
    fn take(&mut self, name: &'a str) -> Result<bool, ReferenceError> {
        let value = if let Some(tensor) = self.given.and_then(|given| given.get(name)) {
            check(name, "given value", &tensor.dims, Some(tensor.data.len()))?;
            self.budget.take(tensor.data.len())?;
            Value::given(tensor.clone(), self.declared.get(name).copied())
        } else if let Some(tensor) = self.constants.get(name) {
            self.budget.take(check(name, "constant", &tensor.dims, None)?)?;
            constant::read(tensor).map_err(|reason| ReferenceError::Unsupported {
                node: name.into(),
                op_type: "constant".into(),
                reason,
            })?
        } else {
            return Ok(false);
        };
        self.values.insert(name, Rc::new(value));
        Ok(true)
    }

    /// Evaluates a node whose needs are there, keeps what is needed of it, and drops values that no later node needs.
    fn run(&mut self, node: &'a Node) -> Result<(), ReferenceError> {
        let before = self.budget.alive();
        let values = if is_if(node) { self.run_branch(node)? } else { self.run_operator(node)? };
        self.budget.set_alive(before);
        let mut values = values.into_iter();
        for name in &node.outputs {
            let value = values.next();
            if name.is_empty() || !self.uses.contains_key(name.as_str()) {
                continue;
            }
            let value = value.ok_or_else(|| unsupported(node, format!("its output `{name}` is not known")))?;
            self.budget.take(value.data.len())?;
            self.values.insert(name, value);
        }
        for name in needs(node, 0) {
            let left = self.uses.get_mut(name).map(|uses| {
                *uses = uses.saturating_sub(1);
                *uses
            });
            if left == Some(0)
                && let Some(value) = self.values.remove(name)
            {
                self.budget.set_alive(self.budget.alive().saturating_sub(value.data.len()));
            }
        }
        Ok(())
    }

    fn run_operator(&self, node: &'a Node) -> Result<Vec<Rc<Value>>, ReferenceError> {
        let operator = operators::find(node)?;
        let inputs = node.inputs.iter().map(|name| if name.is_empty() { None } else { self.found(name) }).collect();
        let call = Call { node, inputs, opset: self.opset, budget: self.budget };
        Ok((operator.run)(&call)?.into_iter().map(Rc::new).collect())
    }

    fn run_branch(&self, node: &'a Node) -> Result<Vec<Rc<Value>>, ReferenceError> {
        operators::find(node)?;
        let branch = self.branch(node)?;
        let names: Vec<&str> = branch.outputs.iter().map(|info| info.name.as_str()).collect();
        Scope::new(branch, None, Some(self), self.budget)?.values(&names)
    }

    /// The graph that an `If` has for its condition.
    fn branch(&self, node: &'a Node) -> Result<&'a Graph, ReferenceError> {
        let condition = node.input(0).and_then(|name| self.found(name));
        let chosen = match condition.as_deref().map(|value| &value.data) {
            Some(Data::Bool(values)) if values.len() == 1 => values[0],
            _ => return Err(operands(node, "its condition is no single truth value".into())),
        };
        match node.attribute(if chosen { "then_branch" } else { "else_branch" }) {
            Some(AttributeValue::Graph(graph)) => Ok(graph),
            _ => Err(operands(node, "it has no graph for its condition".into())),
        }
    }
}

/// The operands that a node names.
fn inputs(node: &Node) -> impl Iterator<Item = &str> {
    node.inputs.iter().map(String::as_str).filter(|name| !name.is_empty())
}

/// All values that a node may need: its operands, and what graphs inside it take from outside.
fn needs(node: &Node, depth: usize) -> Vec<&str> {
    let graphs = node.attributes.iter().filter_map(|attribute| match &attribute.value {
        AttributeValue::Graph(graph) => Some(graph.as_ref()),
        _ => None,
    });
    inputs(node).chain(graphs.flat_map(|graph| free(graph, depth))).collect()
}

/// Names that a graph takes from outside.
fn free(graph: &Graph, depth: usize) -> Vec<&str> {
    if depth > DEPTH {
        return Vec::new();
    }
    let made = graph.nodes.iter().flat_map(|node| node.outputs.iter().map(String::as_str));
    let constants = graph.initializers.iter().map(|tensor| tensor.name.as_str());
    let own: HashSet<&str> = made.chain(constants).chain(graph.inputs.iter().map(|info| info.name.as_str())).collect();
    let used = graph.nodes.iter().flat_map(|node| needs(node, depth + 1));
    let used: HashSet<&str> = used.chain(graph.outputs.iter().map(|info| info.name.as_str())).collect();
    used.into_iter().filter(|name| !name.is_empty() && !own.contains(name)).collect()
}

fn is_if(node: &Node) -> bool {
    node.op_type == "If" && is_onnx(&node.domain)
}

/// Whether a domain is ONNX's own.
pub(crate) fn is_onnx(domain: &str) -> bool {
    matches!(domain, "" | "ai.onnx")
}

fn operands(node: &Node, reason: String) -> ReferenceError {
    ReferenceError::Operands { node: node.label().into(), op_type: node.op_type.clone(), reason }
}

/// The number of elements of a shape, which must be `found` where that is known.
fn check(name: &str, what: &str, dims: &[usize], found: Option<usize>) -> Result<usize, ReferenceError> {
    let elements = dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
    elements.filter(|elements| found.is_none_or(|found| found == *elements)).ok_or_else(|| ReferenceError::Operands {
        node: name.into(),
        op_type: what.into(),
        reason: format!("the shape {dims:?} does not fit its elements"),
    })
}
