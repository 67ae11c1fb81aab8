use super::*;
use crate::{CancelHandle, Logits, Threads};
use std::fs;
use std::time::Duration;

const XNNPACK: Candidate = Candidate::Ort(Provider::Xnnpack);
const NNAPI: Candidate = Candidate::Ort(Provider::Nnapi);
const CPU: Candidate = Candidate::Ort(Provider::Cpu);

/// Behaviour of the fake for a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Tokens a second, of prompts and of answers alike.
    Runs(f64),
    Wrong,
    NoNumbers,
    OtherShape,
    Refuses,
    Fails,
    Crashes,
    Hangs,
    IsCancelled,
}

/// Candidates that do what the test wants.
struct Fake {
    does: Vec<(Candidate, Does)>,
    tried: Vec<Candidate>,
}

impl Fake {
    fn new(does: &[(Candidate, Does)]) -> Fake {
        Fake { does: does.to_vec(), tried: vec![] }
    }
}

impl Trial for Fake {
    fn attempt(&mut self, candidate: Candidate) -> Result<Measured, Setback> {
        self.tried.push(candidate);
        let (_, does) = self.does.iter().find(|(known, _)| *known == candidate).unwrap();
        let run = |rate: f64, values: Vec<f32>| Measured {
            open: Duration::from_millis(5),
            prefill_tokens_per_second: rate,
            decode_tokens_per_second: rate,
            logits: Logits { positions: values.len() / 3, vocabulary: 3, values },
        };
        match does {
            Does::Runs(rate) => Ok(run(*rate, vec![1.0, 2.0, 9.0])),
            Does::Wrong => Ok(run(1e6, vec![9.0, 2.0, 1.0])),
            Does::NoNumbers => Ok(run(1e6, vec![1.0, f32::NAN, 9.0])),
            Does::OtherShape => Ok(run(1e6, vec![1.0, 2.0, 9.0, 1.0, 2.0, 9.0])),
            Does::Refuses => Err(Setback::Refused("not here".into())),
            Does::Fails => Err(Setback::Failed("odd".into())),
            Does::Crashes => Err(Setback::Crashed("signal 6".into())),
            Does::Hangs => Err(Setback::Hung(Duration::from_secs(120))),
            Does::IsCancelled => Err(Setback::Cancelled),
        }
    }
}

fn tiny() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldens/qwen2/genai")
}

/// A probe with records in `folder`, of whatever candidates.
fn probe(folder: &Path, candidates: &[Candidate]) -> Probe {
    let builder = Kinglet::builder().threads(Threads::Exactly(1)).onnxruntime("/no/such/library").probe_records(folder);
    let probe = builder.build().unwrap().probe(tiny()).unwrap();
    Probe { candidates: candidates.to_vec(), ..probe }
}

fn run(probe: &Probe, fake: &mut Fake) -> Record {
    probe.run(fake, &ProbeOptions::default(), |_| {}).unwrap()
}

fn verdicts(record: &Record) -> Vec<(Candidate, Verdict)> {
    record.candidates.iter().map(|row| (row.candidate, row.verdict)).collect()
}

