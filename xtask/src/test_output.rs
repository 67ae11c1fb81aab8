//! Output of `cargo test`, line by line: counts, ignored tests, and tests that could not test everything here.

use crate::report::{Counts, Report};
use std::collections::BTreeSet;

/// The arguments after `--` with which the test programs must run: a passing test's output is where it says what it skipped.
pub(crate) const ARGUMENTS: &[&str] = &["--show-output"];

/// Collects the outcome of one `cargo test` over many test programs.
#[derive(Debug, Default)]
pub(crate) struct TestOutput {
    counts: Counts,
    /// Test programs that began, less those that said how they ended.
    unfinished: u64,
    /// Names of ignored tests, with the reason where the test gives one.
    ignored: Vec<String>,
    /// Reasons that passing tests wrote after `SKIPPED: `, once each.
    untested: BTreeSet<String>,
    in_successes: bool,
}

impl TestOutput {
    /// Takes a line in; true if it is to be shown. The output of passing tests is not: it comes for its `SKIPPED: ` lines.
    pub(crate) fn line(&mut self, line: &str) -> bool {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.unfinished = self.unfinished.saturating_sub(1);
            let counts = counts(result);
            self.counts.passed += counts.passed;
            self.counts.failed += counts.failed;
            self.counts.skipped += counts.skipped;
        } else if is_beginning(line) {
            self.unfinished += 1;
        } else if let Some(what) = line.strip_prefix("SKIPPED: ") {
            self.untested.insert(what.to_owned());
        } else if let Some((name, reason)) = ignored(line) {
            self.ignored.push(if reason.is_empty() { name.to_owned() } else { format!("{name} ({reason})") });
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            result if result.starts_with("test result: ") => self.in_successes = false,
            _ => {}
        }
        !self.in_successes
    }

    /// The same, where what its tests could not test here is tested elsewhere.
    pub(crate) fn whole(self) -> TestOutput {
        TestOutput { untested: BTreeSet::new(), ..self }
    }

    /// Adds everything to the report. `outcome` is how cargo ended: a failure without a failed test is one that stopped
    /// before it could be counted (it did not compile). A test program that died counts as a failure of its own.
    pub(crate) fn add_to(self, report: &mut Report, outcome: Result<(), String>) {
        report.counts.passed += self.counts.passed;
        // A skip with a sentence is counted where the sentence is taken in.
        report.counts.skipped += self.counts.skipped.saturating_sub(self.ignored.len() as u64);
        for test in &self.ignored {
            report.skip("ignored test", test);
        }
        for what in &self.untested {
            report.skip("not tested here", what);
        }
        if self.unfinished > 0 {
            report.fail("cargo test", &format!("{} test programs died; their output is above", self.unfinished));
            report.counts.failed += self.unfinished - 1;
        }
        match outcome {
            Err(why) if self.counts.failed + self.unfinished == 0 => {
                report.fail("cargo test", &format!("{why} before its tests could be counted"))
            }
            _ if self.counts.failed > 0 => {
                report.fail("cargo test", &format!("{} failed; their output is above", self.counts.failed));
                report.counts.failed += self.counts.failed - 1;
            }
            _ => {}
        }
    }
}

/// The counts of `ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.05s`.
fn counts(result: &str) -> Counts {
    let of = |noun: &str| {
        let part = result.split([';', '.']).map(str::trim).find_map(|part| part.strip_suffix(noun));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
    };
    Counts { passed: of("passed"), failed: of("failed"), skipped: of("ignored") }
}

/// Whether a line is `running 3 tests`, with which a test program begins.
fn is_beginning(line: &str) -> bool {
    let count = line.strip_prefix("running ").and_then(|rest| rest.strip_suffix(" tests").or(rest.strip_suffix(" test")));
    count.is_some_and(|count| count.parse::<u64>().is_ok())
}

/// Name and reason of `test NAME ... ignored, REASON`.
fn ignored(line: &str) -> Option<(&str, &str)> {
    let (name, verdict) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let reason = verdict.strip_prefix("ignored")?;
    if reason.is_empty() { Some((name, "")) } else { reason.strip_prefix(", ").map(|reason| (name, reason)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, outcome: Result<(), String>) -> (Counts, Vec<&str>) {
        let (mut output, mut report) = (TestOutput::default(), Report::default());
        let shown = text.lines().filter(|line| output.line(line)).collect();
        output.add_to(&mut report, outcome);
        (report.counts, shown)
    }

    #[test]
    fn result_lines_are_summed() {
        struct Case {
            text: &'static str,
            cargo_ended_well: bool,
            counts: (u64, u64, u64),
        }
        let ok = "test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 4 filtered out; finished in 0.05s\n";
        let two = format!("{ok}Doc-tests x\n{ok}").leak();
        let cases = [
            Case { text: "", cargo_ended_well: true, counts: (0, 0, 0) },
            Case { text: ok, cargo_ended_well: true, counts: (3, 0, 0) },
            Case { text: two, cargo_ended_well: true, counts: (6, 0, 0) },
            Case {
                text: "test a ... FAILED\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
                cargo_ended_well: false,
                counts: (1, 2, 0),
            },
            Case {
                text: "test a::b ... ignored, needs 2 GB\ntest c ... ignored\ntest result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out",
                cargo_ended_well: true,
                counts: (0, 0, 2),
            },
            // A test program that dies has no result line, one that does not compile does not even begin.
            Case { text: "running 2 tests\n", cargo_ended_well: false, counts: (0, 1, 0) },
            Case {
                text: "running 1 test\nrunning 3 tests\ntest result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out",
                cargo_ended_well: false,
                counts: (2, 2, 0),
            },
            Case { text: ok, cargo_ended_well: false, counts: (3, 1, 0) },
            Case { text: "", cargo_ended_well: false, counts: (0, 1, 0) },
        ];
        for Case { text, cargo_ended_well, counts: (passed, failed, skipped) } in cases {
            let outcome = if cargo_ended_well { Ok(()) } else { Err("cargo ended with exit status: 101".to_owned()) };
            assert_eq!(of(text, outcome).0, Counts { passed, failed, skipped }, "{text}");
        }
    }

    #[test]
    fn what_a_passing_test_skips_is_counted_once_and_its_output_hidden() {
        let text = "test avx512 ... ok\n\nsuccesses:\n\n---- avx512 stdout ----\nSKIPPED: no AVX-512\n\n---- again stdout ----\n\
            SKIPPED: no AVX-512\n\nsuccesses:\n    avx512\n    again\n\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out";
        let (counts, shown) = of(text, Ok(()));
        assert_eq!(counts, Counts { passed: 2, failed: 0, skipped: 1 });
        assert_eq!(shown.first(), Some(&"test avx512 ... ok"));
        assert!(!shown.iter().any(|line| line.contains("stdout") || line.contains("SKIPPED")));
        assert!(shown.last().is_some_and(|line| line.starts_with("test result")));
    }

    #[test]
    fn the_output_of_failing_tests_is_shown() {
        let text = "successes:\n    a\n\nfailures:\n\n---- b stdout ----\nleft != right\n\ntest result: FAILED. 1 passed; 1 failed; 0 ignored";
        let (counts, shown) = of(text, Err("cargo ended with exit status: 101".to_owned()));
        assert_eq!(counts, Counts { passed: 1, failed: 1, skipped: 0 });
        assert!(shown.contains(&"left != right"));
    }
}
