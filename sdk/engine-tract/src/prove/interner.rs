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
            key.extend(format!("{:?}{:?}", constant.data_type, constant.dims).bytes());
            key.extend_from_slice(&constant.bytes[..]);
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
    key.extend((text.len() as u32).to_le_bytes());
    key.extend_from_slice(text.as_bytes());
}

fn push_attribute(key: &mut Vec<u8>, value: &AttributeValue) {
    match value {
        AttributeValue::Int(v) => key.extend(v.to_le_bytes()),
        AttributeValue::Float(v) => key.extend(v.to_bits().to_le_bytes()),
        AttributeValue::String(v) => key.extend_from_slice(v),
        AttributeValue::Ints(v) => v.iter().for_each(|v| key.extend(v.to_le_bytes())),
        AttributeValue::Tensor(t) => {
            key.extend(format!("{:?}{:?}", t.data_type, t.dims).bytes());
            key.extend_from_slice(&t.bytes[..]);
        }
        other => key.extend(format!("{other:?}").bytes()),
    }
}
