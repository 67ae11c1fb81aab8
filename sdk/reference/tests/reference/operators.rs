//! Every operator against what ONNX Runtime, or ONNX's own reference, makes of the same operands.

use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Attribute, AttributeValue, DataType, Graph, Node, OpSet, Tensor as Constant};
use kinglet_reference::{Data, Limits, Tensor, evaluate};
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs;

#[derive(Deserialize)]
struct File {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
pub(crate) struct Case {
    name: String,
    #[serde(default)]
    domain: String,
    #[serde(default = "usual_opset")]
    opset: i64,
    #[serde(default = "usual_tolerance")]
    tolerance: f64,
    #[serde(default)]
    attributes: BTreeMap<String, Kind>,
    inputs: Vec<Option<Place>>,
    outputs: Vec<Option<Place>>,
}

fn usual_opset() -> i64 {
    21
}

fn usual_tolerance() -> f64 {
    2e-6
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Int(i64),
    Float(f32),
    String(String),
    Ints(Vec<i64>),
}

#[derive(Deserialize)]
struct Place {
    r#type: i32,
    shape: Vec<usize>,
    offset: usize,
}

impl Place {
    fn constant(&self, data: &[u8], name: String) -> Constant {
        let data_type = DataType::from_onnx(self.r#type).unwrap();
        let bytes = data_type.bytes_for(self.shape.iter().product()).unwrap();
        let bytes = Bytes::copy_of(&data[self.offset..self.offset + bytes]);
        Constant { name, data_type, dims: self.shape.clone(), bytes }
    }
}

impl Case {
    pub(crate) fn graph(&self, data: &[u8]) -> Graph {
        let name = |letter: &str, places: &[Option<Place>]| -> Vec<String> {
            places
                .iter()
                .enumerate()
                .map(|(at, place)| place.as_ref().map(|_| format!("{letter}{at}")).unwrap_or_default())
                .collect()
        };
        let inputs = name("i", &self.inputs);
        let initializers = self
            .inputs
            .iter()
            .zip(&inputs)
            .filter_map(|(place, name)| Some(place.as_ref()?.constant(data, name.clone())))
            .collect();
        let value = |kind: &Kind| match kind {
            Kind::Int(value) => AttributeValue::Int(*value),
            Kind::Float(value) => AttributeValue::Float(*value),
            Kind::String(value) => AttributeValue::String(value.clone().into()),
            Kind::Ints(values) => AttributeValue::Ints(values.clone()),
        };
        let attributes = self.attributes.iter().map(|(name, kind)| Attribute { name: name.clone(), value: value(kind) });
        let op_type = self.name.split(' ').next().unwrap_or_default().to_owned();
        let outputs = name("o", &self.outputs);
        let attributes = attributes.collect();
        let node = Node { name: self.name.clone(), op_type, domain: self.domain.clone(), inputs, outputs, attributes };
        let opsets = vec![OpSet { domain: String::new(), version: self.opset }];
        Graph { nodes: vec![node], initializers, opsets, ..Graph::default() }
    }

    /// The largest difference of numbers, as a part of the largest number; an error where anything else differs.
    fn check(&self, data: &[u8]) -> Result<f64, String> {
        let graph = self.graph(data);
        let wanted: Vec<&str> = graph.nodes[0].outputs.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
        let made = evaluate(&graph, &HashMap::new(), &wanted, Limits::default()).map_err(|error| error.to_string())?;
        let theirs = self.outputs.iter().flatten().map(|place| {
            let constant = place.constant(data, "theirs".into());
            let graph = Graph { initializers: vec![constant], ..Graph::default() };
            evaluate(&graph, &HashMap::new(), &["theirs"], Limits::default()).map_err(|error| error.to_string())
        });
        let mut worst = 0.0_f64;
        for (ours, theirs) in made.iter().zip(theirs) {
            worst = worst.max(difference(ours, &theirs?[0])?);
        }
        if worst <= self.tolerance { Ok(worst) } else { Err(format!("they differ by {worst:.1e}")) }
    }
}

fn difference(ours: &Tensor, theirs: &Tensor) -> Result<f64, String> {
    if ours.dims != theirs.dims {
        return Err(format!("the shape is {:?} instead of {:?}", ours.dims, theirs.dims));
    }
    match (&ours.data, &theirs.data) {
        (Data::Float(ours), Data::Float(theirs)) => numbers(ours, theirs),
        (ours, theirs) if ours == theirs => Ok(0.0),
        (ours, theirs) => Err(format!("{ours:?} instead of {theirs:?}")),
    }
}

/// Numbers that are not finite must be the same.
fn numbers(ours: &[f32], theirs: &[f32]) -> Result<f64, String> {
    let largest = theirs.iter().filter(|x| x.is_finite()).fold(1e-3_f64, |largest, x| largest.max(f64::from(x.abs())));
    let mut worst = 0.0_f64;
    for (at, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        if ours == theirs || (ours.is_nan() && theirs.is_nan()) {
            continue;
        }
        let distance = (f64::from(*ours) - f64::from(*theirs)).abs() / largest;
        if !distance.is_finite() {
            return Err(format!("element {at} is {ours} instead of {theirs}"));
        }
        worst = worst.max(distance);
    }
    Ok(worst)
}

pub(crate) fn cases() -> (Vec<Case>, Vec<u8>) {
    let folder = kinglet_testing::repository().join("models/goldens/operators");
    let file: File = serde_json::from_slice(&fs::read(folder.join("operators.json")).unwrap()).unwrap();
    (file.cases, fs::read(folder.join("operators.bin")).unwrap())
}

#[test]
fn every_operator_gives_what_the_judges_say() {
    let (cases, data) = cases();
    assert!(cases.len() > 300, "{} cases", cases.len());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| case.check(&data).err().map(|why| format!("{}: {why} {:?}", case.name, case.attributes.keys())))
        .collect();
    assert!(failures.is_empty(), "{} of {}:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn another_attribute_or_element_is_noticed() {
    let (mut cases, mut data) = cases();
    let find =
        |cases: &mut Vec<Case>, name: &str| cases.iter().position(|case| case.name == name).map(|at| cases.remove(at)).unwrap();
    let mut capped = find(&mut cases, "GroupQueryAttention 0");
    assert!(capped.check(&data).is_ok());
    capped.attributes.insert("softcap".into(), Kind::Float(3.0));
    assert!(capped.check(&data).is_err());
    let sum = find(&mut cases, "Add 0");
    assert!(sum.check(&data).is_ok());
    let at = sum.inputs[0].as_ref().unwrap().offset;
    let changed = f32::from_le_bytes(data[at..at + 4].try_into().unwrap()) + 1e-4;
    data[at..at + 4].copy_from_slice(&changed.to_le_bytes());
    assert!(sum.check(&data).is_err());
    let ids = find(&mut cases, "Shape 0");
    let at = ids.outputs[0].as_ref().unwrap().offset;
    data[at] += 1;
    assert!(ids.check(&data).is_err());
}
