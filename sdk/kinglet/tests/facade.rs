//! The facade on the shipped model and on the tiny goldens: what holds whatever the weights are.

use kinglet::{
    Bytes, CancelHandle, Conversation, Error, Event, FinishReason, GenerationOptions, Kinglet, Model, Positions, ReplySource,
    SamplingOptions, Session, SessionOptions, SmartReplyOptions, Status, Threads,
};
use std::path::PathBuf;

const TINY: &str = "models/goldens/qwen2/genai";

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

fn tiny() -> Model {
    Kinglet::builder().threads(Threads::Exactly(2)).build().unwrap().open(repository().join(TINY)).unwrap()
}

fn greedy(tokens: usize) -> GenerationOptions {
    GenerationOptions { max_new_tokens: tokens, sampling: Some(SamplingOptions::default()), stop: vec![] }
}

fn session(model: &Model, tokens: usize) -> Session {
    model.session(SessionOptions { generation: greedy(tokens), ..SessionOptions::default() }).unwrap()
}

#[test]
fn a_model_is_shared_between_threads() {
    fn shared<T: Clone + Send + Sync>(_: &T) {}
    let model = tiny();
    shared(&model);
    let answer = |model: &Model| model.completer().unwrap().complete("abc", &greedy(12)).unwrap().finish().unwrap().tokens;
    let alone = answer(&model);
    let together: Vec<Vec<u32>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(|| answer(&model.clone()))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|tokens| *tokens == alone), "{together:?} is not {alone:?}");
}

#[test]
fn a_session_streams_and_remembers() {
    let model = tiny();
    let mut session = session(&model, 6);
    let (mut text, mut usage) = (String::new(), None);
    for event in session.respond("Hello").unwrap() {
        match event.unwrap() {
            Event::Text(piece) => {
                assert!(usage.is_none() && !piece.is_empty());
                text.push_str(&piece);
            }
            Event::Done(done) => usage = Some(done),
        }
    }
    let usage = usage.unwrap();
    assert_eq!((usage.cached_tokens, usage.prompt_tokens > 0, usage.new_tokens <= 6), (0, true, true));
    let roles: Vec<_> = session.messages().iter().map(|message| message.role().unwrap().to_owned()).collect();
    assert_eq!(roles, ["user", "assistant"]);
    assert_eq!(session.messages()[1].content().unwrap().as_str(), Some(text.as_str()));
    let second = session.respond("And?").unwrap().finish().unwrap().usage;
    assert!(second.cached_tokens > usage.prompt_tokens / 2, "the beginning is not read again: {second:?}");
    session.reset().unwrap();
    assert!(session.messages().is_empty());
    assert_eq!(session.respond("Hello").unwrap().finish().unwrap().text, text);
}

#[test]
fn a_reset_keeps_the_instructions() {
    let model = tiny();
    let instructions = Some("Be kind.".to_owned());
    let mut session = model.session(SessionOptions { instructions, generation: greedy(2), ..SessionOptions::default() }).unwrap();
    session.respond("Hello").unwrap().finish().unwrap();
    session.reset().unwrap();
    assert_eq!(session.messages().iter().map(|message| message.role()).collect::<Vec<_>>(), [Some("system")]);
}

#[test]
fn an_answer_that_is_cancelled_or_dropped_leaves_the_session_as_it_was() {
    let model = tiny();
    let mut session = session(&model, 200);
    let cancel = session.cancel_handle();
    let end = {
        let mut response = session.respond("Hello").unwrap();
        response.next().unwrap().unwrap();
        std::thread::spawn(move || cancel.cancel()).join().unwrap();
        response.find_map(|event| match event.unwrap() {
            Event::Text(_) => None,
            Event::Done(usage) => Some(usage),
        })
    };
    assert_eq!(end.unwrap().finish, FinishReason::Cancelled);
    assert!(session.messages().is_empty());
    drop(session.respond("Hello").unwrap().next());
    assert!(session.messages().is_empty());
    assert_eq!(session.respond_with("Hello", &greedy(3)).unwrap().finish().unwrap().usage.finish, FinishReason::Length);
}

#[test]
fn forks_go_their_own_way_from_the_same_beginning() {
    let model = tiny();
    let mut first = session(&model, 4);
    first.respond("Hello").unwrap().finish().unwrap();
    let mut second = first.fork().unwrap();
    let (a, b) = (first.respond("a").unwrap().finish().unwrap(), second.respond("a").unwrap().finish().unwrap());
    assert_eq!((a.tokens, a.usage.cached_tokens), (b.tokens, b.usage.cached_tokens));
    second.respond("b").unwrap().finish().unwrap();
    assert_eq!((first.messages().len(), second.messages().len()), (4, 6));
}

