//! A conversation line by line: its commands, and what becomes of a long one.

use crate::kit::{TINY, kinglet_with};
use serde_json::Value;

fn answers(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn commands_are_not_said() {
    let lines = "Hello\n/claer\n/reset it\n/system Be short.\n/system\n/help\n/etc/hosts\n/bye\nnever said\n";
    let ran = kinglet_with(&["chat", TINY, "-n", "3", "--temp", "0", "--json"], lines);
    assert_eq!((ran.code, answers(&ran.out).len()), (0, 2), "{ran:?}");
    for words in ["`/claer` is no command", "`/reset` stands alone", "is told: Be short.", "/clear, /reset"] {
        assert!(ran.err.contains(words), "{words} is not in {}", ran.err);
    }
    let quiet = kinglet_with(&["chat", TINY, "-n", "3", "--quiet"], "/help\n/system\n/exit\n").done();
    assert_eq!(quiet.out, "");
}

#[test]
fn the_model_may_be_told_something_else_on_the_way() {
    let run = |args: &[&str], lines: &str| {
        let ran = kinglet_with(&[&["chat", TINY, "-n", "4", "--temp", "0", "--json"], args].concat(), lines).done();
        answers(&ran.out)
            .into_iter()
            .map(|answer| (answer["tokens"].clone(), answer["usage"]["prompt_tokens"].clone()))
            .collect::<Vec<_>>()
    };
    let told = run(&["--system", "Be kind."], "Hello\nAnd you?\n/clear\nHello\n");
    assert_eq!(told[0], told[2], "what it is told stays");
    let later = run(&[], "/system Be kind.\nHello\nAnd you?\n");
    assert_eq!(later, told[..2], "told by an option or by a command");
    let changed = run(&["--system", "Be short."], "Hello\n/system Be kind.\nAnd you?\n");
    assert!(changed[1].1.as_u64() > changed[0].1.as_u64(), "what was said stays: {changed:?}");
}

#[test]
fn what_outgrows_the_context_loses_its_oldest_messages() {
    let lines = "Is the table by the window free tonight?\n".repeat(12);
    let ran = kinglet_with(&["chat", TINY, "-n", "4", "--temp", "0", "-c", "256", "--json"], lines);
    let answers = answers(&ran.out);
    assert_eq!((ran.code, answers.len()), (0, 12), "{ran:?}");
    assert!(ran.err.contains("oldest messages are left out"), "{}", ran.err);
    for answer in &answers {
        assert!(answer["usage"]["prompt_tokens"].as_u64().unwrap() <= 256 - 256 / 8, "{answer}");
        assert_ne!(answer["finish"], "context_full", "{answer}");
    }
}

#[test]
fn a_long_conversation_is_answered_by_its_end() {
    let long = "We could meet at the cafe by the river, or at the market if it rains. ".repeat(160);
    let talk = format!("anna: hi!!\nme: hello\nanna: {long}Do you want to grab lunch tomorrow?");
    let ran = kinglet_with(&["reply", "--json"], talk);
    assert!(ran.code == 0 && ran.err.contains("left out"), "{ran:?}");
    assert!(!answers(&ran.out)[0]["status"].is_null(), "{ran:?}");
}
