//! Output of the other verbs, and that they keep what they promise.

use crate::kit::{TINY, copy, ids, keys, kinglet, kinglet_with, repository};
use serde_json::Value;
use std::io::Read;
use std::process::{Command, Stdio};

const RUN_KEYS: [&str; 6] = ["text", "tokens", "finish", "usage", "timing", "seed"];

fn check_answer(answer: &Value) {
    let mut expected = RUN_KEYS.to_vec();
    if answer["finish"] == "stop" {
        expected.insert(3, "stop");
    }
    assert_eq!(keys(answer), expected);
    assert_eq!(keys(&answer["usage"]), ["prompt_tokens", "cached_tokens", "new_tokens"]);
    let timing = ["first_token_ms", "prefill_ms", "decode_ms", "prefill_tokens_per_second", "decode_tokens_per_second"];
    assert_eq!(keys(&answer["timing"]), timing);
}

#[test]
fn run_says_what_it_wrote_and_took() {
    let answer = kinglet(&["run", "-p", "Good morning", "-n", "8", "--json"]).json();
    check_answer(&answer);
    let new = answer["usage"]["new_tokens"].as_u64().unwrap();
    assert!((1..=8).contains(&new), "{answer}");
    assert!(answer["finish"] == "length" || answer["finish"] == "end_of_turn", "{answer}");
    let text = answer["text"].as_str().unwrap();
    let tokens = serde_json::json!(ids(&answer, "tokens")).to_string();
    assert_eq!(kinglet_with(&["detokenize", "--skip-special"], tokens).done().out, text);
    let plain = kinglet_with(&["run", "-n", "8"], "Good morning").done().out;
    assert_eq!(plain.strip_suffix('\n').unwrap_or(&plain), text.strip_suffix('\n').unwrap_or(text));
}

#[test]
fn the_same_seed_gives_the_same_answer_on_any_number_of_threads() {
    let run = |seed: &str, threads: &str| {
        let args = ["run", "-p", "ab", "-n", "16", "--temp", "2", "--seed", seed, "-t", threads, "-m", TINY, "--json"];
        kinglet(&args).json()
    };
    let first = run("7", "1");
    assert_eq!(first["seed"], 7);
    assert_eq!(ids(&first, "tokens"), ids(&run("7", "3"), "tokens"));
    assert_ne!(ids(&first, "tokens"), ids(&run("8", "1"), "tokens"));
}

#[test]
fn an_answer_ends_before_its_stop_text() {
    let prompt = "<|begin|><|customer|>Hi, I would like to book a table for two at seven.<|end|><|agent|>";
    let whole = kinglet(&["run", "--raw", "-p", prompt, "-n", "24", "--json"]).json();
    let text = whole["text"].as_str().unwrap();
    let stop: String = text.chars().skip(3).take(2).collect();
    let cut = kinglet(&["run", "--raw", "-p", prompt, "-n", "24", "--json", "--stop", &stop]).json();
    check_answer(&cut);
    assert_eq!((cut["finish"].as_str(), cut["stop"].as_str()), (Some("stop"), Some(stop.as_str())));
    assert_eq!(cut["text"].as_str().unwrap(), &text[..text.find(&stop).unwrap()]);
}

#[test]
fn chat_answers_once_or_line_by_line() {
    let once = kinglet(&["chat", "-p", "Hello", "--system", "Be short.", "-n", "4", "--temp", "0", "--json"]).json();
    check_answer(&once);
    let ran = kinglet_with(&["chat", "-n", "4", "--temp", "0", "--json"], "Hello\n\nAnd then?\n/reset\nHello\n").done();
    let answers: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3);
    answers.iter().for_each(check_answer);
    let cached: Vec<u64> = answers.iter().map(|answer| answer["usage"]["cached_tokens"].as_u64().unwrap()).collect();
    assert!(cached[0] == 0 && cached[1] > 0 && cached[2] == 0, "{cached:?}");
    assert_eq!(answers[0]["tokens"], answers[2]["tokens"], "after /reset the conversation begins again");
}

