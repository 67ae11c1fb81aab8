//! ONNX Runtime's library, for the tests that need it, and the folder that keeps it and other tools.

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
    Some(onnxruntime_folder()?.join(format!("libonnxruntime.so.{VERSION}"))).filter(|file| file.is_file())
}

/// Where `cargo xtask onnxruntime` puts the library; `None` where no home folder is known.
pub fn onnxruntime_folder() -> Option<PathBuf> {
    Some(cache_folder()?.join(format!("onnxruntime-{VERSION}")))
}

/// Where the developer commands keep what they fetch or build once: `kinglet` in the user's cache; `None` where no home folder is
/// known.
pub fn cache_folder() -> Option<PathBuf> {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Some(given.or_else(|| Some(std::env::home_dir()?.join(".cache")))?.join("kinglet"))
}
