//! From one model to the other, and never in the middle of an answer.

use super::*;
use kinglet::fake_system::{Act, said as saying};
use kinglet::{Availability, CancelHandle, Event, FinishReason, SystemFailure, UnavailableReason};
use std::time::Duration;

fn busy() -> Act {
    Act::Fail(SystemFailure::Busy { message: "quota".into() })
}

#[test]
fn preferred_and_available_the_system_answers() {
    let host = FakeSystemModel::saying(["Hello."]);
    let answer = answer(&mut session(&beside(&host, SystemPolicy::Prefer), 6), "Hi").unwrap();
    assert_eq!((answer.text.as_str(), answer.usage.engine.as_str(), answer.usage.refused.len()), ("Hello.", "system:fake", 0));
}

#[test]
fn preferred_and_not_there_the_folder_answers_and_says_why() {
    let own = tiny_answer("Hi", 6);
    for (state, word) in [
        (Availability::Downloadable, "download it first"),
        (Availability::Downloading, "being downloaded"),
        (Availability::Unavailable { reason: UnavailableReason::NotEligible }, "this device has none"),
        (Availability::Unavailable { reason: UnavailableReason::SwitchedOff }, "switched off"),
        (Availability::Unavailable { reason: UnavailableReason::Unknown { message: "no idea".into() } }, "no idea"),
    ] {
        let host = FakeSystemModel::saying(["Hello."]);
        host.become_state(state);
        let answer = answer(&mut session(&beside(&host, SystemPolicy::Prefer), 6), "Hi").unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.engine.as_str()), (own.as_str(), "tract"));
        let [refused] = &answer.usage.refused[..] else { panic!("{:?}", answer.usage) };
        assert!(refused.engine == "system:fake" && refused.reason.contains(word), "{refused:?}");
        assert!(host.requests().is_empty());
    }
}

#[test]
fn a_failure_before_the_first_text_is_made_up_for() {
    let own = tiny_answer("Hi", 6);
    let too_long = Act::Fail(SystemFailure::ContextTooLong { message: "m".into() });
    let empty = Act::Say(String::new());
    for script in [vec![busy()], vec![too_long], vec![Act::Panic], vec![], vec![empty, busy()]] {
        let host = FakeSystemModel::answering(script.clone());
        let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
        let answer = answer(&mut session, "Hi").unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.engine.as_str()), (own.as_str(), "tract"), "{script:?}");
        assert_eq!(answer.usage.refused.len(), 1);
        assert_eq!(said(&session), [("user".into(), "Hi".into()), ("assistant".into(), own.clone())], "{script:?}");
    }
}

#[test]
fn text_that_was_held_back_and_not_seen_does_not_count() {
    let host = FakeSystemModel::answering([Act::Say("EN".into()), busy()]);
    let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
    let options = GenerationOptions { stop: vec!["END".into()], ..greedy(6) };
    let answer = session.respond_with("Hi", &options).unwrap().finish().unwrap();
    assert_eq!((answer.text, answer.usage.engine.as_str()), (tiny_answer("Hi", 6), "tract"));
}

#[test]
fn a_failure_after_the_first_text_is_an_error() {
    for script in [vec![Act::Say("Half".into()), busy()], vec![Act::Say("Half".into()), Act::Panic]] {
        let host = FakeSystemModel::answering(script);
        let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
        let events: Vec<_> = session.respond("Hi").unwrap().collect();
        assert!(matches!(&events[..], [Ok(Event::Text(half)), Err(Error::Busy(_) | Error::Failed(_))] if half == "Half"));
        assert!(session.messages().is_empty());
    }
}

#[test]
fn a_refusal_is_not_circumvented() {
    let host = FakeSystemModel::answering([Act::Fail(SystemFailure::Refused { message: "guardrails".into() })]);
    let model = beside(&host, SystemPolicy::Prefer);
    let error = answer(&mut session(&model, 6), "Hi").unwrap_err();
    assert!(matches!(error, Error::Refused(_)) && error.to_string().contains("guardrails"), "{error}");
}

#[test]
fn a_cancelled_answer_is_not_taken_over() {
    let host = FakeSystemModel::answering([Act::Wait(Duration::from_secs(5)), busy()]);
    let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
    let cancel = session.cancel_handle();
    let response = session.respond("Hi").unwrap();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        cancel.cancel();
    });
    let usage = response.finish().unwrap().usage;
    assert_eq!((usage.finish, usage.engine.as_str()), (FinishReason::Cancelled, "system:fake"));
}

