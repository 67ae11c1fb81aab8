//! `cargo xtask rust`: format, lints, tests.

use crate::onnxruntime;
use crate::process::{cargo, listen, program, stream, works};
use crate::report::Report;
use crate::test_output::{ARGUMENTS, TestOutput};

pub(crate) fn run(report: &mut Report) {
    let format = ["fmt", "--all", "--check"];
    with_component(report, "rustfmt", &["fmt", "--version"], &format);
    let lints = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    with_component(report, "clippy", &["clippy", "--version"], &lints);
    tests(report);
}

/// Runs a check of a component of the toolchain, which is installed if it is missing and can be had.
fn with_component(report: &mut Report, component: &str, probe: &[&str], check: &[&str]) {
    let here = works(&mut cargo(probe)) || {
        eprintln!("\nThe toolchain lacks {component}; asking rustup for it.");
        stream(program("rustup").args(["component", "add", component])).is_ok() && works(&mut cargo(probe))
    };
    if here {
        report.check(&format!("cargo {}", check[0]), stream(&mut cargo(check)));
    } else {
        report.skip(&format!("cargo {}", check[0]), &format!("the toolchain lacks {component} and rustup could not install it"));
    }
}

/// Unit tests, integration tests and doctests of every crate; a failing test program does not stop the others.
fn tests(report: &mut Report) {
    let mut output = TestOutput::default();
    let mut test = cargo(&["test", "--workspace", "--no-fail-fast", "--"]);
    test.args(ARGUMENTS);
    match onnxruntime::library() {
        Ok(library) => _ = test.env(onnxruntime::VARIABLE, library),
        // A library that the caller named is used as it is; without any, the tests that need it say so and are counted.
        Err(why) => report.note(&format!("ONNX Runtime's library was not fetched: {why}")),
    }
    let outcome = listen(&mut test, |line| {
        if output.line(line) {
            println!("{line}");
        }
    });
    output.add_to(report, outcome);
}
