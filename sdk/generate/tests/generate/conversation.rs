//! Text in, text out: a byte tokenizer, a template, and a model with a script for each turn.

use crate::fixture::{Bench, bench, request, runner_options};
use kinglet_engine::fake::FakeModel;
use kinglet_generate::*;
use kinglet_text::{ChatTemplate, Message, Specials, TemplateInput, TextFiles, Tokenizer};
use serde_json::{Map, json};
use std::sync::Arc;

const END: TokenId = 256;
const ASSISTANT: TokenId = 258;
const VOCAB: usize = 260;
const TEMPLATE: &str = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{% endfor %}\
                        {% if add_generation_prompt %}<|assistant|>{% endif %}";

/// GPT-2's names for the 256 bytes: printable Latin-1 stands for itself, the rest from U+0100 on.
fn byte_names() -> Vec<char> {
    let printable = |b: u32| matches!(b, 33..=126 | 161..=172 | 174..=255);
    let mut next = 255;
    let name = |b: u32| {
        next += u32::from(!printable(b));
        char::from_u32(if printable(b) { b } else { next }).unwrap()
    };
    (0..256).map(name).collect()
}

/// Every token is one byte, so that characters and stop strings span tokens.
fn text() -> (Arc<Tokenizer>, Arc<ChatTemplate>) {
    text_with(&json!({"chat_template": TEMPLATE}))
}

/// The same with this configuration of the tokenizer.
fn text_with(config: &serde_json::Value) -> (Arc<Tokenizer>, Arc<ChatTemplate>) {
    let folder = tempfile::tempdir().unwrap();
    let vocab: Map<_, _> = byte_names().into_iter().zip(0..).map(|(name, id): (char, u32)| (name.into(), id.into())).collect();
    let special = |(id, content): (u32, &str)| {
        json!({"id": id, "content": content, "special": true, "single_word": false,
            "lstrip": false, "rstrip": false, "normalized": false})
    };
    let added: Vec<_> = [(256, "<|end|>"), (257, "<|user|>"), (258, "<|assistant|>"), (259, "<|system|>")].map(special).into();
    let bytes = json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false});
    let tokenizer = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": null,
        "pre_tokenizer": bytes, "post_processor": null, "decoder": bytes,
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "vocab": vocab, "merges": []},
    });
    std::fs::write(folder.path().join("tokenizer.json"), tokenizer.to_string()).unwrap();
    std::fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
    let files = TextFiles::in_folder(folder.path());
    let tokenizer = Tokenizer::from_files(&files).unwrap();
    let template = ChatTemplate::from_files(&files, &tokenizer).unwrap().unwrap();
    (Arc::new(tokenizer), Arc::new(template))
}

/// Says `replies[n]` and the end token in turn `n`.
fn scripted(replies: &'static [&'static str]) -> Bench {
    let model = FakeModel::new(VOCAB, 4096, move |tokens| {
        let turn = tokens.iter().filter(|&&t| t == ASSISTANT).count();
        let said = tokens.iter().rev().take_while(|&&t| t != ASSISTANT).count();
        let next = turn.checked_sub(1).and_then(|turn| replies.get(turn)?.as_bytes().get(said)).map_or(END, |&byte| byte.into());
        (0..VOCAB as u32).map(|token| if token == next { 10.0 } else { 0.0 }).collect()
    });
    bench(model, runner_options(512, 2), GeneratorOptions { eos: vec![END], prefill_chunk: 16, ..Default::default() })
}

fn session(bench: &Bench) -> TextSession {
    let (tokenizer, template) = text();
    TextSession::new(&bench.generator, tokenizer, template, TemplateInput::default()).unwrap()
}

fn user(text: &str) -> Message {
    Message::new("user", text)
}

fn told() -> Message {
    Message::new("system", "Be kind.")
}

/// A conversation that says one thing after being told to be kind.
fn said(text: &str) -> [Message; 2] {
    [told(), user(text)]
}

/// The texts of all token events, and the outcome.
fn pull(events: impl Iterator<Item = Result<Event, GenerateError>>) -> (Vec<String>, Outcome) {
    let (mut texts, mut done) = (vec![], None);
    for event in events {
        match event.unwrap() {
            Event::Token { text, .. } => texts.push(text),
            Event::Done(outcome) => done = Some(outcome),
            _ => {}
        }
    }
    (texts, done.unwrap())
}

