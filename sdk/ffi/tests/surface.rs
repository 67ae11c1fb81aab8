//! The surface as another language uses it: objects that outlive each other, are closed at the wrong moment, and are used from
//! several threads.

use kinglet_ffi::*;
use kinglet_testing::repository;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A text model that answers with nonsense, and never ends by itself.
const TINY: &str = "models/goldens/llama/genai";
const GOLDCREST: &str = "models/goldcrest";

fn open(folder: &str) -> Arc<Model> {
    let options = OpenOptions { threads: Some(2), ..OpenOptions::default() };
    Kinglet::new(options).unwrap().open(repository().join(folder).display().to_string()).unwrap()
}

fn response(max_new_tokens: u32) -> GenerationOptions {
    GenerationOptions { max_new_tokens, sampling: None, stop: vec![] }
}

/// All pieces of an answer, and what it took.
fn read(generation: &Generation) -> Result<(String, Usage), KingletError> {
    let mut all = String::new();
    loop {
        match generation.next_blocking()? {
            Some(Piece::Text { text }) => all.push_str(&text),
            Some(Piece::Done { usage }) => return Ok((all, usage)),
            None => panic!("an answer ends with what it took"),
        }
    }
}

fn talk(turns: &[(bool, &str)]) -> Talk {
    let turn = |(by_agent, text): &(bool, &str)| TalkTurn { by_agent: *by_agent, text: (*text).to_owned() };
    Talk { turns: turns.iter().map(turn).collect(), instructions: None }
}

#[test]
fn an_answer_is_pulled_and_remembered() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    let (text, usage) = read(&session.respond("hello".into(), response(8)).unwrap()).unwrap();
    assert!(usage.new_tokens > 0 && usage.prompt_tokens > 0);
    let messages = session.messages().unwrap();
    let expected = [("user", "hello"), ("assistant", text.as_str())];
    assert!(messages.iter().map(|m| (m.role.as_str(), m.content.as_str())).eq(expected), "{messages:?}");
    session.reset().unwrap();
    assert_eq!(session.messages().unwrap(), []);
}

#[test]
fn the_end_is_said_once() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    let generation = session.respond("hello".into(), response(3)).unwrap();
    read(&generation).unwrap();
    assert!(generation.next_blocking().unwrap().is_none());
    assert!(generation.next_blocking().unwrap().is_none());
}

#[test]
fn a_session_answers_one_message_at_a_time() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    let generation = session.respond("hello".into(), response(100)).unwrap();
    assert!(matches!(session.respond("and".into(), response(1)), Err(KingletError::Busy(_))));
    assert!(matches!(session.reset(), Err(KingletError::Busy(_))));
    assert_eq!(session.messages().unwrap(), [], "what is in progress was not said yet, and is never in the way");
    read(&generation).unwrap();
    read(&session.respond("and".into(), response(1)).unwrap()).unwrap();
}

/// Waits until a session may be used again.
fn idle(session: &Session) -> Duration {
    let started = Instant::now();
    while session.is_responding() {
        assert!(started.elapsed() < Duration::from_secs(20), "the answer goes on");
        std::thread::sleep(Duration::from_millis(1));
    }
    started.elapsed()
}

#[test]
fn a_cancelled_answer_leaves_the_session_as_it_was() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    for wait in [0, 1, 3] {
        let generation = session.respond("hello".into(), response(100)).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        generation.cancel();
        let (_, usage) = read(&generation).unwrap();
        assert!(
            matches!(usage.finish, FinishReason::Cancelled | FinishReason::EndOfTurn) || usage.new_tokens == 100,
            "{usage:?}"
        );
        if usage.finish == FinishReason::Cancelled {
            assert_eq!(session.messages().unwrap(), []);
        }
        session.reset().unwrap();
    }
}

#[test]
fn an_answer_that_nobody_reads_ends() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    drop(session.respond("hello".into(), response(100)).unwrap());
    idle(&session);
    let closed = session.respond("hello".into(), response(100)).unwrap();
    closed.end();
    closed.end();
    assert!(closed.next_blocking().unwrap().is_none());
    idle(&session);
    read(&session.respond("hello".into(), response(2)).unwrap()).unwrap();
}

