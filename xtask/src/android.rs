//! `cargo xtask android`: libraries, the AAR and the sample's APK, built without the Android SDK and inspected.

use crate::bindings::{bindgen, library};
use crate::process::{listen, program, target_folder, works};
use crate::report::Report;
use clap::Args;
use std::path::PathBuf;

/// Builds what goes to Android and inspects it: the libraries of arm64-v8a and x86_64, the AAR, and the sample's APK.
///
/// Neither the Android SDK nor the NDK is used: a kit stands in for them, and what comes out is for inspection alone. Releases are
/// made as docs/android.md says.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Check; there is nothing else to do yet
    #[arg(long, required = true)]
    check: bool,
    /// The kit: a folder with android-so.sh, apk/pom.xml and compose/pom.xml
    #[arg(long, value_name = "FOLDER")]
    toolchain: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let Some(kit) = arguments.toolchain.as_ref().filter(|kit| kit.join("android-so.sh").is_file()) else {
        return report.skip("android", "there is no kit; name its folder with --toolchain");
    };
    for (tool, argument) in [("mvn", "--version"), ("javac", "-version"), ("python3", "--version")] {
        if !works(program(tool).arg(argument)) {
            return report.skip("android", &format!("{tool} is not here; install a JDK 17, Maven and Python 3"));
        }
    }
    if let Err(why) = check(kit, report) {
        report.fail("android", &why);
    }
}

fn check(kit: &PathBuf, report: &mut Report) -> Result<(), String> {
    let target = target_folder()?;
    let (generator, library) = (bindgen("uniffi-bindgen")?, library(&["jni"], true)?);
    let mut script = program("sh");
    script.arg("xtask/android-check.sh").arg(kit).arg(target.join("android")).arg(generator).arg(library);
    listen(&mut script, |line| {
        println!("{line}");
        note(line, report);
    })
}

/// Counts a line of the script.
fn note(line: &str, report: &mut Report) {
    if line.starts_with("passed ") {
        report.pass();
    } else if let Some(failed) = line.strip_prefix("failed ") {
        let (name, why) = failed.split_once(": ").unwrap_or((failed, "the lines below say why"));
        report.fail(&format!("android, {name}"), why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_by_their_first_word() {
        let mut report = Report::default();
        for line in ["passed one", "failed two: it is wrong", "failed three", "surpassed four", "", "passed five: six"] {
            note(line, &mut report);
        }
        assert_eq!(report.counts.to_string(), "2 passed, 2 failed, 0 skipped");
    }
}
