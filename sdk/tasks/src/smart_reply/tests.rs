use super::*;
use crate::fixture::{Bench, PLAIN, RANKING, SPEAKERS, bench, replying};
use std::sync::atomic::{AtomicU64, Ordering};

fn request(talk: &str, change: impl FnOnce(&mut SmartReplyOptions)) -> SmartReplyRequest {
    let mut options = SmartReplyOptions { max_new_tokens: 100, ..Default::default() };
    change(&mut options);
    SmartReplyRequest { conversation: Conversation::parse(talk).unwrap(), options }
}

/// A model that says `replies`, with vectors for ranking.
fn speaking(replies: &'static [(&'static str, f32)]) -> Bench {
    bench(replying(replies), SPEAKERS, RANKING, 1024)
}

fn answer(bench: &Bench, request: SmartReplyRequest) -> SmartReply {
    SmartReplier::new(bench.model.clone()).reply(request, &CancelToken::default()).unwrap()
}

fn texts(answer: &SmartReply) -> Vec<&str> {
    answer.replies.iter().map(|reply| reply.text.as_str()).collect()
}

const ABOUT: &[(&str, f32)] = &[
    ("The bus is late.", 1.0),
    ("A coffee, please.", 1.1),
    ("Is that the film?", 0.9),
    ("No idea.", 0.8),
    ("Hello!", 1.2),
    ("x", 0.1),
    ("Z", 0.1),
    ("q", 0.1),
];

#[test]
fn the_reply_that_fits_comes_first() {
    let bench = speaking(ABOUT);
    let bus = answer(&bench, request("Where is the bus?", |_| {}));
    assert_eq!((bus.status, bus.reason, bus.replies[0].text.as_str()), (Status::Ok, None, "The bus is late."));
    let coffee = answer(&bench, request("agent: Your coffee?", |_| {}));
    assert_eq!(coffee.replies[0].text, "A coffee, please.");
    assert_eq!(coffee.replies.len(), 3);
    assert!(coffee.replies.is_sorted_by(|a, b| a.score >= b.score));
}

#[test]
fn the_same_seed_gives_the_same_replies() {
    let bench = speaking(&[
        ("Hey you.", 1.0),
        ("Hey there.", 1.0),
        ("Hello to you.", 1.0),
        ("Hello there.", 1.0),
        ("Hi.", 0.4),
        ("Ho.", 0.3),
    ]);
    let with = |seed| answer(&bench, request("agent: hi", |o| (o.seed, o.temperature, o.top_p) = (seed, 1.0, 1.0)));
    let same = |a: &SmartReply, b: &SmartReply| (a.status, &a.replies, a.usage) == (b.status, &b.replies, b.usage);
    assert!((0..20).all(|seed| same(&with(seed), &with(seed))));
    assert!((1..20).any(|seed| with(seed).replies != with(0).replies), "the seed matters");
}

#[test]
fn nothing_is_generated_where_nothing_may_be_answered() {
    struct Case {
        talk: &'static str,
        status: Status,
        code: &'static str,
    }
    let cases = [
        Case { talk: "", status: Status::NoReply, code: "nothing_to_answer" },
        Case { talk: "?!", status: Status::NoReply, code: "nothing_to_answer" },
        Case { talk: "I want to kill myself", status: Status::Unsafe, code: "self_harm" },
        Case {
            talk: "customer: my dad is having a heart attack\nagent: I am calling help",
            status: Status::Unsafe,
            code: "emergency",
        },
        Case { talk: "\u{bf}D\u{f3}nde est\u{e1} mi pedido?", status: Status::UnsupportedLanguage, code: "es" },
    ];
    let bench = speaking(ABOUT);
    for Case { talk, status, code } in cases {
        for bank in [None, Some(vec!["Sure!".to_owned()])] {
            let found = answer(&bench, request(talk, |o| o.bank = bank));
            assert_eq!((found.status, found.reason.map(Reason::code)), (status, Some(code)), "{talk:?}");
            assert!(found.replies.is_empty());
        }
    }
    assert_eq!(bench.control.steps(), 0, "the model was not asked");
}

#[test]
fn languages_of_the_options_win_over_the_models() {
    let spanish = "\u{bf}D\u{f3}nde est\u{e1} mi pedido?";
    let found = answer(&speaking(ABOUT), request(spanish, |o| o.languages = Some(vec!["es".into()])));
    assert_eq!(found.status, Status::Ok);
}

