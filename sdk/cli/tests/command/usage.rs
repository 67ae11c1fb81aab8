//! Wrong usage: exit code 2, and what is wrong.

use crate::kit::{kinglet, kinglet_with};

struct Case<'a>(&'a [&'a str], &'a [&'a str]);

const VERBS: [&str; 14] = [
    "reply",
    "chat",
    "run",
    "score",
    "tokenize",
    "detokenize",
    "template",
    "logits",
    "inspect",
    "prepare",
    "conformance",
    "doctor",
    "probe",
    "bench",
];

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for Case(args, words) in [
        Case(&["fly"], &["fly"]),
        Case(&["--fly"], &["--fly"]),
        Case(&["run", "--fly"], &["--fly"]),
        Case(&["run", "-p"], &["--prompt"]),
        Case(&["run", "-p", "a", "b"], &["'b'"]),
        Case(&["run", "-p", "a", "--ids", "1"], &["--prompt", "--ids"]),
        Case(&["run", "-p", "a", "-n", "0"], &["0"]),
        Case(&["run", "-p", "a", "-n", "-1"], &["-1"]),
        Case(&["run", "-p", "a", "-n", "many"], &["many"]),
        Case(&["run", "-p", "a", "--temp", "warm"], &["warm"]),
        Case(&["run", "--ids", "1,x"], &["`x`"]),
        Case(&["run", "-p", "a", "-t", "0"], &["0"]),
        Case(&["run", "-p", "a", "-t", "100000"], &["100000"]),
        Case(&["run", "-p", "a", "-c", "0"], &["0"]),
        Case(&["run", "-p", "a", "--seed", "-3"], &["-3"]),
        Case(&["run", "-p", "a", "--engine", "steam"], &["steam", "tract"]),
        Case(&["run", "-p", "a", "--memory-budget", "lots"], &["lots", "600MB"]),
        Case(&["run", "-p", "a", "-q", "-v"], &["--quiet", "--verbose"]),
        Case(&["run", "-p", "a", "--prefix-cache-size", "1MB"], &["--prefix-cache"]),
        Case(&["chat", "-p", "a", "--prefix-cache", "c", "--prefix-cache-size", "much"], &["much"]),
        Case(&["reply", "-n", "0", "hello"], &["0"]),
        Case(&["reply", "one", "two"], &["two"]),
        Case(&["score"], &["--prompt"]),
        Case(&["score", "-p", "a"], &["--candidates"]),
        Case(&["score", "--candidates", "f"], &["--prompt"]),
        Case(&["score", "-p", "a", "--batch", "f"], &["--batch"]),
        Case(&["score", "-p", "a", "--conversation", "f", "--candidates", "g"], &["--conversation"]),
        Case(&["score", "--batch", "f", "--perplexity", "g"], &["--perplexity"]),
        Case(&["detokenize", "--ids", "1", "2"], &["--ids"]),
        Case(&["detokenize", "word"], &["word"]),
        Case(&["tokenize", "text"], &["text"]),
        Case(&["logits", "--ids", "1"], &["--out"]),
        Case(&["logits", "--out", "f"], &["--ids"]),
        Case(&["logits", "--ids", "1", "--out", "f", "--positions", "some"], &["some", "last", "all"]),
        Case(&["inspect", "a", "b"], &["b"]),
        Case(&["inspect", "one", "-m", "other"], &["one", "other"]),
        Case(&["doctor", "one", "-m", "other"], &["one", "other"]),
        Case(&["prepare"], &["--prepared-weights"]),
        Case(&["prepare", "one", "-m", "other", "--prepared-weights", "f"], &["one", "other"]),
        Case(&["bench", "--only", "half"], &["half", "decode"]),
        Case(&["run", "-p", "a", "--provider", "steam"], &["steam", "xnnpack"]),
        Case(&["probe", "one", "-m", "other"], &["one", "other"]),
        Case(&["probe", "--timeout", "0"], &["0"]),
        Case(&["probe", "--engine", "tract"], &["--engine", "compares all"]),
        Case(&["probe", "--provider", "cpu"], &["--provider", "compares all"]),
        Case(&["probe-candidate", "steam", "--out", "f"], &["steam", "ort/cpu"]),
    ] {
        kinglet(args).misused(words);
    }
}

#[test]
fn without_a_verb_the_help_appears() {
    let ran = kinglet(&[]);
    assert_eq!(ran.code, 2, "{ran:?}");
    assert!(ran.err.contains("Usage: kinglet"), "{ran:?}");
}

#[test]
fn every_verb_has_help_with_examples() {
    let overview = kinglet(&["--help"]).done().out;
    for verb in VERBS {
        assert!(overview.contains(&format!("  {verb} ")), "{verb} is not in:\n{overview}");
        let help = kinglet(&[verb, "--help"]).done().out;
        assert!(help.contains("Examples:") && help.contains(&format!("kinglet {verb}")), "{help}");
        for option in
            ["--model", "--threads", "--context", "--engine", "--memory-budget", "--seed", "--quiet", "--verbose", "--json"]
        {
            assert!(help.contains(option), "{option} is not in the help of {verb}");
        }
        assert!(!help.contains('\x1b'), "colours without a terminal");
    }
}

#[test]
fn the_version_is_one_line() {
    assert_eq!(kinglet(&["--version"]).done().out, format!("kinglet {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn values_out_of_range_are_named_with_their_range() {
    for Case(args, words) in [
        Case(&["--temp", "-1"], &["temperature", "0"]),
        Case(&["--temp", "nan"], &["temperature"]),
        Case(&["--top-p", "2"], &["top_p", "from 0 to 1"]),
        Case(&["--min-p", "-0.1"], &["min_p", "from 0 to 1"]),
        Case(&["--repeat-penalty", "0"], &["repetition_penalty"]),
        Case(&["--stop", ""], &["stop"]),
    ] {
        let joined: Vec<String> = args.chunks(2).map(|pair| format!("{}={}", pair[0], pair[1])).collect();
        let args: Vec<&str> = ["run", "-p", "a"].into_iter().chain(joined.iter().map(String::as_str)).collect();
        kinglet_with(&args, "").refused(words);
    }
}
