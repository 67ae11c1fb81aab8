//! The vectors that Kotlin and Swift run too (`vectors.json`): the same requests, the same replies, the same errors.
//!
//! The texts of conversations are those of a float32 model, which are the same on every processor. `KINGLET_WRITE_VECTORS=1` has the
//! test write them anew.

use kinglet_ffi::*;
use kinglet_testing::repository;
use serde_json::Value;
use std::path::PathBuf;
use std::sync::Arc;

fn file() -> PathBuf {
    repository().join("sdk/ffi/vectors.json")
}

fn vectors(part: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
    all[part].as_array().unwrap().clone()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn open(vector: &Value, model: &str) -> Result<Arc<Model>, KingletError> {
    let number = |name: &str| vector[name].as_u64();
    let options = OpenOptions {
        memory_budget: number("memory_budget"),
        context: number("context").map(|n| n as u32),
        variant: vector["variant"].as_str().map(str::to_owned),
        ..OpenOptions::default()
    };
    Kinglet::new(options)?.open(repository().join("models").join(model).display().to_string())
}

fn answer(session: &Session, said: &str, tokens: u32, temperature: f32) -> Result<String, KingletError> {
    let sampling = Sampling { temperature, top_k: 0, top_p: 1.0, min_p: 0.0, repetition_penalty: 1.0, seed: None };
    let options = GenerationOptions { max_new_tokens: tokens, sampling: Some(sampling), stop: vec![] };
    let generation = session.respond(said.to_owned(), options)?;
    let mut all = String::new();
    while let Some(piece) = generation.next_blocking()? {
        if let Piece::Text { text } = piece {
            all += &text;
        }
    }
    Ok(all)
}

#[test]
fn replies() {
    let model = open(&Value::Null, "goldcrest").unwrap();
    for vector in vectors("replies") {
        let turns = vector["turns"].as_array().unwrap();
        let turns = turns.iter().map(|turn| TalkTurn { by_agent: turn[0] == "agent", text: text(&turn[1]) }).collect();
        let bank = vector["bank"].as_array().map(|bank| bank.iter().map(text).collect());
        let options = ReplyOptions { bank, ..ReplyOptions::default() };
        let answer = model.smart_reply(Talk { turns, instructions: None }, options, Arc::new(Cancellation::new())).unwrap();
        let status = match answer.status {
            ReplyStatus::Ok => "suggested",
            ReplyStatus::NoReply => "none",
            ReplyStatus::Unsafe => "unsafe",
            ReplyStatus::UnsupportedLanguage => "unsupported_language",
        };
        assert_eq!(status, vector["status"], "{vector}");
        if let Some(best) = vector["best"].as_str() {
            assert_eq!(answer.replies[0].text, best);
        }
    }
}

#[test]
fn conversations() {
    let mut made = vec![];
    for mut vector in vectors("conversations") {
        let instructions = vector["instructions"].as_str().map(str::to_owned);
        let model = open(&Value::Null, vector["model"].as_str().unwrap()).unwrap();
        let session = model.session(SessionSetup { instructions, ..SessionSetup::default() }).unwrap();
        let tokens = vector["tokens"].as_u64().unwrap() as u32;
        for turn in vector["turns"].as_array_mut().unwrap() {
            let said = answer(&session, turn[0].as_str().unwrap(), tokens, 0.0).unwrap();
            if std::env::var_os("KINGLET_WRITE_VECTORS").is_none() {
                assert_eq!(said, turn[1]);
            }
            turn[1] = said.into();
        }
        made.push(vector);
    }
    if std::env::var_os("KINGLET_WRITE_VECTORS").is_some() {
        let mut all: Value = serde_json::from_str(&std::fs::read_to_string(file()).unwrap()).unwrap();
        all["conversations"] = made.into();
        std::fs::write(file(), serde_json::to_string_pretty(&all).unwrap() + "\n").unwrap();
    }
}

#[test]
fn errors() {
    for vector in vectors("errors") {
        let outcome = open(&vector, vector["open"].as_str().unwrap()).and_then(|model| {
            let session = model.session(SessionSetup::default())?;
            let temperature = vector["temperature"].as_f64().unwrap_or_default() as f32;
            answer(&session, vector["say"].as_str().unwrap(), 2, temperature)
        });
        let error = outcome.expect_err(&vector.to_string());
        let kind = match &error {
            KingletError::NotFound(_) => "not_found",
            KingletError::BadModel(_) => "bad_model",
            KingletError::InvalidRequest(_) => "invalid_request",
            KingletError::OutOfMemory(_) => "out_of_memory",
            _ => "another",
        };
        assert_eq!(kind, vector["error"], "{error}");
        assert!(error.to_string().contains(vector["says"].as_str().unwrap()), "{error}");
    }
}
