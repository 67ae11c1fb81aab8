//! A piece of the graph: the nodes between some values and those that are made from them, to be evaluated alone.

use super::contract::{Extent, Length, Random, Role, role_of, tensor_of};
use super::widen::{widened, widened_constant};
use super::{FREE_VISITS, LIMITS, Prover, VISITS_PER_NODE};
use crate::recognise::Recogniser;
use crate::source::unsupported;
use kinglet_bundle::onnx::{AttributeValue, Graph, Node, Tensor as Constant};
use kinglet_engine::EngineError;
use kinglet_reference::{Limits, ReferenceError, Tensor, evaluate_counting};
use std::collections::HashMap;

/// A weight with more elements than this is not a part of a piece: what it is multiplied with stands as rows.
const SMALL_WEIGHT: usize = 1 << 12;
/// Elements that the constants of a piece may have.
const MOST_CONSTANTS: usize = 1 << 23;

/// A value where a piece begins.
#[derive(Clone, Debug)]
enum Start {
    /// A value that a claim names, whose tensor is passed to [`Prover::evaluate`].
    Role,
    /// An input of the graph, with its place among them.
    Input(usize, Role),
    /// Rows of another operator.
    Rows,
}

/// Nodes from starts to the values that were asked for.
pub(super) struct Piece<'g> {
    /// The nodes alone with their constants, every float type made float32.
    graph: Graph,
    starts: Vec<(&'g str, Start, Vec<Extent>)>,
    /// Outputs of `Shape` nodes over starts, with the dimensions that they give.
    shapes: Vec<(&'g str, Vec<Extent>)>,
    /// Structural encoding of the computation, which does not depend on the names of intermediate values.
    pub(super) signature: Vec<u32>,
    /// Whole numbers among its small constants.
    pub(super) numbers: Vec<i64>,
}

/// State of the backward traversal from the wanted values.
#[derive(Default)]
struct Walk<'g> {
    numbers: HashMap<&'g str, u32>,
    list: Vec<&'g str>,
    signature: Vec<u32>,
    nodes: Vec<&'g Node>,
    constants: Vec<(&'g str, &'g Constant)>,
    starts: Vec<(&'g str, Start, Vec<Extent>)>,
    shapes: Vec<(&'g str, Vec<Extent>)>,
}

impl<'g> Walk<'g> {
    fn number(&mut self, value: &'g str) -> u32 {
        let next = self.list.len() as u32;
        let list = &mut self.list;
        *self.numbers.entry(value).or_insert_with(|| {
            list.push(value);
            next
        })
    }
}

impl<'s, 'g> Prover<'s, 'g> {
    /// The piece behind `outputs`, back to the values of `roles`, to inputs of the graph and to rows that other operators
    /// make; `node` is named where it cannot be cut out.
    pub(super) fn piece(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        outputs: &[&'g str],
        roles: &[&'g str],
        node: &Node,
    ) -> Result<Piece<'g>, EngineError> {
        let mut walk = Walk::default();
        for output in outputs {
            walk.number(output);
        }
        let mut at = 0;
        while let Some(&value) = walk.list.get(at) {
            at += 1;
            self.visits += 1;
            if self.visits > FREE_VISITS + VISITS_PER_NODE * self.source.graph().nodes.len() {
                return Err(unsupported(node, "too much of the graph lies behind it"));
            }
            self.visit(recogniser, &mut walk, value, roles, node)?;
        }
        self.finish(walk, node)
    }

    fn visit(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        walk: &mut Walk<'g>,
        value: &'g str,
        roles: &[&'g str],
        asking: &Node,
    ) -> Result<(), EngineError> {
        if let Some(role) = roles.iter().position(|r| *r == value) {
            walk.signature.extend([0, role as u32]);
            walk.starts.push((value, Start::Role, vec![]));
            return Ok(());
        }
        if let Some(constant) = self.source.tensor(value) {
            walk.signature.extend([1, self.interner.constant(constant, value)]);
            walk.constants.push((value, constant));
            return Ok(());
        }
        if let Some((start, extents)) = self.start(recogniser, value)? {
            walk.signature.extend([2, self.interner.name(value)]);
            walk.starts.push((value, start, extents));
            return Ok(());
        }
        let Some(node) = self.source.maker(value) else {
            return Err(unsupported(asking, format!("it depends on `{value}`, an input that Kinglet does not know")));
        };
        let output = node.outputs.iter().position(|o| o == value).unwrap_or(0) as u32;
        if let Some(dims) = self.shape_of_start(recogniser, node, roles)? {
            walk.signature.extend([3, self.interner.extents(&dims)]);
            walk.shapes.push((value, dims));
            return Ok(());
        }
        let takes_tokens = node.inputs.contains(&self.facts.input_ids);
        if takes_tokens && !asks_for_rows(node) && !asks_for_rows(asking) {
            return Err(unsupported(asking, format!("what `{}` computes depends on the tokens themselves", node.label())));
        }
        let captured = captured(node);
        walk.signature.extend([4, self.interner.node(node), output, (node.inputs.len() + captured.len()) as u32]);
        for input in node.inputs.iter().map(String::as_str).chain(captured) {
            let number = if input.is_empty() { u32::MAX } else { walk.number(input) };
            walk.signature.push(number);
        }
        walk.nodes.push(node);
        Ok(())
    }

    /// The start that a value is, with its dimensions: an input that the contract knows, or rows of another operator.
    fn start(&mut self, recogniser: &Recogniser<'s, 'g>, value: &'g str) -> Result<Option<(Start, Vec<Extent>)>, EngineError> {
        if let Some(place) = self.source.input_place(value) {
            let role = role_of(self.facts, &self.source.graph().inputs[place]);
            return Ok(role.map(|(role, extents)| (Start::Input(place, role), extents)));
        }
        let width = match self.widths.get(value) {
            Some(width) => *width,
            None => match recogniser.product_size(value)? {
                Some((n, k)) if n.saturating_mul(k) > SMALL_WEIGHT => n,
                _ => return Ok(None),
            },
        };
        Ok(self.form(recogniser, value)?.map(|form| (Start::Rows, form.extents(width))))
    }

    /// The dimensions that a `Shape` gives of a start, so that the traversal ends there.
    fn shape_of_start(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        node: &'g Node,
        roles: &[&'g str],
    ) -> Result<Option<Vec<Extent>>, EngineError> {
        let Some(of) = node.input(0).filter(|_| node.op_type == "Shape" && node.domain.is_empty()) else { return Ok(None) };
        let of = self.source.plain(of);
        let extents = match self.presents.get(of) {
            Some(extents) => extents.clone(),
            None => match self.extents_of_start(recogniser, of, roles)? {
                Some(extents) => extents,
                None => match self.extents_of_moved(recogniser, of, node)? {
                    Some(extents) => extents,
                    None => return Ok(None),
                },
            },
        };
        let bound = |name: &str, default: i64| {
            let bound = node.int(name).unwrap_or(default);
            let bound = if bound < 0 { bound.saturating_add(extents.len() as i64) } else { bound };
            bound.clamp(0, extents.len() as i64) as usize
        };
        let (start, end) = (bound("start", 0), bound("end", extents.len() as i64));
        Ok(Some(extents.get(start..end).unwrap_or_default().to_vec()))
    }

    /// The dimensions of a value into which past and step together were moved, such as repeated heads: inferred from a few lengths.
    fn extents_of_moved(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        of: &'g str,
        node: &Node,
    ) -> Result<Option<Vec<Extent>>, EngineError> {
        let joined = self.source.moved(of);
        let Some(dims) = self.presents.get(joined).cloned() else { return Ok(None) };
        let piece = self.piece(recogniser, &[of], &[joined], node)?;
        let mut key = vec![14, self.interner.extents(&dims)];
        key.extend_from_slice(&piece.signature);
        if let Some(known) = self.moved.get(&key) {
            return Ok(known.clone());
        }
        let mut found: Option<Vec<Vec<Extent>>> = None;
        for length in [Length { rows: 5, past: 0 }, Length { rows: 3, past: 4 }, Length { rows: 2, past: 7 }] {
            let dims: Vec<usize> = dims.iter().map(|e| e.at(length)).collect();
            let zeros = Tensor::floats(dims.clone(), vec![0.0; dims.iter().product()]);
            let Ok(made) = self.evaluate(&piece, length, &HashMap::from([(joined, zeros)]), &[of]) else { return Ok(None) };
            let dims = &made[0].dims;
            let possible = |dim: &usize| {
                let all = [Extent::Of(*dim), Extent::Rows, Extent::Past, Extent::Total];
                all.into_iter().filter(|e| e.at(length) == *dim).collect::<Vec<_>>()
            };
            let here: Vec<Vec<Extent>> = dims.iter().map(possible).collect();
            found = Some(match found {
                None => here,
                Some(before) if before.len() == here.len() => {
                    let both = |(a, b): (Vec<Extent>, &Vec<Extent>)| a.into_iter().filter(|e| b.contains(e)).collect();
                    before.into_iter().zip(&here).map(both).collect()
                }
                Some(_) => return Ok(None),
            });
        }
        let extents: Option<Vec<Extent>> = found.unwrap_or_default().iter().map(|axis| axis.first().copied()).collect();
        self.moved.insert(key, extents.clone());
        Ok(extents)
    }

    fn extents_of_start(
        &mut self,
        recogniser: &Recogniser<'s, 'g>,
        of: &'g str,
        roles: &[&'g str],
    ) -> Result<Option<Vec<Extent>>, EngineError> {
        if roles.contains(&of) && self.source.input_place(of).is_none() && !self.widths.contains_key(of) {
            return Ok(None);
        }
        Ok(self.start(recogniser, of)?.map(|(_, extents)| extents))
    }

    fn finish(&self, walk: Walk<'g>, node: &Node) -> Result<Piece<'g>, EngineError> {
        let Walk { mut nodes, signature, starts, shapes, constants, .. } = walk;
        let elements: usize = constants.iter().map(|(_, c)| c.elements()).fold(0, usize::saturating_add);
        if elements > MOST_CONSTANTS {
            return Err(unsupported(node, format!("{elements} elements of constants are mixed into it")));
        }
        // A node that makes several values was met for each of them.
        nodes.sort_by_key(|n| std::ptr::from_ref(*n).addr());
        nodes.dedup_by_key(|n| std::ptr::from_ref(*n).addr());
        let numbers = constants.iter().flat_map(|(_, constant)| whole_numbers(constant)).collect();
        let graph = Graph {
            nodes: nodes.into_iter().map(widened).collect(),
            initializers: constants.into_iter().map(|(name, constant)| widened_constant(constant, name)).collect(),
            opsets: self.source.graph().opsets.clone(),
            ..Graph::default()
        };
        Ok(Piece { graph, starts, shapes, signature, numbers })
    }

    /// Makes the wanted values of a piece; `roles` are the tensors of the values that a claim names.
    ///
    /// # Errors
    /// The interpreter's own error.
    pub(super) fn evaluate(
        &mut self,
        piece: &Piece<'g>,
        length: Length,
        roles: &HashMap<&str, Tensor>,
        wanted: &[&str],
    ) -> Result<Vec<Tensor>, ReferenceError> {
        let mut given = HashMap::new();
        let mut random = Random::new(7);
        for (name, start, extents) in &piece.starts {
            let made = |role: Option<(usize, Role)>, random: &mut Random| {
                let elements = extents.iter().try_fold(1usize, |all, e| all.checked_mul(e.at(length)))?;
                let fits =
                    elements <= MOST_GIVEN && (role.is_none_or(|(_, role)| role != Role::Past) || length.past <= MOST_PAST);
                fits.then(|| match role {
                    Some((place, role)) => tensor_of(role, &self.source.graph().inputs[place], extents, length, random),
                    None => Tensor::floats(extents.iter().map(|e| e.at(length)).collect::<Vec<_>>(), random.numbers(elements)),
                })
            };
            let tensor = match start {
                Start::Role => roles.get(name).cloned(),
                Start::Input(place, role) => made(Some((*place, *role)), &mut random),
                Start::Rows => made(None, &mut random),
            };
            given.extend(tensor.map(|tensor| ((*name).to_owned(), tensor)));
        }
        for (name, extents) in &piece.shapes {
            let dims: Vec<i64> = extents.iter().map(|e| e.at(length) as i64).collect();
            given.insert((*name).to_owned(), Tensor::ints([dims.len()], dims));
        }
        let limits = Limits { work: LIMITS.work.min(self.work_left), ..LIMITS };
        let (made, work) = evaluate_counting(&piece.graph, &given, wanted, limits)?;
        self.work_left -= work.min(self.work_left);
        Ok(made)
    }
}

/// Elements that one value may be given.
const MOST_GIVEN: usize = 1 << 22;
/// Past positions beyond which keys and values are not made up: only their number may matter.
const MOST_PAST: usize = 128;

/// Whether a node that takes token ids does so for their number, or to look up rows.
fn asks_for_rows(node: &Node) -> bool {
    ["Shape", "Gather", "GatherBlockQuantized"].contains(&node.op_type.as_str())
}

/// The numbers of a small constant, as far as they are whole.
fn whole_numbers(constant: &Constant) -> Vec<i64> {
    if constant.elements() > 8 {
        return vec![];
    }
    let floats = || constant.to_f32().ok().map(|v| v.iter().filter(|x| x.fract() == 0.0).map(|x| *x as i64).collect());
    constant.to_i64().ok().or_else(floats).unwrap_or_default()
}

/// Values of the graph that the branches of a node read.
fn captured(node: &Node) -> Vec<&str> {
    let graphs = node.attributes.iter().filter_map(|a| if let AttributeValue::Graph(g) = &a.value { Some(&**g) } else { None });
    graphs.flat_map(outer_names).collect()
}

fn outer_names(graph: &Graph) -> Vec<&str> {
    let made: std::collections::HashSet<&str> = graph
        .nodes
        .iter()
        .flat_map(|n| &n.outputs)
        .map(String::as_str)
        .chain(graph.initializers.iter().map(|t| t.name.as_str()))
        .chain(graph.inputs.iter().map(|i| i.name.as_str()))
        .collect();
    let read = graph.nodes.iter().flat_map(|n| n.inputs.iter().map(String::as_str).chain(captured(n)));
    read.chain(graph.outputs.iter().map(|o| o.name.as_str())).filter(|v| !v.is_empty() && !made.contains(v)).collect()
}