#[test]
fn unfit_secret_and_echoing_candidates_are_dropped() {
    let bench = speaking(&[
        ("Shut up!", 1.0),
        ("Use hunter2 again.", 1.0),
        ("The code is 448812.", 1.0),
        ("4242 it is.", 1.0),
        ("my password is hunter2, card 4242424242424242", 1.0),
        ("Welcome!", 1.0),
        ("I want to die.", 1.0),
        ("Good to know.", 0.5),
    ]);
    let talk = "agent: Welcome!\ncustomer: my password is hunter2, card 4242424242424242";
    let found = answer(&bench, request(talk, |_| {}));
    assert_eq!(texts(&found), ["Good to know."]);
    assert_eq!((found.usage.candidates, found.usage.ranked), (8, 1));
}

#[test]
fn no_good_candidate_is_an_answer() {
    let unfit = answer(&speaking(&[("Shut up!", 1.0)]), request("agent: hi", |o| o.candidates = 1));
    assert_eq!((unfit.status, unfit.reason), (Status::NoReply, Some(Reason::NoGoodCandidate)));
    let poor = answer(&speaking(ABOUT), request("agent: hi", |o| o.min_score = 1e6));
    assert_eq!((poor.status, poor.reason), (Status::NoReply, Some(Reason::NoGoodCandidate)));
    let nonsense = bench(kinglet_engine::fake::FakeModel::new(265, 4096, |_| vec![0.0; 265]), SPEAKERS, PLAIN, 1024);
    assert_eq!(answer(&nonsense, request("agent: hi", |_| {})).status, Status::NoReply);
}

#[test]
fn a_candidate_that_did_not_end_is_cut_to_its_sentences_or_dropped() {
    let bench = speaking(&[("It is late. We are on our way to", 1.0), ("Without an end this goes on and on", 0.9)]);
    let found = answer(
        &bench,
        request("agent: hi", |o| {
            (o.max_new_tokens, o.candidates, o.count) = (25, 2, 2);
            o.min_token_logprob = f32::NEG_INFINITY;
        }),
    );
    assert_eq!(texts(&found), ["It is late."], "{found:?}");
}

#[test]
fn the_replies_shown_differ() {
    let bench = speaking(&[
        ("Yes, the bus is late.", 1.0),
        ("yes the bus is late", 0.9),
        ("Sure, the bus is late now.", 0.8),
        ("Absolutely, the bus waits.", 0.7),
        ("No bus today.", 0.2),
        ("Which bus?", 0.2),
    ]);
    let found = answer(&bench, request("Is the bus late?", |o| o.diversity = 0.7));
    let intents: Vec<_> = found.replies.iter().map(|r| crate::Intent::of(&r.text)).collect();
    assert_eq!(found.replies.len(), 3);
    assert!(intents.contains(&crate::Intent::Yes) && intents.contains(&crate::Intent::No), "{found:?}");
}

#[test]
fn a_bank_is_ranked_and_nothing_is_written() {
    let bench = speaking(ABOUT);
    let bank = [
        "Call 0800 123 4567 about the bus.",
        "The coffee is ready.",
        " The coffee is ready.",
        "",
        "You are an idiot.",
        "The film was long.",
    ];
    let ask = |talk: &str| answer(&bench, request(talk, |o| o.bank = Some(bank.map(str::to_owned).to_vec())));
    let found = ask("My coffee?");
    assert_eq!(found.replies[0].text, "The coffee is ready.");
    assert_eq!((found.usage.prompt_tokens, found.usage.new_tokens, found.usage.candidates, found.usage.ranked), (0, 0, 4, 3));
    assert_eq!(
        ask("The bus?").replies[0].text,
        "Call 0800 123 4567 about the bus.",
        "contact data of a bank is meant to be told"
    );
    assert_eq!(ask("My coffee?").replies, found.replies);
    let empty = answer(&bench, request("My coffee?", |o| o.bank = Some(vec![" ".into()])));
    assert_eq!(empty.reason, Some(Reason::NoGoodCandidate));
}

#[test]
fn a_model_without_rank_tokens_replies_as_well() {
    let found =
        answer(&bench(replying(ABOUT), SPEAKERS, PLAIN, 1024), request("agent: hi", |o| o.min_token_logprob = f32::NEG_INFINITY));
    assert_eq!((found.status, found.replies.len()), (Status::Ok, 3));
}

#[test]
fn usage_and_timing_are_told() {
    let ticks = AtomicU64::new(0);
    let replier = SmartReplier::with_clock(speaking(ABOUT).model, move || {
        Duration::from_millis(ticks.fetch_add(1, Ordering::SeqCst).pow(2))
    });
    let found = replier.reply(request("Where is the bus?", |_| {}), &CancelToken::default()).unwrap();
    let ms = Duration::from_millis;
    assert_eq!(found.timing, ReplyTiming { generate: ms(4 - 1), rank: ms(9 - 4), total: ms(9) });
    assert_eq!(found.usage.prompt_tokens, "Where is the bus?".len() + 4);
    assert!(found.usage.new_tokens > 0);
}