#[test]
fn a_prefix_cache_spares_what_an_earlier_run_has_read() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let cache = ["--prefix-cache", cache.to_str().unwrap(), "--prefix-cache-size", "50MB"];
    let chat = ["chat", "-p", "Hello", "--system", "Be short, and mind the tide tables.", "-n", "4", "--temp", "0", "-m", TINY];
    let run = ["run", "-p", "The tide comes in twice a day, and the ferry goes out with it", "-n", "4", "-m", TINY];
    let raw = [&run[..], &["--raw"]].concat();
    for verb in [&chat[..], &run[..], &raw[..]] {
        let plain = kinglet(&[verb, &["--json"]].concat()).json();
        let [first, second] = [(); 2].map(|()| kinglet(&[verb, &cache, &["--json"]].concat()).json());
        let cached = |answer: &Value| answer["usage"]["cached_tokens"].as_u64().unwrap();
        assert!(cached(&first) == 0 && cached(&second) > 16, "{first} {second}");
        assert_eq!((&first["tokens"], &second["tokens"]), (&plain["tokens"], &plain["tokens"]));
    }
    let files: Vec<_> = std::fs::read_dir(folder.path().join("cache")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(files.len(), 3);
    files.iter().for_each(|file| std::fs::write(file, "damaged").unwrap());
    let ran = kinglet(&[&chat[..], &cache].concat());
    assert!(ran.code == 0 && ran.err.contains("removed and computed anew"), "{ran:?}");
    kinglet(&[&chat[..], &cache].concat()).done();
    let in_the_way = ["--prefix-cache", files[0].to_str().unwrap()];
    std::fs::write(&files[0], "a file is no folder").unwrap();
    let ran = kinglet(&[&chat[..], &in_the_way].concat());
    assert!(ran.code == 0 && !ran.out.is_empty() && ran.err.contains("prefix cache"), "{ran:?}");
    kinglet(&["reply", "Are you open on Sundays?", cache[0], cache[1]]).done();
}

#[test]
fn inspect_tells_all_of_it() {
    let report = kinglet(&["inspect", "models/goldcrest", "--json"]).json();
    assert_eq!((report["name"].as_str(), report["layout"].as_str()), (Some("goldcrest"), Some("onnxruntime-genai")));
    assert_eq!(report["unsupported"], Value::Null);
    assert_eq!(report["engine"]["foreign_operators"], serde_json::json!([]));
    assert!(report["parameters"].as_u64().unwrap() > 1_000_000, "{report}");
    let memory = &report["engine"]["memory"];
    let total: u64 = ["weights", "kv", "scratch"].iter().map(|part| memory[part].as_u64().unwrap()).sum();
    assert_eq!(memory["total"].as_u64(), Some(total));
    assert_eq!(memory["process"].is_u64(), cfg!(target_os = "linux"), "{memory}");
    let folder = kinglet(&["inspect", "-m", "goldcrest", "--json"]).json()["parameters"].clone();
    assert_eq!(folder, report["parameters"]);
    let plain = kinglet(&["inspect"]).done().out;
    for label in ["model", "layout", "graph", "architecture", "parameters", "weights", "tokenizer", "engine", "memory"] {
        assert!(plain.lines().any(|line| line.starts_with(label)), "{label} is not in:\n{plain}");
    }
}

#[test]
fn a_small_model_in_plain_4_bits_is_advised_against() {
    let advice = |model: &str| kinglet(&["inspect", model, "--json"]).json()["advice"].clone();
    assert!(advice("models/goldens/quantised/int4-b32").as_str().unwrap().contains("k-quant"));
    assert_eq!(advice("models/goldcrest"), Value::Null, "its head has 8 bits");
    assert_eq!(advice("models/goldens/qwen2/genai"), Value::Null, "float32");
}

#[test]
fn a_memory_budget_is_kept_and_told() {
    let whole = kinglet(&["inspect", "--json"]).json();
    let total = whole["engine"]["memory"]["total"].as_u64().unwrap();
    assert_eq!(whole["engine"]["reduced"], Value::Null);
    for part in [total - 1, total * 3 / 4, total / 2] {
        let report = kinglet(&["inspect", "--json", "--memory-budget", &part.to_string()]).json();
        let engine = &report["engine"];
        if report["unsupported"].is_null() {
            assert!(engine["memory"]["total"].as_u64().unwrap() <= part, "{report}");
            assert!(engine["reduced"].as_str().unwrap().contains("memory budget"), "{report}");
        } else {
            assert!(report["unsupported"].as_str().unwrap().contains("at least"), "{report}");
        }
    }
}

#[test]
fn a_context_beyond_the_model_is_told() {
    let report = kinglet(&["inspect", TINY, "-c", "1000000", "--json"]).json();
    assert_eq!(report["engine"]["context"], report["architecture"]["max_context"]);
    assert!(report["engine"]["reduced"].as_str().unwrap().contains("1000000"), "{report}");
}

