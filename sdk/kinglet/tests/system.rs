//! The system's model as an engine: a host that behaves, hosts that do not, and the ways from one model to the other.

#[path = "system/alone.rs"]
mod alone;
#[path = "system/fallback.rs"]
mod fallback;
#[path = "system/hosts.rs"]
mod hosts;
#[path = "system/replies.rs"]
mod replies;

use kinglet::fake_system::FakeSystemModel;
use kinglet::{
    Answer, Builder, Error, GenerationOptions, Kinglet, Model, SamplingOptions, Session, SessionOptions, SystemPolicy, Threads,
};
use std::path::PathBuf;
use std::sync::Arc;

fn tiny_folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().join("models/goldens/qwen2/genai")
}

fn builder() -> Builder {
    Kinglet::builder().threads(Threads::Exactly(2))
}

fn kinglet(host: &FakeSystemModel, policy: SystemPolicy) -> Kinglet {
    builder().system_model(Arc::new(host.clone()), policy).build().unwrap()
}

/// The system's model alone.
fn alone(host: &FakeSystemModel) -> Model {
    kinglet(host, SystemPolicy::Only).open_system().unwrap()
}

/// The system's model beside the tiny one.
fn beside(host: &FakeSystemModel, policy: SystemPolicy) -> Model {
    kinglet(host, policy).open(tiny_folder()).unwrap()
}

fn greedy(tokens: usize) -> GenerationOptions {
    GenerationOptions { max_new_tokens: tokens, sampling: Some(SamplingOptions::default()), stop: vec![] }
}

fn session(model: &Model, tokens: usize) -> Session {
    model.session(SessionOptions { generation: greedy(tokens), ..SessionOptions::default() }).unwrap()
}

fn answer(session: &mut Session, text: &str) -> Result<Answer, Error> {
    session.respond(text)?.finish()
}

/// Answer of the tiny model alone.
fn tiny_answer(text: &str, tokens: usize) -> String {
    let model = builder().build().unwrap().open(tiny_folder()).unwrap();
    answer(&mut session(&model, tokens), text).unwrap().text
}

/// Roles and texts of what was said.
fn said(session: &Session) -> Vec<(String, String)> {
    let text = |message: &kinglet::Message| message.content().and_then(|content| content.as_str()).unwrap().to_owned();
    session.messages().iter().map(|message| (message.role().unwrap().to_owned(), text(message))).collect()
}
