//! Use of a probe's record by the engine `auto`.

use crate::kit::{NO_LIBRARY, Ran, TINY, copy, ids, kinglet_beside, library};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// A model, its record, and the library that it was taken with.
struct Probed {
    _records: tempfile::TempDir,
    library: PathBuf,
    file: PathBuf,
    /// A record that is for ONNX Runtime.
    record: Value,
}

impl Probed {
    /// Probes a model, and has ONNX Runtime win, whatever it took. `None` without its library.
    fn new(model: &str) -> Option<Probed> {
        let (library, records) = (library()?, tempfile::tempdir().unwrap());
        let folder = records.path().to_str().unwrap();
        let report = kinglet_beside(&library, &["probe", model, "--probe-records", folder, "--json"], "").json();
        let file = PathBuf::from(report["file"].as_str().unwrap());
        let mut record: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        record["fastest"] = "ort/cpu".into();
        for row in record["candidates"].as_array_mut().unwrap() {
            row["verdict"] = if row["candidate"] == "ort/cpu" { "fastest" } else { "slower" }.into();
        }
        let probed = Probed { _records: records, library, file, record };
        probed.write(&probed.record);
        Some(probed)
    }

    fn write(&self, record: &Value) {
        fs::write(&self.file, record.to_string()).unwrap();
    }

    fn run(&self, library: &Path, args: &[&str]) -> Ran {
        let folder = self.file.parent().unwrap().to_str().unwrap();
        kinglet_beside(library, &[args, &["--probe-records", folder]].concat(), "")
    }

    fn inspect(&self, model: &str) -> Value {
        self.run(&self.library, &["inspect", model, "--json"]).json()["engine"].clone()
    }
}

#[test]
fn what_a_record_found_runs_the_model_and_is_told() {
    let Some(probed) = Probed::new(TINY) else { return };
    let engine = probed.inspect(TINY);
    assert_eq!((&engine["name"], &engine["provider"]), (&"ort".into(), &"cpu".into()), "{engine}");
    let decision = &engine["decision"];
    assert_eq!((&decision["taken"], &decision["unused"]), (&probed.record["taken"], &Value::Null), "{decision}");
    assert_eq!(decision["record"], probed.file.to_str().unwrap());
    let text = probed.run(&probed.library, &["inspect", TINY]).done().out;
    let line = text.lines().find(|line| line.starts_with("record")).unwrap();
    assert!(line.contains(probed.record["taken"].as_str().unwrap()) && line.contains("decided: ort/cpu"), "{line}");

    let run = |more: &[&str]| {
        probed.run(&probed.library, &[&["run", "--raw", "-p", "a", "-n", "4", "-m", TINY, "--json"], more].concat())
    };
    assert!(!ids(&run(&[]).json(), "tokens").is_empty());
    let talk = run(&["-v"]);
    assert!(talk.code == 0, "{talk:?}");
    let named = probed.run(&probed.library, &["inspect", TINY, "--engine", "tract", "--json"]).json()["engine"].clone();
    assert_eq!((&named["name"], &named["decision"]), (&"tract".into(), &Value::Null), "who names an engine gets it");
    let exact = probed.run(&probed.library, &["inspect", TINY, "--exact", "--json"]).json()["engine"].clone();
    assert_eq!((&exact["name"], &exact["decision"]), (&"tract".into(), &Value::Null), "exact is another measurement");
}

#[test]
fn a_record_of_something_else_is_not_used() {
    let Some(probed) = Probed::new(TINY) else { return };
    for (key, value, word) in [
        ("kinglet", "0.0.9", "Kinglet 0.0.9"),
        ("onnxruntime", "1.29.0", "ONNX Runtime 1.29.0"),
        ("model", "0123", "other files"),
        ("machine", "a cage", "another machine (a cage)"),
    ] {
        let mut record = probed.record.clone();
        record[key] = value.into();
        probed.write(&record);
        let engine = probed.inspect(TINY);
        let unused = engine["decision"]["unused"].as_str().unwrap();
        assert!(engine["name"] == "tract" && unused.contains(word), "{engine}");
    }
    probed.write(&probed.record);
    let without = probed.run(Path::new(NO_LIBRARY), &["inspect", TINY, "--json"]).json()["engine"].clone();
    assert!(without["decision"]["unused"].as_str().unwrap().contains("here is none"), "{without}");
    let ran = probed.run(Path::new(NO_LIBRARY), &["run", "-p", "a", "-n", "2", "-m", TINY]);
    assert!(ran.code == 0 && ran.err.is_empty(), "{ran:?}");
    let text = probed.run(Path::new(NO_LIBRARY), &["inspect", TINY]).done().out;
    assert!(text.lines().any(|line| line.starts_with("record") && line.contains("is not used")), "{text}");
}

#[test]
fn other_bytes_of_a_model_have_another_record() {
    let model = copy();
    let path = model.path().to_str().unwrap();
    let Some(probed) = Probed::new(path) else { return };
    assert_eq!(probed.inspect(path)["name"], "ort");
    let weights = model.path().join("model.onnx.data");
    let mut bytes = fs::read(&weights).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(weights, bytes).unwrap();
    let engine = probed.inspect(path);
    assert_eq!((&engine["name"], &engine["decision"]), (&"tract".into(), &Value::Null), "{engine}");
}

#[test]
fn a_damaged_record_is_ignored_with_a_warning_and_replaced() {
    let Some(probed) = Probed::new(TINY) else { return };
    for damage in [&b"{"[..], b"", b"\xff\xfe", b"{\"form\":1}"] {
        fs::write(&probed.file, damage).unwrap();
        let ran = probed.run(&probed.library, &["run", "-p", "a", "-n", "2", "-m", TINY]);
        assert!(ran.code == 0 && ran.err.contains("is not used") && ran.err.contains("probe the model again"), "{ran:?}");
    }
    let replaced = probed.run(&probed.library, &["probe", TINY]);
    assert!(replaced.code == 0 && replaced.err.contains("probe the model again"), "{replaced:?}");
    probed.run(&probed.library, &["run", "-p", "a", "-n", "2", "-m", TINY]).done();
}

#[test]
fn a_provider_that_a_record_names_and_the_library_lacks_is_not_taken() {
    let Some(probed) = Probed::new(TINY) else { return };
    let mut record = probed.record.clone();
    record["fastest"] = "ort/qnn".into();
    for row in record["candidates"].as_array_mut().unwrap().iter_mut().filter(|row| row["candidate"] == "ort/cpu") {
        row["candidate"] = "ort/qnn".into();
    }
    probed.write(&record);
    let engine = probed.inspect(TINY);
    assert_eq!(engine["name"], "tract", "{engine}");
    assert!(engine["refused"][0]["reason"].as_str().unwrap().contains("no provider `qnn`"), "{engine}");
}
