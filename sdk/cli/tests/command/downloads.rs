//! Limits of a download: it cannot run code, exhaust memory, block, or steer a terminal.

use crate::kit::{TINY, copy, kinglet, kinglet_with, repository};
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

/// A library that writes a file as soon as it is loaded.
#[cfg(target_os = "linux")]
fn evil(path: &Path, mark: &Path) -> bool {
    let source = path.with_extension("rs");
    let text = format!(
        "extern \"C\" fn run() {{ let _ = std::fs::write({:?}, \"loaded\"); }}
        #[used]
        #[unsafe(link_section = \".init_array\")]
        static RUN: extern \"C\" fn() = run;",
        mark.display().to_string()
    );
    fs::write(&source, text).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(path).arg(&source);
    rustc.status().is_ok_and(|status| status.success())
}

#[cfg(target_os = "linux")]
#[test]
#[allow(clippy::print_stdout, reason = "a test that is skipped says so")]
fn no_library_out_of_a_download_is_loaded() {
    let place = tempfile::tempdir().unwrap();
    let (mark, made) = (place.path().join("mark"), place.path().join("made.so"));
    if !evil(&made, &mark) {
        println!("SKIPPED: rustc does not compile a library here");
        return;
    }
    let model = place.path().join("above/repo/cpu-int4");
    fs::create_dir_all(&model).unwrap();
    for entry in fs::read_dir(repository().join(TINY)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, model.join(path.file_name().unwrap())).unwrap();
    }
    // An operator that the embedded engine refuses, so that the other one is looked for.
    let mut graph = fs::read(model.join("model.onnx")).unwrap();
    let places: Vec<usize> = graph.windows(7).enumerate().filter(|(_, w)| w == b"Sigmoid").map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| graph[at..at + 7].copy_from_slice(b"Hardmax"));
    fs::write(model.join("model.onnx"), graph).unwrap();
    // The fields in which a configuration may name a library of operators for onnxruntime-genai.
    let config = fs::read_to_string(model.join("genai_config.json")).unwrap();
    let custom = r#"{"custom_ops_library": "libonnxruntime.so", "session_options": {"custom_ops_library": "libonnxruntime.so"},"#;
    fs::write(model.join("genai_config.json"), config.replacen('{', custom, 1)).unwrap();
    for folder in ["above", "above/repo", "above/repo/cpu-int4"].map(|folder| place.path().join(folder)) {
        for name in ["libonnxruntime.so", "libonnxruntime.so.1.99.0", "libonnxruntime_providers_shared.so", "onnxruntime.dll"] {
            fs::copy(&made, folder.join(name)).unwrap();
        }
    }
    let path = model.to_str().unwrap();
    for args in [&["inspect", path] as &[&str], &["run", "-p", "a", "-m", path], &["reply", "a", "-m", path], &["probe", path]] {
        for from in [model.as_path(), model.parent().unwrap(), place.path()] {
            let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
            command.env_remove("ORT_DYLIB_PATH").env("XDG_CACHE_HOME", place.path().join("cache"));
            command.current_dir(from).args(args).output().unwrap();
            assert!(!mark.exists(), "{args:?} in {}", from.display());
        }
    }
    // The library does what it is for where it is asked for.
    let mut command = assert_cmd::cargo::cargo_bin_cmd!("kinglet");
    command.env("ORT_DYLIB_PATH", place.path().join("above/libonnxruntime.so")).args(["inspect", path]).output().unwrap();
    assert_eq!(mark.exists(), cfg!(feature = "ort"));
}

