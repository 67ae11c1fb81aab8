//! `probe`: whatever an execution provider does, what is left is a verdict.

use crate::kit::{NO_LIBRARY, Ran, TINY, copy, keys, kinglet, kinglet_beside, library};
use kinglet_testing::{Misbehaviour, misbehaving};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// Runs `probe` on the tiny model with records in `folder`.
fn probe(library: &Path, folder: &Path, more: &[&str]) -> Ran {
    let records = folder.join("records");
    kinglet_beside(library, &[&["probe", TINY, "--probe-records", records.to_str().unwrap()], more].concat(), "")
}

fn row<'r>(report: &'r Value, candidate: &str) -> &'r Value {
    let rows = report["candidates"].as_array().unwrap();
    rows.iter().find(|row| row["candidate"] == candidate).unwrap_or_else(|| panic!("no {candidate} in {report}"))
}

/// A library that claims to have XNNPACK, where one can be made.
fn claiming(folder: &Path, misbehaviour: Misbehaviour) -> Option<PathBuf> {
    misbehaving(folder, &library()?, misbehaviour).unwrap()
}

/// The row of a provider that misbehaves; the engines on the CPU must not suffer.
fn verdict(misbehaviour: Misbehaviour, more: &[&str]) -> Option<Value> {
    let folder = tempfile::tempdir().unwrap();
    let library = claiming(folder.path(), misbehaviour)?;
    let report = probe(&library, folder.path(), &[more, &["--json"]].concat()).json();
    for cpu in ["tract", "ort/cpu"] {
        let verdict = row(&report, cpu)["verdict"].as_str().unwrap();
        assert!(["fastest", "slower"].contains(&verdict), "{misbehaviour:?}: {report}");
    }
    Some(row(&report, "ort/xnnpack").clone())
}

