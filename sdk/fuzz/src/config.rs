//! The JSON files of a model folder: single numbers changed, fields replaced, bytes damaged.

use crate::bytes::{Choices, changed};
use crate::folder::{Scratch, golden_file};
use kinglet::Kinglet;
use serde_json::Value;
use std::sync::{LazyLock, Mutex};

const FILES: [(&str, &str); 4] = [
    ("qwen2/optimum", "config.json"),
    ("qwen2/optimum", "generation_config.json"),
    ("qwen2/optimum", "tokenizer_config.json"),
    ("qwen2/genai", "genai_config.json"),
];

static FOLDERS: LazyLock<Mutex<[Scratch; 2]>> =
    LazyLock::new(|| Mutex::new([Scratch::of_golden("qwen2/optimum"), Scratch::of_golden("qwen2/genai")]));

pub(crate) fn run(bytes: &[u8]) {
    let mut choices = Choices::new(bytes);
    let (folder, name) = FILES[choices.below(FILES.len())];
    let valid = golden_file(&format!("{folder}/{name}"));
    let content = match choices.byte() % 3 {
        0 => changed(&valid, &mut choices),
        1 => choices.rest().to_vec(),
        _ => with_other_fields(&valid, &mut choices),
    };
    let folders = FOLDERS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let scratch = &folders[usize::from(folder.ends_with("genai"))];
    scratch.write(name, &content);
    let opened = Kinglet::builder().context(64).build().and_then(|kinglet| {
        let _ = kinglet.inspect(scratch.path());
        kinglet.open(scratch.path())
    });
    if let Err(error) = opened {
        assert!(!error.to_string().is_empty());
    }
    scratch.write(name, &valid);
}

pub(crate) fn with_other_fields(valid: &[u8], choices: &mut Choices<'_>) -> Vec<u8> {
    let Ok(mut file) = serde_json::from_slice::<Value>(valid) else { return vec![] };
    for _ in 0..4 {
        replace_one(&mut file, choices, 6);
    }
    serde_json::to_vec(&file).unwrap_or_default()
}

/// Replaces one value somewhere in the tree.
fn replace_one(value: &mut Value, choices: &mut Choices<'_>, depth: usize) {
    let inner = match value {
        Value::Object(fields) if depth > 0 && !fields.is_empty() => {
            let at = choices.below(fields.len());
            fields.values_mut().nth(at)
        }
        Value::Array(items) if depth > 0 && !items.is_empty() => {
            let at = choices.below(items.len());
            items.get_mut(at)
        }
        _ => None,
    };
    match inner {
        Some(inner) => replace_one(inner, choices, depth - 1),
        None => *value = other(choices),
    }
}

fn other(choices: &mut Choices<'_>) -> Value {
    match choices.byte() % 8 {
        0 => Value::Null,
        1 => Value::from(choices.int()),
        2 => Value::from(f64::from(choices.float())),
        3 => Value::from(vec![choices.int(), choices.int()]),
        4 => Value::from("%d%d\u{1b}[31m"),
        5 => Value::from(true),
        6 => serde_json::json!({"a": [{"b": {}}]}),
        _ => Value::from(choices.below(5000)),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    (0..FILES.len() as u8)
        .flat_map(|file| [vec![file, 0, 0], vec![file, 0, 2, 5, 0, 1, 1, 9], vec![file, 0, 1, b'{', b'}']])
        .collect()
}
