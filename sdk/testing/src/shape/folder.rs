//! The files of the folder.

use super::graph::{Graph, graph};
use super::{Family, Shape, ShapeError};
use serde_json::{Map, Value, json};
use std::fs::{self, File};
use std::io;
use std::path::Path;

const GRAPH: &str = "model.onnx";
const DATA: &str = "model.onnx.data";
/// Names of the special tokens, whose ids are their places. The first begins, ends and fills up.
const SPECIAL: [&str; 3] = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"];
/// Tokens of the tokenizer: the special ones and a byte each.
pub(super) const TOKENS: usize = SPECIAL.len() + 256;
const CHAT: &str = "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n\
    {% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

impl Shape {
    /// Bytes of the weights' file.
    pub fn data_bytes(&self) -> u64 {
        graph(self).tensors().map(|tensor| tensor.bytes()).sum()
    }

    /// Writes a model folder: `model.onnx`, `model.onnx.data` with random weights of 4 bits in blocks of 32, `genai_config.json`,
    /// `config.json`, and a tokenizer of bytes. The folder is made where it is not there; files of these names are replaced.
    ///
    /// Weights go straight to the disk, so that this takes no more memory for a large model than for a small one. Activations keep
    /// their size from layer to layer, and logits have a standard deviation of about 1. The same seed gives the same bytes.
    ///
    /// # Errors
    /// [`ShapeError::Impossible`] for a shape that no model has, [`ShapeError::Write`] where the system refuses a file.
    pub fn write(&self, folder: &Path, seed: u64) -> Result<(), ShapeError> {
        self.check()?;
        let write = |name: &str, content: &[u8]| written(&folder.join(name), |path| fs::write(path, content));
        written(folder, |path| fs::create_dir_all(path))?;
        let graph = graph(self);
        written(&folder.join(DATA), |path| write_data(&graph, path, seed))?;
        write(GRAPH, &graph.model(self, DATA).0)?;
        write("genai_config.json", pretty(&self.genai_config()).as_bytes())?;
        write("config.json", pretty(&self.config()).as_bytes())?;
        write("tokenizer.json", pretty(&tokenizer()).as_bytes())?;
        write("tokenizer_config.json", pretty(&tokenizer_config()).as_bytes())
    }

    /// The configuration for onnxruntime-genai, with the fields that the builder writes. Counts that differ from layer to layer,
    /// for which it has no form, are lists.
    fn genai_config(&self) -> Value {
        let mut decoder = json!({
            "session_options": { "log_id": "onnxruntime-genai", "provider_options": [] },
            "filename": GRAPH,
            "head_size": self.head_dim,
            "hidden_size": self.hidden,
            "inputs": {
                "input_ids": "input_ids",
                "attention_mask": "attention_mask",
                "past_key_names": "past_key_values.%d.key",
                "past_value_names": "past_key_values.%d.value",
            },
            "outputs": {
                "logits": "logits",
                "present_key_names": "present.%d.key",
                "present_value_names": "present.%d.value",
            },
            "num_attention_heads": self.heads(|layer| layer.heads),
            "num_hidden_layers": self.layers.len(),
            "num_key_value_heads": self.heads(|layer| layer.kv_heads),
        });
        if let Some(window) = self.window {
            let layers: Vec<usize> = (0..self.layers.len()).filter(|layer| self.graph_window(*layer).is_some()).collect();
            decoder["sliding_window"] = json!({
                "window_size": window, "slide_key_value_cache": false, "slide_inputs": false, "layers": layers, "cache_slack": 0,
            });
        }
        json!({
            "model": {
                "bos_token_id": 0,
                "context_length": self.context,
                "decoder": decoder,
                "eos_token_id": 0,
                "pad_token_id": 0,
                "type": self.family.model_type(),
                "vocab_size": self.vocabulary,
            },
            "search": {
                "do_sample": false,
                "max_length": self.context,
                "min_length": 0,
                "num_beams": 1,
                "num_return_sequences": 1,
                "past_present_share_buffer": true,
                "repetition_penalty": 1.0,
                "temperature": 1.0,
                "top_k": 50,
                "top_p": 1.0,
            },
        })
    }

