//! A host that behaves, without a folder.

use super::*;
use kinglet::fake_system::{Act, said as saying};
use kinglet::{
    Availability, CancelHandle, Conversation, DownloadProgress, Event, FinishReason, Message, Positions, SystemRole,
    SystemSampling, UnavailableReason,
};
use std::time::Duration;

#[test]
fn a_session_streams_and_remembers() {
    let host = FakeSystemModel::saying(["We open", "", " at nine."]).then(saying(["Yes."]));
    let instructions = Some("Be brief.".to_owned());
    let mut session = alone(&host).session(SessionOptions { instructions, ..SessionOptions::default() }).unwrap();
    let events: Vec<Event> = session.respond("When?").unwrap().map(Result::unwrap).collect();
    let [Event::Text(first), Event::Text(second), Event::Done(usage)] = &events[..] else { panic!("{events:?}") };
    assert_eq!((first.as_str(), second.as_str()), ("We open", " at nine."));
    assert_eq!((usage.engine.as_str(), &usage.finish), ("system:fake", &FinishReason::Ended));
    assert_eq!((usage.refused.len(), usage.prompt_tokens, usage.new_tokens, usage.finish.as_str()), (0, 0, 0, "end_of_turn"));
    assert!(usage.timing.first_token.is_some());
    assert_eq!(answer(&mut session, "Also today?").unwrap().text, "Yes.");
    let requests = host.requests();
    assert_eq!(requests[1].instructions.as_deref(), Some("Be brief."));
    let heard: Vec<_> = requests[1].messages.iter().map(|message| (message.role, message.text.as_str())).collect();
    let expected = [(SystemRole::User, "When?"), (SystemRole::Assistant, "We open at nine."), (SystemRole::User, "Also today?")];
    assert_eq!(heard, expected);
    assert_eq!(session.messages().len(), 5);
    session.reset().unwrap();
    assert_eq!(said(&session), [("system".into(), "Be brief.".into())]);
}

#[test]
fn forks_go_their_own_way() {
    let host = FakeSystemModel::saying(["Hello."]);
    let mut first = session(&alone(&host), 20);
    answer(&mut first, "Hi").unwrap();
    let mut second = first.fork().unwrap();
    answer(&mut second, "Bye").unwrap();
    assert_eq!((first.messages().len(), second.messages().len()), (2, 4));
    first.cancel_handle().cancel();
    assert!(!second.cancel_handle().is_cancelled());
}

#[test]
fn options_reach_the_host() {
    let host = FakeSystemModel::saying(["a"]);
    let mut session = alone(&host).session(SessionOptions::default()).unwrap();
    let sampling = SamplingOptions { temperature: 0.5, top_k: 40, top_p: 0.9, seed: Some(7), ..Default::default() };
    let options = GenerationOptions { max_new_tokens: 9, sampling: Some(sampling), stop: vec!["\n".into()] };
    assert_eq!(session.respond_with("a", &options).unwrap().finish().unwrap().usage.seed, 7);
    answer(&mut session, "b").unwrap();
    let [first, second] = &host.requests()[..] else { panic!() };
    let expected = SystemSampling { temperature: 0.5, top_k: Some(40), top_p: Some(0.9), seed: Some(7) };
    assert_eq!((first.sampling, first.max_new_tokens, first.stop.len()), (Some(expected), 9, 1));
    assert_eq!((second.sampling, second.max_new_tokens), (None, 256), "the system chooses by itself");
    let hot =
        GenerationOptions { sampling: Some(SamplingOptions { temperature: -1.0, ..Default::default() }), ..options.clone() };
    let empty = GenerationOptions { stop: vec![String::new()], ..options };
    for wrong in [hot, empty] {
        assert!(matches!(session.respond_with("a", &wrong).err(), Some(Error::InvalidRequest(_))), "{wrong:?}");
    }
}

#[test]
fn what_is_more_than_text_is_refused() {
    let host = FakeSystemModel::saying(["a"]);
    let refused = |options: SessionOptions| answer(&mut alone(&host).session(options).unwrap(), "Hi").unwrap_err();
    let part = Message::default().with("role", "user").with("content", vec!["a"]);
    for options in [
        SessionOptions { tools: Some(vec![]), ..Default::default() },
        SessionOptions { messages: vec![part], ..Default::default() },
        SessionOptions { messages: vec![Message::new("tool", "4")], ..Default::default() },
    ] {
        let error = refused(options);
        assert!(matches!(&error, Error::Unsupported(_)) && error.to_string().contains("leave"), "{error}");
    }
    assert!(host.requests().is_empty());
}

