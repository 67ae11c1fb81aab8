//! Numbers for what pieces are made of, so that two that compute the same have the same list of numbers.

use super::contract::Extent;
use kinglet_bundle::onnx::{AttributeValue, Node, Tensor as Constant};
use std::collections::HashMap;

/// Constants up to this many bytes are told apart by what they hold, others by their names.
const SMALL_BYTES: usize = 256;

/// Numbers for what pieces are made of.
#[derive(Default)]
pub(super) struct Interner {
    numbers: HashMap<Vec<u8>, u32>,
    /// By the address of the node.
    nodes: HashMap<usize, u32>,
}

impl Interner {
    fn number(&mut self, key: Vec<u8>) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(key).or_insert(next)
    }

    pub(super) fn node(&mut self, node: &Node) -> u32 {
        let address = std::ptr::from_ref(node).addr();
        if let Some(known) = self.nodes.get(&address) {
            return *known;
        }
        let mut key = vec![b'n'];
        [&node.op_type, &node.domain].into_iter().for_each(|text| push_text(&mut key, text));
        for attribute in &node.attributes {
            push_text(&mut key, &attribute.name);
            push_attribute(&mut key, &attribute.value);
        }
        let number = self.number(key);
        self.nodes.insert(address, number);
        number
    }

    pub(super) fn constant(&mut self, constant: &Constant, name: &str) -> u32 {
        let mut key = vec![b'c'];
        if constant.bytes.len() <= SMALL_BYTES {
            push_tensor(&mut key, constant);
        } else {
            push_text(&mut key, name);
        }
        self.number(key)
    }

    pub(super) fn name(&mut self, name: &str) -> u32 {
        let mut key = vec![b'v'];
        push_text(&mut key, name);
        self.number(key)
    }

    pub(super) fn extents(&mut self, extents: &[Extent]) -> u32 {
        self.number(format!("s{extents:?}").into_bytes())
    }
}

fn push_text(key: &mut Vec<u8>, text: &str) {
    push_bytes(key, text.as_bytes());
}

fn push_bytes(key: &mut Vec<u8>, bytes: &[u8]) {
    push_length(key, bytes.len());
    key.extend_from_slice(bytes);
}

fn push_length(key: &mut Vec<u8>, length: usize) {
    key.extend((length as u64).to_le_bytes());
}

/// The kind of a value, and what it holds, each list with its length before it.
fn push_attribute(key: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Int(v) => push_list(key, b'i', &[*v], |key, v| key.extend(v.to_le_bytes())),
        AttributeValue::Float(v) => push_list(key, b'f', &[*v], |key, v| key.extend(v.to_bits().to_le_bytes())),
        AttributeValue::String(v) => push_list(key, b's', std::slice::from_ref(v), |key, text| push_bytes(key, text)),
        AttributeValue::Ints(v) => push_list(key, b'I', v, |key, v| key.extend(v.to_le_bytes())),
        AttributeValue::Floats(v) => push_list(key, b'F', v, |key, v| key.extend(v.to_bits().to_le_bytes())),
        AttributeValue::Strings(v) => push_list(key, b'S', v, |key, text| push_bytes(key, text)),
        AttributeValue::Tensor(t) => push_list(key, b't', std::slice::from_ref(t), push_tensor),
        AttributeValue::Graph(g) => push_list(key, b'g', std::slice::from_ref(g), |key, g| push_text(key, &format!("{g:?}"))),
        AttributeValue::Other(code) => push_list(key, b'o', &[*code], |key, code| key.extend(code.to_le_bytes())),
    }
}

fn push_list<T>(key: &mut Vec<u8>, kind: u8, items: &[T], mut push: impl FnMut(&mut Vec<u8>, &T)) {
    key.push(kind);
    push_length(key, items.len());
    items.iter().for_each(|item| push(key, item));
}

fn push_tensor(key: &mut Vec<u8>, tensor: &Constant) {
    push_text(key, &format!("{:?}{:?}", tensor.data_type, tensor.dims));
    push_bytes(key, &tensor.bytes[..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinglet_bundle::onnx::Attribute;

    #[test]
    fn nodes_of_other_attributes_have_other_numbers() {
        let node = |attributes: Vec<(&str, AttributeValue)>| Node {
            op_type: "Slice".into(),
            attributes: attributes.into_iter().map(|(name, value)| Attribute { name: name.into(), value }).collect(),
            ..Node::default()
        };
        let nodes = [
            node(vec![]),
            node(vec![("a", AttributeValue::Int(1))]),
            node(vec![("a", AttributeValue::Ints(vec![1]))]),
            node(vec![("a", AttributeValue::Ints(vec![1, 1]))]),
            node(vec![("a", AttributeValue::Floats(vec![1.0]))]),
            node(vec![("a", AttributeValue::Float(1.0))]),
            node(vec![("a", AttributeValue::String(1i64.to_le_bytes().to_vec()))]),
            node(vec![("a", AttributeValue::Strings(vec![b"x".to_vec(), b"y".to_vec()]))]),
            node(vec![("a", AttributeValue::Strings(vec![b"xy".to_vec()]))]),
            node(vec![("a", AttributeValue::Other(1))]),
        ];
        let mut interner = Interner::default();
        let numbers: Vec<u32> = nodes.iter().map(|node| interner.node(node)).collect();
        assert_eq!(numbers, (0..nodes.len() as u32).collect::<Vec<_>>());
        assert_eq!(interner.node(&nodes[3].clone()), 3, "the same once more");
    }
}
