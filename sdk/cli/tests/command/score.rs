//! Likelihoods, held against the raw logits, and the forms in which they come.

use crate::kit::{Ran, TINY, ids, keys, kinglet, kinglet_with};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

struct Files {
    folder: tempfile::TempDir,
}

impl Files {
    fn new() -> Files {
        Files { folder: tempfile::tempdir().unwrap() }
    }

    fn with(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }
}

fn tokens(text: &str, plain: bool) -> Vec<u32> {
    let mut args = vec!["tokenize", "--json", "-m", TINY];
    args.extend(plain.then_some("--plain"));
    ids(&kinglet_with(&args, text).json(), "ids")
}

/// The log-probability of each of `tokens` but the first after those before it, by the softmax of the raw logits.
fn by_logits(tokens: &[u32]) -> Vec<f64> {
    let files = Files::new();
    let (out, given) = (files.path("all.npy"), tokens.iter().map(u32::to_string).collect::<Vec<_>>().join(","));
    let shape = kinglet(&["logits", "--ids", &given, "--positions", "all", "--out", &out, "-m", TINY, "--json"]).json();
    let vocabulary = shape["shape"][1].as_u64().unwrap() as usize;
    let bytes = fs::read(Path::new(&out)).unwrap();
    let values: Vec<f64> = bytes[128..].chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap()).into()).collect();
    assert_eq!(values.len(), tokens.len() * vocabulary);
    let logprob = |(row, token): (&[f64], &u32)| row[*token as usize] - row.iter().map(|logit| logit.exp()).sum::<f64>().ln();
    values.chunks(vocabulary).zip(&tokens[1..]).map(logprob).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-3 * b.abs().max(1.0)
}

#[track_caller]
fn check_rows(rows: &Value, count: usize) {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), count);
    for (index, row) in rows.iter().enumerate() {
        assert_eq!(keys(row), ["index", "logprob", "tokens", "score"]);
        assert_eq!(row["index"], index);
        assert!(row["logprob"].as_f64().unwrap() < 0.0 && row["tokens"].as_u64().unwrap() > 0, "{row}");
        assert!(row["score"].as_f64().unwrap().is_finite(), "{row}");
    }
}

#[test]
fn likelihoods_are_those_of_the_raw_logits() {
    let files = Files::new();
    let candidates = ["c", "some more", " and with a space"];
    let file = files.with("candidates", candidates.join("\n\n"));
    let rows = kinglet(&["score", "-p", "one prompt", "--candidates", &file, "-m", TINY, "--json"]).json();
    check_rows(&rows, candidates.len());
    let prompt = tokens("one prompt", false);
    for (row, candidate) in rows.as_array().unwrap().iter().zip(candidates) {
        let continuation = tokens(candidate, true);
        assert_eq!(row["tokens"], continuation.len());
        let expected: f64 = by_logits(&[&prompt[..], &continuation].concat())[prompt.len() - 1..].iter().sum();
        assert!(close(row["logprob"].as_f64().unwrap(), expected), "{candidate}: {row} is not {expected}");
    }
}

#[test]
fn the_order_of_candidates_changes_no_score() {
    let files = Files::new();
    let (there, back) = (files.with("there", "Yes.\nNot today.\n"), files.with("back", "Not today.\nYes.\n"));
    let talk = files.with("talk", "customer: Are you open?\nagent: We are.\ncustomer: Until when?");
    let score = |file: &str| kinglet(&["score", "--conversation", &talk, "--candidates", file, "--json"]).json();
    let (there, back) = (score(&there), score(&back));
    check_rows(&there, 2);
    for (a, b) in [(0, 1), (1, 0)] {
        for key in ["logprob", "score"] {
            assert!(close(there[a][key].as_f64().unwrap(), back[b][key].as_f64().unwrap()), "{key}: {there} {back}");
        }
    }
    assert_ne!(there[0]["score"], there[1]["score"]);
}

#[test]
fn people_see_the_candidates_beside_their_scores() {
    let files = Files::new();
    let file = files.with("candidates", "Yes.\nNot today.\n");
    let out = kinglet(&["score", "-p", "a", "--candidates", &file, "-m", TINY]).done().out;
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 3);
    assert!(
        lines[0].trim_start().starts_with("score") && lines[1].ends_with("  Yes.") && lines[2].ends_with("  Not today."),
        "{out}"
    );
}

