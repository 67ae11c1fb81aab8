//! One change of a graph that keeps it a graph.

use crate::bytes::Choices;
use kinglet_bundle::Bytes;
use kinglet_bundle::onnx::{Attribute, AttributeValue, DataType, Dim, Graph, Node, Tensor};

/// Operators that a node may turn into, or that are put between two others.
const OPERATORS: [&str; 28] = [
    "Add",
    "Mul",
    "Sub",
    "Div",
    "Pow",
    "Max",
    "Min",
    "Where",
    "Neg",
    "Sqrt",
    "Sigmoid",
    "Tanh",
    "Gelu",
    "Softmax",
    "Transpose",
    "Reshape",
    "Cast",
    "Concat",
    "Slice",
    "Gather",
    "MatMul",
    "Gemm",
    "MatMulNBits",
    "GroupQueryAttention",
    "RotaryEmbedding",
    "SimplifiedLayerNormalization",
    "SkipSimplifiedLayerNormalization",
    "DequantizeLinear",
];

/// Attributes that some operator knows.
const ATTRIBUTES: [&str; 24] = [
    "axis",
    "axes",
    "epsilon",
    "num_heads",
    "kv_num_heads",
    "scale",
    "softcap",
    "local_window_size",
    "do_rotary",
    "rotary_interleaved",
    "interleaved",
    "K",
    "N",
    "bits",
    "block_size",
    "accuracy_level",
    "transA",
    "transB",
    "alpha",
    "perm",
    "to",
    "keepdims",
    "smooth_softmax",
    "is_causal",
];

pub(super) fn change(graph: &mut Graph, choices: &mut Choices<'_>) {
    match choices.byte() % 14 {
        0 | 1 => number_of_attribute(graph, choices),
        2 => attribute(graph, choices),
        3 | 4 => wire(graph, choices),
        5 | 6 => shape(graph, choices),
        7 => element(graph, choices),
        8 => element_type(graph, choices),
        9 => operator(graph, choices),
        10 => order(graph, choices),
        11 => declared(graph, choices),
        12 => between(graph, choices),
        _ => drop_output(graph, choices),
    }
}

fn a_node<'g>(graph: &'g mut Graph, choices: &mut Choices<'_>) -> Option<&'g mut Node> {
    let at = choices.below(graph.nodes.len());
    graph.nodes.get_mut(at)
}

fn a_constant<'g>(graph: &'g mut Graph, choices: &mut Choices<'_>) -> Option<&'g mut Tensor> {
    let at = choices.below(graph.initializers.len());
    graph.initializers.get_mut(at)
}

fn number_of_attribute(graph: &mut Graph, choices: &mut Choices<'_>) {
    let Some(node) = a_node(graph, choices) else { return };
    let at = choices.below(node.attributes.len());
    let Some(attribute) = node.attributes.get_mut(at) else { return };
    match &mut attribute.value {
        AttributeValue::Int(value) => *value = choices.int(),
        AttributeValue::Float(value) => *value = choices.float(),
        AttributeValue::Ints(values) => {
            let at = choices.below(values.len());
            if let Some(value) = values.get_mut(at) {
                *value = choices.int();
            }
        }
        AttributeValue::String(value) => value.push(choices.byte()),
        AttributeValue::Tensor(tensor) => reshape(tensor, choices),
        _ => {}
    }
}

fn attribute(graph: &mut Graph, choices: &mut Choices<'_>) {
    let Some(node) = a_node(graph, choices) else { return };
    if choices.one_in(2) && !node.attributes.is_empty() {
        let at = choices.below(node.attributes.len());
        node.attributes.remove(at);
        return;
    }
    let name = choices.pick(&ATTRIBUTES).unwrap_or_default().to_owned();
    let value = match choices.byte() % 3 {
        0 => AttributeValue::Int(choices.int()),
        1 => AttributeValue::Float(choices.float()),
        _ => AttributeValue::Ints(vec![choices.int(), choices.int()]),
    };
    node.attributes.push(Attribute { name, value });
}

/// The name of any value of the graph.
fn a_value(graph: &Graph, choices: &mut Choices<'_>) -> String {
    let at = choices.below(graph.nodes.len());
    let name = match choices.byte() % 4 {
        0 => graph.nodes.get(at).and_then(|node| node.outputs.first()),
        1 => graph.initializers.get(choices.below(graph.initializers.len())).map(|tensor| &tensor.name),
        2 => graph.inputs.get(choices.below(graph.inputs.len())).map(|input| &input.name),
        _ => None,
    };
    name.cloned().unwrap_or_default()
}

fn wire(graph: &mut Graph, choices: &mut Choices<'_>) {
    let value = a_value(graph, choices);
    let Some(node) = a_node(graph, choices) else { return };
    let at = choices.below(node.inputs.len() + 1);
    match node.inputs.get_mut(at) {
        Some(input) => *input = value,
        None => node.inputs.push(value),
    }
}

fn shape(graph: &mut Graph, choices: &mut Choices<'_>) {
    if let Some(tensor) = a_constant(graph, choices) {
        reshape(tensor, choices);
    }
}

