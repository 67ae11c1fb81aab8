//! How a graph stores its weights.

use std::fmt;

use crate::onnx::{DataType, Graph, Node};

/// How a graph stores its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Precision {
    /// 4-bit integers in blocks; scales and the rest in float32.
    Int4,
    /// 4-bit integers in blocks; scales and the rest in float16.
    Int4Float16,
    /// 8-bit integers, signed or unsigned.
    Int8,
    /// IEEE floating point of 16 bits.
    Float16,
    /// Floating point of 16 bits with the exponent of float32.
    BFloat16,
    /// Floating point of 32 bits.
    Float32,
    /// The 4-bit NormalFloat of bitsandbytes, which Kinglet does not run.
    NormalFloat4,
}

impl Precision {
    /// The name, in messages and in requests: `int4`, `int4-float16`, `int8`, `float16`, `bfloat16`, `float32`, `bnb4`.
    pub fn name(self) -> &'static str {
        match self {
            Precision::Int4 => "int4",
            Precision::Int4Float16 => "int4-float16",
            Precision::Int8 => "int8",
            Precision::Float16 => "float16",
            Precision::BFloat16 => "bfloat16",
            Precision::Float32 => "float32",
            Precision::NormalFloat4 => "bnb4",
        }
    }

    /// The precision of a graph. Quantised weights decide if there are any, since in a small model an embedding in
    /// floating point can outweigh them all: first operators over packed weights (`MatMulNBits`, `GatherBlockQuantized`),
    /// by their number, then constants of 4 and of 8 bits with two dimensions or more. Otherwise it is the type that
    /// most bytes of the constants are in. `None` for a graph without constants of a known kind.
    pub fn of_graph(graph: &Graph) -> Option<Precision> {
        if graph.nodes.iter().any(|node| node.op_type == "MatMulBnb4") {
            return Some(Precision::NormalFloat4);
        }
        let bytes = ByKind::of(graph);
        let widths: Vec<i64> = graph.nodes.iter().filter_map(packed_bits).collect();
        let eight = widths.iter().filter(|bits| **bits == 8).count();
        let four = widths.len() - eight;
        if four > eight || (eight == 0 && bytes.int4 > 0) {
            return Some(if bytes.float16 > bytes.float32 { Precision::Int4Float16 } else { Precision::Int4 });
        }
        if eight > 0 || bytes.int8 > 0 {
            return Some(Precision::Int8);
        }
        let floats =
            [(bytes.float16, Precision::Float16), (bytes.bfloat16, Precision::BFloat16), (bytes.float32, Precision::Float32)];
        floats.into_iter().max_by_key(|(bytes, _)| *bytes).filter(|(bytes, _)| *bytes > 0).map(|(_, precision)| precision)
    }

    /// Whether all weights that a graph packs have 4 bits, none 8: a plain rounding, where k-quant and mixed exports keep the matrices
    /// that suffer most in 8 bits.
    pub fn is_plain_int4(graph: &Graph) -> bool {
        let mut widths = graph.nodes.iter().filter_map(packed_bits).peekable();
        widths.peek().is_some() && widths.all(|bits| bits == 4)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The width of the weights of an operator over packed weights; 4 where it does not say (ONNX Runtime's default).
fn packed_bits(node: &Node) -> Option<i64> {
    matches!(node.op_type.as_str(), "MatMulNBits" | "GatherBlockQuantized").then(|| node.int("bits").unwrap_or(4))
}

/// Bytes of constants by their kind; integers in matrices alone, since zero points and table indices are no weights.
#[derive(Default)]
struct ByKind {
    int4: usize,
    int8: usize,
    float16: usize,
    bfloat16: usize,
    float32: usize,
}

impl ByKind {
    fn of(graph: &Graph) -> ByKind {
        let mut all = ByKind::default();
        for tensor in &graph.initializers {
            let is_matrix = tensor.dims.len() > 1;
            let kind = match tensor.data_type {
                DataType::Int4 | DataType::UInt4 if is_matrix => &mut all.int4,
                DataType::Int8 | DataType::UInt8 if is_matrix => &mut all.int8,
                DataType::Float16 => &mut all.float16,
                DataType::BFloat16 => &mut all.bfloat16,
                DataType::Float32 => &mut all.float32,
                _ => continue,
            };
            *kind = kind.saturating_add(tensor.bytes.len());
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bytes;
    use crate::onnx::{Attribute, AttributeValue, Tensor};

    fn constant(data_type: DataType, elements: usize) -> Tensor {
        let bytes = Bytes::copy_of(&vec![0_u8; data_type.bytes_for(elements).unwrap()]);
        Tensor { name: String::new(), data_type, dims: vec![elements], bytes }
    }

    fn matrix(data_type: DataType, elements: usize) -> Tensor {
        Tensor { dims: vec![1, elements], ..constant(data_type, elements) }
    }

    fn node(op_type: &str, bits: Option<i64>) -> Node {
        let attributes = bits.map(|bits| Attribute { name: "bits".into(), value: AttributeValue::Int(bits) });
        Node { op_type: op_type.into(), attributes: attributes.into_iter().collect(), ..Node::default() }
    }

    #[test]
    fn the_precision_is_that_of_most_weights() {
        struct Case(&'static str, Vec<Node>, Vec<Tensor>, Option<Precision>);
        use DataType::{BFloat16, Float16, Float32, Int4, Int8, Int64, UInt8};
        for Case(what, nodes, initializers, precision) in [
            Case("nothing", vec![], vec![constant(Int64, 9)], None),
            Case("floats", vec![], vec![constant(Float32, 9), constant(Float16, 10)], Some(Precision::Float32)),
            Case("halves", vec![], vec![constant(Float32, 4), constant(Float16, 10)], Some(Precision::Float16)),
            Case("brain halves", vec![], vec![constant(BFloat16, 10)], Some(Precision::BFloat16)),
            Case("bytes", vec![], vec![matrix(Int8, 10), constant(Float32, 90)], Some(Precision::Int8)),
            Case("zero points", vec![], vec![constant(Int8, 90), constant(Float32, 9)], Some(Precision::Float32)),
            Case(
                "packed, and an embedding in float that is larger",
                vec![node("MatMulNBits", None)],
                vec![matrix(UInt8, 10), constant(Float32, 100)],
                Some(Precision::Int4),
            ),
            Case(
                "packed with halves",
                vec![node("MatMulNBits", Some(4))],
                vec![matrix(UInt8, 10), constant(Float16, 100), constant(Float32, 1)],
                Some(Precision::Int4Float16),
            ),
            Case("packed, 8 bits", vec![node("MatMulNBits", Some(8))], vec![matrix(UInt8, 1)], Some(Precision::Int8)),
            Case("4-bit constants", vec![], vec![matrix(Int4, 2), constant(Float32, 9)], Some(Precision::Int4)),
            Case("bitsandbytes", vec![node("MatMulBnb4", None)], vec![matrix(UInt8, 2)], Some(Precision::NormalFloat4)),
        ] {
            let graph = Graph { nodes, initializers, ..Graph::default() };
            assert_eq!(Precision::of_graph(&graph), precision, "{what}");
        }
    }

    #[test]
    fn plain_int4_has_nothing_in_8_bits() {
        let plain = |widths: &[i64]| {
            let nodes = widths.iter().map(|bits| node("MatMulNBits", Some(*bits))).collect();
            Precision::is_plain_int4(&Graph { nodes, ..Graph::default() })
        };
        assert!(plain(&[4, 4]));
        assert!(!plain(&[4, 8]) && !plain(&[8]) && !plain(&[2]) && !plain(&[]));
    }
}
