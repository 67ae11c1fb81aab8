//! The system's model as an app gives it through the surface.

use kinglet_ffi::*;
use kinglet_testing::repository;
use std::sync::{Arc, Mutex};

/// Answers by a closure, and keeps what it was asked.
struct Host<F> {
    availability: SystemAvailability,
    answer: F,
    asked: Mutex<Vec<SystemRequest>>,
}

impl<F: Fn(&SystemAnswer) + Send + Sync> SystemModel for Host<F> {
    fn name(&self) -> String {
        "nano".into()
    }

    fn availability(&self) -> SystemAvailability {
        self.availability.clone()
    }

    fn respond(&self, request: SystemRequest, answer: Arc<SystemAnswer>) {
        self.asked.lock().unwrap().push(request);
        (self.answer)(&answer);
    }

    fn download(&self, download: Arc<SystemDownload>) {
        download.progress(5, Some(10));
        download.finish();
    }

    fn prewarm(&self, _: Option<String>) {}
}

fn host<F: Fn(&SystemAnswer) + Send + Sync + 'static>(availability: SystemAvailability, answer: F) -> Arc<Host<F>> {
    Arc::new(Host { availability, answer, asked: Mutex::default() })
}

fn kinglet(host: Arc<dyn SystemModel>, policy: SystemPolicy) -> Kinglet {
    Kinglet::with_system_model(OpenOptions::default(), host, policy).unwrap()
}

fn ask(model: &Model) -> Result<(String, Usage), KingletError> {
    let setup = SessionSetup { instructions: Some("Be kind.".into()), ..SessionSetup::default() };
    let options = GenerationOptions { max_new_tokens: 5, sampling: None, stop: vec![] };
    let session = model.session(setup)?;
    let generation = session.respond("Hello?".into(), options)?;
    let mut text = String::new();
    while let Some(piece) = generation.next_blocking()? {
        match piece {
            Piece::Text { text: more } => text.push_str(&more),
            Piece::Done { usage } => return Ok((text, usage)),
        }
    }
    panic!("an answer ends with what it took")
}

fn folder() -> String {
    repository().join("models/goldens/llama/genai").display().to_string()
}

#[test]
fn a_system_alone_answers_what_it_is_asked() {
    let host = host(SystemAvailability::Available, |answer| {
        assert!(answer.push("Good ".into()) && answer.push("day.".into()));
        answer.finish(false);
        assert!(!answer.push("Not heard.".into()) && answer.is_cancelled());
    });
    let kinglet = kinglet(host.clone(), SystemPolicy::Only);
    let (text, usage) = ask(&kinglet.open_system().unwrap()).unwrap();
    assert_eq!((text.as_str(), usage.engine.as_str()), ("Good day.", "system:nano"));
    let asked = host.asked.lock().unwrap();
    assert_eq!(asked[0].instructions.as_deref(), Some("Be kind."));
    assert_eq!(asked[0].messages, [ChatMessage { role: "user".into(), content: "Hello?".into() }]);
    assert_eq!(asked[0].max_new_tokens, 5);
}

#[test]
fn the_folder_answers_where_the_system_fails_and_the_reason_is_told() {
    let host = host(SystemAvailability::Available, |answer| answer.fail(SystemFailure::Busy { message: "quota".into() }));
    let model = kinglet(host, SystemPolicy::Prefer).open(folder()).unwrap();
    let (_, usage) = ask(&model).unwrap();
    assert_eq!(usage.engine, "tract");
    assert_eq!(usage.refused[0].engine, "system:nano");
    assert!(usage.refused[0].reason.contains("quota"), "{:?}", usage.refused);
}

#[test]
fn each_failure_is_something_to_do() {
    type Check = fn(&KingletError) -> bool;
    let message = || "m".to_owned();
    let cases: [(SystemFailure, Check); 6] = [
        (SystemFailure::Refused { message: message() }, |e| matches!(e, KingletError::Refused(_))),
        (SystemFailure::ContextTooLong { message: message() }, |e| matches!(e, KingletError::InvalidRequest(_))),
        (SystemFailure::Busy { message: message() }, |e| matches!(e, KingletError::Busy(_))),
        (SystemFailure::Unavailable { message: message() }, |e| matches!(e, KingletError::Unavailable(_))),
        (SystemFailure::Unsupported { message: message() }, |e| matches!(e, KingletError::Unsupported(_))),
        (SystemFailure::Failed { message: message() }, |e| matches!(e, KingletError::Failed(_))),
    ];
    for (failure, check) in cases {
        let said = failure.clone();
        let host = host(SystemAvailability::Available, move |answer| answer.fail(said.clone()));
        let error = ask(&kinglet(host, SystemPolicy::Only).open_system().unwrap()).unwrap_err();
        assert!(check(&error), "{failure:?} gives {error:?}");
    }
}

#[test]
fn availability_goes_both_ways_and_a_download_is_heard() {
    for availability in [
        SystemAvailability::Available,
        SystemAvailability::Downloadable,
        SystemAvailability::Downloading,
        SystemAvailability::NotEligible,
        SystemAvailability::SwitchedOff,
        SystemAvailability::NotReady,
        SystemAvailability::NeedsUpdate,
        SystemAvailability::Unknown { message: "no answer".into() },
    ] {
        let kinglet = kinglet(host(availability.clone(), |_| ()), SystemPolicy::Fallback);
        assert_eq!(kinglet.system_availability(), Some(availability));
    }
    struct Far(Mutex<Vec<(u64, Option<u64>)>>);
    impl DownloadProgress for Far {
        fn on_progress(&self, bytes: u64, total: Option<u64>) {
            self.0.lock().unwrap().push((bytes, total));
        }
    }
    let far = Arc::new(Far(Mutex::default()));
    let kinglet = kinglet(host(SystemAvailability::Downloadable, |_| ()), SystemPolicy::Prefer);
    kinglet.download_system(Some(far.clone()), Arc::new(Cancellation::new())).unwrap();
    assert_eq!(*far.0.lock().unwrap(), [(5, Some(10))]);
    assert_eq!(Kinglet::new(OpenOptions::default()).unwrap().system_availability(), None);
}
