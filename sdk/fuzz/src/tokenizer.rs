//! `tokenizer.json` and `tokenizer_config.json`, changed or made up, and texts that they cut.

use crate::bytes::{Choices, changed};
use crate::folder::{Scratch, golden_file};
use kinglet_text::{Specials, TextFiles, Tokenizer};
use std::sync::LazyLock;

const FOLDERS: [&str; 3] = ["llama/optimum", "qwen2/optimum", "community/decomposed"];
static VALID: LazyLock<Vec<(Vec<u8>, Vec<u8>)>> = LazyLock::new(|| {
    let file = |folder: &str, name: &str| golden_file(&format!("{folder}/{name}"));
    FOLDERS.iter().map(|folder| (file(folder, "tokenizer.json"), file(folder, "tokenizer_config.json"))).collect()
});

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let scratch = Scratch::new();
    let kind = choices.byte();
    let (tokenizer, config) = &VALID[choices.below(FOLDERS.len())];
    match kind % 3 {
        0 => {
            scratch.write("tokenizer.json", &changed(tokenizer, &mut choices));
            scratch.write("tokenizer_config.json", config);
        }
        1 => {
            scratch.write("tokenizer.json", tokenizer);
            scratch.write("tokenizer_config.json", &changed(config, &mut choices));
        }
        _ => scratch.write("tokenizer.json", &with_stage(tokenizer, &mut choices)),
    }
    let Ok(tokenizer) = Tokenizer::from_files(&TextFiles::in_folder(scratch.path())) else { return };
    for text in ["Hello, world! 12 \u{1f600}\n\n e\u{301}", "<|end|><s></s>", "", "\u{0}\u{7f}\u{202e}aaaa"] {
        if let Ok(ids) = tokenizer.encode(text, Specials { parse: true, ..Specials::default() }) {
            let _ = tokenizer.decode(&ids, true);
        }
    }
    let _ = tokenizer.decode(&[0, 1, 2, u32::MAX, 77], false);
}

/// A valid tokenizer with one stage that the bytes describe as JSON, in place of its own.
fn with_stage(tokenizer: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let Ok(mut file) = serde_json::from_slice::<serde_json::Value>(tokenizer) else { return vec![] };
    let stage = choices.pick(&["normalizer", "pre_tokenizer", "post_processor", "decoder", "added_tokens", "model"]);
    file[stage.unwrap_or("normalizer")] = serde_json::from_slice(choices.rest()).unwrap_or_default();
    serde_json::to_vec(&file).unwrap_or_default()
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let stages = [
        (0, r#"{"type":"Sequence","normalizers":[{"type":"NFKC"},{"type":"Replace","pattern":{"String":"a"},"content":"bb"}]}"#),
        (0, r#"{"type":"Precompiled","precompiled_charsmap":"AAAA"}"#),
        (1, r#"{"type":"Split","pattern":{"Regex":"\\s+|\\w"},"behavior":"Isolated","invert":false}"#),
        (
            3,
            r#"{"type":"Sequence","decoders":[{"type":"ByteFallback"},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]}"#,
        ),
        (4, r#"[{"id":5,"content":"<x>","special":true,"lstrip":false,"rstrip":true,"normalized":false,"single_word":false}]"#),
    ];
    let stage = |(at, json): &(u8, &str)| [&[2, 0, 0, *at, 0], json.as_bytes()].concat();
    let mut seeds: Vec<Vec<u8>> = stages.iter().map(stage).collect();
    seeds.extend([vec![0, 0, 0], vec![1, 1, 0], vec![0, 2, 0, 0, 9, 0, 3, 44]]);
    seeds
}
