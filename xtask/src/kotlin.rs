//! `cargo xtask kotlin`: the Kotlin module over the native library of this machine, compiled and tested on the JVM by Maven.

use crate::process::{cargo, program, root, stream, target_folder, works};
use crate::report::Report;
use std::path::Path;

pub(crate) fn run(report: &mut Report) {
    for (tool, version) in [("java", "-version"), ("mvn", "--version")] {
        if !works(program(tool).arg(version)) {
            return report.skip("kotlin", &format!("{tool} is not here; install a JDK 17 and Maven"));
        }
    }
    if let Err(why) = tests(report) {
        report.fail("kotlin", &why);
    }
}

fn tests(report: &mut Report) -> Result<(), String> {
    let target = target_folder()?;
    let work = target.join("kotlin");
    stream(&mut cargo(&["build", "--quiet", "-p", "kinglet-bindgen"]))?;
    stream(&mut cargo(&["build", "--quiet", "--release", "-p", "kinglet-ffi", "--features", "jni"]))?;
    let generated = work.join("generated");
    let library =
        target.join("release").join(format!("{}kinglet_ffi{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX));
    let mut bindgen = program(target.join("debug/uniffi-bindgen"));
    bindgen.args(["generate", "--language", "kotlin", "--no-format", "--config", "sdk/ffi/jvm.toml", "--out-dir"]);
    stream(bindgen.arg(&generated).arg(&library))?;
    let mut maven = program("mvn");
    maven.args(["--batch-mode", "--quiet", "--file", "android/kinglet/pom.xml", "test"]);
    for (name, folder) in [
        ("build.dir", &work.join("build")),
        ("generated.dir", &generated),
        ("native.dir", &target.join("release")),
        ("models.dir", &root().join("models")),
    ] {
        maven.arg(format!("-D{name}={}", folder.display()));
    }
    let reports = work.join("build/surefire-reports");
    if reports.exists() {
        std::fs::remove_dir_all(&reports).map_err(|error| format!("{} cannot be removed: {error}", reports.display()))?;
    }
    let (outcome, failed) = (stream(&mut maven), report.counts.failed);
    let tests = count(&reports, report);
    // A failure of tests is counted by test; one before any test ran is one of the verb.
    match outcome {
        Err(why) if report.counts.failed == failed => Err(why),
        _ if tests == 0 => Err("no test ran".into()),
        _ => Ok(()),
    }
}

/// Adds what the reports of JUnit say, and gives how many tests they are of.
fn count(reports: &Path, report: &mut Report) -> u64 {
    let mut tests = 0;
    let Ok(files) = std::fs::read_dir(reports) else { return tests };
    for file in files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "xml")) {
        let xml = std::fs::read_to_string(&file).unwrap_or_default();
        for case in xml.split("<testcase ").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or_default();
            let name = case.split_once("name=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(name, _)| name);
            // A case without anything in it ends its own tag, and what follows belongs to the next one.
            let body = if case.split_once('>').is_some_and(|(tag, _)| tag.ends_with('/')) { "" } else { case };
            tests += 1;
            if body.contains("<failure") || body.contains("<error") {
                report.fail(&format!("kotlin, {name}"), "its output is above");
            } else if body.contains("<skipped") {
                report.skip(&format!("kotlin, {name}"), "the test says why");
            } else {
                report.pass();
            }
        }
    }
    tests
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_counted_by_what_came_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let xml = r#"<testsuite name="a"><testcase name="one" time="0"/><testcase name="two"><failure>no</failure></testcase>
            <testcase name="three"/><testcase name="four"><skipped/></testcase><testcase name="five"><error/></testcase></testsuite>"#;
        std::fs::write(folder.path().join("a.xml"), xml).unwrap();
        let mut report = Report::default();
        let tests = count(folder.path(), &mut report);
        assert_eq!((tests, report.counts.to_string()), (5, "2 passed, 2 failed, 1 skipped".to_owned()));
    }
}
