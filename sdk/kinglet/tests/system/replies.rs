//! Smart replies of the system's model.

use super::*;
use kinglet::fake_system::Act;
use kinglet::{
    Availability, CancelHandle, Conversation, ReplyScores, SmartReply, SmartReplyOptions, Status, SystemFailure,
    UnavailableReason,
};
use std::time::Duration;

const LINES: [&str; 4] =
    ["1. Yes, of course.\n", "2. Which day", " do you mean?\n3. You idiot.\n4. We close at six.\n", "5. Let me check that."];

fn shop() -> Conversation {
    Conversation::parse("customer: Hi!\nagent: Hello, what can I do for you?\ncustomer: Are you open today?").unwrap()
}

fn reply(model: &Model) -> Result<SmartReply, Error> {
    model.smart_reply(&shop(), SmartReplyOptions::default())
}

fn texts(answer: &SmartReply) -> Vec<&str> {
    answer.replies.iter().map(|reply| reply.text.as_str()).collect()
}

fn shipped(host: &FakeSystemModel, policy: SystemPolicy) -> Model {
    kinglet(host, policy).open(kinglet::DEFAULT_MODEL).unwrap()
}

#[test]
fn a_text_becomes_replies_that_pass_the_rules() {
    let host = FakeSystemModel::saying(LINES);
    let answer = reply(&alone(&host)).unwrap();
    assert_eq!((answer.status, answer.scores), (Status::Ok, ReplyScores::AsWritten));
    assert_eq!(texts(&answer), ["Yes, of course.", "Which day do you mean?", "Let me check that."]);
    let request = &host.requests()[0];
    assert!(request.instructions.as_ref().unwrap().contains("replies that the agent could send"), "{request:?}");
    assert!(request.messages[0].text.contains("customer: Are you open today?"), "{request:?}");
}

#[test]
fn a_crisis_is_not_shown_to_the_system() {
    let host = FakeSystemModel::saying(LINES);
    let answer = alone(&host).smart_reply(&Conversation::single("I want to kill myself"), Default::default()).unwrap();
    assert_eq!((answer.status, host.requests().len()), (Status::Unsafe, 0));
}

#[test]
fn nothing_that_may_be_said_is_no_reply() {
    for pieces in [&[][..], &["You idiot."], &["\n...\n"]] {
        let host = FakeSystemModel::saying(pieces.iter().copied());
        assert_eq!(reply(&alone(&host)).unwrap().status, Status::NoReply, "{pieces:?}");
    }
}

#[test]
fn failures_are_those_of_a_session() {
    let failed = |script: Vec<Act>| reply(&alone(&FakeSystemModel::answering(script))).unwrap_err();
    assert!(matches!(failed(vec![Act::Panic]), Error::Failed(_)));
    assert!(matches!(failed(vec![Act::Say("Yes.".into()), Act::Fail(SystemFailure::Cancelled)]), Error::Cancelled));
    assert!(matches!(failed(vec![Act::Fail(SystemFailure::Refused { message: "m".into() })]), Error::Refused(_)));
    let bank = SmartReplyOptions { bank: Some(vec!["Yes.".into()]), ..Default::default() };
    let error = alone(&FakeSystemModel::saying(LINES)).smart_reply(&shop(), bank).unwrap_err();
    assert!(matches!(error, Error::Unsupported(_)) && error.to_string().contains("open a model folder"), "{error}");
    let none = SmartReplyOptions { count: 0, ..Default::default() };
    assert!(matches!(alone(&FakeSystemModel::saying(LINES)).smart_reply(&shop(), none), Err(Error::InvalidRequest(_))));
}

#[test]
fn cancelling_ends_the_wait() {
    let host = FakeSystemModel::answering([Act::Wait(Duration::from_secs(5))]);
    let cancel = CancelHandle::default();
    let raised = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        raised.cancel();
    });
    let began = std::time::Instant::now();
    assert!(matches!(alone(&host).smart_reply_until(&shop(), Default::default(), &cancel), Err(Error::Cancelled)));
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[test]
fn the_folder_s_model_stands_in_and_ranks_banks() {
    let host = FakeSystemModel::answering([Act::Say("Yes".into()), Act::Panic]);
    let model = shipped(&host, SystemPolicy::Prefer);
    let own = builder().build().unwrap().open(kinglet::DEFAULT_MODEL).unwrap();
    let (expected, answer) = (reply(&own).unwrap(), reply(&model).unwrap());
    assert_eq!((answer.scores, texts(&answer)), (ReplyScores::Probabilities, texts(&expected)), "no reply was shown before");
    let asked = host.requests().len();
    let bank = SmartReplyOptions { bank: Some(vec!["Yes, until six.".into(), "No idea.".into()]), ..Default::default() };
    assert_eq!(model.smart_reply(&shop(), bank).unwrap().scores, ReplyScores::Likelihoods);
    assert_eq!(host.requests().len(), asked, "a bank is ranked by likelihoods");
    let refusing = FakeSystemModel::answering([Act::Fail(SystemFailure::Refused { message: "m".into() })]);
    assert!(matches!(reply(&shipped(&refusing, SystemPolicy::Prefer)), Err(Error::Refused(_))));
}

#[test]
fn as_a_fallback_the_system_is_not_asked() {
    let host = FakeSystemModel::saying(LINES);
    assert_eq!(reply(&shipped(&host, SystemPolicy::Fallback)).unwrap().scores, ReplyScores::Probabilities);
    assert!(host.requests().is_empty());
    let stands_in = kinglet(&host, SystemPolicy::Fallback).open("no/such/folder").unwrap();
    assert_eq!(reply(&stands_in).unwrap().scores, ReplyScores::AsWritten);
    host.become_state(Availability::Unavailable { reason: UnavailableReason::NotReady });
    assert!(matches!(reply(&stands_in), Err(Error::Unavailable(_))));
}