    /// The configuration for transformers.
    fn config(&self) -> Value {
        let mut config = Map::new();
        let mut put = |name: &str, value: Value| {
            config.insert(name.into(), value);
        };
        put("model_type", self.family.model_type().into());
        if self.family == Family::OpenElm {
            let multiplier = |layer: &super::Layer| json!((100.0 * layer.inner as f64 / self.hidden as f64).round() / 100.0);
            put("model_dim", self.hidden.into());
            put("num_transformer_layers", self.layers.len().into());
            put("num_query_heads", self.heads(|layer| layer.heads));
            put("num_kv_heads", self.heads(|layer| layer.kv_heads));
            put("ffn_multipliers", self.layers.iter().map(multiplier).collect());
            put("max_context_length", self.context.into());
            put("rope_freq_constant", self.rope.theta.into());
            put("normalize_qk_projections", true.into());
            put("share_input_output_layers", self.tied.into());
        } else {
            put("hidden_size", self.hidden.into());
            put("intermediate_size", self.layers.first().map_or(0, |layer| layer.inner).into());
            put("num_hidden_layers", self.layers.len().into());
            put("num_attention_heads", self.heads(|layer| layer.heads));
            put("num_key_value_heads", self.heads(|layer| layer.kv_heads));
            put("max_position_embeddings", self.context.into());
            put("rms_norm_eps", f64::from(self.norm_epsilon).into());
            put("rope_theta", self.rope.theta.into());
            put("tie_word_embeddings", self.tied.into());
        }
        if let Some(rule) = self.rope.stretched {
            put(
                "rope_scaling",
                json!({
                    "rope_type": "llama3", "factor": rule.factor, "low_freq_factor": rule.low, "high_freq_factor": rule.high,
                    "original_max_position_embeddings": rule.context,
                }),
            );
        }
        if let Some(window) = self.window {
            put("sliding_window", window.into());
        }
        put("head_dim", self.head_dim.into());
        put("vocab_size", self.vocabulary.into());
        for token in ["bos_token_id", "eos_token_id", "pad_token_id"] {
            put(token, 0.into());
        }
        config.into()
    }

    /// A count of the layers: one number where they are alike.
    fn heads(&self, of: impl Fn(&super::Layer) -> usize) -> Value {
        let counts: Vec<usize> = self.layers.iter().map(of).collect();
        if counts.iter().all(|count| *count == counts[0]) { json!(counts[0]) } else { json!(counts) }
    }
}

fn written(path: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), ShapeError> {
    write(path).map_err(|source| ShapeError::Write { path: path.into(), source })
}

fn write_data(graph: &Graph, path: &Path, seed: u64) -> io::Result<()> {
    let mut file = File::create(path)?;
    graph.tensors().try_for_each(|tensor| tensor.write(seed, &mut file))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

/// Byte-level pieces without merges, in the form of Hugging Face's tokenizers.
fn tokenizer() -> Value {
    let special = |(id, content): (usize, &&str)| {
        json!({ "id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false,
            "special": true })
    };
    let byte_level = json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true });
    let names = SPECIAL.iter().map(|name| (*name).to_owned()).chain(byte_names().map(String::from));
    let vocabulary: Map<String, Value> = names.enumerate().map(|(id, name)| (name, id.into())).collect();
    json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": SPECIAL.iter().enumerate().map(special).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": byte_level,
        "post_processor": null,
        "decoder": byte_level,
        "model": { "type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocabulary, "merges": [] },
    })
}

fn tokenizer_config() -> Value {
    json!({ "tokenizer_class": "PreTrainedTokenizerFast", "eos_token": SPECIAL[0], "pad_token": SPECIAL[0], "chat_template": CHAT })
}

/// The character that stands for each byte in byte-level tokenizers: itself where it can be seen, one above 255 otherwise.
fn byte_names() -> impl Iterator<Item = char> {
    let seen = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut unseen = 0;
    (0..=u8::MAX).map(move |byte| {
        if seen(&byte) {
            return char::from(byte);
        }
        unseen += 1;
        char::from_u32(255 + unseen).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_the_names_that_byte_level_tokenizers_give_them() {
        let names: Vec<char> = byte_names().collect();
        for (byte, name) in [(b' ', 'Ġ'), (b'\n', 'Ċ'), (b'A', 'A'), (0, 'Ā'), (0x7f, 'ġ'), (0xad, 'Ń'), (0xff, 'ÿ')] {
            assert_eq!(names[usize::from(byte)], name, "{byte}");
        }
        assert_eq!(tokenizer()["model"]["vocab"].as_object().map(Map::len), Some(TOKENS));
    }

    #[test]
    fn the_data_file_has_the_bytes_that_the_graph_names() {
        let folder = std::env::temp_dir().join(format!("kinglet-shape-{}", std::process::id()));
        let shape = Shape::published("openelm-3b").unwrap().narrowed();
        shape.write(&folder, 1).unwrap();
        let first = fs::read(folder.join(DATA)).unwrap();
        assert_eq!(first.len() as u64, shape.data_bytes());
        shape.write(&folder, 1).unwrap();
        assert!(fs::read(folder.join(DATA)).unwrap() == first, "the same seed gives other bytes");
        shape.write(&folder, 2).unwrap();
        assert!(fs::read(folder.join(DATA)).unwrap() != first, "another seed gives the same bytes");
        fs::remove_dir_all(&folder).unwrap();
        let error = shape.write(Path::new("/dev/null/folder"), 1).unwrap_err().to_string();
        assert!(error.contains("folder cannot be written"), "{error}");
    }

    /// A scale and half a byte for each parameter that a product multiplies with: 5 bits; the rest is small beside it.
    #[test]
    fn a_parameter_takes_five_bits() {
        for shape in Shape::all_published() {
            let table = if shape.tied { 0 } else { shape.vocabulary * shape.hidden } as f64;
            let bits = 8.0 * (shape.data_bytes() as f64 - 4.0 * table) / (shape.parameters() as f64 - table);
            assert!((5.0..5.7).contains(&bits), "{}: {bits} bits", shape.name);
        }
    }
}
