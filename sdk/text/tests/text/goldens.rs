//! The tokenizer folders of `models/goldens/tokenizers`, judged by transformers: `cases.json` there has the ids, the decoded
//! texts and the rendered chats that it gives.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kinglet_text::{ChatTemplate, Detokenizer, Message, Specials, TemplateInput, TextError, TextFiles, Tokenizer};
use serde_json::{Map, Value};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/goldens/tokenizers")
}

/// `cases.json`; `None`, and a line that says so, where the checkout has no goldens.
#[allow(clippy::print_stderr)]
fn cases() -> Option<Value> {
    let path = folder().join("cases.json");
    if !path.is_file() {
        eprintln!("SKIPPED: {} is not there; make it with models/goldens/make.py", path.display());
        return None;
    }
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

fn list<'a>(value: &'a Value, what: &str) -> &'a Vec<Value> {
    value.as_array().unwrap_or_else(|| panic!("{what} is no list"))
}

fn ids(value: &Value) -> Vec<u32> {
    list(value, "ids").iter().map(|id| u32::try_from(id.as_u64().unwrap()).unwrap()).collect()
}

fn streamed(tokenizer: &Arc<Tokenizer>, ids: &[u32], show_special: bool) -> String {
    let mut detokenizer = Detokenizer::new(tokenizer.clone()).show_special(show_special);
    let pieces: Vec<String> = ids.iter().map(|&id| detokenizer.push(id).unwrap()).collect();
    pieces.concat() + &detokenizer.finish().unwrap()
}

/// Checks one text, and gives what differs in words.
fn text_differences(tokenizer: &Arc<Tokenizer>, golden: &Value, text: &str, case: &Value) -> Vec<String> {
    let plain = ids(&case["ids"]);
    let whole = [ids(&golden["prefix"]), plain.clone(), ids(&golden["suffix"])].concat();
    let as_text = case.get("as_text").map_or_else(|| plain.clone(), ids);
    let of = |specials| tokenizer.encode(text, specials).unwrap();
    let text_of = |name: &str| case.get(name).map_or(text, |value| value.as_str().unwrap());
    let checks = [
        ("ids", of(Specials::RENDERED) == plain),
        ("ids with those around", of(Specials::PROMPT) == whole),
        ("ids as text", of(Specials::TEXT) == as_text),
        ("decoded", tokenizer.decode(&whole, false).unwrap() == text_of("decoded")),
        ("shown", tokenizer.decode(&whole, true).unwrap() == text_of("shown")),
        ("streamed", streamed(tokenizer, &whole, true) == text_of("decoded")),
        ("streamed without specials", streamed(tokenizer, &whole, false) == text_of("shown")),
    ];
    checks.into_iter().filter(|(_, same)| !same).map(|(what, _)| what.to_owned()).collect()
}

fn chat_input(golden: &Value, talk: &Value) -> TemplateInput {
    let mut variables: Map<String, Value> = talk.get("variables").and_then(Value::as_object).cloned().unwrap_or_default();
    let tools = talk.get("tools").cloned().or_else(|| variables.remove("tools"));
    TemplateInput {
        messages: list(&talk["messages"], "messages").iter().map(|m| Message::from(m.as_object().unwrap().clone())).collect(),
        tools: tools.as_ref().and_then(Value::as_array).cloned(),
        add_generation_prompt: talk.get("add_generation_prompt").and_then(Value::as_bool).unwrap_or(false),
        template: talk.get("template").and_then(Value::as_str).map(str::to_owned),
        extra: variables,
        now: Some(golden["now"].as_str().unwrap().parse().unwrap()),
        ..TemplateInput::default()
    }
}

/// Whether a rendering, or a refusal, is the one that transformers gives.
fn agrees(rendered: &Result<String, TextError>, expected: &Value) -> bool {
    match (rendered, expected.get("rendered"), expected["error_kind"].as_str()) {
        (Ok(text), Some(expected), _) => text == expected.as_str().unwrap(),
        (Err(TextError::TemplateRefused { message }), None, Some("TemplateError")) => {
            *message == expected["error"].as_str().unwrap()
        }
        (Err(TextError::TemplateRefused { .. }) | Ok(_), _, _) => false,
        (Err(_), None, Some(kind)) => kind != "TemplateError",
        (Err(_), _, _) => false,
    }
}