#[test]
fn the_fastest_of_those_that_are_right_wins() {
    use Does::*;
    use Verdict as V;
    struct Case(&'static [(Candidate, Does)], Option<Candidate>, &'static [Verdict]);
    for Case(does, winner, expected) in [
        Case(&[(Candidate::Tract, Runs(100.0)), (CPU, Runs(50.0))], Some(Candidate::Tract), &[V::Fastest, V::Slower]),
        Case(&[(Candidate::Tract, Runs(50.0)), (CPU, Runs(100.0))], Some(CPU), &[V::Slower, V::Fastest]),
        Case(&[(Candidate::Tract, Runs(100.0)), (XNNPACK, Runs(103.0))], Some(Candidate::Tract), &[V::Fastest, V::Slower]),
        Case(&[(Candidate::Tract, Runs(100.0)), (XNNPACK, Runs(110.0))], Some(XNNPACK), &[V::Slower, V::Fastest]),
        Case(&[(Candidate::Tract, Refuses), (CPU, Runs(1.0))], Some(CPU), &[V::Refused, V::Fastest]),
        Case(&[(Candidate::Tract, Runs(1.0)), (XNNPACK, Wrong)], Some(Candidate::Tract), &[V::Fastest, V::Wrong]),
        Case(&[(Candidate::Tract, Runs(1.0)), (XNNPACK, NoNumbers)], Some(Candidate::Tract), &[V::Fastest, V::Wrong]),
        Case(&[(Candidate::Tract, Runs(1.0)), (XNNPACK, OtherShape)], Some(Candidate::Tract), &[V::Fastest, V::Wrong]),
        Case(&[(Candidate::Tract, NoNumbers), (CPU, Runs(1.0))], Some(CPU), &[V::Wrong, V::Fastest]),
        Case(
            &[(Candidate::Tract, Runs(1.0)), (NNAPI, Crashes), (XNNPACK, Hangs)],
            Some(Candidate::Tract),
            &[V::Fastest, V::Crashed, V::Hung],
        ),
        Case(&[(Candidate::Tract, Fails), (CPU, Refuses)], None, &[V::Failed, V::Refused]),
        Case(&[(Candidate::Tract, Runs(0.0))], None, &[V::Slower]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let candidates: Vec<Candidate> = does.iter().map(|(candidate, _)| *candidate).collect();
        let probe = probe(folder.path(), &candidates);
        let record = run(&probe, &mut Fake::new(does));
        assert_eq!(record.fastest, winner, "{does:?}");
        assert_eq!(verdicts(&record), candidates.into_iter().zip(expected.iter().copied()).collect::<Vec<_>>(), "{does:?}");
        assert_eq!(probe.place.read(), Some(record), "what is told is what is kept");
    }
}

#[test]
fn rows_say_why_and_by_how_much() {
    let folder = tempfile::tempdir().unwrap();
    let does = [(Candidate::Tract, Does::Runs(64.0)), (CPU, Does::Runs(32.0)), (XNNPACK, Does::Wrong), (NNAPI, Does::Hangs)];
    let record = run(&probe(folder.path(), &does.map(|(candidate, _)| candidate)), &mut Fake::new(&does));
    let [tract, cpu, xnnpack, nnapi] = &record.candidates[..] else { panic!("{record:?}") };
    let figures = |row: &Row| row.figures.unwrap();
    assert_eq!((figures(tract).decode_tokens_per_second, figures(tract).relative_difference), (64.0, None));
    assert_eq!((figures(cpu).relative_difference, figures(cpu).same_first, figures(cpu).positions), (Some(0.0), Some(1), 1));
    assert_eq!((&tract.reason, &cpu.reason), (&None, &None));
    assert!(xnnpack.reason.as_ref().unwrap().contains("those of tract by"), "{xnnpack:?}");
    assert!(nnapi.reason.as_ref().unwrap().contains("120 seconds") && nnapi.figures.is_none(), "{nnapi:?}");
    assert!(record.taken.ends_with('Z') && record.taken.len() == 20, "{}", record.taken);
}

#[test]
fn what_crashed_or_hung_is_remembered_until_it_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    let candidates = [Candidate::Tract, CPU, NNAPI, XNNPACK];
    let probe = probe(folder.path(), &candidates);
    let does = |nnapi, xnnpack| {
        Fake::new(&[(Candidate::Tract, Does::Runs(9.0)), (CPU, Does::Wrong), (NNAPI, nnapi), (XNNPACK, xnnpack)])
    };
    let first = run(&probe, &mut does(Does::Crashes, Does::Hangs));
    let mut second = does(Does::Runs(99.0), Does::Runs(99.0));
    let record = run(&probe, &mut second);
    assert_eq!(second.tried, [Candidate::Tract, CPU], "what was wrong does no harm");
    assert_eq!(record.candidates[2..], first.candidates[2..]);
    let mut third = does(Does::Runs(99.0), Does::Fails);
    let record = probe.run(&mut third, &ProbeOptions { again: true }, |_| {}).unwrap();
    assert_eq!((third.tried.len(), record.fastest), (4, Some(NNAPI)));

    let mut other = record;
    other.kinglet = "0.0.9".into();
    other.candidates[2].verdict = Verdict::Crashed;
    other.fastest = None;
    probe.place.write(&other).unwrap();
    let mut fourth = does(Does::Runs(99.0), Does::Fails);
    run(&probe, &mut fourth);
    assert_eq!(fourth.tried.len(), 4, "another version may do better");
}

