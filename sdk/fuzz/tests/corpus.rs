//! Every target over its seeds and over the committed corpus, on the ordinary toolchain.

#![allow(clippy::print_stdout, reason = "the input that is being tried belongs in the log of a failure")]

use kinglet_fuzz::TARGETS;
use std::fs;
use std::path::Path;

/// Inputs of a target: its seeds, then the files of its folder, by name.
fn inputs(name: &str, seeds: fn() -> Vec<Vec<u8>>) -> Vec<(String, Vec<u8>)> {
    let mut all: Vec<(String, Vec<u8>)> = seeds().into_iter().enumerate().map(|(i, seed)| (format!("seed {i}"), seed)).collect();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.sort();
    for file in files {
        let content = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        all.push((file.file_name().unwrap_or_default().to_string_lossy().into_owned(), content));
    }
    all
}

/// Has one test for each target, so that a failure names it and the targets run side by side.
macro_rules! replay {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            let target = kinglet_fuzz::target(stringify!($name));
            for (input, bytes) in inputs(target.name, target.seeds) {
                println!("{input}");
                (target.run)(&bytes);
            }
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($name)),*];
            for target in TARGETS {
                assert!(replayed.contains(&target.name), "{} is not replayed here", target.name);
            }
        }
    };
}

replay! {
    graph onnx_file external_data tokenizer template config saved_cache prepared_weights prefix_file probe_record reply_files
    conversation
}