#[test]
fn files_without_end_are_refused_at_once() {
    struct Case(&'static str, &'static str);
    for Case(name, limit) in [
        Case("tokenizer.json", "268435456"),
        Case("tokenizer_config.json", "33554432"),
        Case("special_tokens_map.json", "33554432"),
        Case("chat_template.jinja", "4194304"),
        Case("additional_chat_templates/tool_use.jinja", "4194304"),
        Case("genai_config.json", "16777216"),
        Case("config.json", "16777216"),
        Case("generation_config.json", "16777216"),
        Case("kinglet.json", "1048576"),
    ] {
        let folder = copy();
        // The map is read where the configuration lists no tokens.
        if name == "special_tokens_map.json" {
            fs::write(folder.path().join("tokenizer_config.json"), "{}").unwrap();
        }
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        File::create(&path).unwrap().set_len(30 << 30).unwrap();
        let model = folder.path().to_str().unwrap();
        kinglet(&["chat", "-p", "a", "-n", "1", "-m", model]).refused(&[name, "32212254720 bytes", limit]);
    }
    let folder = copy();
    File::create(folder.path().join("conformance.json")).unwrap().set_len(30 << 30).unwrap();
    let ran = kinglet(&["doctor", folder.path().to_str().unwrap()]);
    assert!(ran.code == 1 && ran.out.contains("32212254720 bytes"), "{ran:?}");
}

#[cfg(unix)]
#[test]
fn nobody_waits_for_a_pipe() {
    let pipe = |path: &Path| {
        let _ = fs::remove_file(path);
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    };
    for (name, refused) in [
        ("tokenizer.json", Some("tokenizer.json")),
        ("genai_config.json", Some("genai_config.json")),
        ("model.onnx", Some("model.onnx")),
        ("model.onnx.data", Some("model.onnx.data")),
        // As if they were not there.
        ("kinglet.json", None),
        ("special_tokens_map.json", None),
        ("generation_config.json", Some("generation_config.json")),
    ] {
        let folder = copy();
        pipe(&folder.path().join(name));
        let ran = kinglet(&["run", "-p", "a", "-n", "1", "-m", folder.path().to_str().unwrap()]);
        match refused {
            Some(name) => ran.refused(&[name]),
            None => _ = ran.done(),
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let named = folder.path().join("talk.txt");
    pipe(&named);
    let named = named.to_str().unwrap();
    for args in
        [&["reply", named] as &[&str], &["reply", "hello", "--bank", named], &["template", named], &["score", "--batch", named]]
    {
        kinglet(args).refused(&["talk.txt", "a pipe or a device"]);
    }
    // A shell turns `<(command)` into a path to a descriptor that the process is given.
    kinglet_with(&["reply", "/dev/stdin", "-m", TINY], "user: a").done();
}

#[cfg(unix)]
#[test]
fn a_pipe_among_saved_files_is_as_if_it_were_not_there() {
    let (prefixes, weights) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = || {
        let prompt = "customer: I would like to book a table for four on Friday evening by the window please";
        let (prefixes, weights) = (prefixes.path().to_str().unwrap(), weights.path().to_str().unwrap());
        kinglet(&["run", "-n", "5", "--temp", "0", "--prefix-cache", prefixes, "--prepared-weights", weights, "-p", prompt])
            .done()
            .out
    };
    let text = run();
    for folder in [&prefixes, &weights] {
        let files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(!files.is_empty());
        for file in files {
            fs::remove_file(&file).unwrap();
            assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
            assert_eq!(run(), text);
            assert!(file.is_file(), "what was computed is saved in its place");
        }
    }
}

#[test]
fn names_out_of_files_cannot_steer_a_terminal() {
    let folder = copy();
    let config = folder.path().join("genai_config.json");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("\"qwen2\"", "\"\\u001b]0;owned\\u0007\\u202e\\n\"")).unwrap();
    let ran = kinglet(&["inspect", folder.path().to_str().unwrap()]).done();
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    assert!(ran.out.contains("\\u{1b}]0;owned\\u{7}\\u{202e}\\u{a}") && !ran.out.contains(steers), "{:?}", ran.out);
    let graph = folder.path().join("model.onnx");
    let mut bytes = fs::read(&graph).unwrap();
    let places: Vec<usize> = bytes.windows(7).enumerate().filter(|(_, w)| w == b"Sigmoid").map(|(at, _)| at).collect();
    places.into_iter().for_each(|at| bytes[at..at + 7].copy_from_slice(b"S\x1b[31m\n"));
    fs::write(&graph, bytes).unwrap();
    let ran = kinglet(&["run", "-p", "a", "-m", folder.path().to_str().unwrap()]);
    assert!(ran.err.contains("S\\u{1b}[31m\\u{a}") && !ran.err.contains(steers), "{:?}", ran.err);
    ran.refused(&[]);
}