#[test]
fn the_conversation_is_read_once() {
    let bench = speaking(ABOUT);
    let before = bench.control.tokens();
    let found = answer(&bench, request(&"Where is the bus? ".repeat(40), |_| {}));
    assert_eq!(found.status, Status::Ok);
    let (fed, prompt) = (bench.control.tokens() - before, found.usage.prompt_tokens);
    assert!((prompt..2 * prompt).contains(&fed), "{fed} tokens for a prompt of {prompt}");
}

#[test]
fn failures_are_errors_and_leave_the_replier_usable() {
    let bench = speaking(ABOUT);
    let replier = SmartReplier::new(bench.model.clone());
    let raised = CancelToken::default();
    raised.cancel();
    assert!(matches!(replier.reply(request("hi", |_| {}), &raised), Err(TaskError::Cancelled)));
    bench.control.fail_at(bench.control.steps() + 2);
    assert!(matches!(replier.reply(request("hi", |_| {}), &CancelToken::default()), Err(TaskError::Generate(_))));
    assert!(matches!(
        replier.reply(request("hi", |o| o.count = 0), &CancelToken::default()),
        Err(TaskError::InvalidOption { .. })
    ));
    assert_eq!(replier.reply(request("hi", |_| {}), &CancelToken::default()).unwrap().status, Status::Ok);
    assert_eq!(bench.model.generator().kv_bytes(), 0, "all caches were given back");
}

/// A bank of replies about coffee, buses and, sadly, films, beside a model that writes.
const OWN: &str = "# drink casual\ncoffee pls\nmore coffee\n# drink polite\nA coffee, please.\n# ride casual\nbus is fine\n\
    # ride polite\nThe bus suits me.\n# grief casual\nsad film\n# grief polite\nWhat a sad film.\n# fun casual\nfilm night\n\
    # fun polite\nA film it is.\n";
const JUDGING: &str = r#"{"languages": ["en"], "reply_format": "speakers",
    "reply_ranking": {"reply_token": "<|reply|>", "rank_tokens": [261, 264], "temperature": 0.5, "lm_weight": 0.25},
    "reply_bank": {"gain": 10, "offset": -5, "threshold": 0.6, "written_threshold": 0.6, "bad_news": ["grief"],
        "comforting": ["grief"], "bad_news_threshold": 0.9}}"#;

fn judging(replies: &'static [(&'static str, f32)]) -> (Bench, SmartReplier) {
    let bench = bench(replying(replies), SPEAKERS, JUDGING, 1024);
    let replier = SmartReplier::new(bench.model.clone()).with_bank(ReplyBank::parse(OWN).unwrap(), vec![], None);
    (bench, replier)
}

fn judged(replier: &SmartReplier, talk: &str) -> SmartReply {
    replier.reply(request(talk, |o| o.explain = true), &CancelToken::default()).unwrap()
}

#[test]
fn the_own_bank_answers_what_it_knows_in_the_tone_of_the_talk() {
    let (_, replier) = judging(ABOUT);
    let casual = judged(&replier, "bus?");
    assert_eq!((casual.status, casual.scores), (Status::Ok, ReplyScores::Probabilities));
    assert_eq!(texts(&casual), ["bus is fine"], "{casual:?}");
    assert_eq!(casual.replies[0].source, ReplySource::Bank);
    assert!((0.9..=1.0).contains(&casual.replies[0].score));
    assert_eq!(texts(&judged(&replier, "Could you tell me when the bus leaves?")), ["The bus suits me."]);
}

#[test]
fn the_own_bank_is_silent_where_it_knows_nothing() {
    let (_, replier) = judging(&[("coffee!", 1.0)]);
    let silent = judged(&replier, "what about the weather");
    assert_eq!((silent.status, silent.reason), (Status::NoReply, Some(Reason::NoGoodCandidate)));
    assert!(silent.considered.iter().any(|c| c.source == ReplySource::Bank && c.fate == Fate::BelowThreshold), "{silent:?}");
}

