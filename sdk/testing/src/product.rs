//! Single `MatMulNBits` products, which ONNX Runtime agreed with when they were made.

use crate::golden::{GoldenError, json, read, repository};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// `y [rows, n] = a [rows, k] * weight^T + bias`, the inputs as the operator takes them.
#[derive(Clone, Debug)]
pub struct GoldenProduct {
    /// 4 or 8.
    pub bits: usize,
    /// Weights that share a scale.
    pub block: usize,
    /// Inputs of the product.
    pub k: usize,
    /// Outputs.
    pub n: usize,
    /// `[rows, k]`.
    pub a: Vec<f32>,
    /// `[n, blocks, block * bits / 8]` bytes.
    pub packed: Vec<u8>,
    /// `[n, blocks]`.
    pub scales: Vec<f32>,
    /// Zero points of the weights.
    pub zero_points: ZeroPoints,
    /// `[n]`.
    pub bias: Option<Vec<f32>>,
    /// `[rows, n]`, with float activations.
    pub y: Vec<f32>,
}

/// The zero points of a [`GoldenProduct`].
#[derive(Clone, Debug, PartialEq)]
pub enum ZeroPoints {
    /// The middle of the range.
    None,
    /// `[n, ceil(blocks * bits / 8)]` bytes.
    Packed(Vec<u8>),
    /// `[n, blocks]`.
    Floats(Vec<f32>),
}

#[derive(Deserialize)]
struct ProductsFile {
    #[serde(rename = "A")]
    a: Part,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    bits: usize,
    block_size: usize,
    #[serde(rename = "K")]
    k: usize,
    #[serde(rename = "N")]
    n: usize,
    #[serde(rename = "B")]
    packed: Part,
    scales: Part,
    zero_points: Option<Part>,
    bias: Option<Part>,
    #[serde(rename = "Y")]
    y: Part,
}

/// An array in the binary file; `offset` is in bytes.
#[derive(Deserialize)]
struct Part {
    r#type: String,
    shape: Vec<usize>,
    offset: usize,
}

/// All products.
///
/// # Errors
/// [`GoldenError`] if a file is missing or malformed.
pub fn golden_products() -> Result<Vec<GoldenProduct>, GoldenError> {
    let folder = repository().join("models/goldens/kernels");
    let file: ProductsFile = json(&folder.join("matmul_nbits.json"))?;
    let data = Data::read(folder.join("matmul_nbits.bin"))?;
    file.cases.iter().map(|case| product(case, &file.a, &data)).collect()
}

fn product(case: &Case, a: &Part, data: &Data) -> Result<GoldenProduct, GoldenError> {
    let zero_points = match &case.zero_points {
        None => ZeroPoints::None,
        Some(part) if part.r#type == "uint8" => ZeroPoints::Packed(data.bytes(part)?),
        Some(part) => ZeroPoints::Floats(data.floats(part)?),
    };
    Ok(GoldenProduct {
        bits: case.bits,
        block: case.block_size,
        k: case.k,
        n: case.n,
        a: data.floats(a)?,
        packed: data.bytes(&case.packed)?,
        scales: data.floats(&case.scales)?,
        zero_points,
        bias: case.bias.as_ref().map(|part| data.floats(part)).transpose()?,
        y: data.floats(&case.y)?,
    })
}

struct Data {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Data {
    fn read(path: PathBuf) -> Result<Self, GoldenError> {
        let bytes = read(&path)?;
        Ok(Self { path, bytes })
    }

    fn array(&self, part: &Part, kind: &str, width: usize) -> Result<&[u8], GoldenError> {
        let length = part.shape.iter().product::<usize>() * width;
        let found = (part.r#type == kind).then(|| self.bytes.get(part.offset..part.offset + length)).flatten();
        found.ok_or_else(|| malformed(&self.path, format!("no {kind} {:?} at byte {}", part.shape, part.offset)))
    }

    fn bytes(&self, part: &Part) -> Result<Vec<u8>, GoldenError> {
        self.array(part, "uint8", 1).map(<[u8]>::to_vec)
    }

    fn floats(&self, part: &Part) -> Result<Vec<f32>, GoldenError> {
        let bytes = self.array(part, "float32", 4)?;
        Ok(bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
    }
}

fn malformed(path: &Path, reason: String) -> GoldenError {
    GoldenError::Form { path: path.into(), reason }
}
