//! Hosts that fail, hang, panic, and do not listen.

use super::*;
use kinglet::fake_system::{Act, said as saying};
use kinglet::{Availability, Event, FinishReason, SystemFailure, SystemFinish, SystemModel, SystemRequest, TextSink};
use kinglet_system::Host;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn say(text: &str) -> Act {
    Act::Say(text.into())
}

fn busy() -> SystemFailure {
    SystemFailure::Busy { message: "quota".into() }
}

/// Waits for what a host does on its own thread.
fn wait_until(done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(60), "the host does something else");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn each_failure_has_its_error_and_leaves_the_session_as_it_was() {
    struct Case(Vec<Act>, fn(&Error) -> bool);
    let message = || "m".to_owned();
    for Case(script, expected) in [
        Case(vec![Act::Fail(SystemFailure::Refused { message: message() })], |e| matches!(e, Error::Refused(_))),
        Case(vec![Act::Fail(SystemFailure::ContextTooLong { message: message() })], |e| matches!(e, Error::InvalidRequest(_))),
        Case(vec![Act::Fail(busy())], |e| matches!(e, Error::Busy(_))),
        Case(vec![Act::Fail(SystemFailure::Unavailable { message: message() })], |e| matches!(e, Error::Unavailable(_))),
        Case(vec![Act::Fail(SystemFailure::Unsupported { message: message() })], |e| matches!(e, Error::Unsupported(_))),
        Case(vec![Act::Fail(SystemFailure::Cancelled)], |e| matches!(e, Error::Cancelled)),
        Case(vec![Act::Fail(SystemFailure::Failed { message: message() })], |e| matches!(e, Error::Failed(_))),
        Case(vec![Act::Panic], |e| matches!(e, Error::Failed(_)) && e.to_string().contains("panicked")),
        Case(vec![], |e| matches!(e, Error::Failed(_)) && e.to_string().contains("without a word")),
        Case(vec![say("Half"), Act::Fail(busy())], |e| matches!(e, Error::Busy(_))),
        Case(vec![say("Half"), Act::Panic], |e| matches!(e, Error::Failed(_))),
        Case(vec![say("Half")], |e| matches!(e, Error::Failed(_))),
    ] {
        let host = FakeSystemModel::answering(script.clone()).then(saying(["Fine."]));
        let mut session = session(&alone(&host), 20);
        let error = answer(&mut session, "Hi").unwrap_err();
        assert!(expected(&error), "{script:?} gives {error:?}");
        assert!(session.messages().is_empty(), "{script:?}");
        assert_eq!(answer(&mut session, "Hi").unwrap().text, "Fine.", "after {script:?}");
        assert_eq!(session.messages().len(), 2);
    }
}

#[test]
fn a_failure_is_the_last_event() {
    let host = FakeSystemModel::answering([say("Half"), Act::Fail(busy())]);
    let mut session = session(&alone(&host), 20);
    let mut response = session.respond("Hi").unwrap();
    assert_eq!(response.next().unwrap().unwrap(), Event::Text("Half".into()));
    assert!(matches!(response.next(), Some(Err(Error::Busy(_)))));
    assert!(response.next().is_none() && response.next().is_none());
}

#[test]
fn a_host_that_panics_when_it_is_looked_at_is_unavailable() {
    let host = FakeSystemModel::saying(["a"]);
    host.panic_at_availability();
    let error = answer(&mut session(&alone(&host), 20), "Hi").unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.to_string().contains("panicked"), "{error}");
}

#[test]
fn cancelling_ends_the_answer_of_a_host_that_does_not_listen() {
    let deaf = Duration::from_secs(3);
    let script = [say("One"), Act::Wait(deaf), Act::Insist(" two".into()), Act::Insist(" three".into())];
    let host = FakeSystemModel::answering(script).then(saying(["Fine."]));
    let mut session = session(&alone(&host), 20);
    let cancel = session.cancel_handle();
    let started = Instant::now();
    let mut response = session.respond("Hi").unwrap();
    assert_eq!(response.next().unwrap().unwrap(), Event::Text("One".into()));
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        cancel.cancel();
    });
    let Some(Ok(Event::Done(usage))) = response.next() else { panic!("cancelled") };
    assert!(response.next().is_none());
    drop(response);
    assert_eq!(usage.finish, FinishReason::Cancelled);
    assert!(session.messages().is_empty());
    assert_eq!(answer(&mut session, "Hi").unwrap().text, "Fine.", "the handle is lowered, the host still at the first");
    assert!(started.elapsed() < deaf, "nobody waits for the host");
    assert_eq!(said(&session), [("user".into(), "Hi".into()), ("assistant".into(), "Fine.".into())]);
    wait_until(|| host.unheard() == 2);
    assert_eq!(session.messages().len(), 2, "what came afterwards was not heard");
}

#[test]
fn an_answer_that_is_dropped_hangs_up() {
    let host = FakeSystemModel::answering([Act::Repeat("on and ".into())]);
    let mut session = session(&alone(&host), usize::MAX);
    session.respond("Hi").unwrap().next().unwrap().unwrap();
    wait_until(|| host.unheard() == 1);
    assert!(session.messages().is_empty());
}

