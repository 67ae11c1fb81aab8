//! Reading ONNX: against what onnx itself wrote and read, and for each way in which a constant can be wrong.

use std::collections::HashMap;

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{AttributeValue, Damage, DataType, Dim, Graph, OnnxError, Tensor, TensorProblem};
use serde_json::Value;

use crate::writer::{FLOAT, Message, external, model, node, raw_floats, tensor, value};

fn read(model: impl AsRef<[u8]>) -> Result<Graph, OnnxError> {
    Graph::read(&Bytes::copy_of(model.as_ref()), &mut HashMap::new())
}

fn every_field() -> Graph {
    read(include_bytes!("../data/every_field.onnx")).unwrap()
}

/// The elements as the JSON of the fixture has them.
fn numbers(tensor: &Tensor) -> Vec<Value> {
    let nibbles = || tensor.bytes.iter().flat_map(|byte| [byte & 15, byte >> 4]).take(tensor.elements());
    match tensor.data_type {
        DataType::Int4 => nibbles().map(|nibble| Value::from((nibble << 4) as i8 >> 4)).collect(),
        DataType::UInt4 => nibbles().map(Value::from).collect(),
        DataType::UInt64 => tensor.bytes.as_chunks::<8>().0.iter().map(|chunk| u64::from_le_bytes(*chunk).into()).collect(),
        DataType::Float64 => tensor.bytes.as_chunks::<8>().0.iter().map(|chunk| f64::from_le_bytes(*chunk).into()).collect(),
        DataType::Float32 | DataType::Float16 | DataType::BFloat16 => {
            tensor.to_f32().unwrap().into_iter().map(|number| f64::from(number).into()).collect()
        }
        _ => tensor.to_i64().unwrap().into_iter().map(Value::from).collect(),
    }
}

#[test]
fn every_way_to_store_numbers_is_read_as_onnx_reads_it() {
    let graph = every_field();
    let expected: Value = serde_json::from_str(include_str!("../data/every_field.json")).unwrap();
    let expected = expected["constants"].as_array().unwrap();
    assert_eq!(graph.initializers.len(), expected.len());
    for (tensor, expected) in graph.initializers.iter().zip(expected) {
        assert_eq!(tensor.name, expected["name"]);
        assert_eq!(tensor.data_type.to_onnx(), expected["data_type"], "{}", tensor.name);
        assert_eq!(Value::from(tensor.dims.clone()), expected["dims"], "{}", tensor.name);
        assert_eq!(Value::from(numbers(tensor)), expected["numbers"], "{}", tensor.name);
    }
}

#[test]
fn every_kind_of_attribute_is_read() {
    let graph = every_field();
    let node = &graph.nodes[0];
    assert_eq!((node.op_type.as_str(), node.domain.as_str()), ("EveryAttribute", "com.microsoft"));
    assert_eq!(node.int("an_int"), Some(-3));
    assert_eq!(node.int("zero"), Some(0));
    assert_eq!(node.float("a_float"), Some(0.25));
    assert_eq!(node.string("a_string"), Some("NHWC"));
    assert_eq!(node.ints("ints"), Some(&[1, -2, 3][..]));
    assert_eq!(node.ints("no_ints"), Some(&[][..]));
    assert!(matches!(node.attribute("floats"), Some(AttributeValue::Floats(floats)) if *floats == [0.5, 1.5]));
    assert!(matches!(node.attribute("strings"), Some(AttributeValue::Strings(strings)) if *strings == [&b"a"[..], b"bc"]));
    assert_eq!(node.tensor("a_tensor").unwrap().to_i64().unwrap(), [7, 8]);
    let Some(AttributeValue::Graph(inner)) = node.attribute("a_graph") else { panic!("no graph") };
    assert_eq!(inner.nodes[0].label(), "inner_node");
    assert!(matches!(node.attribute("graphs"), Some(AttributeValue::Other(10))));

    assert!(node.attribute("absent").is_none());
    assert_eq!(node.int("a_float"), None);
    assert_eq!(node.float("an_int"), None);
}

#[test]
fn names_absent_inputs_and_domains_are_as_the_file_has_them() {
    let graph = every_field();
    let [every, identity] = &graph.nodes[..] else { panic!("{} nodes", graph.nodes.len()) };
    assert_eq!((every.input(0), every.input(1), every.input(2), every.input(3)), (Some("x"), None, Some("raw_float"), None));
    assert_eq!(every.outputs, ["y", ""]);
    assert_eq!((every.label(), identity.label()), ("y", "named"));
    assert_eq!(identity.domain, "", "ai.onnx is the default domain by another name");
    let opsets: Vec<_> = graph.opsets.iter().map(|opset| (opset.domain.as_str(), opset.version)).collect();
    assert_eq!(opsets, [("", 21), ("com.microsoft", 1)]);
}

