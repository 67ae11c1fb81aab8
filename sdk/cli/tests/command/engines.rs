//! Which engine runs a model: the one that was asked for, or the first that can.

use crate::kit::{NO_LIBRARY, Ran, TINY, ids, kinglet, kinglet_beside, library, repository};
use std::fs;

/// A copy of a golden model with an operator that ONNX Runtime has and the embedded engine refuses.
fn for_onnxruntime_alone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(repository().join(TINY)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    let graph = folder.path().join("model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    let (from, to) = (b"Sigmoid", b"Hardmax");
    let places: Vec<usize> = bytes.windows(from.len()).enumerate().filter(|(_, w)| w == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to));
    fs::write(&graph, bytes).unwrap();
    folder
}

#[test]
fn both_engines_give_the_same_tokens() {
    let Some(library) = library() else { return };
    let run = |model: &str, engine: &str| -> Ran {
        kinglet_beside(
            &library,
            &["run", "--raw", "-p", "The tide", "-n", "24", "-m", model, "--engine", engine, "--exact", "--json"],
            "",
        )
    };
    for model in [TINY, "models/goldens/qwen2/optimum"] {
        let [tract, ort] = ["tract", "ort"].map(|engine| run(model, engine).json());
        assert_eq!(ids(&tract, "tokens"), ids(&ort, "tokens"), "{model}");
        assert!(!ids(&tract, "tokens").is_empty());
    }
}

#[test]
fn every_task_runs_on_the_other_engine() {
    let Some(library) = library() else { return };
    let run = |args: &[&str], stdin: &str| kinglet_beside(&library, &[args, &["--engine", "ort"]].concat(), stdin);
    assert!(!run(&["reply", "Are you open on Sundays?", "--json"], "").json()["replies"].as_array().unwrap().is_empty());
    let checks = run(&["doctor", "--json"], "").json();
    assert_eq!(checks["failed"], 0, "{checks}");
    let chat = run(&["chat", "-p", "Good morning", "-n", "8", "-m", TINY, "--json"], "");
    assert_eq!(chat.code, 0, "{chat:?}");
}

#[test]
fn a_model_that_the_embedded_engine_refuses_is_run_by_the_other() {
    let folder = for_onnxruntime_alone();
    let model = folder.path().to_str().unwrap();
    kinglet(&["run", "-p", "a", "-m", model, "--engine", "tract"]).refused(&["Hardmax"]);
    let alone = kinglet(&["inspect", model, "--json"]).json();
    let reason = alone["unsupported"].as_str().unwrap();
    assert!(alone["engine"].is_null() && reason.contains("Hardmax"), "{alone}");
    if cfg!(feature = "ort") {
        assert!(reason.contains(NO_LIBRARY), "{reason}");
    }

    let Some(library) = library() else { return };
    let report = kinglet_beside(&library, &["inspect", model, "--json"], "").json();
    assert_eq!(report["engine"]["name"], "ort", "{report}");
    let refused = &report["engine"]["refused"][0];
    assert_eq!(refused["engine"], "tract");
    assert!(refused["reason"].as_str().unwrap().contains("Hardmax"), "{refused}");
    let text = kinglet_beside(&library, &["inspect", model], "").done().out;
    assert!(text.lines().any(|line| line.starts_with("not by") && line.contains("Hardmax")), "{text}");
    let ran = kinglet_beside(&library, &["run", "--raw", "-p", "The tide", "-n", "5", "-m", model, "--json"], "").json();
    assert!(!ids(&ran, "tokens").is_empty());
}

#[test]
fn the_library_writes_nothing_and_sends_nothing() {
    let Some(library) = library() else { return };
    let home = tempfile::tempdir().unwrap();
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
    for variable in ["ORT_DISABLE_TELEMETRY", "CI", "XDG_CACHE_HOME", "XDG_DATA_HOME"] {
        command.env_remove(variable);
    }
    command.env("HOME", home.path()).env("ORT_DYLIB_PATH", library).current_dir(repository());
    command.args(["run", "-p", "a", "-n", "2", "-m", TINY, "--engine", "ort"]).assert().success();
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn where_both_can_the_embedded_one_runs() {
    let Some(library) = library() else { return };
    let report = kinglet_beside(&library, &["inspect", TINY, "--json"], "").json();
    assert_eq!((&report["engine"]["name"], report["engine"]["refused"].as_array().unwrap().len()), (&"tract".into(), 0));
}

#[test]
fn doctor_says_where_the_library_is_or_was_looked_for() {
    let check = |ran: Ran| -> serde_json::Value {
        let report: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
        report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "ort").unwrap().clone()
    };
    let absent = check(kinglet(&["doctor", "--json"]));
    assert_eq!(absent["result"], "absent");
    if cfg!(feature = "ort") {
        assert!(absent["detail"].as_str().unwrap().contains(NO_LIBRARY), "{absent}");
        let asked = kinglet(&["doctor", "--engine", "ort", "--json"]);
        assert_eq!((asked.code, &check(asked)["result"]), (1, &"fail".into()));
    }
    let Some(library) = library() else { return };
    let found = check(kinglet_beside(&library, &["doctor", "--json"], ""));
    assert_eq!(found["result"], "pass");
    let detail = found["detail"].as_str().unwrap();
    assert!(detail.contains(library.to_str().unwrap()) && detail.contains("ONNX Runtime 1."), "{detail}");
}