fn cases(answers: bool) -> String {
    let case = |text: &str, answer: usize| {
        let turns = json!([{"speaker": "customer", "text": text}, {"speaker": "agent", "text": "Certainly."}, {"speaker": "customer", "text": "Thanks."}]);
        let mut case = json!({"turns": turns, "candidates": ["You are welcome.", "The moon is far.", "Seven."]});
        if answers {
            case["answer"] = answer.into();
        }
        case.to_string() + "\n"
    };
    case("A table for two, please.", 0) + "\n" + &case("Can I change my order?", 2)
}

#[test]
fn a_batch_gives_a_line_a_case_and_a_summary() {
    let files = Files::new();
    let (with, without) = (files.with("with", cases(true)), files.with("without", cases(false)));
    let Ran { code, out, err } = kinglet(&["score", "--batch", &with]);
    assert_eq!(code, 0, "{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    lines.iter().for_each(|rows| check_rows(rows, 3));
    for part in ["2 cases", "R@1 ", "R@10 1.000", "MRR ", "replies a second"] {
        assert!(err.contains(part), "{part} is not in {err}");
    }
    assert_eq!(kinglet(&["score", "--batch", &without, "--json"]).done().out, out, "the answers change no score");
    assert_eq!(kinglet(&["score", "--batch", &with, "-q"]).done().out, out);
}

#[test]
fn a_batch_names_the_line_that_is_wrong() {
    let files = Files::new();
    let good = cases(true);
    for (line, words) in [
        ("{}", &["line 4", "turns"] as &[&str]),
        ("not json", &["line 4"]),
        (r#"{"turns":[{"speaker":"customer","text":"a"}],"candidates":[]}"#, &["line 4", "candidates"]),
        (r#"{"turns":[{"speaker":"customer","text":"a"}],"candidates":["b"],"answer":1}"#, &["line 4", "the answer is 1"]),
    ] {
        let ran = kinglet(&["score", "--batch", &files.with("batch", format!("{good}{line}\n"))]);
        assert_eq!((ran.code, ran.out.lines().count()), (1, 2), "what comes before is written: {ran:?}");
        assert!(ran.err.starts_with("error: ") && words.iter().all(|word| ran.err.contains(word)), "{ran:?}");
    }
}

#[test]
fn perplexity_is_that_of_the_raw_logits() {
    let files = Files::new();
    let text = "Some words that nobody trained this model on.";
    let file = files.with("text", text);
    let measured = kinglet(&["score", "--perplexity", &file, "-m", TINY, "--json"]).json();
    assert_eq!(keys(&measured), ["perplexity", "tokens", "logprob", "texts"]);
    let logprobs = by_logits(&tokens(text, false));
    assert_eq!((measured["tokens"].as_u64(), measured["texts"].as_u64()), (Some(logprobs.len() as u64), Some(1)));
    let expected = (-logprobs.iter().sum::<f64>() / logprobs.len() as f64).exp();
    assert!(close(measured["perplexity"].as_f64().unwrap(), expected), "{measured} is not {expected}");
}

#[test]
fn perplexity_of_dialogues_and_of_texts_longer_than_the_context() {
    let files = Files::new();
    let measured = kinglet(&["score", "--perplexity", &files.with("dialogues", cases(false)), "--json"]).json();
    assert_eq!(measured["texts"], 2);
    let long = files.with("long", "word after word ".repeat(40));
    let whole = kinglet(&["score", "--perplexity", &long, "-m", TINY, "--json"]).json();
    let windows = kinglet(&["score", "--perplexity", &long, "-m", TINY, "-c", "32", "--json"]).json();
    assert_eq!(whole["tokens"], windows["tokens"]);
    assert!(kinglet(&["score", "--perplexity", &long, "-m", TINY]).done().out.starts_with("perplexity "));
    kinglet(&["score", "--perplexity", &files.with("empty", "")]).refused(&["fewer than two tokens"]);
}

#[test]
fn no_candidates_are_refused() {
    let files = Files::new();
    kinglet(&["score", "-p", "a", "--candidates", &files.with("blank", "\n \n")]).refused(&["holds no candidates"]);
}
