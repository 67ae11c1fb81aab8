//! Operands and attributes that make no sense: refused or computed, never a panic, within the limits.

use crate::operators::{Case, cases};
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{AttributeValue, DataType, Graph, Tensor as Constant};
use kinglet_reference::{Limits, evaluate};
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Changed forms of each case.
const FORMS: u64 = 100;
const LIMITS: Limits = Limits { elements: 1 << 16, work: 1 << 22 };
const ODD: [i64; 12] = [0, 1, -1, 2, 3, -2, 7, 64, 1 << 40, -(1 << 40), i64::MAX, i64::MIN];

/// Numbers that are the same at each run (xorshift64*).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % end.max(1)
    }

    fn odd(&mut self) -> i64 {
        ODD[self.below(ODD.len())]
    }
}

/// Another shape of as many elements, or of none.
fn reshape(constant: &mut Constant, random: &mut Random) {
    let count = constant.elements();
    constant.dims = match random.below(9) {
        0 => vec![count],
        1 => vec![1, count],
        2 => vec![count, 1],
        3 => constant.dims.iter().rev().copied().collect(),
        4 => [&[1, 1], &constant.dims[..]].concat(),
        5 => vec![0],
        6 => vec![2, 0, 3],
        7 => vec![0, 1 << 40],
        _ => vec![0, 1 << 40, 1 << 40],
    };
    if constant.dims.contains(&0) {
        constant.bytes = Bytes::copy_of::<u8>(&[]);
    }
}

/// Other integers, of which some are out of any range.
fn scramble(constant: &mut Constant, random: &mut Random) {
    if constant.data_type == DataType::Int64 {
        let values: Vec<i64> = (0..constant.elements()).map(|_| random.odd()).collect();
        constant.bytes = Bytes::copy_of(&values);
    } else {
        let bytes: Vec<u8> = constant.bytes.iter().map(|_| random.below(256) as u8).collect();
        constant.bytes = Bytes::copy_of(&bytes);
    }
}

fn change(graph: &mut Graph, pool: &[Constant], random: &mut Random) {
    let node = &mut graph.nodes[0];
    let attribute = random.below(node.attributes.len());
    let input = random.below(node.inputs.len());
    match random.below(7) {
        0 if !node.attributes.is_empty() => {
            node.attributes[attribute].value = match &node.attributes[attribute].value {
                AttributeValue::Int(_) => AttributeValue::Int(random.odd()),
                AttributeValue::Float(_) => AttributeValue::Float([0.0, -1.0, f32::NAN, f32::INFINITY][random.below(4)]),
                AttributeValue::Ints(list) => AttributeValue::Ints(list.iter().map(|_| random.odd()).collect()),
                _ => AttributeValue::String("..->,a".into()),
            }
        }
        1 if !node.inputs.is_empty() => node.inputs[input].clear(),
        2 if !node.inputs.is_empty() => node.inputs.rotate_left(1),
        3 => node.attributes.truncate(attribute),
        kind => {
            let Some(at) = graph.initializers.len().checked_sub(1).map(|last| random.below(last + 1)) else { return };
            let constant = &mut graph.initializers[at];
            match kind {
                4 => reshape(constant, random),
                5 => scramble(constant, random),
                _ => {
                    let name = std::mem::take(&mut constant.name);
                    *constant = Constant { name, ..pool[random.below(pool.len())].clone() };
                }
            }
        }
    }
}

#[test]
fn nothing_makes_an_operator_panic() {
    let (cases, data) = cases();
    let pool: Vec<Constant> = cases.iter().flat_map(|case| case.graph(&data).initializers).collect();
    let (mut computed, mut refused, mut panicked) = (0, 0, vec![]);
    for (at, case) in cases.iter().enumerate() {
        let mut random = Random(0x9E37_79B9_7F4A_7C15 ^ at as u64);
        for _ in 0..FORMS {
            let graph = changed(case, &data, &pool, &mut random);
            let wanted: Vec<&str> = graph.nodes[0].outputs.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            match catch_unwind(AssertUnwindSafe(|| evaluate(&graph, &HashMap::new(), &wanted, LIMITS))) {
                Ok(Ok(values)) => {
                    assert!(values.iter().all(|value| value.dims.iter().product::<usize>() == value.data.len()), "{graph:?}");
                    computed += 1;
                }
                Ok(Err(_)) => refused += 1,
                Err(_) => panicked.push(graph.nodes[0].name.clone()),
            }
        }
    }
    panicked.dedup();
    assert!(panicked.is_empty(), "{panicked:?}");
    assert!(computed > 2000 && refused > 2000, "{computed} computed, {refused} refused");
}

fn changed(case: &Case, data: &[u8], pool: &[Constant], random: &mut Random) -> Graph {
    let mut graph = case.graph(data);
    for _ in 0..=random.below(3) {
        change(&mut graph, pool, random);
    }
    graph
}
