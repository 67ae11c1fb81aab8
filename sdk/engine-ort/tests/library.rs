//! Libraries that will not do: each says what was looked for and what to do, and none of them is kept.
//!
//! A process keeps the library that it loads first, so the good one comes last, in one test.

#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use kinglet_bundle::{Bundle, OpenOptions as BundleOptions};
use kinglet_engine::EngineError;
use kinglet_ort::{LibraryError, OpenOptions, OrtModel, Refusal, Search, find};
use kinglet_testing::{onnxruntime, repository};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Source of a library that claims to be of an older version.
const OLD: &str = r#"
#[repr(C)]
pub struct Base(extern "C" fn(u32) -> usize, extern "C" fn() -> *const u8);
extern "C" fn api(_: u32) -> usize { 0 }
extern "C" fn version() -> *const u8 { b"1.9.1\0".as_ptr() }
static BASE: Base = Base(api, version);
#[unsafe(no_mangle)]
pub extern "C" fn OrtGetApiBase() -> *const Base { &BASE }
"#;

/// Compiles a library; `None`, and a line that is counted, where there is no compiler to be found.
fn compiled(folder: &Path, name: &str, source: &str) -> Option<PathBuf> {
    let (file, library) = (folder.join(format!("{name}.rs")), folder.join(format!("lib{name}.so")));
    std::fs::write(&file, source).unwrap();
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition", "2024", "--crate-type", "cdylib", "-o"]).arg(&library).arg(&file);
    if rustc.status().is_ok_and(|status| status.success()) {
        return Some(library);
    }
    println!("SKIPPED: rustc does not compile a library here");
    None
}

fn refused(given: &Path) -> LibraryError {
    find(&Search { given: Some(given.into()) }).unwrap_err()
}

#[test]
fn what_will_not_do_is_refused_and_what_will_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent.so");
    assert_eq!(refused(&absent).looked, [(absent.clone(), Refusal::Absent)]);

    let text = folder.path().join("text.so");
    std::fs::write(&text, "no library").unwrap();
    assert!(matches!(&refused(&text).looked[..], [(path, Refusal::Unusable(_))] if *path == text));

    if let Some(old) = compiled(folder.path(), "old", OLD) {
        let error = refused(&old);
        assert_eq!(error.looked, [(old.clone(), Refusal::TooOld("1.9.1".into()))]);
        let message = error.to_string();
        assert!(message.contains("is version 1.9.1") && message.contains("1.24 or newer"), "{message}");
    }
    if let Some(other) = compiled(folder.path(), "other", "#[unsafe(no_mangle)] pub extern \"C\" fn wren() {}") {
        let error = refused(&other);
        assert!(matches!(&error.looked[..], [(_, Refusal::Unusable(why))] if why.contains("OrtGetApiBase")), "{error}");
    }

    let bundle = Bundle::open(&repository().join("models/goldens/llama/genai"), &BundleOptions::default()).unwrap();
    let error = OrtModel::open(&bundle, &OpenOptions { library: Some(absent.clone()), ..OpenOptions::default() })
        .err()
        .expect("no library");
    let message = error.to_string();
    assert!(matches!(error, EngineError::NoLibrary { engine: "ort", .. }), "{message}");
    assert!(message.contains("absent.so") && message.contains("pip download onnxruntime"), "{message}");

    // A process that has loaded one says so where another is wanted.
    let Some(good) = onnxruntime() else { return };
    let library = find(&Search { given: Some(good.clone()) }).unwrap();
    assert_eq!(library.path, good);
    assert!(library.version.starts_with("1."), "{}", library.version);
    assert!(find(&Search::default()).is_ok_and(|again| again == library));
    assert!(matches!(&refused(&absent).looked[..], [(_, Refusal::Unusable(why))] if why.contains("already")));
}