#[test]
fn a_mark_that_was_left_counts_as_a_crash() {
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path(), &[Candidate::Tract, XNNPACK]);
    drop(probe.place.mark(XNNPACK).unwrap());
    let mut fake = Fake::new(&[(Candidate::Tract, Does::Runs(1.0)), (XNNPACK, Does::Runs(9.0))]);
    let record = run(&probe, &mut fake);
    assert_eq!(fake.tried, [Candidate::Tract]);
    assert_eq!(verdicts(&record), [(Candidate::Tract, Verdict::Fastest), (XNNPACK, Verdict::Crashed)]);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the record tells of it now");
    assert_eq!(run(&probe, &mut fake).candidates[1], record.candidates[1], "and is remembered");
}

#[test]
fn who_is_cancelled_leaves_everything_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path(), &[Candidate::Tract, CPU]);
    let before = run(&probe, &mut Fake::new(&[(Candidate::Tract, Does::Runs(1.0)), (CPU, Does::Fails)]));
    let mut fake = Fake::new(&[(Candidate::Tract, Does::Runs(1.0)), (CPU, Does::IsCancelled)]);
    assert!(matches!(probe.run(&mut fake, &ProbeOptions::default(), |_| {}), Err(Error::Cancelled)));
    assert_eq!(probe.place.read(), Some(before));
    let cancel = CancelHandle::default();
    cancel.cancel();
    let mut here = InProcess::new(&probe, cancel);
    assert_eq!(here.attempt(Candidate::Tract), Err(Setback::Cancelled));
}

#[test]
fn in_this_process_a_provider_has_a_mark_while_it_is_tried() {
    let folder = tempfile::tempdir().unwrap();
    let probe = probe(folder.path(), &[Candidate::Tract, CPU, XNNPACK]);
    let mut heard = vec![];
    let mut here = InProcess::new(&probe, CancelHandle::default());
    let record = probe.run(&mut here, &ProbeOptions::default(), |candidate| heard.push(candidate)).unwrap();
    assert_eq!(heard, probe.candidates());
    // Which one is fastest is the machine's to say.
    assert!(
        record.fastest.is_some_and(|fastest| heard.contains(&fastest)) && record.candidates.len() == 3,
        "{:?}",
        record.fastest
    );
    let figures = record.candidates[0].figures.unwrap();
    assert!(figures.decode_tokens_per_second > 0.0 && figures.prefill_tokens_per_second > 0.0 && figures.open_ms > 0.0);
    assert_eq!(figures.positions, 16);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no mark is left");

    fs::remove_dir_all(folder.path()).unwrap();
    fs::write(folder.path(), "no folder").unwrap();
    assert!(matches!(here.attempt(XNNPACK), Err(Setback::Failed(reason)) if reason.contains("name another folder")));
}

#[test]
fn a_probe_needs_a_folder_and_a_model() {
    let error = Kinglet::builder().build().unwrap().probe(tiny()).unwrap_err();
    assert!(matches!(error, Error::InvalidRequest(_)) && error.to_string().contains("name one"), "{error}");
    let kinglet = Kinglet::builder().probe_records("never-made").build().unwrap();
    assert!(matches!(kinglet.probe("no/such/model"), Err(Error::NotFound { .. })));
}