#[test]
fn several_continuations_share_one_prompt() {
    let model = tiny();
    let options = kinglet::ContinuationOptions { count: 4, max_new_tokens: 5, ..Default::default() };
    let found = model.continuations("abc", &options, &CancelHandle::default()).unwrap();
    let mut firsts: Vec<u32> = found.continuations.iter().map(|one| one.tokens[0]).collect();
    let likelihoods: Vec<Vec<u32>> = found.continuations.iter().map(|one| one.tokens[..1].to_vec()).collect();
    let likelihoods = model.likelihoods("abc", &likelihoods, &CancelHandle::default()).unwrap();
    assert!(likelihoods.is_sorted_by(|a, b| a.logprob >= b.logprob), "{likelihoods:?}");
    firsts.sort_unstable();
    firsts.dedup();
    assert_eq!(firsts.len(), 4, "each begins differently");
    let cancelled = CancelHandle::default();
    cancelled.cancel();
    assert!(matches!(model.continuations("abc", &options, &cancelled), Err(Error::Cancelled)));
}

#[test]
fn logits_of_the_last_position_are_the_last_of_all() {
    let model = tiny();
    let tokens = model.tokenize("Some text", false).unwrap();
    let never = CancelHandle::default();
    let last = model.logits(&tokens, Positions::Last, &never).unwrap();
    let all = model.logits(&tokens, Positions::All, &never).unwrap();
    assert_eq!((last.positions, all.positions), (1, tokens.len()));
    assert_eq!((last.vocabulary, last.values.len()), (model.vocabulary(), model.vocabulary()));
    let row = &all.values[(tokens.len() - 1) * model.vocabulary()..];
    assert!(last.values.iter().zip(row).all(|(a, b)| (a - b).abs() < 1e-3), "the two differ");
}

#[test]
fn a_long_text_is_judged_in_windows() {
    let small = Kinglet::builder().context(64).build().unwrap().open(repository().join(TINY)).unwrap();
    let tokens = tiny().tokenize(&"word after word ".repeat(20), false).unwrap();
    assert!(tokens.len() > 128);
    let never = CancelHandle::default();
    let (whole, windows) = (tiny().likelihood(&tokens, &never).unwrap(), small.likelihood(&tokens, &never).unwrap());
    assert_eq!((whole.tokens, windows.tokens), (tokens.len() - 1, tokens.len() - 1));
    assert!((whole.perplexity().unwrap() / windows.perplexity().unwrap() - 1.0).abs() < 0.5, "{whole:?} {windows:?}");
}

#[test]
fn the_shipped_model_is_found_by_name_and_replies() {
    let model = Kinglet::builder().build().unwrap().open(kinglet::DEFAULT_MODEL).unwrap();
    let talk = Conversation::single("Do you want to grab lunch tomorrow?");
    let answer = model.smart_reply(&talk, SmartReplyOptions::default()).unwrap();
    assert_eq!(answer.status, Status::Ok);
    assert_eq!(model.smart_reply(&talk, SmartReplyOptions::default()).unwrap().replies, answer.replies, "the same every time");
    assert!(
        answer.replies.iter().all(|reply| reply.source == ReplySource::Bank && (0.0..=1.0).contains(&reply.score)),
        "{answer:?}"
    );
    let bank = Some(vec!["The train leaves at nine.".to_owned(), "Yes, gladly.".to_owned()]);
    let ranked = model.smart_reply(&talk, SmartReplyOptions { bank, ..Default::default() }).unwrap().replies;
    let texts: Vec<&str> = ranked.iter().map(|reply| reply.text.as_str()).collect();
    let scores = model.score_replies(&talk, &texts, &CancelHandle::default()).unwrap();
    assert!(scores.iter().zip(&ranked).all(|(a, b)| (a.score - b.score).abs() < 1e-2), "{scores:?} {ranked:?}");
    let sad = model.smart_reply(&Conversation::single("mum is in hospital"), SmartReplyOptions::default()).unwrap();
    assert!(sad.replies.iter().all(|reply| reply.source == ReplySource::Bank), "bad news is comforted or left alone: {sad:?}");
}

#[test]
fn another_model_judges_what_one_writes() {
    let kinglet = Kinglet::builder().build().unwrap();
    let (writer, judge) = (tiny(), kinglet.open(kinglet::DEFAULT_MODEL).unwrap());
    assert!(judge.has_bank() && !writer.has_bank());
    let thanks = Conversation::single("thanks so much!!");
    let answer = writer.judged_by(&judge).unwrap().smart_reply(&thanks, SmartReplyOptions::default()).unwrap();
    assert_eq!(answer.status, Status::Ok);
    assert!(answer.replies.iter().all(|reply| reply.source == ReplySource::Bank), "what it writes makes no sense: {answer:?}");
    assert!(matches!(judge.judged_by(&writer), Err(Error::Unsupported(_))), "it has no bank");
}

