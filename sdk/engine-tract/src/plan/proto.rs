//! The program as protobuf, which is how tract takes a graph.

use super::{OP_TYPE, ROWS};
use crate::program::{Constant, Foreign, Op as Operator, Program, Step, ValueId};
use crate::recognise::operators::hides_nan;
use kinglet_bundle::onnx::{AttributeValue, Graph};
use std::collections::BTreeSet;
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType as ProtoType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension::Value as DimValue, type_proto,
};

pub(super) fn proto(program: &Program, graph: &Graph) -> ModelProto {
    let mut initializer = vec![];
    let node = program.steps.iter().enumerate().flat_map(|(i, step)| match &step.op {
        Operator::Foreign(foreign) => with_nan(i, step, foreign, foreign_node(i, step, foreign, &mut initializer)),
        _ => vec![own_node(i, step)],
    });
    let node = node.collect();
    let graph_proto = GraphProto {
        node,
        initializer,
        name: "kinglet".into(),
        input: vec![value_info(&value_name(0), ProtoType::Int64, &["1", ROWS])],
        output: vec![ValueInfoProto { name: value_name(program.logits), ..Default::default() }],
        ..Default::default()
    };
    // Where no operator of the file is left, its version says nothing; tract warns of those that it was not tested with.
    let foreign = program.steps.iter().any(|s| matches!(s.op, Operator::Foreign(_)));
    let of_file = graph.opsets.iter().map(|o| OperatorSetIdProto { domain: o.domain.clone(), version: o.version });
    let opset_import = if foreign { of_file.collect() } else { vec![OperatorSetIdProto { domain: String::new(), version: 18 }] };
    ModelProto { ir_version: 8, opset_import, graph: Some(graph_proto), ..Default::default() }
}

/// The name of a value in tract's graph.
pub(super) fn value_name(value: usize) -> String {
    format!("v{value}")
}

fn own_node(index: usize, step: &Step) -> NodeProto {
    let pick = usize::from(matches!(step.op, Operator::PickRows));
    let attribute =
        [("step", index), ("width", step.width), ("outputs", step.outputs.len()), ("pick", pick)].map(|(name, value)| {
            AttributeProto { name: name.into(), i: value as i64, r#type: AttributeType::Int as i32, ..Default::default() }
        });
    NodeProto {
        name: format!("{index} {} {}", step.op.name(), step.label),
        op_type: OP_TYPE.into(),
        input: step.inputs.iter().map(|&v| value_name(v)).collect(),
        output: step.outputs.iter().map(|&v| value_name(v)).collect(),
        attribute: attribute.into(),
        ..Default::default()
    }
}

fn foreign_node(index: usize, step: &Step, foreign: &Foreign, initializers: &mut Vec<TensorProto>) -> NodeProto {
    let node = &foreign.node;
    let mut values = step.inputs.iter();
    let held = node.inputs.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1);
    let input = node.inputs[..held].iter().enumerate().map(|(i, name)| {
        if name.is_empty() {
            return String::new();
        }
        match foreign.constants.iter().find(|(at, _)| *at == i) {
            Some((_, constant)) => {
                let name = format!("c{index}_{i}");
                initializers.push(tensor_proto(&name, constant));
                name
            }
            None => values.next().map(|&v| value_name(v)).unwrap_or_default(),
        }
    });
    NodeProto {
        name: format!("{index} {}", step.label),
        op_type: node.op_type.clone(),
        domain: node.domain.clone(),
        input: input.collect(),
        output: step.outputs.iter().map(|&v| value_name(v)).collect(),
        attribute: node.attributes.iter().filter_map(|a| attribute_proto(&a.name, &a.value)).collect(),
        ..Default::default()
    }
}

/// The node, and after it, where tract's operator hides NaN, for each input: NaN where the input is NaN.
fn with_nan(index: usize, step: &Step, foreign: &Foreign, mut node: NodeProto) -> Vec<NodeProto> {
    if !hides_nan(&foreign.node.op_type) {
        return vec![node];
    }
    let made = |what: &str, i: usize| format!("{what}{index}_{i}");
    let last = std::mem::replace(&mut node.output, vec![made("hidden", 0)]);
    let mut nodes = vec![node];
    let inputs: BTreeSet<ValueId> = step.inputs.iter().copied().collect();
    for (i, &x) in inputs.iter().enumerate() {
        let is_last = i + 1 == inputs.len();
        let output = if is_last { last.clone() } else { vec![made("hidden", i + 1)] };
        let node = |op_type: &str, input, output| NodeProto {
            name: format!("{index} {} {op_type} {i}", step.label),
            op_type: op_type.into(),
            input,
            output,
            ..Default::default()
        };
        nodes.push(node("IsNaN", vec![value_name(x)], vec![made("nan", i)]));
        nodes.push(node("Where", vec![made("nan", i), value_name(x), made("hidden", i)], output));
    }
    nodes
}

fn attribute_proto(name: &str, value: &AttributeValue) -> Option<AttributeProto> {
    let base = |kind: AttributeType| AttributeProto { name: name.into(), r#type: kind as i32, ..Default::default() };
    Some(match value {
        AttributeValue::Int(i) => AttributeProto { i: *i, ..base(AttributeType::Int) },
        AttributeValue::Float(f) => AttributeProto { f: *f, ..base(AttributeType::Float) },
        AttributeValue::String(s) => AttributeProto { s: s.clone(), ..base(AttributeType::String) },
        _ => return None,
    })
}

/// Constants are float32, as all activations are.
fn tensor_proto(name: &str, constant: &Constant) -> TensorProto {
    let dims = constant.dims().into_iter().map(|d| d as i64).collect();
    let float_data = constant.values.clone();
    TensorProto { name: name.into(), dims, data_type: ProtoType::Float as i32, float_data, ..Default::default() }
}

fn value_info(name: &str, kind: ProtoType, dims: &[&str]) -> ValueInfoProto {
    let dim = |d: &&str| Dimension {
        value: Some(d.parse().map_or_else(|_| DimValue::DimParam((*d).into()), DimValue::DimValue)),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: dims.iter().map(dim).collect() };
    let tensor = type_proto::Tensor { elem_type: kind as i32, shape: Some(shape) };
    let r#type = TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() };
    ValueInfoProto { name: name.into(), r#type: Some(r#type), ..Default::default() }
}
