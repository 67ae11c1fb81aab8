//! A process for each candidate, with a time in which it has to end.

use super::handed;
use crate::arguments::Common;
use crate::failure::Failure;
use clap::ValueEnum;
use kinglet::probe::{Candidate, Measured, Setback, Trial};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How often it is looked whether a process has ended.
const GLANCE: Duration = Duration::from_millis(20);
/// Characters of a process's last words that are told.
const LAST_WORDS: usize = 200;

/// Tries each candidate in a process of its own: this program, with the verb `probe-candidate`.
pub(super) struct Children {
    program: PathBuf,
    options: Vec<OsString>,
    timeout: Duration,
}

impl Children {
    /// For a model, with these options; none may run longer than `timeout`.
    ///
    /// # Errors
    /// A sentence where the system does not say where this program is.
    pub(super) fn new(common: &Common, model: &Path, timeout: Duration) -> Result<Children, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::failed(format!("this program cannot be started a second time ({error})")))?;
        Ok(Children { program, options: options(common, model), timeout })
    }
}

impl Trial for Children {
    fn attempt(&mut self, candidate: Candidate) -> Result<Measured, Setback> {
        attempt(self.timeout, |out| {
            let mut command = Command::new(&self.program);
            command.args(["probe-candidate", &candidate.to_string(), "--out"]).arg(out).args(&self.options);
            command
        })
    }
}

/// The common options that say how a model is opened, as they are typed.
fn options(common: &Common, model: &Path) -> Vec<OsString> {
    let mut options: Vec<OsString> = vec!["--model".into(), model.into()];
    let mut add = |name: &str, value: Option<OsString>| options.extend(value.into_iter().flat_map(|v| [name.into(), v]));
    add("--variant", common.variant.as_ref().map(Into::into));
    add("--threads", common.threads.map(|threads| threads.to_string().into()));
    add("--context", common.context.map(|context| context.to_string().into()));
    add("--memory-budget", common.memory_budget.map(|budget| budget.0.to_string().into()));
    add("--prepared-weights", common.prepared_weights.as_ref().map(Into::into));
    add("--weights", common.weights.to_possible_value().map(|value| value.get_name().into()));
    options.extend(common.exact.then(|| "--exact".into()));
    options.extend((0..common.verbose).map(|_| "-v".into()));
    options
}

/// Runs the command that `command` makes for the file in which it hands over what it measured.
fn attempt(timeout: Duration, command: impl FnOnce(&Path) -> Command) -> Result<Measured, Setback> {
    let failed = |error: io::Error| Setback::Failed(format!("its process could not be run ({error})"));
    let folder = tempfile::tempdir().map_err(failed)?;
    let (out, said) = (folder.path().join("measured"), folder.path().join("stderr"));
    let mut command = command(&out);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&said).map_err(failed)?);
    let ended = Ended(command.spawn().map_err(failed)?).within(timeout).map_err(failed)?;
    let words = std::fs::read(&said).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    words.lines().for_each(|line| log::debug!("from the process: {line}"));
    let Some(status) = ended else { return Err(Setback::Hung(timeout)) };
    match handed::read(&out) {
        Ok(came) if status.success() => came,
        _ => Err(Setback::Crashed(obituary(status, &words))),
    }
}

/// How a process ended, and what it said last.
fn obituary(status: ExitStatus, words: &str) -> String {
    let last = words.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let last: String = last.trim().chars().filter(|c| !c.is_control()).take(LAST_WORDS).collect();
    let said = if last.is_empty() { String::new() } else { format!(" and said: {last}") };
    format!("its process ended with {status}{said}")
}

/// A process that does not outlive this.
struct Ended(Child);

impl Ended {
    /// Waits for its end; `None` where that does not come in time. Time in which this process itself stood still does not count.
    fn within(mut self, timeout: Duration) -> io::Result<Option<ExitStatus>> {
        for _ in 0..timeout.as_nanos().div_ceil(GLANCE.as_nanos()) {
            if let Some(status) = self.0.try_wait()? {
                return Ok(Some(status));
            }
            std::thread::sleep(GLANCE);
        }
        self.0.try_wait()
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        // One that has ended cannot be ended, which is as well.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(test)]
#[path = "child_tests.rs"]
mod tests;