fn tokens_of(text: &str) -> Vec<TokenId> {
    text.bytes().map(TokenId::from).collect()
}

#[test]
fn the_next_turn_reads_only_what_is_new() {
    let bench = scripted(&["Hello!", "Fine."]);
    let mut session = session(&bench);
    let options = RequestOptions::default();
    let mut messages = said("Hi").to_vec();
    let (texts, first) = pull(session.respond(&messages, &options).unwrap());
    assert_eq!((texts.concat(), first.text.as_str()), ("Hello!".into(), "Hello!"));
    let prompt = 1 + 8 + 1 + 1 + 2 + 1 + 1; // <|system|>Be kind.<|end|><|user|>Hi<|end|><|assistant|>
    assert_eq!(first.usage, Usage { prompt_tokens: prompt, cached_tokens: 0, new_tokens: 7 });
    let fed = bench.control.tokens();
    messages.extend([Message::new("assistant", first.text), user("How are you?")]);
    let (_, second) = pull(session.respond(&messages, &options).unwrap());
    assert_eq!(second.text, "Fine.");
    let asked = 1 + 1 + 12 + 1 + 1; // <|end|><|user|>How are you?<|end|><|assistant|>
    assert_eq!(second.usage, Usage { prompt_tokens: prompt + 6 + asked, cached_tokens: prompt + 6, new_tokens: 6 });
    assert_eq!(bench.control.tokens() - fed, asked + "Fine.".len());
}

#[test]
fn text_comes_in_whole_characters() {
    let bench = scripted(&["a\u{e9}\u{1f426}z"]);
    let mut session = session(&bench);
    let (texts, outcome) = pull(session.respond(&said("Hi"), &RequestOptions::default()).unwrap());
    assert_eq!(texts, ["a", "", "\u{e9}", "", "", "", "\u{1f426}", "z"]);
    assert_eq!((outcome.text.as_str(), outcome.tokens.len()), ("a\u{e9}\u{1f426}z", 8));
}

#[test]
fn half_a_character_at_the_end_is_shown_as_such() {
    let bench = scripted(&["a\u{e9}"]);
    let mut session = session(&bench);
    let options = RequestOptions { max_new_tokens: 2, ..Default::default() };
    let (texts, outcome) = pull(session.respond(&said("Hi"), &options).unwrap());
    assert_eq!((texts, outcome.finish), (vec!["a".into(), String::new(), "\u{fffd}".into()], FinishReason::Length));
    assert_eq!(outcome.text, "a\u{fffd}");
}

#[test]
fn stop_strings_span_tokens_and_are_not_shown() {
    struct Case {
        stop: &'static [&'static str],
        text: &'static str,
        finish: FinishReason,
        tokens: usize,
    }
    let stopped = |which: &str| FinishReason::Stop { which: which.into() };
    let cases = [
        Case { stop: &["lazy"], text: "a quick ", finish: stopped("lazy"), tokens: 12 },
        Case { stop: &["zzz", "ck l"], text: "a qui", finish: stopped("ck l"), tokens: 9 },
        Case { stop: &["a"], text: "", finish: stopped("a"), tokens: 1 },
        // A partial match of a stop string is flushed at the end.
        Case { stop: &["ogre"], text: "a quick lazy dog", finish: FinishReason::EndOfTurn(END), tokens: 16 },
    ];
    for case in cases {
        let bench = scripted(&["a quick lazy dog"]);
        let mut session = session(&bench);
        let options = RequestOptions { stop: case.stop.iter().map(|&s| s.into()).collect(), ..Default::default() };
        let (texts, outcome) = pull(session.respond(&said("Hi"), &options).unwrap());
        assert_eq!((texts.concat().as_str(), outcome.text.as_str()), (case.text, case.text), "{:?}", case.stop);
        assert_eq!((outcome.finish, outcome.tokens.len()), (case.finish, case.tokens), "{:?}", case.stop);
    }
}

