//! Small tokenizers of the kinds that models have, as the files of a model folder.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, OnceLock};

use kinglet_text::{TextFiles, Tokenizer};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A model folder that goes when this goes.
pub(crate) struct Folder {
    pub(crate) directory: TempDir,
}

impl Folder {
    pub(crate) fn new(files: &[(&str, String)]) -> Folder {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Folder { directory }
    }

    pub(crate) fn files(&self) -> TextFiles {
        TextFiles::in_folder(self.directory.path())
    }

    pub(crate) fn tokenizer(&self) -> Arc<Tokenizer> {
        Arc::new(Tokenizer::from_files(&self.files()).unwrap())
    }
}

/// One added token, with those flags set that are named.
pub(crate) fn added(id: usize, content: &str, flags: &[&str]) -> Value {
    let mut token = json!({ "id": id, "content": content });
    for flag in ["single_word", "lstrip", "rstrip", "normalized", "special"] {
        token[flag] = json!(flags.contains(&flag));
    }
    token
}

/// The parts of a `tokenizer.json`.
pub(crate) struct Parts {
    pub(crate) added_tokens: Vec<Value>,
    pub(crate) normalizer: Value,
    pub(crate) pre_tokenizer: Value,
    pub(crate) post_processor: Value,
    pub(crate) decoder: Value,
    pub(crate) model: Value,
}

impl Parts {
    pub(crate) fn json(&self) -> Value {
        json!({
            "version": "1.0",
            "truncation": { "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0 },
            "padding": {
                "strategy": { "Fixed": 9 }, "direction": "Left", "pad_to_multiple_of": null,
                "pad_id": 0, "pad_type_id": 0, "pad_token": "x"
            },
            "added_tokens": self.added_tokens,
            "normalizer": self.normalizer,
            "pre_tokenizer": self.pre_tokenizer,
            "post_processor": self.post_processor,
            "decoder": self.decoder,
            "model": self.model,
        })
    }

    pub(crate) fn folder(&self, config: Value) -> Folder {
        Folder::new(&[("tokenizer.json", self.json().to_string()), ("tokenizer_config.json", config.to_string())])
    }
}

/// A vocabulary in order: each token once, its id is its place.
fn vocabulary(tokens: impl IntoIterator<Item = String>) -> BTreeMap<String, usize> {
    let mut vocabulary = BTreeMap::new();
    for token in tokens {
        let id = vocabulary.len();
        vocabulary.entry(token).or_insert(id);
    }
    vocabulary
}

/// A template processor that puts one token in front.
fn begin_with(token: &str, id: usize) -> Value {
    json!({
        "type": "TemplateProcessing",
        "single": [{ "SpecialToken": { "id": token, "type_id": 0 } }, { "Sequence": { "id": "A", "type_id": 0 } }],
        "pair": [{ "Sequence": { "id": "A", "type_id": 0 } }, { "Sequence": { "id": "B", "type_id": 1 } }],
        "special_tokens": { token: { "id": token, "ids": [id], "tokens": [token] } }
    })
}

/// Byte-level BPE as Llama 3 and Qwen have it: 256 byte tokens, a few merges, control tokens after them.
pub(crate) fn byte_level() -> Parts {
    let mut alphabet: Vec<char> = tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let merged = ["he", "ll", "hell", "hello", "Ġw", "Ġwo", "im", "end", "en", "Ã©", "ðŁ", "ðŁĺ"].map(str::to_owned);
    let vocab = vocabulary(alphabet.iter().map(char::to_string).chain(merged));
    let next = vocab.len();
    let merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "Ġw o", "i m", "e n", "en d", "Ã ©", "ð Ł", "ðŁ ĺ"];
    Parts {
        added_tokens: vec![
            added(next, "<|bos|>", &["special"]),
            added(next + 1, "<|im_start|>", &["special"]),
            added(next + 2, "<|im_end|>", &["special"]),
            added(next + 3, "<|pad|>", &["special", "lstrip", "rstrip"]),
            added(next + 4, "<think>", &[]),
            added(next + 5, "</think>", &[]),
            added(next + 6, "word", &["single_word"]),
            added(next + 7, "Café", &["normalized"]),
            added(next + 8, "\n\n", &[]),
        ],
        normalizer: json!({ "type": "NFC" }),
        pre_tokenizer: json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true }),
        post_processor: begin_with("<|bos|>", next),
        decoder: json!({ "type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true }),
        model: json!({ "type": "BPE", "vocab": vocab, "merges": merges }),
    }
}

