use super::super::record::{FORM, Row, Verdict};
use super::*;
use crate::Provider;

const RISKY: Candidate = Candidate::Ort(Provider::Xnnpack);

/// A place in a folder that is not there yet.
fn place(folder: &Path) -> Place {
    let subject = Subject { model: "feather".into(), machine: "a nest".into(), exact: false };
    Place { folder: folder.join("made/when/needed"), stem: "feather-nest".into(), subject }
}

pub(super) fn record() -> Record {
    let taken = "2026-11-30T09:15:00Z".to_owned();
    let row = |candidate, verdict| Row { candidate, verdict, reason: None, tried: taken.clone(), figures: None };
    Record {
        form: FORM,
        kinglet: env!("CARGO_PKG_VERSION").into(),
        onnxruntime: Some("1.32.0".into()),
        model: "feather".into(),
        machine: "a nest".into(),
        exact: false,
        taken: taken.clone(),
        fastest: Some(Candidate::Tract),
        candidates: vec![row(Candidate::Tract, Verdict::Fastest), row(RISKY, Verdict::Crashed)],
    }
}

fn files(place: &Place) -> Vec<String> {
    let entries = fs::read_dir(&place.folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_record_is_read_as_it_was_written_and_replaced_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    assert!(place.read().is_none() && files(&place).is_empty(), "nothing is made by reading");
    for fastest in [Some(Candidate::Tract), None] {
        let mut record = record();
        record.fastest = fastest;
        record.candidates[0].verdict = if fastest.is_some() { Verdict::Fastest } else { Verdict::Failed };
        place.write(&record).unwrap();
        assert_eq!(place.read(), Some(record));
        assert_eq!(files(&place), ["feather-nest.probe.json"]);
    }
}

#[test]
fn what_is_damaged_is_not_read_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    place.write(&record()).unwrap();
    let good = fs::read_to_string(place.file()).unwrap();
    let edited = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        good.replacen(from, to, 1).into_bytes()
    };
    let damages = [
        vec![],
        b"{".to_vec(),
        b"[]".to_vec(),
        vec![0xff; 100],
        vec![b' '; Kind::Record.limit_bytes() as usize + 1],
        good.as_bytes()[..good.len() / 2].to_vec(),
        edited("\"form\": 1", "\"form\": 2"),
        edited("\"fastest\": \"tract\"", "\"fastest\": \"ort/xnnpack\""),
        edited("\"fastest\": \"tract\"", "\"fastest\": null"),
        edited("\"fastest\": \"tract\"", "\"fastest\": \"steam\""),
        edited("\"verdict\": \"crashed\"", "\"verdict\": \"odd\""),
        edited("2026-11-30T09:15:00Z", "yesterday"),
        edited("\"kinglet\"", "\"nightingale\""),
    ];
    for damage in damages {
        fs::write(place.file(), &damage).unwrap();
        assert!(place.read().is_none(), "{:?}", String::from_utf8_lossy(&damage[..damage.len().min(60)]));
        place.write(&record()).unwrap();
        assert_eq!(place.read(), Some(record()));
    }
    fs::remove_file(place.file()).unwrap();
    fs::create_dir(place.file()).unwrap();
    assert!(place.read().is_none(), "a folder is no record");
    assert!(matches!(place.write(&record()), Err(Error::Storage(_))));
}

#[test]
fn a_record_of_something_else_says_what_differs() {
    let subject = place(Path::new("")).subject;
    let version = || Some("1.32.0".to_owned());
    assert_eq!(record().misfit(&subject, version), None);
    struct Case(fn(&mut Record), &'static str);
    for Case(change, word) in [
        Case(|record| record.kinglet = "0.0.9".into(), "Kinglet 0.0.9"),
        Case(|record| record.model = "stone".into(), "other files of the model"),
        Case(|record| record.machine = "a cage".into(), "another machine (a cage)"),
        Case(|record| record.exact = true, "another way to multiply"),
        Case(|record| record.onnxruntime = Some("1.31.0".into()), "ONNX Runtime 1.31.0, and here is 1.32.0"),
        Case(|record| record.onnxruntime = None, "ONNX Runtime none, and here is 1.32.0"),
    ] {
        let mut record = record();
        change(&mut record);
        let said = record.misfit(&subject, version).unwrap_or_default();
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(record().misfit(&subject, || None).unwrap().contains("here is none"));
}

#[test]
fn a_mark_counts_once_nobody_holds_it_and_until_a_record_tells_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let place = place(folder.path());
    let mark = place.mark(RISKY).unwrap();
    assert_eq!(files(&place), ["feather-nest.ort-xnnpack.trying"]);
    assert_eq!(place.crashed(RISKY), None, "it is being tried");
    mark.clear();
    assert!(files(&place).is_empty());
    // As when a process ends.
    drop(place.mark(RISKY).unwrap());
    assert!(place.crashed(RISKY).is_some() && place.crashed(Candidate::Ort(Provider::Nnapi)).is_none());
    let mut silent = record();
    silent.candidates.truncate(1);
    place.write(&silent).unwrap();
    assert!(place.crashed(RISKY).is_some(), "the record says nothing of it");
    place.write(&record()).unwrap();
    assert_eq!(files(&place), ["feather-nest.probe.json"]);
}

#[test]
fn a_folder_that_takes_nothing_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("made"), "no folder").unwrap();
    let place = place(folder.path());
    assert!(place.read().is_none() && place.crashed(RISKY).is_none());
    for error in [place.write(&record()).unwrap_err(), place.mark(RISKY).unwrap_err()] {
        assert!(matches!(error, Error::Storage(_)) && error.to_string().contains("name another folder"), "{error}");
    }
}
