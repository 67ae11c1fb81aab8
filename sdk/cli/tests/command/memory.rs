//! Little address space: large work is refused with a sentence, whatever the limit is.

use crate::kit::repository;
use std::process::Command;

/// Only allocations below this size may end the process: larger ones are checked before.
const SMALL_BYTES: u64 = 64 << 10;

/// Runs the command with at most so many KiB of addresses. Gives its exit code, unless a signal ended it, and what it wrote to
/// stderr.
fn run(kib: u64, arguments: &str) -> (Option<i32>, String) {
    let command = format!("ulimit -v {kib}; exec {} {arguments}", assert_cmd::cargo::cargo_bin!("kinglet").display());
    let mut shell = Command::new("sh");
    shell.args(["-c", &command]).current_dir(repository()).env("RUST_BACKTRACE", "0").env("ORT_DYLIB_PATH", "/no/such/library");
    let output = shell.output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The bytes of the allocation that ended the process.
fn failed_allocation(err: &str) -> Option<u64> {
    err.split("memory allocation of ").nth(1)?.split(' ').next()?.parse().ok()
}

/// Holds an ending against what is allowed; true where the command did its work.
fn check(ended: (Option<i32>, String)) -> Result<bool, String> {
    let (code, err) = ended;
    match (code, failed_allocation(&err)) {
        (Some(0), _) => Ok(true),
        (Some(1), None) => Ok(false),
        // The system cannot even load the command, or its first small tables.
        (None, None) | (Some(126 | 127), None) if !err.contains("panicked") => Ok(false),
        (_, Some(bytes)) if bytes < SMALL_BYTES => Ok(false),
        _ => Err(format!("{code:?}: {err}")),
    }
}

#[test]
fn every_limit_ends_in_an_answer_or_a_sentence() {
    for arguments in ["reply 'Is the table by the window free tonight?'", "run -p hello -n 4", "chat -p hello -n 4"] {
        let mut done = 0;
        // Odd steps, so that limits fall into every part of the work.
        for kib in (40_000..260_000).step_by(11_003) {
            match check(run(kib, arguments)) {
                Ok(worked) => done += usize::from(worked),
                Err(ending) => panic!("{arguments} with {kib} KiB: {ending}"),
            }
        }
        assert!(done > 0, "{arguments}: no limit was enough");
    }
}

#[test]
fn the_check_of_endings_can_fail() {
    let large = "memory allocation of 163840 bytes failed\n";
    assert!(check((None, large.into())).is_err());
    assert!(check((Some(101), "thread 'main' panicked at x".into())).is_err());
    assert!(check((None, "thread 'main' panicked at x".into())).is_err());
    assert_eq!(check((None, "memory allocation of 160 bytes failed\n".into())), Ok(false));
    assert_eq!(check((Some(1), "error: there is no room".into())), Ok(false));
}