#[test]
fn what_was_said_goes_along_from_one_model_to_the_other() {
    let host = FakeSystemModel::saying(["Hello."]).then([busy()]).then(saying(["Bye."]));
    let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
    let engines: Vec<String> =
        ["One", "Two", "Three"].map(|text| answer(&mut session, text).unwrap().usage.engine).into_iter().collect();
    assert_eq!(engines, ["system:fake", "tract", "system:fake"]);
    let all = said(&session);
    let heard: Vec<String> = host.requests()[2].messages.iter().map(|message| message.text.clone()).collect();
    let expected: Vec<String> = all[..5].iter().map(|(_, text)| text.clone()).collect();
    assert_eq!((heard, all.len()), (expected, 6), "the system's model reads the folder's answer");

    // The folder's model reads the system's answer: it says what it says to the same conversation of its own.
    let messages = [("user", "One"), ("assistant", "Hello.")].map(|(role, text)| kinglet::Message::new(role, text)).to_vec();
    let plain = builder().build().unwrap().open(tiny_folder()).unwrap();
    let mut alike = plain.session(SessionOptions { messages, generation: greedy(6), ..Default::default() }).unwrap();
    assert_eq!(answer(&mut alike, "Two").unwrap().text, all[3].1);
}

#[test]
fn a_conversation_that_has_begun_reads_what_the_other_one_said() {
    let host = FakeSystemModel::answering([busy()]).then(saying(["Hello."])).then([busy()]);
    let mut session = session(&beside(&host, SystemPolicy::Prefer), 6);
    let engines = ["One", "Two", "Three"].map(|text| answer(&mut session, text).unwrap().usage.engine);
    assert_eq!(engines, ["tract", "system:fake", "tract"]);
    let messages = session.messages()[..4].to_vec();
    let plain = builder().build().unwrap().open(tiny_folder()).unwrap();
    let mut alike = plain.session(SessionOptions { messages, generation: greedy(6), ..Default::default() }).unwrap();
    let expected = answer(&mut alike, "Three").unwrap();
    assert_eq!(said(&session)[5].1, expected.text);
    let next = answer(&mut session, "Four").unwrap().usage.prompt_tokens;
    assert_eq!(answer(&mut alike, "Four").unwrap().usage.prompt_tokens, next, "the prompts are as long");
}

#[test]
fn as_a_fallback_the_system_waits() {
    let host = FakeSystemModel::saying(["Hello."]);
    let answer = answer(&mut session(&beside(&host, SystemPolicy::Fallback), 6), "Hi").unwrap();
    assert_eq!((answer.text, answer.usage.engine.as_str()), (tiny_answer("Hi", 6), "tract"));
    assert!(host.requests().is_empty());
}

#[test]
fn without_memory_the_system_answers() {
    let host = FakeSystemModel::saying(["Hello."]);
    let builder =
        builder().context(128).max_sequences(1).end_tokens(false).system_model(Arc::new(host.clone()), SystemPolicy::Fallback);
    let model = builder.build().unwrap().open(tiny_folder()).unwrap();
    let mut full = session(&model, 500);
    let first = answer(&mut full, "Hi").unwrap();
    assert_eq!((first.usage.engine.as_str(), &first.usage.finish), ("tract", &FinishReason::ContextFull), "{first:?}");
    // There is room for the beginning of a short conversation: memory runs out in the middle of the answer.
    let mut short = session(&model, 500);
    let events: Vec<_> = short.respond("Hi").unwrap().collect();
    assert!(matches!(events.first(), Some(Ok(Event::Text(_)))) && matches!(events.last(), Some(Err(Error::OutOfMemory { .. }))));
    assert!(short.messages().is_empty() && host.requests().is_empty());
    drop(short);
    // Of a long one not even the prompt fits.
    let long = "word ".repeat(25);
    let second = answer(&mut session(&model, 500), &long).unwrap();
    assert_eq!((second.text.as_str(), second.usage.engine.as_str()), ("Hello.", "system:fake"));
    assert_eq!(second.usage.refused[0].engine, "tract");
    host.become_state(Availability::Unavailable { reason: UnavailableReason::NotEligible });
    let error = answer(&mut session(&model, 500), &long).unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
}

