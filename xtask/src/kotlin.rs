//! `cargo xtask kotlin`: the Kotlin module over the native library of this machine, compiled and tested on the JVM by Maven.

use crate::api::{hold, kotlin};
use crate::bindings::{bindgen, library};
use crate::junit::count;
use crate::process::{program, root, stream, target_folder, works};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Compiles the Kotlin module and runs its tests on the JVM, with the native library of this machine and the models of the repository.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Write android/kinglet/api/kinglet.txt anew, with which the public surface is compared otherwise
    #[arg(long)]
    write_api: bool,
    /// Build the native library for speed, as an application has it: for the figures that tests print
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    match surface() {
        Ok(surface) => hold("android/kinglet/api/kinglet.txt", &surface, arguments.write_api, "kotlin", report),
        Err(why) => report.fail("kotlin", &why),
    }
    for (tool, version) in [("java", "-version"), ("mvn", "--version")] {
        if !works(program(tool).arg(version)) {
            return report.skip("kotlin", &format!("{tool} is not here; install a JDK 17 and Maven"));
        }
    }
    if let Err(why) = tests(arguments, report) {
        report.fail("kotlin", &why);
    }
}

/// The public declarations in the module's sources.
fn surface() -> Result<String, String> {
    let mut files = vec![];
    for folder in ["android/kinglet/src/main/kotlin/dev/kinglet", "android/kinglet/src/android/kotlin/dev/kinglet"] {
        let entries = std::fs::read_dir(root().join(folder)).map_err(|error| format!("{folder} cannot be read: {error}"))?;
        files.extend(entries.flatten().map(|entry| entry.path()));
    }
    files.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    let read =
        |file: &PathBuf| std::fs::read_to_string(file).map_err(|error| format!("{} cannot be read: {error}", file.display()));
    files.iter().map(|file| Ok(kotlin(&read(file)?))).collect()
}

fn tests(arguments: &Arguments, report: &mut Report) -> Result<(), String> {
    let work = target_folder()?.join("kotlin");
    let built = library(&["jni"], arguments.release)?;
    let generated = work.join("generated");
    let name = format!("{}kinglet_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let mut generator = program(bindgen("uniffi-bindgen")?);
    generator.args(["generate", "--language", "kotlin", "--no-format", "--config", "sdk/ffi/jvm.toml", "--out-dir"]);
    stream(generator.arg(&generated).arg(built.join(name)))?;
    let mut maven = program("mvn");
    maven.args(["--batch-mode", "--quiet", "--file", "android/kinglet/pom.xml", "test"]);
    for (name, folder) in [
        ("build.dir", &work.join("build")),
        ("generated.dir", &generated),
        ("native.dir", &built),
        ("models.dir", &root().join("models")),
        ("vectors.file", &root().join("sdk/ffi/vectors.json")),
    ] {
        maven.arg(format!("-D{name}={}", folder.display()));
    }
    let reports = work.join("build/surefire-reports");
    if reports.exists() {
        std::fs::remove_dir_all(&reports).map_err(|error| format!("{} cannot be removed: {error}", reports.display()))?;
    }
    let (outcome, failed) = (stream(&mut maven), report.counts.failed);
    let tests = count(&reports, "kotlin", report);
    // A failure of tests is counted by test; one before any test ran is one of the verb.
    match outcome {
        Err(why) if report.counts.failed == failed => Err(why),
        _ if tests == 0 => Err("no test ran".into()),
        _ => Ok(()),
    }
}
