//! Models and prompts as words after the verb, and what `run` makes of a prompt.

use crate::kit::{TINY, copy, ids, kinglet, kinglet_with};
use serde_json::{Value, json};

const GREEDY: [&str; 5] = ["-n", "6", "--temp", "0", "--json"];

/// The tokens of an answer, and those of its prompt.
fn answered(args: &[&str], stdin: &str) -> (Vec<u32>, u64) {
    let answer = kinglet_with(&[args, &GREEDY].concat(), stdin).json();
    (ids(&answer, "tokens"), answer["usage"]["prompt_tokens"].as_u64().unwrap())
}

#[test]
fn a_model_and_a_prompt_may_be_words() {
    for verb in ["run", "chat"] {
        let expected = answered(&[verb, "-m", TINY, "-p", "Good morning"], "");
        for args in [
            &[verb, TINY, "Good morning"] as &[&str],
            &[verb, TINY, "-p", "Good morning"],
            &[verb, "-m", TINY, "Good morning"],
            &[verb, "Good morning", "-m", TINY],
        ] {
            assert_eq!(answered(args, ""), expected, "{args:?}");
        }
        assert_eq!(answered(&[verb, TINY], "Good morning\n"), expected, "{verb} from stdin");
    }
    // One word that names no model is a prompt for the shipped one.
    assert_eq!(answered(&["run", "Hello"], ""), answered(&["run", "goldcrest", "-p", "Hello"], ""));
    for word in ["no/such/folder", "owner/name", "wren.gguf"] {
        kinglet(&["run", word]).refused(&[word]);
    }
}

#[test]
fn every_verb_takes_its_model_as_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let talk = file("talk.json", &json!({ "messages": [{ "role": "user", "content": "Hi" }] }).to_string());
    let (candidates, out) = (file("candidates.txt", "a\nb\n"), file("out.npy", ""));
    let score = ["-p", "ab", "--candidates", &candidates, "--json"];
    let logits = ["--ids", "5,6", "--out", &out, "--json"];
    for (verb, rest) in
        [("template", &[talk.as_str()] as &[&str]), ("score", &score), ("logits", &logits), ("inspect", &["--json"])]
    {
        let by_word = kinglet(&[&[verb, TINY], rest].concat()).done().out;
        // Memory of the process may differ.
        if verb != "inspect" {
            assert_eq!(by_word, kinglet(&[&[verb], rest, &["-m", TINY]].concat()).done().out, "{verb}");
        }
    }
    assert_eq!(kinglet(&["show", TINY, "--json"]).json()["name"], "genai");
    let figures = kinglet(&["bench", TINY, "--only", "load", "--json"]).json();
    assert!(figures["load_s"].is_number(), "{figures}");
    let text = kinglet(&["tokenize", "Hello there", "--json"]).json();
    assert_eq!(text, kinglet_with(&["tokenize", "--json"], "Hello there").json());
}

#[test]
fn run_answers_in_the_chat_template_and_completes_what_is_raw() {
    let templated = "<|im_start|>user\nGood morning<|im_end|>\n<|im_start|>assistant\n";
    let answer = answered(&["run", TINY, "Good morning"], "");
    assert_eq!(answered(&["run", TINY, "--raw", templated], ""), answer);
    assert_eq!(answered(&["run", TINY], "  Good morning\n\n"), answer, "what stands around a message is not said");
    let raw = answered(&["run", TINY, "--raw", "Good morning"], "");
    assert!(raw.1 < answer.1, "{raw:?} {answer:?}");
    let tokens = kinglet(&["tokenize", "Good morning", "-m", TINY]).done().out;
    assert_eq!(answered(&["run", TINY, "--ids", tokens.trim()], ""), raw, "ids are raw");
}

#[test]
fn a_model_without_a_template_completes() {
    let folder = copy();
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    let model = folder.path().to_str().unwrap();
    assert_eq!(answered(&["run", model, "Good morning"], ""), answered(&["run", model, "--raw", "Good morning"], ""));
}

#[test]
fn the_examples_of_the_help_run() {
    let bank = kinglet(&["reply", "examples/cafe.txt", "--bank", "examples/bank.txt", "-n", "5", "--json"]).json();
    assert_eq!(bank["status"], "ok");
    assert!(bank["replies"].as_array().is_some_and(|replies: &Vec<Value>| !replies.is_empty()), "{bank}");
}
