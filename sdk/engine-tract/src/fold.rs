//! Constants that a graph computes from others: sums, products, quotients, powers and roots.

use crate::source::Source;
use std::collections::HashMap;
use std::rc::Rc;

/// Elements that a computed constant may have: it is a scalar, a norm's weight, a row of frequencies.
pub(crate) const MOST_FOLDED: usize = 1 << 16;

/// Nodes between a computed constant and those that it is made of.
const DEPTH: usize = 8;

/// The search for one constant: each value that it meets is computed once.
struct Fold<'a> {
    source: &'a Source<'a>,
    /// Elements that a value may have.
    most: usize,
    /// By value and the nodes that may still lie behind it.
    known: HashMap<(&'a str, usize), Option<Rc<[f32]>>>,
}

/// The elements of a constant or computed constant; none where it is neither, or one of those that it is made of has more than
/// `most` elements.
pub(crate) fn folded<'a>(source: &'a Source<'a>, value: &'a str, most: usize) -> Option<Vec<f32>> {
    Fold { source, most, known: HashMap::new() }.of(value, DEPTH).map(|made| made.to_vec())
}

impl<'a> Fold<'a> {
    fn of(&mut self, value: &'a str, depth: usize) -> Option<Rc<[f32]>> {
        let value = self.source.plain(value);
        if let Some(known) = self.known.get(&(value, depth)) {
            return known.clone();
        }
        let made = self.make(value, depth);
        self.known.insert((value, depth), made.clone());
        made
    }

    fn make(&mut self, value: &'a str, depth: usize) -> Option<Rc<[f32]>> {
        let source = self.source;
        let node = source.maker(value).filter(|node| node.op_type != "Constant");
        let Some(node) = node else { return source.numbers(value, self.most).map(Rc::from) };
        let below = depth.checked_sub(1)?;
        let mut arg = |i: usize| self.of(node.input(i)?, below);
        match node.op_type.as_str() {
            "Add" => broadcast(&arg(0)?, &arg(1)?, |a, b| a + b),
            "Sub" => broadcast(&arg(0)?, &arg(1)?, |a, b| a - b),
            "Mul" => broadcast(&arg(0)?, &arg(1)?, |a, b| a * b),
            "Div" => broadcast(&arg(0)?, &arg(1)?, |a, b| a / b),
            "Pow" => broadcast(&arg(0)?, &arg(1)?, f32::powf),
            "Sqrt" => Some(each(&arg(0)?, f32::sqrt)),
            "Neg" => Some(each(&arg(0)?, |x| -x)),
            "Reciprocal" => Some(each(&arg(0)?, f32::recip)),
            "Cast" | "Reshape" | "Unsqueeze" | "Squeeze" => arg(0),
            _ => None,
        }
    }
}

fn each(x: &[f32], f: fn(f32) -> f32) -> Rc<[f32]> {
    x.iter().map(|&x| f(x)).collect()
}

/// Elementwise with one side repeated if it has a single element.
fn broadcast(a: &[f32], b: &[f32], f: fn(f32, f32) -> f32) -> Option<Rc<[f32]>> {
    match (a, b) {
        (a, b) if a.len() == b.len() => Some(a.iter().zip(b).map(|(&a, &b)| f(a, b)).collect()),
        (a, &[b]) => Some(a.iter().map(|&a| f(a, b)).collect()),
        (&[a], b) => Some(b.iter().map(|&b| f(a, b)).collect()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_bundle::Bytes;
    use kinglet_bundle::onnx::{Attribute, AttributeValue, DataType, Graph, Node, Tensor};

    fn node(op_type: &str, inputs: &[&str], output: &str) -> Node {
        let inputs = inputs.iter().map(|input| (*input).to_owned()).collect();
        Node { op_type: op_type.into(), inputs, outputs: vec![output.to_owned()], ..Node::default() }
    }

    /// A graph with the constant `x` of so many elements, and these nodes.
    fn graph(elements: usize, nodes: Vec<Node>) -> Graph {
        let bytes = Bytes::copy_of(&vec![1.0f32; elements]);
        let x = Tensor { name: "x".into(), data_type: DataType::Float32, dims: vec![elements], bytes };
        Graph { nodes, initializers: vec![x], ..Graph::default() }
    }

    /// Sums of the sum before with itself, the first one of `x` with itself.
    fn sums(count: usize) -> Vec<Node> {
        let name = |i: usize| if i == 0 { "x".to_owned() } else { format!("sum{i}") };
        (0..count).map(|i| node("Add", &[&name(i), &name(i)], &name(i + 1))).collect()
    }

    #[test]
    fn each_value_is_computed_once() {
        let graph = graph(1, sums(DEPTH));
        let source = Source::new(&graph).unwrap();
        let last = format!("sum{DEPTH}");
        let mut fold = Fold { source: &source, most: 1, known: HashMap::new() };
        assert_eq!(fold.of(&last, DEPTH).as_deref(), Some(&[256.0][..]));
        assert_eq!(fold.known.len(), DEPTH + 1);
        assert_eq!(source.scalar(&last), Some(256.0));
    }

    #[test]
    fn what_is_large_is_given_where_it_is_a_constant_itself_and_folded_nowhere() {
        let large = graph(MOST_FOLDED + 1, sums(1));
        let source = Source::new(&large).unwrap();
        assert_eq!(source.floats("x").map(|x| x.len()), Some(MOST_FOLDED + 1));
        assert_eq!(source.floats("sum1"), None);
        assert_eq!(source.numbers("x", MOST_FOLDED), None);
        assert_eq!((source.scalar("x"), source.scalar("sum1")), (None, None));
        let most = graph(MOST_FOLDED, sums(1));
        let source = Source::new(&most).unwrap();
        assert_eq!(source.floats("sum1").map(|sum| sum.len()), Some(MOST_FOLDED));
        assert_eq!(source.scalar("sum1"), None);
    }

    #[test]
    fn constants_of_attributes_are_counted_as_well() {
        let mut constant = node("Constant", &[], "c");
        constant.attributes = vec![Attribute { name: "value_floats".into(), value: AttributeValue::Floats(vec![2.0; 3]) }];
        let graph = graph(1, vec![constant, node("Mul", &["c", "x"], "product")]);
        let source = Source::new(&graph).unwrap();
        assert_eq!(source.floats("product"), Some(vec![2.0; 3]));
        assert_eq!((source.scalar("product"), source.numbers("c", 2)), (None, None));
    }
}
