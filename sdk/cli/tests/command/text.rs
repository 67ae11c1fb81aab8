//! Tokens from text, text from tokens, prompts from messages.

use crate::kit::{TINY, ids, keys, kinglet, kinglet_with};

#[test]
fn text_survives_the_way_to_tokens_and_back() {
    for text in ["Hello, world!", "two\nlines\n", " spaces  ", "caf\u{e9} \u{1f44d}\u{1f3fd}", "\u{0646}\u{0635}", ""] {
        let tokens = kinglet_with(&["tokenize", "--json"], text).json();
        assert_eq!(keys(&tokens), ["ids"]);
        let back = kinglet_with(&["detokenize", "--json"], tokens.to_string()).json();
        assert_eq!(back, serde_json::json!({ "text": text }));
        let plain = kinglet_with(&["tokenize"], text).done().out;
        assert_eq!(kinglet_with(&["detokenize"], plain).done().out, text);
    }
}

#[test]
fn ids_may_be_arguments() {
    let tokens = ids(&kinglet_with(&["tokenize", "--json"], "Hello there").json(), "ids");
    let words: Vec<String> = tokens.iter().map(u32::to_string).collect();
    let apart: Vec<&str> = ["detokenize"].into_iter().chain(words.iter().map(String::as_str)).collect();
    assert_eq!(kinglet(&apart).done().out, "Hello there");
    assert_eq!(kinglet(&["detokenize", "--ids", &words.join(",")]).done().out, "Hello there");
}

#[test]
fn special_tokens_count_unless_told_otherwise() {
    let parsed = ids(&kinglet_with(&["tokenize", "--json", "-m", TINY], "<|im_end|>").json(), "ids");
    let plain = ids(&kinglet_with(&["tokenize", "--json", "--plain", "-m", TINY], "<|im_end|>").json(), "ids");
    assert_eq!(parsed.len(), 1);
    assert!(plain.len() > 1, "{plain:?}");
    let id = parsed[0].to_string();
    assert_eq!(kinglet(&["detokenize", &id, "-m", TINY]).done().out, "<|im_end|>");
    assert_eq!(kinglet(&["detokenize", &id, "--skip-special", "-m", TINY]).done().out, "");
}

#[test]
fn prompts_are_rendered_as_the_template_says() {
    let turn = r#"{"messages":[{"role":"system","content":"Be kind."},{"role":"user","content":"Hi"}]"#;
    let opened = "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n";
    let with = |rest: &str| kinglet_with(&["template", "--json", "-m", TINY], format!("{turn}{rest}}}")).json();
    assert_eq!(with(""), serde_json::json!({ "prompt": opened }));
    assert_eq!(with(",\"add_generation_prompt\":false"), serde_json::json!({ "prompt": opened }));
    let asked = format!("{opened}<|im_start|>assistant\n");
    assert_eq!(with(",\"add_generation_prompt\":true,\"tools\":null"), serde_json::json!({ "prompt": asked }));
    let plain = kinglet_with(&["template", "-m", TINY], format!("{turn}}}")).done();
    assert_eq!(plain.out, opened);
}