/// SentencePiece-style BPE with byte fallback as Llama 2 and Mistral have it. With `normalized`, control tokens are looked
/// for in normalized text, as older files have it.
pub(crate) fn byte_fallback(normalized: bool) -> Parts {
    let specials = ["<unk>", "<s>", "</s>"].map(str::to_owned);
    let bytes = (0..256).map(|byte| format!("<0x{byte:02X}>"));
    let letters = ('a'..='z').chain("ABCXYZ▁.,!?<>|/_é".chars()).map(String::from);
    let merged = ["▁h", "▁he", "ll", "▁hell", "▁hello", "▁▁", "end"].map(str::to_owned);
    let vocab = vocabulary(specials.into_iter().chain(bytes).chain(letters).chain(merged));
    let next = vocab.len();
    let flags: &[&str] = if normalized { &["special", "normalized"] } else { &["special"] };
    Parts {
        added_tokens: vec![
            added(0, "<unk>", flags),
            added(1, "<s>", flags),
            added(2, "</s>", flags),
            added(next, "<|user|>", &["special", "rstrip"]),
            added(next + 1, "<|end|>", &["special", "rstrip"]),
            added(next + 2, "[TOOL]", &["normalized"]),
        ],
        normalizer: json!({ "type": "Sequence", "normalizers": [
            { "type": "Prepend", "prepend": "▁" },
            { "type": "Replace", "pattern": { "String": " " }, "content": "▁" }
        ]}),
        pre_tokenizer: Value::Null,
        post_processor: begin_with("<s>", 1),
        decoder: json!({ "type": "Sequence", "decoders": [
            { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
            { "type": "ByteFallback" },
            { "type": "Fuse" },
            { "type": "Strip", "content": " ", "start": 1, "stop": 0 }
        ]}),
        model: json!({
            "type": "BPE", "vocab": vocab, "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
            "merges": ["▁ h", "▁h e", "l l", "▁he ll", "▁hell o", "▁ ▁"]
        }),
    }
}

/// Unigram with the Metaspace decoder as T5 and XLM-R have it.
pub(crate) fn unigram() -> Parts {
    let pieces = ["<pad>", "</s>", "<unk>", "▁", "▁he", "llo", "▁wor", "ld", "a", "b", "c", "é", ".", "▁▁"];
    let vocab: Vec<Value> = pieces.iter().enumerate().map(|(place, piece)| json!([piece, -(place as f64)])).collect();
    Parts {
        added_tokens: ["<pad>", "</s>", "<unk>"].iter().enumerate().map(|(id, token)| added(id, token, &["special"])).collect(),
        normalizer: json!({ "type": "NFKC" }),
        pre_tokenizer: json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true }),
        post_processor: Value::Null,
        decoder: json!({ "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true }),
        model: json!({ "type": "Unigram", "unk_id": 2, "vocab": vocab }),
    }
}

/// WordPiece as BERT has it.
pub(crate) fn word_piece() -> Parts {
    let specials = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"];
    let pieces = specials.iter().copied().chain(["hello", "world", "##s", "a", "##b", ".", ",", "'", "n", "t", "don"]);
    Parts {
        added_tokens: specials.iter().enumerate().map(|(id, token)| added(id, token, &["special"])).collect(),
        normalizer: json!({
            "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true
        }),
        pre_tokenizer: json!({ "type": "BertPreTokenizer" }),
        post_processor: begin_with("[CLS]", 2),
        decoder: json!({ "type": "WordPiece", "prefix": "##", "cleanup": true }),
        model: json!({
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary(pieces.map(str::to_owned))
        }),
    }
}

/// All of the above, by name.
fn all() -> Vec<(&'static str, Parts)> {
    vec![
        ("byte level", byte_level()),
        ("byte fallback", byte_fallback(false)),
        ("byte fallback, normalized specials", byte_fallback(true)),
        ("unigram", unigram()),
        ("word piece", word_piece()),
    ]
}

/// A tokenizer of each kind, opened once for all tests: what it is, ours, its files' parts.
pub(crate) fn opened() -> &'static [(&'static str, Arc<Tokenizer>, Parts)] {
    static OPENED: OnceLock<Vec<(&str, Arc<Tokenizer>, Parts)>> = OnceLock::new();
    OPENED.get_or_init(|| all().into_iter().map(|(name, parts)| (name, parts.folder(json!({})).tokenizer(), parts)).collect())
}

/// Pieces of text that meet the added tokens, the normalizers and the decoders at their edges.
pub(crate) const FRAGMENTS: [&str; 48] = [
    "hello",
    " hello",
    "  ",
    " ",
    "\n",
    "\n\n",
    "\t",
    "é",
    "e\u{301}",
    "😀",
    "👨‍👩‍👧",
    "ไทย",
    "العربية",
    "日本",
    "<s>",
    "</s>",
    "<unk>",
    "<|bos|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|pad|>",
    "<think>",
    "</think>",
    "word",
    "words",
    "Café",
    "Cafe\u{301}",
    "<|user|>",
    "<|end|>",
    "[TOOL]",
    "[SEP]",
    "[sep]",
    "＜s＞",
    "<",
    "|",
    "im_end|>",
    "<|im_",
    "<|en",
    "d|>",
    "▁",
    "\u{fffd}",
    "\u{0}",
    "\u{7f}",
    "\u{200b}",
    ".",
    "'s",
    "a",
    "world",
];
