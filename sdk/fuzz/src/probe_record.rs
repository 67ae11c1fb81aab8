//! The record of a probe, read when a model is opened by whichever engine is fastest.

use crate::bytes::{Choices, changed};
use crate::folder::{Scratch, golden};
use kinglet::{Engine, Kinglet};
use std::sync::LazyLock;

/// The folder of records, with one record of any model under the name that the golden's has.
static RECORDS: LazyLock<(Scratch, std::path::PathBuf, Vec<u8>)> = LazyLock::new(|| {
    let records = Scratch::new();
    let kinglet = Kinglet::builder().engine(Engine::Auto).probe_records(records.path()).build().expect("a builder");
    let probe = kinglet.probe(golden("qwen2/genai")).expect("a golden may be probed");
    let file = probe.file();
    let valid = serde_json::json!({
        "form": 1, "kinglet": "0.1.0", "onnxruntime": null, "model": "0", "machine": "any", "exact": false,
        "taken": "2026-11-30T09:15:00Z", "fastest": {"engine": "tract"}, "candidates": []
    });
    (records, file, serde_json::to_vec(&valid).unwrap_or_default())
});

pub(crate) fn run(bytes: &[u8]) {
    let (records, file, valid) = &*RECORDS;
    let mut choices = Choices::new(bytes);
    let content = if choices.one_in(2) { changed(valid, &mut choices) } else { choices.rest().to_vec() };
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder).expect("room for a folder");
    }
    std::fs::write(file, content).expect("room for a file");
    let kinglet = Kinglet::builder().engine(Engine::Auto).probe_records(records.path()).build().expect("a builder");
    kinglet.open(golden("qwen2/genai")).expect("a damaged record is no error");
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    vec![vec![0], vec![1, b'{', b'}'], vec![0, 0, 0, 9, 5], vec![1, b'[']]
}