#[test]
fn without_onnxruntime_the_embedded_engine_is_measured_alone() {
    let folder = tempfile::tempdir().unwrap();
    let report = probe(Path::new(NO_LIBRARY), folder.path(), &["--json"]).json();
    let all = ["folder", "file", "form", "kinglet", "onnxruntime", "model", "machine", "exact", "taken", "fastest", "candidates"];
    assert_eq!((keys(&report), &report["fastest"], &report["onnxruntime"]), (all.to_vec(), &"tract".into(), &Value::Null));
    let tract = row(&report, "tract");
    assert_eq!(keys(tract), ["candidate", "verdict", "reason", "tried", "figures"]);
    let rates = ["open_ms", "prefill_tokens_per_second", "decode_tokens_per_second"];
    assert_eq!(keys(&tract["figures"]), [&rates[..], &["relative_difference", "same_first", "positions"]].concat());
    assert!(rates.iter().all(|rate| tract["figures"][rate].as_f64().unwrap() > 0.0), "{tract}");
    if cfg!(feature = "ort") {
        let cpu = row(&report, "ort/cpu");
        assert_eq!(cpu["verdict"], "refused");
        assert!(cpu["reason"].as_str().unwrap().contains(NO_LIBRARY), "{cpu}");
    }
    let kept: Value = serde_json::from_slice(&fs::read(report["file"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(kept["candidates"], report["candidates"]);
    let text = probe(Path::new(NO_LIBRARY), folder.path(), &[]).done().out;
    assert!(text.lines().any(|line| line.starts_with("tract ") && line.contains("tok/s of an answer")), "{text}");
    assert!(text.lines().last().unwrap().starts_with("fastest: tract"), "{text}");
}

#[test]
fn both_engines_are_measured_and_agree() {
    let (Some(library), folder) = (library(), tempfile::tempdir().unwrap()) else { return };
    let report = probe(&library, folder.path(), &["--json"]).json();
    let names: Vec<&str> =
        report["candidates"].as_array().unwrap().iter().map(|row| row["candidate"].as_str().unwrap()).collect();
    assert_eq!(names[..2], ["tract", "ort/cpu"]);
    let figures = &row(&report, "ort/cpu")["figures"];
    assert_eq!((&figures["same_first"], &figures["positions"]), (&16.into(), &16.into()), "{report}");
    assert!(figures["relative_difference"].as_f64().unwrap() < 0.1, "{report}");
    assert!(names.contains(&report["fastest"].as_str().unwrap()), "{report}");
}

#[test]
fn a_provider_that_is_wrong_slow_or_refuses_does_not_win() {
    struct Case(Misbehaviour, &'static str, &'static str);
    for Case(misbehaviour, expected, word) in [
        Case(Misbehaviour::Wrong, "wrong", "logits differ"),
        Case(Misbehaviour::Slow, "slower", ""),
        Case(Misbehaviour::Refuses, "refused", "no machine for a wren"),
    ] {
        let Some(row) = verdict(misbehaviour, &[]) else { return };
        assert_eq!(row["verdict"], expected, "{row}");
        assert!(row["reason"].as_str().unwrap_or_default().contains(word), "{row}");
        assert_eq!(row["figures"].is_null(), misbehaviour == Misbehaviour::Refuses, "{row}");
    }
    let Some(sound) = verdict(Misbehaviour::None, &[]) else { return };
    assert!(["fastest", "slower"].contains(&sound["verdict"].as_str().unwrap()), "{sound}");
}

#[test]
fn a_provider_that_hangs_is_ended() {
    let Some(row) = verdict(Misbehaviour::Hangs, &["--timeout", "8"]) else { return };
    assert_eq!((&row["verdict"], &row["figures"]), (&"hung".into(), &Value::Null), "{row}");
    assert!(row["reason"].as_str().unwrap().contains("8 seconds"), "{row}");
}

#[test]
fn a_provider_that_crashes_is_remembered_until_it_is_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = claiming(folder.path(), Misbehaviour::Crashes) else { return };
    let first = probe(&library, folder.path(), &["--json"]).json();
    let crashed = row(&first, "ort/xnnpack");
    assert_eq!((&crashed["verdict"], &crashed["figures"]), (&"crashed".into(), &Value::Null), "{first}");
    assert!(crashed["reason"].as_str().unwrap().contains("signal"), "{crashed}");

    // A provider that crashed is not tried again without `--again`.
    let file = first["file"].as_str().unwrap();
    let old = fs::read_to_string(file).unwrap().replace(first["taken"].as_str().unwrap(), "2026-01-31T12:00:00Z");
    fs::write(file, old).unwrap();
    let second = probe(&library, folder.path(), &["--json"]).json();
    assert_eq!(row(&second, "ort/xnnpack")["tried"], "2026-01-31T12:00:00Z", "{second}");
    assert_ne!(row(&second, "tract")["tried"], "2026-01-31T12:00:00Z");
    let text = probe(&library, folder.path(), &[]).done().out;
    assert!(text.contains("tried at 2026-01-31T12:00:00Z; --again tries it again"), "{text}");
    let third = probe(&library, folder.path(), &["--again", "--json"]).json();
    let again = row(&third, "ort/xnnpack");
    assert_eq!((&again["verdict"], &again["tried"]), (&"crashed".into(), &third["taken"]), "{third}");
}

#[test]
fn a_model_that_nothing_runs_fails_and_is_told() {
    let (model, folder) = (copy(), tempfile::tempdir().unwrap());
    let graph = model.path().join("model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    let places: Vec<usize> = bytes.windows(7).enumerate().filter(|(_, w)| w == b"Sigmoid").map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at..at + 7].copy_from_slice(b"Hardmax"));
    fs::write(graph, bytes).unwrap();
    let records = folder.path().to_str().unwrap();
    let ran = kinglet(&["probe", model.path().to_str().unwrap(), "--probe-records", records, "--json"]);
    assert_eq!((ran.code, ran.err.contains("nothing runs the model")), (1, true), "{ran:?}");
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert!(report["fastest"].is_null() && row(&report, "tract")["reason"].as_str().unwrap().contains("Hardmax"), "{report}");
}

#[test]
fn what_cannot_be_probed_is_refused() {
    kinglet(&["probe", "no/such/folder"]).refused(&["no folder `no/such/folder`"]);
    kinglet(&["probe", TINY, "--probe-records", "Cargo.toml"]).refused(&["Cargo.toml", "name another folder"]);
    kinglet(&["run", "-p", "a", "-m", TINY, "--engine", "tract", "--provider", "cpu"])
        .refused(&["provider `cpu`", "leave it out"]);
    let Some(library) = library() else { return };
    let run = |provider: &str| kinglet_beside(&library, &["run", "-p", "a", "-n", "2", "-m", TINY, "--provider", provider], "");
    run("nnapi").refused(&["no provider `nnapi`", "built without it", "offers: cpu", library.to_str().unwrap()]);
    run("cpu").done();
}