#[test]
fn reports_tell_what_was_opened_and_what_it_takes() {
    let report = tiny().report().unwrap();
    assert_eq!((report.name.as_str(), report.layout.as_str(), report.unsupported), ("genai", "onnxruntime-genai", None));
    let engine = report.engine.unwrap();
    assert_eq!((engine.name, engine.threads, engine.foreign_operators.len()), ("tract", Some(2), 0));
    assert_eq!(engine.memory.total.0, engine.memory.weights.0 + engine.memory.kv.0 + engine.memory.scratch.0);
    assert!(report.parameters > 10_000 && report.text.vocabulary.is_some_and(|tokens| tokens > 100));
    assert_eq!(report.text.templates, ["default"]);
    let kinglet = Kinglet::builder().threads(Threads::Exactly(2)).build().unwrap();
    let mut before = kinglet.inspect(repository().join(TINY)).unwrap().engine.unwrap();
    // Memory of the process beside the model grows with every test that runs in it.
    before.memory.process = engine.memory.process;
    assert_eq!(before, engine, "before and after opening");
}

#[test]
fn a_budget_costs_parallel_room_first_and_is_refused_below_the_least() {
    let open = |budget: Bytes| Kinglet::builder().memory_budget(budget).build().unwrap().open(repository().join(TINY));
    let whole = tiny().report().unwrap().engine.unwrap();
    let reduced = open(Bytes(whole.memory.total.0 - 1)).unwrap().report().unwrap().engine.unwrap();
    assert_eq!(reduced.context, whole.context);
    assert!(reduced.max_sequences < whole.max_sequences && reduced.reduced.is_some(), "{reduced:?}");
    assert!(reduced.memory.total < whole.memory.total);
    let error = open(Bytes(1000)).unwrap_err();
    let Error::OutOfMemory { needed, budget, .. } = error else { panic!("{error}") };
    assert_eq!(budget, Bytes(1000));
    assert_eq!(open(needed).unwrap().context(), 128);
    assert!(open(Bytes(needed.0 - 1)).is_err());
}

#[test]
fn what_is_wrong_says_what_to_do() {
    let kinglet = Kinglet::builder().build().unwrap();
    let model = tiny();
    let empty = tempfile::tempdir().unwrap();
    let never = CancelHandle::default();
    struct Case(Error, fn(&Error) -> bool);
    let not_found = |error: &Error| matches!(error, Error::NotFound { .. });
    let invalid = |error: &Error| matches!(error, Error::InvalidRequest(_));
    let hot = GenerationOptions { sampling: Some(SamplingOptions { temperature: -1.0, ..Default::default() }), ..greedy(1) };
    let no_count = SmartReplyOptions { count: 0, ..Default::default() };
    for Case(error, expected) in [
        Case(kinglet.open("no-such-model").unwrap_err(), not_found),
        Case(kinglet.open("no/such/model").unwrap_err(), not_found),
        Case(kinglet.open(empty.path()).unwrap_err(), not_found),
        Case(kinglet.open(repository().join("Cargo.toml")).unwrap_err(), not_found),
        Case(Kinglet::builder().variant("q2").build().unwrap().open(repository().join(TINY)).unwrap_err(), invalid),
        Case(model.completer().unwrap().complete("", &greedy(1)).err().unwrap(), invalid),
        Case(model.completer().unwrap().complete("a", &hot).err().unwrap(), invalid),
        Case(model.completer().unwrap().complete(vec![u32::MAX], &greedy(1)).unwrap().finish().unwrap_err(), invalid),
        Case(model.completer().unwrap().complete("word ".repeat(5000), &greedy(1)).err().unwrap(), invalid),
        Case(model.logits(&[], Positions::Last, &never).unwrap_err(), invalid),
        Case(model.logits(&[u32::MAX], Positions::All, &never).unwrap_err(), invalid),
        Case(model.detokenize(&[u32::MAX], true).unwrap_err(), invalid),
        Case(model.render(&Default::default()).unwrap_err(), invalid),
        Case(model.smart_reply(&Conversation::single("hi"), no_count).unwrap_err(), invalid),
    ] {
        assert!(expected(&error), "{error:?}");
        assert!(error.to_string().len() > 20 && !error.to_string().contains('\n'), "{error}");
    }
}