#[test]
fn doctor_holds_the_engine_against_the_plain_interpreter() {
    let report = kinglet(&["doctor", "--reference", TINY, "--json"]).json();
    let checks = report["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["name"] == "reference").unwrap();
    assert_eq!(check["result"], "pass", "{check}");
    assert!(check["detail"].as_str().unwrap().contains("are the plain interpreter's"), "{check}");
}

#[test]
fn doctor_passes_on_the_shipped_model() {
    let report = kinglet(&["doctor", "--json"]).json();
    assert_eq!(report["failed"], 0);
    let checks = report["checks"].as_array().unwrap();
    let names: Vec<&str> = checks.iter().map(|check| check["name"].as_str().unwrap()).collect();
    let model = ["folder", "open", "tokenizer", "step", "agreement", "conformance"];
    assert_eq!(names, [&["processor", "threads", "tract", "ort"][..], &model].concat());
    for check in checks {
        let expected = if check["name"] == "ort" { "absent" } else { "pass" };
        assert_eq!(check["result"], expected, "{check}");
    }
    assert_eq!(kinglet(&["doctor"]).done().out.lines().count(), checks.len());
}

#[test]
fn bench_gives_the_keys_of_the_peers() {
    let all = ["load_s", "rss_load_mb", "prepare_s", "ttft128_ms", "prefill128", "prefill512", "decode128", "decode1024"];
    let batches = ["batch4x16_s", "batch4x16", "batch4x64_s", "batch4x64", "rss_peak_mb"];
    let prefix = ["prefix_restore_ms", "prefix_first_token_ms", "prefix_bytes"];
    let allowed = [&all[..], &batches, &prefix].concat();
    let figures = kinglet(&["bench", "-m", TINY, "--json"]).json();
    for (key, value) in figures.as_object().unwrap() {
        assert!(allowed.contains(&key.as_str()), "{key} is no key of the peers");
        assert!(value.as_f64().unwrap() > 0.0, "{key} is {value}");
    }
    // 768 positions hold no prompt of 1024 tokens; every other key is there on Linux.
    let missing: Vec<&str> = allowed.iter().filter(|key| figures.get(**key).is_none()).copied().collect();
    let unknown: &[&str] = if cfg!(target_os = "linux") { &[] } else { &["rss_load_mb", "rss_peak_mb"] };
    assert!(missing.iter().all(|key| *key == "decode1024" || unknown.contains(key)), "{missing:?}");
    assert!(missing.contains(&"decode1024"));
}

#[test]
fn bench_tells_where_the_time_goes() {
    let report = kinglet(&["bench", "-m", TINY, "--profile", "--threads", "1", "--json"]).json();
    assert!(report["limits"]["read_bytes_per_second"].as_f64().unwrap() > 1e6, "{report}");
    let phases = report["phases"].as_array().unwrap();
    assert_eq!(phases.iter().map(|phase| &phase["phase"]).collect::<Vec<_>>(), ["prefill128", "decode128", "batch4"]);
    for phase in phases {
        let operators = phase["operators"].as_array().unwrap();
        let timed: f64 = operators.iter().map(|operator| operator["seconds"].as_f64().unwrap()).sum();
        assert!(timed > 0.0 && timed <= phase["seconds"].as_f64().unwrap(), "{phase}");
        let names: Vec<&str> = operators.iter().map(|operator| operator["operator"].as_str().unwrap()).collect();
        assert!(names.contains(&"attention") && names.iter().any(|name| name.starts_with("linear")), "{names:?}");
    }
    assert!(kinglet(&["bench", "-m", TINY, "--profile"]).done().out.contains("int8 GOPS at most"));
}

#[test]
fn bench_measures_only_what_it_is_asked_for() {
    let figures = kinglet(&["bench", "-m", TINY, "--only", "decode", "--json"]).json();
    let timed: Vec<&str> = keys(&figures).into_iter().filter(|key| !key.starts_with("rss")).collect();
    assert_eq!(timed, ["load_s", "prepare_s", "decode128"]);
    let plain = kinglet(&["bench", "-m", TINY, "--only", "load"]).done().out;
    assert!(plain.starts_with("load_s") && !plain.contains("decode"), "{plain}");
}

#[test]
fn bench_varies_what_it_is_told_to() {
    let run = |args: &[&str]| kinglet(&[&["bench", "-m", TINY, "--contexts", "16,600,5000"], args].concat());
    let figures = run(&["--candidates", "1,3", "--json"]).json();
    let numbers = |rows: &str, key: &str| -> Vec<u64> {
        figures[rows].as_array().unwrap().iter().map(|row| row[key].as_u64().unwrap()).collect()
    };
    // 768 positions hold no prompt of 5000 tokens.
    assert_eq!((numbers("contexts", "tokens"), numbers("candidates", "candidates")), (vec![16, 600], vec![1, 3]));
    for row in figures["contexts"].as_array().unwrap().iter().chain(figures["candidates"].as_array().unwrap()) {
        assert!(row.as_object().unwrap().values().all(|value| value.as_f64().unwrap() > 0.0), "{row}");
    }
    let plain = run(&["--quiet"]).done().out;
    assert!(plain.contains("prefill") && !plain.contains("candidates"), "{plain}");
}

#[cfg(target_os = "linux")]
#[test]
fn memory_is_what_was_said() {
    // A model small enough that a test program's own memory is most of it: the limit is wider than that of `cargo xtask growth`.
    let figures = kinglet(&["bench", "--contexts", "400", "--json"]).json();
    let [peak, predicted] = ["rss_peak_mb", "rss_predicted_mb"].map(|key| figures[key].as_f64().unwrap());
    assert!((predicted / peak - 1.0).abs() < 0.15, "{predicted} MB were said and {peak} MB taken");
}

#[test]
fn a_folder_carries_what_its_model_must_give() {
    let folder = copy();
    let model = folder.path().to_str().unwrap();
    kinglet(&["conformance", "check", model]).refused(&["carries no vectors", "conformance make"]);
    let made = kinglet(&["conformance", "make", model, "--json"]).json();
    assert_eq!(keys(&made), ["file", "source", "texts", "chats", "greedy"]);
    assert!(kinglet(&["doctor", model]).done().out.contains("pass    conformance"));
    let checked = kinglet(&["conformance", "check", model, "--json"]).json();
    assert!(checked["tokens"].as_u64().unwrap() > 20 && checked["difference"].is_null(), "{checked}");
    // The vectors of another model.
    let other = folder.path().join("other.json");
    kinglet(&["conformance", "make", "goldcrest", "-o", other.to_str().unwrap()]).done();
    kinglet(&["conformance", "make", model, "--reference", other.to_str().unwrap()]).refused(&["does not give", "should be"]);
    std::fs::copy(&other, folder.path().join("conformance.json")).unwrap();
    let ran = kinglet(&["doctor", model]);
    assert!(ran.code == 1 && ran.out.contains("FAIL    conformance"), "{ran:?}");
    std::fs::write(folder.path().join("conformance.json"), "{").unwrap();
    kinglet(&["conformance", "check", model]).refused(&["conformance.json", "get it again"]);
}

#[test]
fn names_are_looked_up_where_the_environment_says() {
    let run = |models: &str| {
        let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
        let folder = tempfile::tempdir().unwrap();
        command.current_dir(folder.path()).env("KINGLET_MODELS", models).args(["inspect", "genai", "--json"]).output().unwrap()
    };
    let goldens = repository().join("models/goldens/qwen2");
    let found = run(goldens.to_str().unwrap());
    assert!(found.status.success(), "{found:?}");
    let report: Value = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!(report["name"], "genai");
    assert_eq!(run("").status.code(), Some(1));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_kinglet"))
        .args(["run", "-p", "a", "-n", "400", "-m", TINY])
        .current_dir(repository())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut err = String::new();
    child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((child.wait().unwrap().code(), err.as_str()), (Some(0), ""));
}

#[test]
fn prepared_weights_change_no_token_and_are_no_reason_to_fail() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("weights").display().to_string();
    let run = |more: &[&str]| kinglet(&[&["run", "-p", "Good morning", "-n", "8", "--json"], more].concat());
    let tokens = |ran: crate::kit::Ran| ids(&ran.json(), "tokens");
    let plain = tokens(run(&[]));
    let prepared = kinglet(&["prepare", "--prepared-weights", &cache, "--json"]).json();
    assert_eq!(keys(&prepared), ["model", "folder", "took_ms", "file", "verified"]);
    assert_eq!(prepared["verified"], false);
    let again = kinglet(&["prepare", "--prepared-weights", &cache, "--json"]).json();
    assert_eq!((&again["verified"], &again["file"]), (&true.into(), &prepared["file"]));
    assert_eq!(tokens(run(&["--prepared-weights", &cache])), plain);
    let file = std::fs::read_dir(&cache).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&file, "damaged").unwrap();
    let ran = run(&["--prepared-weights", &cache]);
    assert!(ran.code == 0 && ran.err.contains("made anew"), "{ran:?}");
    kinglet(&["prepare", "--prepared-weights", "Cargo.toml"]).refused(&["Cargo.toml", "name another folder"]);
    let ran = run(&["--prepared-weights", "Cargo.toml"]);
    assert!(ran.code == 0 && ran.err.contains("cannot be saved"), "{ran:?}");
}
