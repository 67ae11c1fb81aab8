//! Results of a verb, and the lines that it ends on.

use std::fmt;
use std::process::ExitCode;

/// Counts of checks and tests, with a sentence for each failure and each skip that has one.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    failures: Vec<String>,
    skips: Vec<String>,
    notes: Vec<String>,
}

/// How many checks passed, failed and were skipped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

impl Report {
    pub(crate) fn pass(&mut self) {
        self.counts.passed += 1;
    }

    pub(crate) fn fail(&mut self, what: &str, why: &str) {
        self.counts.failed += 1;
        self.failures.push(format!("{what}: {why}"));
    }

    pub(crate) fn skip(&mut self, what: &str, why: &str) {
        self.counts.skipped += 1;
        self.skips.push(format!("{what}: {why}"));
    }

    /// Says what is no part of the verb, and is not counted.
    pub(crate) fn note(&mut self, what: &str) {
        self.notes.push(what.to_owned());
    }

    /// Counts one check by its outcome.
    pub(crate) fn check(&mut self, what: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.pass(),
            Err(why) => self.fail(what, &why),
        }
    }

    /// Prints what was noted, failed and skipped, then the counts alone on the last line.
    pub(crate) fn finish(&self) -> ExitCode {
        println!();
        for note in &self.notes {
            println!("NOTE {note}");
        }
        for failure in &self.failures {
            println!("FAILED {failure}");
        }
        for skip in &self.skips {
            println!("SKIPPED {skip}");
        }
        println!("{}", self.counts);
        if self.counts.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_fails_the_verb() {
        let mut report = Report::default();
        report.pass();
        report.skip("deny", "cargo-deny is not installed");
        assert_eq!(report.finish(), ExitCode::SUCCESS);
        report.check("fmt", Err("it exited with 1".to_owned()));
        assert_eq!(report.finish(), ExitCode::FAILURE);
        assert_eq!(report.counts.to_string(), "1 passed, 1 failed, 1 skipped");
    }
}
