//! Small ONNX models, and model folders around them.

use kinglet_testing::onnx::{self, Dim};
use std::path::Path;

pub(crate) use kinglet_testing::onnx::{FLOAT, INT64, Message, node, tensor};

/// A float32 `TensorProto` whose content is in another file.
pub(crate) fn external(name: &str, dims: &[i64], entries: &[(&str, &str)]) -> Message {
    onnx::external(name, FLOAT, dims, entries)
}

/// A float32 `TensorProto` with raw data.
pub(crate) fn raw_floats(name: &str, numbers: &[f32]) -> Message {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    tensor(name, FLOAT, &[numbers.len() as i64]).bytes(9, bytes)
}

/// `ValueInfoProto` of a tensor with two dimensions of which nothing is known.
pub(crate) fn value(name: &str, data_type: i64) -> Message {
    onnx::value(name, data_type, &[Dim::Unknown; 2])
}

/// `ModelProto` around a graph.
pub(crate) fn model(graph: &Message) -> Message {
    Message::default().int(1, 8).bytes(7, graph).bytes(8, onnx::opset("", 18))
}

/// A graph with the inputs and outputs of a decoder, one product, and these constants.
pub(crate) fn decoder(constants: &[Message]) -> Message {
    let graph = Message::default()
        .bytes(1, node("MatMul", &["input_ids", "w"], &["logits"]))
        .bytes(11, value("input_ids", INT64))
        .bytes(11, value("attention_mask", INT64))
        .bytes(11, value("past_key_values.0.key", FLOAT))
        .bytes(11, value("past_key_values.0.value", FLOAT))
        .bytes(12, value("logits", FLOAT))
        .bytes(12, value("present.0.key", FLOAT))
        .bytes(12, value("present.0.value", FLOAT));
    constants.iter().fold(graph, |graph, constant| graph.bytes(5, constant))
}

/// A small model whose weight lies inside.
pub(crate) fn whole_model() -> Vec<u8> {
    model(&decoder(&[raw_floats("w", &[1.0, 2.0, 3.0])])).0
}

/// A `config.json` that opens.
pub(crate) const CONFIG: &str = r#"{"model_type":"llama","hidden_size":64,"num_hidden_layers":2,"num_attention_heads":4,
    "num_key_value_heads":2,"intermediate_size":128,"vocab_size":256,"max_position_embeddings":512,"eos_token_id":2}"#;

/// A `genai_config.json` that opens, for a graph called `model.onnx`.
pub(crate) const GENAI: &str = r#"{"model":{"type":"qwen2","context_length":1024,"vocab_size":300,"eos_token_id":[5,6],"bos_token_id":1,
    "pad_token_id":-1,"decoder":{"filename":"model.onnx","head_size":16,"hidden_size":32,"num_attention_heads":4,
    "num_key_value_heads":2,"num_hidden_layers":3}},"search":{"do_sample":true,"top_k":40,"temperature":0.5,"max_length":1024}}"#;

/// Writes files into a fresh folder; names may lead into folders below.
pub(crate) fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        write(folder.path(), name, content);
    }
    folder
}

/// Writes one file below `folder`, and the folders on the way.
pub(crate) fn write(folder: &Path, name: &str, content: &[u8]) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}