#[test]
fn nothing_is_asked_before_the_first_pull() {
    let host = FakeSystemModel::saying(["a"]);
    let mut session = session(&alone(&host), 20);
    drop(session.respond("Hi").unwrap());
    std::thread::sleep(Duration::from_millis(20));
    assert!(host.requests().is_empty());
    let cancel = session.cancel_handle();
    let response = session.respond("Hi").unwrap();
    cancel.cancel();
    assert_eq!(response.finish().unwrap().usage.finish, FinishReason::Cancelled);
    assert!(host.requests().is_empty());
}

#[test]
fn a_host_without_an_end_is_ended() {
    let host = FakeSystemModel::answering([Act::Repeat("on and ".into())]);
    let answer = answer(&mut session(&alone(&host), 10), "Hi").unwrap();
    assert_eq!(answer.usage.finish, FinishReason::Length);
    assert!(!answer.text.is_empty() && answer.text.len() <= 640, "{}", answer.text.len());
}

#[test]
fn stop_strings_are_found_however_the_text_is_cut() {
    let options = GenerationOptions { stop: vec!["END".into()], ..greedy(50) };
    for pieces in [&["One two END three"][..], &["One two ", "E", "N", "D"], &["One two E", "", "ND three", "more"]] {
        let host = FakeSystemModel::saying(pieces.iter().copied());
        let mut session = session(&alone(&host), 50);
        let answer = session.respond_with("Hi", &options).unwrap().finish().unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.finish), ("One two ", FinishReason::Stop { which: "END".into() }));
    }
    let host = FakeSystemModel::saying(["One EN", "tire"]);
    let answer = session(&alone(&host), 50).respond_with("Hi", &options).unwrap().finish().unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.finish), ("One ENtire", FinishReason::Ended));
    let host = FakeSystemModel::saying(["One E"]);
    let answer = session(&alone(&host), 50).respond_with("Hi", &options).unwrap().finish().unwrap();
    assert_eq!(answer.text, "One E", "what could have been a stop string is given out at the end");
}

#[test]
fn an_empty_answer_is_an_answer() {
    let host = FakeSystemModel::saying(["", ""]);
    let mut session = session(&beside(&host, SystemPolicy::Prefer), 20);
    let answer = answer(&mut session, "Hi").unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.engine.as_str()), ("", "system:fake"));
    assert_eq!(session.messages().len(), 2);
}

#[test]
fn the_first_end_counts() {
    let ends = [say("One"), Act::Finish(SystemFinish::Length), Act::Fail(busy()), Act::Insist("two".into()), Act::Panic];
    let answer = answer(&mut session(&alone(&FakeSystemModel::answering(ends)), 20), "Hi").unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.finish), ("One", FinishReason::Length));
}

/// A host that starts a task and returns, and knows neither downloads nor prewarming.
struct Later(Availability);

impl SystemModel for Later {
    fn name(&self) -> String {
        "later".into()
    }
    fn availability(&self) -> Availability {
        self.0.clone()
    }
    fn respond(&self, request: SystemRequest, answer: Arc<TextSink>) {
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(30));
            assert!(answer.push("Later".into()) && !answer.is_cancelled());
            if request.messages.len() == 1 {
                answer.finish(SystemFinish::Complete);
                assert!(answer.is_cancelled() && !answer.push("too late".into()));
            }
        });
    }
}

#[test]
fn a_host_may_return_before_it_answers() {
    let host = Host::new(Arc::new(Later(Availability::Downloadable)));
    assert!(matches!(host.download(|| false, |_| {}), Err(SystemFailure::Unsupported { .. })));
    host.prewarm(None).unwrap();
    let kinglet = builder().system_model(Arc::new(Later(Availability::Available)), SystemPolicy::Only).build().unwrap();
    let mut session = session(&kinglet.open_system().unwrap(), 20);
    assert_eq!(answer(&mut session, "Hi").unwrap().text, "Later");
    let error = answer(&mut session, "And now it lets go without a word").unwrap_err();
    assert!(matches!(error, Error::Failed(_)) && session.messages().len() == 2, "{error}");
}

/// A host that pushes one piece, and then looks whether anybody listens.
#[derive(Clone, Default)]
struct Watching(Arc<AtomicBool>);

impl SystemModel for Watching {
    fn name(&self) -> String {
        "watching".into()
    }
    fn availability(&self) -> Availability {
        Availability::Available
    }
    fn respond(&self, _: SystemRequest, answer: Arc<TextSink>) {
        answer.push("One".into());
        wait_until(|| answer.is_cancelled());
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_host_that_pushes_nothing_sees_that_nobody_listens() {
    let host = Watching::default();
    let kinglet = builder().system_model(Arc::new(host.clone()), SystemPolicy::Only).build().unwrap();
    let mut session = session(&kinglet.open_system().unwrap(), 20);
    let mut response = session.respond("Hi").unwrap();
    response.next().unwrap().unwrap();
    assert!(!host.0.load(Ordering::Acquire));
    drop(response);
    wait_until(|| host.0.load(Ordering::Acquire));
}

#[test]
fn slow_pieces_come_as_they_are_pushed() {
    let pause = Duration::from_millis(150);
    let host = FakeSystemModel::answering([say("One"), Act::Wait(pause * 10), say(" two"), Act::Finish(SystemFinish::Complete)]);
    host.become_state(Availability::Available);
    let mut session = session(&alone(&host), 20);
    let started = Instant::now();
    let mut response = session.respond("Hi").unwrap();
    assert_eq!(response.next().unwrap().unwrap(), Event::Text("One".into()));
    assert!(started.elapsed() < pause * 10, "the first piece does not wait for the second");
    assert_eq!(response.finish().unwrap().text, " two");
}