#[test]
fn a_judge_takes_what_another_model_writes_and_fills_in() {
    let (_, judge) = judging(&[("zzz", 1.0)]);
    let writer = |replies| SmartReplier::new(bench(replying(replies), SPEAKERS, r#"{"reply_format": "speakers"}"#, 1024).model);
    let asked = |writer: &SmartReplier, talk| {
        writer.reply_judged_by(&judge, request(talk, |o| o.explain = true), &CancelToken::default()).unwrap()
    };
    let good = asked(&writer(&[("I like the bus.", 1.0), ("coffee", 0.9)]), "bus?");
    assert_eq!(good.scores, ReplyScores::Probabilities);
    let sources: Vec<_> =
        good.considered.iter().filter(|c| c.fate != Fate::BelowThreshold).map(|c| (&*c.text, c.source)).collect();
    assert!(sources.contains(&("bus is fine", ReplySource::Bank)), "{good:?}");
    assert!(sources.contains(&("I like the bus.", ReplySource::Model)), "{good:?}");
    let off = asked(&writer(&[("coffee", 1.0)]), "what about the weather");
    assert_eq!(off.reason, Some(Reason::NoGoodCandidate), "what is written fits nothing: {off:?}");
    let foreign = asked(&writer(ABOUT), "\u{bf}D\u{f3}nde est\u{e1} mi pedido?");
    assert_eq!(foreign.scores, ReplyScores::Likelihoods, "the judge speaks English alone: {foreign:?}");
}

#[test]
fn bad_news_gets_comfort_and_nothing_is_written() {
    let (_, replier) = judging(ABOUT);
    let sad = judged(&replier, "about that film");
    assert_eq!(texts(&sad), ["sad film"]);
    let fate = |text: &str| sad.considered.iter().find(|c| c.text == text).map(|c| c.fate);
    assert_eq!(fate("film night"), Some(Fate::NotForBadNews));
    assert!(sad.considered.iter().all(|c| c.source == ReplySource::Bank));
    assert_eq!(sad.usage.new_tokens, 0);
}

#[test]
fn of_a_callers_bank_bad_news_gets_what_comforts_if_there_is_any() {
    let settings = JUDGING.replace(r#""comforting": ["grief"]"#, r#""comforting": ["grief", "fun"]"#);
    let bench = bench(replying(ABOUT), SPEAKERS, &settings, 1024);
    let replier = SmartReplier::new(bench.model.clone()).with_bank(ReplyBank::parse(OWN).unwrap(), vec![], None);
    let asked = |talk, bank: [&str; 2]| {
        let options = |o: &mut SmartReplyOptions| (o.bank, o.explain) = (Some(bank.map(str::to_owned).to_vec()), true);
        replier.reply(request(talk, |o| options(o)), &CancelToken::default()).unwrap()
    };
    let sad = asked("the funeral was on film", ["A sad film.", "More coffee?"]);
    assert_eq!(texts(&sad), ["A sad film."]);
    assert!(sad.considered.iter().any(|c| c.text == "More coffee?" && c.fate == Fate::NotForBadNews), "{sad:?}");
    assert_eq!(asked("the funeral", ["The bus?", "More coffee?"]).replies.len(), 2, "there is none");
    assert_eq!(asked("on film", ["A sad film.", "More coffee?"]).replies.len(), 2, "no bad news");
}

#[test]
fn what_is_written_is_judged_beside_the_bank_and_what_is_made_up_is_named() {
    let (_, replier) = judging(&[("Coffee? Or the coffee?", 1.0), ("The coffee costs $9.", 0.9), ("zzz", 0.8)]);
    let answer = judged(&replier, "a coffee?");
    let fate = |text: &str| answer.considered.iter().find(|c| c.text == text).map(|c| c.fate);
    assert_eq!(fate("The coffee costs $9."), Some(Fate::Invented("number")), "{answer:?}");
    assert_eq!(fate("Coffee? Or the coffee?"), Some(Fate::SameIntent));
    assert_eq!(fate("zzz"), Some(Fate::BelowThreshold));
    let short = replier.reply(request("a coffee?", |_| {}), &CancelToken::default()).unwrap();
    assert!(short.considered.is_empty(), "nobody asked");
}

#[test]
fn vectors_made_ahead_are_not_computed() {
    let (bench, replier) = judging(&[("zzz", 1.0)]);
    let file = replier.bank_vectors(&CancelToken::default()).unwrap().unwrap();
    let with = |stored: Vec<u8>| {
        let (bench, _) = judging(&[("zzz", 1.0)]);
        let replier = SmartReplier::new(bench.model.clone()).with_bank(ReplyBank::parse(OWN).unwrap(), stored, None);
        let answer = judged(&replier, "bus?");
        (bench.control.steps(), texts(&answer).join("|"))
    };
    let (ahead, computed) = (with(file.clone()), with(vec![]));
    assert!(ahead.0 < computed.0, "{} steps, {} without a file", ahead.0, computed.0);
    assert_eq!(ahead.1, computed.1);
    assert_eq!(with(file[..file.len() - 1].to_vec()), computed, "a damaged file is none");
    drop(bench);
}
