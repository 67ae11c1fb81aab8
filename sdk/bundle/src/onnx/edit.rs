//! A model's file with a few things changed and everything else byte for byte as it was.

use std::collections::HashMap;

use super::error::OnnxError;
use super::wire::{Message, put_bytes, put_int, put_message};
use crate::Bytes;

/// Changes to a model's file. They are for the graph itself; graphs inside attributes (`If`, `Loop`) stay as they are.
#[derive(Debug, Clone, Default)]
pub struct Edits {
    /// Initializers whose elements are left out: the file then says that they are in another file, and where.
    pub left_out: HashMap<String, Place>,
    /// The elements of initializers that the file keeps in other files: they are put into the file itself.
    pub brought_in: HashMap<String, Bytes>,
    /// Integer attributes that are set in every node of a type.
    pub attributes: Vec<SetInt>,
    /// Nodes that are put before another.
    pub picks: Option<PickRows>,
}

/// Where elements are that are not in the file itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The other file, as the reader of this one is to find it.
    pub location: String,
    /// Where in it they begin.
    pub offset: usize,
    /// How many bytes they are.
    pub length: usize,
}

/// An integer attribute, set in every node of an operator's type: changed where the node has it, added where not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetInt {
    /// The operator, such as `MatMulNBits`.
    pub op_type: String,
    /// The attribute, such as `accuracy_level`.
    pub attribute: String,
    /// The new value.
    pub value: i64,
}

/// Has one node see some rows of one of its inputs alone: `[batch, rows, ..]` becomes `[batch, picked, ..]`. A `Gather` is put
/// in between, whose indices, int64 `[picked]`, are a new input of the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PickRows {
    /// The first output of the node.
    pub node_output: String,
    /// Which of its inputs.
    pub input: usize,
    /// The name of the new input of the graph; no value of the graph has it yet.
    pub indices: String,
}

impl Edits {
    /// The changed file; `model` is the content of a `.onnx` file.
    ///
    /// # Errors
    /// The file is damaged, as for [`Graph::read`](super::Graph::read).
    pub fn apply(&self, model: &[u8]) -> Result<Vec<u8>, OnnxError> {
        let mut out = Vec::with_capacity(1 << 16);
        let mut message = Message::of_file(model);
        while let Some(field) = message.next_field()? {
            match field.number {
                7 => put_message(&mut out, 7, &self.graph(field.message()?)?),
                _ => out.extend_from_slice(field.whole),
            }
        }
        Ok(out)
    }

    /// `GraphProto`.
    fn graph(&self, mut message: Message<'_>) -> Result<Vec<u8>, OnnxError> {
        let mut out = Vec::with_capacity(1 << 16);
        while let Some(field) = message.next_field()? {
            match field.number {
                1 => self.node(field.whole, field.message()?, &mut out)?,
                5 => match self.tensor(field.message()?)? {
                    Some(tensor) => put_message(&mut out, 5, &tensor),
                    None => out.extend_from_slice(field.whole),
                },
                _ => out.extend_from_slice(field.whole),
            }
        }
        if let Some(picks) = &self.picks {
            put_message(&mut out, 11, &indices_input(&picks.indices));
        }
        Ok(out)
    }

    /// `NodeProto`: the node, behind the one that picks rows for it.
    fn node(&self, whole: &[u8], message: Message<'_>, out: &mut Vec<u8>) -> Result<(), OnnxError> {
        let (mut op_type, mut first_output) = (String::new(), None);
        let mut fields = message.clone();
        while let Some(field) = fields.next_field()? {
            match field.number {
                2 if first_output.is_none() => first_output = Some(field.string()?),
                4 => op_type = field.string()?,
                _ => {}
            }
        }
        let picks = self.picks.as_ref().filter(|picks| first_output.as_ref() == Some(&picks.node_output));
        let sets: Vec<&SetInt> = self.attributes.iter().filter(|set| set.op_type == op_type).collect();
        if picks.is_none() && sets.is_empty() {
            out.extend_from_slice(whole);
            return Ok(());
        }
        let mut node = Vec::with_capacity(whole.len() + 64);
        let mut input = 0;
        let mut fields = message;
        while let Some(field) = fields.next_field()? {
            match field.number {
                1 => {
                    let picked = picks.filter(|picks| picks.input == input);
                    input += 1;
                    match picked {
                        Some(picks) => {
                            put_message(out, 1, &gather(&field.string()?, picks));
                            put_bytes(&mut node, 1, picked_name(picks).as_bytes());
                        }
                        None => node.extend_from_slice(field.whole),
                    }
                }
                5 if sets.iter().any(|set| is_named(field.message(), &set.attribute)) => {}
                _ => node.extend_from_slice(field.whole),
            }
        }
        for set in sets {
            put_message(&mut node, 5, &int_attribute(&set.attribute, set.value));
        }
        put_message(out, 1, &node);
        Ok(())
    }

