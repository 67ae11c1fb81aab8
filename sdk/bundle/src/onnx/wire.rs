//! The protobuf wire format: fields of a message, one after the other, borrowed from the file; and single fields, written.
//!
//! Source: "Encoding" in the Protocol Buffers documentation. Groups (wire types 3 and 4) do not occur in ONNX and are
//! refused, so no field contains another without a length, and nothing here recurses.

use std::ops::Range;

use super::error::{Damage, OnnxError};

/// A walk over the fields of one message.
#[derive(Clone)]
pub(super) struct Message<'a> {
    /// The message.
    bytes: &'a [u8],
    /// Where the message begins, in bytes from the start of the file.
    start: usize,
    /// How far the walk has come, in bytes from the start of the message.
    position: usize,
}

/// One field.
pub(super) struct Field<'a> {
    pub(super) number: u32,
    /// The field as it stands in the file, from its number on.
    pub(super) whole: &'a [u8],
    value: Value<'a>,
    /// Where the value begins (behind its length), in bytes from the start of the file.
    start: usize,
}

enum Value<'a> {
    Varint(u64),
    /// Only where it lies matters: nothing in ONNX is a single `double`.
    Fixed64,
    Bytes(&'a [u8]),
    Fixed32(&'a [u8; 4]),
}

fn damaged(offset: usize, damage: Damage) -> OnnxError {
    OnnxError::Damaged { offset, damage }
}

impl<'a> Message<'a> {
    /// The message that a whole file is.
    pub(super) fn of_file(bytes: &'a [u8]) -> Message<'a> {
        Message { bytes, start: 0, position: 0 }
    }

    /// The next field, `None` at the end.
    pub(super) fn next_field(&mut self) -> Result<Option<Field<'a>>, OnnxError> {
        if self.position == self.bytes.len() {
            return Ok(None);
        }
        let begin = self.position;
        let offset = self.start + begin;
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|number| (1..1 << 29).contains(number));
        let number = number.ok_or(damaged(offset, Damage::FieldNumber))?;
        let mut start = self.start + self.position;
        let value = match tag & 7 {
            0 => Value::Varint(self.varint()?),
            1 => {
                self.array::<8>()?;
                Value::Fixed64
            }
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| damaged(start, Damage::EndsEarly))?;
                start = self.start + self.position;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed32(self.array()?),
            _ => return Err(damaged(offset, Damage::WireType)),
        };
        Ok(Some(Field { number, whole: &self.bytes[begin..self.position], value, start }))
    }

    fn varint(&mut self) -> Result<u64, OnnxError> {
        let offset = self.start + self.position;
        let mut value = 0_u64;
        for shift in (0..70).step_by(7) {
            let [byte] = *self.array::<1>()?;
            // The tenth byte holds bit 63 alone; what protobuf's own readers drop there is dropped here.
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(damaged(offset, Damage::LongNumber))
    }

    fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], OnnxError> {
        let offset = self.start + self.position;
        let rest = self.bytes.get(self.position..).and_then(|rest| rest.first_chunk::<N>());
        let array = rest.ok_or(damaged(offset, Damage::EndsEarly))?;
        self.position += N;
        Ok(array)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], OnnxError> {
        let offset = self.start + self.position;
        let rest = self.bytes.get(self.position..).and_then(|rest| rest.get(..length));
        let bytes = rest.ok_or(damaged(offset, Damage::EndsEarly))?;
        self.position += length;
        Ok(bytes)
    }
}

impl<'a> Field<'a> {
    fn wrong_type(&self) -> OnnxError {
        damaged(self.start, Damage::WireType)
    }

    /// A field with a length.
    pub(super) fn bytes(&self) -> Result<&'a [u8], OnnxError> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong_type()),
        }
    }

    /// Where the field's bytes are in the file.
    pub(super) fn range(&self) -> Result<Range<usize>, OnnxError> {
        Ok(self.start..self.start + self.bytes()?.len())
    }

    /// A message inside the message.
    pub(super) fn message(&self) -> Result<Message<'a>, OnnxError> {
        Ok(Message { bytes: self.bytes()?, start: self.start, position: 0 })
    }

    /// A text. It is copied before it is checked, since the file may change under the map.
    pub(super) fn string(&self) -> Result<String, OnnxError> {
        String::from_utf8(self.bytes()?.to_vec()).map_err(|_| damaged(self.start, Damage::NotUtf8))
    }

    /// An integer.
    pub(super) fn int(&self) -> Result<i64, OnnxError> {
        match self.value {
            Value::Varint(value) => Ok(value as i64),
            _ => Err(self.wrong_type()),
        }
    }

    /// An `int32` or an enumeration: protobuf keeps the low 32 bits.
    pub(super) fn int32(&self) -> Result<i32, OnnxError> {
        Ok(self.int()? as i32)
    }

    /// A `float`.
    pub(super) fn float(&self) -> Result<f32, OnnxError> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(*bytes)),
            _ => Err(self.wrong_type()),
        }
    }

    /// A repeated integer: one number, or as many as are packed here. `push` is called for each.
    pub(super) fn ints(&self, mut push: impl FnMut(i64) -> Result<(), OnnxError>) -> Result<(), OnnxError> {
        if let Value::Varint(value) = self.value {
            return push(value as i64);
        }
        let mut packed = self.message()?;
        while packed.position < packed.bytes.len() {
            push(packed.varint()? as i64)?;
        }
        Ok(())
    }

    /// A repeated `float` or `double`: where the one number, or those packed here, are in the file. In both forms they
    /// lie there as raw data does.
    pub(super) fn fixed(&self) -> Result<Range<usize>, OnnxError> {
        let length = match self.value {
            Value::Fixed32(_) => 4,
            Value::Fixed64 => 8,
            Value::Bytes(bytes) => bytes.len(),
            Value::Varint(_) => return Err(self.wrong_type()),
        };
        Ok(self.start..self.start + length)
    }

    /// A repeated `float`, read. `push` is called for each.
    pub(super) fn floats(&self, mut push: impl FnMut(f32) -> Result<(), OnnxError>) -> Result<(), OnnxError> {
        if let Value::Fixed32(bytes) = self.value {
            return push(f32::from_le_bytes(*bytes));
        }
        let (chunks, rest) = self.bytes()?.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(damaged(self.start, Damage::EndsEarly));
        }
        chunks.iter().try_for_each(|chunk| push(f32::from_le_bytes(*chunk)))
    }
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Writes an integer field.
pub(super) fn put_int(out: &mut Vec<u8>, number: u32, value: i64) {
    put_varint(out, u64::from(number) << 3);
    put_varint(out, value as u64);
}

/// Writes a field with a length: bytes or a text.
pub(super) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_varint(out, u64::from(number) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Writes a message inside a message.
pub(super) fn put_message(out: &mut Vec<u8>, number: u32, message: &[u8]) {
    put_bytes(out, number, message);
}
