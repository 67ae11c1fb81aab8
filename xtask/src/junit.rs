//! Reports of tests in the form that JUnit writes, which other test programs write too.

use crate::report::Report;
use std::path::Path;

/// Adds what the reports in a folder say, and gives how many tests they are of. `language` stands before a test's name.
pub(crate) fn count(reports: &Path, language: &str, report: &mut Report) -> u64 {
    let mut tests = 0;
    let Ok(files) = std::fs::read_dir(reports) else { return tests };
    for file in files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|e| e == "xml")) {
        let xml = std::fs::read_to_string(&file).unwrap_or_default();
        for case in xml.split("<testcase ").skip(1) {
            let case = case.split("</testcase>").next().unwrap_or_default();
            let name = case.split_once(" name=\"").or_else(|| case.strip_prefix("name=\"").map(|rest| ("", rest)));
            let name = name.and_then(|(_, rest)| rest.split_once('"')).map_or("", |(name, _)| name);
            // A case without anything in it ends its own tag, and what follows belongs to the next one.
            let body = if case.split_once('>').is_some_and(|(tag, _)| tag.ends_with('/')) { "" } else { case };
            tests += 1;
            if body.contains("<failure") || body.contains("<error") {
                report.fail(&format!("{language}, {name}"), "its output is above");
            } else if body.contains("<skipped") {
                report.skip(&format!("{language}, {name}"), "the test says why");
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
            <testcase classname="three" name="c"/><testcase name="four"><skipped/></testcase><testcase name="five"><error/></testcase></testsuite>"#;
        std::fs::write(folder.path().join("a.xml"), xml).unwrap();
        let mut report = Report::default();
        let tests = count(folder.path(), "kotlin", &mut report);
        assert_eq!((tests, report.counts.to_string()), (5, "2 passed, 2 failed, 1 skipped".to_owned()));
    }
}
