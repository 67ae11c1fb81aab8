//! Models that are not there, damaged or of another kind: exit code 1 and one sentence.

use crate::kit::{TINY, copy, kinglet};
use std::fs;
use std::path::Path;

fn edit(folder: &Path, file: &str, from: &str, to: &str) {
    let path = folder.join(file);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {file}");
    fs::write(path, text.replace(from, to)).unwrap();
}

fn run(model: &Path) -> crate::kit::Ran {
    kinglet(&["run", "-p", "a", "-n", "1", "-m", model.to_str().unwrap()])
}

#[test]
fn paths_and_names_that_lead_nowhere() {
    let empty = tempfile::tempdir().unwrap();
    for (model, words) in [
        ("no/such/folder", &["no folder `no/such/folder`"] as &[&str]),
        ("no-such-model", &["no-such-model", "KINGLET_MODELS", "models/no-such-model", "docs/models.md"]),
        ("onnx-community/no-such-model", &["no folder", "downloads nothing", "docs/models.md"]),
        ("no-such-model.gguf", &["GGUF", "docs/models.md"]),
        ("no/such/model.safetensors", &["PyTorch", "docs/models.md"]),
        ("Cargo.toml", &["`Cargo.toml` is a file"]),
        ("models/goldcrest/model.onnx", &["is a file", "`models/goldcrest`"]),
        ("models", &["holds no ONNX model", "open `models/"]),
        (empty.path().to_str().unwrap(), &["is empty"]),
    ] {
        for verb in [&["run", "-p", "a"] as &[&str], &["inspect"], &["bench"], &["tokenize"]] {
            kinglet(&[verb, &["-m", model]].concat()).refused(words);
        }
    }
}

#[test]
fn damaged_models() {
    type Damage = fn(&Path);
    for (damage, words) in [
        (
            (|folder| fs::remove_file(folder.join("model.onnx.data")).unwrap()) as Damage,
            &["model.onnx.data", "missing"] as &[&str],
        ),
        (|folder| fs::write(folder.join("model.onnx"), "no protobuf at all").unwrap(), &["model.onnx", "ONNX"]),
        (|folder| fs::write(folder.join("model.onnx"), "").unwrap(), &["model.onnx", "empty"]),
        (|folder| fs::write(folder.join("genai_config.json"), "{").unwrap(), &["genai_config.json"]),
        (|folder| edit(folder, "genai_config.json", "\"model.onnx\"", "\"../model.onnx\""), &["../model.onnx", "not inside"]),
        (|folder| fs::write(folder.join("tokenizer.json"), "{").unwrap(), &["tokenizer.json", "JSON"]),
        (|folder| fs::remove_file(folder.join("tokenizer.json")).unwrap(), &["tokenizer.json"]),
    ] {
        let folder = copy();
        damage(folder.path());
        run(folder.path()).refused(words);
    }
    run(copy().path()).done();
}

#[test]
fn a_type_that_nobody_knows_runs_where_its_graph_is_known() {
    let folder = copy();
    edit(folder.path(), "genai_config.json", "\"qwen2\"", "\"marvel\"");
    run(folder.path()).done();
    // Where the graph is not known either, the node is named, and what is known of the type.
    let graph = folder.path().join("model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    let places: Vec<usize> = bytes.windows(7).enumerate().filter(|(_, w)| w == b"Sigmoid").map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at..at + 7].copy_from_slice(b"Hardmax"));
    fs::write(&graph, bytes).unwrap();
    run(folder.path()).refused(&["(Hardmax)"]);
    edit(folder.path(), "genai_config.json", "\"marvel\"", "\"mixtral\"");
    run(folder.path()).refused(&["(Hardmax)", "`mixtral`: it has a mixture of experts"]);
}

#[test]
fn numbers_that_only_python_has_are_read() {
    let folder = copy();
    edit(folder.path(), "tokenizer.json", "\"truncation\":null", "\"truncation\":NaN");
    for file in ["genai_config.json", "tokenizer_config.json"] {
        let text = fs::read_to_string(folder.path().join(file)).unwrap();
        fs::write(folder.path().join(file), text.replacen('{', "{\"x\": [NaN, Infinity, -Infinity], ", 1)).unwrap();
    }
    run(folder.path()).done();
    edit(folder.path(), "genai_config.json", "Infinity,", "Infinite,");
    run(folder.path()).refused(&["genai_config.json", "line 1", "correct it there"]);
}

#[test]
fn a_model_without_a_tokenizer_takes_and_gives_tokens() {
    let folder = copy();
    fs::remove_file(folder.path().join("tokenizer.json")).unwrap();
    let model = folder.path().to_str().unwrap();
    let out = folder.path().join("logits.npy");
    kinglet(&["logits", "--ids", "1,2", "-m", model, "--out", out.to_str().unwrap()]).done();
    assert!(out.is_file());
    let report = kinglet(&["inspect", model, "--json"]).json();
    assert!(report["text"]["unusable"].as_str().unwrap().contains("tokenizer.json"), "{report}");
}

#[test]
fn a_model_without_a_template_does_not_chat() {
    let folder = copy();
    fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    kinglet(&["chat", "-p", "hello", "-m", folder.path().to_str().unwrap()]).refused(&["no chat template"]);
}

#[test]
fn engines_variants_and_budgets_that_cannot_be_had() {
    let no_engine: &[&str] = if cfg!(feature = "ort") {
        &["ort", crate::kit::NO_LIBRARY, "pip download onnxruntime"]
    } else {
        &["ort", "not part of this build"]
    };
    for (args, words) in [
        (&["--engine", "ort"] as &[&str], no_engine),
        (&["--variant", "q2"], &["no variant `q2`", "model"]),
        (&["--memory-budget", "1kB"], &["1.0 kB", "at least", "context of 128"]),
    ] {
        kinglet(&[&["run", "-p", "a", "-m", TINY], args].concat()).refused(words);
    }
}

#[test]
fn doctor_names_the_check_that_failed() {
    let folder = copy();
    fs::remove_file(folder.path().join("model.onnx.data")).unwrap();
    let ran = kinglet(&["doctor", folder.path().to_str().unwrap(), "--json"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["failed"], 1);
    let result = |name: &str| {
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}"))["result"].clone()
    };
    assert_eq!((result("processor"), result("folder"), result("step")), ("pass".into(), "fail".into(), "skipped".into()));
}
