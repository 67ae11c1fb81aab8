//! Developer commands: `cargo xtask VERB`.
//!
//! Knows: cargo, git, Python, the repository's folders and the machine that it runs on. Must not know: anything inside the
//! SDK's crates, but for kinglet-testing, which writes model folders and knows where tools are kept; it only builds, starts and listens to them. Every verb ends
//! on one line, `N passed, N failed, N skipped`, and exits non-zero on a failure. What cannot run here is counted as skipped, with
//! the reason.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, clippy::print_stderr)] // its output is what it is for

mod android;
mod api;
mod arm64;
mod bench;
mod bindings;
mod date;
mod deny;
mod exporters;
mod fuzz;
mod goldens;
mod growth;
mod hammer;
mod junit;
mod kotlin;
mod machine;
mod matrix;
mod onnxruntime;
mod process;
mod python;
mod real_models;
mod report;
mod rust;
mod shape;
mod swift;
mod test_output;
mod tool;

use clap::{Parser, Subcommand};
use report::Report;
use std::process::ExitCode;

/// Developer commands of Kinglet. Each prints `N passed, N failed, N skipped` last and exits non-zero on a failure.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run every check below that can run here: rust, kotlin, swift, arm64, deny
    Test,
    /// Check the format, run clippy with warnings as errors, and run all tests and doctests
    Rust,
    /// Lint and test the kernels for 64-bit ARM under emulation, or count their instructions; needs Debian
    Arm64(arm64::Arguments),
    /// Build the libraries, the AAR and the sample's APK for Android without its SDK, and inspect them; needs a kit
    Android(android::Arguments),
    /// Compile the Kotlin module and run its tests on the JVM; needs a JDK 17 and Maven
    Kotlin(kotlin::Arguments),
    /// Build the Swift package and run its tests; uses a Swift 6 of the search path, or puts one into the user's cache (needs Debian
    /// and root)
    Swift(swift::Arguments),
    /// Check licences, banned crates and sources of the dependencies; installs cargo-deny outside the repository
    Deny(deny::Arguments),
    /// Look for inputs that break a reader or give other numbers, by libFuzzer with AddressSanitizer; needs a nightly toolchain
    Fuzz(fuzz::Arguments),
    /// Run sessions, cancellation, forks and memory pressure on 32 threads under ThreadSanitizer; needs a nightly toolchain
    Hammer(hammer::Arguments),
    /// Fetch the ONNX Runtime library that the tests use, into the user's cache, and print its path
    Onnxruntime,
    /// Run every golden model on both engines and write the README's table of them
    Matrix,
    /// Make the committed golden models and their reference outputs anew; needs Python
    Goldens(goldens::Arguments),
    /// Hold the command against what exporters write of tiny models, and write docs/exporters.md; needs Python
    Exporters(exporters::Arguments),
    /// Hold the command against transformers, ONNX Runtime and llama.cpp on a trained model, and write docs/real-models.md; needs Python
    RealModels(real_models::Arguments),
    /// Measure a model and append a dated line to benches/history, or compare with the peers of a kit
    Bench(bench::Arguments),
    /// Measure how speed and memory grow, and draw the charts of docs/growth
    Growth(growth::Arguments),
    /// Write a model folder with the shape of a published model and random weights
    Shape(shape::Arguments),
}

fn main() -> ExitCode {
    let mut report = Report::default();
    match Cli::parse().verb {
        Verb::Test => {
            rust::run(&mut report);
            kotlin::run(&kotlin::Arguments::default(), &mut report);
            swift::run(&swift::Arguments::default(), &mut report);
            arm64::run(&arm64::Arguments::default(), &mut report);
            deny::run(&deny::Arguments::default(), &mut report);
        }
        Verb::Rust => rust::run(&mut report),
        Verb::Arm64(arguments) => arm64::run(&arguments, &mut report),
        Verb::Android(arguments) => android::run(&arguments, &mut report),
        Verb::Kotlin(arguments) => kotlin::run(&arguments, &mut report),
        Verb::Swift(arguments) => swift::run(&arguments, &mut report),
        Verb::Deny(arguments) => deny::run(&arguments, &mut report),
        Verb::Fuzz(arguments) => fuzz::run(&arguments, &mut report),
        Verb::Hammer(arguments) => hammer::run(&arguments, &mut report),
        Verb::Onnxruntime => onnxruntime::run(&mut report),
        Verb::Matrix => matrix::run(&mut report),
        Verb::Goldens(arguments) => goldens::run(&arguments, &mut report),
        Verb::Exporters(arguments) => exporters::run(&arguments, &mut report),
        Verb::RealModels(arguments) => real_models::run(&arguments, &mut report),
        Verb::Bench(arguments) => bench::run(&arguments, &mut report),
        Verb::Growth(arguments) => growth::run(&arguments, &mut report),
        Verb::Shape(arguments) => shape::run(&arguments, &mut report),
    }
    report.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_sound() {
        Cli::command().debug_assert();
    }
}
