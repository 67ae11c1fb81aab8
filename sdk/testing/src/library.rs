//! ONNX Runtime's library, for the tests that need it.

use std::path::PathBuf;

/// The version that the tests run with; `cargo xtask onnxruntime` fetches it.
const VERSION: &str = "1.32.0";

/// The library: what `ORT_DYLIB_PATH` names, or what `cargo xtask onnxruntime` has put in the user's cache. Where there is none,
/// a line says that what needs it is skipped, and is counted.
pub fn onnxruntime() -> Option<PathBuf> {
    let named = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()).map(PathBuf::from);
    let found = named.or_else(fetched);
    if found.is_none() {
        println!("SKIPPED: ONNX Runtime's library is not here; `cargo xtask onnxruntime` fetches it");
    }
    found
}

fn fetched() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = given.or_else(|| std::env::home_dir().map(|home| home.join(".cache")))?;
    let folder = cache.join(format!("kinglet/onnxruntime-{VERSION}"));
    Some(folder.join(format!("libonnxruntime.so.{VERSION}"))).filter(|file| file.is_file())
}