#[test]
fn what_is_closed_says_so() {
    let model = open(TINY);
    let session = model.session(SessionSetup::default()).unwrap();
    let other = model.session(SessionSetup::default()).unwrap();
    session.end();
    session.end();
    assert!(matches!(session.respond("a".into(), response(1)), Err(KingletError::Closed(_))));
    let generation = other.respond("hello".into(), response(100)).unwrap();
    model.end();
    model.end();
    while generation.next_blocking().is_ok_and(|piece| piece.is_some()) {}
    assert!(matches!(other.messages(), Err(KingletError::Closed(_))));
    assert!(matches!(model.session(SessionSetup::default()), Err(KingletError::Closed(_))));
    assert!(matches!(model.info(), Err(KingletError::Closed(_))));
    assert_eq!(model.kv_bytes(), 0);
}

#[test]
fn a_fork_goes_its_own_way() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    read(&session.respond("hello".into(), response(4)).unwrap()).unwrap();
    let fork = session.fork().unwrap();
    read(&fork.respond("more".into(), response(4)).unwrap()).unwrap();
    assert_eq!((session.messages().unwrap().len(), fork.messages().unwrap().len()), (2, 4));
}

#[test]
fn wrong_requests_fail_at_the_first_pull_and_harm_nothing() {
    let session = open(TINY).session(SessionSetup::default()).unwrap();
    let sampling = Sampling { temperature: -1.0, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: None };
    let options = GenerationOptions { sampling: Some(sampling), ..response(4) };
    let error = read(&session.respond("hello".into(), options).unwrap()).unwrap_err();
    assert!(matches!(&error, KingletError::InvalidRequest(why) if why.contains("temperature")), "{error}");
    read(&session.respond("hello".into(), response(2)).unwrap()).unwrap();
}

#[test]
fn errors_keep_their_whole_sentence() {
    let kinglet = Kinglet::new(OpenOptions::default()).unwrap();
    let error = kinglet.open("/no/such/model".into()).unwrap_err();
    assert!(matches!(&error, KingletError::NotFound(why) if why.contains("/no/such/model")), "{error}");
    let small = Kinglet::new(OpenOptions { memory_budget: Some(1000), ..OpenOptions::default() }).unwrap();
    let error = small.open(repository().join(TINY).display().to_string()).unwrap_err();
    assert!(matches!(&error, KingletError::OutOfMemory(why) if why.contains("at least")), "{error}");
    let none = Kinglet::new(OpenOptions { context: Some(0), ..OpenOptions::default() }).unwrap_err();
    assert!(matches!(none, KingletError::InvalidRequest(_)), "{none}");
}

#[test]
fn replies_are_suggested_and_scored() {
    let model = open(GOLDCREST);
    let asked = talk(&[(false, "Do you want to grab lunch tomorrow?")]);
    let answer = model.smart_reply(asked.clone(), ReplyOptions::default(), Arc::default()).unwrap();
    assert_eq!((answer.status, answer.reason.as_ref()), (ReplyStatus::Ok, None));
    assert!(answer.replies.iter().all(|reply| reply.source == ReplySource::Bank), "{answer:?}");
    let bank = Some(vec!["The train leaves at nine.".to_owned(), "Yes, gladly.".to_owned()]);
    let ranked =
        model.smart_reply(asked.clone(), ReplyOptions { bank, ..ReplyOptions::default() }, Arc::default()).unwrap().replies;
    let texts: Vec<String> = ranked.iter().map(|reply| reply.text.clone()).collect();
    let scores = model.score_replies(asked, texts, Arc::default()).unwrap();
    assert!(scores.iter().zip(&ranked).all(|(a, b)| (a.score - b.score).abs() < 1e-2));
    let nothing = model.smart_reply(talk(&[(false, "...")]), ReplyOptions::default(), Arc::default()).unwrap();
    assert_eq!((nothing.status, nothing.reason.as_deref()), (ReplyStatus::NoReply, Some("nothing_to_answer")));
}

#[test]
fn what_was_cancelled_before_it_began_does_not_begin() {
    let model = open(GOLDCREST);
    let cancellation = Arc::new(Cancellation::new());
    cancellation.cancel();
    let asked = talk(&[(false, "Hi, I would like to book a table.")]);
    let error = model.smart_reply(asked, ReplyOptions::default(), cancellation).unwrap_err();
    assert!(matches!(error, KingletError::Cancelled), "{error}");
}

#[test]
fn a_model_is_described() {
    let model = open(GOLDCREST);
    let info = model.info().unwrap();
    assert_eq!((info.name.as_str(), info.family.as_str(), info.engine.as_deref()), ("goldcrest", "llama", Some("tract")));
    let memory = info.memory.unwrap();
    assert_eq!(memory.total, memory.weights + memory.kv + memory.scratch);
    assert!(info.json.starts_with('{'));
}