    /// `TensorProto`, where it changes.
    fn tensor(&self, mut message: Message<'_>) -> Result<Option<Vec<u8>>, OnnxError> {
        let (mut name, mut is_elsewhere) = (String::new(), false);
        let mut out = Vec::with_capacity(128);
        while let Some(field) = message.next_field()? {
            match field.number {
                8 => {
                    name = field.string()?;
                    out.extend_from_slice(field.whole);
                }
                14 => is_elsewhere = field.int()? == 1,
                // The shape, the type, a text for people.
                1 | 2 | 12 => out.extend_from_slice(field.whole),
                _ => {}
            }
        }
        if let Some(Place { location, offset, length }) = self.left_out.get(&name) {
            let facts = [("location", location.clone()), ("offset", offset.to_string()), ("length", length.to_string())];
            for (key, value) in facts {
                let mut entry = Vec::new();
                put_bytes(&mut entry, 1, key.as_bytes());
                put_bytes(&mut entry, 2, value.as_bytes());
                put_message(&mut out, 13, &entry);
            }
            put_int(&mut out, 14, 1);
            return Ok(Some(out));
        }
        let elements = self.brought_in.get(&name).filter(|_| is_elsewhere);
        Ok(elements.map(|elements| {
            put_bytes(&mut out, 9, elements);
            out
        }))
    }
}

/// Whether an `AttributeProto` has that name.
fn is_named(message: Result<Message<'_>, OnnxError>, name: &str) -> bool {
    let Ok(mut message) = message else { return false };
    while let Ok(Some(field)) = message.next_field() {
        if field.number == 1 {
            return field.bytes().is_ok_and(|bytes| bytes == name.as_bytes());
        }
    }
    false
}

/// `AttributeProto` of type `INT`.
fn int_attribute(name: &str, value: i64) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, name.as_bytes());
    put_int(&mut out, 3, value);
    put_int(&mut out, 20, 2);
    out
}

fn picked_name(picks: &PickRows) -> String {
    format!("{}.picked", picks.indices)
}

/// `NodeProto` of the `Gather` over axis 1.
fn gather(data: &str, picks: &PickRows) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 1, data.as_bytes());
    put_bytes(&mut out, 1, picks.indices.as_bytes());
    put_bytes(&mut out, 2, picked_name(picks).as_bytes());
    put_bytes(&mut out, 3, format!("{}.gather", picks.indices).as_bytes());
    put_bytes(&mut out, 4, b"Gather");
    put_message(&mut out, 5, &int_attribute("axis", 1));
    out
}

/// `ValueInfoProto` of the indices: int64 `[picked]`.
fn indices_input(name: &str) -> Vec<u8> {
    let (mut dim, mut shape, mut tensor, mut kind, mut out) = (vec![], vec![], vec![], vec![], vec![]);
    put_bytes(&mut dim, 2, format!("{name}.count").as_bytes());
    put_message(&mut shape, 1, &dim);
    put_int(&mut tensor, 1, 7);
    put_message(&mut tensor, 2, &shape);
    put_message(&mut kind, 1, &tensor);
    put_bytes(&mut out, 1, name.as_bytes());
    put_message(&mut out, 2, &kind);
    out
}
