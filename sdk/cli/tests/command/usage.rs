//! Wrong usage: exit code 2, and what is wrong.

use crate::kit::{kinglet, kinglet_with};

struct Case<'a>(&'a [&'a str], &'a [&'a str]);

const VERBS: [&str; 18] = [
    "reply",
    "chat",
    "run",
    "score",
    "tokenize",
    "detokenize",
    "template",
    "logits",
    "list",
    "inspect",
    "rm",
    "prepare",
    "conformance",
    "doctor",
    "probe",
    "bench",
    "completions",
    "man",
];

/// Options that all verbs have.
const SHARED: [&str; 9] =
    ["--model", "--threads", "--context", "--engine", "--memory-budget", "--seed", "--quiet", "--verbose", "--json"];

#[test]
fn what_makes_no_sense_is_refused_by_name() {
    for Case(args, words) in [
        Case(&["fly"], &["fly"]),
        Case(&["--fly"], &["--fly"]),
        Case(&["run", "--fly"], &["--fly"]),
        Case(&["run", "-p"], &["--prompt"]),
        Case(&["run", "-p", "a", "b", "c"], &["--prompt", "PROMPT"]),
        Case(&["run", "b", "c", "--ids", "1"], &["two prompts"]),
        Case(&["run", "one", "a", "-m", "other"], &["one", "other"]),
        Case(&["chat", "one", "a", "-m", "other"], &["one", "other"]),
        Case(&["chat", "a", "b", "c"], &["'c'"]),
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
        Case(&["tokenize", "one", "two"], &["'two'"]),
        Case(&["score", "one", "-m", "other", "--batch", "f"], &["one", "other"]),
        Case(&["logits", "--ids", "1"], &["--out"]),
        Case(&["logits", "--out", "f"], &["--ids"]),
        Case(&["logits", "--ids", "1", "--out", "f", "--positions", "some"], &["some", "last", "all"]),
        Case(&["inspect", "a", "b"], &["b"]),
        Case(&["inspect", "one", "-m", "other"], &["one", "other"]),
        Case(&["doctor", "one", "-m", "other"], &["one", "other"]),
        Case(&["bench", "one", "-m", "other"], &["one", "other"]),
        Case(&["rm"], &["NAME"]),
        Case(&["completions", "abacus"], &["abacus", "bash"]),
        Case(&["completions"], &["SHELL"]),
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
        assert!(!help.contains("Options of all verbs:") && help.contains(&format!("kinglet {verb} --help all")), "{help}");
        assert!(help.lines().count() < 90, "{help}");
        let all = kinglet(&[verb, "--help", "all"]).done().out;
        for option in SHARED {
            assert!(all.contains(option), "{option} is not in the help of {verb}");
        }
        assert!(!all.contains('\x1b'), "colours without a terminal");
    }
}

#[test]
fn the_shared_options_are_shown_where_they_are_asked_for() {
    let all = kinglet(&["run", "--help", "all"]).done().out;
    assert_eq!(kinglet(&["help", "run", "all"]).done().out, all);
    assert!(all.contains("--ctx") && all.contains("--temperature") && all.contains("--max-new-tokens"), "{all}");
    let own = kinglet(&["run", "-h"]).done().out;
    assert!(own.contains("--max-tokens") && !own.contains("--memory-budget"), "{own}");
    let overview = kinglet(&["--help"]).done().out;
    assert!(overview.lines().count() < 50 && overview.contains("kinglet VERB --help"), "{overview}");
    assert!(kinglet(&["--help", "all"]).done().out.contains("--memory-budget"));
}

#[test]
fn options_go_by_the_names_that_other_programs_have() {
    let run = |options: &[&str]| {
        let args = [&["run", "-p", "ab", "--seed", "3", "-m", crate::kit::TINY, "--json"], options].concat();
        crate::kit::ids(&kinglet(&args).json(), "tokens")
    };
    let short = run(&["--temp", "2", "-n", "6", "-c", "64"]);
    for options in [
        ["--temperature", "2", "--max-tokens", "6", "--ctx", "64"],
        ["--temperature", "2", "--max-new-tokens", "6", "--ctx-size", "64"],
        ["--temp", "2", "--max-tokens", "6", "--context", "64"],
    ] {
        assert_eq!(run(&options), short, "{options:?}");
    }
}

#[test]
fn shells_and_the_manual_know_the_verbs() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = kinglet(&["completions", shell]).done().out;
        assert!(script.contains("tokenize") && script.contains("memory-budget"), "{shell}: {script}");
    }
    assert!(kinglet(&["man"]).done().out.contains(".TH kinglet 1"));
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man1");
    let written = kinglet(&["man", pages.to_str().unwrap(), "--json"]).json();
    let names: Vec<_> = std::fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written["pages"], names.len());
    for verb in VERBS {
        assert!(names.contains(&format!("kinglet-{verb}.1").into()), "{verb}: {names:?}");
    }
    kinglet(&["man", "Cargo.toml"]).refused(&["Cargo.toml", "cannot be written"]);
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
        Case(&["--top-p", "0.9"], &["top_p", "0.9", "set a temperature above 0"]),
        Case(&["--min-p", "-0.1"], &["min_p", "from 0 to 1"]),
        Case(&["--repeat-penalty", "0"], &["repetition_penalty"]),
        Case(&["--stop", ""], &["stop"]),
    ] {
        let joined: Vec<String> = args.chunks(2).map(|pair| format!("{}={}", pair[0], pair[1])).collect();
        let args: Vec<&str> = ["run", "-p", "a"].into_iter().chain(joined.iter().map(String::as_str)).collect();
        kinglet_with(&args, "").refused(words);
    }
}
