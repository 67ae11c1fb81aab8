//! A writer of ONNX protobufs, a few lines for each message.
//!
//! Field numbers and codes are those of `onnx.proto`.

/// Code of float32 tensors.
pub const FLOAT: i64 = 1;
/// Code of tensors of unsigned bytes.
pub const UINT8: i64 = 2;
/// Code of int32 tensors.
pub const INT32: i64 = 6;
/// Code of int64 tensors.
pub const INT64: i64 = 7;

/// A protobuf message that is being written.
#[derive(Clone, Debug, Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// An integer field.
    #[must_use]
    pub fn int(mut self, field: u32, value: i64) -> Message {
        self.varint(u64::from(field << 3));
        self.varint(value as u64);
        self
    }

    /// A field with a length: text, bytes or a message.
    #[must_use]
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Message {
        self.varint(u64::from(field << 3 | 2));
        self.varint(value.as_ref().len() as u64);
        self.0.extend_from_slice(value.as_ref());
        self
    }

    /// A `float` field.
    #[must_use]
    pub fn float(mut self, field: u32, value: f32) -> Message {
        self.varint(u64::from(field << 3 | 5));
        self.0.extend(value.to_le_bytes());
        self
    }

    /// A field for each of some values that have lengths.
    #[must_use]
    pub fn each<V: AsRef<[u8]>>(self, field: u32, values: impl IntoIterator<Item = V>) -> Message {
        values.into_iter().fold(self, |message, value| message.bytes(field, value))
    }

    /// Appends a number as it is.
    pub fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

impl AsRef<[u8]> for Message {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// `TensorProto` without content.
pub fn tensor(name: &str, data_type: i64, dims: &[i64]) -> Message {
    let message = dims.iter().fold(Message::default(), |message, dim| message.int(1, *dim));
    message.int(2, data_type).bytes(8, name)
}

/// `TensorProto` whose content is in another file, which `entries` describe: `location`, `offset`, `length`.
pub fn external(name: &str, data_type: i64, dims: &[i64], entries: &[(&str, &str)]) -> Message {
    let entry = |(key, value): &(&str, &str)| Message::default().bytes(1, key).bytes(2, value);
    tensor(name, data_type, dims).int(14, 1).each(13, entries.iter().map(entry))
}

/// `NodeProto` without name, domain and attributes.
pub fn node(op_type: &str, inputs: &[&str], outputs: &[&str]) -> Message {
    Message::default().each(1, inputs).each(2, outputs).bytes(4, op_type)
}

/// A dimension of a tensor that a graph takes or gives.
#[derive(Clone, Copy, Debug)]
pub enum Dim<'a> {
    /// So many.
    Size(i64),
    /// As many as whatever bears this name.
    Name(&'a str),
    /// Nothing is known.
    Unknown,
}

/// `ValueInfoProto` of a tensor.
pub fn value(name: &str, data_type: i64, dims: &[Dim<'_>]) -> Message {
    let dim = |dim: &Dim<'_>| match dim {
        Dim::Size(size) => Message::default().int(1, *size),
        Dim::Name(name) => Message::default().bytes(2, name),
        Dim::Unknown => Message::default(),
    };
    let shape = Message::default().each(1, dims.iter().map(dim));
    let tensor_type = Message::default().int(1, data_type).bytes(2, shape);
    Message::default().bytes(1, name).bytes(2, Message::default().bytes(1, tensor_type))
}

/// `OperatorSetIdProto`.
pub fn opset(domain: &str, version: i64) -> Message {
    let message = if domain.is_empty() { Message::default() } else { Message::default().bytes(1, domain) };
    message.int(2, version)
}
