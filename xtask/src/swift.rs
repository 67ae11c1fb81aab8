//! `cargo xtask swift`: the Swift package over the native library of this machine, built and tested.

use crate::api::hold;
use crate::bindings::{bindgen, library};
use crate::junit::count;
use crate::process::{listen, program, read, root, stream, target_folder, works};
use crate::report::Report;
use clap::Args;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Models that the tests open.
const MODELS: [&str; 2] = ["goldcrest", "goldens/llama/genai"];

/// Builds the Swift package over the native library of this machine, and runs its tests.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Write ios/api/Kinglet.txt anew, with which the public surface is compared otherwise
    #[arg(long)]
    write_api: bool,
    /// Build the native library for speed, as an application has it: for the figures that tests print
    #[arg(long)]
    release: bool,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    match Swift::ready() {
        Err(why) => report.skip("swift", &why),
        Ok(swift) => {
            if let Err(why) = tests(&swift, arguments, report) {
                report.fail("swift", &why);
            }
        }
    }
}

/// A Swift 6.
enum Swift {
    OnPath,
    /// In a root of its own, entered by this program.
    Within(PathBuf),
}

impl Swift {
    fn ready() -> Result<Swift, String> {
        if works(program("swift").arg("--version")) {
            return Ok(Swift::OnPath);
        }
        let folder = kinglet_testing::cache_folder().ok_or("no home folder is known; set HOME")?.join("swift");
        let mut last = String::new();
        let outcome = listen(program("sh").arg("xtask/swift-toolchain.sh").arg(&folder), |line| {
            println!("{line}");
            line.clone_into(&mut last);
        });
        outcome.map_err(|why| if last.is_empty() { why } else { last })?;
        Ok(Swift::Within(folder.join("in-swift")))
    }

    /// A swift command in `folder`, which sees nothing outside of it.
    fn command(&self, folder: &Path, arguments: &[&str]) -> Command {
        let models = format!("KINGLET_MODELS={}", folder.join("models").display());
        let mut command = match self {
            Swift::OnPath => program("env"),
            Swift::Within(within) => {
                let mut command = program(within);
                command.arg(folder).arg("env");
                command
            }
        };
        command.arg(models).arg("swift").args(arguments).current_dir(folder);
        command
    }

    /// As [`command`](Self::command), for those that link.
    fn linking(&self, folder: &Path, arguments: &[&str]) -> Command {
        let mut command = self.command(folder, arguments);
        command.args(["-Xlinker", &format!("-L{}", folder.join("native").display())]);
        command
    }
}

fn tests(swift: &Swift, arguments: &Arguments, report: &mut Report) -> Result<(), String> {
    let package = target_folder()?.join("swift");
    let library = library(&[], arguments.release)?.join("libkinglet_ffi.a");
    let generator = bindgen("uniffi-bindgen-swift")?;
    lay_out(&package, &library)?;
    let generate = |arguments: &[&str], to: &str| {
        stream(program(&generator).args(arguments).arg(&library).arg(package.join("Sources").join(to)))
    };
    generate(&["--swift-sources"], "KingletFFI")?;
    generate(&["--headers"], "KingletFFIHeaders")?;
    let named = ["--modulemap", "--module-name", "KingletFFIHeaders", "--modulemap-filename", "module.modulemap"];
    generate(&named, "KingletFFIHeaders")?;
    link(&package.join("Sources/KingletFFIHeaders/module.modulemap"))?;

    stream(&mut swift.linking(&package, &["build", "--build-tests"]))?;
    hold("ios/api/Kinglet.txt", &surface(swift, &package)?, arguments.write_api, "swift", report);
    let (reports, failed) = (package.join("reports"), report.counts.failed);
    let outcome = stream(&mut swift.linking(&package, &["test", "--skip-build", "--xunit-output", "reports/tests.xml"]));
    let tests = count(&reports, "swift", report);
    // A failure of tests is counted by test; one before any test ran is one of the verb.
    match outcome {
        Err(why) if report.counts.failed == failed => Err(why),
        _ if tests == 0 => Err("no test ran".into()),
        _ => Ok(()),
    }
}

