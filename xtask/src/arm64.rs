//! `cargo xtask arm64`: the kernels for 64-bit ARM, built by a toolchain of their own and run under emulation.

mod instructions;
mod toolchain;

use crate::process::{listen, stream};
use crate::report::Report;
use crate::test_output::{ARGUMENTS, TestOutput};
use clap::Args;
use std::path::PathBuf;
use std::process::Command;
use toolchain::Toolchain;

/// The processors that are emulated: that of a Raspberry Pi 4 (NEON), that of a Raspberry Pi 5 (with the dot product), and one
/// that has everything (with i8mm).
const PROCESSORS: [&str; 3] = ["cortex-a72", "cortex-a76", "max"];

/// Lints the kernels for 64-bit ARM and runs their tests as a Raspberry Pi 4, as a Raspberry Pi 5, and as a processor that has
/// every instruction.
///
/// Compiler and emulator are Debian's: the first run downloads them to a folder of their own and installs nothing. On other
/// systems everything is skipped.
#[derive(Debug, Default, Args)]
pub(crate) struct Arguments {
    /// Run the engine's tests on the golden models too, on the processor that has everything: takes an hour the first time
    #[arg(long)]
    goldens: bool,
    /// Instead of testing, count the instructions of the kernels for each multiply-add, and print a table
    #[arg(long, conflicts_with = "goldens")]
    instructions: bool,
    /// Where the toolchain is, or is made [default: kinglet/arm64 in the user's cache folder]
    #[arg(long, value_name = "FOLDER")]
    toolchain: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, report: &mut Report) {
    if cfg!(target_arch = "aarch64") {
        report.skip("arm64", "this machine is one: `cargo xtask rust` tests its kernels");
        return;
    }
    let toolchain = match Toolchain::ready(arguments.toolchain.as_deref()) {
        Ok(toolchain) => toolchain,
        Err(why) => return report.skip("arm64", &why),
    };
    if arguments.instructions {
        report.check("arm64, instructions", instructions::table(&toolchain));
        return;
    }
    let kernels = ["--package", "kinglet-kernels"];
    let lints = ["clippy", "--all-targets", kernels[0], kernels[1], "--", "-D", "warnings"];
    report.check("arm64, clippy", stream(&mut toolchain.cargo(&lints, "max")));
    tests(&toolchain, &kernels, &PROCESSORS, report);
    if arguments.goldens {
        tests(&toolchain, &["--package", "kinglet-tract"], &["max"], report);
    }
}

/// Builds the tests of some packages and runs them on the processors at once.
fn tests(toolchain: &Toolchain, packages: &[&str], processors: &[&'static str], report: &mut Report) {
    let build = [&["test", "--no-run"], packages].concat();
    if let Err(why) = stream(&mut toolchain.cargo(&build, "max")) {
        return report.fail("arm64, cargo test", &why);
    }
    let test = [&["test", "--no-fail-fast"], packages, &["--"], ARGUMENTS].concat();
    let runs: Vec<_> = std::thread::scope(|scope| {
        let start = |processor: &&str| {
            let command = toolchain.cargo(&test, processor);
            scope.spawn(|| lines(command))
        };
        let threads: Vec<_> = processors.iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| (vec![], Err("xtask panicked".to_owned())))).collect()
    });
    for (processor, (lines, outcome)) in processors.iter().zip(runs) {
        println!("\nAs {processor}:");
        let mut output = TestOutput::default();
        for line in lines.iter().filter(|line| output.line(line)) {
            println!("{line}");
        }
        // Instructions that the lesser processors lack are tested on `max`, which has them all.
        let output = if *processor == "max" { output } else { output.whole() };
        output.add_to(report, outcome);
    }
}

/// Lines that a command writes to stdout, and how it ends.
fn lines(mut command: Command) -> (Vec<String>, Result<(), String>) {
    let mut lines = vec![];
    let outcome = listen(&mut command, |line| lines.push(line.to_owned()));
    (lines, outcome)
}
