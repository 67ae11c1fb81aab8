//! How a graph is walked, and what is refused.

use crate::{made, node, with};
use kinglet_bundle::onnx::{AttributeValue, DataType, Dim, Graph, Node, ValueInfo};
use kinglet_reference::{Data, Limits, ReferenceError, Tensor, evaluate};
use std::collections::HashMap;

fn one(value: f32) -> Tensor {
    Tensor::floats([1], vec![value])
}

fn output(name: &str) -> ValueInfo {
    ValueInfo { name: name.into(), data_type: None, dims: None }
}

#[test]
fn a_given_value_stands_and_nothing_behind_it_is_looked_at() {
    let nodes = vec![node("Unheard", &["nothing"], "a"), node("Add", &["a", "a"], "b")];
    assert_eq!(made(nodes, &[("a", one(2.0))], "b"), Ok(one(4.0)));
}

#[test]
fn nodes_may_stand_in_any_order() {
    let nodes = vec![node("Add", &["b", "a"], "c"), node("Neg", &["a"], "b")];
    assert_eq!(made(nodes, &[("a", one(2.0))], "c"), Ok(one(0.0)));
}

#[test]
fn a_graph_may_be_as_deep_as_it_likes() {
    let names: Vec<String> = (0..=200_000).map(|at| format!("v{at}")).collect();
    let nodes = names.windows(2).map(|pair| node("Add", &[&pair[0], "one"], &pair[1])).collect();
    let made = made(nodes, &[("v0", one(0.0)), ("one", one(1.0))], "v200000");
    assert_eq!(made, Ok(one(200_000.0)));
}

#[test]
fn values_are_dropped_after_their_last_use() {
    let names: Vec<String> = (0..=50).map(|at| format!("v{at}")).collect();
    let nodes = names.windows(2).map(|pair| node("Neg", &[&pair[0]], &pair[1])).collect();
    let graph = Graph { nodes, ..Graph::default() };
    let given = HashMap::from([("v0".to_owned(), Tensor::floats([100], vec![1.0; 100]))]);
    let with = |elements| evaluate(&graph, &given, &["v50"], Limits { elements, ..Limits::default() });
    assert!(with(200).is_ok());
    assert!(matches!(with(199), Err(ReferenceError::TooLarge(_))));
}

#[test]
fn an_operand_may_be_taken_twice() {
    let nodes = vec![node("Neg", &["a"], "b"), node("Mul", &["b", "b"], "c"), node("Add", &["b", "c"], "d")];
    assert_eq!(made(nodes, &[("a", one(3.0))], "d"), Ok(one(6.0)));
}

#[test]
fn work_is_limited() {
    let graph = Graph { nodes: vec![node("MatMul", &["a", "a"], "b")], ..Graph::default() };
    let given = HashMap::from([("a".to_owned(), Tensor::floats([64, 64], vec![1.0; 4096]))]);
    let with = |work| evaluate(&graph, &given, &["b"], Limits { work, ..Limits::default() });
    assert!(with(64 * 64 * 64 * 2).is_ok());
    assert!(matches!(with(64 * 64 * 64), Err(ReferenceError::TooLarge(_))));
}

/// `if c { Neg(x) } else { Exp(x) }`, where `x` is of the graph outside.
fn choice() -> Vec<Node> {
    let branch = |op_type: &str| {
        let graph = Graph { nodes: vec![node(op_type, &["x"], "y")], outputs: vec![output("y")], ..Graph::default() };
        AttributeValue::Graph(Box::new(graph))
    };
    let choice = with(node("If", &["c"], "z"), "then_branch", branch("Neg"));
    vec![with(choice, "else_branch", branch("Exp")), node("Add", &["a", "a"], "x")]
}

#[test]
fn a_branch_reads_the_values_around_it() {
    let of = |c| made(choice(), &[("a", one(0.0)), ("c", Tensor::bools([], vec![c]))], "z");
    assert_eq!(of(false), Ok(one(1.0)));
    assert_eq!(of(true), Ok(one(-0.0)));
}

#[test]
fn the_branch_that_is_not_taken_is_not_looked_at() {
    let mut nodes = choice();
    if let AttributeValue::Graph(graph) = &mut nodes[0].attributes[1].value {
        graph.nodes[0] = node("Unheard", &["nowhere"], "y");
    }
    let given = |c| [("a", one(1.0)), ("c", Tensor::bools([], vec![c]))];
    assert_eq!(made(nodes.clone(), &given(true), "z"), Ok(one(-2.0)));
    assert_eq!(made(nodes, &given(false), "z"), Err(ReferenceError::Missing("nowhere".into())));
}

#[test]
fn integers_wrap_as_the_graph_declares_them() {
    let info = |name: &str| ValueInfo { name: name.into(), data_type: Some(DataType::UInt8), dims: Some(vec![Dim::Known(1)]) };
    let graph = Graph { nodes: vec![node("Add", &["a", "a"], "b")], inputs: vec![info("a")], ..Graph::default() };
    let given = HashMap::from([("a".to_owned(), Tensor::ints([1], vec![200]))]);
    let made = evaluate(&graph, &given, &["b"], Limits::default());
    assert_eq!(made.map(|values| values[0].data.clone()), Ok(Data::Int(vec![144])));
}

#[test]
fn what_cannot_be_evaluated_is_refused_with_its_name() {
    struct Case {
        nodes: Vec<Node>,
        says: &'static str,
    }
    let huge = || Tensor::ints([2], vec![1 << 40, 1 << 40]);
    let cycle = vec![node("Neg", &["b"], "a"), node("Neg", &["a"], "b")];
    for Case { nodes, says } in [
        Case { nodes: vec![node("Unheard", &["x"], "a")], says: "node `a` (Unheard): the operator is not known" },
        Case {
            nodes: vec![with(node("Neg", &["x"], "a"), "twist", AttributeValue::Int(1))],
            says: "node `a` (Neg): the attribute `twist` is not known",
        },
        Case {
            nodes: vec![with(node("Softmax", &["x"], "a"), "axis", AttributeValue::Float(1.0))],
            says: "node `a` (Softmax): the attribute `axis` is no integer",
        },
        Case { nodes: vec![node("Neg", &["x", "x"], "a")], says: "node `a` (Neg): `x` is an input more than are known" },
        Case { nodes: vec![node("Add", &["x"], "a")], says: "node `a` (Add): input 1 is absent" },
        Case { nodes: vec![node("Add", &["x", "huge"], "a")], says: "elements of different kinds" },
        Case {
            nodes: vec![node("ConstantOfShape", &["huge"], "a")],
            says: "the shape [1099511627776, 1099511627776] is impossible",
        },
        Case { nodes: vec![node("MatMul", &["x", "x"], "a")], says: "have no product" },
        Case { nodes: vec![node("Neg", &["gone"], "a")], says: "nothing makes `gone`" },
        Case { nodes: cycle, says: "it needs what it makes" },
        Case { nodes: vec![node("Neg", &["x"], "a"), node("Exp", &["x"], "a")], says: "`a` is made by another node too" },
    ] {
        let made = made(nodes, &[("x", Tensor::floats([2, 3], vec![0.0; 6])), ("huge", huge())], "a");
        let error = made.map(|made| made.dims).expect_err(says).to_string();
        assert!(error.contains(says), "`{error}` instead of `{says}`");
    }
}

#[test]
fn a_given_value_that_lies_about_its_shape_is_refused() {
    let made = made(vec![node("Neg", &["x"], "a")], &[("x", Tensor::floats([7], vec![0.0; 2]))], "a");
    assert!(matches!(made, Err(ReferenceError::Operands { .. })));
}