/// Another shape, with as many elements as that needs: repeated or cut.
fn reshape(tensor: &mut Tensor, choices: &mut Choices<'_>) {
    let mut dims = tensor.dims.clone();
    let at = choices.below(dims.len() + 1);
    match choices.byte() % 6 {
        0 => dims.insert(at, 1),
        1 if at < dims.len() => dims.swap(at, 0),
        2 if at < dims.len() => dims[at] = 0,
        3 if at < dims.len() => dims[at] = dims[at].saturating_add_signed(choices.int().clamp(-3, 3) as isize),
        4 if at < dims.len() => {
            dims.remove(at);
        }
        _ if at < dims.len() => dims[at] = choices.below(300),
        _ => dims.push(choices.below(4)),
    }
    let elements = dims.iter().fold(1_usize, |product, &dim| product.saturating_mul(dim));
    let Some(bytes) = tensor.data_type.bytes_for(elements).filter(|&bytes| bytes <= 1 << 20) else { return };
    let content: Vec<u8> = tensor.bytes.iter().copied().chain([0; 8]).cycle().take(bytes).collect();
    *tensor = Tensor { dims, bytes: Bytes::copy_of(&content), ..tensor.clone() };
}

fn element(graph: &mut Graph, choices: &mut Choices<'_>) {
    let Some(tensor) = a_constant(graph, choices) else { return };
    let mut content = tensor.bytes.to_vec();
    let word = if choices.one_in(2) { choices.float().to_le_bytes().to_vec() } else { choices.int().to_le_bytes().to_vec() };
    let at = choices.below(content.len()) / 4 * 4;
    for (place, byte) in content[at..].iter_mut().zip(word) {
        *place = byte;
    }
    tensor.bytes = Bytes::copy_of(&content);
}

fn element_type(graph: &mut Graph, choices: &mut Choices<'_>) {
    let code = 1 + choices.below(26) as i32;
    let Some(tensor) = a_constant(graph, choices) else { return };
    let Some(data_type) = DataType::from_onnx(code).filter(|kind| kind.bits() > 0) else { return };
    let Some(bytes) = data_type.bytes_for(tensor.elements()).filter(|&bytes| bytes <= 1 << 20) else { return };
    let content: Vec<u8> = tensor.bytes.iter().copied().chain([0; 8]).cycle().take(bytes).collect();
    *tensor = Tensor { data_type, bytes: Bytes::copy_of(&content), ..tensor.clone() };
}

fn operator(graph: &mut Graph, choices: &mut Choices<'_>) {
    let op_type = choices.pick(&OPERATORS).unwrap_or_default();
    let Some(node) = a_node(graph, choices) else { return };
    op_type.clone_into(&mut node.op_type);
    if choices.one_in(2) {
        node.domain = if choices.one_in(2) { String::new() } else { "com.microsoft".into() };
    }
}

fn order(graph: &mut Graph, choices: &mut Choices<'_>) {
    let (a, b) = (choices.below(graph.nodes.len()), choices.below(graph.nodes.len()));
    match choices.byte() % 3 {
        0 if a != b => graph.nodes.swap(a, b),
        1 if a < graph.nodes.len() => {
            graph.nodes.remove(a);
        }
        _ => {
            if let Some(node) = graph.nodes.get(a).cloned() {
                graph.nodes.insert(b, node);
            }
        }
    }
}

fn declared(graph: &mut Graph, choices: &mut Choices<'_>) {
    let at = choices.below(graph.inputs.len());
    let Some(dims) = graph.inputs.get_mut(at).and_then(|input| input.dims.as_mut()) else { return };
    let at = choices.below(dims.len());
    if let Some(dim) = dims.get_mut(at) {
        *dim = Dim::Known(choices.int().unsigned_abs() as usize);
    }
}

/// An elementwise operator with a constant of some shape, between a node and one of its inputs.
fn between(graph: &mut Graph, choices: &mut Choices<'_>) {
    let op_type = choices.pick(&OPERATORS[..14]).unwrap_or_default();
    let at = choices.below(graph.nodes.len());
    let Some(input) = graph.nodes.get(at).map(|node| node.inputs.len()).and_then(|n| Some(choices.below(n)).filter(|_| n > 0))
    else {
        return;
    };
    let dims: Vec<usize> = (0..choices.below(6)).map(|_| [0, 1, 1, 2, 32, 64][choices.below(6)]).collect();
    let elements: usize = dims.iter().product();
    if elements > 1 << 16 {
        return;
    }
    let number = choices.int();
    let (constant, output) = (format!("constant {number} {at}"), format!("between {number} {at}"));
    let content: Vec<f32> = (0..elements).map(|i| (i % 7) as f32 * 0.25 - 0.5).collect();
    let tensor = Tensor { name: constant.clone(), data_type: DataType::Float32, dims, bytes: Bytes::copy_of(&content) };
    graph.initializers.push(tensor);
    let before = std::mem::replace(&mut graph.nodes[at].inputs[input], output.clone());
    let inputs = if choices.one_in(2) { vec![before, constant] } else { vec![constant, before] };
    let node = Node { op_type: op_type.into(), inputs, outputs: vec![output], ..Node::default() };
    graph.nodes.insert(at, node);
}

fn drop_output(graph: &mut Graph, choices: &mut Choices<'_>) {
    let Some(node) = a_node(graph, choices) else { return };
    let at = choices.below(node.outputs.len());
    if let Some(output) = node.outputs.get_mut(at) {
        output.clear();
    }
}
