//! The native library and the generators of its bindings.

use crate::process::{cargo, stream, target_folder};
use std::path::PathBuf;

/// Builds sdk/ffi with some features, and gives the folder that its libraries are in. Without `release` it is the profile of tests,
/// whose parts are built already where tests have run.
pub(crate) fn library(features: &[&str], release: bool) -> Result<PathBuf, String> {
    let mut build = cargo(&["build", "--quiet", "-p", "kinglet-ffi", "--features"]);
    build.arg(features.join(","));
    if release {
        build.arg("--release");
    }
    stream(&mut build)?;
    Ok(target_folder()?.join(if release { "release" } else { "debug" }))
}

/// Builds uniffi's generators, and gives where the one with this name is.
pub(crate) fn bindgen(name: &str) -> Result<PathBuf, String> {
    stream(&mut cargo(&["build", "--quiet", "-p", "kinglet-bindgen"]))?;
    Ok(target_folder()?.join("debug").join(format!("{name}{}", std::env::consts::EXE_SUFFIX)))
}
