//! `cargo xtask fuzz`: libFuzzer with AddressSanitizer over the targets of kinglet-fuzz.

use crate::process::{listen_to_errors, program, read, root, stream};
use crate::report::Report;
use crate::tool::{self, NIGHTLY};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};

/// The version of cargo-fuzz that builds.
const CARGO_FUZZ: &str = "0.13.2";
/// The package that hands bytes over, from the repository's root.
const PACKAGE: &str = "sdk/fuzz/libfuzzer";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Minutes for each target
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Targets to run; all where none is named
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Threads' worth of fuzzing processes for each target
    #[arg(long, default_value_t = 1)]
    jobs: u32,
}

/// Results of libFuzzer for one target.
#[derive(Debug)]
struct Found {
    executions: u64,
    /// Inputs that ended the process, by the files they are kept in.
    finds: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    let cache = match kinglet_testing::cache_folder() {
        Some(cache) => cache.join("fuzz"),
        None => return report.skip("fuzz", "no home folder is known; set HOME"),
    };
    let fuzzer = match build(&cache) {
        Ok(fuzzer) => fuzzer,
        Err(why) => return report.skip("fuzz", &why),
    };
    let all = match targets(&fuzzer, &cache) {
        Ok(all) => all,
        Err(why) => return report.fail("fuzz", &why),
    };
    if let Some(unknown) = arguments.target.iter().find(|name| !all.contains(name)) {
        return report.fail(unknown, &format!("no such target; there are {}", all.join(", ")));
    }
    for target in if arguments.target.is_empty() { &all } else { &arguments.target } {
        match fuzz(&fuzzer, &cache, target, arguments) {
            Ok(found) => {
                println!("| {target} | {} min | {} | {} |", arguments.minutes, found.executions, found.finds.len());
                match found.finds.as_slice() {
                    [] => report.pass(),
                    finds => report.fail(target, &format!("{} inputs, listed above", finds.len())),
                }
            }
            Err(why) => report.fail(target, &why),
        }
    }
}

/// Has the program write the seeds of all targets, and gives their names.
fn targets(fuzzer: &Path, cache: &Path) -> Result<Vec<String>, String> {
    let mut seeds = program(fuzzer);
    seeds.env("KINGLET_FUZZ_SEEDS", cache.join("seeds"));
    Ok(read(&mut seeds)?.lines().map(str::to_owned).collect())
}

/// The program, built with coverage and AddressSanitizer.
fn build(cache: &Path) -> Result<PathBuf, String> {
    tool::nightly()?;
    let tool = tool::installed("cargo-fuzz", CARGO_FUZZ)?;
    let target = cache.join("target");
    let mut build = program(tool);
    build.args(["build", "--fuzz-dir", PACKAGE, "--target-dir"]).arg(&target).arg("any").env("RUSTUP_TOOLCHAIN", NIGHTLY);
    stream(&mut build)?;
    Ok(target.join(format!("{}-unknown-linux-gnu/release/any", std::env::consts::ARCH)))
}

/// Runs one target; what it learns is kept in the cache, and the seeds and the committed corpus are where it begins.
fn fuzz(fuzzer: &Path, cache: &Path, target: &str, arguments: &Arguments) -> Result<Found, String> {
    let (learnt, finds) = (cache.join("corpus").join(target), cache.join("finds").join(target));
    for folder in [&learnt, &finds] {
        fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    let committed = root().join("sdk/fuzz/corpus").join(target);
    let mut run = program(fuzzer);
    run.env("KINGLET_FUZZ_TARGET", target).env("ASAN_OPTIONS", "detect_odr_violation=0:allocator_may_return_null=1");
    run.arg(format!("-max_total_time={}", arguments.minutes * 60)).arg(format!("-fork={}", arguments.jobs));
    run.args(["-ignore_crashes=1", "-ignore_timeouts=1", "-ignore_ooms=1", "-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"]);
    run.arg(format!("-artifact_prefix={}/", finds.display())).arg(&learnt);
    run.args([cache.join("seeds").join(target), committed].into_iter().filter(|folder| folder.is_dir()));
    let before = files(&finds)?;
    let mut executions = 0;
    let outcome = listen_to_errors(&mut run, |line| executions = executions.max(executed(line)));
    // Of what its processes write, the one that watches over them says nothing.
    let found = Found { executions, finds: files(&finds)?.into_iter().filter(|file| !before.contains(file)).collect() };
    found.finds.iter().for_each(|file| println!("  {}", file.display()));
    // Of a process that was told to go on behind a crash, the status says nothing.
    if found.executions == 0 { outcome.and(Err("it executed nothing".into())) } else { Ok(found) }
}

/// The files of a folder.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    Ok(files)
}

/// Executions counted by a line of the output, `#1234: cov: ..`; 0 for other lines.
fn executed(line: &str) -> u64 {
    line.strip_prefix('#').and_then(|rest| rest.split([':', '\t', ' ']).next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_counted() {
        for (line, count) in [
            ("INFO: Running with entropic power schedule (0xFF, 100).", 0),
            ("#12: cov: 1030 ft: 1030 corp: 4 exec/s 0 oom/timeout/crash: 0/0/0 time: 2s", 12),
            ("#512: cov: 1031 ft: 1040 corp: 9 exec/s 88 oom/timeout/crash: 0/0/1 time: 6s", 512),
            ("artifact_prefix='finds/'; Test unit written to finds/crash-12ab", 0),
        ] {
            assert_eq!(executed(line), count, "{line}");
        }
    }

    #[test]
    fn finds_are_the_files_that_were_not_there() {
        let folder = std::env::temp_dir().join(format!("kinglet-finds-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert_eq!(files(&folder).unwrap(), Vec::<PathBuf>::new());
        fs::write(folder.join("crash-12ab"), "x").unwrap();
        assert_eq!(files(&folder).unwrap(), [folder.join("crash-12ab")]);
        fs::remove_dir_all(&folder).unwrap();
        assert!(files(&folder).is_err(), "a folder that is not there");
    }
}