#[test]
fn what_needs_tokens_says_what_to_do() {
    let model = alone(&FakeSystemModel::saying(["a"]));
    let never = CancelHandle::default();
    let talk = Conversation::single("Hi");
    for error in [
        model.tokenize("a", false).unwrap_err(),
        model.detokenize(&[1], false).unwrap_err(),
        model.render(&Default::default()).unwrap_err(),
        model.completer().err().unwrap(),
        model.token_completer().err().unwrap(),
        model.continuations("a", &Default::default(), &never).unwrap_err(),
        model.logits(&[1], Positions::Last, &never).unwrap_err(),
        model.likelihood(&[1, 2], &never).unwrap_err(),
        model.likelihood(&[], &never).unwrap_err(),
        model.likelihoods("a", &[vec![1]], &never).unwrap_err(),
        model.save_prefix("a", &never).unwrap_err(),
        model.restore_prefix("a").unwrap_err(),
        model.score_replies(&talk, &["a"], &never).unwrap_err(),
        model.score_completions("a", &["b"], &never).unwrap_err(),
        model.make_conformance(&never, |_| {}).unwrap_err(),
        model.conformance().unwrap_err(),
        model.report().unwrap_err(),
    ] {
        assert!(matches!(error, Error::Unsupported(_)), "{error:?}");
        assert!(error.to_string().contains("open a model folder"), "{error}");
    }
    assert_eq!((model.context(), model.vocabulary(), model.kv_bytes().0), (0, 0, 0));
}

#[test]
fn a_model_that_is_to_be_had_is_downloaded() {
    let far = |bytes| DownloadProgress { bytes, total: Some(100) };
    let host = FakeSystemModel::saying(["Here."]).downloading([
        Act::Become(Availability::Downloading),
        Act::Progress(far(40)),
        Act::Progress(far(100)),
        Act::Become(Availability::Available),
        Act::Finish(kinglet::SystemFinish::Complete),
    ]);
    host.become_state(Availability::Downloadable);
    let kinglet = kinglet(&host, SystemPolicy::Only);
    let mut session = session(&kinglet.open("no/such/folder").unwrap(), 20);
    let error = answer(&mut session, "Hi").unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.to_string().contains("download it first"), "{error}");
    let mut heard = vec![];
    kinglet.download_system(&CancelHandle::default(), |progress| heard.push(progress.bytes)).unwrap();
    assert_eq!((heard, kinglet.system_availability()), (vec![40, 100], Some(Availability::Available)));
    assert_eq!(answer(&mut session, "Hi").unwrap().text, "Here.");
    kinglet.download_system(&CancelHandle::default(), |_| panic!("it is here")).unwrap();
}

#[test]
fn downloads_fail_in_known_ways() {
    let never = CancelHandle::default();
    let download = |script: Vec<Act>, cancel: &CancelHandle| {
        let host = FakeSystemModel::default().downloading(script);
        host.become_state(Availability::Downloadable);
        kinglet(&host, SystemPolicy::Only).download_system(cancel, |_| {}).unwrap_err()
    };
    let full = kinglet::SystemFailure::Unavailable { message: "the disk is full".into() };
    assert!(matches!(download(vec![Act::Fail(full)], &never), Error::Unavailable(_)));
    assert!(matches!(download(vec![Act::Panic], &never), Error::Failed(_)));
    assert!(matches!(download(vec![], &never), Error::Failed(_)), "given up without a word");
    let cancelled = CancelHandle::default();
    cancelled.cancel();
    assert!(matches!(download(vec![Act::Wait(Duration::from_secs(2))], &cancelled), Error::Cancelled));
    let host = FakeSystemModel::default();
    host.become_state(Availability::Unavailable { reason: UnavailableReason::SwitchedOff });
    let error = kinglet(&host, SystemPolicy::Only).download_system(&never, |_| {}).unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.to_string().contains("switched off"), "{error}");
    let none = builder().build().unwrap();
    assert!(matches!(none.download_system(&never, |_| {}), Err(Error::Unsupported(_))));
    assert!(matches!(none.open_system(), Err(Error::Unsupported(_))));
    assert_eq!(none.system_availability(), None);
}

#[test]
fn preparing_and_answers_without_tokens_prewarm() {
    let host = FakeSystemModel::saying(["a"]);
    let model = alone(&host);
    model.prepare(&CancelHandle::default(), |_| {}).unwrap();
    let options = SessionOptions { instructions: Some("Be kind.".into()), generation: greedy(0), ..Default::default() };
    let done = answer(&mut model.session(options).unwrap(), "Hi").unwrap();
    assert_eq!((done.text.as_str(), done.usage.finish), ("", FinishReason::Length));
    assert_eq!(host.prewarmed(), [None, Some("Be kind.".to_owned())]);
    assert!(host.requests().is_empty());
}

#[test]
fn reports_name_the_engine_and_its_state() {
    let host = FakeSystemModel::saying(["a"]);
    host.become_state(Availability::Unavailable { reason: UnavailableReason::NeedsUpdate });
    let report = alone(&host).system_report().unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let expected = serde_json::json!({
        "engine": "system:fake", "policy": "only", "availability": {"state": "unavailable", "reason": "needs_update"}
    });
    assert_eq!(json, expected);
    let inspected = kinglet(&host, SystemPolicy::Prefer).inspect(tiny_folder()).unwrap();
    assert_eq!(inspected.system.map(|system| system.availability), Some(report.availability));
    let plain = builder().build().unwrap().open(tiny_folder()).unwrap();
    assert_eq!((plain.system_report(), plain.report().unwrap().system), (None, None));
}