#[test]
fn a_stop_string_may_be_spelt_as_a_special_token_or_hold_one() {
    struct Case {
        reply: Vec<TokenId>,
        stop: &'static [&'static str],
        text: &'static str,
        finish: FinishReason,
    }
    let stopped = |which: &str| FinishReason::Stop { which: which.into() };
    let whole = || [tokens_of("Hi"), vec![257], tokens_of("you"), vec![END]].concat();
    // Half a character before the special token.
    let half = || [tokens_of("Hi"), vec![0xc3, 257, END]].concat();
    let cases = [
        Case { reply: whole(), stop: &["<|user|>"], text: "Hi", finish: stopped("<|user|>") },
        Case { reply: whole(), stop: &["i<|user|>"], text: "H", finish: stopped("i<|user|>") },
        Case { reply: whole(), stop: &["<|user|>y"], text: "Hi", finish: stopped("<|user|>y") },
        Case { reply: whole(), stop: &["<|user|>z"], text: "Hiyou", finish: FinishReason::EndOfTurn(END) },
        // Visible text is searched as well.
        Case { reply: whole(), stop: &["iy"], text: "H", finish: stopped("iy") },
        Case { reply: half(), stop: &["<|user|>"], text: "Hi\u{fffd}", finish: stopped("<|user|>") },
        Case { reply: half(), stop: &["\u{fffd}<|user|>"], text: "Hi", finish: stopped("\u{fffd}<|user|>") },
    ];
    for case in cases {
        let reply = case.reply;
        let model = FakeModel::new(VOCAB, 4096, move |tokens| {
            let said = tokens.iter().rev().take_while(|&&t| t != ASSISTANT).count();
            let next = reply.get(said).copied().unwrap_or(END);
            (0..VOCAB as u32).map(|token| if token == next { 10.0 } else { 0.0 }).collect()
        });
        let bench =
            bench(model, runner_options(512, 2), GeneratorOptions { eos: vec![END], prefill_chunk: 16, ..Default::default() });
        let mut session = session(&bench);
        let options = RequestOptions { stop: case.stop.iter().map(|&s| s.into()).collect(), ..Default::default() };
        let (texts, outcome) = pull(session.respond(&said("Hi"), &options).unwrap());
        assert_eq!((texts.concat().as_str(), outcome.text.as_str()), (case.text, case.text), "{:?}", case.stop);
        assert_eq!(outcome.finish, case.finish, "{:?}", case.stop);
    }
}

#[test]
fn a_turn_ends_with_the_tokenizers_token_where_the_template_closes_turns_with_it() {
    struct Case {
        name: &'static str,
        eos: Vec<TokenId>,
        config: serde_json::Value,
        text: &'static str,
    }
    let named = || json!({"chat_template": TEMPLATE, "eos_token": "<|end|>"});
    let apart = TEMPLATE.replace("<|end|>", ".");
    let cases = [
        Case { name: "by the template", eos: vec![0], config: named(), text: "Hello" },
        Case {
            name: "a template that ends otherwise",
            eos: vec![0],
            config: json!({"chat_template": apart, "eos_token": "<|end|>"}),
            text: "Helloon",
        },
        Case {
            name: "another end token",
            eos: vec![0],
            config: json!({"chat_template": TEMPLATE, "eos_token": "<|user|>"}),
            text: "Helloon",
        },
        Case { name: "no end at all", eos: vec![], config: named(), text: "Helloon\0\0" },
    ];
    for case in cases {
        let model = FakeModel::new(VOCAB, 4096, |tokens| {
            let said = tokens.iter().rev().take_while(|&&t| t != ASSISTANT).count();
            let reply = [tokens_of("Hello"), vec![END], tokens_of("on")].concat();
            let next = reply.get(said).copied().unwrap_or(0);
            (0..VOCAB as u32).map(|token| if token == next { 10.0 } else { 0.0 }).collect()
        });
        let bench =
            bench(model, runner_options(512, 2), GeneratorOptions { eos: case.eos, prefill_chunk: 16, ..Default::default() });
        let (tokenizer, template) = text_with(&case.config);
        let mut session = TextSession::new(&bench.generator, tokenizer, template, TemplateInput::default()).unwrap();
        let options = RequestOptions { max_new_tokens: 10, ..Default::default() };
        assert_eq!(pull(session.respond(&[user("Hi")], &options).unwrap()).1.text, case.text, "{}", case.name);
    }
}

#[test]
fn a_message_that_cannot_fit_is_refused_before_the_work() {
    let bench = scripted(&["x"]);
    let mut session = session(&bench);
    let error = session.respond(&said(&"a".repeat(8 << 20)), &RequestOptions::default()).map(|_| ()).unwrap_err();
    assert!(matches!(error, GenerateError::Text(kinglet_text::TextError::TooLong { .. })), "{error}");
    assert_eq!(bench.control.steps(), 0);
}