#[test]
fn without_a_folder_the_system_stands_in() {
    let host = FakeSystemModel::saying(["Hello."]);
    for policy in [SystemPolicy::Fallback, SystemPolicy::Prefer] {
        let model = kinglet(&host, policy).open("no/such/folder").unwrap();
        let answer = answer(&mut session(&model, 6), "Hi").unwrap();
        assert_eq!((answer.text.as_str(), answer.usage.refused.len()), ("Hello.", 1));
        assert!(model.system_report().unwrap().instead_of.unwrap().contains("no/such/folder"));
        let error = model.tokenize("a", false).unwrap_err();
        assert!(error.to_string().contains("no/such/folder"), "{error}");
    }
    let wrong = builder().variant("q2").system_model(Arc::new(host.clone()), SystemPolicy::Fallback).build().unwrap();
    assert!(matches!(wrong.open(tiny_folder()), Err(Error::InvalidRequest(_))), "the caller's to mend");
    host.become_state(Availability::Unavailable { reason: UnavailableReason::NotEligible });
    let nobody = kinglet(&host, SystemPolicy::Fallback).open("no/such/folder");
    assert!(matches!(nobody, Err(Error::NotFound { .. })));
}

/// The tiny model's folder without its chat template: it opens, and cannot hold a conversation.
fn without_template() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny_folder()).unwrap().map(Result::unwrap) {
        let (name, to) = (entry.file_name(), folder.path().join(entry.file_name()));
        if name == "tokenizer_config.json" {
            let mut config: serde_json::Value = serde_json::from_slice(&std::fs::read(entry.path()).unwrap()).unwrap();
            config.as_object_mut().unwrap().remove("chat_template");
            std::fs::write(to, config.to_string()).unwrap();
        } else if name != "chat_template.jinja" && entry.path().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
    folder
}

#[test]
fn a_folder_that_cannot_hold_a_conversation_is_stood_in_for() {
    let folder = without_template();
    let plain = builder().build().unwrap().open(folder.path()).unwrap();
    assert!(matches!(plain.session(SessionOptions::default()), Err(Error::Unsupported(_))));
    let host = FakeSystemModel::saying(["Hello."]).then([busy()]);
    let model = kinglet(&host, SystemPolicy::Fallback).open(folder.path()).unwrap();
    let first = answer(&mut session(&model, 6), "Hi").unwrap();
    assert_eq!((first.text.as_str(), first.usage.refused.len()), ("Hello.", 1));
    assert!(first.usage.refused[0].reason.contains("chat template"), "{first:?}");
    let preferring = kinglet(&host, SystemPolicy::Prefer).open(folder.path()).unwrap();
    let error = answer(&mut session(&preferring, 6), "Hi").unwrap_err();
    assert!(matches!(error, Error::Busy(_)), "what the caller can do something about: {error:?}");
    host.become_state(Availability::Unavailable { reason: UnavailableReason::NotEligible });
    assert!(matches!(model.session(SessionOptions::default()), Err(Error::Unsupported(_))));
}

#[test]
fn never_is_never() {
    let host = FakeSystemModel::saying(["Hello."]);
    let kinglet = kinglet(&host, SystemPolicy::Never);
    assert!(matches!(kinglet.open_system(), Err(Error::Unsupported(_))));
    assert!(matches!(kinglet.open("no/such/folder"), Err(Error::NotFound { .. })));
    let model = kinglet.open(tiny_folder()).unwrap();
    assert_eq!(answer(&mut session(&model, 6), "Hi").unwrap().usage.engine, "tract");
    assert!(model.system_report().is_none() && host.requests().is_empty());
}

#[test]
fn tokens_are_of_the_folder_s_model_beside_the_system_s() {
    let model = beside(&FakeSystemModel::saying(["Hello."]), SystemPolicy::Prefer);
    assert!(model.context() > 0 && !model.tokenize("abc", false).unwrap().is_empty());
    assert!(model.report().unwrap().system.is_some_and(|system| system.engine == "system:fake"));
    model.prepare(&CancelHandle::default(), |_| {}).unwrap();
}

#[test]
fn tools_are_for_the_folder_s_model() {
    let host = FakeSystemModel::saying(["Hello."]);
    let options = SessionOptions { tools: Some(vec![]), generation: greedy(6), ..Default::default() };
    let answer = answer(&mut beside(&host, SystemPolicy::Prefer).session(options).unwrap(), "Hi").unwrap();
    assert!(answer.usage.engine == "tract" && answer.usage.refused[0].reason.contains("tools"), "{answer:?}");
}

#[test]
fn a_fork_keeps_both_models() {
    let host = FakeSystemModel::saying(["Hello."]).then([busy()]).then([busy()]);
    let mut first = session(&beside(&host, SystemPolicy::Prefer), 4);
    answer(&mut first, "One").unwrap();
    let mut second = first.fork().unwrap();
    let (a, b) = (answer(&mut first, "Two").unwrap(), answer(&mut second, "Two").unwrap());
    assert_eq!((a.usage.engine.as_str(), a.text), ("tract", b.text));
    first.reset().unwrap();
    assert_eq!((first.messages().len(), second.messages().len()), (0, 4));
}
