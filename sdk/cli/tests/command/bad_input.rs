//! Files and stdin that cannot be used: exit code 1 and one sentence.

use crate::kit::{TINY, kinglet, kinglet_with};

#[test]
fn files_that_cannot_be_read() {
    for (args, words) in [
        (&["score", "-p", "a", "--candidates", "no-such-file"] as &[&str], &["there is no file `no-such-file`"] as &[&str]),
        (&["score", "-p", "a", "--candidates", "models"], &["`models` is a folder", "give a file"]),
        (&["score", "--conversation", "no-such-file", "--candidates", "Cargo.toml"], &["there is no file `no-such-file`"]),
        (&["score", "--batch", "models"], &["`models` is a folder"]),
        (&["score", "--perplexity", "no-such-file"], &["there is no file `no-such-file`"]),
        (&["reply", "hello", "--bank", "no-such-file"], &["there is no file `no-such-file`"]),
        (&["reply", "models"], &["`models` is a folder"]),
        (&["reply", "no-such-file.txt"], &["no file `no-such-file.txt`"]),
        (&["template", "no-such-file"], &["there is no file `no-such-file`"]),
    ] {
        kinglet(args).refused(words);
    }
}

#[test]
fn text_that_is_no_utf8() {
    for args in [&["tokenize"] as &[&str], &["detokenize"], &["template"], &["run"], &["reply"], &["chat"]] {
        kinglet_with(args, b"caf\xe9 au lait\n".to_vec()).refused(&["UTF-8"]);
    }
}

#[test]
fn text_of_another_form() {
    for (args, stdin, words) in [
        (&["detokenize"] as &[&str], "one two", &["`one` is no token id"] as &[&str]),
        (&["detokenize"], "[1,", &["JSON"]),
        (&["detokenize"], "99999999", &["99999999", "vocabulary"]),
        (&["template"], "hello", &["messages"]),
        (&["template"], "{}", &["messages"]),
        (&["template"], r#"{"messages":[]}"#, &["at least one message"]),
        (&["template"], r#"{"messages":[{"content":"no role"}]}"#, &["role"]),
        (&["template"], r#"{"messages":[{"role":"king","content":"a"}]}"#, &["king"]),
        (&["run"], "", &["no tokens"]),
        (&["run"], " \n", &["no tokens"]),
        (&["run", "--raw"], "", &["no tokens"]),
        (&["reply"], "[{\"role\":\"user\"}]", &["content"]),
        (&["reply"], "[1", &["JSON"]),
        (&["reply"], "user: a\nagent: b\nthird: c", &["third"]),
    ] {
        kinglet_with(args, stdin).refused(words);
    }
}

#[test]
fn tokens_and_prompts_that_the_model_cannot_take() {
    for (args, words) in [
        (&["run", "--ids", "99999999"] as &[&str], &["99999999", "vocabulary"] as &[&str]),
        (&["run", "--ids", ""], &["no tokens"]),
        (&["logits", "--ids", "", "--out", "never-written"], &["no tokens"]),
        (&["logits", "--ids", "99999999", "--out", "never-written"], &["99999999"]),
        (&["logits", "--ids", "1", "--out", "no/such/folder/f.npy"], &["no/such/folder/f.npy", "cannot be written"]),
        (&["logits", "--ids", "1", "--out", "models"], &["models", "cannot be written"]),
        (&["run", "--ids", "1,2,3,4,5,6,7,8,9", "-c", "8"], &["9 tokens", "8"]),
        (&["run", "--ids", "1", "--temp", "-1"], &["temperature", "-1", "from 0"]),
        (&["run", "--ids", "1", "--min-p", "-0.5"], &["min_p", "-0.5"]),
    ] {
        kinglet(args).refused(words);
    }
}

#[test]
fn huge_input_is_refused_and_not_a_crash() {
    let long = "one two three four ".repeat(20_000);
    kinglet_with(&["run", "-m", TINY], long.clone()).refused(&["tokens", "context"]);
    kinglet_with(&["chat", "-m", TINY], long).refused(&["tokens", "context"]);
    kinglet_with(&["tokenize"], vec![b'a'; (64 << 20) + 1]).refused(&["64 MiB"]);
}