#[test]
fn an_empty_stop_string_is_refused() {
    let bench = scripted(&["x"]);
    let mut session = session(&bench);
    let options = RequestOptions { stop: vec![String::new()], ..Default::default() };
    let error = session.respond(&said("Hi"), &options).map(|_| ()).unwrap_err();
    assert!(matches!(error, GenerateError::InvalidOptions(OptionError { field: "stop", .. })), "{error}");
}

#[test]
fn a_turn_that_does_not_end_well_can_be_asked_again() {
    let bench = scripted(&["Hello!"]);
    let mut session = session(&bench);
    let options = RequestOptions::default();
    session.respond(&said("Hi"), &options).unwrap().take(4).for_each(drop);
    bench.control.fail_at(bench.control.steps() + 2);
    assert!(session.respond(&said("Hi"), &options).unwrap().any(|event| event.is_err()));
    bench.control.cancel_at(bench.control.steps() + 4, session.cancel_handle());
    let (texts, outcome) = pull(session.respond(&said("Hi"), &options).unwrap());
    assert_eq!((outcome.finish, texts.concat().is_empty()), (FinishReason::Cancelled, false));
    assert_eq!(outcome.text, texts.concat());
    assert_eq!(pull(session.respond(&said("Hi"), &options).unwrap()).1.text, "Hello!");
}

#[test]
fn text_that_was_held_back_is_given_out_when_cancelled() {
    let bench = scripted(&["stale"]);
    let mut session = session(&bench);
    let options = RequestOptions { stop: vec!["star".into()], ..Default::default() };
    let handle = session.cancel_handle();
    let mut response = session.respond(&said("Hi"), &options).unwrap();
    let held =
        response.by_ref().filter(|event| matches!(event, Ok(Event::Token { text, .. }) if text.is_empty())).take(3).count();
    handle.cancel();
    assert_eq!((held, response.next().unwrap().unwrap()), (3, Event::Token { ids: vec![], text: "sta".into() }));
    assert!(matches!(response.next(), Some(Ok(Event::Done(Outcome { finish: FinishReason::Cancelled, .. })))));
    assert!(response.next().is_none());
}

#[test]
fn what_every_prompt_begins_with_is_known_before_anything_is_said() {
    let bench = scripted(&["yes", "no"]);
    let mut session = session(&bench);
    let fixed = session.fixed_tokens(&[told()]);
    assert_eq!(fixed, [vec![259], tokens_of("Be kind."), vec![END, 257]].concat());
    for word in ["a", "b", "1"] {
        pull(session.respond(&said(word), &request(1)).unwrap());
        assert!(session.session().cached_tokens().starts_with(&fixed), "{word}");
        assert_eq!(session.fixed_tokens(&said(word)), fixed, "what was said since is not part of it");
    }
    assert_ne!(session.fixed_tokens(&[Message::new("system", "other")]), fixed);
}

#[test]
fn sessions_fork_and_take_any_messages() {
    let bench = scripted(&["One", "Two"]);
    let mut session = session(&bench);
    pull(session.respond(&said("Hi"), &RequestOptions::default()).unwrap());
    let mut fork = session.fork().unwrap();
    let mut messages = said("Hi").to_vec();
    messages.extend([Message::new("assistant", "One"), user("a"), user("b")]);
    assert_eq!(pull(fork.respond(&messages, &RequestOptions::default()).unwrap()).1.text, "Two");
    let cached = pull(session.respond(&said("Again"), &RequestOptions::default()).unwrap()).1.usage.cached_tokens;
    assert_eq!(cached, 1 + 8 + 1 + 1, "the system message and the beginning of the user's turn");
    session.reset_cache().unwrap();
    assert!(session.session().cached_tokens().is_empty());
    drop((session, fork));
    assert_eq!(bench.generator.kv_bytes(), 0);
}

#[test]
fn a_session_with_a_tokenizer_completes_raw_prompts() {
    let bench = scripted(&["Hello!"]);
    let (tokenizer, _) = text();
    let prompt = tokenizer.encode("Hi<|assistant|>", Specials::RENDERED).unwrap();
    assert_eq!(prompt, [tokens_of("Hi"), vec![ASSISTANT]].concat());
    let mut session = Session::with_tokenizer(&bench.generator, tokenizer).unwrap();
    let (_, outcome) = pull(session.complete(&prompt, &RequestOptions::default()).unwrap());
    assert_eq!((outcome.text.as_str(), outcome.tokens), ("Hello!", tokens_of("Hello!")));
}