#[test]
fn texts_encode_decode_and_stream_as_in_transformers() {
    let Some(golden) = cases() else { return };
    let mut count = 0;
    let mut differences = Vec::new();
    for (name, about) in golden["tokenizers"].as_object().unwrap() {
        let tokenizer = Arc::new(Tokenizer::from_files(&TextFiles::in_folder(&folder().join(name))).unwrap());
        for case in list(&about["texts"], "texts") {
            let text = golden["texts"][case["text"].as_str().unwrap()].as_str().unwrap();
            count += 1;
            let found = text_differences(&tokenizer, about, text, case);
            differences.extend(found.iter().map(|what| format!("{name}, {}: {what}", case["text"])));
        }
    }
    assert!(count >= 100, "only {count} texts");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn chats_of_each_folder_render_as_in_transformers() {
    let Some(golden) = cases() else { return };
    let (mut count, mut guards, mut differences) = (0, 0, Vec::new());
    for (name, about) in golden["tokenizers"].as_object().unwrap() {
        let files = TextFiles::in_folder(&folder().join(name));
        let tokenizer = Tokenizer::from_files(&files).unwrap();
        let Some(template) = ChatTemplate::from_files(&files, &tokenizer).unwrap() else {
            assert!(list(&about["chats"], "chats").is_empty(), "{name} has a template that was not found");
            continue;
        };
        for expected in list(&about["chats"], "chats") {
            let talk =
                list(&golden["conversations"], "conversations").iter().find(|talk| talk["name"] == expected["conversation"]);
            let input = chat_input(&golden, talk.unwrap());
            let rendered = template.render(&input);
            count += 1;
            if !agrees(&rendered, expected) {
                differences.push(format!("{name}, {}\n  ours: {rendered:?}\n  expected: {expected}", expected["conversation"]));
            }
            if let Ok(text) = &rendered {
                let said = serde_json::to_string(&input.messages).unwrap();
                let of = |text: &str, specials| tokenizer.encode(text, specials).unwrap();
                let guarded = of(&said, Specials::TEXT) != of(&said, Specials::RENDERED);
                let same = template.encode(&tokenizer, &input).unwrap() == of(text, Specials::RENDERED);
                assert_eq!(same, !guarded, "{name}, {}", expected["conversation"]);
                guards += usize::from(guarded);
            }
        }
    }
    assert!(count >= 50 && guards > 0, "only {count} chats, {guards} with control tokens in the text");
    assert!(differences.is_empty(), "{} of {count} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn features_render_as_in_transformers() {
    let Some(golden) = cases() else { return };
    let files = TextFiles::in_folder(&folder().join(golden["features_tokenizer"].as_str().unwrap()));
    let tokenizer = Tokenizer::from_files(&files).unwrap();
    let names = ["bos_token", "eos_token"].into_iter().zip([tokenizer.bos(), tokenizer.eos()]);
    let specials: Vec<(String, String)> =
        names.map(|(name, id)| (name.to_owned(), tokenizer.token(id.unwrap()).unwrap())).collect();
    let mut differences = Vec::new();
    for case in list(&golden["features"], "features") {
        let source = case["template"].as_str().unwrap().to_owned();
        let template = ChatTemplate::from_sources(vec![("default".to_owned(), source)], specials.clone());
        let mut input = chat_input(&golden, case);
        input.template = None;
        let rendered = template.and_then(|template| template.render(&input));
        if !agrees(&rendered, case) {
            differences.push(format!("{}\n  ours: {rendered:?}\n  expected: {case}", case["name"]));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn the_comparisons_can_fail() {
    let Some(golden) = cases() else { return };
    let tokenizer = Arc::new(Tokenizer::from_files(&TextFiles::in_folder(&folder().join("byte-level-bos"))).unwrap());
    let about = &golden["tokenizers"]["byte-level-bos"];
    let case = list(&about["texts"], "texts").iter().find(|case| case["text"] == "plain").unwrap();
    let text = golden["texts"]["plain"].as_str().unwrap();
    assert_eq!(text_differences(&tokenizer, about, text, case), Vec::<String>::new());
    let mut wrong = case.clone();
    wrong["ids"].as_array_mut().unwrap().pop();
    assert_eq!(text_differences(&tokenizer, about, text, &wrong).len(), 7);
    assert!(!agrees(&Ok("a".to_owned()), &serde_json::json!({ "rendered": "b" })));
    assert!(!agrees(&Ok("a".to_owned()), &serde_json::json!({ "error": "no", "error_kind": "TemplateError" })));
    let refused = || Err(TextError::TemplateRefused { message: "no".to_owned() });
    assert!(!agrees(&refused(), &serde_json::json!({ "error": "yes", "error_kind": "TemplateError" })));
    assert!(!agrees(&refused(), &serde_json::json!({ "error": "no", "error_kind": "UndefinedError" })));
    assert!(agrees(&refused(), &serde_json::json!({ "error": "no", "error_kind": "TemplateError" })));
}