/// The public declarations of the package, sorted by where they belong.
fn surface(swift: &Swift, package: &Path) -> Result<String, String> {
    let told: Value = json(&read(&mut swift.command(package, &["-print-target-info"]))?)?;
    let target = told["target"]["triple"].as_str().ok_or("swift -print-target-info names no target")?;
    let search = ["-I", ".build/debug/Modules", "-I", "Sources/KingletFFIHeaders"];
    let mut extract = swift.command(package, &["symbolgraph-extract", "-module-name", "Kinglet", "-target", target]);
    extract.args(search).args(["-minimum-access-level", "public", "-skip-synthesized-members", "-output-dir", "reports"]);
    stream(&mut extract)?;
    let graph = package.join("reports/Kinglet.symbols.json");
    let graph = fs::read_to_string(&graph).map_err(|error| format!("{} cannot be read: {error}", graph.display()))?;
    let graph = json(&graph)?;
    let words = |symbol: &Value, of: &str, part: Option<&str>| -> Vec<String> {
        let word = |word: &Value| part.map_or(word, |part| &word[part]).as_str().unwrap_or_default().to_owned();
        symbol[of].as_array().into_iter().flatten().map(word).collect()
    };
    let line = |symbol: &Value| {
        let declaration = words(symbol, "declarationFragments", Some("spelling")).concat();
        format!(
            "{}: {}\n",
            words(symbol, "pathComponents", None).join("."),
            declaration.split_whitespace().collect::<Vec<_>>().join(" ")
        )
    };
    let mut lines: Vec<String> = graph["symbols"].as_array().into_iter().flatten().map(line).collect();
    lines.sort();
    Ok(lines.concat())
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| format!("what swift says is no JSON: {error}"))
}

/// Puts the package's sources, the library and the models into one folder, where what was built before stays.
fn lay_out(package: &Path, library: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{} cannot be written: {error}", package.display());
    for part in ["Sources", "Tests", "Sample", "models", "native", "reports"] {
        let part = package.join(part);
        if part.exists() {
            fs::remove_dir_all(&part).map_err(said)?;
        }
    }
    let ios = root().join("ios");
    fs::create_dir_all(package).map_err(said)?;
    fs::copy(ios.join("Package.swift"), package.join("Package.swift")).map_err(said)?;
    for part in ["Sources", "Tests", "Sample"] {
        copy(&ios.join(part), &package.join(part)).map_err(said)?;
    }
    copy(&root().join("examples/swift"), &package.join("Tests/KingletTests/examples")).map_err(said)?;
    for model in MODELS {
        copy(&root().join("models").join(model), &package.join("models").join(model)).map_err(said)?;
    }
    fs::copy(root().join("sdk/ffi/vectors.json"), package.join("models/vectors.json")).map_err(said)?;
    for part in ["Sources/KingletFFI", "Sources/KingletFFIHeaders", "native", "reports"] {
        fs::create_dir_all(package.join(part)).map_err(said)?;
    }
    fs::copy(library, package.join("native/libkinglet_ffi.a")).map_err(said)?;
    Ok(())
}

/// Copies a folder with its times, by which the builder knows what has changed.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to)?;
        } else {
            fs::copy(entry.path(), &to)?;
            fs::File::options().write(true).open(&to)?.set_modified(entry.metadata()?.modified()?)?;
        }
    }
    Ok(())
}

/// Has a module map name the library: the builder links what a system library's map says.
fn link(map: &Path) -> Result<(), String> {
    let said = |error: std::io::Error| format!("{} cannot be changed: {error}", map.display());
    let text = fs::read_to_string(map).map_err(said)?;
    let (before, after) = text.rsplit_once('}').ok_or_else(|| format!("{} is no module map", map.display()))?;
    fs::write(map, format!("{before}    link \"kinglet_ffi\"\n}}{after}")).map_err(said)
}