#[test]
fn shapes_of_inputs_keep_what_is_known_and_constants_are_no_inputs() {
    let graph = every_field();
    let about = |name: &str| graph.inputs.iter().find(|input| input.name == name).unwrap();
    let names: Vec<&str> = graph.inputs.iter().map(|input| input.name.as_str()).collect();
    assert_eq!(names, ["x", "no_shape", "scalar", "sequence"]);
    assert_eq!(about("x").data_type, Some(DataType::Float32));
    assert_eq!(about("x").dims, Some(vec![Dim::Symbol("batch".into()), Dim::Unknown, Dim::Known(4)]));
    assert_eq!(about("no_shape").dims, None);
    assert_eq!(about("scalar").dims, Some(vec![]));
    assert_eq!((about("sequence").data_type, &about("sequence").dims), (None, &None));
    assert_eq!(graph.outputs[0].data_type, Some(DataType::Float16));
}

#[test]
fn repeated_numbers_may_be_packed_or_not_and_in_pieces() {
    let packed: Vec<u8> = [1.0_f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let apart = tensor("apart", FLOAT, &[3]).float(4, 1.0).float(4, 2.0).float(4, 3.0);
    let pieces = tensor("pieces", FLOAT, &[3]).bytes(4, &packed).float(4, 3.0);
    let dims = Message::default().bytes(1, [3, 1]).int(2, FLOAT).bytes(8, "dims").bytes(9, [0; 12]);
    let graph = Message::default().bytes(5, apart).bytes(5, pieces).bytes(5, dims);
    let graph = read(model(&graph)).unwrap();
    assert_eq!(graph.initializers[0].to_f32().unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(graph.initializers[1].to_f32().unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(graph.initializers[2].dims, [3, 1]);
}

#[test]
fn an_attribute_without_a_kind_is_what_it_holds() {
    let attribute = Message::default().bytes(1, "axis").int(3, -1);
    let graph = Message::default().bytes(1, node("Concat", &[], &[]).bytes(5, attribute));
    assert_eq!(read(model(&graph)).unwrap().nodes[0].int("axis"), Some(-1));
}

#[test]
fn fields_that_are_not_known_are_skipped() {
    let unknown = |message: Message| {
        let mut message = message.int(500, 7).bytes(501, "later").float(502, 1.0);
        message.varint(503 << 3 | 1);
        message.0.extend([0; 8]);
        message
    };
    let graph = unknown(Message::default().bytes(1, unknown(node("Relu", &["x"], &["y"]))).bytes(11, unknown(value("x", FLOAT))));
    let graph = read(unknown(model(&graph))).unwrap();
    assert_eq!((graph.nodes[0].op_type.as_str(), graph.inputs[0].name.as_str()), ("Relu", "x"));
}

#[test]
fn external_data_is_the_named_range_of_its_part() {
    struct Case(&'static [(&'static str, &'static str)], [f32; 2]);
    let part = Bytes::copy_of(&[1.0_f32, 2.0, 3.0, 4.0]);
    for Case(entries, expected) in [
        Case(&[("location", "p")], [1.0, 2.0]),
        Case(&[("location", "p"), ("offset", "8"), ("length", "8")], [3.0, 4.0]),
        Case(&[("length", "8"), ("offset", "4"), ("location", "p"), ("checksum", "x")], [2.0, 3.0]),
        Case(&[("location", "p"), ("offset", "4")], [2.0, 3.0]),
    ] {
        let file = model(&Message::default().bytes(5, external("w", &[2], entries)));
        let mut parts = HashMap::from([("p".to_owned(), part.clone())]);
        let graph = Graph::read(&Bytes::copy_of(&file.0), &mut parts).unwrap();
        assert_eq!(graph.initializers[0].as_f32().unwrap(), expected, "{entries:?}");
    }
}

#[test]
fn a_constant_that_disagrees_with_itself_is_named() {
    let outside = |offset, length| TensorProblem::OutsideFile { location: "p".into(), offset, length, file_bytes: 16 };
    let length = |expected_bytes, found_bytes| TensorProblem::Length { expected_bytes, found_bytes };
    struct Case(Message, TensorProblem);
    for Case(constant, expected) in [
        Case(tensor("t", 99, &[1]), TensorProblem::UnknownType { code: 99 }),
        Case(tensor("t", 0, &[1]), TensorProblem::UnknownType { code: 0 }),
        Case(tensor("t", 8, &[1]).bytes(6, "text"), TensorProblem::Strings),
        Case(tensor("t", FLOAT, &[1]).bytes(3, []), TensorProblem::Segments),
        Case(tensor("t", FLOAT, &[2, -1]), TensorProblem::Shape { dims: vec![2, -1] }),
        Case(tensor("t", FLOAT, &[1 << 40, 1 << 40]), TensorProblem::Shape { dims: vec![1 << 40, 1 << 40] }),
        Case(tensor("t", FLOAT, &[1 << 61]), TensorProblem::Shape { dims: vec![1 << 61] }),
        Case(tensor("t", FLOAT, &[2]).bytes(9, [0; 7]), length(8, 7)),
        Case(tensor("t", FLOAT, &[2]).bytes(9, [0; 12]), length(8, 12)),
        Case(tensor("t", FLOAT, &[1 << 40, 1 << 40, 0]).bytes(9, [0; 4]), length(0, 4)),
        Case(tensor("t", FLOAT, &[2]), length(8, 0)),
        Case(tensor("t", FLOAT, &[2]).float(4, 1.0), length(8, 4)),
        Case(tensor("t", 7, &[2]).bytes(7, [1, 2, 3]), length(16, 24)),
        Case(tensor("t", 22, &[3]).bytes(5, [1]), length(2, 1)),
        Case(external("t", &[2], &[("offset", "0")]), TensorProblem::NoLocation),
        Case(
            external("t", &[2], &[("location", "p"), ("offset", "-4")]),
            TensorProblem::ExternalNumber { key: "offset".into(), value: "-4".into() },
        ),
        Case(
            external("t", &[2], &[("location", "p"), ("length", "99999999999999999999")]),
            TensorProblem::ExternalNumber { key: "length".into(), value: "99999999999999999999".into() },
        ),
        Case(external("t", &[2], &[("location", "p"), ("offset", "12")]), outside(12, 8)),
        Case(external("t", &[2], &[("location", "p"), ("offset", "17"), ("length", "0")]), outside(17, 0)),
        Case(
            external("t", &[2], &[("location", "p"), ("offset", "18446744073709551615"), ("length", "8")]),
            outside(u64::MAX, 8),
        ),
        Case(external("t", &[2], &[("location", "p"), ("length", "16")]), length(8, 16)),
        Case(external("t", &[8], &[("location", "p")]), outside(0, 32)),
    ] {
        let file = model(&Message::default().bytes(5, constant));
        let mut parts = HashMap::from([("p".to_owned(), Bytes::copy_of(&[0_u8; 16]))]);
        match Graph::read(&Bytes::copy_of(&file.0), &mut parts) {
            Err(OnnxError::Tensor { tensor, problem }) => assert_eq!((tensor.as_str(), problem), ("t", expected)),
            other => panic!("{other:?} instead of {expected:?}"),
        }
    }
}

#[test]
fn what_a_decoder_does_not_use_is_refused_by_name() {
    let sparse = Message::default().bytes(1, raw_floats("sparse", &[1.0]));
    let error = read(model(&Message::default().bytes(15, sparse))).unwrap_err();
    assert!(matches!(&error, OnnxError::SparseTensor { tensor } if tensor == "sparse"), "{error}");

    let file = model(&Message::default()).bytes(25, Message::default().bytes(1, "Gelu"));
    let error = read(file).unwrap_err();
    assert!(matches!(&error, OnnxError::LocalFunction { function } if function == "Gelu"), "{error}");
}

#[test]
fn damage_is_told_with_its_place() {
    struct Case(Vec<u8>, usize, Damage);
    for Case(bytes, offset, damage) in [
        Case(vec![0x3a], 1, Damage::EndsEarly),
        Case(vec![0x3a, 5, 0, 0], 2, Damage::EndsEarly),
        Case([vec![0x3a], vec![0xff; 9], vec![1]].concat(), 11, Damage::EndsEarly),
        Case(vec![0xff; 11], 0, Damage::LongNumber),
        Case(vec![0x02], 0, Damage::FieldNumber),
        Case(vec![0x3b], 0, Damage::WireType),
        Case(vec![0x3e], 0, Damage::WireType),
        Case(vec![0x38, 1], 1, Damage::WireType),
        Case(vec![0x3a, 4, 0x0a, 2, 0x0a, 9], 6, Damage::EndsEarly),
        Case(vec![0x3a, 5, 0x0a, 3, 0x0a, 1, 0xff], 6, Damage::NotUtf8),
        Case(vec![0x3a, 0, 0x3a, 0], 4, Damage::SecondGraph),
    ] {
        match read(&bytes) {
            Err(OnnxError::Damaged { offset: at, damage: found }) => assert_eq!((at, found), (offset, damage), "{bytes:x?}"),
            other => panic!("{other:?} from {bytes:x?}"),
        }
    }
    let uneven = Message::default().bytes(1, "scales").bytes(7, [0; 5]);
    let error = read(model(&Message::default().bytes(1, node("Resize", &[], &[]).bytes(5, uneven)))).unwrap_err();
    assert!(matches!(error, OnnxError::Damaged { damage: Damage::EndsEarly, .. }), "{error}");
    assert!(matches!(read([]), Err(OnnxError::NoGraph)));
    assert!(matches!(read(Message::default().int(1, 8)), Err(OnnxError::NoGraph)));
}

#[test]
fn conversions_refuse_what_they_cannot_read() {
    let graph = every_field();
    let named = |name: &str| graph.initializers.iter().find(|tensor| tensor.name == name).unwrap();
    let error = named("typed_int64").to_f32().unwrap_err();
    assert_eq!((error.tensor.as_str(), error.data_type), ("typed_int64", DataType::Int64));
    assert!(named("typed_float").to_i64().is_err());
    assert!(named("typed_half").as_f32().is_none());
    assert_eq!(named("raw_scalar").elements(), 1);
    assert_eq!(named("raw_nothing").elements(), 0);
}
