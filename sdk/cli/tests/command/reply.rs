//! Smart replies, as people and as machines see them.

use crate::kit::{Ran, keys, kinglet, kinglet_with};
use serde_json::Value;

const TALK: &str =
    "customer: hi!! how was the exam?\nagent: hard but it is over\ncustomer: do you want to celebrate at the cafe on friday?";

#[track_caller]
fn replies(answer: &Value) -> Vec<&str> {
    answer["replies"].as_array().unwrap().iter().map(|reply| reply["text"].as_str().unwrap()).collect()
}

#[test]
fn a_conversation_gets_up_to_three_distinct_replies() {
    let messages = r#"[{"role":"user","content":"hi!! how was the exam?"},{"role":"assistant","content":"hard but it is over"},{"role":"user","content":"do you want to celebrate at the cafe on friday?"}]"#;
    let answer = kinglet_with(&["reply", "--json"], TALK).json();
    assert_eq!(keys(&answer), ["status", "scores", "replies", "timing"]);
    assert_eq!(
        (&answer["status"], &answer["scores"], &answer["replies"][0]["source"]),
        (&"ok".into(), &"probabilities".into(), &"bank".into())
    );
    let texts = replies(&answer);
    assert!((1..=3).contains(&texts.len()), "{answer}");
    assert!(texts.iter().all(|text| !text.trim().is_empty() && text.trim() == *text), "{answer}");
    let mut distinct = texts.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), texts.len());
    let scores: Vec<f64> = answer["replies"].as_array().unwrap().iter().map(|reply| reply["score"].as_f64().unwrap()).collect();
    assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{answer}");
    assert!(answer["timing"]["total_ms"].as_f64().unwrap() > 0.0, "{answer}");
    assert_eq!(replies(&kinglet_with(&["reply", "-", "--json"], messages).json()), texts, "both forms are one conversation");
}

#[test]
fn a_message_or_a_file_may_be_the_argument() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.txt");
    std::fs::write(&file, TALK).unwrap();
    let by_file = kinglet(&["reply", file.to_str().unwrap(), "--json"]).json();
    assert_eq!(by_file["replies"], kinglet_with(&["reply", "--json"], TALK).json()["replies"]);
    let message = kinglet(&["reply", "Are you open on Sundays?", "--json"]).json();
    assert_eq!(message["status"], "ok");
}

#[test]
fn people_see_numbered_replies() {
    let Ran { out, .. } = kinglet_with(&["reply"], TALK).done();
    let texts = kinglet_with(&["reply", "--json"], TALK).json();
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), replies(&texts).len());
    for (number, (line, text)) in lines.iter().zip(replies(&texts)).enumerate() {
        assert!(line.trim_start().starts_with(&format!("{}", number + 1)) && line.contains(text), "{line}");
    }
}

#[test]
fn what_gets_no_reply_says_why() {
    for (talk, status) in [
        ("", "no_reply"),
        ("I want to kill myself", "unsafe"),
        ("Hola, quisiera reservar una mesa para cuatro personas esta noche", "unsupported_language"),
    ] {
        let answer = kinglet_with(&["reply", "--json"], talk).json();
        assert_eq!((answer["status"].as_str(), replies(&answer).len()), (Some(status), 0), "{answer}");
        assert_eq!(keys(&answer), ["status", "reason", "replies", "timing"]);
        let plain = kinglet_with(&["reply"], talk).done().out;
        assert_eq!(plain.lines().count(), 1, "{plain}");
        assert!(plain.contains(answer["reason"].as_str().unwrap()), "{plain}");
    }
}

#[test]
fn a_bank_is_all_that_may_be_said() {
    let bank = ["Certainly, a table for four at seven.", "The moon is far away.", "Goodbye.", "We are closed on Mondays."];
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bank.txt");
    std::fs::write(&file, bank.join("\n") + "\n\n").unwrap();
    let answer = kinglet_with(&["reply", "--bank", file.to_str().unwrap(), "-n", "2", "--json"], TALK).json();
    assert_eq!(answer["status"], "ok");
    let texts = replies(&answer);
    assert!(!texts.is_empty() && texts.len() <= 2 && texts.iter().all(|text| bank.contains(text)), "{answer}");
    std::fs::write(&file, "\n").unwrap();
    kinglet(&["reply", "hello there", "--bank", file.to_str().unwrap()]).refused(&["holds no replies"]);
}

#[test]
fn the_number_of_replies_is_a_limit() {
    let one = kinglet_with(&["reply", "-n", "1", "--json"], TALK).json();
    assert_eq!(replies(&one).len(), 1);
}

#[test]
fn every_candidate_is_explained_where_that_is_asked() {
    let answer = kinglet_with(&["reply", "--explain", "--json"], TALK).json();
    let considered = answer["considered"].as_array().unwrap();
    let shown = considered.iter().filter(|candidate| candidate["fate"] == "shown").count();
    assert_eq!(shown, replies(&answer).len(), "{answer}");
    assert!(considered.len() > shown && considered.iter().all(|candidate| candidate["fate"].is_string()), "{answer}");
    let people = kinglet_with(&["reply", "--explain"], "customer: mum is in hospital").done().out;
    assert!(people.contains("not for bad news"), "{people}");
}
