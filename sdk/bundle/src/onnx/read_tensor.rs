//! `TensorProto`: wherever its numbers are, they become one range of bytes.

use std::ops::Range;

use super::error::{OnnxError, TensorProblem};
use super::read::Reader;
use super::wire::Message;
use super::{DataType, Tensor};
use crate::Bytes;

/// `TensorProto.DataLocation.EXTERNAL`.
const EXTERNAL: i32 = 1;

/// The fields of a `TensorProto`.
#[derive(Default)]
struct TensorFields {
    name: String,
    data_type: i32,
    dims: Vec<i64>,
    location: i32,
    external: Vec<(String, String)>,
    segmented: bool,
    raw: Option<Range<usize>>,
    /// `float_data` or `double_data`: ranges of the file.
    fixed: Vec<Range<usize>>,
    /// `int32_data`, `int64_data` or `uint64_data`.
    ints: Vec<i64>,
}

pub(super) fn read_tensor(reader: &mut Reader<'_>, mut message: Message<'_>) -> Result<Tensor, OnnxError> {
    reader.piece()?;
    let mut fields = TensorFields::default();
    while let Some(field) = message.next_field()? {
        match field.number {
            1 => field.ints(|dim| {
                fields.dims.push(dim);
                reader.number()
            })?,
            2 => fields.data_type = field.int32()?,
            3 => fields.segmented = true,
            4 | 10 => {
                reader.number()?;
                fields.fixed.push(field.fixed()?);
            }
            5 | 7 | 11 => field.ints(|number| {
                fields.ints.push(number);
                reader.number()
            })?,
            8 => fields.name = field.string()?,
            9 => fields.raw = Some(field.range()?),
            13 => {
                reader.piece()?;
                fields.external.push(entry(field.message()?)?);
            }
            14 => fields.location = field.int32()?,
            _ => {}
        }
    }
    let name = std::mem::take(&mut fields.name);
    match fields.content(reader) {
        Ok((data_type, dims, bytes)) => Ok(Tensor { name, data_type, dims, bytes }),
        Err(Failure::Tensor(problem)) => Err(OnnxError::Tensor { tensor: name, problem }),
        Err(Failure::Other(error)) => Err(error),
    }
}

/// A problem that the tensor's name has still to be put to, or one that speaks for itself.
enum Failure {
    Tensor(TensorProblem),
    Other(OnnxError),
}

impl From<TensorProblem> for Failure {
    fn from(problem: TensorProblem) -> Failure {
        Failure::Tensor(problem)
    }
}

impl TensorFields {
    fn content(&self, reader: &mut Reader<'_>) -> Result<(DataType, Vec<usize>, Bytes), Failure> {
        let data_type = match DataType::from_onnx(self.data_type) {
            Some(DataType::String) => return Err(TensorProblem::Strings.into()),
            Some(data_type) => data_type,
            None => return Err(TensorProblem::UnknownType { code: self.data_type }.into()),
        };
        if self.segmented {
            return Err(TensorProblem::Segments.into());
        }
        let (dims, expected_bytes) = self.shape(data_type)?;
        let bytes =
            if self.location == EXTERNAL { self.external(reader, expected_bytes)? } else { self.inside(reader.file, data_type)? };
        if bytes.len() != expected_bytes {
            return Err(TensorProblem::Length { expected_bytes, found_bytes: bytes.len() }.into());
        }
        Ok((data_type, dims, bytes))
    }

    /// The shape, and the number of bytes that it needs.
    fn shape(&self, data_type: DataType) -> Result<(Vec<usize>, usize), TensorProblem> {
        let impossible = || TensorProblem::Shape { dims: self.dims.clone() };
        let dims = self.dims.iter().map(|dim| usize::try_from(*dim)).collect::<Result<Vec<_>, _>>();
        let dims = dims.map_err(|_| impossible())?;
        let elements = match dims.contains(&0) {
            true => Some(0),
            false => dims.iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim)),
        };
        let bytes = elements.and_then(|elements| data_type.bytes_for(elements)).ok_or_else(impossible)?;
        Ok((dims, bytes))
    }

    /// The numbers that are in the model file itself.
    fn inside(&self, file: &Bytes, data_type: DataType) -> Result<Bytes, Failure> {
        let range_of_file = |range: &Range<usize>| file.slice(range.clone()).unwrap_or_else(|| Bytes::copy_of::<u8>(&[]));
        if let Some(raw) = &self.raw {
            return Ok(range_of_file(raw));
        }
        if let [whole] = &self.fixed[..] {
            return Ok(range_of_file(whole));
        }
        if !self.fixed.is_empty() {
            let joined: Vec<u8> = self.fixed.iter().flat_map(|range| range_of_file(range).to_vec()).collect();
            return Ok(Bytes::copy_of(&joined));
        }
        Ok(match data_type.bits() {
            64 => Bytes::copy_of(&self.ints),
            32 => Bytes::copy_of(&self.ints.iter().map(|number| *number as u32).collect::<Vec<_>>()),
            16 => Bytes::copy_of(&self.ints.iter().map(|number| *number as u16).collect::<Vec<_>>()),
            // Elements of less than a byte come packed, one byte a number.
            _ => Bytes::copy_of(&self.ints.iter().map(|number| *number as u8).collect::<Vec<_>>()),
        })
    }

    /// The numbers that are in another file.
    fn external(&self, reader: &mut Reader<'_>, expected_bytes: usize) -> Result<Bytes, Failure> {
        let value = |key: &str| self.external.iter().find(|entry| entry.0 == key).map(|entry| entry.1.as_str());
        let number = |key: &str| match value(key) {
            Some(text) => match text.trim().parse::<u64>() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(TensorProblem::ExternalNumber { key: key.into(), value: text.into() }),
            },
            None => Ok(None),
        };
        let location = value("location").ok_or(TensorProblem::NoLocation)?;
        let offset = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(expected_bytes as u64);
        let part = reader.parts.part(location).map_err(|error| Failure::Other(error.into()))?;
        let end = offset.checked_add(length).and_then(|end| usize::try_from(end).ok());
        let start = usize::try_from(offset).ok();
        let bytes = start.zip(end).and_then(|(start, end)| part.slice(start..end));
        let location = location.to_owned();
        Ok(bytes.ok_or(TensorProblem::OutsideFile { location, offset, length, file_bytes: part.len() })?)
    }
}

/// `StringStringEntryProto`.
fn entry(mut message: Message<'_>) -> Result<(String, String), OnnxError> {
    let mut entry = (String::new(), String::new());
    while let Some(field) = message.next_field()? {
        match field.number {
            1 => entry.0 = field.string()?,
            2 => entry.1 = field.string()?,
            _ => {}
        }
    }
    Ok(entry)
}
