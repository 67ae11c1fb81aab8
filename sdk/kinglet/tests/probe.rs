//! Probes in one process: an execution provider that ends it is known by its mark to the next one.
//!
//! The process that ends is this test program itself, which runs one test alone and does as it is told.
#![cfg(feature = "ort")]

use kinglet::probe::{Candidate, InProcess, ProbeOptions, Record, Verdict};
use kinglet::{CancelHandle, Engine, Kinglet, Provider};
use kinglet_testing::{Misbehaviour, misbehaving, onnxruntime, repository};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Environment variables that give the process the folder of records and the library to load.
const RECORDS: &str = "KINGLET_TEST_PROBE_RECORDS";
const LIBRARY: &str = "KINGLET_TEST_PROBE_LIBRARY";
const XNNPACK: Candidate = Candidate::Ort(Provider::Xnnpack);

fn model() -> PathBuf {
    repository().join("models/goldens/qwen2/genai")
}

/// The process of the other tests; among them it does nothing.
#[test]
fn process() {
    let (Some(records), Some(library)) = (std::env::var_os(RECORDS), std::env::var_os(LIBRARY)) else { return };
    let kinglet = Kinglet::builder().onnxruntime(library).probe_records(records).build().unwrap();
    let probe = kinglet.probe(model()).unwrap();
    assert_eq!(probe.candidates(), [Candidate::Tract, Candidate::Ort(Provider::Cpu), XNNPACK]);
    let mut trial = InProcess::new(&probe, CancelHandle::default());
    probe.run(&mut trial, &ProbeOptions::default(), |_| {}).unwrap();
}

/// Probes in a process of its own.
fn probe(records: &Path, library: &Path) -> ExitStatus {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "process"]).env(RECORDS, records).env(LIBRARY, library);
    command.output().unwrap().status
}

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn record(records: &Path) -> Record {
    let [file] = &names(records)[..] else { panic!("{:?}", names(records)) };
    serde_json::from_slice(&std::fs::read(records.join(file)).unwrap()).unwrap()
}

#[test]
fn a_provider_that_ends_the_process_is_not_tried_a_second_time() {
    let (Some(library), folder) = (onnxruntime(), tempfile::tempdir().unwrap()) else { return };
    let Some(crashing) = misbehaving(folder.path(), &library, Misbehaviour::Crashes).unwrap() else { return };
    let records = folder.path().join("records");
    assert!(!probe(&records, &crashing).success());
    let left = names(&records);
    assert!(left.len() == 1 && left[0].ends_with(".ort-xnnpack.trying"), "{left:?}");
    for _ in 0..2 {
        assert!(probe(&records, &crashing).success());
        let record = record(&records);
        let row = record.candidates.iter().find(|row| row.candidate == XNNPACK).unwrap();
        assert_eq!(row.verdict, Verdict::Crashed);
        assert!(record.fastest.is_some_and(|fastest| !fastest.is_risky()), "{record:?}");
    }
}

#[test]
fn a_provider_that_is_wrong_leaves_no_mark_and_is_not_taken() {
    let (Some(library), folder) = (onnxruntime(), tempfile::tempdir().unwrap()) else { return };
    let Some(wrong) = misbehaving(folder.path(), &library, Misbehaviour::Wrong).unwrap() else { return };
    let records = folder.path().join("records");
    assert!(probe(&records, &wrong).success());
    let record = record(&records);
    assert_eq!(record.candidates.last().map(|row| (row.candidate, row.verdict)), Some((XNNPACK, Verdict::Wrong)));
    let kinglet = Kinglet::builder().onnxruntime(wrong).probe_records(&records).build().unwrap();
    let engine = kinglet.open(model()).unwrap().report().unwrap().engine.unwrap();
    let decision = engine.decision.unwrap();
    assert_eq!((decision.taken, decision.unused), (record.taken, None));
    assert_eq!(engine.name, if record.fastest == Some(Candidate::Tract) { Engine::Tract } else { Engine::Ort }.name());
}
